"""One function in one fresh process, with limits of time and memory: JSON in, JSON out.

For what may crash, hang, leak or need another set of imports than its caller: conversions, compression, verification,
parsing of foreign data. The process ends with the call, and whatever it left running ends with it.

`run_in_child` starts a bare interpreter. A `LocalExecutor` offers the same call (`executor.run_in_child`) with
`preload="tensorflow"`, which forks from its fork server: seconds saved for each child that needs TensorFlow.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from automl.execution import environment, forkserver, outcomes
from automl.spec import AutoMLError, Internal, InvalidData, InvalidInput, Violation

ANSWER_BYTES = 64 * 2**20
"""A child whose answer is larger is ended: answers are accounts, data travel in files."""
LOG_BYTES = 8192
"""Of what a child printed, the end that is kept."""
TICK_S = 0.1
"""Between two looks at a bare child's memory."""

Kind = Literal["exception", "timeout", "memory", "signal", "exit", "answer"]


class ChildFailed(AutoMLError):
    """The child gave no answer.

    `kind`: "exception" (the function raised), "timeout", "memory" (its limit, or MemoryError), "signal" (it crashed), "exit"
    (it left with a code), "answer" (too large, or no JSON). `reason`: one sentence for people. `returncode`: as of
    `subprocess`, negative for a signal. `log`: the end of what it printed, tracebacks too; for the log, not for people.
    """

    def __init__(self, kind: Kind, reason: str, returncode: int | None, log: str = ""):
        super().__init__(reason)
        self.kind = kind
        self.why = reason
        self.returncode = returncode
        self.log = log


class RunInChild(Protocol):
    """What export and compression are handed: `run_in_child` or a `LocalExecutor`'s method."""

    def __call__(
        self, target: str, request: dict[str, Any], *, timeout_s: float, memory_bytes: int | None = None,
        env: Mapping[str, str] | None = None, preload: str | None = None,
    ) -> dict[str, Any]: ...


def run_in_child(
    target: str, request: dict[str, Any], *, timeout_s: float, memory_bytes: int | None = None,
    env: Mapping[str, str] | None = None, preload: str | None = None,
) -> dict[str, Any]:
    """Calls `target` ("module:function", dict → dict, both JSON) in a bare interpreter and returns its answer.

    `env` are variables on top of those that children may see (`environment.allowed`). `preload` is what a fork server would
    have imported already; here the function imports what it needs. Raises `ChildFailed`; an `InvalidInput` or `InvalidData`
    that the function raised is raised here, with its violations.
    """
    start = time.monotonic()
    variables = {**environment.allowed(), "TF_CPP_MIN_LOG_LEVEL": "2", **(env or {})}
    variables["PYTHONPATH"] = os.pathsep.join(forkserver.import_path(variables))
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as log, ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "automl.execution.children", str(theirs.fileno()), str(os.getpid()), target],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables,
                start_new_session=True,
            )
        over_memory = [False]

        def check() -> bool:
            over_memory[0] = memory_bytes is not None and forkserver.own_memory_bytes(process.pid) > memory_bytes
            return not over_memory[0]

        try:
            data = exchange(ours, {"request": request, "memory_bytes": memory_bytes}, start + timeout_s, check)
        finally:
            forkserver.kill_group(process.pid)
            returncode = process.wait()
        log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES))
        printed = log.read().decode("utf-8", "replace")
    ending = Ending(data, returncode, over_memory[0], time.monotonic() >= start + timeout_s, printed)
    return answer_of(ending, timeout_s, memory_bytes)


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a child's process ended, whoever started it."""

    data: bytes
    """What it sent."""
    returncode: int | None
    out_of_memory: bool
    timed_out: bool
    log: str


