"""Carries jobs from the queue to their end: shares the slots, runs a controller for each, and stores what it says.

    QUEUED ── a slot is free ──► RUNNING ── job-finished, or given up ──► SUCCEEDED / FAILED / CANCELLED
       ▲                            │
       └────── the disk is full ────┘

Running jobs are at most as many as slots; each has max(1, slots // running) of them and is told when that changes. Waiting
jobs start in the order in which they came within a project, projects in turn (fewest running first). A controller that
dies is started again with the events so far. What a controller says is stored before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil
import time
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog

from automl.spec import Artifact, Event, JobState
from automl.spec.event import JobFinished
from automl_server import errors, kits
from automl_server import resource_names as names
from automl_server.ballast import Ballast
from automl_server.config import Settings
from automl_server.content import ContentStore
from automl_server.controller import Controller, ProtocolFault, describe_exit
from automl_server.kits import Kits
from automl_server.signing import Signer
from automl_server.store import Store, datasets, events, jobs, models
from automl_server.store.events import NewEvent
from automl_server.store.jobs import CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED, JobRecord
from automl_server.store.models import ModelVersionRecord
from automl_server.summary import JobSummary, is_progress
from automl_server.watch import Hub
from automl_server.workdirs import Workdirs

ABORT, FINISH = "abort", "finish"

_RESTART_DELAY_S = (0.0, 0.5, 2.0)
"""Before the first, second and further restart without progress."""

log = structlog.get_logger(__name__)


@dataclass
class _Job:
    """An unfinished job."""

    record: JobRecord
    state: JobState = field(default_factory=JobState)
    """The fold of its events, without its sampler's state."""
    last_said: int = 0
    """The controller's number of the last event that is stored (the sampler's states included)."""
    slots: int = 0
    controller: Controller | None = None
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    crashes: int = 0
    """In a row without progress."""
    overran: bool = False
    pause: str = ""
    """Why it was interrupted (the disk is full, the store is locked), until the next look."""
    paused_at: float | None = None
    """Seconds since 1970 of the interruption: the time until it goes on doesn't count."""
    ending: bool = False
    """It is being ended without having been started."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end the delay before a restart."""

    @property
    def running(self) -> bool:
        return self.task is not None


