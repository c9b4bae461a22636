"""Bagging of the search's best recipes over folds."""

from __future__ import annotations

from automl.catalog import Int, TrainPlan, technique
from automl.techniques.ensemble import out_of_order


@technique(
    id="bagging", stage="ensemble", modalities=("table", "text", "series"), params={"members": Int(2, 16, 5)},
    when=out_of_order,
    reference="Breiman: Bagging Predictors (Machine Learning 24, 1996); Parmanto et al., committees (NIPS 1995)",
)
def bagging(plan: TrainPlan, *, members: int) -> TrainPlan:
    """Bagging: several networks, each trained without another part of the rows, whose predictions are averaged.

    What it changes: instead of one final fit, up to `members` of them are trained, each on all rows but one fold, which
    tells when to stop; the model that is delivered holds them all and gives the mean of their outputs, ŷ = (1/K) Σ f_k.
    Why it may help: the average loses the part of the error that differs from member to member, which on small and on noisy
    data is most of what can still be won; every row is learned from by all members but one; and no single lucky validation
    part decides. When it hurts: size and time of a prediction grow with the members, so limits of size and latency allow
    fewer; pictures' networks are delivered alone. How: the members' recipes are chosen by `greedy-ensemble`; rows are dealt
    into max(K, 5) folds, strata and groups kept, and member k doesn't see fold k. Data
    that are split by time get none: folds would tell a member when to stop by rows older than those it learned from, and
    folds in order would keep the newest rows, those most like what comes, from all members but the last. One network is
    fitted on all rows before the test part instead.
    """
    return plan.tagged("bagging")
