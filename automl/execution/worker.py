"""A worker: the process of one attempt at a trial. It gets its work over a channel, trains, and says how it went.

The channel is a stream of JSON lines. The controller sends the work, then `{"go_on": bool}` for each epoch, and perhaps
`{"stop": true}`; the worker sends `{"kind": "beat"}` while its steps make progress, `{"kind": "epoch"}` and then waits,
`{"kind": "measuring"}` with the result where that is then measured as a file, and last `{"kind": "done"}` with the result or
`{"kind": "failed"}` with an outcome.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import math
import select
import socket
import time
import traceback
from pathlib import Path
from typing import Any

from automl.execution import children, outcomes
from automl.execution.executor import Judge, Work
from automl.spec import ArtifactPoint, AutoMLError, Fidelity, Measurement, Recipe
from automl.training.result import TrainResult

CRASHES = 2
"""Once may be a restart of the job."""
CONVERSION_S, CONVERSION_TIMES = 60.0, 10.0
"""Measuring a file is given at least so long, and so many times what it usually takes."""
BEAT_S = 0.5
"""Least time between two beats."""


def to_json(work: Work) -> dict[str, Any]:
    """The work as plain JSON types."""
    return {
        "trial": work.trial, "attempt": work.attempt, "recipe": work.recipe.to_dict(), "fidelity": work.fidelity.to_dict(),
        "prepared": str(work.prepared), "metric": work.metric, "workdir": str(work.workdir), "part": work.part,
        "deadline": work.deadline, "pace": work.pace, "memory_bytes": work.memory_bytes, "room_bytes": work.room_bytes,
        "slots": work.slots,
        "init_from": None if work.init_from is None else str(work.init_from), "batch_scale": work.batch_scale,
        "entry": work.entry, "settings": dict(work.settings),
        "judge": None if work.judge is None else dataclasses.asdict(work.judge),
    }


def from_json(data: dict[str, Any]) -> Work:
    """The work that `to_json` wrote."""
    return Work(**{
        **data, "recipe": Recipe.from_dict(data["recipe"]), "fidelity": Fidelity.from_dict(data["fidelity"]),
        "prepared": Path(data["prepared"]), "workdir": Path(data["workdir"]),
        "init_from": None if data["init_from"] is None else Path(data["init_from"]),
        "judge": None if data["judge"] is None else Judge(**data["judge"]),
    })


class ControllerGone(Exception):
    """The controller closed the channel: nobody waits for this trial any more."""


class Session:
    """What a training may say to its controller and ask of it."""

    def __init__(self, channel: socket.socket):
        self._channel = channel
        self._pending = b""
        self._last_beat = 0.0
        self._stop = False

    def receive(self) -> dict[str, Any]:
        """The next message; waits. Raises `ControllerGone` at the end of the stream."""
        while b"\n" not in self._pending:
            data = self._channel.recv(65536)
            if not data:
                raise ControllerGone
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionError) as error:
            raise ControllerGone from error

    def epoch(self, measurement: Measurement) -> bool:
        """Reports an epoch and waits for the answer: whether to go on."""
        self.send({"kind": "epoch", "measurement": measurement.to_dict()})
        while True:
            message = self.receive()
            if "go_on" in message:
                return bool(message["go_on"]) and not self._stop
            self._stop = True

    def beat(self) -> None:
        """Says that training makes progress; cheap, may be called at every step."""
        now = time.monotonic()
        if now - self._last_beat >= BEAT_S:
            self._last_beat = now
            self.send({"kind": "beat"})

    def measuring(self, result: TrainResult, wanted: str, limit_s: float) -> None:
        """Says that the training is over, and that its file is now written and run, for so long at most: a converter may
        hang in native code, where nothing in this process would end it."""
        self.send({"kind": "measuring", "result": result.to_dict(), "wanted": wanted, "limit_s": limit_s})

    def should_stop(self) -> bool:
        """The controller wants the best so far, now. Doesn't wait."""
        while not self._stop and (b"\n" in self._pending or select.select([self._channel], [], [], 0)[0]):
            self._stop = bool(self.receive().get("stop"))
        return self._stop


