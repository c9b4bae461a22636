"""Searches of architectures over genotypes, under asynchronous successive halving.

Architectures are compared when they are trained alike, so everything but the architecture stands as the portfolio's first
choice trains (see `portfolio.training`). A proposal is trained for the epochs of the lowest rung; the best third of each
rung goes on to the next (`automl.search.asha`). Who got farther stands higher; of one rung, who scored better.

How many epochs a full training has turns on the clock: a probe on a sliver of the data tells the speed, and a full training
may take a `SHARE` of the search: where the clock is short the population is small, and its winner well trained. What takes
longer than `RUNG_SHARE` to reach its first rung isn't begun: how long is foreseen from its multiplications. Towards the end
nothing new begins; the leader is trained to the end instead. Where a slot has no room for enough epochs and cores help,
each training has several slots, one after the other: first rungs side by side take as long together, and the leader waits
for the last of them. Where even so the first network would have fewer, nothing else is tried.

Where networks aren't all that is there (tables, texts, series), the best recipes of the portfolio, one of each family, are
trained before anything else, as far as they take no more than `PORTFOLIO_SHARE` of the search: boosted trees, linear models
and networks drawn by hand are then candidates beside what is bred, and the result isn't worse than the best of them.

`GenotypeSearch` is all that. `GenotypeEvolution` says where candidates come from by regularised evolution: a mutated copy
of the best of a few that are drawn from the youngest (Real et al., arXiv:1802.01548, who found AmoebaNet so). Where
trainings take longer than scores, a pool of children is scored before one of them is trained (`automl.nas.zero_cost`), and
the best of them by all scores together are; what was scored and not taken is forgotten.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
import math
import random
from collections.abc import Collection, Iterator

from automl.catalog.domains import Categorical
from automl.catalog.space import Assignment, Space
from automl.search import portfolio
from automl.search.asha import FACTOR, SHORTEST, Asha, rungs
from automl.search.auto import ALONE, LONGER, PICTURES, PROBE_EPOCHS, PROBE_ROWS, STRETCH, spread_to
from automl.search.budget import ENDLESS, SAFETY, TRUST, Outlook
from automl.search.evolution import FIRST, POPULATION, TOURNAMENT, mutated
from automl.search.sampler import NOT_EVIDENCE, Proposal, assignment_of, evidence, recipe_seed
from automl.spec import Fidelity, Recipe, Trial
from automl.spec.event import CandidatesScored
from automl.spec.model import canonical

SHARE = 0.75
"""Most of a slot's time for the search that one full training may take: less, and the winner is trained too little to be
worth the choice…"""
RUNG_SHARE = 0.3
"""… and that one may take to reach the lowest rung."""
PORTFOLIO_SHARE = 0.4
"""Most of the search for the portfolio's recipes, where some are tried first."""
POOL, TAKEN = 12, 3
"""Children that are scored together, and how many of them are trained."""
WORTH_S = 10.0
"""A training to the lowest rung has to take as long for a screening to pay…"""
SCORE_S = 2.0
"""… of which a candidate's scores cost about so many seconds where nothing runs beside it."""


