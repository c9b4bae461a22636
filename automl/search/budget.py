"""The wall-clock contract: how long a training will take, what the end of the job needs, and how many epochs fit.

The budget runs from the submission to the artifacts. A reserve for the end (final fit, compression, export, verification,
report) is kept from the start and estimated again as the job learns its own speed. Under a short clock one good recipe
trained to the end beats nine half-trained ones, so a trial gets as many epochs as let its learning-rate schedule complete.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from automl.catalog import compose, entries
from automl.spec import Fidelity, InvalidInput, Profile, Recipe, Trial
from automl.spec.model import canonical

MARGIN = 0.02
"""Share of the whole budget that nothing is planned into."""
SAFETY = 1.1
"""Predicted times are multiplied by this before they are promised to anyone."""
TRUST = 0.3
"""A guess without any measurement counts by as much: it must not keep a trial from being tried (its deadline stops it)."""

BUSY_OVERHEAD_S = 2.5
"""Seconds of a trial outside its steps on a machine with three processes for each core; with one it is less than one."""
SPREAD, UNPROVEN = 0.6, 0.3
"""Convolutions on the cores of n slots take a training's time on one by n to the power of minus this: measured on two cores,
.66 and .60. What must not be late counts on the second where nothing of the job ran on several slots so far."""
TAIL_S = 2.0
"""Most that starting a process and writing a candidate are taken to add to a training."""


class Clock(Protocol):
    """Seconds that only run forward (`time.monotonic`), and the time of day for events."""

    def now(self) -> float: ...

    def wall(self) -> float: ...

    def wait(self, event: threading.Event, timeout_s: float) -> None:
        """Lets time pass until the event is set, at most `timeout_s`."""
        ...


class SystemClock:
    """This machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def wait(self, event: threading.Event, timeout_s: float) -> None:
        event.wait(timeout_s)