class Supervisor:
    """All methods run in the event loop. `start` before anything else, `stop` at the end."""

    def __init__(
        self, store: Store, content: ContentStore, workdirs: Workdirs, hub: Hub, signer: Signer, kits: Kits,
        settings: Settings,
    ):
        self._signer = signer
        self._kits = kits
        self._store = store
        self._content = content
        self._workdirs = workdirs
        self._hub = hub
        self._settings = settings
        self._jobs: dict[int, _Job] = {}
        """Unfinished jobs by number, so oldest first."""
        self._stopping = False
        self._look_again: asyncio.TimerHandle | None = None
        self._ballast = Ballast(settings.data)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unfinished(self) -> int:
        return len(self._jobs)

    @property
    def running(self) -> int:
        return sum(job.running for job in self._jobs.values())

    async def start(self) -> None:
        """Takes up the jobs that a server before this one left unfinished, those that were running first."""
        await asyncio.to_thread(self._ballast.fill)
        for record in sorted(await self._store.read(jobs.unfinished), key=lambda r: (r.state != RUNNING, r.number)):
            await asyncio.to_thread(self._workdirs.end_leftover, record.name)
            self._jobs[record.number] = _Job(record, await self._folded(record), record.last_controller_event)
            self._hub.open(record.number, record.last_event)
            log.info("job taken up", job=str(record.name), state=record.state, events=record.last_event)
        self._schedule()

    async def stop(self) -> None:
        """Ends every controller (they are told first); their jobs stay RUNNING in the store, for the next server."""
        self._stopping = True
        if self._look_again is not None:
            self._look_again.cancel()
        for job in self._jobs.values():
            job.wake.set()
            if job.controller is not None:
                job.controller.close_input()
                asyncio.get_running_loop().call_later(self._settings.stop_grace_s, job.controller.kill)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def submit(self, record: JobRecord, request_id: str, body_sha256: str) -> JobRecord:
        """Stores a new job (durable when this returns) and queues it; the job that the request id made before, if it did.

        Raises as `store.jobs.insert`.
        """
        stored, is_new = await self._store.write(
            _insert, record, request_id, body_sha256, self._settings.max_unfinished_jobs
        )
        if is_new:
            self._jobs[stored.number] = _Job(stored)
            self._hub.open(stored.number, stored.last_event)
            log.info("job queued", job=str(stored.name))
            self._schedule()
        return stored

    async def cancel(self, record: JobRecord, mode: str) -> None:
        """Ends a job: ABORT at once, with all its processes gone when this returns (or killed a few seconds later); FINISH
        lets its controller end with the best so far. A job that has ended stays as it is; one that waits is cancelled."""
        job = self._jobs.get(record.number)
        if job is None:
            return
        if job.record.cancel != ABORT:
            job.record = await self._store.write(jobs.update, record.number, cancel=mode)
            log.info("job to be cancelled", job=str(record.name), mode=mode)
            job.wake.set()
            await self._tell(job, mode)
        if mode == ABORT:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.cancel_grace_s + 5):
                    await job.done.wait()

    async def _tell(self, job: _Job, mode: str) -> None:
        """Passes a cancellation on to whatever stage the job is at."""
        if job.controller is not None:
            job.controller.command("finish" if mode == FINISH else "cancel")
            if mode == ABORT:
                asyncio.get_running_loop().call_later(self._settings.cancel_grace_s, job.controller.kill)
        elif not job.running and (mode == ABORT or job.record.state == QUEUED):
            # One that was interrupted and shall finish does so when it goes on; one between two controllers looks by itself.
            job.ending = True
            try:
                await self._end(job, CANCELLED, "Cancelled while it waited.")
            finally:
                job.ending = False

    async def current(self, record: JobRecord) -> tuple[JobRecord, JobSummary]:
        """A job with its figures, as it is now."""
        job = self._jobs.get(record.number)
        if job is None:
            if not record.ended:  # it ended since the record was read
                now = await self._store.read(jobs.get, record.name)
                record = now or record
            return record, record.summary or JobSummary()
        now = job.record
        if not job.running:
            now = dataclasses.replace(now, message=self._why_waiting(job))
        return now, JobSummary.of(job.state)

    async def fold(self, record: JobRecord) -> JobState:
        """The fold of a job's events, without its sampler's state. Of an unfinished job: shared, not to be changed."""
        job = self._jobs.get(record.number)
        if job is not None:
            return job.state
        return await self._folded(record)

    async def _folded(self, record: JobRecord) -> JobState:
        past = await self._store.read(events.of_controller, record.number, sampler_state=False)
        return await asyncio.to_thread(lambda: JobState.fold(map(Event.from_dict, past)))

    # The queue

    def _schedule(self) -> None:
        """Starts what may start, and tells running controllers their share."""
        if self._stopping:
            return
        room = self._room()
        while room and self.running < self._settings.slots and (job := self._next()) is not None:
            job.wake.clear()
            job.task = asyncio.create_task(self._carry(job), name=f"job {job.record.name}")
            self._tasks.add(job.task)
            job.task.add_done_callback(self._tasks.discard)
        if self._look_again is None and any(job.pause or (not room and not job.running) for job in self._jobs.values()):
            self._look_again = asyncio.get_running_loop().call_later(self._settings.disk_check_s, self._look)
        share = max(1, self._settings.slots // max(1, self.running))
        for job in self._jobs.values():
            if job.running and job.slots != share:
                job.slots = share
                if job.controller is not None:
                    job.controller.command("slots", slots=share)

    def _look(self) -> None:
        self._look_again = None
        if self._room():
            self._ballast.fill()
        for job in self._jobs.values():
            job.pause = ""
        self._schedule()

    def _room(self) -> bool:
        return shutil.disk_usage(self._settings.data).free >= self._settings.min_free_bytes

    def _next(self) -> _Job | None:
        """The first waiting job of the project with the fewest running ones; what a server before this one ran comes
        first."""
        busy: dict[str, int] = {}
        first: dict[str, _Job] = {}
        for job in self._jobs.values():
            project = job.record.project
            if job.running:
                busy[project] = busy.get(project, 0) + 1
            elif not job.ending and not job.pause:
                first.setdefault(project, job)
        waiting = sorted(
            first.values(), key=lambda job: (job.record.state != RUNNING, busy.get(job.record.project, 0), job.record.number)
        )
        return waiting[0] if waiting else None

    def _why_waiting(self, job: _Job) -> str:
        if job.pause:
            return f"Interrupted: {job.pause} It goes on by itself."
        if not self._room():
            free = shutil.disk_usage(self._settings.data).free
            return (
                f"Waits for room on the server's disk: {free >> 20} MiB are free, {self._settings.min_free_bytes >> 20} MiB "
                "are needed. It goes on by itself."
            )
        running = [other for other in self._jobs.values() if other.running]
        before = sum(
            1
            for other in self._jobs.values()
            if not other.running and other.record.project == job.record.project and other.record.number < job.record.number
        )
        taken = ", ".join(other.record.id for other in running[:5]) + (" …" if len(running) > 5 else "")
        return (
            f"Waits for a slot: {min(len(running), self._settings.slots)} of {self._settings.slots} are taken by {taken}; "
            f"{before} of the project's jobs come first."
        )

    # A job

    async def _carry(self, job: _Job) -> None:
        """Runs controllers until the job has ended, must wait for room, or the server stops."""
        structlog.contextvars.bind_contextvars(job=str(job.record.name))
        try:
            if job.record.cancel == ABORT or (job.record.cancel and job.record.state == QUEUED):
                await self._end(job, CANCELLED, "Cancelled.")
                return
            await self._begin(job)
            while not job.state.finished:
                code, fault = await self._run_controller(job)
                if self._stopping:
                    return
                if job.state.finished or job.record.cancel == ABORT or job.overran:
                    break
                if not self._room():
                    raise errors.StoreFull
                job.crashes += 1
                what = fault or describe_exit(code)
                log.warning("controller died", what=what, crashes=job.crashes)
                if job.crashes > self._settings.max_crashes:
                    await self._end(
                        job,
                        FAILED,
                        f"The job's controller died {job.crashes} times in a row without progress, the last time of "
                        f"{what}. The server's log has its last words.",
                        "CONTROLLER_CRASHED",
                    )
                    return
                await self._say(job, RUNNING, f"The controller died ({what}); it goes on from the last event.")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RESTART_DELAY_S[min(job.crashes, len(_RESTART_DELAY_S)) - 1]):
                        await job.wake.wait()
                job.wake.clear()
                if self._stopping:
                    return
                if job.record.cancel == ABORT:
                    break
            await self._conclude(job)
        except (errors.StoreFull, errors.Busy) as error:
            log.warning("job interrupted", why=str(error))
            job.pause, job.paused_at = str(error), time.time()
            await self._tell_pause(job)
        except Exception as error:
            log.exception("job given up")
            await self._give_up(job, error)
        finally:
            job.task, job.controller, job.slots = None, None, 0
            self._schedule()

    async def _begin(self, job: _Job) -> None:
        """RUNNING, with a deadline: time in the queue isn't counted."""
        if job.record.state == QUEUED:
            now = time.time()
            budget = job.record.spec.budget
            job.record = await self._store.write(
                jobs.update, job.record.number, state=RUNNING, start_time=now, deadline=now + budget.wall_s - budget.spent_s
            )
            await self._say(job, RUNNING, "")
        elif job.paused_at is not None and job.record.deadline is not None:
            waited = time.time() - job.paused_at
            job.record = await self._store.write(
                jobs.update, job.record.number, deadline=job.record.deadline + waited
            )
            job.paused_at = None
            await self._say(job, RUNNING, f"It goes on; the {waited:.0f} s of waiting don't count.")

    async def _tell_pause(self, job: _Job) -> None:
        """Says to those who watch why nothing happens. On a full disk in the room of the ballast, once."""
        full = not self._room()
        if full and not self._ballast.release():
            return
        try:
            await self._say(job, RUNNING, f"Interrupted: {job.pause} It goes on by itself.")
        except (errors.StoreFull, errors.Busy) as error:
            log.warning("the interruption could not be stored", why=str(error))

    async def _say(self, job: _Job, state: str, message: str) -> None:
        """Stores and publishes an event of the server's own."""
        await self._append(job, [NewEvent.state_changed(state, message, time.time())])

    async def _append(self, job: _Job, new: list[NewEvent]) -> None:
        stored = await self._store.write(events.append, job.record.number, new)
        if stored:
            job.record = dataclasses.replace(job.record, last_event=stored[-1].sequence)
            self._hub.publish(job.record.number, stored)

    async def _run_controller(self, job: _Job) -> tuple[int, str]:
        """Runs one controller to its end; its exit code, and what it did wrong if it had to be stopped for that."""
        request = await self._request(job)
        try:
            controller = await Controller.start(
                self._settings.controller_command, self._workdirs.log(job.record.name), str(job.record.name)
            )
        except OSError as error:
            return 127, f"it could not be started ({error.strerror})"
        job.controller = controller
        await asyncio.to_thread(self._workdirs.remember_controller, job.record.name, controller.pid)
        log.info("controller started", pid=controller.pid, slots=job.slots, past_events=len(request["events"]))
        controller.begin(request | {"slots": job.slots})
        if job.record.cancel == FINISH:
            controller.command("finish")
        if self._stopping:
            controller.close_input()
        if job.record.cancel == ABORT:  # asked for while it started
            controller.kill()
        timer = asyncio.get_running_loop().call_later(self._patience_s(job), self._overrun, job, controller)
        fault = ""
        try:
            async for batch in controller.events():
                await self._take(job, batch)
                if job.state.finished:
                    break
        except ProtocolFault as error:
            fault = f"it broke the protocol: {error}"
            log.error("protocol fault", fault=str(error))
            controller.kill()
        except BaseException:
            controller.kill()
            raise
        finally:
            timer.cancel()
            code = await controller.wait(self._grace_s(job))
            job.controller = None
        return code, fault

    def _grace_s(self, job: _Job) -> float:
        """How long a controller may take to exit after its output has ended, or its last event."""
        return self._settings.stop_grace_s if self._stopping else self._settings.finish_grace_s

    async def _request(self, job: _Job) -> dict[str, Any]:
        """The first line for the controller."""
        record = job.record
        past = await self._store.read(events.of_controller, record.number, sampler_state=True)
        assert record.deadline is not None
        return {
            "job": str(record.name),
            "spec": record.spec.to_dict(),
            "workdir": str(await asyncio.to_thread(self._workdirs.work, record.name)),
            "dataset": await self._dataset(record.dataset),
            "test_dataset": None if record.test_dataset is None else await self._dataset(record.test_dataset),
            "events": past,
            "cache": str(self._settings.data / "cache"),
            "deadline_epoch_s": record.deadline,
            "seed": record.spec.search.seed,
        }

    async def _dataset(self, name: str) -> dict[str, Any]:
        record = await self._store.read(datasets.get, names.Dataset.parse(name))
        if record is None:
            raise errors.NotFound(f"The data set {name} is gone.")
        return {
            "path": str(self._content.path(record.sha256)),
            "filename": record.filename,
            "info": record.info.to_dict(),
            "sha256": record.sha256,
        }

    async def _take(self, job: _Job, batch: list[Event]) -> None:
        """Stores what the controller said, then folds and publishes it."""
        fresh = [event for event in batch if event.sequence > job.last_said]
        for place, event in enumerate(fresh, start=job.last_said + 1):
            if event.sequence != place:
                raise ProtocolFault(f"expected event {place}, got {event.sequence}")
        await self._append(
            job,
            [
                NewEvent(e.sequence, e.time, e.payload.kind, json.dumps(e.payload.to_dict(), ensure_ascii=False))
                for e in fresh
            ],
        )
        for event in fresh:
            job.last_said = event.sequence
            if is_progress(job.state, event.payload):
                job.crashes = 0
            job.state.apply(event)
            job.state.sampler = None  # the store has it; it can be large

    def _patience_s(self, job: _Job) -> float:
        """Seconds until a controller that is started now has to be gone: the rest of the budget, a tenth of it and a bit
        more.

        One that is started after the deadline (the server was away) still has the tenth, to deliver the best so far.
        """
        assert job.record.deadline is not None
        left = max(0.0, job.record.deadline - time.time())
        return left + 0.1 * job.record.spec.budget.wall_s + self._settings.overrun_grace_s

    def _overrun(self, job: _Job, controller: Controller) -> None:
        log.error("budget overrun, controller killed", job=str(job.record.name))
        job.overran = True
        controller.kill()

    # The end of a job

    async def _conclude(self, job: _Job) -> None:
        finished = job.state.finished
        if finished is not None:
            await self._finish(job, finished)
        elif job.record.cancel == ABORT:
            await self._end(job, CANCELLED, "Cancelled.")
        else:
            kept = await self._register(job, None)
            message = "The job ran past its budget without coming to an end, and was stopped."
            message += f" What was proven before is kept: {kept.name}." if kept else " Nothing usable was there."
            await self._end(job, FAILED, message, "BUDGET_EXCEEDED", kept)

    async def _finish(self, job: _Job, finished: JobFinished) -> None:
        if finished.state == CANCELLED or (job.record.cancel == ABORT and finished.state != SUCCEEDED):
            await self._end(job, CANCELLED, finished.message or "Cancelled.", finished.reason)
            return
        try:
            kept = await self._register(job, finished)
        except errors.DataLoss as error:
            await self._end(job, FAILED, f"An artifact did not arrive as it was proven: {error}", error.reason)
            return
        await self._end(job, finished.state, finished.message, finished.reason, kept)

    async def _register(self, job: _Job, finished: JobFinished | None) -> ModelVersionRecord | None:
        """Takes the artifacts into the content store and makes them a model version; None when there are none.

        Raises `DataLoss` when the job finished and one isn't what was proven; without `finished` such are left out.
        """
        record, summary = job.record, JobSummary.of(job.state)
        taken: list[Artifact] = []
        async with self._content.guard:
            for artifact in job.state.artifacts.values():
                source = self._workdirs.artifact(record.name, artifact.filename)
                try:
                    if source is None:
                        raise errors.DataLoss(f"{artifact.filename!r} is no plain file name.", reason="ARTIFACT_MISSING")
                    await asyncio.to_thread(self._content.ingest, source, artifact.sha256, artifact.size_bytes)
                except errors.DataLoss as error:
                    if finished is not None:
                        raise
                    log.warning("artifact left out", artifact=artifact.id, why=str(error))
                    continue
                taken.append(artifact)
            if not taken:
                return None
            dataset = names.Dataset.parse(record.dataset)
            otherwise = (
                names.slug(f"{dataset.dataset}-{summary.target}", dataset.dataset) if summary.target else dataset.dataset
            )
            recipe = finished.recipe if finished else None
            if recipe is None and job.state.best is not None and (trial := job.state.trials.get(job.state.best.trial)):
                recipe = trial.recipe
            data = await self._proven_data(record)
            proven = tuple(
                artifact.changed(proof=self._signer.proof(artifact, job=str(record.name), data=data)) for artifact in taken
            )
            registered = await self._store.write(
                models.insert,
                ModelVersionRecord(
                    project=record.project,
                    model=names.slug(record.spec.display_name, otherwise),
                    display_name=record.spec.display_name or otherwise,
                    job=str(record.name),
                    dataset=record.dataset,
                    task=summary.task or record.spec.task or "",
                    metric=summary.metric,
                    validation_metric=summary.validation_metric,
                    test_metric=summary.test_metric,
                    test_metrics=summary.test_metrics,
                    recipe=recipe.canonical_json().decode() if recipe else "",
                    create_time=time.time(),
                    artifacts=proven,
                ),
            )
            kit = self._workdirs.artifact(record.name, kits.FILENAME)
            assert kit is not None
            await asyncio.to_thread(self._kits.keep, kit, registered.name)
            return registered

    async def _proven_data(self, record: JobRecord) -> dict[str, Any]:
        """The data that an artifact was measured on, as a proof names them."""
        said: dict[str, Any] = {"dataset": record.dataset, "sha256": (await self._dataset(record.dataset))["sha256"]}
        if record.test_dataset is not None:
            held = await self._dataset(record.test_dataset)
            said |= {"test_dataset": record.test_dataset, "test_sha256": held["sha256"]}
        return said

    async def _end(
        self, job: _Job, state: str, message: str, reason: str = "", kept: ModelVersionRecord | None = None
    ) -> None:
        """Stores the job's last event with its end, and lets the watchers go."""
        record, stored = await self._store.write(
            _close,
            job.record.number,
            NewEvent.state_changed(state, message, time.time()),
            {
                "state": state,
                "message": message,
                "reason": reason,
                "end_time": time.time(),
                "summary": JobSummary.of(job.state),
                "model_version": str(kept.name) if kept else "",
            },
        )
        job.record = record
        self._jobs.pop(record.number, None)
        self._hub.publish(record.number, stored)
        self._hub.end(record.number)
        job.done.set()
        log.info("job ended", job=str(record.name), state=state, reason=reason)
        try:
            await asyncio.to_thread(self._workdirs.close, record.name, keep=self._settings.keep_workdirs)
        except OSError:
            log.exception("the job's folder could not be removed", job=str(record.name))

    async def _give_up(self, job: _Job, error: Exception) -> None:
        """Ends a job because of a defect of ours; when even that can't be stored, the next server takes the job up."""
        try:
            reason = error.reason if isinstance(error, errors.Refusal) else "INTERNAL"
            text = str(error) if isinstance(error, errors.Refusal) else "A defect of the server; its log has the details."
            if job.record.number in self._jobs:
                await self._end(job, FAILED, text, reason)
        except Exception:
            log.exception("the job's end could not be stored; it is taken up at the next start")
            self._jobs.pop(job.record.number, None)
            self._hub.end(job.record.number)
            job.done.set()


def _insert(
    connection: sa.Connection, record: JobRecord, request_id: str, body_sha256: str, max_unfinished: int
) -> tuple[JobRecord, bool]:
    stored, is_new = jobs.insert(connection, record, request_id, body_sha256, max_unfinished)
    if is_new:
        [event] = events.append(connection, stored.number, [NewEvent.state_changed(QUEUED, "", stored.create_time)])
        stored = dataclasses.replace(stored, last_event=event.sequence)
    return stored, is_new


def _close(
    connection: sa.Connection, number: int, event: NewEvent, values: dict[str, Any]
) -> tuple[JobRecord, list[events.EventRecord]]:
    stored = events.append(connection, number, [event])
    return jobs.update(connection, number, **values), stored
