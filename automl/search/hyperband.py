"""Hyperband (Li et al., JMLR 2018): KerasTuner's `HyperbandOracle`, brackets of successive halving.

The oracle's contract is kept: a promoted trial goes on from the checkpoint of `tuner/trial_id`, at `tuner/initial_epoch`, up
to `tuner/epochs`. Its shortest rung is `SHORTEST` epochs rather than one: rungs of one epoch pick fast starters, and cost
less than building the model.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from automl.catalog.space import Assignment, Space
from automl.search.kerastuner import OracleSampler, library
from automl.search.sampler import Proposal, recipe_seed
from automl.spec import Fidelity, Trial
from automl.spec.model import Json

FACTOR = 3
SHORTEST = 3


class Hyperband(OracleSampler):
    """Halves many short trainings down to few long ones, in brackets of different shortness."""

    name = "hyperband"

    def __init__(self, space: Space, seed: int):
        self.epochs = int(space.default()["epochs"])
        super().__init__(space, seed)

    def make(self, hyperparameters: Any) -> Any:
        oracle = library().oracles.HyperbandOracle(
            max_epochs=self.epochs, factor=FACTOR, hyperband_iterations=10**6, hyperparameters=hyperparameters,
            **self.common(),
        )
        oracle.min_epochs = min(SHORTEST, self.epochs)
        oracle._current_bracket = oracle._get_num_brackets() - 1
        oracle._brackets = []
        oracle._start_new_bracket()
        return oracle

    def proposal(self, values: Assignment, oracle_trial: Any) -> Proposal:
        told = oracle_trial.hyperparameters.values
        recipe = self.space.recipe(values | {"epochs": self.epochs}, recipe_seed(self.seed))
        past = told.get("tuner/trial_id")
        resume = next((ours for ours, own in self._ids.items() if own == past), None) if past is not None else None
        if resume is not None:
            recipe = self.trials[resume].recipe
        return Proposal(recipe, Fidelity(epochs=min(recipe.epochs, int(told["tuner/epochs"]))), self.name, resume)

    def state(self) -> Json:
        own = {k: v for k, v in self.oracle.get_state().items() if k in ("brackets", "current_bracket", "current_iteration")}
        extras = {
            ours: {k: v for k, v in self.oracle.trials[id].hyperparameters.values.items() if k.startswith("tuner/")}
            for ours, id in self._ids.items()
        }
        return {**super().state(), **copy.deepcopy(own), "extras": extras}

    def restore(self, state: Json, trials: Iterable[Trial]) -> None:
        """Brackets come from the state; a trial that it doesn't know stands outside all of them, and a proposal that never
        became a trial leaves its place."""
        super().restore(state, trials)
        if not state:
            return
        for ours, extra in state["extras"].items():
            if ours in self._ids:
                self.oracle.trials[self._ids[ours]].hyperparameters.values |= extra
        alive = set(self._ids.values())
        self.oracle._brackets = [
            {**b, "rounds": [[dict(info) for info in r if info["id"] in alive] for r in b["rounds"]]}
            for b in state["brackets"]
        ]
        self.oracle._current_bracket = int(state["current_bracket"])
        self.oracle._current_iteration = int(state["current_iteration"])

    def drop(self, trial: str) -> None:
        """A proposal that isn't used leaves its place in the bracket, so that the rung can fill."""
        own = self._ids.get(trial)
        super().drop(trial)
        for bracket in self.oracle._brackets:
            for rung in bracket["rounds"]:
                rung[:] = [info for info in rung if info["id"] != own]
