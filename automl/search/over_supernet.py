"""A supernet first, then what it found, among architectures that evolution breeds: all trained alike, under asynchronous
halving.

The supernet takes a slot for a share of the search; on the other slots evolution begins meanwhile, so that there is a model
early, and something to compare with. When the supernet has ended, its architectures come before any other; they then have to
win their rungs like everybody. Where it found nothing, evolution goes on alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from automl.catalog import compose, entries
from automl.catalog.domains import Categorical
from automl.catalog.space import Assignment, Space
from automl.search.budget import Outlook
from automl.search.genotypes import SHARE, GenotypeEvolution, key
from automl.search.sampler import Proposal, recipe_seed
from automl.search.supernets import ORIGIN, Wish
from automl.spec import Fidelity, Recipe, Supernet, Trial
from automl.spec.genotype import PARAMETER
from automl.spec.recipe import ParameterValue

ENDLESS_S = 3600.0
"""What it gets where the search has no clock."""
LARGE_S = 600.0
"""From so many seconds on a supernet learns enough in the larger of two spaces (a thousand steps of half a second)…"""
LARGE_PIXELS = 784
"""… on pictures of so many pixels; in proportion on others."""


class OverSupernet(GenotypeEvolution):
    """See the module's docstring."""

    share = 0.4
    """Of the search's time that the supernet gets."""
    most = 0.8 * (1 - share)
    """What it found is to be trained in the time that is left then, side by side…"""
    spreads = False
    """… since something runs on the other slots already."""

    def __init__(self, space: Space, seed: int, parameters: Mapping[str, str]):
        """`parameters` are what the user set, by "id.parameter"."""
        super().__init__(space, seed)
        declared = entries.techniques[self.name].params
        given, _ = compose.fixed(parameters)
        self.settings: dict[str, ParameterValue] = {
            name: given.get(f"{self.name}.{name}", domain.default) for name, domain in declared.items()
        }
        self.supernets: dict[str, Supernet] = {}

    def tell_supernet(self, supernet: Supernet) -> None:
        self.supernets[supernet.id] = supernet

    def supernet(self, outlook: Outlook) -> Wish | None:
        if self.supernets:
            return None
        endless = outlook.remaining_s == float("inf")
        seconds = ENDLESS_S if endless else min(self.share * outlook.total_s, outlook.remaining_s)
        return Wish(self.name, self.searched(seconds), self.settings, seconds)

    def searched(self, seconds: float) -> Recipe:
        """What the supernet is made of, and how it is trained."""
        raise NotImplementedError

    def meant(self, found: Recipe) -> Recipe:
        """The recipe that is trained of one whose architecture the supernet found."""
        return found

    def fresh(self, rng: random.Random, attempts: int = 50) -> Assignment | None:
        waiting = self._waiting()
        return waiting[0] if waiting else super().fresh(rng, attempts)

    def _promotable(self) -> tuple[Trial, int] | None:
        return None if self._waiting() else super()._promotable()

    def _waiting(self) -> list[Assignment]:
        """What was found and not begun yet, best first."""
        tried, waiting = self.tried(), []
        for one in self.supernets.values():
            for found in one.found:
                recipe = self.meant(one.recipe.model_copy(update={"architecture": found.architecture}))
                assignment = self.space.assignment(recipe)
                if self._recipe(assignment).identity not in tried:
                    waiting.append(assignment)
        return waiting

    def family(self, ids: list[str], seconds: float) -> str:
        """Of the families that can be searched the cheapest; where there is time for it, the largest space."""
        ranked = sorted(ids, key=lambda id: (entries.architectures[id].cost, id))
        height, width, _ = self.space.profile.image_shape or (28, 28, 1)
        return ranked[-1] if seconds >= LARGE_S * height * width / LARGE_PIXELS else ranked[0]


class Darts(OverSupernet):
    """Over a mixture of all operations on each edge (`automl.nas.darts`)."""

    name = "darts"

    def searched(self, seconds: float) -> Recipe:
        domain = next(d.domain for d in self.space.dimensions if d.name == "architecture")
        assert isinstance(domain, Categorical)
        id = self.family([str(f) for f in domain.values if entries.architectures[str(f)].relaxation is not None], seconds)
        relaxation = entries.architectures[id].relaxation
        assert relaxation is not None
        chosen: Assignment = {**self.space.default(), "architecture": id}
        for name, value in relaxation.searched_with.items():
            of = next((d.domain for d in self.space.dimensions if d.name == f"{id}.{name}"), None)
            if of is not None and of.check(value) is None:
                chosen[f"{id}.{name}"] = value
        return self.space.recipe(self.space.repair(self.space.complete(chosen)), recipe_seed(self.seed))

    def meant(self, found: Recipe) -> Recipe:
        """The genotype in a network of the usual size: a smaller one was searched."""
        id = found.architecture.id
        usual = self.space.recipe(
            self.space.repair(self.space.complete({**self.space.default(), "architecture": id})), found.seed
        ).architecture
        params = {**usual.params, PARAMETER: found.architecture.params[PARAMETER]}
        return found.model_copy(update={"architecture": usual.model_copy(update={"params": params})})


class ProxylessNas(OverSupernet):
    """Over the paths of `nas-mobile`'s blocks, at the width at which its genotypes are trained (`automl.nas.proxyless`)."""

    name = "proxylessnas"

    def searched(self, seconds: float) -> Recipe:
        return self.space.recipe(self.space.default(), recipe_seed(self.seed))


class OnceForAll(OverSupernet):
    """Inside the largest network of `nas-mobile` (`automl.nas.once_for_all`). What it finds isn't trained again, but cut out
    of it; what evolution trains on the other slots meanwhile is there to compare with."""

    name = "once-for-all"
    share = 0.8
    most = SHARE

    def searched(self, seconds: float) -> Recipe:
        return self.space.recipe(self.space.default(), recipe_seed(self.seed))

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        for one in self.supernets.values():
            for found in one.found:
                recipe = one.recipe.model_copy(update={"architecture": found.architecture})
                if key(recipe) not in {key(t.recipe) for t in self.trials.values()}:
                    return Proposal(recipe, Fidelity(epochs=recipe.epochs), ORIGIN, fits=True)
        return super().ask(trial, outlook)

    def _waiting(self) -> list[Assignment]:
        return []

    def _living(self) -> list[Trial]:
        """Those that trained: what is cut out can't be gone on with."""
        return [t for t in super()._living() if t.origin != ORIGIN]
