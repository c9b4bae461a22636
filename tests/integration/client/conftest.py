"""A user's own server: the real one in a process of its own, with a controller that trains nothing."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from automl_client import embedded
from tests.integration.server import harness


class User:
    """A home, and the server in it. Each test works in a project of its own."""

    def __init__(self, home: Path):
        self.place = embedded.Place.of(home)

    @property
    def server_pid(self) -> int | None:
        """As the ready file has it; None while there is none."""
        return json.loads(self.place.ready.read_text())["pid"] if self.place.ready.exists() else None

    def kill_server(self) -> None:
        """As the kernel would, without a word."""
        server = psutil.Process(self.server_pid)
        server.send_signal(signal.SIGKILL)
        psutil.wait_procs([server], timeout=10)

    def stop_server(self) -> None:
        if self.server_pid is None or not psutil.pid_exists(self.server_pid):
            return
        server = psutil.Process(self.server_pid)
        family = [server, *server.children(recursive=True)]
        server.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=20)
        for process in left:
            process.kill()


@pytest.fixture(scope="module")
def home() -> Iterator[User]:
    # A short path: that of a Unix socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="a") as folder:
        made = User(Path(folder))
        yield made
        made.stop_server()


@pytest.fixture
def user(home: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> User:
    monkeypatch.setenv("AUTOML_HOME", str(home.place.home))
    for name, command in harness.COMMANDS.items():
        monkeypatch.setenv(f"AUTOML_{name.upper()}", json.dumps(command))
    return home


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """One for each test, so that they see nothing of each other."""
    return request.node.name.replace("_", "-")[:63].strip("-")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_bytes(harness.TABLE)
    return path
