"""The strategies by name. KerasTuner's and Optuna's modules are imported when theirs is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from automl.catalog.space import Space
from automl.search import portfolio
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
    "darts": "automl.search.over_supernet:Darts",
    "proxylessnas": "automl.search.over_supernet:ProxylessNas",
    "once-for-all": "automl.search.over_supernet:OnceForAll",
    "rl-ppo": "automl.search.controllers.samplers:PpoRecipes",
    "rl-rainbow": "automl.search.controllers.samplers:RainbowRecipes",
    "mcts-alphazero": "automl.search.controllers.samplers:AlphaZeroRecipes",
    "fixed": "automl.search.fixed:Fixed",
}
OVER_GENOTYPES = {
    "evolution": "automl.search.genotypes:GenotypeEvolution",
    "rl-ppo": "automl.search.controllers.samplers:PpoGenotypes",
    "rl-rainbow": "automl.search.controllers.samplers:RainbowGenotypes",
    "mcts-alphazero": "automl.search.controllers.samplers:AlphaZeroGenotypes",
}
"""What stands for a strategy where the space's architectures are genotypes."""
OVER_SUPERNETS = ("darts", "proxylessnas", "once-for-all")
"""Strategies that have parameters of their own, and take spaces of genotypes only."""
TAKES_RECIPES = ("auto", "fixed")
"""Strategies that try the user's recipes themselves; under the others the loop tries them first."""


def make(
    strategy: str, space: Space, seed: int, recipes: Sequence[Recipe] = (), *, finalists: bool = True,
    parameters: Mapping[str, str] = MappingProxyType({}), starts: Sequence[portfolio.Start] = (),
) -> Sampler:
    """The sampler of that name. Without `finalists` the default strategy doesn't repeat the leaders under other seeds.
    `parameters` are what the user set, by "id.parameter"; some strategies have such. `starts` are recipes of the portfolio
    that a search of genotypes tries first. Raises `InvalidInput` for an unknown strategy."""
    if strategy not in STRATEGIES:
        raise InvalidInput.at(
            "search.strategy", f"unknown strategy {strategy!r}; there are: {', '.join(STRATEGIES)}",
            reason="UNKNOWN_STRATEGY",
        )
    named = OVER_GENOTYPES.get(strategy, "") if space.by_genotype else ""
    module, _, name = (named or STRATEGIES[strategy]).partition(":")
    kind = getattr(importlib.import_module(module), name)
    more: tuple[Any, ...] = (recipes,) if strategy in TAKES_RECIPES else (parameters,) if strategy in OVER_SUPERNETS else ()
    sampler: Sampler = kind(space, seed, *more)
    if isinstance(sampler, Auto):
        sampler.finalists = finalists
    elif named:
        sampler.starts = tuple(starts)  # type: ignore[attr-defined]
    return sampler