class GenotypeSearch(Asha):
    """Candidates from somewhere, lived with as the module's docstring says."""

    most = SHARE
    """Most of a slot's time for the search that one full training may take."""
    spreads = True
    """Whether trainings may have several slots."""

    def __init__(self, space: Space, seed: int):
        super().__init__(architectures_alone(space), seed)
        self.starts: tuple[portfolio.Start, ...] = ()
        """Recipes of other families that are trained first, the strongest first."""
        self._settled = False
        self._spread, self._alone = 1, False
        """Slots of a training, and whether there is time for one only, which then isn't interrupted."""
        self._outlook, self._spare_s = ENDLESS, math.inf
        """Of the ask that is being answered, on as many slots; and what a training to the lowest rung may take, so that the
        best can be trained to the end after it."""

    @abc.abstractmethod
    def candidates(self, rng: random.Random) -> Iterator[Assignment]:
        """Architectures without end, the most wanted first. They may have been tried."""

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        if (known := self._known_to_be_strong(outlook)) is not None:
            return known
        if (probe := self._probe(outlook)) is not None:
            return probe
        if any(t.origin == "probe" and t.outcome is None for t in self.trials.values()):
            return None  # the probe tells in a moment how many epochs a full training may have
        self._settle(outlook)
        self._look(outlook)
        proposal = self._to_the_end() if self._closing() else super().ask(trial, outlook)
        if proposal is not None and proposal.resume is None and self._lowest_s(proposal.recipe) > self._spare_s:
            proposal = self._to_the_end()
        slots = self._wide(outlook)
        if proposal is None or outlook.free < slots:
            return None  # they will be free in a moment
        return dataclasses.replace(proposal, slots=slots)

    def _look(self, outlook: Outlook, seconds: float = 0.0) -> None:
        """Takes in what the clock has time for, after so many seconds of something else."""
        slots = self._wide(outlook)
        self._outlook = outlook.on(slots)
        rest_s = self._rest_s() if slots > 1 else None
        self._spare_s = math.inf if rest_s is None else outlook.remaining_s - seconds - SAFETY * rest_s

    def _wide(self, outlook: Outlook) -> int:
        """Slots of a training that begins now. Nobody waits for one that holds fewer: there were fewer when it began."""
        wide = min(self._spread, outlook.spread)
        return max(1, min(wide, outlook.free)) if any(t.outcome is None for t in self._own()) else wide

    def _lowest_s(self, recipe: Recipe) -> float:
        """Seconds to the lowest rung."""
        return self._outlook.speed(self._outlook.sized(recipe) or recipe).total_s(self.rungs[0])

    def fresh(self, rng: random.Random, attempts: int = 50) -> Assignment | None:
        """At first the default, then the first candidate that will do."""
        first = () if self._begun() else (self.space.default(),)
        return self._suited(itertools.chain(first, self.candidates(rng)), rng, attempts)

    def _suited(
        self, candidates: Iterator[Assignment], rng: random.Random, attempts: int, known: Collection[bytes] = ()
    ) -> Assignment | None:
        """The first new architecture within the limits that the clock has time for, and none of the `known`; the quickest
        that was met where it has time for none."""
        tried = self.tried()
        slow: dict[float, Assignment] = {}
        for candidate in itertools.islice(candidates, attempts):
            recipe = self._recipe(candidate)
            if recipe.identity in tried or (known and key(recipe) in known):
                continue
            if (sized := self._outlook.sized(recipe)) is None:
                continue
            seconds = self._outlook.speed(sized).total_s(self.rungs[0])
            if self._alone or seconds <= min(RUNG_SHARE * self._outlook.total_s, self._spare_s):
                return candidate
            slow[seconds] = candidate
        return slow[min(slow)] if slow else super().fresh(rng, attempts)

    def _known_to_be_strong(self, outlook: Outlook) -> Proposal | None:
        """The next recipe of the portfolio, as long as there is time for it. The first one is tried in any case."""
        tried = {portfolio.kind(t.recipe) for t in self.trials.values() if t.origin not in NOT_EVIDENCE}
        for place, start in enumerate(self.starts):
            if portfolio.kind(start.recipe) in tried:
                continue
            speed = outlook.speed(start.recipe)
            takes_s = speed.total_s(start.recipe.epochs) * (1.0 if speed.measured else TRUST)
            ends_s = outlook.total_s - outlook.remaining_s + takes_s
            if place == 0 or outlook.remaining_s == float("inf") or ends_s <= PORTFOLIO_SHARE * outlook.total_s:
                return Proposal(start.recipe, Fidelity(epochs=start.recipe.epochs), "portfolio")
        return None

    def _own(self) -> list[Trial]:
        """The trials of this space's architectures."""
        families = next(d.domain for d in self.space.dimensions if d.name == "architecture")
        return [t for t in self.trials.values() if families.check(t.recipe.architecture.id) is None]

    def _begun(self) -> int:
        """Trainings of genotypes that have begun, probes not counted."""
        return sum(t.origin not in NOT_EVIDENCE for t in self._own())

    def _living(self) -> list[Trial]:
        """The youngest recipes, each as the trial in which it got farthest."""
        farthest: dict[str, Trial] = {}
        for t in evidence(self._own()):
            known = farthest.get(t.recipe.identity)
            if known is None or standing(t) > standing(known):
                farthest[t.recipe.identity] = t
        return list(farthest.values())[-POPULATION:]

    def _recipe(self, assignment: Assignment) -> Recipe:
        return self.space.recipe(assignment | {"epochs": self.epochs}, recipe_seed(self.seed))

    # --- the clock ---------------------------------------------------------------------------------------

    def _probe(self, outlook: Outlook) -> Proposal | None:
        """A sliver of the data, before anything else, where an epoch is long enough for that to matter."""
        if self.trials or self.space.profile.image_shape is None or outlook.remaining_s == float("inf"):
            return None
        share = min(1.0, PROBE_ROWS / max(1, self.space.profile.rows))
        recipe = self.space.recipe(self.space.default(), recipe_seed(self.seed))
        return Proposal(recipe, Fidelity(epochs=PROBE_EPOCHS, data_fraction=share), "probe", fits=True)

    def _settle(self, outlook: Outlook) -> None:
        """Fixes the epochs of a full training, once: as the first trial was given them, else by the clock."""
        if self._settled:
            return
        self._settled = True
        default = self._recipe(self.space.default())
        default = outlook.sized(default) or default
        if outlook.remaining_s != float("inf") and outlook.speed(default).measured:
            stretch = PICTURES if self.space.profile.image_shape else STRETCH
            # Of what strong recipes that came first have left.
            time_s = self.most * (outlook.remaining_s if self.starts else outlook.total_s)
            self._spread = spread_to(default, outlook, time_s, outlook.spread) if self.spreads else 1
            speed, left_s = outlook.on(self._spread).speed(default), outlook.remaining_s / SAFETY
            room = speed.epochs_within(time_s)
            if self._spread > 1:
                # Other networks are worth trying once the first has enough epochs, not before.
                room = max(room, min(math.ceil(ALONE * self.epochs), speed.epochs_within(left_s)))
            self.epochs = max(SHORTEST, min(int(stretch * self.epochs), room))
            lowest_s = speed.total_s(rungs(self.epochs)[0])
            self._alone = self._spread > 1 and speed.total_s(self.epochs) + lowest_s > left_s
        if own := [t for t in self.trials.values() if t.origin == self.name]:
            self.epochs = own[0].recipe.epochs
            self._alone = self._spread > 1 and own[0].fidelity.epochs == self.epochs
        self.rungs = (self.epochs,) if self._alone else rungs(self.epochs)

    def _best_unfinished(self) -> tuple[Recipe, int] | None:
        """The best that wasn't trained to the end, with the epochs that it lacks; where all were, another one. None while
        nothing is known."""
        known = [t for t in self._living() if t.recipe.epochs == self.epochs]
        if not known:
            return None
        leader = max((t for t in known if t.fidelity.epochs < self.epochs), key=standing, default=None)
        return (known[0].recipe, self.epochs) if leader is None else (leader.recipe, self.epochs - leader.fidelity.epochs)

    def _rest_s(self) -> float | None:
        """Seconds of the best's training to the end."""
        best = self._best_unfinished()
        return None if best is None else self._outlook.speed(best[0]).total_s(best[1])

    def _closing(self, seconds: float = 0.0) -> bool:
        """Whether the time that is left is what the best needs that wasn't trained to the end, with one more of the lowest
        rung, and so many seconds of something else."""
        best, rest_s = self._best_unfinished(), self._rest_s()
        if best is None or rest_s is None or math.isinf(self._outlook.remaining_s):
            return False
        lowest_s = self._outlook.speed(best[0]).total_s(self.rungs[0])
        return self._outlook.remaining_s - seconds < SAFETY * (rest_s + lowest_s)

    def _to_the_end(self) -> Proposal | None:
        """The best trial that wasn't trained to the end and still can be."""
        running = {t.recipe.identity for t in self.trials.values() if t.outcome is None}
        done = {t.recipe.identity for t in evidence(self._own()) if t.fidelity.epochs >= self.epochs}
        for t in sorted(self._living(), key=standing, reverse=True)[:FACTOR]:
            left_s = self._outlook.speed(t.recipe).total_s(self.epochs - t.fidelity.epochs)
            new = t.recipe.identity not in running | done and t.recipe.epochs == self.epochs
            if new and left_s <= self._outlook.remaining_s:
                return Proposal(t.recipe, Fidelity(epochs=self.epochs), self.name, resume=t.id, fits=True)
        return None if running else self._anew()

    def _anew(self) -> Proposal | None:
        """The best with as many epochs as there is room for, where trainings took so long that it can't go on to its end."""
        best = max(self._living(), key=standing, default=None)
        if best is None or math.isinf(self._outlook.remaining_s):
            return None
        room = self._outlook.speed(best.recipe).epochs_within(self._outlook.remaining_s / SAFETY)
        if room < LONGER * best.fidelity.epochs:
            return None
        recipe = best.recipe.model_copy(update={"epochs": min(room, self.epochs)})
        if recipe.identity in self.tried():
            return None
        return Proposal(recipe, Fidelity(epochs=recipe.epochs), self.name, fits=True)


