"""A job, from data to proven artifacts: a fold over events, driven by `python -m automl.job`.

    prepare → derive the space → search → choose → final fit → compress → deliver → report

The server starts it as a process, writes the request and later commands to its standard input as lines of JSON, and reads
events from its standard output. The state is the fold of these events: killed anywhere and started again with the events so
far, the controller goes on without losing or doubling a finished trial. Standard error is its log.

Exit codes: 0 after the job's last event was said, whatever its state; 2 for a request that can't be read; 3 when the server
has gone (it will start us again).
"""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import os
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from automl.catalog import Categorical, compose, devices, entries, validation
from automl.catalog import space as spaces
from automl.catalog.space import Space
from automl.execution.children import ChildFailed
from automl.search import (
    account,
    bagging,
    choosing,
    engine,
    finale,
    judging,
    portfolio,
    selection,
    sizing,
    strategies,
)
from automl.search.budget import Budget, Speeds, paceable, reserve_shares
from automl.search.control import Cancelled, Control, listen
from automl.search.engine import Engine, Workers
from automl.search.genotypes import PORTFOLIO_SHARE
from automl.search.judging import Judging
from automl.search.ledger import Closed, Ledger
from automl.search.runner import Place, Runner
from automl.search.sampler import NOT_EVIDENCE, Proposal, free_dimensions
from automl.search.screening import Screening
from automl.search.selection import Candidate
from automl.spec import (
    Artifact,
    AutoMLError,
    Choice,
    Event,
    Infeasible,
    Internal,
    InvalidInput,
    JobPhase,
    JobSpec,
    JobState,
    Modality,
    Outcome,
    Recipe,
    Trial,
)
from automl.spec.event import DataPrepared, EnsemblePlanned, JobFinished, SpaceDerived, StrategyChosen
from automl.spec.model import Frozen, Json, canonical
from automl.spec.recipe import ParameterValue

if TYPE_CHECKING:
    from automl.search.foresight import Foreseeing

log = logging.getLogger("automl.job")
T = TypeVar("T")

SERVER_GONE = 3
FINAL_SHARE = 0.1
"""Of the budget, kept for the final fit until the speed is known."""
COMPRESS_SHARE, COMPRESS_SHARE_PICTURES = 0.13, 0.07
"""Of the budget, at most kept for compression; what takes more is tried only when time is left. Under a short clock pictures
gain more from epochs."""
FORCED_SHARE = 0.4
"""Of the budget, at most kept for compression that the user forces."""
LIMITED_SHARE = 0.25
"""Of the budget, at most used for compression in jobs with limits, which it may have to meet, where time is left."""
BUSY, BUSY_PICTURES = 0.45, 0.6
"""How busy the machine is taken to be before trials have shown it; see `Speeds.busy`. Convolutions over many held-out rows
are hard to foresee."""
MOST_DELIVERY = 0.3
"""Of the budget: architectures whose files take longer to be written aren't proposed."""
REPORT_S = 2.0
CONVOLVED = (Modality.IMAGE, Modality.SERIES)
"""What convolutional networks are for mostly: their time isn't told by the number of their weights."""
CONVERSIONS_SHARE = 0.03
"""Of the budget, at most for trying what converts to what, where that isn't known."""
UNCONVERTIBLE = "can't be given as"
"""The reason of a family that is left out for that begins so; a restarted job leaves it out again."""
KIT = "model.kit.zip"
"""What further artifacts are made of later (`automl.export.kit`); the server takes it from the artifacts' folder."""
INSTEAD = 4
"""Models of the search that are tried, one after the other, where no file of the chosen one can be delivered…"""
LAST_TRY, LATE_TRY = 0.6, 0.05
"""… the smallest, which is the quickest to be written, even where as much of the last one's time is left, with so much of
the budget beyond its end: a job that ends a little late with a file is worth more than one that ends in time with none."""
FEWER = 0.9
"""Of a family that was refused, only what has at most such a share of the weights is tried: others would be refused, too."""
BLEND_S = 3.0
"""To put an ensemble together."""
FORESEE_SHARE = 0.04
"""Of the budget, at most for timing what networks are made of, where latency is limited; it is remembered for later jobs."""
FORETELL_S = 6.0
"""What is foreseen of the winner is said where as much time is left over."""
LATE_SHARE, LATE_S = 0.1, 15.0
"""What a job that was interrupted may take at least, to deliver; the server waits longer before it ends a controller."""
PHASES = list(JobPhase)


class Request(Frozen):
    """The first line on standard input."""

    job: str
    spec: JobSpec
    workdir: str
    dataset: dict[str, Json]
    """{"path", "filename", "info"}: see `automl.data.source.Source`."""
    test_dataset: dict[str, Json] | None = None
    events: tuple[Event, ...] = ()
    """All past events of the job, when it is taken up again."""
    slots: int = 2
    cache: str = ""
    """Folder for what jobs share, such as latency tables; "" keeps it in the work folder."""
    deadline_epoch_s: float
    """Seconds since 1970 by when the artifacts have to be there."""
    seed: int = 0


class ServerGone(Exception):
    """The pipe from the server was closed."""


