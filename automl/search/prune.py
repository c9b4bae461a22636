"""When a running trial is stopped: median stopping (Golovin et al., KDD 2017) at equal fractions of the schedule.

Scores rise as the learning rate falls, so trials of different lengths are compared at the same *fraction* of their
schedules, never at the same epoch. A slow starter is kept as long as its own curve, carried on, could still reach what the
others reached in the end.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from automl.search.sampler import evidence
from automl.spec import Trial

GRACE = 0.3
"""Share of the schedule before which nothing is stopped."""
PEERS = 4
"""Finished trials that are needed before anything is stopped."""
EPOCHS = 3
"""A trial is never stopped before as many epochs."""
MISTIMED = "its epochs are much slower than predicted: its schedule would not complete"
"""The message of a trial that `mistimed` ended; the same recipe may come again with fewer epochs."""
TOO_LATE = 1.4
"""A schedule that needs as many times what is left is given up."""


def mistimed(trial: Trial, epoch_s: float, available_s: float) -> bool:
    """Whether a trial that has just begun can't come near the end of its schedule: a shorter one is worth more."""
    done, wanted = trial.measurements[-1].epoch, trial.fidelity.epochs
    # The first epoch holds the tracing, too.
    late = {1: 2 * TOO_LATE, 2: TOO_LATE}.get(done)
    return late is not None and done < wanted / 2 and (wanted - done) * epoch_s > late * max(1.0, available_s)


def hopeless(trial: Trial, others: Iterable[Trial], *, keep: float = 0.5) -> str | None:
    """Why `trial` isn't worth going on with, as a phrase; None when it is.

    `keep` is the share of peers that it has to be among at its fraction of the schedule (0.5: the median).
    """
    done = trial.measurements
    if len(done) < EPOCHS:
        return None
    fraction = done[-1].epoch / trial.recipe.epochs
    if not GRACE <= fraction < 1.0:
        return None
    peers = [
        t for t in evidence(others)
        if t.id != trial.id and t.measurements and t.measurements[-1].epoch / t.recipe.epochs >= fraction
    ]
    if len(peers) < PEERS:
        return None
    here = max(m.score for m in done)
    at_fraction = sorted((best_until(t, fraction) for t in peers), reverse=True)
    bar = at_fraction[min(len(at_fraction) - 1, int(len(at_fraction) * keep))]
    if here >= bar:
        return None
    finals = [t.score for t in peers if t.score is not None]
    reach = here + _slope(trial) * (1.0 - fraction)
    if reach >= statistics.median(finals):
        return None
    return f"best {here:.4g} at {fraction:.0%} of the schedule, below {bar:.4g} of the trials before"


def best_until(trial: Trial, fraction: float) -> float:
    """The best score within a fraction of the schedule; the first epoch's when it ends later."""
    within = [m.score for m in trial.measurements if m.epoch / trial.recipe.epochs <= fraction + 1e-9]
    return max(within) if within else trial.measurements[0].score


def _slope(trial: Trial) -> float:
    """Gain of the running best over the last third of the epochs done, per whole schedule; never negative."""
    done = trial.measurements
    back = max(1, len(done) // 3)
    before = max(m.score for m in done[:-back])
    gain = max(m.score for m in done) - before
    span = (done[-1].epoch - done[-1 - back].epoch) / trial.recipe.epochs
    return max(0.0, gain) / span if span else 0.0