class GenotypeEvolution(GenotypeSearch):
    """Breeds genotypes; see the module's docstring."""

    name = "evolution"

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)
        self._pools = 0
        """Pools that were scored."""
        self._seen: set[bytes] = set()
        """Architectures in them."""
        self._queue: list[tuple[bytes, Assignment]] = []
        """The best of the latest pool, best first."""
        self._awaited = False
        """Whether scores are under way, which the next child is chosen by."""

    def fresh(self, rng: random.Random, attempts: int = 50) -> Assignment | None:
        """The best of those that were scored. None while scores are awaited."""
        if self._begun() and (scored := self._well_scored()):
            return next((one for one in scored if self._lowest_s(self._recipe(one)) <= self._spare_s), scored[0])
        return None if self._begun() and self._awaited else super().fresh(rng, attempts)

    def candidates(self, rng: random.Random) -> Iterator[Assignment]:
        living, begun = self._living(), self._begun()
        while True:
            if begun < FIRST or len(living) < 2:
                yield self.space.sample(rng)
            else:
                winner = max(rng.sample(living, k=min(TOURNAMENT, len(living))), key=standing)
                yield mutated(self.space, assignment_of(self.space, winner.recipe), rng)

    # --- scores ------------------------------------------------------------------------------------------

    def unscored(self, outlook: Outlook) -> tuple[Recipe, ...]:
        self._look(outlook, POOL * SCORE_S)
        if not any(t.usable for t in self.trials.values()):
            return ()  # first of all a model that could be delivered
        lowest_s = self._lowest_s(self._recipe(self.space.default()))
        if lowest_s < WORTH_S or self._awaited or len(self._well_scored()) > 1 or self._closing(POOL * SCORE_S):
            return ()
        if outlook.spread > 1 and not self._begun():
            return ()  # the first training may be about to take all slots
        if self._wide(outlook) > 1 and (self._promotable() is not None or lowest_s > self._spare_s):
            return ()  # trainings wait for a screening: only a new one has reason to, and where it has time afterwards
        rng = self.rng("pool", str(self._pools))
        found: dict[bytes, Recipe] = {}
        for _ in range(POOL):
            if (child := self._suited(self.candidates(rng), rng, 50, known=self._seen | found.keys())) is not None:
                recipe = self._recipe(child)
                found[key(recipe)] = recipe
        self._awaited = bool(found)
        return tuple(found.values())

    def scored(self, event: CandidatesScored) -> None:
        self._awaited = False
        self._pools += 1
        # The epochs weren't settled yet for the first pool: an architecture is all that a candidate is known by.
        like = self.space.recipe(self.space.default(), 0)
        recipes = {c.recipe: like.model_copy(update={"architecture": c.architecture}) for c in event.candidates}
        self._seen |= {key(recipe) for recipe in recipes.values()}
        best = sorted((c for c in event.candidates if not c.fault), key=lambda c: -c.rank)[:TAKEN]
        self._queue = [(key(recipes[c.recipe]), self.space.assignment(recipes[c.recipe])) for c in best]

    def scores_fail(self) -> None:
        self._awaited = False

    def _well_scored(self) -> list[Assignment]:
        """The best of the latest pool that weren't trained yet, best first."""
        tried = {key(t.recipe) for t in self.trials.values() if t.origin not in NOT_EVIDENCE} if self._queue else set()
        return [assignment for known, assignment in self._queue if known not in tried]


def key(recipe: Recipe) -> bytes:
    """What an architecture is known by."""
    return canonical(recipe.architecture.to_dict())


def standing(trial: Trial) -> tuple[int, float]:
    """What a trial is ranked by: how far it got, then its score."""
    return trial.fidelity.epochs, trial.score if trial.score is not None else float("-inf")


def architectures_alone(space: Space) -> Space:
    """The space with everything but the architecture as the portfolio's first choice has it."""
    base = portfolio.training(space)
    families = next(d.domain for d in space.dimensions if d.name == "architecture")
    assert isinstance(families, Categorical)
    free = ("architecture", *(f"{family}." for family in families.values))
    dimensions = []
    for d in space.dimensions:
        if not d.name.startswith(free):
            value = base.get(d.name, d.domain.default)
            d = dataclasses.replace(d, domain=Categorical((value,), value))
        dimensions.append(d)
    return dataclasses.replace(space, dimensions=tuple(dimensions))