class Job:
    """One run of the controller. `write` passes each event on."""

    def __init__(self, request: Request, control: Control, write: Callable[[Event], None], parts: Engine):
        self.request = request
        self.device = devices.of(request.spec.constraints)
        self.spec = request.spec.changed(constraints=self.device.narrowed(request.spec.constraints).to_dict())
        """As the user asked, within what the device has."""
        self.control = control
        self.engine = parts
        self.clock = parts.clock
        self.workdir = Path(request.workdir)
        self.ledger = Ledger(write, self.clock, request.events)
        remaining = request.deadline_epoch_s - self.clock.wall()
        if request.events:
            # Taken up again after the deadline: what was found is still delivered, a little late.
            remaining = max(remaining, LATE_SHARE * self.spec.budget.wall_s + LATE_S)
        self.budget = Budget(self.clock, remaining, self.spec.budget.wall_s)
        self.executor: Workers | None = None
        self.task = ""
        self.metric = ""
        self.delivery_s = 0.0
        """What the delivery takes on a busy machine, by its own estimate."""
        self._hand: Space | None = None
        """Of families drawn by hand, where some of their recipes are tried beside genotypes."""

    @property
    def state(self) -> JobState:
        return self.ledger.state

    # --- the story ---------------------------------------------------------------------------------------

    def run(self) -> int:
        """Carries the job to its end and returns the exit code."""
        if self.state.finished is not None:
            return 0
        self.workdir.mkdir(parents=True, exist_ok=True)
        last = self._carried_out()
        if last is None:
            return SERVER_GONE
        try:
            self.ledger.close(last)
        except Closed:
            return SERVER_GONE if self.control.gone else 0
        return 0

    def _carried_out(self) -> JobFinished | None:
        """The job's last event; None when the server has gone."""
        try:
            self._keep_reserve()
            self.start_executor()
            prepared = self.prepare()
            self._keep_reserve(prepared.meta.modality)
            space = self.derive(prepared)
            runner = self.runner(prepared, space)
            given = [r for r in self.spec.search.recipes if r.members and self.spec.search.strategy == "fixed"]
            if given:
                winner, candidate = self.given_ensemble(runner, given[0], prepared)
            else:
                self.search(runner, space)
                winner = self.choose(runner)
                self.foretell(winner, prepared)
                candidate = self.final_fit(runner, winner, prepared)
            self._mark_running("it was not taken up again after a restart")
            candidate = self.compress(runner, space, winner, candidate, prepared)
            winner, candidate, delivered = self.deliver(runner, winner, candidate, prepared)
            return self.conclude(winner, candidate, delivered, prepared)
        except ServerGone:
            return None
        except Cancelled:
            self._mark_running("the job was cancelled")
            return self._ended("CANCELLED", "The job was cancelled.", "CANCELLED")
        except InvalidInput as error:
            one = len(error.violations) == 1
            return self._ended("FAILED", str(error), error.violations[0].reason if one else error.reason)
        except (Infeasible, NothingUsable) as error:
            return self._ended("FAILED", str(error), error.reason)
        except AutoMLError as error:
            if isinstance(error, Internal):
                return self._internal(error)
            return self._ended("FAILED", _plain(error), error.reason)
        except Exception as error:  # noqa: BLE001 — whatever it is, the job has to end with an event.
            return self._internal(error)
        finally:
            if self.executor is not None:
                self.executor.close()

    def prepare(self) -> Any:
        """Checks and writes the data once; a folder that is complete is opened."""
        self.ledger.phase(JobPhase.PREPARING)
        self._check_disk()
        inferred = self.spec.task is None
        self.task = self.spec.task or self._inferred_task()
        folder = self.workdir / "data"
        request = self.request
        prepared = self._meanwhile(
            lambda: self.engine.prepare(self.spec, self.task, request.dataset, request.test_dataset, folder)
        )
        meta = prepared.meta
        task = entries.tasks[meta.task]
        self.metric = self.spec.metric or task.default_metric(len(meta.classes))
        if self.state.prepared is None:
            self.ledger.emit(
                DataPrepared(
                    task=meta.task, task_inferred=inferred, target=meta.target or None, metric=self.metric, parts=meta.parts,
                    profile=meta.profile, findings=meta.findings, key=meta.key,
                )
            )
        return prepared

    def derive(self, prepared: Any) -> Space:
        """The space of what may be proposed; fails early when the limits can't be met."""
        formats = frozenset(str(f) for f in self.spec.formats)
        profile, unfit = prepared.meta.profile, self._too_slow(prepared)
        space = spaces.derive(self.task, profile, self.spec.search, formats, unfit)
        if self.state.space is not None:
            unfit |= {id: why for id, why in self.state.space.excluded.items() if why.startswith(UNCONVERTIBLE)}
        elif self.spec.search.strategy != "fixed":
            unfit |= self._unconvertible(prepared, space)
        space = spaces.derive(self.task, profile, self.spec.search, formats, unfit)
        space = self._chosen(space, prepared, formats, unfit)
        self._hand = self._beside(space, formats, unfit)
        sizing.check_feasible(space, self.spec.constraints, self.spec.formats)
        if self.state.space is None:
            self.ledger.emit(
                SpaceDerived(
                    strategy=self.spec.search.strategy, techniques=space.techniques, excluded=dict(space.excluded),
                    dimensions=free_dimensions(space),
                )
            )
        return space

    def _chosen(self, space: Space, prepared: Any, formats: frozenset[str], unfit: dict[str, str]) -> Space:
        """The space, or under the default strategy one of genotypes where the limits ask for it. From then on the job's
        strategy is the one that was decided on."""
        if self.spec.search.strategy != "auto" or space.profile.modality != Modality.IMAGE:
            return space
        if self.state.space is not None and self.state.strategy is None:
            return space  # begun by a version that didn't choose
        other = self.spec.search.changed(strategy=choosing.STRATEGY)
        genotypes: Space | None
        try:
            genotypes = spaces.derive(self.task, space.profile, other, formats, unfit)
        except InvalidInput:  # the settings are of families drawn by hand, whose space has been derived from them
            genotypes = None
        if self.state.strategy is None:
            choice = choosing.choose(
                space, genotypes, self.spec.constraints, self.spec.formats,
                functools.partial(self._limits_of_latency, prepared),
            )
            self.ledger.emit(StrategyChosen(strategy=choice.strategy, reason=choice.reason))
        assert self.state.strategy is not None
        if self.state.strategy.strategy == "auto" or genotypes is None:
            return space
        self.spec = self.spec.changed(search=other.to_dict())
        return genotypes

    def _beside(self, space: Space, formats: frozenset[str], unfit: dict[str, str]) -> Space | None:
        """The space of families drawn by hand, where genotypes are searched and other kinds of models may be better: of
        tables, texts and series. None where the user names families, or the data are pictures."""
        search = self.spec.search
        if search.strategy not in strategies.OVER_GENOTYPES or not space.by_genotype:
            return None
        if space.profile.modality == Modality.IMAGE:
            return None
        own = {
            name: value for name, value in search.parameters.items() if not _of_genotypes(name.partition(".")[0])
        }
        hand = spaces.derive(self.task, space.profile, search.changed(strategy="auto", parameters=own), formats, unfit)
        return None if hand.by_genotype else hand

    def _starts(self, runner: Runner) -> list[portfolio.Start]:
        """Recipes of families drawn by hand that are tried before genotypes, made small enough for the limits."""
        if self._hand is None:
            return []
        search, found = self.spec.search, []
        for start in portfolio.of_each_family(self._hand, self.request.seed):
            recipe = sizing.within(self._hand, start.recipe, runner.limits)
            if recipe is not None:
                found.append(dataclasses.replace(start, recipe=recipe))
        if found:
            names = ", ".join(start.name for start in found)
            self._note_once(
                f"The strategy {search.strategy} searches genotypes of {', '.join(_families(runner.space))}. So that the "
                f"result isn't worse than what is known to be strong, recipes of the portfolio are tried first ({names}), "
                f"as far as they take {PORTFOLIO_SHARE:.0%} of the search at most."
            )
        return found

    def _too_slow(self, prepared: Any) -> dict[str, str]:
        """Families whose files would take too much of the budget to be written, with the reason."""
        profile, total = prepared.meta.profile, self.spec.budget.wall_s
        slow = {}
        for family in entries.architectures:
            recipe = Recipe(task=self.task, architecture=Choice(id=family.id))
            usual = compose.complete(recipe.architecture, family.params)
            if family.reason_against(profile) is None and family.conversion(profile, **usual) > 1:
                seconds = BUSY * self.engine.deliver_estimate_s(
                    self.spec.formats, recipe, profile, rows=prepared.meta.parts.get("test", 10_000),
                    slots=self.request.slots,
                )
                if seconds > MOST_DELIVERY * total:
                    slow[family.id] = f"its files take about {seconds:.0f} s to be written, too much of {total:.0f} s"
        return slow

    def _unconvertible(self, prepared: Any, space: Space) -> dict[str, str]:
        """Families that can't be given in a format asked for though another one can, with the reason; what none can be given
        in is said at once, not at the end. Nothing is tried where the answers for these libraries are known."""
        deadline = self.clock.now() + CONVERSIONS_SHARE * self.spec.budget.wall_s
        executor = self.executor
        assert executor is not None
        answers = self._meanwhile(
            lambda: self.engine.convertible(
                space, prepared, self.spec.formats, run_in_child=executor.run_in_child, deadline=deadline
            )
        )
        found: dict[str, str] = {}
        for wanted in self.spec.formats:
            reasons = {family: said[str(wanted)] for family, said in answers.items() if str(wanted) in said}
            bad = {family: why for family, why in reasons.items() if why}
            if bad and len(bad) == len(answers):
                self.ledger.note(f"{wanted} won't be delivered: {next(iter(bad.values()))}.", warning=True)
            else:
                found |= {family: f"{UNCONVERTIBLE} {wanted}: {why}" for family, why in bad.items() if family not in found}
        return found

    def start_executor(self) -> None:
        """Begins to warm up what trials are forked from, while the data are prepared."""
        self.executor = self.engine.executor(max(1, self.request.slots), self.workdir / "executor.log")

    def runner(self, prepared: Any, space: Space) -> Runner:
        assert self.executor is not None
        speeds = Speeds(prepared.meta.profile, prepared.meta.parts.get("validation", 0))
        runner = Runner(
            ledger=self.ledger, executor=self.executor, budget=self.budget, clock=self.clock, control=self.control,
            place=Place(prepared.path, self.workdir, self.metric), space=space, speeds=speeds,
            limits=self._limits(prepared, space), max_trials=self.spec.budget.max_trials,
            prune=self.spec.search.strategy not in ("fixed", "grid"),
            screening=None if "zero-cost" in self.spec.search.forbid else Screening(
                lambda recipes, seconds: self.engine.score(recipes, prepared.path, seconds)
            ),
            found=self.engine.found,
            aims=self._aims(),
            judging=self._judging(),
        )
        runner.on_ended = lambda trial: self._estimate_again(runner, prepared)
        self._estimate_again(runner, prepared)
        return runner

    def _judging(self) -> Judging | None:
        """How trials are judged by the file that they would become; None where the float model decides."""
        precision = judging.precision(self.spec.formats)
        if self.spec.search.rank_by == "model" or precision is None:
            return None
        return Judging(precision, self.metric, self.request.seed, self.spec.constraints.max_size_bytes)

    def _limits(self, prepared: Any, space: Space) -> sizing.Limits:
        """What candidates have to meet before they are trained. Where latency is limited, time goes into knowing it."""
        constraints = self.spec.constraints
        limits = sizing.Limits.of(constraints, self.spec.formats, modality=prepared.meta.modality)
        if constraints.max_latency_ms is None or self.spec.search.strategy == "fixed":
            return dataclasses.replace(limits, latency_ms=None)
        foresight = self._learned(prepared, space)
        if foresight is None:
            self._note_once("Latency is judged by the files alone: what takes how long is foreseen of .tflite files only.")
            return dataclasses.replace(limits, latency_ms=None)
        limits = dataclasses.replace(limits, foreseen_ms=foresight.least_ms)
        quickest = sizing.quickest(space, limits)
        if quickest is not None and quickest[0] > 1:
            said = foresight.of(quickest[1])
            assert said is not None
            self._note_once(
                f"No network of the space is foreseen to take at most {constraints.max_latency_ms:g} ms: the quickest, "
                f"{quickest[1].architecture.id}, takes about {said.median_ms:.3g} ms ({said.source}). Candidates are not "
                "judged by latency; compression may still meet the limit.", warning=True,
            )
            return dataclasses.replace(limits, latency_ms=None)
        return limits

    def _limits_of_latency(self, prepared: Any, space: Space) -> sizing.Limits | None:
        """The limit of latency with what is foreseen of the space's networks; None where there is none, or nothing is
        foreseen."""
        limit = self.spec.constraints.max_latency_ms
        if limit is None or (foresight := self._learned(prepared, space)) is None:
            return None
        return sizing.Limits(latency_ms=limit, foreseen_ms=foresight.least_ms)

    def _learned(self, prepared: Any, space: Space) -> Foreseeing | None:
        """What foresees the latency of the space's networks; None where nothing does. What isn't known of this machine yet
        is timed for a share of the budget, and remembered."""
        foresight, executor = self._foresight(prepared), self.executor
        assert executor is not None
        if foresight is None:
            return None
        seconds, path = FORESEE_SHARE * self.spec.budget.wall_s, str(prepared.path)
        learn = functools.partial(foresight.learn, space, path, executor.run_in_child, seconds)
        for fault in self._meanwhile(learn):
            log.warning("latency tables: %s", fault)
        return foresight

    def _aims(self) -> dict[str, ParameterValue]:
        """What supernets are told of the limits."""
        if self.spec.search.strategy not in strategies.OVER_SUPERNETS:
            return {}
        from automl.search import foresight

        return foresight.aims(self.device, self.spec.constraints, self.spec.formats, self._cache)

    @property
    def _cache(self) -> Path:
        """Folder for what outlives the job."""
        return Path(self.request.cache) if self.request.cache else self.workdir / "cache"

    def _foresight(self, prepared: Any) -> Foreseeing | None:
        return self.engine.foresight(self.device, prepared.meta.profile, self.spec.formats, self._cache)

    def foretell(self, winner: Candidate, prepared: Any) -> None:
        """Says what latency is foreseen of the winner, before any of its files is measured, where a table tells."""
        recipe, executor = winner.best.recipe, self.executor
        assert executor is not None
        told = any(f.recipe == recipe.identity for f in self.state.foreseen)
        spare_s = self.budget.search_remaining_s() + self.budget.reserved("deliver", "report")
        if told or spare_s < FORETELL_S or entries.architectures[recipe.architecture.id].blueprint is None:
            return
        if (foresight := self._foresight(prepared)) is None:
            return
        try:
            found = self._meanwhile(lambda: foresight.exactly(recipe, executor.run_in_child, FORETELL_S / 2))
        except ChildFailed as error:
            log.warning("latency tables: %s %s", error, error.log)
            return
        if found is not None:
            self.ledger.emit(found)

    def search(self, runner: Runner, space: Space) -> None:
        """Proposes and trains until the time that isn't reserved for the end is used up."""
        if self._past(JobPhase.SEARCHING):
            return
        self.ledger.phase(JobPhase.SEARCHING)
        settings = self.spec.search
        # An ensemble's members have seeds of their own: there is no single winner to be chosen with more of them.
        alone = bagging.most(space.profile, settings, self.spec.constraints) == 0
        sampler = strategies.make(
            settings.strategy, space, self.request.seed, settings.recipes, finalists=alone, parameters=settings.parameters,
            starts=self._starts(runner),
        )
        first = () if settings.strategy in strategies.TAKES_RECIPES else settings.recipes
        reason = runner.search(sampler, first)
        counts = ", ".join(f"{n} {name.lower()}" for name, n in sorted(self.state.outcomes().items()))
        self.ledger.note(f"The search ended after {self.budget.elapsed_s():.0f} s: {reason}. Trials: {counts or 'none'}.")
        if runner.judging is not None:
            ended = [t for t in self.state.trials.values() if t.outcome is not None and t.origin not in NOT_EVIDENCE]
            measured = sum(t.artifact is not None for t in ended)
            self.ledger.note(
                f"{measured} of {len(ended)} trials were measured as tflite:{runner.judging.precision}, in "
                f"{judging.share_spent(ended):.1%} of the trials' time; the others are taken to lose as much as these."
            )
        if runner.shrunk:
            self.ledger.note(f"{runner.shrunk} proposals were made smaller to meet the limits.")

    def _ranking(self, runner: Runner) -> list[Candidate]:
        """The candidates so far, best first, by what the user wants them ranked by."""
        limits = self._timed_here.constraints if self.spec.search.rank_by == "artifact" else None
        return selection.ranking(self.state.trials.values(), runner.limits.parameters, limits)

    def choose(self, runner: Runner) -> Candidate:
        """The winner: best by the mean over its seeds. Raises `NothingUsable`."""
        ranked = self._ranking(runner)
        if not ranked:
            trial = selection.fallback(self.state.trials.values())
            if trial is None:
                raise NothingUsable(account.losses(self.state, self.spec.budget.wall_s))
            return Candidate((trial,), trial.score or 0.0, trial.score or 0.0)
        winner = ranked[0]
        if not self._past(JobPhase.SEARCHING):
            seeds = f", the mean of {winner.seeds} seeds" if winner.seeds > 1 else ""
            self.ledger.note(
                f"{len(ranked)} candidates were compared on the validation rows; {winner.best.id} "
                f"({winner.best.recipe.architecture.id}) is chosen with {self.metric} {self._natural(winner.mean)}{seeds}. "
                "The best of many scores is a little too good; the test score is the honest one."
            )
        return winner

    def final_fit(self, runner: Runner, winner: Candidate, prepared: Any) -> Path:
        """The folder of the candidate to deliver."""
        own = runner.place.folder(winner.best.id)
        done = [t for t in self.state.trials.values() if t.origin == "final" and t.outcome is not None]
        if self._past(JobPhase.FINAL_FIT) and (self._blended / "result.json").is_file():
            return self._not_worse(runner, winner, self._blended)
        if (self._past(JobPhase.FINAL_FIT) or done) and self.state.ensemble is None:
            return self._better(runner, winner, done[-1]) if done else own
        self.ledger.phase(JobPhase.FINAL_FIT)
        if self.control.finish:
            self.ledger.note("The winner is delivered as it was trained: the job was asked to finish.")
            return own
        if winner.best.best_epoch == 0:
            self.ledger.note("The winner's weights are the supernet's: it is delivered as it was cut out.")
            return own
        if winner.best.origin in NOT_EVIDENCE or self.spec.search.strategy == "fixed":
            self.ledger.note("The winner is delivered as it was trained.")
            return own
        parts = prepared.meta.parts
        available = self.budget.remaining_s() - self.budget.reserved("final")
        ensemble = self._planned_ensemble(runner, prepared, available)
        if len(ensemble) > 1 and (folder := self._ensemble(runner, ensemble, prepared)) is not None:
            return self._not_worse(runner, winner, folder)
        slots = runner.spread
        speed = runner.speeds.predict(winner.best.recipe, slots, surely=True)
        plan = finale.plan(winner, speed, available, parts["train"], parts.get("validation", 0))
        self.ledger.note(plan.why)
        if plan.how == "keep":
            return own
        interrupted = [t for t in self.state.trials.values() if t.origin == "final" and t.outcome is None]
        trial = runner.train(
            Proposal(plan.recipe, plan.fidelity, "final", slots=slots, paced=paceable(plan.recipe, prepared.meta.profile)),
            part="train+validation",
            deadline=self.budget.step_deadline("final"), init_from=own if plan.how == "continue" else None,
            trial=interrupted[-1].id if interrupted else None, attempt=interrupted[-1].attempt + 1 if interrupted else 1,
        )
        return self._better(runner, winner, trial)

    @property
    def _blended(self) -> Path:
        """Where the ensemble's candidate lies."""
        return self.workdir / "ensemble"

    def _planned_ensemble(self, runner: Runner, prepared: Any, available_s: float) -> list[Recipe]:
        """The members of the final ensemble, the same after a restart; fewer than two are none."""
        if self.state.ensemble is not None:
            return list(self.state.ensemble.members)
        meta = prepared.meta
        wanted = bagging.most(meta.profile, self.spec.search, self.spec.constraints)
        limit = runner.limits.parameters
        ranked = selection.ranking(self.state.trials.values(), limit)
        if not wanted or not ranked:
            return []
        order = bagging.chosen(
            ranked, lambda trial: self.engine.predictions(runner.place.folder(trial)), prepared.target("validation"),
            metric=self.metric, task=meta.task, members=wanted, settings=self.spec.search,
        )
        recipes = [ranked[place].best.recipe for place in order]
        factor = self._rows_factor(meta)
        size = ranked[0].best.parameters or 100_000

        def cost_s(count: int) -> float:
            trainings_s = bagging.duration_s(recipes[:count], runner.speeds.predict, factor, self.control.slots)
            return trainings_s + BLEND_S + self._deliver_s(runner, prepared, recipes[:count], size)

        kept_s = self.budget.reserved() - self.budget.reserved("deliver")  # for the delivery, which is part of the cost
        count = bagging.affordable(wanted, cost_s, available_s + kept_s)
        sized = self.spec.constraints.max_size_bytes is not None
        members = bagging.members(
            ranked, order, count=count, limit_parameters=None if limit is None else int(bagging.SIZE_SHARE * limit),
            beside=sizing.in_weights(bagging.GRAPH_BYTES, self.spec.formats) if sized else 0, seed=self.request.seed,
        )
        if len(members) < 2:
            return []
        self.ledger.emit(EnsemblePlanned(members=tuple(members)))
        self._reserve_delivery(self._deliver_s(runner, prepared, members, size), prepared)
        families = ", ".join(sorted({m.architecture.id for m in members}))
        self.ledger.note(
            f"{len(members)} networks ({families}) are trained, each without another fold of the training and validation "
            "rows; the delivered model gives the mean of what they predict."
        )
        return members

    def _rows_factor(self, meta: Any) -> float:
        """A member's rows over those of a trial."""
        rows = meta.parts["train"] + meta.parts.get("validation", 0)
        return float(rows * (1 - 1 / bagging.FEWEST_FOLDS) / max(1, meta.parts["train"]))

    def _ensemble(self, runner: Runner, members: list[Recipe], prepared: Any) -> Path | None:
        """Trains the members and blends those that came through; None when fewer than two did."""
        trials = runner.train_all(members, origin="final", deadline=self.budget.step_deadline("final"))
        usable = [t for t in trials if t.usable]
        if len(usable) < 2:
            self.ledger.note("Too few of the ensemble's members came through in time.", warning=True)
            return None
        executor = self.executor
        assert executor is not None
        recipe = bagging.ensemble([t.recipe for t in usable])
        try:
            score = self._meanwhile(
                lambda: self.engine.blend(
                    [runner.place.folder(t.id) for t in usable], prepared.path, recipe, metric=self.metric,
                    out=self._blended, run_in_child=executor.run_in_child,
                    timeout_s=max(10.0, self.budget.step_deadline("final", "compress") - self.clock.now()),
                )
            )
        except (Cancelled, ServerGone, Closed):
            raise
        except AutoMLError as error:
            self.ledger.note(f"The ensemble was given up: {_plain(error)}", warning=True)
            return None
        alone = sum(t.score or 0.0 for t in usable) / len(usable)
        self.ledger.note(
            f"The {len(usable)} members score {self._natural(alone)} on average, each on the rows that it didn't see."
            + ("" if len(usable) == len(members) else f" {len(members) - len(usable)} found no time.")
        )
        log.info("the ensemble scores %s on validation rows that most members have seen", self._natural(score))
        return self._blended

    def _not_worse(self, runner: Runner, winner: Candidate, folder: Path) -> Path:
        """The ensemble's folder unless it is worse than the winner on rows that most of its members have seen."""
        score = account.score_of(folder)
        if score >= winner.mean:
            return folder
        self.ledger.note(
            f"The ensemble scores {self._natural(score)} on the validation rows, less than the winner's "
            f"{self._natural(winner.mean)}: the winner is delivered.", warning=True,
        )
        return runner.place.folder(winner.best.id)

    def given_ensemble(self, runner: Runner, recipe: Recipe, prepared: Any) -> tuple[Candidate, Path]:
        """The ensemble that a recipe describes, trained again. Raises `NothingUsable`."""
        if not self._past(JobPhase.FINAL_FIT):
            self.ledger.phase(JobPhase.FINAL_FIT)
        if not (self._blended / "result.json").is_file() and self._ensemble(runner, list(recipe.single), prepared) is None:
            raise NothingUsable(account.losses(self.state, self.spec.budget.wall_s))
        members = [t for t in self.state.trials.values() if t.origin == "final" and t.usable]
        mean = sum(t.score or 0.0 for t in members) / max(1, len(members))
        return Candidate(tuple(members), mean, mean), self._blended

    def _better(self, runner: Runner, winner: Candidate, final: Trial) -> Path:
        """The final fit's folder when it came through and isn't worse on rows that it has seen, else the winner's."""
        own = runner.place.folder(winner.best.id)
        if final.outcome != Outcome.COMPLETED or final.score is None:
            how = final.outcome.value if final.outcome is not None else "no end"
            self.ledger.note(f"The final fit ended with {how} ({final.message or 'no message'}): the winner is delivered.")
            return own
        if final.score < winner.mean:
            self.ledger.note(
                f"After the final fit the validation rows, which it has seen, score {self._natural(final.score)}, less than "
                f"the winner's {self._natural(winner.mean)}: the winner is delivered.", warning=True,
            )
            return own
        return runner.place.folder(final.id)

    def compress(self, runner: Runner, space: Space, winner: Candidate, candidate: Path, prepared: Any) -> Path:
        """The candidate after the compression ladder; itself when nothing was accepted or there is no time."""
        folder = self.workdir / "compressed"
        if self._past(JobPhase.COMPRESSING):
            return account.pointed(folder / "chosen", candidate)
        if self.state.phase != JobPhase.COMPRESSING:
            self.ledger.phase(JobPhase.COMPRESSING)
        self.budget.reserve("final", 0.0)
        if prepared.meta.modality in CONVOLVED:
            # Pruning only makes the download smaller: it may not take the time of an artifact that was asked for. How long
            # convolutions take over the held-out rows is hardly known in advance, so the whole estimate is kept.
            self.budget.reserve("deliver", self.delivery_s)
        executor = self.executor
        assert executor is not None
        available = self.budget.remaining_s() - self.budget.reserved("compress")
        if self.control.finish or self.spec.search.strategy == "fixed" or available <= 0:
            self.ledger.note(f"Nothing is compressed beyond quantisation: {max(0.0, available):.0f} s are left for it.")
            return candidate
        share = LIMITED_SHARE if self._limited else COMPRESS_SHARE
        usual_s = self.engine.compress_estimate_s(self.spec.formats)
        deadline = self.budget.step_deadline("compress")
        if self.engine.compress_estimate_s(self.spec.formats, self.spec.search.force) <= usual_s:
            # What isn't asked for may not take all that is left; what the user forces may.
            deadline = min(deadline, self.clock.now() + max(1.2 * usual_s, share * self.spec.budget.wall_s))
        try:
            chosen = self._meanwhile(
                lambda: self.engine.compress(
                    candidate, prepared, spec=self._timed_here, metric=self.metric, out=folder,
                    run_in_child=engine.one_at_a_time(executor.run_in_child), deadline=deadline,
                    emit=self.ledger.emit, done=self.state.compressed,
                    honest=self._unseen(runner, winner, candidate, prepared),
                    shrunk=lambda recipe, limit: sizing.within(space, recipe, sizing.Limits(parameters=limit)),
                    speed=runner.speeds.predict,
                    threads=max(1, self.control.slots), seed=self.request.seed, delivery_s=self.budget.reserved("compress"),
                )
            )
        except (Cancelled, ServerGone, Closed):
            raise
        except AutoMLError as error:
            self.ledger.note(f"Compression was given up: {_plain(error)}", warning=True)
            return candidate
        folder.mkdir(parents=True, exist_ok=True)
        account.replace(folder / "chosen", str(chosen))
        return Path(chosen)

    def _unseen(self, runner: Runner, winner: Candidate, candidate: Path, prepared: Any) -> float | None:
        """What the chosen model scores on validation rows that it hasn't seen, where it has seen them in its final fit: of a
        network that of the same recipe in the search, of an ensemble that of its recipes' networks there, averaged. None
        where its own figure is that, or nothing tells."""
        recipe = account.recipe_of(candidate)
        if not recipe.members:
            return self._value(winner.mean) if account.has_seen_validation(candidate) else None
        trials = selection.of_recipes(self.state.trials.values(), recipe.single)
        if trials is None:
            return None
        from automl.tasks import metrics

        try:
            outputs = [self.engine.predictions(runner.place.folder(trial.id)) for trial in trials]
        except FileNotFoundError as error:
            log.warning("the ensemble's own figure stands: %s", error)
            return None
        return float(metrics.value(self.metric, prepared.target("validation"), sum(outputs) / len(outputs)))

    @property
    def _limited(self) -> bool:
        return self.spec.constraints != type(self.spec.constraints)()

    @property
    def _timed_here(self) -> JobSpec:
        """The specification for what compares latency with times of this machine: without a limit that another device's
        latency has."""
        if self.device.latency == "measured":
            return self.spec
        limits = self.spec.constraints.changed(max_latency_ms=None)
        return self.spec.changed(constraints=limits.to_dict())

    def deliver(
        self, runner: Runner, winner: Candidate, candidate: Path, prepared: Any
    ) -> tuple[Candidate, Path, list[Any]]:
        """What is delivered, and of which model: of the chosen one, or where none of its files can be, of the next best of
        the search, as long as there is time: that may meet the limits, or be converted."""
        self.ledger.phase(JobPhase.VERIFYING)
        self.budget.reserve("compress", 0.0)
        refused: dict[str, int] = {}
        for left in range(INSTEAD, -1, -1):
            began = self.clock.now()
            delivered = self._files(candidate, prepared)
            if any(isinstance(one, Artifact) for one in delivered):
                self._meanwhile(functools.partial(self._keep, candidate, prepared))
                return winner, candidate, delivered
            recipe, weights = account.recipe_of(candidate), account.weights_of(candidate)
            if not recipe.members:  # of an ensemble each member alone is smaller
                refused[recipe.architecture.id] = min(weights, refused.get(recipe.architecture.id, weights))
            following = self._following(runner, refused, self.clock.now() - began, left)
            if following is None:
                break
            winner, candidate = following, runner.place.folder(following.best.id)
            family = winner.best.recipe.architecture.id
            self.ledger.note(
                f"Another model of the search is tried in its place: {winner.best.id} ({family}), {self.metric} "
                f"{self._natural(winner.mean)}."
            )
        return winner, candidate, delivered

    def _following(self, runner: Runner, refused: Mapping[str, int], took_s: float, left: int) -> Candidate | None:
        """The best model of the search that may have better luck: of a family that was `refused`, one of clearly fewer
        weights than there. Where only one more can be tried, of the `left` or of those that there is time for, the
        smallest. None where none can be, or no model could have the files."""
        left_s = self.budget.step_deadline("deliver") - self.clock.now()
        possible = any(not entries.formats[wanted.format].lacking for wanted in self.spec.formats)
        too_late = left_s + LATE_TRY * self.spec.budget.wall_s < LAST_TRY * took_s
        if not left or too_late or not possible or self.spec.search.strategy == "fixed":
            return None

        def weights(candidate: Candidate) -> int:
            return candidate.best.parameters or 0

        others = [
            c for c in self._ranking(runner)
            if (most := refused.get(c.best.recipe.architecture.id)) is None or weights(c) <= FEWER * most
        ]
        if left == 1 or left_s < (2 + LAST_TRY) * took_s:
            others.sort(key=weights)
        return others[0] if others else None

    def _files(self, candidate: Path, prepared: Any) -> list[Any]:
        """Writes, runs and verifies every artifact that was asked for, on the sealed test rows."""
        executor = self.executor
        assert executor is not None
        return self._meanwhile(
            lambda: self.engine.deliver(
                candidate, prepared, formats=self.spec.formats, constraints=self.spec.constraints,
                tolerance=self.spec.tolerance, metric=self.metric, out=self.workdir / "artifacts",
                run_in_child=engine.one_at_a_time(executor.run_in_child),
                deadline=self.budget.step_deadline("deliver"), emit=self.ledger.emit, scratch=self.workdir / "verification",
                slots=max(1, self.control.slots), seed=self.request.seed,
            )
        )

    def _keep(self, candidate: Path, prepared: Any) -> None:
        """Leaves the model's kit beside the artifacts; without it the job has succeeded all the same."""
        try:
            folders = [self.workdir / "supernets" / id for id in self.state.supernets]
            self.engine.keep(
                candidate, prepared, self.workdir / "artifacts" / KIT, metric=self.metric, tolerance=self.spec.tolerance,
                supernet=next((folder for folder in folders if (folder / "weights.npz").is_file()), None),
            )
        except OSError as error:
            self.ledger.note(f"Nothing was kept to make further artifacts of: {error.strerror}.", warning=True)

    def conclude(self, winner: Candidate, candidate: Path, delivered: list[Any], prepared: Any) -> JobFinished:
        """Recipe file, report, and the job's last event."""
        self.ledger.phase(JobPhase.REPORTING)
        recipe = account.recipe_of(candidate)
        account.write_recipe(
            self.workdir / "recipe.json", candidate, self.spec, task=self.task, metric=self.metric,
            data_key=prepared.meta.key, seed=self.request.seed, made=self.clock.wall(),
        )
        test = self.engine.held_out(self.workdir / "verification")
        made = [a for a in delivered if isinstance(a, Artifact)]
        if not made:
            reasons = "; ".join(f"{r.format}:{r.precision}: {r.reason}" for r in delivered)
            limited = self.spec.constraints != type(self.spec.constraints)()
            reason = "INFEASIBLE" if limited else "NO_ARTIFACT"
            last = self._ended("FAILED", f"No artifact could be delivered. {reasons}", reason)
        else:
            last = self._ended("SUCCEEDED", "", "")
        last = last.changed(
            metric=self.metric, validation=self._value(winner.mean), test=test.get(self.metric), test_metrics=test,
            recipe=recipe.to_dict(),
        )
        page = account.report(
            self.engine.render, self.state.model_copy(update={"finished": last}), self.spec, job=self.request.job,
            dataset=str(self.request.dataset.get("filename", "")), verification=self.workdir / "verification",
        )
        if page is None:
            self.ledger.note("The report could not be drawn; the log says why.", warning=True)
        else:
            account.replace(self.workdir / "report.html", page)
        return last

    # --- the clock ---------------------------------------------------------------------------------------

    def _keep_reserve(self, modality: Modality | None = None) -> None:
        """The first estimate of what the end takes; scaled down so that a short budget isn't all reserve."""
        total = self.spec.budget.wall_s
        self.delivery_s = self.engine.deliver_estimate_s(self.spec.formats, None, None, slots=self.request.slots)
        steps = {
            "deliver": BUSY_PICTURES * self.delivery_s,
            "compress": self._compress_s(modality),
            "final": FINAL_SHARE * total if self.spec.search.strategy != "fixed" else 0.0,
            "report": REPORT_S,
        }
        for step, seconds in reserve_shares(total, steps).items():
            self.budget.reserve(step, seconds)

    def _estimate_again(self, runner: Runner, prepared: Any) -> None:
        """Reserves for the end what the best model so far needs."""
        ranked = self._ranking(runner)
        if not ranked:
            return
        best = ranked[0].best
        parts = prepared.meta.parts
        total = self.spec.budget.wall_s
        size = best.parameters or 100_000
        single_s = self._deliver_s(runner, prepared, [best.recipe], size)
        self._reserve_delivery(single_s, prepared)
        if self._past(JobPhase.SEARCHING) or self.spec.search.strategy == "fixed":
            return
        speed = runner.speeds.predict(best.recipe, runner.spread, surely=True)
        more_rows = 1 + parts.get("validation", 0) / max(1, parts["train"])
        wanted = speed.total_s(best.best_epoch or best.recipe.epochs) * more_rows
        short = speed.setup_s + finale.PLANNED_EPOCHS * speed.epoch_s * more_rows
        if wanted_members := bagging.most(prepared.meta.profile, self.spec.search, self.spec.constraints):
            factor = self._rows_factor(prepared.meta)

            def members_s(count: int) -> float:
                return bagging.duration_s([best.recipe] * count, runner.speeds.predict, factor, self.request.slots)

            def more_s(count: int) -> float:
                return members_s(count) + self._deliver_s(runner, prepared, [best.recipe] * count, size) - single_s

            if count := bagging.affordable(wanted_members, more_s, bagging.SHARE * total):
                self.budget.reserve("final", members_s(count) + BLEND_S)
                whole_s = self._deliver_s(runner, prepared, [best.recipe] * count, size)
                self._reserve_delivery(whole_s, prepared)
                return
        # Anew when that costs little of the budget, else a continuation; a long epoch is better spent in the search.
        share = FINAL_SHARE * total / finale.SAFETY
        self.budget.reserve("final", finale.SAFETY * (wanted if wanted <= share else short if short <= share else 0.0))

    def _deliver_s(self, runner: Runner, prepared: Any, recipes: Sequence[Recipe], parameters: int) -> float:
        """What the delivery of a network, or of an ensemble, is expected to take here now; `parameters` of one."""
        self.delivery_s = self.engine.deliver_estimate_s(
            self.spec.formats, bagging.ensemble(recipes), prepared.meta.profile, parameters=parameters * len(recipes),
            rows=prepared.meta.parts.get("test", 10_000), slots=self.request.slots,
        )
        busy = BUSY_PICTURES if prepared.meta.modality == Modality.IMAGE else runner.speeds.busy(BUSY)
        return float(busy * self.delivery_s)

    def _reserve_delivery(self, seconds: float, prepared: Any) -> None:
        """Keeps the time of the delivery, of a short budget not more than a part; and that of one more model's first file
        where the chosen one's may not meet the limits: of tables what files take is known when they are there."""
        limits = self.spec.constraints
        table = prepared.meta.modality == Modality.TABLE
        if table and (limits.max_size_bytes is not None or limits.max_latency_ms is not None):
            seconds *= 1 + 1 / len(self.spec.formats)
        self.budget.reserve("deliver", min(seconds, 0.4 * self.spec.budget.wall_s))

    def _compress_s(self, modality: Modality | None) -> float:
        """Seconds kept for the ladder: what its first rung takes, where the budget is long enough for that to have its
        share; and what the rungs take that the user forces."""
        if self.spec.search.strategy == "fixed":
            return 0.0
        usual, total = self.engine.compress_estimate_s(self.spec.formats), self.spec.budget.wall_s
        forced = self.engine.compress_estimate_s(self.spec.formats, self.spec.search.force) - usual
        if forced > 0:
            return float(min(usual + forced, FORCED_SHARE * total))
        # Networks are made small enough beforehand; how fast they are is less sure, and compression may still help.
        fast = self.spec.constraints.max_latency_ms is not None
        share = COMPRESS_SHARE_PICTURES if modality == Modality.IMAGE and not fast else COMPRESS_SHARE
        return float(usual if usual <= share * total else 0.0)

    # --- small things ------------------------------------------------------------------------------------

    def _past(self, phase: JobPhase) -> bool:
        """Whether the events say that a later phase had begun (this is a restart)."""
        return self.state.phase is not None and PHASES.index(self.state.phase) > PHASES.index(phase)

    def _meanwhile(self, work: Callable[[], T]) -> T:
        """Runs a long step in a thread and looks at commands meanwhile. Raises what the step raises, `Cancelled` or
        `ServerGone`; the step's children end with the process."""
        answer: list[T] = []
        fault: list[BaseException] = []

        def step() -> None:
            try:
                answer.append(work())
            except BaseException as error:  # noqa: BLE001 — handed over to the thread that waits.
                fault.append(error)
            finally:
                self.control.changed.set()

        self.control.changed.clear()
        thread = threading.Thread(target=step, daemon=True, name="step")
        thread.start()
        while thread.is_alive():
            self.control.changed.wait(1.0)
            self.control.changed.clear()
            self.control.check()
            thread.join(0.01)
        self.control.check()
        if fault:
            raise fault[0]
        return answer[0]

    def _inferred_task(self) -> str:
        from automl.data.source import Source

        source = Source.from_dict(self.request.dataset)
        task = validation.infer_task(source.info, self.spec.data.target, self.spec.data) if source.info is not None else None
        if task is None:
            raise InvalidInput.at("task", "could not be inferred from the data and target; name it", reason="TASK_UNCLEAR")
        return task

    def _check_disk(self) -> None:
        import shutil

        free = shutil.disk_usage(self.workdir).free
        if free < 200 * 2**20:
            from automl.spec import Unavailable

            raise Unavailable(f"the disk of the job's folder has {free / 2**20:.0f} MiB left, and 200 MiB are needed")

    def _mark_running(self, why: str) -> None:
        """Gives running trials their end in the ledger."""
        from automl.spec.event import SupernetEnded, TrialEnded

        for supernet in list(self.state.supernets.values()):
            if supernet.outcome is None:
                self.ledger.emit(
                    SupernetEnded(
                        supernet=supernet.id, attempt=supernet.attempt, outcome=Outcome.PRUNED, message=why, wall_s=0.0,
                        step_s=0.0,
                    )
                )
        for trial in list(self.state.trials.values()):
            if trial.outcome is None:
                self.ledger.emit(
                    TrialEnded(
                        trial=trial.id, attempt=trial.attempt, outcome=Outcome.PRUNED, message=why, wall_s=0.0, step_s=0.0
                    )
                )

    def _ended(self, state: Literal["SUCCEEDED", "FAILED", "CANCELLED"], message: str, reason: str) -> JobFinished:
        elapsed = self.spec.budget.wall_s - (self.request.deadline_epoch_s - self.clock.wall())
        return JobFinished(
            state=state, message=message, reason=reason, metric=self.metric,
            validation=self._value(self.state.best.score) if self.state.best is not None else None,
            wall_s=max(0.0, elapsed), goodput=account.goodput(self.state, self.request.slots, self._since_start_s()),
        )

    def _internal(self, error: BaseException) -> JobFinished:
        id = uuid.uuid4().hex[:12]
        log.error("error %s\n%s", id, "".join(traceback.format_exception(error)))
        message = f"A defect of ours ended the job. Its id in the log is {id}; please report it."
        return self._ended("FAILED", message, "INTERNAL")

    def _since_start_s(self) -> float:
        """Since the first event, of this controller or one before it."""
        first = self.request.events[0].time if self.request.events else self.clock.wall() - self.budget.elapsed_s()
        return self.clock.wall() - first

    def _value(self, score: float) -> float:
        """A score in the metric's own sign."""
        from automl.tasks import metrics

        return score if metrics.get(self.metric).larger_is_better else -score

    def _note_once(self, message: str, *, warning: bool = False) -> None:
        """A note that a restarted controller doesn't repeat."""
        if all(note.message != message for note in self.state.notes):
            self.ledger.note(message, warning=warning)

    def _natural(self, score: float) -> str:
        return f"{self._value(score):.4g}"