def exchange(channel: socket.socket, message: dict[str, Any], end: float, check: Callable[[], bool]) -> bytes:
    """Sends the request and collects the answer until the child closes the channel, `end` (monotonic) has come, the answer
    is complete or too large, or `check` (called every `TICK_S`) says False."""
    channel.setblocking(False)
    out = memoryview(json.dumps(message).encode() + b"\n")
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while time.monotonic() < end and check():
            ready = selector.select(min(TICK_S, max(0.0, end - time.monotonic())))
            events = ready[0][1] if ready else 0
            try:
                if events & selectors.EVENT_WRITE and out:
                    out = out[channel.send(out):]
                    if not out:
                        selector.modify(channel, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    received = channel.recv(1 << 20)
                    data += received
                    if not received or data.endswith(b"\n") or len(data) > ANSWER_BYTES:
                        break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
    return bytes(data)


def answer_of(ending: Ending, timeout_s: float, memory_bytes: int | None) -> dict[str, Any]:
    """The child's answer. Raises what `run_in_child` raises."""
    complete = ending.data.endswith(b"\n")
    if complete:
        message = json.loads(ending.data)
        if message["kind"] == "answer":
            answer: dict[str, Any] = message["answer"]
            return answer
        if message["kind"] == "invalid":
            error = InvalidData if message["data"] else InvalidInput
            raise error([Violation.from_dict(v) for v in message["violations"]])
        raise ChildFailed("memory" if message["out_of_memory"] else "exception", message["message"], 1, ending.log)
    kind: Kind
    if ending.out_of_memory and memory_bytes is not None:
        kind, reason = "memory", f"used more than {memory_bytes / 2**20:.0f} MiB of memory"
    elif len(ending.data) > ANSWER_BYTES:
        kind, reason = "answer", f"answered with more than {ANSWER_BYTES / 2**20:.0f} MiB"
    elif ending.timed_out:
        kind, reason = "timeout", f"not done after {timeout_s:.0f} s"
    elif ending.returncode is not None and ending.returncode < 0:
        kind, reason = "signal", f"the process was ended by {outcomes.signal_name(-ending.returncode)}"
    else:
        kind, reason = "exit", f"the process ended with exit code {ending.returncode} and no answer"
    raise ChildFailed(kind, reason, ending.returncode, ending.log)


# --- in the child ----------------------------------------------------------------------------------


def forked(channel: socket.socket) -> None:
    """The target of the fork server."""
    with channel:
        message = _receive(channel)
        _answer(channel, message["target"], message["request"])


def _receive(channel: socket.socket) -> dict[str, Any]:
    data = bytearray()
    while not data.endswith(b"\n"):
        received = channel.recv(1 << 20)
        if not received:
            raise SystemExit(1)  # The caller has gone.
        data += received
    message: dict[str, Any] = json.loads(data)
    return message


def _answer(channel: socket.socket, target: str, request: dict[str, Any]) -> None:
    try:
        module, _, name = target.partition(":")
        said: dict[str, Any] = {"kind": "answer", "answer": getattr(importlib.import_module(module), name)(request)}
        data = json.dumps(said).encode()
    except InvalidInput as error:
        violations = [violation.to_dict() for violation in error.violations]
        data = json.dumps({"kind": "invalid", "data": isinstance(error, InvalidData), "violations": violations}).encode()
    except Exception as error:  # noqa: BLE001 — any failure is the caller's to judge.
        traceback.print_exc()
        # What the project raises for people says it all; of anything else type and place help.
        expected = isinstance(error, AutoMLError) and not isinstance(error, Internal)
        failure = {
            "kind": "failed", "out_of_memory": outcomes.means_out_of_memory(error),
            "message": str(error) if expected else outcomes.message_of(error),
        }
        data = json.dumps(failure).encode()
    sys.stdout.flush()  # Once it has answered, the process may be killed.
    sys.stderr.flush()
    channel.sendall(data + b"\n")


def main() -> None:
    """`python -m automl.execution.children FD PARENT TARGET`."""
    forkserver.die_with_parent(int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.set_inheritable(False)
        message = _receive(channel)
        if message["memory_bytes"] is not None:
            forkserver.limit_memory(message["memory_bytes"])
        _answer(channel, sys.argv[3], message["request"])


if __name__ == "__main__":
    main()
