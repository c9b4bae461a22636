"""The controllers as samplers: what they propose is trained like what any sampler proposes.

In a space of genotypes a controller decides architectures under asynchronous halving (`GenotypeSearch`). In others it
decides the `DIMENSIONS` most important dimensions of the recipe, each among a few values, and every recipe is trained to the
end.

What a training was worth is its standing among all so far (`standing`: who got farther, then the score), so a controller
sees numbers in [-1, 1] whatever the metric; a training that failed is worth -1. Learning is a function of the seed and the
order in which trainings began and ended; that order is the sampler's state, and a restarted one learns the same once more.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from automl.catalog.space import Assignment, Space
from automl.search.budget import Outlook
from automl.search.controllers.alphazero import AlphaZero
from automl.search.controllers.decisions import Decisions, Position
from automl.search.controllers.policy import Episode, Policy
from automl.search.controllers.ppo import Ppo
from automl.search.controllers.rainbow import Rainbow
from automl.search.genotypes import GenotypeSearch, standing
from automl.search.sampler import (
    NOT_EVIDENCE,
    Proposal,
    Sampler,
    assignment_of,
    evidence,
    failed,
    narrowed,
    recipe_seed,
    seed64,
)
from automl.spec import Trial
from automl.spec.model import Json

DIMENSIONS = 12
FIRST = 8
"""Trainings drawn at random, before there is anything to learn from."""
ATTEMPTS, DRAWS = 40, 150
"""New candidates of an ask that are looked at, and draws from the policy for them: one that is sure of itself repeats
itself."""
POWER = 2.0
"""The worth of a training grows with this power of the share that it is better than: what matters is who is best."""


class Controller(Sampler):
    """A sampler whose candidates come from a policy that learns; `space` has to be set."""

    policy: ClassVar[type[Policy]]

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)
        self._decisions = Decisions(self.space)
        self._policy = self.policy(self._decisions, seed64("controller", self.name, seed))
        self._order: list[str] = []
        """Trials as they were told: each once when it began, and once when it had ended."""
        self._ends: dict[str, Position] = {}
        """What was decided, by the recipe's identity."""
        self._canonical: dict[Position, Position] = {}
        """How what was drawn is written, as far as it was looked at: no more than a memory of what is always the same."""
        self._ended: dict[str, None] = {}
        """Identities of the recipes that were learned from, in order."""

    # --- what it proposes --------------------------------------------------------------------------------

    def candidates(self, rng: random.Random) -> Iterator[Assignment]:
        begun = sum(self._teaches(t) for t in self.trials.values())
        while begun < FIRST:
            position = self._decisions.begin()
            while not self._decisions.over(position):
                position = self._decisions.after(position, rng.randrange(int(self._decisions.counts[len(position)])))
            yield self._decisions.assignment(position)
        tried = set(self._ends.values())
        drawn = self._policy.candidates(np.random.default_rng(rng.getrandbits(63)), tried.__contains__)
        for end in itertools.islice(drawn, DRAWS):
            if end not in self._canonical:
                self._canonical[end] = self._decisions.position(self._decisions.assignment(end))
            known = self._canonical[end] in tried
            tried |= {end, self._canonical[end]}
            if not known:
                yield self._decisions.assignment(end)

    # --- what it learns from -----------------------------------------------------------------------------

    def tell(self, trial: Trial) -> None:
        before = self.trials.get(trial.id)
        super().tell(trial)
        if before is None:
            self._order.append(trial.id)
            if self._teaches(trial):
                id = trial.recipe.identity
                self._ends[id] = self._decisions.position(assignment_of(self.space, trial.recipe))
                self._policy.began(id, self._ends[id])
        if trial.outcome is not None and (before is None or before.outcome is None):
            self._order.append(trial.id)
            if self._teaches(trial) and (trial.usable or failed(trial)):
                self._ended.setdefault(trial.recipe.identity)
                rng = np.random.default_rng(seed64("learning", self.seed, len(self._order)))
                self._policy.learn(self._episodes(), rng)

    def state(self) -> Json:
        return {"told": list(self._order)} if self._order else {}

    def restore(self, state: Json, trials: Iterable[Trial]) -> None:
        """Learns once more, in the order of before; trials that the state doesn't know yet come last."""
        known = {trial.id: trial for trial in trials}
        told: dict[str, int] = {}
        for id in (str(id) for id in (state or {}).get("told", ()) if id in known):
            told[id] = told.get(id, 0) + 1
            self.tell(known[id] if told[id] > 1 else begun(known[id]))
        for trial in known.values():
            if trial.id not in told:
                self.tell(begun(trial))
            if told.get(trial.id, 0) < 2:
                self.tell(trial)

    def _teaches(self, trial: Trial) -> bool:
        """Whether the trial is one of this space's architectures, with measurements that count."""
        families = next(d.domain for d in self.space.dimensions if d.name == "architecture")
        return trial.origin not in NOT_EVIDENCE and families.check(trial.recipe.architecture.id) is None

    def _episodes(self) -> list[Episode]:
        """All that is known, in the order in which it came, with what it is worth by now."""
        best: dict[str, tuple[int, float]] = {}
        for t in evidence(self.trials.values()):
            if (id := t.recipe.identity) in self._ended:
                best[id] = max(standing(t), best.get(id, standing(t)))
        worth = worths(best)
        return [Episode(id, self._ends[id], worth.get(id, -1.0)) for id in self._ended]


def worths(standings: Mapping[str, tuple[int, float]]) -> dict[str, float]:
    """In [-1, 1] from the order: 2 p^POWER - 1, p being the share of the others that are worse (equal ones count half)."""
    ranked = sorted(standings.values())
    others = len(ranked) - 1
    if not others:
        return dict.fromkeys(standings, 0.0)
    found = {}
    for id, own in standings.items():
        worse, not_better = bisect.bisect_left(ranked, own), bisect.bisect_right(ranked, own)
        found[id] = 2 * ((worse + 0.5 * (not_better - worse - 1)) / others) ** POWER - 1
    return found


def begun(trial: Trial) -> Trial:
    """The trial as it was told when it began."""
    return trial.model_copy(update={"outcome": None, "score": None, "measurements": (), "best_epoch": None, "message": ""})


class OverGenotypes(Controller, GenotypeSearch):
    """Decides architectures, which are trained alike, under asynchronous halving."""


class OverRecipes(Controller):
    """Decides the most important dimensions of a recipe."""

    def __init__(self, space: Space, seed: int):
        super().__init__(narrowed(space, DIMENSIONS), seed)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        rng, tried = self.rng(self.name, trial), self.tried()
        for candidate in itertools.islice(self.candidates(rng), ATTEMPTS):
            if self.space.recipe(candidate, recipe_seed(self.seed)).identity not in tried:
                return self.full(candidate)
        fresh = self.fresh(rng)
        return None if fresh is None else self.full(fresh)


class PpoGenotypes(OverGenotypes):
    name, policy = "rl-ppo", Ppo


class PpoRecipes(OverRecipes):
    name, policy = "rl-ppo", Ppo


class RainbowGenotypes(OverGenotypes):
    name, policy = "rl-rainbow", Rainbow


class RainbowRecipes(OverRecipes):
    name, policy = "rl-rainbow", Rainbow


class AlphaZeroGenotypes(OverGenotypes):
    name, policy = "mcts-alphazero", AlphaZero


class AlphaZeroRecipes(OverRecipes):
    name, policy = "mcts-alphazero", AlphaZero
