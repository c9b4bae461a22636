"""Asynchronous successive halving (Li et al., MLSys 2020, arXiv:1810.05934).

Rungs are `FACTOR` apart in epochs; whenever a slot is free, a trial among the best 1/`FACTOR` of its rung is promoted to the
next one (its checkpoint goes on), and if there is none a new one starts at the lowest rung. No slot ever waits for a rung to
fill. The lowest rung has at least `SHORTEST` epochs: shorter ones pick fast starters and cost less than building the model.
A promotion is a trial of its own, of the same recipe; that is how the rungs are found in the history.
"""

from __future__ import annotations

from automl.catalog.space import Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler, evidence, recipe_seed
from automl.spec import Fidelity, Trial

FACTOR = 3
SHORTEST = 3


class Asha(Sampler):
    """Many short trainings, and the best third of each rung goes on."""

    name = "asha"

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)
        self.epochs = int(space.default()["epochs"])
        self.rungs = rungs(self.epochs)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        if (promoted := self._promotable()) is not None:
            ended, epochs = promoted
            return Proposal(ended.recipe, Fidelity(epochs=epochs), self.name, resume=ended.id)
        rng = self.rng("asha", trial)
        fresh = self.fresh(rng)
        if fresh is None:
            return None
        recipe = self.space.recipe(fresh | {"epochs": self.epochs}, recipe_seed(self.seed))
        if recipe.identity in self.tried():
            return None
        return Proposal(recipe, Fidelity(epochs=min(self.rungs[0], recipe.epochs)), self.name)

    def _promotable(self) -> tuple[Trial, int] | None:
        """The best trial that is among the top third of its rung and not promoted yet, highest rung first."""
        own = [t for t in self.trials.values() if t.origin == self.name]
        for below, above in reversed(list(zip(self.rungs, self.rungs[1:]))):
            # A trial that was stopped before its rung's end is no candidate, but it counts as one of the rung.
            here = [t for t in own if t.fidelity.epochs == below and t.outcome is not None]
            promoted = {t.recipe.identity for t in own if t.fidelity.epochs > below}
            ranked = sorted(evidence(here), key=lambda t: -(t.score if t.score is not None else float("-inf")))
            for candidate in ranked[: len(here) // FACTOR]:
                if candidate.recipe.identity not in promoted:
                    return candidate, above
        return None


def rungs(epochs: int) -> tuple[int, ...]:
    """Epochs of each rung, ascending, the last one `epochs`."""
    found = [epochs]
    while found[0] // FACTOR >= SHORTEST:
        found.insert(0, found[0] // FACTOR)
    return tuple(found)
