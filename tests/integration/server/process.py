"""A server as a process of its own, as people start it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration.server.harness import COMMANDS

PATIENCE_S = 60.0


class ServerProcess:
    """`python -m automl_server` with the fake controller. Its log is read as it comes."""

    def __init__(self, folder: Path, *arguments: str, **environment: str):
        commands = {f"AUTOML_{name.upper()}": json.dumps(command) for name, command in COMMANDS.items()}
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "automl_server", "--data", f"{folder}/data", "--slots", "2", *arguments],
            env=os.environ
            | commands
            | {"AUTOML_MIN_FREE_BYTES": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._coming: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._coming.put(line)
        self._coming.put(None)

    def until(self, event: str) -> dict[str, Any]:
        """The next record of the log with that event; fails when the process ends before."""
        while (line := self._coming.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
            with contextlib.suppress(ValueError):
                if (record := json.loads(line)).get("event") == event:
                    return dict(record)
        raise AssertionError(f"the server ended without {event!r}: {''.join(self.lines)}")

    def serving(self) -> str:
        """The address, once it answers calls."""
        return str(self.until("serving")["address"])

    def wait(self) -> int:
        """The exit code; the rest of the log is in `lines`."""
        code = self.process.wait(PATIENCE_S)
        while (line := self._coming.get(timeout=PATIENCE_S)) is not None:
            self.lines.append(line)
        return code

    def kill(self) -> None:
        """As a power cut would, for this process alone: its controllers live on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[ServerProcess]:
    """A server that is stopped at the end, if it still runs."""
    if not any(a == "--listen" for a in arguments):
        arguments = ("--listen", f"unix:{folder}/s", *arguments)
    server = ServerProcess(folder, *arguments, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
