"""The executor of one machine: a fork server, one process a trial, one slot a GPU or CPU core.

One process a trial, because TensorFlow leaks (about 12 MB a trial even when its session is cleared), and because a trial
that takes its process down takes nothing else with it. Threads are pinned through the environment before the fork server
starts.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import selectors
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from automl.execution import children, environment, outcomes, resources, worker
from automl.execution.executor import Busy, Ended, Epoch, Report, Work
from automl.execution.forkserver import Child, Exited, ForkServer, ServerLost, Spawned
from automl.spec import Measurement, Outcome
from automl.training.result import TrainResult

SILENCE_S = 180.0
"""A worker that says nothing for so long is hung. Longer than the tracing of the largest models."""
GRACE_S = 5.0
"""What a worker gets after its deadline, to write its candidate."""
LOG = "trial.log"


@dataclasses.dataclass
class _Run:
    work: Work
    slots: list[resources.Slot]
    child: Child
    started: float
    heard: float
    """When the worker last said something, or was forked; counts only while `waiting` is False."""
    forked: bool = False
    waiting: bool = False
    """An epoch is reported and not answered: the worker's silence is ours."""
    trained: dict[str, Any] | None = None
    """The worker's message with the result of its training; from then on it measures the file."""
    measured_by: float = math.inf
    stop_by: float | None = None
    killed: tuple[Outcome, str] | None = None
    said: dict[str, Any] | None = None
    """The worker's last message: how it went."""
    last: Measurement | None = None
    buffer: bytes = b""


@dataclasses.dataclass
class _Task:
    """A child of `run_in_child`."""

    over: bool = False
    exit: Exited | None = None
    """None when it went down with the fork server."""


