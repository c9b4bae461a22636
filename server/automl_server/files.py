"""Files that appear whole or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from pathlib import Path

CHUNK_BYTES = 1 << 20
"""Size of a chunk on the wire and of a read from disk."""


def sync_folder(folder: Path) -> None:
    """Makes renames within the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Creates the folder and its parents, readable by the owner alone, and makes the new entry durable."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
    return folder


def write(path: Path, data: bytes) -> None:
    """Writes a file that is there whole or not at all. Raises `OSError`, leaving no temporary file behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
