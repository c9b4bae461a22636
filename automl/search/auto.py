"""The default strategy, first form: portfolio, then models and mutations around the best, then the finalists' other seeds.

What it does turns on how many full trainings the clock allows:

- **Many** (small tables, seconds a trial): the portfolio, cheap recipes first; then TPE and evolution in turn around what
  was found, with the pruner stopping the hopeless early; where one network is delivered, in the last quarter the leaders
  are trained again under other seeds, so that the winner is chosen by a mean and not by luck.
- **Few** (pictures, big tables): under a short clock one good recipe trained to the end beats nine half-trained ones. The
  architecture's speed is probed on a sliver of the data (which also gives a first usable model at once); then every slot
  trains the strongest recipe that is left, with as many epochs as the clock has room for, so that its schedule completes (of
  pictures they are fitted to the clock while it runs). Where a slot hasn't room for enough epochs and cores help, one
  training has several slots.

Pictures gain from epochs for longer than from other recipes: their clock is short for longer, and where it wasn't, the
leaders are trained anew towards the end, with as many epochs as there is room for.

Everything is found again from the trials, so a restart needs no state.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from automl.catalog.space import Space
from automl.search import portfolio, sizing
from automl.search.budget import SAFETY, Outlook, paceable, parameters
from automl.search.evolution import Evolution
from automl.search.prune import MISTIMED
from automl.search.sampler import NOT_EVIDENCE, Proposal, Sampler, evidence, recipe_seed, seed64
from automl.search.selection import family, ranking
from automl.search.tpe import Tpe
from automl.spec import Fidelity, Outcome, Profile, Recipe, Trial

PROBE_ROWS = 2_500
"""Training rows of a probe: enough steps to time one, and a model better than none…"""
PROBE_EPOCHS = 2
"""… and the second epoch is free of the first one's tracing."""
OTHERS_FROM_S = 60.0
"""A search of so many seconds probes other families beside the first choice: side by side probes take half as long again."""
PROBE_WORTH_S = 4.0
"""An epoch that is guessed to take as long is worth a probe, for pictures…"""
MANY_ROWS = 200_000
"""… and for tables with as many rows. Smaller ones begin with a training that is quick anyway, and that times the rest."""
ROWS_AN_EPOCH = 20_000
"""The shares above are meant for as many training rows."""
FEW = 2.2
"""Below as many full trainings one after the other on a slot, the clock is short…"""
STRETCH = 1.6
"""… and the last training of a slot takes at most as many times its wished epochs…"""
PICTURES = 4.0
"""… which both are this for pictures."""
EAGER = 1.25
"""Of the epochs that there seems to be room for, a training that is paced may have as many times: it has those that the
clock turns out to have room for."""
LONGER = 1.3
"""A leader is trained anew where there is room for as many times its epochs."""
LEAST = 0.2
"""A training gets no fewer than this share of its wished epochs…"""
LEAST_LATER = 0.4
"""… and no fewer than this one once there are results: a short schedule wouldn't beat them…"""
LEAST_PICTURES = 0.7
"""… which of pictures is a share of what the leader had, in its wished epochs. (The last 44 of 300 s of cifar10 in 100 KB
showed .63 beside the leader's .77: that time is better spent on the leader.)"""
MODEL_FROM = 24
"""Trials from which a model of a hundred dimensions says more than chance."""
FINALE = 0.25
"""Share of the search's time that belongs to other seeds for the leaders."""
ENOUGH = 1.0
"""Of its wished epochs a network of pictures needs so many to be preferred to a smaller one that gets as many.
(Five minutes of cifar10, single runs: the widest with .75 of them .784, one of two thirds its width with 1.5 times as
many .804.)"""
HALF = 0.5
"""Under limits the first choice with fewer channels has room for so many at least: it comes before other families with all
of theirs. (cifar10 in 100 KB on a slow machine: a narrow vgg .73, a ds-cnn .65.)"""
NARROWEST = 0.5
"""Of the channels that limits leave it, so many the first choice keeps at least for the sake of its epochs."""
PART = 2.0
"""A training on a part of the rows has to show as many times what a probe has shown…"""
EVALUATED = 0.06
"""… and takes time for validation, which all rows would have, too: of an epoch at most about this share."""
STRONG = 0.4
"""Share of its weights within the limits with which the first choice under a short clock stays it."""
ALONE = 2.0
"""A training has several slots where fewer haven't room for as many times its wished epochs: more epochs of one network are
worth more than another network."""
LAST = 20
"""Added to the rank of what is smaller than the limits ask for."""
LEADERS = 3
SEEDS = 3