class LocalExecutor:
    """Runs trials on this machine. See `automl.execution.executor` for what it keeps.

    `slots`: how many trials at once; None: one a GPU, else one a CPU core. `threads`: of a worker for each of its slots.
    `entry`: the "module:function" that a worker runs, `f(work, session, threads) -> TrainResult`. `preload`: what the fork
    server imports (None: what trainings need). `env`: variables for the workers on top of those that are passed on.
    """

    def __init__(
        self,
        slots: int | None = None,
        *,
        threads: int = 1,
        entry: str = "automl.execution.worker:train",
        preload: tuple[str, ...] | None = None,
        env: Mapping[str, str] | None = None,
        silence_s: float = SILENCE_S,
        grace_s: float = GRACE_S,
        log: Path | None = None,
    ):
        self._all_slots = list(resources.slots(slots))
        self._limit = len(self._all_slots)
        self._threads = threads
        self._entry = entry
        self._preload = ("automl.execution.worker:preload",) if preload is None else preload
        self._env = {**environment.allowed(), **environment.for_training(threads), **(env or {})}
        self._silence_s = silence_s
        self._grace_s = grace_s
        self._log = log
        self._machine = resources.machine()
        self._runs: dict[int, _Run] = {}
        """By the fork server's number of the child."""
        self._tasks: dict[int, _Task] = {}
        self._reports: list[Report] = []
        self._selector = selectors.DefaultSelector()
        self._server: ForkServer | None = None
        self._closed = False
        self._ensure_server()

    # --- the contract --------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        return self._limit

    @property
    def running(self) -> frozenset[str]:
        return frozenset(run.work.trial for run in self._runs.values())

    @property
    def taken(self) -> int:
        return sum(len(run.slots) for run in self._runs.values())

    @property
    def spreads(self) -> bool:
        # JAX takes all cores for each worker, whatever the threads it is given.
        tensorflow = self._env.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
        return tensorflow and not any(slot.gpus for slot in self._all_slots)

    @property
    def machine(self) -> str:
        return self._machine

    def start(self, work: Work) -> int:
        if self._closed:
            raise RuntimeError("the executor is closed")
        if work.trial in self.running:
            raise ValueError(f"trial {work.trial!r} is running already")
        if not 1 <= work.slots <= (self._limit if self.spreads else 1):
            raise ValueError(f"trial {work.trial!r} wants {work.slots} of {self._limit} slots")
        taken = {slot.number for run in self._runs.values() for slot in run.slots}
        free = [slot for slot in self._all_slots[: self._limit] if slot.number not in taken]
        if len(free) < work.slots:
            raise Busy(f"of {self._limit} slots {len(free)} are free, and trial {work.trial!r} wants {work.slots}")
        held = free[: work.slots]
        work.workdir.mkdir(parents=True, exist_ok=True)
        child = self._ensure_server().spawn(
            "automl.execution.worker:main", log=work.workdir / LOG, env=held[0].env, memory_bytes=work.memory_bytes
        )
        child.channel.setblocking(False)
        room = sum(resources.room_bytes(slot, self._all_slots[: self._limit]) for slot in held)
        offered = dataclasses.replace(work, room_bytes=min(room, work.memory_bytes or room))
        threads = self._threads * len(held)
        order = {"work": worker.to_json(offered), "entry": work.entry or self._entry, "threads": threads}
        # A recipe is a few KiB, far below the socket's buffer, so this doesn't wait for the worker to read.
        child.channel.sendall(json.dumps(order).encode() + b"\n")
        now = time.monotonic()
        run = self._runs[child.id] = _Run(work, held, child, now, now)
        self._selector.register(child.channel, selectors.EVENT_READ, run)
        return held[0].number

    def poll(self, timeout_s: float) -> list[Report]:
        end = time.monotonic() + timeout_s
        while True:
            self._enforce()
            now = time.monotonic()
            wait = 0.0 if self._reports else max(0.0, min([end, *self._timers()]) - now)
            if not self._runs and not self._reports:
                wait = 0.0
            self._pump(wait)
            if self._reports or not self._runs or time.monotonic() >= end:
                reports, self._reports = self._reports, []
                return reports

    def answer(self, trial: str, attempt: int, go_on: bool) -> bool:
        run = self._find(trial)
        if run is None or run.work.attempt != attempt or not run.waiting:
            return False
        run.waiting = False
        run.heard = time.monotonic()
        return self._tell(run, {"go_on": go_on})

    def stop(self, trial: str, grace_s: float = 0.0) -> None:
        run = self._find(trial)
        if run is None:
            return
        run.stop_by = time.monotonic() + grace_s
        if grace_s > 0:
            if run.waiting:
                run.waiting = False
                run.heard = time.monotonic()
                self._tell(run, {"go_on": False})
            else:
                self._tell(run, {"stop": True})
        else:
            self._kill(run, Outcome.PRUNED, "stopped")

    def resize(self, slots: int) -> None:
        if slots > len(self._all_slots):
            self._all_slots = list(resources.slots(slots))
        self._limit = slots

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            self._server.close()
        for run in self._runs.values():
            run.child.channel.close()
        self._runs.clear()
        self._reports.clear()
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def run_in_child(
        self, target: str, request: dict[str, Any], *, timeout_s: float, memory_bytes: int | None = None,
        env: Mapping[str, str] | None = None, preload: str | None = None,
    ) -> dict[str, Any]:
        """As `children.run_in_child`; with `preload="tensorflow"` the child comes from this executor's fork server. It takes
        no slot. Trials run on meanwhile; their reports wait for the next `poll`."""
        if preload is None:
            return children.run_in_child(target, request, timeout_s=timeout_s, memory_bytes=memory_bytes, env=env)
        end = time.monotonic() + timeout_s
        with tempfile.NamedTemporaryFile() as log:
            child = self._ensure_server().spawn(
                "automl.execution.children:forked", log=Path(log.name), memory_bytes=memory_bytes,
                env={"CUDA_VISIBLE_DEVICES": "-1", **(env or {})},
            )
            task = self._tasks[child.id] = _Task()

            def check() -> bool:
                self._pump(0.0)
                return not task.over

            with child.channel:
                data = children.exchange(child.channel, {"target": target, "request": request}, end, check)
            timed_out = time.monotonic() >= end
            if not task.over and self._server is not None:
                if data.endswith(b"\n"):
                    self._pump_until(task, time.monotonic() + 1.0)
                self._server.kill(child)
            self._pump_until(task, time.monotonic() + 10.0)
            del self._tasks[child.id]
            log.seek(max(0, os.path.getsize(log.name) - children.LOG_BYTES))
            printed = log.read().decode("utf-8", "replace")
        exit = task.exit
        ending = children.Ending(
            data, exit.returncode if exit else None, exit.out_of_memory if exit else False, timed_out, printed
        )
        return children.answer_of(ending, timeout_s, memory_bytes)

    # --- inside --------------------------------------------------------------------------------

    def _ensure_server(self) -> ForkServer:
        """The fork server; a new one when there is none or it died."""
        if self._server is not None and not self._server.alive:
            self._server_events()  # Its end is told before its successor starts.
        if self._server is None:
            self._server = ForkServer(self._preload, self._env, self._log)
            self._selector.register(self._server, selectors.EVENT_READ, None)
        return self._server

    def _pump(self, wait_s: float) -> None:
        """Takes in what workers and fork server have said; waits up to `wait_s` for the first of it."""
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                self._server_events()
            elif key.data.child.id in self._runs:  # Its end may have come earlier in this very round.
                self._listen(key.data)

    def _pump_until(self, task: _Task, end: float) -> None:
        while not task.over and (left := end - time.monotonic()) > 0:
            self._pump(left)

    def _find(self, trial: str) -> _Run | None:
        return next((run for run in self._runs.values() if run.work.trial == trial), None)

    def _tell(self, run: _Run, message: dict[str, Any]) -> bool:
        try:
            run.child.channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # The worker is dying; its end is reported by the fork server.
            return False
        return True

    def _kill(self, run: _Run, outcome: Outcome, message: str) -> None:
        if run.killed is None:
            run.killed = (outcome, message)
            if self._server is not None:
                self._server.kill(run.child)

    def _timers(self) -> list[float]:
        """When `_enforce` has to look next."""
        times = []
        for run in self._runs.values():
            if run.killed is not None:
                continue
            if run.stop_by is not None:
                times.append(run.stop_by)
            if run.work.deadline is not None:
                times.append(run.work.deadline + self._grace_s)
            if run.trained is not None:
                times.append(run.measured_by)
            elif run.forked and not run.waiting:
                times.append(run.heard + self._silence_s)
        return times

    def _enforce(self) -> None:
        """Kills what is beyond its time."""
        now = time.monotonic()
        for run in self._runs.values():
            if run.stop_by is not None and now >= run.stop_by:
                self._kill(run, Outcome.PRUNED, "stopped")
            elif run.work.deadline is not None and now >= run.work.deadline + self._grace_s:
                self._kill(run, Outcome.TIMED_OUT, f"still running {self._grace_s:g} s after its deadline")
            elif run.trained is not None:
                if now >= run.measured_by:
                    wanted, limit_s = run.trained["wanted"], run.trained["limit_s"]
                    message = f"the model can't be given as {wanted}: it wasn't written and run within {limit_s:.0f} s"
                    self._kill(run, Outcome.UNCONVERTIBLE, message)
            elif run.forked and not run.waiting and now >= run.heard + self._silence_s:
                self._kill(run, Outcome.TIMED_OUT, f"no sign of progress for {self._silence_s:g} s")

    def _listen(self, run: _Run) -> None:
        """Reads what a worker has said so far."""
        while True:
            try:
                data = run.child.channel.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                # Closed by the worker's end; the fork server says how it ended.
                self._unregister(run)
                break
            run.buffer += data
        *lines, run.buffer = run.buffer.split(b"\n")
        for line in lines:
            message = json.loads(line)
            run.heard = time.monotonic()
            if message["kind"] == "epoch":
                run.last = Measurement.from_dict(message["measurement"])
                if run.killed is None:
                    run.waiting = True
                    self._reports.append(Epoch(run.work.trial, run.work.attempt, run.last))
            elif message["kind"] == "measuring":
                # A worker whose child converts has the same limit for it, and knows more of how that ended.
                run.trained, run.measured_by = message, run.heard + message["limit_s"] + self._grace_s
            elif message["kind"] != "beat":
                run.said = message

    def _unregister(self, run: _Run) -> None:
        if run.child.channel.fileno() in self._selector.get_map():
            self._selector.unregister(run.child.channel)

    def _server_events(self) -> None:
        server = self._server
        if server is None:
            return
        for event in server.events():
            if not isinstance(event, ServerLost) and (task := self._tasks.get(event.id)) is not None:
                if isinstance(event, Exited):
                    task.over, task.exit = True, event
            elif isinstance(event, Spawned):
                self._runs[event.id].forked = True
                self._runs[event.id].heard = time.monotonic()
            elif isinstance(event, Exited):
                self._end(self._runs[event.id], event)
            elif isinstance(event, ServerLost):
                self._selector.unregister(server)
                server.close()
                self._server = None
                for run in list(self._runs.values()):
                    self._end(run, None)
                for task in self._tasks.values():
                    task.over = True

    def _end(self, run: _Run, exit: Exited | None) -> None:
        """Reports the end of an attempt. `exit` is None when it went down with the fork server."""
        self._listen(run)
        self._unregister(run)
        run.child.channel.close()
        del self._runs[run.child.id]
        outcome, message, result = _classify(run, exit)
        step_s = result.step_s if result is not None else run.last.step_s if run.last is not None else 0.0
        self._reports.append(Ended(
            run.work.trial, run.work.attempt, outcome, message, result, slot=run.slots[0].number,
            wall_s=time.monotonic() - run.started, step_s=step_s, peak_bytes=exit.peak_bytes if exit else None,
        ))

