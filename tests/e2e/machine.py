"""The product as a user has it: the `automl` command, with a server of its own in a folder of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

COMMAND = Path(sys.executable).parent / "automl"


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str
    wall_s: float

    def json(self) -> dict[str, Any]:
        """The last line of standard output."""
        assert self.out.strip(), f"nothing on standard output; standard error says:\n{self.err}"
        return json.loads(self.out.strip().splitlines()[-1])


@dataclasses.dataclass(frozen=True)
class Home:
    """AUTOML_HOME of one user."""

    folder: Path

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AUTOML_")}
        return {**clean, "AUTOML_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config"), **(extra or {})}

    def run(self, *arguments: str | Path, timeout_s: float = 60.0, environment: Mapping[str, str] | None = None) -> Said:
        """Runs `automl …` to its end, where nobody can be asked anything."""
        begun = time.monotonic()
        done = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            env=self.environment(environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    def server(self) -> psutil.Process | None:
        """The server's process; None when none has said that it is ready."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            return psutil.Process(json.loads((self.folder / "server.ready").read_text())["pid"])
        return None

    def controllers(self) -> list[psutil.Process]:
        """Processes of running jobs."""
        server = self.server()
        if server is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child for child in server.children() if "automl.job" in child.cmdline()]
        return []

    def stop(self) -> None:
        """Ends the server as an operator would, and what it started."""
        server = self.server()
        if server is None:
            return
        family = [server, *server.children(recursive=True)]
        server.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=30)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert server not in left, "the server did not end within 30 s of SIGTERM"


def eventually(what: Callable[[], Any], within_s: float, message: str) -> Any:
    """The first true value of `what`."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{message} (within {within_s:g} s)")
