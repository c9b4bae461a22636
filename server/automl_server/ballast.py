"""A file that can be given up: when the disk is full, its room takes the event that says so."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE = 1 << 20
"""Some hundred times what the event and SQLite's pages around it take."""


class Ballast:
    """The file `ballast` in the server's data folder."""

    def __init__(self, folder: Path):
        self._path = folder / "ballast"

    def fill(self) -> None:
        """Takes the room again, if there is any to take; zeros that were written, since a hole would hold none."""
        if self._path.exists():
            return
        part = self._path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(bytes(SIZE))
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError:
            # No room now: whoever looks for room again fills it then.
            with contextlib.suppress(OSError):
                part.unlink()

    def release(self) -> bool:
        """Gives the room up; whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
