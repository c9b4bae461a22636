"""Bytes to and from the server: packing, hashing, chunks with checksums, and the place at which to go on.

Nothing here calls the server. `packed` makes one file of what the user named; `chunks` yields the messages of an upload from
an offset on; `Download` takes the messages of a download and remembers where it is, also over the end of the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

import google_crc32c

from automl_client import errors, proofs, types
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import model_service_pb2 as model_pb

CHUNK_BYTES = 1 << 20

_IDX_IMAGES = re.compile(r"(?P<part>.*)images[.-]idx3-ubyte(?P<gz>\.gz)?\Z")
_SKIPPED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def checksum(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    return int(google_crc32c.value(data))


# --- what is sent ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packed:
    """One file that can be sent."""

    path: Path
    filename: str
    """What the server calls it; its ending says the format."""
    size_bytes: int
    sha256: str


@contextlib.contextmanager
def packed(path: Path) -> Iterator[Packed]:
    """The user's file, or a temporary zip of the folder (for idx: of pictures and labels), with its size and hash.

    The same content makes the same bytes, so that a folder that was sent before is recognised by its hash. Raises
    `InvalidData` for what is not there, empty or unreadable.
    """
    if not path.exists():
        raise errors.InvalidData.at(str(path), "there is no such file or folder.", "FILE_NOT_FOUND")
    with contextlib.ExitStack() as stack:
        try:
            files = _members(path)
            if files is None:
                sent = _described(path, path.name)
            else:
                archive = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="automl-"))) / "packed.zip"
                _zip(files, archive)
                name = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
                sent = _described(archive, f"{name}.zip")
        except OSError as error:
            place = error.filename or path
            raise errors.InvalidData.at(str(place), f"can't be read: {error.strerror}.", "FILE_UNREADABLE") from error
        yield sent


def _members(path: Path) -> dict[str, Path] | None:
    """Names in the archive → files, for what has to be packed; None for a file that is sent as it is."""
    if path.is_dir():
        members = {}
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            for name in sorted(names):
                file = Path(folder) / name
                if not _is_hidden(name) and file.is_file():
                    members[file.relative_to(path).as_posix()] = file
        if not members:
            raise errors.InvalidData.at(str(path), "the folder has no files in it.", "EMPTY")
        return members
    matched = _IDX_IMAGES.match(path.name)
    if matched:
        stem = f"{matched['part']}labels{path.name[len(matched['part']) + len('images')]}idx1-ubyte"
        for labels in (path.with_name(stem + ".gz"), path.with_name(stem)):
            if labels.is_file():
                return {path.name: path, labels.name: labels}
        raise errors.InvalidData.at(
            str(path), f"idx pictures need their labels beside them: expected {stem} or {stem}.gz.", "FILE_NOT_FOUND"
        )
    if not stat.S_ISREG(path.stat().st_mode):
        raise errors.InvalidData.at(str(path), "is neither a regular file nor a folder.", "NOT_A_FILE")
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _zip(files: dict[str, Path], archive: Path) -> None:
    """Stored, in order, dated 1980: the bytes depend on names and content alone, and pictures don't compress anyway."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, allowZip64=True) as out:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            with files[name].open("rb") as source, out.open(info, "w", force_zip64=True) as target:
                while block := source.read(CHUNK_BYTES):
                    target.write(block)


def _described(path: Path, filename: str) -> Packed:
    size = path.stat().st_size
    if size == 0:
        raise errors.InvalidData.at(str(path), "the file is empty.", "EMPTY")
    return Packed(path, filename, size, sha256(path))


def sha256(path: Path) -> str:
    """Of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks(packed_file: Packed, upload: types.Upload) -> Iterator[dataset_pb.WriteUploadRequest]:
    """The messages of one WriteUpload stream, from the committed size on."""
    with packed_file.path.open("rb") as file:
        offset = upload.committed_size
        file.seek(offset)
        while data := file.read(CHUNK_BYTES):
            yield dataset_pb.WriteUploadRequest(name=upload.name, offset=offset, data=data, crc32c=checksum(data))
            offset += len(data)


def check_written(before: types.Upload, after: types.Upload) -> None:
    """Raises `DataLoss` when a stream ended well and yet neither finished nor advanced the upload: trying on is in vain."""
    if not after.complete and after.committed_size <= before.committed_size:
        raise errors.DataLoss(
            f"The server took no bytes of {after.filename} after {after.committed_size} of {after.size_bytes}. "
            "Was the file changed while it was sent?"
        )


# --- what comes back ------------------------------------------------------------------------------------------------------


class Download:
    """One artifact on its way into a folder.

    Bytes go into a hidden file that is named by the content's hash; a later try goes on at its end. It takes its proper name
    only after the hash of the whole was right.
    """

    def __init__(self, artifact: types.Artifact, folder: Path):
        name = artifact.filename
        if PurePosixPath(name).name != name or PureWindowsPath(name).name != name or name in ("", ".", ".."):
            raise errors.DataLoss(f"The server gave {name!r} as the file's name, which is none.")
        self.artifact = artifact
        self.path = folder / name
        self._part = folder / f".{name}.{artifact.sha256[:16]}.part"
        self._folder = folder

    @property
    def done(self) -> bool:
        """Whether the file lies there already, whole."""
        return self.path.is_file() and self.path.stat().st_size == self.artifact.size_bytes and (
            sha256(self.path) == self.artifact.sha256
        )

    @property
    def offset(self) -> int:
        """Bytes that are there; the next message starts here."""
        return self._part.stat().st_size if self._part.is_file() else 0

    @contextlib.contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """The partial file, opened at its end. Raises `Unavailable` when the folder can't be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self.offset > self.artifact.size_bytes:
                self._part.unlink()
            with self._part.open("ab") as file:
                yield file
        except OSError as error:
            raise errors.Unavailable(f"{self._folder} can't be written: {error.strerror}.") from error

    def take(self, file: IO[bytes], message: model_pb.DownloadArtifactResponse) -> None:
        """Appends a chunk. Raises `DataLoss` when its checksum or its place is wrong; what was there stays good."""
        if message.offset != file.tell():
            raise errors.DataLoss(
                f"{self.artifact.filename}: expected bytes from {file.tell()} on, got them from {message.offset} on."
            )
        if checksum(message.data) != message.crc32c:
            raise errors.DataLoss(f"{self.artifact.filename}: the chunk at {message.offset} arrived damaged.")
        file.write(message.data)

    def finish(self) -> Path:
        """Checks the whole and gives it its name. Raises `DataLoss`, and removes the bytes, when the hash is wrong."""
        size = self.offset
        if size != self.artifact.size_bytes or sha256(self._part) != self.artifact.sha256:
            self._part.unlink(missing_ok=True)
            raise errors.DataLoss(
                f"{self.artifact.filename} arrived with {size} bytes and not as the {self.artifact.size_bytes} that were "
                "announced, or with another SHA-256. It was deleted: download it again."
            )
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self.path)
        return self.proven()

    def proven(self) -> Path:
        """Puts the server's proof beside the file, which is there; returns the file's path."""
        if self.artifact.proof_json:
            proof = proofs.path_of(self.path)
            temporary = proof.with_name(f".{proof.name}.part")
            temporary.write_text(self.artifact.proof_json + "\n", encoding="utf-8")
            temporary.replace(proof)
        return self.path