class Auto(Sampler):
    """Portfolio → TPE and evolution → finalists; see the module's docstring."""

    name = "auto"

    def __init__(self, space: Space, seed: int, recipes: Sequence[Recipe] = ()):
        super().__init__(space, seed)
        own = [portfolio.Start(f"user-{n + 1}", recipe, 0) for n, recipe in enumerate(recipes)]
        self.finalists = True
        """Whether the leaders are trained again under other seeds towards the end."""
        self.starts = own + portfolio.starts(space, seed)
        self._sized: list[portfolio.Start] = []
        """Those that meet the limits, as the clock sees them."""
        pictures = space.profile.image_shape is not None
        self._few, self._stretch = (PICTURES, PICTURES) if pictures else (FEW, STRETCH)
        self._model = Tpe(space, seed)
        self._breeder = Evolution(space, seed)

    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        self._model.tell(trial)
        self._breeder.tell(trial)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        self._sized = _within(self.starts, outlook, self.space.profile)
        left = self._untried()
        probing = any(t.origin == "probe" and t.outcome is None for t in self.trials.values())
        if (probe := self._probe(left, outlook, probing)) is not None:
            return probe
        if probing and outlook.running >= 1:
            return None  # the probe tells in a moment how many epochs fit
        if self._short(left, outlook):
            return self._strongest(left, outlook) or self._longer(outlook)
        if (longer := self._longer(outlook)) is not None:
            return longer
        for start in left:
            if (proposal := self._timed_to(start.recipe, "portfolio", outlook)) is not None:
                return proposal
        if self.finalists and outlook.remaining_s < FINALE * outlook.total_s:
            return self._finalist(outlook)
        refined = self._refined(trial, outlook)
        return refined if refined is not None or not self.finalists else self._finalist(outlook)

    # --- the portfolio -----------------------------------------------------------------------------------

    def _untried(self) -> list[portfolio.Start]:
        tried = {
            portfolio.kind(t.recipe) for t in self.trials.values()
            if t.origin not in NOT_EVIDENCE and not (t.outcome == Outcome.PRUNED and t.message == MISTIMED)
        }
        return [s for s in self._sized if portfolio.kind(s.recipe) not in tried]

    def _probe(self, left: list[portfolio.Start], outlook: Outlook, probing: bool) -> Proposal | None:
        """A sliver of the data for each of the first choices' architectures whose speed isn't known and matters; while one
        runs, for the others too: no training can be planned before it has ended."""
        if self.space.profile.image_shape is None and self.space.profile.rows < MANY_ROWS:
            return None
        if any(t.origin not in NOT_EVIDENCE for t in self.trials.values()):
            return None  # from here on, trainings time each other
        probed = {t.recipe.architecture.id for t in self.trials.values()}
        first: dict[str, portfolio.Start] = {}
        for start in sorted(left, key=lambda s: s.short_clock):
            first.setdefault(start.recipe.architecture.id, start)
        most = max(2, outlook.slots) if outlook.total_s >= OTHERS_FROM_S else 1
        for start in list(first.values())[:most]:
            speed = outlook.speed(start.recipe)
            new = not speed.measured and start.recipe.architecture.id not in probed
            if new and (probing or speed.epoch_s >= PROBE_WORTH_S):
                share = min(1.0, PROBE_ROWS / max(1, self.space.profile.rows))
                fidelity = Fidelity(epochs=min(PROBE_EPOCHS, start.recipe.epochs), data_fraction=share)
                return Proposal(start.recipe, fidelity, "probe", fits=True)
        return None

    def _short(self, left: list[portfolio.Start], outlook: Outlook) -> bool:
        """Whether the clock has room for few trainings only of what would come next."""
        ranked = sorted(left, key=lambda s: s.short_clock) or [
            portfolio.Start("best", c.best.recipe, 0) for c in ranking(self.trials.values())[:1]
        ]
        if not ranked:
            return False
        recipe = ranked[0].recipe
        if not outlook.speed(recipe).measured and not evidence(self.trials.values()):
            return self.space.profile.image_shape is not None
        full = outlook.speed(recipe).total_s(_wish(self._sized, recipe)) * SAFETY
        many = len(evidence(self.trials.values())) >= 2 * max(2, outlook.slots)
        return full * self._few > outlook.remaining_s and not many

    def _strongest(self, left: list[portfolio.Start], outlook: Outlook) -> Proposal | None:
        """The best ranked recipe of which enough epochs fit, with all epochs that do. Of pictures, the first trainings are
        of one that has room for its wished epochs, where there is any; under limits of size rather of the best ranked one
        with fewer channels than of another family, which would be the third or fourth choice."""
        ranked = sorted(left, key=lambda s: s.short_clock)
        first = self.space.profile.image_shape is not None and not self._completed()
        narrower = self._narrower(ranked[0].recipe) if first and ranked else []
        tried: list[tuple[Recipe, float | None]] = []
        if narrower:
            tried += [(recipe, least) for least in (ENOUGH, HALF) for recipe in (ranked[0].recipe, *narrower)]
        if first:
            tried += [(start.recipe, ENOUGH) for start in ranked]
        for recipe, least in (*tried, *((start.recipe, None) for start in ranked)):
            if (proposal := self._spread_to(recipe, outlook, least)) is not None:
                return proposal
        if left and not self._completed() and outlook.running < outlook.slots:
            # Better a few epochs than none, and a part of one than none: of the quickest.
            quickest = min(left, key=lambda s: outlook.speed(s.recipe).epoch_s).recipe
            if (few := self._spread_to(quickest, outlook, least=0.0)) is not None or outlook.running:
                return few
            return self._part(quickest, outlook)
        return None

    def _narrower(self, recipe: Recipe) -> list[Recipe]:
        """The recipe with fewer and fewer channels, down to half of them, where limits have made it small already. (Without
        limits the portfolio has its first choice in several widths.)"""
        if portfolio.kind(recipe) in {portfolio.kind(start.recipe) for start in self.starts}:
            return []
        return sizing.narrower(self.space, recipe, NARROWEST)

    def _part(self, recipe: Recipe, outlook: Outlook) -> Proposal | None:
        """The recipe on as many rows as there is time to show once, on all free slots."""
        slots = max(1, min(outlook.spread, outlook.free))
        speed = outlook.on(slots).speed(recipe)
        epochs = (outlook.remaining_s / SAFETY - speed.setup_s) / max(speed.epoch_s, 1e-6)
        share = epochs - EVALUATED * (1 - epochs)
        if not PART * PROBE_EPOCHS * PROBE_ROWS <= share * self.space.profile.rows < self.space.profile.rows:
            return None
        once = recipe.model_copy(update={"epochs": 1})
        return Proposal(once, Fidelity(epochs=1, data_fraction=share), "portfolio", fits=True, slots=slots)

    def _spread_to(self, recipe: Recipe, outlook: Outlook, least: float | None = None) -> Proposal | None:
        """The recipe on the fewest of the free slots on which it has room for enough epochs, or on all of them."""
        slots = spread_to(recipe, outlook, outlook.remaining_s / SAFETY, min(outlook.spread, outlook.free))
        proposal = self._timed_to(recipe, "portfolio", outlook.on(slots), least)
        return None if proposal is None else dataclasses.replace(proposal, slots=slots)

    def _least_later(self) -> float:
        """Share of its wished epochs without which nothing is trained after the first results."""
        if self.space.profile.image_shape is None:
            return LEAST_LATER
        leaders = ranking(self.trials.values())[:1]
        led = max((c.best.recipe.epochs / _wish(self._sized, c.best.recipe) for c in leaders), default=1.0)
        return LEAST_PICTURES * max(1.0, led)

    def _completed(self) -> bool:
        return any(t.outcome == Outcome.COMPLETED for t in evidence(self.trials.values()))

    # --- afterwards --------------------------------------------------------------------------------------

    def _longer(self, outlook: Outlook) -> Proposal | None:
        """One of the leaders with all epochs that there is room for, where pictures' last trainings begin: the best whose
        architecture and techniques have had fewer so far."""
        if self.space.profile.image_shape is None or math.isinf(outlook.remaining_s):
            return None
        had: dict[str, int] = {}
        for t in self.trials.values():
            if t.origin not in NOT_EVIDENCE:
                had[portfolio.kind(t.recipe)] = max(had.get(portfolio.kind(t.recipe), 0), t.recipe.epochs)
        for place, candidate in enumerate(ranking(self.trials.values())[:LEADERS]):
            recipe = candidate.best.recipe
            wish = _wish(self._sized, recipe)
            room = outlook.speed(recipe).epochs_within(outlook.remaining_s / SAFETY)
            if not place and room >= self._few * wish:
                return None  # the best has time for more than that later
            most = math.ceil(self._stretch * wish)
            if min(room, most) >= LONGER * had[portfolio.kind(recipe)]:
                return self._filling(recipe, room, most, "finalist")
        return None

    def _refined(self, trial: str, outlook: Outlook) -> Proposal | None:
        """Evolution while a model would know too little, then TPE and evolution in turn; what is too slow for the clock is
        passed over."""
        turn = len(self.trials)
        known = len(evidence(self.trials.values()))
        for attempt in range(4):
            sampler: Sampler = self._model if known >= MODEL_FROM and (turn + attempt) % 2 else self._breeder
            proposal = sampler.ask(f"{trial}/{attempt}" if attempt else trial, outlook)
            if proposal is None:
                continue
            if (recipe := outlook.sized(proposal.recipe)) is None:
                continue
            timed = self._timed_to(recipe, proposal.origin, outlook)
            if timed is not None and timed.recipe.identity not in self.tried():
                return timed
        return None

    def _finalist(self, outlook: Outlook) -> Proposal | None:
        """One of the leaders under another seed: the one with the fewest seeds, the better one first."""
        leaders = ranking(self.trials.values())[:LEADERS]
        running: dict[str, int] = {}
        for t in self.trials.values():
            if t.outcome is None:
                running[family(t.recipe)] = running.get(family(t.recipe), 0) + 1
        counts = [(c.seeds + running.get(family(c.best.recipe), 0), n, c) for n, c in enumerate(leaders)]
        for seeds, _, candidate in sorted(counts, key=lambda item: item[:2]):
            if seeds >= SEEDS:
                continue
            recipe = candidate.best.recipe
            changed = recipe.model_copy(update={"seed": seed64("seed", recipe_seed(self.seed), seeds) % 2**31})
            if changed.identity not in self.tried() and outlook.fits(changed, changed.epochs):
                return Proposal(changed, Fidelity(epochs=changed.epochs), "finalist", fits=True)
        return None

    # --- the clock ---------------------------------------------------------------------------------------

    def _timed_to(self, recipe: Recipe, origin: str, outlook: Outlook, least: float | None = None) -> Proposal | None:
        """The recipe with its wished epochs when another training fits after it, else with all epochs that fit; None when
        they are too few."""
        if math.isinf(outlook.remaining_s):
            return Proposal(recipe, Fidelity(epochs=recipe.epochs), origin)
        speed = outlook.speed(recipe)
        room = speed.epochs_within(outlook.remaining_s / SAFETY)
        wish = recipe.epochs
        if least is None:
            least = self._least_later() if self._completed() else LEAST
        # Of many rows a few epochs are many steps.
        share = least * min(1.0, ROWS_AN_EPOCH / max(1, self.space.profile.rows))
        if room < max(1, math.ceil(share * wish)):
            return None
        if room >= self._few * wish:
            return Proposal(recipe, Fidelity(epochs=wish), origin, fits=True)
        return self._filling(recipe, room, math.ceil(self._stretch * wish), origin)

    def _filling(self, recipe: Recipe, room: int, most: int, origin: str) -> Proposal:
        """The recipe with all epochs that there is room for, at most so many; paced where that can be done."""
        paced = paceable(recipe, self.space.profile)
        epochs = min(most, math.ceil(EAGER * room) if paced else room)
        timed = recipe.model_copy(update={"epochs": epochs})
        return Proposal(timed, Fidelity(epochs=epochs), origin, fits=True, paced=paced)


