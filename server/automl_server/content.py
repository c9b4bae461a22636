"""Content-addressed files: data sets and artifacts under the SHA-256 of their bytes, written once, checked at each read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

from automl_server import errors, files


class ContentStore:
    """Files named by hash below one folder. All methods block: call them from a thread."""

    def __init__(self, folder: Path):
        self._folder = files.make_folder(folder)
        self.guard = asyncio.Lock()
        """Held while a file and the row that refers to it appear, and while "nobody refers to it" is found and it is
        removed."""

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str, size_bytes: int) -> bool:
        """Whether a file of that hash and size is there (its bytes are checked when they are read)."""
        try:
            return self.path(sha256).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def adopt(self, source: Path, sha256: str) -> None:
        """Moves a file, whose hash the caller has checked and whose bytes are durable, to its place. Raises `OSError`."""
        target = self.path(sha256)
        files.make_folder(target.parent)
        os.chmod(source, 0o400)
        os.replace(source, target)
        files.sync_folder(target.parent)

    def ingest(self, source: Path, sha256: str, size_bytes: int) -> None:
        """Copies a file in, if its bytes are those declared. Raises `DataLoss` when they aren't, or it is no regular
        file."""
        if self.has(sha256, size_bytes):
            return
        temporary = self._folder / f"{sha256}.{os.getpid()}.tmp"
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise errors.DataLoss(f"{source.name} can't be read ({error.strerror}).", reason="ARTIFACT_MISSING") from error
        try:
            with open(descriptor, "rb") as readable, open(temporary, "wb") as written:
                if not stat.S_ISREG(os.fstat(readable.fileno()).st_mode):
                    raise errors.DataLoss(f"{source.name} is no regular file.", reason="ARTIFACT_MISSING")
                hasher, copied = hashlib.sha256(), 0
                while chunk := readable.read(files.CHUNK_BYTES):
                    hasher.update(chunk)
                    written.write(chunk)
                    copied += len(chunk)
                if copied != size_bytes or hasher.hexdigest() != sha256:
                    raise errors.DataLoss(
                        f"{source.name} holds {copied} bytes with the SHA-256 {hasher.hexdigest()}; said were {size_bytes} "
                        f"bytes with {sha256}.",
                        reason="ARTIFACT_CHANGED",
                    )
                written.flush()
                os.fsync(written.fileno())
            self.adopt(temporary, sha256)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, sha256: str) -> None:
        """Removes the file; nothing happens when it isn't there."""
        self.path(sha256).unlink(missing_ok=True)

    def clean(self) -> None:
        """Removes temporary files that a killed server left."""
        for left in self._folder.glob("*.tmp"):
            left.unlink(missing_ok=True)

    def read(self, sha256: str, size_bytes: int, offset: int = 0) -> Generator[tuple[int, bytes], None, None]:
        """(offset, chunk) from `offset` on, chunks of at most 1 MiB.

        The whole file is hashed on the way, the part before `offset` too, and the last chunk is handed out only when the
        hash is right: whoever got everything got the right bytes. Raises `DataLoss` otherwise.
        """
        changed = errors.DataLoss(
            "The stored file is no longer what it was when it was made (its SHA-256 differs).", metadata={"sha256": sha256}
        )
        try:
            file = open(self.path(sha256), "rb")  # noqa: SIM115 — closed by the `with` below
        except FileNotFoundError as error:
            raise errors.DataLoss("The stored file is missing.", metadata={"sha256": sha256}) from error
        with file:
            if os.fstat(file.fileno()).st_size != size_bytes:
                raise changed
            hasher, position = hashlib.sha256(), 0
            while position < offset:
                skipped = file.read(min(files.CHUNK_BYTES, offset - position))
                if not skipped:
                    raise changed
                hasher.update(skipped)
                position += len(skipped)
            held: tuple[int, bytes] | None = None
            while chunk := file.read(files.CHUNK_BYTES):
                hasher.update(chunk)
                if held is not None:
                    yield held
                held = (position, chunk)
                position += len(chunk)
            if hasher.hexdigest() != sha256:
                raise changed
            if held is not None:
                yield held
