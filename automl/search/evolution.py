"""Regularised evolution (Real et al., AAAI 2019, arXiv:1802.01548): the oldest die, not the worst.

The population are the latest `POPULATION` trials. Each proposal is a mutated copy of the best of `TOURNAMENT` drawn from it.
Since a lucky score dies of age, a recipe stays only if its children score too: that guards against the noise of one seed.
Trials of other origins (the portfolio) are citizens as well.
"""

from __future__ import annotations

from automl.catalog.space import Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler, assignment_of, evidence, recipe_seed

POPULATION = 24
TOURNAMENT = 6
FIRST = 8
"""Random trials before the first tournament, minus the ones that are there already."""
CHANGES = (1, 1, 2, 3)
"""Dimensions that a mutation changes: one of these."""


class Evolution(Sampler):
    """Mutates winners of small tournaments among the youngest trials."""

    name = "evolution"

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        rng = self.rng("evolution", trial)
        living = evidence(self.trials.values())[-POPULATION:]
        started = sum(1 for t in self.trials.values() if t.origin not in ("probe", "final"))
        if started < FIRST or len(living) < 2:
            fresh = self.fresh(rng)
            return None if fresh is None else self.full(fresh)
        tried = self.tried()
        for _ in range(50):
            drawn = rng.sample(living, k=min(TOURNAMENT, len(living)))
            winner = max(drawn, key=lambda t: t.score if t.score is not None else float("-inf"))
            child = self.space.mutate(assignment_of(self.space, winner.recipe), rng, rng.choice(CHANGES))
            if self.space.recipe(child, recipe_seed(self.seed)).identity not in tried:
                return self.full(child)
        fresh = self.fresh(rng)
        return None if fresh is None else self.full(fresh)