class NothingUsable(AutoMLError):
    """No trial left a model."""

    reason = "NO_USABLE_TRIAL"


def _plain(error: AutoMLError) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- the process -------------------------------------------------------------------------------------------


def main() -> int:
    """`python -m automl.job`: see the module's docstring."""
    # Events have standard output to themselves: whatever a library prints goes to the log.
    events = io.TextIOWrapper(os.fdopen(os.dup(1), "wb", buffering=0), encoding="utf-8", write_through=True)
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    lines: Iterable[str] = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
    stream = iter(lines)
    try:
        request = Request.model_validate_json(next(stream, ""))
    except ValueError as error:
        print(f"automl.job: the request can't be read: {error}", file=sys.stderr)
        return 2
    control = Control(request.slots)

    def write(event: Event) -> None:
        try:
            events.write(canonical(event.to_dict()).decode() + "\n")
        except (BrokenPipeError, OSError):
            control.end_of_input()
            _leave(SERVER_GONE)

    def hear() -> None:
        listen(stream, control, log)
        # Nobody reads us any more; what runs would only take the slots of whoever starts us again.
        _leave(SERVER_GONE)

    threading.Thread(target=hear, daemon=True, name="commands").start()
    code = Job(request, control, write, engine.product()).run()
    _leave(code)
    return code


def _families(space: Space) -> list[str]:
    domain = next(d.domain for d in space.dimensions if d.name == "architecture")
    assert isinstance(domain, Categorical)
    return [str(value) for value in domain.values]


def _of_genotypes(id: str) -> bool:
    return id in entries.architectures and entries.architectures[id].genotypes is not None


def _leave(code: int) -> None:
    """Ends all processes below this one, then this one at once."""
    import psutil

    below = psutil.Process().children(recursive=True)
    for process in below:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    raise SystemExit(main())