def _classify(run: _Run, exit: Exited | None) -> tuple[Outcome, str, TrainResult | None]:
    """What an attempt's end means. What the worker said counts first: it ended by itself and knows why."""
    if run.said is not None and run.said["kind"] == "done":
        result = TrainResult.from_dict(run.said["result"])
        return result.outcome, result.message, result
    if run.said is not None:
        return Outcome(run.said["outcome"]), run.said["message"], None
    if exit is None:
        return Outcome.LOST, "the worker went down with its fork server", None
    if exit.out_of_memory and run.work.memory_bytes is not None:
        return Outcome.OOM, f"used more than its {run.work.memory_bytes / 2**20:.0f} MiB of memory", None
    if run.killed is not None:
        outcome, message = run.killed
        if run.trained is None or outcome is Outcome.UNCONVERTIBLE:
            return outcome, message, None
        # What was trained counts, measured or not.
        result = TrainResult.from_dict(run.trained["result"])
        message = f"it wasn't measured as {run.trained['wanted']}: {message}"
        return outcome if outcome is Outcome.PRUNED else result.outcome, message, result
    if exit.returncode >= 0:
        return Outcome.LOST, f"the worker ended with exit code {exit.returncode} and no result", None
    name = outcomes.signal_name(-exit.returncode)
    tail = outcomes.last_line(run.work.workdir / LOG)
    if run.work.memory_bytes is not None and -exit.returncode == signal.SIGABRT and "bad_alloc" in tail:
        return Outcome.OOM, f"an allocation failed under the limit of {run.work.memory_bytes / 2**20:.0f} MiB: {tail}", None
    return Outcome.LOST, f"the worker was ended by {name}" + (f"; last line of its log: {tail}" if tail else ""), None
