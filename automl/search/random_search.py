"""Random search (Bergstra and Bengio, JMLR 2012): KerasTuner's `RandomSearchOracle`."""

from __future__ import annotations

from typing import Any

from automl.search.kerastuner import OracleSampler, library


class RandomSearch(OracleSampler):
    """Draws every trial independently: the baseline that every other strategy has to beat."""

    name = "random"

    def make(self, hyperparameters: Any) -> Any:
        return library().oracles.RandomSearchOracle(max_trials=None, hyperparameters=hyperparameters, **self.common())
