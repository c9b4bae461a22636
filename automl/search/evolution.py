"""Regularised evolution (Real et al., AAAI 2019, arXiv:1802.01548): the oldest die, not the worst.

The population are the latest `POPULATION` trials. Each proposal is a mutated copy of the best of `TOURNAMENT` drawn from it.
Since a lucky score dies of age, a recipe stays only if its children score too: that guards against the noise of one seed.
Trials of other origins (the portfolio) are citizens as well.
"""

from __future__ import annotations

import random

from automl.catalog import domains
from automl.catalog.space import Assignment, Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler, assignment_of, evidence, recipe_seed, values_of

POPULATION = 24
TOURNAMENT = 6
FIRST = 8
"""Random trials before the first tournament, minus the ones that are there already."""
CHANGES = (1, 2, 3)
"""Dimensions that a mutation changes: one of these."""
WEIGHT = 4.0
"""The learning rate and the architecture's parameters are changed as many times as often as others: they matter most."""


class Evolution(Sampler):
    """Mutates winners of small tournaments among the youngest trials."""

    name = "evolution"

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
            child = mutated(self.space, assignment_of(self.space, winner.recipe), rng)
            if self.space.recipe(child, recipe_seed(self.seed)).identity not in tried:
                return self.full(child)
        fresh = self.fresh(rng)
        return None if fresh is None else self.full(fresh)


def mutated(space: Space, parent: Assignment, rng: random.Random) -> Assignment:
    """A repaired copy with one to three active dimensions moved to a near value."""
    values = space.complete(parent)
    active = [d for d in space.active(values) if tunable(d.domain)]
    weights = [WEIGHT if matters(d.name, values) else 1.0 for d in active]
    for _ in range(min(rng.choice(CHANGES), len(active))):
        (d,) = rng.choices(active, weights)
        if d.name in values:
            values[d.name] = domains.neighbour(d.domain, values[d.name], rng)
    return space.repair(space.complete(values))


def matters(name: str, values: Assignment) -> bool:
    """Whether a dimension is the learning rate or belongs to the architecture."""
    return name.endswith(".learning_rate") or name.startswith(f"{values['architecture']}.")


def tunable(domain: domains.Domain) -> bool:
    return values_of(domain) != 1
