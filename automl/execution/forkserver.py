"""A fork server: a process that has imported what every worker needs, and forks one for each request.

A forked worker is ready in hundredths of a second where a fresh interpreter takes seconds to import TensorFlow, and its
imported pages are shared with its siblings.

Why not `multiprocessing`'s: its children import the parent's main module again, its requests are pickles, and it lives on
as long as a child does, so workers outlive a controller that is killed. This one is single-threaded and never busy, so it
is also the one that watches its children:

- it reports a child's end through a pidfd, within milliseconds, with status and peak memory;
- it measures the memory of children that have a limit, and kills those that are beyond it, also while the controller is
  busy;
- when its control socket closes (the controller has closed it, or died, however), it kills every child's process group and
  exits; when the server itself dies, the kernel kills its children (`PR_SET_PDEATHSIG`).

It must never start a thread or initialise TensorFlow's runtime or a GPU: neither survives a fork. Importing doesn't.
TensorFlow makes its thread pools in the child, when the first operation runs.

The controller's side is `ForkServer`; the process is `python -m automl.execution.forkserver FD PRELOAD…`. Between them go
JSON messages over a SOCK_SEQPACKET socket (one send, one message); a spawn request carries the child's end of its channel.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from automl.spec import Unavailable

MEMORY_CHECK_S = 0.1
"""Between two looks at the memory of children with a limit."""
MESSAGE_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass
class Child:
    """A forked process, as its controller knows it."""

    id: int
    channel: socket.socket
    """Stream to the child; its end is the `channel` that the child's target gets."""
    pid: int | None = None
    """Known once the server has forked it."""


@dataclasses.dataclass(frozen=True)
class Spawned:
    id: int
    pid: int


@dataclasses.dataclass(frozen=True)
class Exited:
    """A child is gone, and its process group with it."""

    id: int
    returncode: int
    """As of `subprocess`: negative for a signal."""
    out_of_memory: bool
    """Killed for its memory limit."""
    peak_bytes: int
    """Largest resident memory, files mapped included."""


@dataclasses.dataclass(frozen=True)
class ServerLost:
    """The server died; so did its children."""

    returncode: int | None


ServerEvent = Spawned | Exited | ServerLost