def train(work: Work, session: Session, threads: int) -> TrainResult:
    """Trains the trial: the entry that the executor uses unless it is told another."""
    from automl.data.prepared import PreparedDataset
    from automl.training import trainer

    result = trainer.train(
        work.recipe, PreparedDataset.open(work.prepared), fidelity=work.fidelity, part=work.part,
        metric=work.metric, workdir=work.workdir, on_epoch=session.epoch, deadline=work.deadline, threads=threads,
        continue_from=work.init_from, pace=work.pace, batch_scale=work.batch_scale,
        memory_bytes=work.room_bytes, beat=session.beat, should_stop=session.should_stop,
    )
    left_s = math.inf if work.deadline is None else work.deadline - time.monotonic()
    if work.judge is None or not result.usable or result.score is None:
        return result
    return _judged(work, work.judge, result, session) if work.judge.wants(result.score, result.wall_s, left_s) else result


class Unconvertible(AutoMLError):
    """The trial's model can't be given as the file that trials are judged by."""

    reason = "UNCONVERTIBLE"


def _judged(work: Work, judge: Judge, result: TrainResult, session: Session) -> TrainResult:
    """The result with what the trial's file is worth. Raises `Unconvertible`.

    The converter runs in this process, where TensorFlow is loaded and the model at hand: a process of its own would take
    longer than the conversion. Should it crash, the trial is started again and goes on from its last checkpoint; what has
    ended the process `CRASHES` times is given up. Should it hang, the executor ends the process as UNCONVERTIBLE.
    """
    from automl.export import tflite

    mark = work.workdir / "converting"
    wanted = f"tflite:{judge.precision}"
    begun = int(mark.read_text()) if mark.is_file() else 0
    if begun >= CRASHES:
        raise Unconvertible(f"the process was ended {begun} times while the model was written as {wanted}")
    mark.write_text(str(begun + 1))
    limit_s = max(CONVERSION_S, CONVERSION_TIMES * max(judge.needed_s, tflite.estimate_s(result.parameters)))
    session.measuring(result, wanted, limit_s)
    try:
        point = _measured(work, judge, limit_s)
    except Exception as error:
        if outcomes.means_out_of_memory(error):
            raise
        raise Unconvertible(f"the model can't be given as {wanted}: {outcomes.message_of(error, 300)}") from error
    finally:
        mark.unlink()
    return result.changed(artifact=point)


def _measured(work: Work, judge: Judge, limit_s: float) -> ArtifactPoint:
    import keras

    given: dict[str, Any] = {
        "candidate": str(work.workdir), "prepared": str(work.prepared), "precision": judge.precision,
        "metric": work.metric, "seed": judge.seed, "max_size_bytes": judge.max_size_bytes,
    }
    if keras.backend.backend() != "tensorflow":
        answer = children.run_in_child("automl.export.point:judge", given, timeout_s=limit_s)
        return ArtifactPoint.from_dict(answer)
    from automl.export import point

    return ArtifactPoint.from_dict(point.judge(given))


def main(channel: socket.socket) -> None:
    """The target of the fork server. Returns when the controller has been told; its death ends the worker silently."""
    session = Session(channel)
    with contextlib.suppress(ControllerGone):
        order = session.receive()
        work = from_json(order["work"])
        module, _, name = order["entry"].partition(":")
        try:
            result = getattr(importlib.import_module(module), name)(work, session, order["threads"])
        except ControllerGone:
            raise
        except Exception as error:  # noqa: BLE001 — any failure of a trial is a report to its controller.
            traceback.print_exc()
            session.send({"kind": "failed", "outcome": outcomes.of_exception(error), "message": outcomes.message_of(error)})
        else:
            session.send({"kind": "done", "result": result.to_dict()})


def preload() -> None:
    """Imports what trainings need, without touching a device."""
    from automl.training import trainer

    trainer.preload()
