"""Child processes: what they may know of the environment, their limits, and how they are ended with all their children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import psutil

_KEPT = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "SHELL",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHASHSEED",
    "LD_LIBRARY_PATH",
)
_KEPT_PREFIXES = (
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "ROCR_",
    "HIP_",
    "KERAS_",
    "TF_",
    "XLA_",
    "JAX_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "RAY_",
)


def environment() -> dict[str, str]:
    """The allow-listed part of the server's environment: no tokens, no credentials, none of the server's own settings."""
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    kept.pop("RAY_AUTH_TOKEN", None)
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def kill_tree(pid: int) -> None:
    """Kills a process that leads its own group, its group, and descendants that made groups of their own.

    The group is killed also when its leader has ended: those whom it left behind hold its pipes and its folder.
    """
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # psutil compares start times: a reused pid isn't hit
            process.kill()


class Child(asyncio.subprocess.Process):
    """A child process in a group of its own, with an allow-listed environment.

    `exited` is set when the process itself has ended; `wait` also waits for its pipes, which its own children may hold.
    """

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Protocol, loop: asyncio.AbstractEventLoop):
        super().__init__(transport, protocol, loop)
        self.exited = protocol.exited

    @classmethod
    async def start(cls, command: Sequence[str], *, stderr: int | IO[bytes] = asyncio.subprocess.PIPE) -> Child:
        """Standard input and output are pipes. Raises `OSError` when the command can't be started."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(limit=1 << 18, loop=loop),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment(),
            start_new_session=True,
            close_fds=True,
        )
        return cls(transport, protocol, loop)

    def kill_tree(self) -> None:
        """Ends the process with all that it started."""
        kill_tree(self.pid)


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop):
        super().__init__(limit, loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()
        super().process_exited()


@dataclass(frozen=True)
class Completed:
    """What a limited child left. `returncode` is negative for a signal; `timed_out` and `overflowed` say that it was
    killed."""

    returncode: int
    stdout: bytes
    stderr: bytes
    """Its last 16 KiB."""
    timed_out: bool = False
    overflowed: bool = False


async def run_limited(
    command: Sequence[str], *, stdin: bytes = b"", timeout_s: float, memory_bytes: int | None, output_bytes: int
) -> Completed:
    """Runs a command to its end in a process group of its own; it is killed at the limits of time, memory (Linux) and
    output, and when the caller is cancelled. Raises `OSError` when it can't be started."""
    process = await Child.start(command)
    try:
        if memory_bytes is not None and sys.platform == "linux":
            # RLIMIT_DATA counts private writable memory; the address space (RLIMIT_AS) would count what is only reserved.
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        assert process.stdout is not None
        assert process.stderr is not None
        reading = asyncio.gather(
            _read(process.stdout, output_bytes), _read_tail(process.stderr, 16 << 10), _feed(process, stdin), process.wait()
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, log, _, returncode = await reading
        except TimeoutError:
            return Completed(-signal.SIGKILL, b"", b"", timed_out=True)
        except _Overflow:
            return Completed(-signal.SIGKILL, b"", b"", overflowed=True)
        return Completed(returncode, output, log)
    finally:
        process.kill_tree()
        await asyncio.shield(process.exited.wait())


class _Overflow(Exception):
    pass


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    parts, size = [], 0
    while part := await stream.read(1 << 16):
        size += len(part)
        if size > limit:
            raise _Overflow
        parts.append(part)
    return b"".join(parts)


async def _read_tail(stream: asyncio.StreamReader, size: int) -> bytes:
    tail = b""
    while part := await stream.read(1 << 16):
        tail = (tail + part)[-size:]
    return tail


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(
        BrokenPipeError, ConnectionResetError
    ):  # it may end without having read all: its exit code says more
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()
