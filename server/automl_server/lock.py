"""One server a data folder: a lock that the system releases when its holder dies, whatever kills it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from automl_server import errors

IN_USE_EXIT_CODE = 3
_RUNNING, _STOPPING = b"running\n", b"stopping\n"


class FolderLock:
    """Held from `take` to `release`."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, *, patience_s: float) -> FolderLock:
        """Locks the folder. While its holder is about to stop, waits for it up to `patience_s`.

        Raises `CannotStart` (exit code 3) when another server holds it.
        """
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                said = os.pread(descriptor, 100, 0)
                if said != _STOPPING or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise errors.CannotStart(
                        f"Another server uses the data folder {folder}. Stop it first, or give this one another folder "
                        "(--data).",
                        exit_code=IN_USE_EXIT_CODE,
                    ) from None
                time.sleep(0.05)  # flock has no time limit of its own
        lock = cls(descriptor)
        lock._say(_RUNNING)
        return lock

    def stopping(self) -> None:
        """Tells a server that wants the folder that it will be free soon."""
        self._say(_STOPPING)

    def release(self) -> None:
        os.close(self._descriptor)

    def _say(self, text: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)