@dataclasses.dataclass(frozen=True)
class Speed:
    """Predicted time of a training."""

    setup_s: float
    """From the start of the process to the first step, and to write the candidate at the end."""
    epoch_s: float
    """Of one epoch on the whole training part, evaluation included."""
    measured: bool
    """From a trial of the same architecture on this machine; else a guess."""

    def total_s(self, epochs: int) -> float:
        return self.setup_s + epochs * self.epoch_s

    def epochs_within(self, seconds: float) -> int:
        """Whole epochs that fit; may be 0."""
        return max(0, math.floor((seconds - self.setup_s) / max(self.epoch_s, 1e-6)))


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What a sampler may know of the clock and of the limits when it is asked."""

    remaining_s: float
    """Until the search has to end."""
    total_s: float
    """Of the whole search, from its start to its end as planned now."""
    slots: int
    running: int
    speed: Callable[[Recipe], Speed]
    """Of a training on one slot."""
    sized: Callable[[Recipe], Recipe | None] = lambda recipe: recipe
    """A recipe with its network made small enough for the limits, as far as that is foreseen; None where it can't be: that
    is no candidate. What is proposed will be trained in this size, so it is timed in this size."""
    spread: int = 1
    """Slots that one training may hold in the place of as many trainings side by side; more than one where their cores make
    it faster…"""
    speed_on: Callable[[Recipe, int], Speed] | None = None
    """… and how fast it is on so many."""
    free: int = 1
    """Slots that nothing holds now."""

    def on(self, slots: int) -> Outlook:
        """The same for trainings on so many slots each."""
        if slots == 1 or (speed_on := self.speed_on) is None:
            return self
        return dataclasses.replace(self, speed=lambda recipe: speed_on(recipe, slots))

    def fits(self, recipe: Recipe, epochs: int) -> bool:
        return self.speed(recipe).total_s(epochs) * SAFETY <= self.remaining_s


ENDLESS = Outlook(math.inf, math.inf, 1, 0, lambda recipe: Speed(0.0, 0.0, False))
"""No clock: for `fixed` runs outside a job, and tests."""


@dataclasses.dataclass(frozen=True)
class _Measured:
    recipe: Recipe
    setup_s: float
    epoch_s: float
    """Of an epoch on all training rows, on one slot."""
    sliver: bool
    """Taken from a training on some of them."""
    spread: bool
    """Taken from one on several slots."""


class Speeds:
    """Learns the speed of trainings from trials, and predicts that of recipes that weren't trained.

    A prediction starts from the nearest measured trial: the same architecture with the same parameters, else the same
    architecture, else any; and is scaled by the declared cost of the techniques, the model's size and the number of steps.
    """

    def __init__(self, profile: Profile, validation_rows: int):
        self._profile = profile
        self._validation = validation_rows
        self._measured: dict[str, _Measured] = {}
        self._sizes: dict[bytes, float] = {}
        """Of architectures, by their canonical JSON: networks laid down as blueprints take milliseconds each."""
        self._overheads: dict[str, float] = {}
        """Trial → its slot's seconds outside steps."""

    def observe(self, trial: Trial) -> None:
        """Takes in what a trial has measured so far."""
        found = trial.measurements
        if not found or trial.best_epoch == 0:  # which is that of a network which wasn't trained
            return
        # Between two attempts the clock of the process begins anew, and the latest may have other slots than those before.
        began = max((n for n in range(1, len(found)) if found[n].elapsed_s <= found[n - 1].elapsed_s), default=0)
        if trial.attempt > 1 and not began and trial.id in self._measured:
            return  # what the latest has measured, if anything, can't be told from before
        latest = found[began:]
        steps = [b.elapsed_s - a.elapsed_s for a, b in itertools.pairwise(latest)]
        epoch_s = statistics.median(steps) if steps else latest[0].step_s
        setup_s = max(0.0, latest[0].elapsed_s - epoch_s)
        if trial.outcome is not None and trial.step_s > 0:
            self._overheads[trial.id] = max(0.0, trial.wall_s - trial.step_s)
        # The first trials also wait for the fork server, which no later one does.
        setup_s += min(TAIL_S, max(0.0, trial.wall_s - found[-1].elapsed_s)) if trial.outcome is not None else TAIL_S / 2
        rows = self._profile.rows
        work = rows * trial.fidelity.data_fraction + self._validation / 3
        whole_s = max(epoch_s, 1e-4) * (rows + self._validation / 3) / work * trial.slots**SPREAD
        sliver = trial.fidelity.data_fraction < 1.0
        self._measured[trial.id] = _Measured(trial.recipe, setup_s, whole_s, sliver, trial.slots > 1)

    def busy(self, otherwise: float) -> float:
        """How much of its estimated time a step of the end takes on this machine now, in [0.3, 0.7]: the estimates are of a
        machine on which a trial spends `BUSY_OVERHEAD_S` outside its steps. `otherwise` until trials have shown it."""
        later = list(self._overheads.values())[2:]  # the first ones wait for the fork server
        return min(0.7, max(0.3, 0.6 * statistics.median(later) / BUSY_OVERHEAD_S)) if later else otherwise

    def observe_all(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            self.observe(trial)

    def predict(self, recipe: Recipe, slots: int = 1, *, surely: bool = False) -> Speed:
        """The speed of a recipe on the whole training part, on the cores of so many slots; `surely` for what must not be
        late."""
        alone = self._predict(recipe)
        proven = not surely or any(m.spread for m in self._measured.values())
        return dataclasses.replace(alone, epoch_s=alone.epoch_s / slots ** (SPREAD if proven else UNPROVEN))

    def _predict(self, recipe: Recipe) -> Speed:
        if not self._measured:
            return self._guess(recipe)
        # What was measured on all rows says more than a sliver did; of equally near ones the latest counts.
        distances = {id: self._distance(recipe, m.recipe) + 0.5 * m.sliver for id, m in self._measured.items()}
        nearest = min(distances.values())
        known = [m for id, m in self._measured.items() if distances[id] == nearest]
        near = known[-1]
        epoch_s = statistics.median(m.epoch_s * self._work(recipe) / self._work(m.recipe) for m in known)
        return Speed(near.setup_s, epoch_s, near.recipe.architecture.id == recipe.architecture.id)

    def _distance(self, a: Recipe, b: Recipe) -> float:
        if a.architecture.id != b.architecture.id:
            return 100.0
        if {c.id for c in a.techniques} == {c.id for c in b.techniques} and a.architecture == b.architecture:
            return abs(math.log2(a.batch_size / b.batch_size))
        differing = sum(a.architecture.params.get(k) != v for k, v in b.architecture.params.items())
        return 1.0 + 3 * differing + abs(math.log2(a.batch_size / b.batch_size)) + 0.1 * len(
            {c.id for c in a.techniques} ^ {c.id for c in b.techniques}
        )

    def _work(self, recipe: Recipe) -> float:
        """Relative time of an epoch: a step costs a fixed part and one that grows with the model and the batch."""
        factor = cost(recipe)
        size = self._weights(recipe)
        # Members of a packed ensemble share their weights, not their work.
        size *= int(recipe.architecture.params.get("members", 1))
        steps = max(1.0, self._profile.rows / recipe.batch_size)
        # About half a millisecond of overhead a step on a CPU, and 1 ns a weight and example for dense layers.
        return factor * (steps * 5e-4 + self._profile.rows * size * 1e-9)

    def _weights(self, recipe: Recipe) -> float:
        """Weights, or of a network laid down as a blueprint as many as would take its multiplications: its kernels are used
        at each place of a picture, and far apart in that."""
        key = canonical(recipe.architecture.to_dict())
        if key not in self._sizes:
            id = recipe.architecture.id
            if id in entries.architectures and (family := entries.architectures[id]).blueprint is not None:
                macs = family.blueprint(self._profile, **compose.complete(recipe.architecture, family.params)).macs
                self._sizes[key] = macs / self._places()
            else:
                self._sizes[key] = parameters(recipe, self._profile) or 50_000
        return self._sizes[key]

    def _places(self) -> float:
        """How often a convolution's weights are used, at a guess."""
        if self._profile.image_shape is not None:
            height, width, _ = self._profile.image_shape
            return max(1.0, height * width / 16)
        return max(1.0, self._profile.length / 16) if self._profile.modality == "series" else 1.0

    def _guess(self, recipe: Recipe) -> Speed:
        """Before anything was measured: dense layers at a nanosecond a weight and example; convolutions reuse each weight at
        every position, some hundred times."""
        setup_s = 6.0 if self._profile.image_shape is not None else 4.0 if self._profile.modality == "series" else 3.0
        return Speed(setup_s, self._work(recipe) * self._places(), False)


def paceable(recipe: Recipe, profile: Profile) -> bool:
    """Whether a training's epochs may be fitted to the clock while it runs (`automl.training.pacing`): of pictures, whose
    trainings are the longest, where its plan allows it."""
    if profile.image_shape is None or compose.violations(recipe, profile):
        return False
    return not entries.architectures[recipe.architecture.id].fitted_by and compose.plan_of(recipe, profile).paceable


def cost(recipe: Recipe) -> float:
    """The declared factor on an epoch's time of everything in the recipe."""
    factor = 1.0
    if recipe.architecture.id in entries.architectures:
        factor *= entries.architectures[recipe.architecture.id].cost
    for choice in recipe.techniques:
        if choice.id in entries.techniques:
            factor *= entries.techniques[choice.id].cost
    return factor


def parameters(recipe: Recipe, profile: Profile) -> int | None:
    """Weights of the recipe's model without building it; None where only building tells."""
    if recipe.architecture.id not in entries.architectures:
        return None
    family = entries.architectures[recipe.architecture.id]
    if family.size is None:
        return None
    complete = {name: domain.default for name, domain in family.params.items()} | dict(recipe.architecture.params)
    try:
        return int(family.size(profile, **complete))
    except InvalidInput:
        return None


class Budget:
    """Deadlines of one job on the controller's clock."""

    def __init__(self, clock: Clock, remaining_s: float, total_s: float):
        """`remaining_s` until the artifacts must be there, of the `total_s` that the user gave."""
        self._clock = clock
        self.total_s = total_s
        self.began = clock.now()
        self.deadline = self.began + remaining_s - MARGIN * total_s
        self._reserve: dict[str, float] = {}

    def reserve(self, step: str, seconds: float) -> None:
        """Keeps `seconds` for a step of the end; a later estimate replaces an earlier one. 0 when it is done."""
        self._reserve[step] = max(0.0, seconds)

    def reserved(self, *without: str) -> float:
        return sum(v for k, v in self._reserve.items() if k not in without)

    def remaining_s(self) -> float:
        """Until the deadline; negative once it has passed."""
        return self.deadline - self._clock.now()

    def search_remaining_s(self) -> float:
        """Until the search has to end so that the reserve is kept."""
        return self.remaining_s() - self.reserved()

    def step_deadline(self, *steps: str) -> float:
        """When `steps` must be done, with the other reserved steps still to come, on the clock."""
        return self.deadline - self.reserved(*steps)

    def elapsed_s(self) -> float:
        return self._clock.now() - self.began


def planned(recipe: Recipe, fidelity: Fidelity, outlook: Outlook, shortest: int = 1) -> tuple[Recipe, Fidelity] | None:
    """The recipe with as many epochs as fit into what is left, its schedule spanning them; None when fewer than `shortest`
    or less than a quarter of the wish do."""
    speed = outlook.speed(recipe)
    factor = SAFETY if speed.measured else TRUST
    room = Speed(speed.setup_s * factor, speed.epoch_s * factor, speed.measured).epochs_within(outlook.remaining_s)
    if fidelity.epochs <= room:
        return recipe, fidelity
    if room < shortest or room < fidelity.epochs / 4:
        return None
    if fidelity.epochs < recipe.epochs:
        return None  # a rung of a longer schedule: cut short it could not be compared with its peers
    return recipe.model_copy(update={"epochs": room}), fidelity.model_copy(update={"epochs": room})


def reserve_shares(total_s: float, steps: Mapping[str, float]) -> dict[str, float]:
    """First estimates of the end's steps, in seconds: what is known of them, but together at most half of a short budget."""
    wanted = sum(steps.values())
    limit = 0.5 * total_s
    scale = min(1.0, limit / wanted) if wanted else 1.0
    return {k: v * scale for k, v in steps.items()}
