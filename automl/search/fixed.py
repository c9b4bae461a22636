"""The recipes that the user gives, in order, and nothing else (`automl reproduce`)."""

from __future__ import annotations

from collections.abc import Sequence

from automl.catalog.space import Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler
from automl.spec import Fidelity, Recipe


class Fixed(Sampler):
    """Proposes each given recipe once, unchanged, seed included."""

    name = "fixed"

    def __init__(self, space: Space, seed: int, recipes: Sequence[Recipe] = ()):
        super().__init__(space, seed)
        self.recipes = tuple(recipes)
        self._open: dict[str, str] = {}

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        taken = self.tried() | set(self._open.values())
        for recipe in self.recipes:
            if recipe.identity not in taken:
                self._open[trial] = recipe.identity
                return Proposal(recipe, Fidelity(epochs=recipe.epochs), self.name)
        return None
