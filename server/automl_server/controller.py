"""One controller process (`python -m automl.job`): its protocol as typed values. Restarting it is the supervisor's
business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pydantic
import structlog

from automl.spec import Event
from automl_server import processes

_MAX_LINE_BYTES = 64 << 20
_LAST_WORDS_S = 5.0
"""How long the output of a process that has ended may still take to arrive."""

log = structlog.get_logger(__name__)


class ProtocolFault(Exception):
    """The controller said something that is no event, or too much."""


class Controller:
    """A running controller. `events` must be read, then `wait` be called."""

    def __init__(self, process: processes.Child, job: str):
        self._process = process
        self._job = job
        self._feeding: asyncio.Task[None] | None = None
        self._over = False

    @classmethod
    async def start(cls, command: Sequence[str], log_file: Path, job: str) -> Controller:
        """Starts the process; its standard error is appended to `log_file`. Raises `OSError` when it can't be started."""
        with open(log_file, "ab") as stderr:
            return cls(await processes.Child.start(command, stderr=stderr), job)

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, request: dict[str, Any]) -> None:
        """Hands over the job. Events must be read meanwhile: the request can be larger than a pipe holds."""
        self._send(request)
        self._feeding = asyncio.create_task(self._drain())

    def command(self, name: str, **values: Any) -> None:
        """Sends a command ("cancel", "finish", "slots"); nothing happens when the process has ended."""
        self._send({"command": name, **values})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    async def _drain(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: reading its output shows that too
            await self._process.stdin.drain()

    async def events(self) -> AsyncIterator[list[Event]]:
        """Events as they come, as many at once as have arrived. Ends with the process's output. Raises `ProtocolFault`."""
        rest = b""
        while data := await self._read():
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                raise ProtocolFault(f"a line of more than {_MAX_LINE_BYTES} bytes")
            if batch := [event for line in lines if (event := self._event(line)) is not None]:
                yield batch
        # A last line without its end was cut off by a crash: it was never said whole, and is said again after the restart.

    async def _read(self) -> bytes:
        """What the process has printed; nothing at its end, even when children that it left behind hold the pipe."""
        assert self._process.stdout is not None
        reading = asyncio.ensure_future(self._process.stdout.read(1 << 18))
        exiting = asyncio.ensure_future(self._process.exited.wait())
        try:
            await asyncio.wait({reading, exiting}, return_when=asyncio.FIRST_COMPLETED)
            if self._process.exited.is_set():
                self._process.kill_tree()
            async with asyncio.timeout(_LAST_WORDS_S if self._process.exited.is_set() else None):
                return await reading
        except TimeoutError:
            log.warning("a process that the controller left behind holds its output", job=self._job)
            return b""
        finally:
            reading.cancel()
            exiting.cancel()

    def _event(self, line: bytes) -> Event | None:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            if line.strip():
                log.warning(
                    "controller printed a line that is no event", job=self._job, line=line[:500].decode(errors="replace")
                )
            return None
        try:
            return Event.from_dict(said)
        except pydantic.ValidationError as error:
            raise ProtocolFault(f"an event that isn't valid: {error}") from error

    async def wait(self, timeout_s: float) -> int:
        """The exit code; after `timeout_s` the process is killed with all its children."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.exited.wait()
        except TimeoutError:
            log.warning("controller did not exit, killed", job=self._job, after_s=timeout_s)
        finally:
            self._process.kill_tree()  # also what it left behind
            if self._feeding is not None:
                self._feeding.cancel()
        await self._process.exited.wait()
        self._over = True
        assert self._process.returncode is not None
        return self._process.returncode

    def close_input(self) -> None:
        """Tells it that the server goes: it stops its children and exits with code 3."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """Ends the process and all that it started, at once; after `wait` nothing: its number may be another's by then."""
        if not self._over:
            self._process.kill_tree()


def describe_exit(code: int) -> str:
    """An exit code for people: "exit code 1", "signal SIGKILL"."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