def spread_to(recipe: Recipe, outlook: Outlook, seconds: float, most: int) -> int:
    """The fewest slots on which the recipe has room for enough epochs within the seconds, or the most it may have."""
    slots = 1
    while slots < most and outlook.on(slots).speed(recipe).epochs_within(seconds) < ALONE * recipe.epochs:
        slots += 1
    return slots


def _within(starts: Sequence[portfolio.Start], outlook: Outlook, profile: Profile) -> list[portfolio.Start]:
    """The starts made small enough for the limits, each once. Where one is made smaller, what is smaller than the limits ask
    of its family comes last; and where the first choice loses most of its weights, what is strong within limits comes first.
    What can't be made small enough stays as it is, behind all others: when its turn comes it is refused, and the user told.
    """
    sized = [(start, recipe) for start in starts if (recipe := outlook.sized(start.recipe)) is not None]
    if not sized:
        return list(starts)
    if [recipe for _, recipe in sized] == [start.recipe for start in starts]:
        return list(starts)
    first, kept = min(sized, key=lambda pair: pair[0].short_clock)
    tight = (parameters(kept, profile) or 0) < STRONG * (parameters(first.recipe, profile) or 0)
    found: dict[str, portfolio.Start] = {}
    largest: dict[str, int] = {}
    for start, recipe in sized:
        family, weights = recipe.architecture.id, parameters(recipe, profile) or 0
        rank = start.limited if tight and start.limited is not None else start.short_clock
        rank += LAST if weights < largest.get(family, 0) else 0
        largest[family] = max(weights, largest.get(family, 0))
        found.setdefault(portfolio.kind(recipe), dataclasses.replace(start, recipe=recipe, short_clock=rank))
    refused = [dataclasses.replace(start, short_clock=2 * LAST) for start in starts if outlook.sized(start.recipe) is None]
    return sorted([*found.values(), *refused], key=lambda start: start.short_clock)


def _wish(starts: Sequence[portfolio.Start], recipe: Recipe) -> int:
    return next((s.recipe.epochs for s in starts if portfolio.kind(s.recipe) == portfolio.kind(recipe)), recipe.epochs)


