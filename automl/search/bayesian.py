"""Bayesian optimisation with a Gaussian process and an upper confidence bound: KerasTuner's oracle.

With 40 conditional parameters a suggestion takes 11–33 s at 50 trials, and the oracle stays random for three times as many
trials as there are parameters. So it is given at most `DIMENSIONS` of them, the most important ones, and a fixed number of
random trials before. For larger spaces TPE is the model-based strategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from automl.catalog.space import Space
from automl.search.kerastuner import OracleSampler, library
from automl.search.sampler import free_dimensions, narrowed

DIMENSIONS = 15
INITIAL = 6
"""Random trials before the first fit."""
RESTARTS = 2
"""Of the kernel's optimiser; KerasTuner's 20 cost seconds and change the proposals little."""


class Bayesian(OracleSampler):
    """Models the score by a Gaussian process over at most `DIMENSIONS` parameters."""

    name = "bayesian"

    def __init__(self, space: Space, seed: int):
        self._tuned = space if free_dimensions(space) <= DIMENSIONS else narrowed(space, DIMENSIONS)
        super().__init__(space, seed)

    def tuned(self) -> Space:
        return self._tuned

    def make(self, hyperparameters: Any) -> Any:
        keras_tuner = library()
        base = keras_tuner.oracles.BayesianOptimizationOracle

        class Refitted(base):  # type: ignore[misc,valid-type]
            """Fits the process to the completed trials before every ask: the oracle imagines results for trials in flight
            with the process of the last ask, which a restored one hasn't got."""

            trials: dict[str, Any]
            ongoing_trials: dict[str, Any]

            def _make_gpr(self) -> Any:
                gpr = super()._make_gpr()
                gpr.n_restarts_optimizer = RESTARTS
                return gpr

            def populate_space(self, trial_id: str) -> Any:
                everything, ongoing = self.trials, self.ongoing_trials
                completed = {id: t for id, t in everything.items() if t.status == "COMPLETED"}
                self.gpr = self._make_gpr()
                if len(completed) >= self.num_initial_points:
                    self.trials, self.ongoing_trials = completed, {}
                    self.gpr.fit(*self._vectorize_trials())
                    self.trials, self.ongoing_trials = everything, ongoing
                return super().populate_space(trial_id)

        return Refitted(
            max_trials=None, num_initial_points=INITIAL, hyperparameters=hyperparameters,
            **self.common(),
        )

    def reseed(self, seed: int) -> None:
        self.oracle._random_state = np.random.RandomState(seed)
