"""Entries for workers of tests: what a trial does instead of training. Light, so that a worker starts at once.

The recipe's architecture says which, its parameters how; the trial's id and the workdir are the work's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

from automl.spec import Measurement, Outcome
from automl.training.result import TrainResult


def measurement(epoch, score=None):
    return Measurement(
        epoch=epoch, train_loss=1 / epoch, validation={"accuracy": 0.5}, score=epoch / 100 if score is None else score,
        elapsed_s=float(epoch), step_s=0.5 * epoch,
    )


def result(work, outcome=Outcome.COMPLETED, epochs=0):
    return TrainResult(
        outcome=outcome, recipe=work.recipe.identity, part=work.part, metric=work.metric, fidelity=work.fidelity,
        epochs_done=epochs, best_epoch=epochs or None, score=epochs / 100, step_s=0.5 * epochs,
    )


def entry(work, session, threads):
    if work.recipe.architecture.id == "threads":
        return result(work, epochs=1).changed(message=f"{threads} threads")
    return globals()[work.recipe.architecture.id](work, session, **work.recipe.architecture.params)


def train(work, session, epochs=3):
    """Reports epochs, until it is told to stop."""
    for epoch in range(1, epochs + 1):
        if not session.epoch(measurement(epoch)):
            return result(work, Outcome.PRUNED, epoch)
    return result(work, Outcome.COMPLETED, epochs)


def resume(work, session, die_at=0):
    """Counts its epochs in a file, as a checkpoint would; in its first attempt it kills itself at one."""
    file = work.workdir / "epoch"
    done = int(file.read_text()) if file.exists() else 0
    for epoch in range(done + 1, 5):
        session.epoch(measurement(epoch))
        file.write_text(str(epoch))
        if work.attempt == 1 and epoch == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
    return result(work, Outcome.COMPLETED, 4)


def nan(work, session):
    return result(work, Outcome.NAN)


def fail(work, session, text="wrong shape"):
    raise ValueError(text)


def exhaust(work, session):
    raise MemoryError("no room")


def exhausted_in_tensorflow(work, session):
    class ResourceExhaustedError(Exception):
        pass

    raise ResourceExhaustedError("OOM when allocating tensor")


def allocate(work, session, step_mib=32):
    held = []
    while True:
        held.append(b"x" * (step_mib * 2**20))
        time.sleep(0.02)  # Slower than the watch: what is shown is that it watches.


def segfault(work, session):
    ctypes.string_at(1)


def die(work, session, number=9):
    os.kill(os.getpid(), number)
    time.sleep(60)


def leave(work, session, code=3):
    os._exit(code)


def hang(work, session):
    time.sleep(600)


def hang_after_epoch(work, session):
    session.epoch(measurement(1))
    time.sleep(600)


def busy(work, session):
    """Makes progress for ever, and ends when it should."""
    while not session.should_stop():
        session.beat()
        time.sleep(0.01)
    return result(work, Outcome.PRUNED, 1)


def busy_after_epoch(work, session):
    session.epoch(measurement(1))
    return busy(work, session)


def grandchild(work, session):
    """Leaves a process behind, and its id in a file."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (work.workdir / "grandchild").write_text(str(child.pid))
    session.epoch(measurement(1))
    time.sleep(600)


def environment(work, session):
    import json

    (work.workdir / "env.json").write_text(json.dumps(dict(os.environ)))
    return result(work)


def room(work, session):
    (work.workdir / "room").write_text(str(work.room_bytes))
    return result(work)


def log_and_die(work, session):
    print("something dreadful happened", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
    time.sleep(60)


def preload_judging():
    """What a worker imports to measure a file, so that a limit of few seconds is about the measuring."""
    from automl.execution import worker  # noqa: F401
    from automl.export import tflite  # noqa: F401


def judged(work, session, fault="hang"):
    """A training that is over, and a converter with a fault."""
    from automl.execution import worker

    worker.CONVERSION_S, worker.CONVERSION_TIMES = 3.0, 0.0
    worker._measured = {"hang": _hang_in_native_code, "crash": crash}[fault]
    return worker._judged(work, work.judge, result(work, epochs=3), session)


def _hang_in_native_code(work, judge, limit_s):
    """For ever, and with the interpreter's lock, so that no thread of this process can do anything."""
    if (work.workdir / "begun").is_fifo():
        (work.workdir / "begun").write_text("begun")
    ctypes.PyDLL(None).pause()


# --- for run_in_child ---


def double(request):
    return {"value": 2 * request["value"], "pid": os.getpid()}


def seen(request):
    return {"env": dict(os.environ), "modules": [m for m in request["modules"] if m in sys.modules]}


def raise_value(request):
    raise ValueError("no good")


def raise_invalid(request):
    from automl.spec import InvalidData, Violation

    raise InvalidData([Violation(field="row 3", message="is bad"), Violation(field="row 9", message="is worse")])


def sleep(request):
    time.sleep(600)


def crash(*request):
    ctypes.string_at(1)


def quit_early(request):
    os._exit(7)


def devour(request):
    held = []
    while True:
        held.append(b"x" * (32 * 2**20))
        time.sleep(0.02)


def talk(request):
    return {"text": "x" * request["size"]}


def noisy(request):
    print("to standard output")
    print("to standard error", file=sys.stderr, flush=True)
    raise RuntimeError("after noise")
