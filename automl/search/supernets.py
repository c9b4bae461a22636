"""Supernets on the slots of a job, beside its trials: started when the sampler wants one, resumed, stopped, booked.

A supernet is the executor's work like a trial, under an entry of its own (`automl.nas.process`), so the same rules hold for
its process; what it says becomes events of its own kind, and what it found goes to the sampler.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from automl.execution.executor import Ended, Epoch, Executor, Work
from automl.search.budget import Budget, Clock
from automl.search.ledger import Ledger
from automl.spec import Fidelity, Found, Outcome, Recipe, Supernet
from automl.spec.event import SupernetEnded, SupernetMeasured, SupernetStarted
from automl.spec.recipe import ParameterValue

ENTRY = "automl.nas.process:search"
CARVING = "automl.nas.carving:carve"
"""What makes a trial of a network that is cut out of a supernet, in the place of a training."""
CARVED = ("once-for-all",)
"""Methods whose networks are cut out…"""
ORIGIN = "supernet"
"""… as trials of this origin."""
ATTEMPTS, RESTARTS = 3, 10
"""As of trials: attempts when its worker dies, and when the controller does."""
FORMS = "s{:02d}"
LAST_WORDS_S = 15.0
"""Beyond its seconds, to be started and to write what it found (see `automl.nas.process`)."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """A supernet that a sampler wants trained."""

    method: str
    recipe: Recipe
    settings: Mapping[str, ParameterValue]
    seconds: float


class Supernets:
    """Those of one job; one thread drives it, the runner's."""

    def __init__(
        self, *, ledger: Ledger, executor: Executor, budget: Budget, clock: Clock, prepared: Path,
        folder: Callable[[str], Path], metric: str, memory_bytes: int | None, read: Callable[[Path], list[Found]],
        told: Callable[[Supernet], None], aims: Mapping[str, ParameterValue],
    ):
        """`folder(id)` is a supernet's own, `read` what a search left there, `told` hears of each that starts or ends.
        `aims` are what its process is told of the job's limits, beside its settings (`automl.search.foresight.aims`)."""
        self._ledger, self._executor, self._budget, self._clock = ledger, executor, budget, clock
        self._prepared, self._folder, self._metric, self._memory_bytes = prepared, folder, metric, memory_bytes
        self._read, self._told, self._aims = read, told, aims
        self._ending: dict[str, str] = {}
        self._waiting: list[str] = []
        """Those that are to be started again, and found no slot: there may be fewer than when they began."""

    @property
    def all(self) -> dict[str, Supernet]:
        return self._ledger.state.supernets

    def owns(self, id: str) -> bool:
        return id in self.all

    def special(self, recipe: Recipe, origin: str) -> tuple[str, dict[str, ParameterValue]]:
        """The entry of a trial that is cut out of a supernet, and its settings; ("", {}) of one that trains."""
        for one in self.all.values():
            if origin == ORIGIN and one.method in CARVED and any(f.architecture == recipe.architecture for f in one.found):
                return CARVING, {"supernet": str(self._folder(one.id))}
        return "", {}

    def start(self, wish: Wish) -> None:
        self._start(FORMS.format(len(self.all) + 1), 1, wish)

    def resume(self, wait_for_slot: Callable[[], None]) -> None:
        """Goes on with those that the events left running."""
        for one in list(self.all.values()):
            if one.outcome is not None:
                continue
            if one.attempt >= RESTARTS:
                self._end(one, Outcome.LOST, f"the controller was restarted {one.attempt} times while it ran", 0.0, 0.0)
                continue
            while self._executor.taken >= self._executor.slots:
                wait_for_slot()
            self._start(one.id, one.attempt + 1, Wish(one.method, one.recipe, one.settings, one.seconds))

    def stop(self, id: str, why: str, grace_s: float) -> None:
        if id not in self._ending:
            self._ending[id] = why
            self._executor.stop(id, grace_s)

    def measured(self, report: Epoch) -> None:
        """Books a round; the supernet goes on unless it was told to stop."""
        one = self.all[report.trial]
        if report.attempt < one.attempt or one.outcome is not None:
            self._executor.answer(report.trial, report.attempt, False)
            return
        self._ledger.emit(SupernetMeasured(supernet=one.id, attempt=report.attempt, measurement=report.measurement))
        self._executor.answer(report.trial, report.attempt, one.id not in self._ending)

    def ended(self, report: Ended, *, retry: bool) -> None:
        """Books an end, or starts the next attempt of one that lost its worker."""
        one = self.all[report.trial]
        if report.attempt < one.attempt or one.outcome is not None:
            return
        why = self._ending.pop(one.id, "")
        if report.outcome == Outcome.LOST and retry and not why and report.attempt < ATTEMPTS:
            again = one.attempt + 1
            self._ledger.note(f"Supernet {one.id} lost its worker ({report.message}); it goes on as attempt {again}.")
            self._waiting.append(one.id)
            self.go_on(retry=True)
            return
        message = why if report.outcome == Outcome.PRUNED and why else report.message
        self._end(one, report.outcome, message, report.wall_s, report.step_s)

    def go_on(self, *, retry: bool) -> None:
        """Starts those again that wait for a slot, as far as some are free; without `retry` they end."""
        while self._waiting and (not retry or self._executor.taken < self._executor.slots):
            one = self.all[self._waiting.pop(0)]
            if retry:
                self._start(one.id, one.attempt + 1, Wish(one.method, one.recipe, one.settings, one.seconds))
            else:
                self._end(one, Outcome.LOST, "its worker was lost", 0.0, 0.0)

    def _start(self, id: str, attempt: int, wish: Wish) -> None:
        # The seconds count over all attempts: the process keeps them, and this only ends one that hangs.
        deadline = min(self._clock.now() + wish.seconds + LAST_WORDS_S, self._budget.step_deadline("final"))
        self._ledger.emit(
            SupernetStarted(
                supernet=id, attempt=attempt, method=wish.method, recipe=wish.recipe, settings=dict(wish.settings),
                seconds=wish.seconds, slot=self._executor.taken,
            )
        )
        self._told(self.all[id])
        self._executor.start(
            Work(
                trial=id, attempt=attempt, recipe=wish.recipe, fidelity=Fidelity(epochs=1), prepared=self._prepared,
                metric=self._metric, workdir=self._folder(id), memory_bytes=self._memory_bytes, deadline=deadline,
                entry=ENTRY, settings={**self._aims, **wish.settings, "method": wish.method, "seconds": wish.seconds},
            )
        )

    def _end(self, one: Supernet, outcome: Outcome, message: str, wall_s: float, step_s: float) -> None:
        found = self._read(self._folder(one.id)) if outcome in (Outcome.COMPLETED, Outcome.PRUNED, Outcome.TIMED_OUT) else []
        self._ledger.emit(
            SupernetEnded(
                supernet=one.id, attempt=one.attempt, outcome=outcome, message=message, found=tuple(found), wall_s=wall_s,
                step_s=step_s,
            )
        )
        how = f": {message}" if message else ""
        if found:
            names = ", ".join(str(f.architecture.params.get("genotype", f.architecture.id)) for f in found)
            self._ledger.note(f"The supernet of {one.method} ended{how}. It found {names}.")
        else:
            self._ledger.note(
                f"The supernet of {one.method} found nothing ({outcome.value.lower()}{how}); evolution goes on alone.",
                warning=True,
            )
        self._told(self.all[one.id])
