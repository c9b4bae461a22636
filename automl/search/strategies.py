"""The strategies by name. KerasTuner's and Optuna's modules are imported when theirs is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from automl.catalog.space import Space
from automl.search.auto import Auto
from automl.search.sampler import Sampler
from automl.spec import InvalidInput, Recipe

STRATEGIES = {
    "auto": "automl.search.auto:Auto",
    "random": "automl.search.random_search:RandomSearch",
    "grid": "automl.search.grid:Grid",
    "bayesian": "automl.search.bayesian:Bayesian",
    "hyperband": "automl.search.hyperband:Hyperband",
    "asha": "automl.search.asha:Asha",
    "evolution": "automl.search.evolution:Evolution",
    "tpe": "automl.search.tpe:Tpe",
    "fixed": "automl.search.fixed:Fixed",
}
OVER_GENOTYPES = {"evolution": "automl.search.genotypes:GenotypeEvolution"}
"""What stands for a strategy where the space's architectures are genotypes."""
TAKES_RECIPES = ("auto", "fixed")
"""Strategies that try the user's recipes themselves; under the others the loop tries them first."""


def make(
    strategy: str, space: Space, seed: int, recipes: Sequence[Recipe] = (), *, finalists: bool = True
) -> Sampler:
    """The sampler of that name. Without `finalists` the default strategy doesn't repeat the leaders under other seeds.
    Raises `InvalidInput` for an unknown one."""
    if strategy not in STRATEGIES:
        raise InvalidInput.at(
            "search.strategy", f"unknown strategy {strategy!r}; there are: {', '.join(STRATEGIES)}",
            reason="UNKNOWN_STRATEGY",
        )
    named = OVER_GENOTYPES.get(strategy, "") if space.by_genotype else ""
    module, _, name = (named or STRATEGIES[strategy]).partition(":")
    kind: type[Sampler] = getattr(importlib.import_module(module), name)
    sampler = kind(space, seed, recipes) if strategy in TAKES_RECIPES else kind(space, seed)  # type: ignore[call-arg]
    if isinstance(sampler, Auto):
        sampler.finalists = finalists
    return sampler