class ForkServer:
    """The controller's side. Used from one thread.

    `preload` names modules to import once ("module"), or functions to call that import ("module:function"); `env` is the
    server's whole environment (children inherit it). `log` takes what the server prints while importing. Raises
    `Unavailable` when the process can't be started.
    """

    def __init__(self, preload: Iterable[str], env: Mapping[str, str], log: Path | None = None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._next_id = 0
        self._children: dict[int, Child] = {}
        self._lost = False
        output: Any = subprocess.DEVNULL
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(theirs.close)
                if log is not None:
                    log.parent.mkdir(parents=True, exist_ok=True)
                    output = stack.enter_context(log.open("ab"))
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "automl.execution.forkserver", str(theirs.fileno()), *preload],
                    env={**env, "PYTHONPATH": os.pathsep.join(import_path(env))}, pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise Unavailable(f"a process for the workers can't be started: {error}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    def fileno(self) -> int:
        """Readable when `events` has something to say."""
        return self._control.fileno()

    def spawn(
        self, target: str, *, log: Path, env: Mapping[str, str] | None = None, memory_bytes: int | None = None
    ) -> Child:
        """Forks a child that calls `target` ("module:function") with its end of the channel and exits with 0, or 1 when that
        raised (the traceback is in `log`). Returns before the child runs. Raises `Unavailable` when the server is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._next_id += 1
        message = {
            "op": "spawn", "id": self._next_id, "target": target, "log": str(log), "env": dict(env or {}),
            "memory_bytes": memory_bytes,
        }
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise Unavailable(f"the fork server is gone: {error}") from error
        finally:
            theirs.close()
        child = self._children[self._next_id] = Child(self._next_id, ours)
        return child

    def kill(self, child: Child) -> None:
        """Kills a child's whole process group; `Exited` follows. One that is gone is ignored."""
        with contextlib.suppress(OSError):  # The server is gone, and so is the child: `events` says it.
            self._control.send(json.dumps({"op": "kill", "id": child.id}).encode())

    def events(self) -> list[ServerEvent]:
        """What happened since the last call; doesn't wait."""
        found: list[ServerEvent] = []
        while not self._lost:
            try:
                data = self._control.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self._lost = True
                found.append(ServerLost(self._reap()))
                break
            message = json.loads(data)
            if message["event"] == "spawned":
                child = self._children[message["id"]]
                child.pid = message["pid"]
                found.append(Spawned(child.id, message["pid"]))
            else:
                self._children.pop(message["id"])
                found.append(Exited(message["id"], message["returncode"], message["out_of_memory"], message["peak_bytes"]))
        return found

    def close(self) -> None:
        """Ends the server and every child, and waits until they are gone."""
        self._control.close()
        self._lost = True
        self._reap()

    def _reap(self) -> int | None:
        """Waits for the server's end, then for that of children that only the kernel's signal could have ended."""
        try:
            returncode = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            returncode = self._process.wait()
        for child in self._children.values():
            if child.pid is not None:
                _await_end(child.pid, 5.0)
        self._children.clear()
        return returncode


def import_path(env: Mapping[str, str]) -> list[str]:
    """Where this package lies, then what `env` names: children import what their controller imports."""
    root = str(Path(__file__).resolve().parents[2])
    named = [p for p in env.get("PYTHONPATH", "").split(os.pathsep) if p]
    return [*named, *([] if root in named else [root])]


def _await_end(pid: int, limit_s: float) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        selector.select(limit_s)
    os.close(handle)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent `parent` ends (strictly: the parent's thread that made it).
    Exits at once when that has already happened."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def own_memory_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process that isn't backed by files, so that memory-mapped data don't count. 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(("RssAnon:", "RssShmem:")))


def limit_memory(memory_bytes: int) -> None:
    """Lets allocations of this process fail (MemoryError, TensorFlow's ResourceExhausted) before it is far beyond the limit,
    even faster than it is measured from outside. Counts what is mapped writable, which exceeds what is resident: hence half
    as much again."""
    mapped = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    bound = max(mapped, memory_bytes) + memory_bytes // 2 + 256 * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


# --- the server's side -----------------------------------------------------------------------------


@dataclasses.dataclass
class _Forked:
    id: int
    pid: int
    handle: int
    memory_bytes: int | None
    out_of_memory: bool = False


class _Server:
    def __init__(self, control: socket.socket):
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._forked: dict[int, _Forked] = {}
        self._by_handle: dict[int, _Forked] = {}

    def serve(self) -> None:
        """Until the control socket closes."""
        next_check = 0.0
        while True:
            limited = any(f.memory_bytes is not None for f in self._forked.values())
            for key, _ in self._selector.select(MEMORY_CHECK_S if limited else None):
                if key.fileobj is self._control:
                    if not self._request():
                        self._end_all()
                        return
                elif key.fd in self._by_handle:
                    self._reap(self._by_handle[key.fd])
            if limited and time.monotonic() >= next_check:
                next_check = time.monotonic() + MEMORY_CHECK_S
                self._check_memory()

    def _request(self) -> bool:
        try:
            data, handles, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        message = json.loads(data)
        if message["op"] == "spawn":
            self._spawn(message, handles[0])
        elif (forked := self._forked.get(message["id"])) is not None:
            self._kill(forked)
        return True

    def _spawn(self, message: dict[str, Any], channel: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            self._control.close()
            for forked in self._forked.values():
                os.close(forked.handle)
            _run_child(message, channel, parent)
        os.close(channel)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # Both sides do it: whoever kills the group must find it.
        forked = _Forked(message["id"], pid, os.pidfd_open(pid), message["memory_bytes"])
        self._forked[forked.id] = self._by_handle[forked.handle] = forked
        self._selector.register(forked.handle, selectors.EVENT_READ)
        self._say({"event": "spawned", "id": forked.id, "pid": pid})

    def _reap(self, forked: _Forked) -> None:
        self._selector.unregister(forked.handle)
        kill_group(forked.pid)  # What the child left behind, while its pid, and so the group's number, is still taken.
        _, status, usage = os.wait4(forked.pid, 0)
        os.close(forked.handle)
        del self._forked[forked.id], self._by_handle[forked.handle]
        self._say({
            "event": "exited", "id": forked.id, "returncode": os.waitstatus_to_exitcode(status),
            "out_of_memory": forked.out_of_memory, "peak_bytes": usage.ru_maxrss * 1024,
        })

    def _check_memory(self) -> None:
        for forked in list(self._forked.values()):
            if forked.memory_bytes is not None and own_memory_bytes(forked.pid) > forked.memory_bytes:
                forked.out_of_memory = True
                self._kill(forked)

    def _kill(self, forked: _Forked) -> None:
        kill_group(forked.pid)

    def _end_all(self) -> None:
        for forked in self._forked.values():
            kill_group(forked.pid)
        for forked in self._forked.values():
            os.waitpid(forked.pid, 0)

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # The controller is gone: the next read ends the loop.
            self._control.send(json.dumps(message).encode())


def kill_group(pid: int) -> None:
    """SIGKILL to a process group; one that is gone is ignored."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _run_child(message: dict[str, Any], channel: int, parent: int) -> NoReturn:
    """In the forked child: its own group, files and limits, then the target."""
    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent(parent)
        log = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.update(message["env"])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if message["memory_bytes"] is not None:
            limit_memory(message["memory_bytes"])
        module, _, name = message["target"].partition(":")
        target: Callable[[socket.socket], None] = getattr(importlib.import_module(module), name)
        target(socket.socket(fileno=channel))
        code = 0
    except BaseException:  # noqa: BLE001 — the process ends here, and the log says why.
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for entry in sys.argv[2:]:
        name, _, function = entry.partition(":")
        module = importlib.import_module(name)
        if function:
            getattr(module, function)()
    gc.collect()
    gc.freeze()  # What is imported stays: collections in the children needn't touch (and so copy) these pages.
    _Server(control).serve()


if __name__ == "__main__":
    main()
