"""Grid search: KerasTuner's `GridSearchOracle` over a few values of the most important dimensions.

The full product of a derived space has more points than atoms; the grid is taken over `DIMENSIONS` dimensions with at most
`POINTS` values each, the rest at their defaults.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from automl.catalog.domains import Categorical, Domain, Float, Int
from automl.catalog.space import Space
from automl.search.kerastuner import OracleSampler, library
from automl.search.sampler import narrowed
from automl.spec import Trial
from automl.spec.model import Json

DIMENSIONS = 6
POINTS = 4


class Grid(OracleSampler):
    """Walks the grid in KerasTuner's order: from the defaults, the last dimension first."""

    name = "grid"
    carries_values = False  # the oracle finds its place in the grid by the values that it proposed

    def __init__(self, space: Space, seed: int):
        few = narrowed(space, DIMENSIONS)
        self._tuned = dataclasses.replace(
            few, dimensions=tuple(dataclasses.replace(d, domain=points(d.domain)) for d in few.dimensions)
        )
        super().__init__(space, seed)

    def tuned(self) -> Space:
        return self._tuned

    def make(self, hyperparameters: Any) -> Any:
        return library().oracles.GridSearchOracle(max_trials=None, hyperparameters=hyperparameters, **self.common())

    def _adopt(self, trial: Trial) -> bool:
        """A trial of another origin has no place in the walk; it isn't repeated, and that is all."""
        return False

    def created(self, oracle_trial: Any) -> None:
        # The oracle holds a point's successor back until the point has ended, in case the trial brings new parameters. Our
        # spaces never grow, so every slot can work.
        self.oracle._populate_next.append(oracle_trial.trial_id)

    def restore(self, state: Json, trials: Iterable[Trial]) -> None:
        """Walks the grid again up to where it was: its order of points is not in the oracle's own state."""
        for n in range(int((state or {}).get("asks", 0))):
            self._create(f"walked-{n}")
        ids = {v: k for k, v in (state or {}).get("ids", {}).items()}
        walked, self._ids = self._ids, {}
        known = set()
        for own in walked.values():
            if own in ids:
                self._ids[ids[own]] = own
                known.add(ids[own])
        for trial in trials:
            self.tell(trial)
        told = set(self.trials)
        for ours in list(self._ids):
            if ours not in told:
                self.drop(ours)
        for own in walked.values():
            if own not in self._ids.values() and self.oracle.trials[own].status == "RUNNING":
                self.oracle.trials[own].status = "FAILED"
                self.oracle.end_trial(self.oracle.trials[own])


def points(domain: Domain) -> Categorical:
    """At most `POINTS` values of a domain, the default among them."""
    match domain:
        case Categorical(values=values, default=default):
            chosen = [default, *[v for v in values if v != default]][:POINTS]
            return Categorical(tuple(v for v in values if v in chosen), default)
        case Float(low=low, high=high, default=default, log=log):
            inner = [i / (POINTS - 2) for i in range(POINTS - 1)]
            spread = [math.exp(math.log(low) + f * math.log(high / low)) if log else low + f * (high - low) for f in inner]
            return Categorical(tuple(sorted({default, *(min(high, max(low, v)) for v in spread)})), default)
        case Int(low=low, high=high, default=default):
            inner = [i / (POINTS - 2) for i in range(POINTS - 1)]
            return Categorical(tuple(sorted({default, *(domain.snap(low + f * (high - low)) for f in inner)})), default)
    raise TypeError(f"no grid is defined for {type(domain).__name__}")
