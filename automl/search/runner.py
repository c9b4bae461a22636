"""Runs trials on an executor: fills the slots, takes in measurements, stops what isn't worth its time, books what is lost.

One thread drives it. Every fact goes through the ledger before anything is done about it, so a controller that is killed
anywhere goes on from its events: ended trials stay ended, running ones start again as the next attempt from their
checkpoints.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from automl.catalog.space import Space
from automl.execution.executor import Ended, Epoch, Executor, Judge, Work
from automl.search import sizing
from automl.search.budget import TAIL_S, Budget, Clock, Outlook, Speeds, planned
from automl.search.control import Control
from automl.search.judging import Judging
from automl.search.ledger import Ledger
from automl.search.prune import MISTIMED, hopeless, mistimed
from automl.search.sampler import NOT_EVIDENCE, Proposal, Sampler
from automl.search.screening import Screening
from automl.search.supernets import Supernets
from automl.spec import Fidelity, Found, JobState, Outcome, Recipe, Supernet, Trial
from automl.spec.event import BestChanged, SamplerState, TrialEnded, TrialMeasured, TrialStarted
from automl.spec.model import Json
from automl.spec.recipe import ParameterValue
from automl.training.result import TrainResult

POLL_S = 0.25
"""Between two looks at commands and the clock."""
ATTEMPTS = 3
"""A trial whose worker dies is started as often before it is LOST."""
RESTARTS = 10
"""A trial that is found running when the controller starts again goes on, up to as many attempts: the controller's deaths
are not the trial's fault, but one that takes the machine down with it must come to an end."""
GRACE_S = 5.0
"""For a trial that is told to stop, to write its candidate."""
MOST_SPREAD = 4
"""Slots that a training holds at most: steps of small networks gain little by more cores."""
DRY = 25
"""Proposals in one round that may be refused (size, time) before the slot stays free."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and on what the trials of a job run."""

    prepared: Path
    """Folder of the prepared data."""
    workdir: Path
    """Of the job; trials lie in `trials/<id>`."""
    metric: str
    memory_bytes: int | None = None
    """For each worker."""

    def folder(self, trial: str) -> Path:
        return self.workdir / "trials" / trial

    def supernet(self, id: str) -> Path:
        return self.workdir / "supernets" / id


