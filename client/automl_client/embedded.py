"""This user's own server on this machine: found if it runs, started if it doesn't.

It listens on a Unix socket in the user's data folder, keeps its store there, belongs to no terminal (Ctrl-C in a client
leaves it alone), and exits by itself after an hour without calls and jobs. A lock file keeps two clients from starting two.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from automl_client import errors

START_TIMEOUT_S = 60.0
"""A server is ready in a second or two; a cold disk and a migration of its store may take longer."""
IDLE_EXIT_S = 3600.0

_FOLDER_IN_USE = 3
"""Exit code of the server."""

_SOCKET_PATH_MAX = 100
"""Bytes; the system allows about 104 to 108 in the path of a Unix socket."""

_NOT_FOR_THE_SERVER = ("AUTOML_TOKEN", "AUTOML_TOKEN_FILE", "AUTOML_TLS_CERTIFICATE", "AUTOML_TLS_KEY", "AUTOML_SERVER")
"""Variables that are meant for a server elsewhere: one of our own would take them for its own settings."""


@dataclass(frozen=True)
class Place:
    """The folder of an embedded server, and the files in it."""

    home: Path

    @classmethod
    def of(cls, home: Path | None = None) -> Place:
        """`home`, else AUTOML_HOME, else the user's data folder."""
        chosen = home or os.environ.get("AUTOML_HOME") or platformdirs.user_data_dir("automl", appauthor=False)
        return cls(Path(chosen).expanduser().absolute())

    @property
    def data(self) -> Path:
        """The server's own folder: store, uploads, artifacts."""
        return self.home / "server"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def ready(self) -> Path:
        """Written by the server when it answers calls, removed when it exits."""
        return self.home / "server.ready"

    @property
    def lock(self) -> Path:
        return self.home / "server.lock"

    @property
    def socket(self) -> Path:
        """In the home, or under a short name in a folder of this user's where the home's path is too long for a socket."""
        path = self.home / "server.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
            return path
        short = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"automl-{os.getuid()}" / f"{short}.sock"

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"


def is_running(place: Place) -> bool:
    """Whether something listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(os.fspath(place.socket))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise errors.Unavailable(f"The socket {place.socket} can't be used: {error.strerror}.") from error
    return True


def ensure_running(place: Place, *, timeout_s: float = START_TIMEOUT_S) -> str:
    """The address of the user's server, started if need be. Safe to call from several processes at once.

    Raises `Unavailable` when the server part isn't installed, or when it doesn't come up: with the end of its log.
    """
    if os.name != "posix":
        raise errors.Unavailable(
            "A server can't be started in the background on this system. Start `automl serve`, and name it with --server."
        )
    if is_running(place):
        return place.address
    missing = missing_parts()
    if missing:
        raise errors.Unavailable(
            f"No server is named, and this machine can't run one: {', '.join(missing)} is not installed. "
            "Install the server part (pip install 'automl[server]'), or name a server with --server or AUTOML_SERVER."
        )
    deadline = time.monotonic() + timeout_s
    with _locked(place, timeout_s):
        if not is_running(place):
            _start(place, deadline)
    return place.address


def missing_parts() -> list[str]:
    """Packages of the server part that can't be found here; nothing is imported."""
    return [
        name
        for name in ("automl_server", "sqlalchemy", "pydantic", "tensorflow", "keras")
        if importlib.util.find_spec(name) is None
    ]


def log_tail(place: Place, lines: int = 15) -> str:
    """The last lines of the server's log; empty when there is none."""
    if not place.log.is_file():
        return ""
    with place.log.open("rb") as file:
        file.seek(max(0, place.log.stat().st_size - 16384))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])


@contextlib.contextmanager
def _locked(place: Place, timeout_s: float) -> Iterator[None]:
    """Holds the lock file; it is free again when its holder dies. Raises `Unavailable` when it is held for too long."""
    import fcntl

    try:
        place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.Unavailable(
            f"The folder {place.home} can't be used: {error.strerror}. Name another with AUTOML_HOME."
        ) from error
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise errors.Unavailable(
                        f"Another process has been starting the server in {place.home} for {timeout_s:.0f} s."
                    ) from None
                # flock has no time limit of its own.
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def command(place: Place) -> list[str]:
    """How the server is started."""
    return [
        sys.executable, "-m", "automl_server", "--listen", place.address, "--data", os.fspath(place.data),
        "--ready-file", os.fspath(place.ready), "--idle-exit", str(IDLE_EXIT_S),
    ]


def _start(place: Place, deadline: float) -> None:
    """Starts the server and waits for its ready file, which it writes once it answers; notices at once when it dies."""
    place.ready.unlink(missing_ok=True)
    place.socket.unlink(missing_ok=True)
    place.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.socket.parent.stat().st_uid != os.getuid():
        raise errors.Unavailable(f"The folder {place.socket.parent} belongs to somebody else. Name a shorter AUTOML_HOME.")
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_SERVER}
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            command(place), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment,
            cwd=place.home,
        )
    while not place.ready.exists():
        try:
            code = process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                process.terminate()
                raise errors.Unavailable(
                    f"The server did not become ready in time and was stopped. The end of its log ({place.log}):\n"
                    f"{log_tail(place)}"
                ) from None
        else:
            if code == _FOLDER_IN_USE:
                raise errors.Unavailable(
                    f"The folder {place.data} belongs to a server that runs already, at an address of its own. Name it with "
                    "--server or AUTOML_SERVER, or name another folder with AUTOML_HOME."
                )
            raise errors.Unavailable(
                f"The server could not be started: it ended with code {code}. The end of its log ({place.log}):\n"
                f"{log_tail(place)}"
            )
    # It outlives us: nobody will wait for it, and that is no fault worth a ResourceWarning.
    process.returncode = 0