class Runner:
    """See the module's docstring."""

    def __init__(
        self, *, ledger: Ledger, executor: Executor, budget: Budget, clock: Clock, control: Control, place: Place,
        space: Space, speeds: Speeds, limits: sizing.Limits, max_trials: int | None = None, prune: bool = True,
        screening: Screening | None = None, judging: Judging | None = None,
        found: Callable[[Path], list[Found]] = lambda folder: [], aims: Mapping[str, ParameterValue] = MappingProxyType({}),
    ):
        """`found` reads what a supernet left in its folder, `aims` are what it is told of the limits."""
        self.ledger = ledger
        self.executor = executor
        self.budget = budget
        self.clock = clock
        self.control = control
        self.place = place
        self.space = space
        self.speeds = speeds
        self.limits = limits
        self.max_trials = max_trials
        self.prune = prune
        self.judging = judging
        """None: trials count for what the float model scores."""
        self.screening = screening
        """None: candidates are trained unscored."""
        self.on_ended: Callable[[Trial], None] = lambda trial: None
        self._sizes: dict[str, Recipe | None] = {}
        self.shrunk = 0
        """Proposals that were made smaller to meet the limits."""
        self._sampler: Sampler | None = None
        self._search_s = max(1.0, budget.search_remaining_s())
        self._said: Json = None
        self._ending: dict[str, str] = {}
        """Trials told to stop, and why."""
        self._heard: dict[str, float] = {}
        """When a trial last told of an epoch."""
        self._halved: set[str] = set()
        self._works: dict[str, Work] = {}
        self._waiting: list[str] = []
        """Trials that are to be started again, and found no slot: there may be fewer than when they began."""
        self._supernets = Supernets(
            ledger=ledger, executor=executor, budget=budget, clock=clock, prepared=place.prepared, folder=place.supernet,
            metric=place.metric, memory_bytes=place.memory_bytes, read=found, told=self._tell_supernet,
            aims=aims,
        )
        speeds.observe_all(self.state.trials.values())
        for trial in self.state.trials.values():
            self._weigh(trial)

    @property
    def state(self) -> JobState:
        return self.ledger.state

    # --- the search --------------------------------------------------------------------------------------

    def search(self, sampler: Sampler, first: Sequence[Recipe] = ()) -> str:
        """Runs what the sampler proposes until the time, the trials or the proposals are used up. Returns why it ended, as a
        phrase. `first` are recipes to be tried before the sampler is asked. Raises `Cancelled`."""
        self._sampler = sampler
        stored = self.state.sampler
        sampler.restore(
            stored.state if stored is not None and stored.sampler == sampler.name else None, list(self.state.trials.values())
        )
        for scores in self.state.scored:
            sampler.scored(scores)
        for supernet in self.state.supernets.values():
            sampler.tell_supernet(supernet)
        self._resume()
        self._supernets.resume(lambda: self._take_in(POLL_S))
        reason = ""
        while True:
            self._commands()
            if not reason:
                reason = self._over() or self._fill(sampler, first)
            if reason:
                for id in sorted(self.executor.running):
                    if self._supernets.owns(id):
                        self._supernets.stop(id, reason, GRACE_S)
                    elif not self._may_finish(self.state.trials[id]):
                        self._stop(id, reason)
            if not self.executor.running and (reason or not self._screens):
                if reason:
                    self._sampler = None
                    return reason
                reason = "" if self.control.slots == 0 else "there was nothing more to propose"
                if reason:
                    self._sampler = None
                    return reason
            self._take_in(POLL_S)
            self._take_scores(sampler)

    @property
    def _screens(self) -> bool:
        """Whether a screening holds a slot."""
        return self.screening is not None and self.screening.busy

    def _screened(self, sampler: Sampler) -> bool:
        """Begins to score what the sampler wants scored; whether that took a slot."""
        if self.screening is None or self.screening.busy:
            return False
        outlook = self.outlook()
        if not (wanted := sampler.unscored(outlook)):
            return False
        self.screening.start(wanted, outlook.remaining_s)
        return True

    def _take_scores(self, sampler: Sampler) -> None:
        """Books the scores of a screening that has ended."""
        if self.screening is None:
            return
        if (scores := self.screening.taken()) is not None:
            self.ledger.emit(scores)
            sampler.scored(scores)
        elif self.screening.failed:
            self.ledger.note(f"Candidates are trained without being scored before: {self.screening.failed}", warning=True)
            self.screening = None
            sampler.scores_fail()

    def _over(self) -> str:
        """Why nothing more may start, as a phrase; empty while there is time."""
        if self.control.finish:
            return "the search was asked to finish"
        if self.budget.search_remaining_s() <= 0:
            return "the time for the search was used up"
        return ""

    def _may_finish(self, trial: Trial) -> bool:
        """Whether a running trial can complete its schedule in the time kept for the final fit: that is worth more."""
        if self.control.finish or trial.id in self._ending:
            return False
        left = trial.fidelity.epochs - (trial.measurements[-1].epoch if trial.measurements else 0)
        speed = self.speeds.predict(trial.recipe, trial.slots)
        needed_s = left * speed.epoch_s * trial.fidelity.data_fraction
        if (pace := self._works[trial.id].pace) is not None:
            # Behind that time its last epoch is running, if any.
            now = self.clock.now()
            rest_s = speed.epoch_s - (now - self._heard.get(trial.id, now))
            needed_s = min(needed_s, max(0.0, rest_s, pace - now))
        return needed_s <= self.budget.remaining_s() - self.budget.reserved("final")

    def _fill(self, sampler: Sampler, first: Sequence[Recipe]) -> str:
        """Starts trials in the free slots. Returns a reason to end the search, or nothing."""
        while self._free > 0:
            searched = sum(t.origin not in NOT_EVIDENCE for t in self.state.trials.values())
            if self.max_trials is not None and searched >= self.max_trials:
                return "" if self.executor.running else f"the limit of {self.max_trials} trials was reached"
            if (wish := sampler.supernet(self.outlook())) is not None:
                self._supernets.start(wish)
                continue
            if self._screened(sampler):
                continue
            proposal = self._next(sampler, first)
            if proposal is None:
                waiting = self.executor.running or self._screens or self.control.slots == 0
                return "" if waiting else "nothing more fits the time that is left"
            self._start(proposal, self._new_id(), 1)
        return ""

    @property
    def _free(self) -> int:
        """Slots that nothing holds."""
        return min(self.control.slots, self.executor.slots) - self.executor.taken - self._screens

    @property
    def spread(self) -> int:
        """How many slots a training may hold that has the job for itself: convolutions over pictures gain by cores."""
        if self.space.profile.image_shape is None:
            return 1
        return max(1, min(self.control.slots, self._held(MOST_SPREAD)))

    def _held(self, slots: int) -> int:
        """So many of the executor's slots, or as many as a trial may hold there."""
        return min(slots, self.executor.slots if self.executor.spreads else 1)

    def _next(self, sampler: Sampler, first: Sequence[Recipe]) -> Proposal | None:
        """A proposal that meets the limits of size and time; None when there is none now."""
        tried = {t.recipe.identity for t in self.state.trials.values()}
        for recipe in first:
            if recipe.identity not in tried:
                return Proposal(recipe, Fidelity(epochs=recipe.epochs), "user")
        for _ in range(DRY):
            outlook = self.outlook()
            proposal = sampler.ask(self._new_id(), outlook)
            if proposal is None:
                return None
            if (sized := self._sized(proposal)) is None:
                sampler.drop(self._new_id())
                self._oversize(proposal)
                continue
            if sized.fits or math.isinf(outlook.remaining_s):
                return sized
            fitted = planned(sized.recipe, sized.fidelity, outlook.on(sized.slots))
            if fitted is not None:
                return dataclasses.replace(sized, recipe=fitted[0], fidelity=fitted[1])
            sampler.drop(self._new_id())
        return None

    def outlook(self) -> Outlook:
        return Outlook(
            remaining_s=self.budget.search_remaining_s(), total_s=self._search_s, slots=self.control.slots,
            running=len(self.executor.running), speed=self.speeds.predict, spread=self.spread,
            speed_on=self.speeds.predict, free=self._free, sized=self._within_limits,
        )

    def _within_limits(self, recipe: Recipe) -> Recipe | None:
        """See `sizing.within`; remembered, since samplers ask of the same recipes again and again."""
        if not self.limits.any:
            return recipe
        if recipe.identity not in self._sizes:
            self._sizes[recipe.identity] = sizing.within(self.space, recipe, self.limits)
        return self._sizes[recipe.identity]

    def _sized(self, proposal: Proposal) -> Proposal | None:
        """The proposal within the limits, its architecture made smaller if need be; None when it can't be."""
        if not self.limits.any or proposal.resume is not None:
            return proposal
        recipe = self._within_limits(proposal.recipe)
        if recipe is None:
            return None
        if recipe == proposal.recipe:
            return proposal
        if recipe.identity in {t.recipe.identity for t in self.state.trials.values() if t.origin not in NOT_EVIDENCE}:
            return None
        self.shrunk += 1
        return dataclasses.replace(proposal, recipe=recipe)

    def _oversize(self, proposal: Proposal) -> None:
        """Books a proposal that is too large as a trial that was refused before training."""
        if proposal.recipe.identity in {t.recipe.identity for t in self.state.trials.values()}:
            return
        trial = self._new_id()
        self.ledger.emit(
            TrialStarted(
                trial=trial, attempt=1, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin, slot=0
            )
        )
        message = self.limits.passed(proposal.recipe, self.space.profile)
        self._finish(trial, 1, Outcome.OVERSIZE, message, None, 0.0, 0.0)

    # --- one trial ---------------------------------------------------------------------------------------

    def train(
        self, proposal: Proposal, *, part: str, deadline: float, init_from: Path | None = None, trial: str | None = None,
        attempt: int = 1, go_on: Callable[[Trial], bool] = lambda trial: True,
    ) -> Trial:
        """Runs one trial outside the search and waits for its end. `go_on` is asked after each epoch. Raises `Cancelled`."""
        id = trial or self._new_id()
        self._start(proposal, id, attempt, part=part, deadline=deadline, pace=deadline - TAIL_S, init_from=init_from)
        while self.state.trials[id].outcome is None:
            self._commands()
            if self.control.finish:
                self._stop(id, "the job was asked to finish")
            self._take_in(POLL_S, go_on)
        ended = self.state.trials[id]
        return ended

    def train_all(self, recipes: Sequence[Recipe], *, origin: str, deadline: float) -> list[Trial]:
        """Runs one trial for each recipe outside the search, on all slots, and waits for their ends. Those that were run
        before a restart are gone on with. A recipe isn't begun once its whole training doesn't fit before the `deadline`
        any more. Raises `Cancelled`."""
        identities = [recipe.identity for recipe in recipes]

        def known() -> dict[str, Trial]:
            return {t.recipe.identity: t for t in self.state.trials.values() if t.origin == origin}

        waiting = [r for r in recipes if (t := known().get(r.identity)) is None or t.outcome is None]
        while True:
            self._commands()
            while waiting and self.executor.taken < min(self.control.slots, self.executor.slots):
                recipe = waiting.pop(0)
                speed = self.speeds.predict(recipe)
                needed_s = speed.total_s(recipe.epochs) if speed.measured else 0.0  # a guess keeps nothing from being tried
                if self.control.finish or self.clock.now() + needed_s > deadline:
                    continue
                before = known().get(recipe.identity)
                self._start(
                    Proposal(recipe, Fidelity(epochs=recipe.epochs), origin), before.id if before else self._new_id(),
                    before.attempt + 1 if before else 1, part=recipe.part, deadline=deadline,
                )
            if self.control.finish:
                for trial in sorted(self.executor.running):
                    self._stop(trial, "the job was asked to finish")
            if not self.executor.running and not (waiting and self.control.slots == 0):
                return [t for identity in identities if (t := known().get(identity)) is not None and t.outcome is not None]
            self._take_in(POLL_S)

    def _start(
        self, proposal: Proposal, trial: str, attempt: int, *, part: str = "train", deadline: float | None = None,
        pace: float | None = None, init_from: Path | None = None,
    ) -> None:
        if proposal.resume is not None:
            init_from = self.place.folder(proposal.resume)
        entry, settings = self._supernets.special(proposal.recipe, proposal.origin)
        if proposal.paced and pace is None:
            pace = self.clock.now() + self.budget.search_remaining_s() - TAIL_S
        deadline = self.budget.step_deadline("final") if deadline is None else deadline
        work = Work(
            trial=trial, attempt=attempt, recipe=proposal.recipe, fidelity=proposal.fidelity, prepared=self.place.prepared,
            metric=self.place.metric, workdir=self.place.folder(trial), part=part, memory_bytes=self.place.memory_bytes,
            deadline=deadline, pace=pace if proposal.paced else None, init_from=init_from,
            batch_scale=0.5 if trial in self._halved else 1.0, judge=None if entry else self._judge(proposal), entry=entry,
            settings=settings, slots=self._held(proposal.slots),
        )
        self._works[trial] = work
        # Said first, so that no trial ever runs that the events don't know.
        self.ledger.emit(
            TrialStarted(
                trial=trial, attempt=attempt, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin,
                slot=self.executor.taken, slots=work.slots, paced=proposal.paced,
            )
        )
        if self._sampler is not None:
            self._sampler.tell(self.state.trials[trial])
            self._say_state()
        self.executor.start(work)

    def _judge(self, proposal: Proposal) -> Judge | None:
        if self.judging is None or proposal.origin in NOT_EVIDENCE:
            return None
        return self.judging.order(self.state.trials.values(), self.state.best.score if self.state.best else None)

    def _resume(self) -> None:
        """Goes on with the trials that the events left running."""
        for trial in list(self.state.trials.values()):
            if trial.outcome is not None or trial.origin == "final":
                continue
            if trial.attempt >= RESTARTS:
                message = f"the controller was restarted {trial.attempt} times while it ran"
                self._finish(trial.id, trial.attempt, Outcome.LOST, message, None, 0.0, 0.0)
                continue
            held = self._held(trial.slots)
            while self.executor.taken + held > self.executor.slots:
                self._take_in(POLL_S)
            resume = next(
                (
                    t.id for t in self.state.trials.values()
                    if t.id != trial.id and t.recipe.identity == trial.recipe.identity and t.outcome is not None
                    and t.fidelity.epochs < trial.fidelity.epochs and t.origin not in NOT_EVIDENCE
                ),
                None,
            )
            proposal = Proposal(trial.recipe, trial.fidelity, trial.origin, resume, slots=held, paced=trial.paced)
            self._start(proposal, trial.id, trial.attempt + 1)

    @property
    def _retry(self) -> bool:
        """Whether what lost its worker is started again."""
        return not self.control.finish and not self.control.cancel

    def _take_in(self, timeout_s: float, go_on: Callable[[Trial], bool] | None = None) -> None:
        if not self.executor.running:
            self.clock.wait(self.control.changed, timeout_s)  # no slot is ours for now: `poll` would return at once
        for report in self.executor.poll(timeout_s):
            if self._supernets.owns(report.trial):
                if isinstance(report, Epoch):
                    self._supernets.measured(report)
                else:
                    self._supernets.ended(report, retry=self._retry)
            elif isinstance(report, Epoch):
                self._epoch(report, go_on)
            else:
                self._ended(report)
        self._supernets.go_on(retry=self._retry)
        while self._waiting and (not self._retry or self.executor.taken < self.executor.slots):
            trial = self.state.trials[self._waiting.pop(0)]
            if self._retry:
                self._again(trial)
            else:
                self._finish(trial.id, trial.attempt, Outcome.LOST, "its worker was lost", None, 0.0, 0.0)

    def _epoch(self, report: Epoch, go_on: Callable[[Trial], bool] | None) -> None:
        trial = self.state.trials[report.trial]
        if report.attempt < trial.attempt or trial.outcome is not None:
            self.executor.answer(report.trial, report.attempt, False)
            return
        self.ledger.emit(TrialMeasured(trial=report.trial, attempt=report.attempt, measurement=report.measurement))
        self._heard[report.trial] = self.clock.now()
        if self._works[report.trial].entry:
            self.executor.answer(report.trial, report.attempt, True)  # nothing was trained: neither slow nor hopeless
            return
        trial = self.state.trials[report.trial]
        self.speeds.observe(trial)
        why = self._why_stop(trial)
        if not why and go_on is not None and not go_on(trial):
            why = "it was told to stop"
        if why and report.measurement.epoch < trial.fidelity.epochs:
            self._ending.setdefault(trial.id, why)
        self.executor.answer(report.trial, report.attempt, not why)

    def _why_stop(self, trial: Trial) -> str:
        """Why a trial is stopped after an epoch, as a phrase; empty when it goes on."""
        if trial.id in self._ending:
            return self._ending[trial.id]
        last = trial.measurements[-1]
        work = self._works[trial.id]
        if work.deadline is not None and last.epoch < trial.fidelity.epochs:
            speed = self.speeds.predict(trial.recipe, trial.slots)
            left_s = work.deadline - self.clock.now()
            timed = not trial.paced and trial.origin not in (*NOT_EVIDENCE, "fixed", "user")
            if timed and mistimed(trial, speed.epoch_s, left_s):
                return MISTIMED
            if self.clock.now() + 0.8 * speed.epoch_s * trial.fidelity.data_fraction > work.deadline:
                return "the next epoch would end after the time for it"
        if self.prune and trial.origin not in (*NOT_EVIDENCE, "finalist") and trial.fidelity.epochs == trial.recipe.epochs:
            return hopeless(trial, self.state.trials.values()) or ""
        return ""

    def _ended(self, report: Ended) -> None:
        trial = self.state.trials[report.trial]
        if report.attempt < trial.attempt or trial.outcome is not None:
            return
        outcome, message = report.outcome, report.message
        result = report.result
        told = self._ending.pop(report.trial, "")
        if outcome == Outcome.PRUNED and told:
            message = told
        if outcome == Outcome.PRUNED and (result is None or not result.usable):
            result = None
        retry = not told and self._retry
        if outcome == Outcome.LOST and retry and report.attempt < ATTEMPTS:
            self.ledger.note(f"Trial {trial.id} lost its worker ({message}); it goes on as attempt {report.attempt + 1}.")
            self._again(trial)
            return
        if outcome == Outcome.OOM and retry and trial.id not in self._halved and report.attempt < RESTARTS:
            self._halved.add(trial.id)
            self.ledger.note(f"Trial {trial.id} ran out of memory; it is tried once more with half the batch.", warning=True)
            self._again(trial)
            return
        limit = self.limits.most_parameters(trial.recipe)
        if result is not None and result.usable and limit is not None and result.parameters > limit:
            outcome = Outcome.OVERSIZE
            message = f"{result.parameters} parameters, and the limits allow {limit}"
        self._finish(trial.id, report.attempt, outcome, message, result, report.wall_s, report.step_s)

    def _again(self, trial: Trial) -> None:
        old, free = self._works[trial.id], self.executor.slots - self.executor.taken
        if free < 1:
            self._waiting.append(trial.id)
            return
        self._start(
            Proposal(trial.recipe, trial.fidelity, trial.origin, slots=min(old.slots, free), paced=trial.paced), trial.id,
            trial.attempt + 1, part=old.part, deadline=old.deadline, pace=old.pace, init_from=old.init_from,
        )

    def _finish(
        self, trial: str, attempt: int, outcome: Outcome, message: str, result: TrainResult | None, wall_s: float,
        step_s: float,
    ) -> None:
        usable = result if result is not None and result.usable else None
        score = usable.score if usable is not None else None
        if usable is not None and self.judging is not None and self.state.trials[trial].origin not in NOT_EVIDENCE:
            others = [t for t in self.state.trials.values() if t.origin not in NOT_EVIDENCE]
            score = self.judging.score(usable, self.state.trials[trial].recipe, others)
        self.ledger.emit(
            TrialEnded(
                trial=trial, attempt=attempt, outcome=outcome, message=message, wall_s=wall_s, step_s=step_s,
                score=score, artifact=usable.artifact if usable is not None else None,
                best_epoch=result.best_epoch if result is not None else None,
                epochs=result.schedule_epochs if result is not None else None,
                parameters=result.parameters or None if result is not None else None,
            )
        )
        ended = self.state.trials[trial]
        self.speeds.observe(ended)
        self._weigh(ended)
        if self._sampler is not None:
            self._sampler.tell(ended)
            self._say_state()
        if usable is not None and score is not None and outcome != Outcome.OVERSIZE and ended.origin != "final":
            best = self.state.best
            if best is None or score > best.score:
                self.ledger.emit(
                    BestChanged(
                        trial=trial, score=score, validation=usable.validation, size_bytes=usable.size_bytes
                    )
                )
        self.on_ended(ended)

    def _weigh(self, trial: Trial) -> None:
        """What a network that was built and is too large says of its family."""
        if trial.outcome == Outcome.OVERSIZE and trial.parameters is not None:
            self.limits = self.limits.after(trial.recipe, self.space.profile, trial.parameters)
            self._sizes.clear()

    def _tell_supernet(self, supernet: Supernet) -> None:
        if self._sampler is not None:
            self._sampler.tell_supernet(supernet)

    def _stop(self, trial: str, why: str) -> None:
        if trial not in self._ending:
            self._ending[trial] = why
            self.executor.stop(trial, GRACE_S)

    def _commands(self) -> None:
        self.control.changed.clear()
        self.control.check()
        if 0 < self.control.slots != self.executor.slots:  # with 0 slots nothing starts, and what runs runs on
            self.executor.resize(self.control.slots)

    def _say_state(self) -> None:
        """Emits the sampler's state when it has one and it has changed."""
        if self._sampler is not None and (state := self._sampler.state()) and state != self._said:
            self._said = state
            self.ledger.emit(SamplerState(sampler=self._sampler.name, state=state))

    def _new_id(self) -> str:
        return f"t{len(self.state.trials) + 1:04d}"
