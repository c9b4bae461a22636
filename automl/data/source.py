"""Where a data set's bytes come from: a file, a folder, a zip or a tar, read under the caps of `limits`.

Archives are never unpacked to disk. Their entries are read into memory one at a time, addressed by their place in the
archive, so a hostile name can't lead anywhere; entries with such names are refused all the same, because whoever made
them meant harm. Of a gzipped tar the stream is unpacked into one nameless temporary file, since gzip can't be read from
the middle.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import itertools
import os
import pathlib
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Protocol, Self

from automl.data.limits import LIMITS, MIB, Limits
from automl.spec.dataset import DatasetInfo
from automl.spec.errors import InvalidData, Violation

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as it lies on this machine, and what its owner calls it."""

    path: pathlib.Path
    filename: str = ""
    """The owner's name for it, used in messages and for its suffix; the path's own name when empty."""
    info: DatasetInfo | None = None
    """Its earlier inspection, if there was one."""
    has_header: bool | None = None
    """Whether the first line of a table names the columns; None to take the inspection's word, or to look."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", pathlib.Path(self.path))
        if not self.filename:
            object.__setattr__(self, "filename", self.path.name)
        if self.has_header is None and self.info is not None:
            object.__setattr__(self, "has_header", self.info.has_header)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """From {"path", "filename", "info"}, as the controller's first line has it."""
        info = data.get("info")
        return cls(
            pathlib.Path(data["path"]), data.get("filename") or "", None if info is None else DatasetInfo.from_dict(info)
        )

    def head(self, size: int) -> bytes:
        """The first bytes of a file. Raises `InvalidData` when there is no such file, or it can't be read."""
        try:
            with self.path.open("rb") as file:
                return file.read(size)
        except FileNotFoundError as fault:
            raise InvalidData.at(self.filename, "there is no such file", reason="FILE_MISSING") from fault
        except OSError as fault:
            raise InvalidData.at(self.filename, f"can't be read: {fault.strerror}", reason="FILE_UNREADABLE") from fault

    def digest(self) -> str:
        """SHA-256 of the bytes; of a folder, of its files' names and bytes."""
        sha = hashlib.sha256()
        if not self.path.is_dir():
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for entry in sorted(_folder_files(self.path)[0]):
            sha.update(f"{entry}\0".encode(errors="surrogateescape"))
            with (self.path / entry).open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
        return sha.hexdigest()


@dataclasses.dataclass(frozen=True)
class Entry:
    """A regular file inside a container."""

    name: str
    """Its relative path with `/`."""
    place: int
    """Its number in the container."""

    @property
    def suffix(self) -> str:
        return pathlib.PurePosixPath(self.name).suffix.lower()


class Container(Protocol):
    """Many files under one name."""

    filename: str
    entries: tuple[Entry, ...]
    ignored: int
    """Files that aren't data: hidden ones, those that systems leave behind, symbolic links."""

    def read(self, entry: Entry, limit: int) -> bytes:
        """The entry's bytes; may be called from several threads. Raises `InvalidData` past `limit` or when it is damaged."""

    def close(self) -> None: ...


class Folder:
    """A folder on this machine. Symbolic links are not followed."""

    def __init__(self, source: Source, limits: Limits = LIMITS):
        self.filename = source.filename
        self._root = source.path
        names, links = _folder_files(source.path)
        kept = [n for n in sorted(names) if not _is_litter(n)]
        self.ignored = len(names) - len(kept) + links
        if len(kept) > limits.archive_entries:
            raise _too_many_entries(source.filename, len(kept), limits)
        self.entries = tuple(Entry(name, i) for i, name in enumerate(kept))

    def read(self, entry: Entry, limit: int) -> bytes:
        with (self._root / entry.name).open("rb") as file:
            return _read_capped(file, limit, f"{self.filename}, {entry.name}")

    def close(self) -> None:
        """Nothing is held open."""


class Zip:
    """A zip file. Its directory is checked whole before anything is read."""

    def __init__(self, source: Source, limits: Limits = LIMITS):
        self.filename = source.filename
        self._limits = limits
        self._spent = 0
        self._seen: set[int] = set()
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(source.path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as fault:
            raise InvalidData.at(self.filename, f"is no readable zip file ({fault})", reason="ARCHIVE_DAMAGED") from fault
        members = self._zip.infolist()
        try:
            self._check(members)
        except InvalidData:
            self._zip.close()
            raise
        files = [m for m in members if not m.is_dir()]
        kept = [m for m in files if not _is_litter(_entry_name(m))]
        self.ignored = len(files) - len(kept)
        self._members = sorted(kept, key=_entry_name)
        self.entries = tuple(Entry(_entry_name(m), i) for i, m in enumerate(self._members))

    def _check(self, members: list[zipfile.ZipInfo]) -> None:
        limits = self._limits
        if len(members) > limits.archive_entries:
            raise _too_many_entries(self.filename, len(members), limits)
        faults = []
        seen: set[str] = set()
        for member in members:
            if reason := _hostile(member, seen):
                faults.append(Violation(field=f"{self.filename}, {_printable(member.filename)}", message=reason,
                                        reason="ARCHIVE_ENTRY"))
        ends = sorted((m.header_offset, m.header_offset + m.compress_size) for m in members)
        if any(end > following for (_, end), (following, _) in itertools.pairwise(ends)):
            faults.append(Violation(field=self.filename, message="entries overlap each other", reason="ARCHIVE_BOMB"))
        unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
        if unpacked > limits.archive_bytes:
            faults.append(_too_large(self.filename, unpacked, limits.archive_bytes))
        elif unpacked > limits.archive_ratio_from and unpacked > limits.archive_ratio * max(1, packed):
            faults.append(Violation(
                field=self.filename, reason="ARCHIVE_BOMB",
                message=f"would unpack to {unpacked:,} bytes from {packed:,}: more than {limits.archive_ratio} times",
            ))
        if faults:
            raise InvalidData(faults[: limits.listed])

    def read(self, entry: Entry, limit: int) -> bytes:
        member, place = self._members[entry.place], f"{self.filename}, {entry.name}"
        try:
            with self._zip.open(member) as file:
                data = _read_capped(file, limit, place)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as fault:
            raise InvalidData.at(place, f"is damaged ({fault})", reason="ARCHIVE_DAMAGED") from fault
        with self._lock:
            # Headers are looked at before pictures are decoded: an entry counts once.
            self._spent += 0 if entry.place in self._seen else len(data)
            self._seen.add(entry.place)
            if self._spent > self._limits.archive_bytes:
                raise InvalidData(_too_large(self.filename, self._spent, self._limits.archive_bytes))
        return data

    def close(self) -> None:
        self._zip.close()


class Tar:
    """A tar file, plain or gzipped. Its directory is read whole before any entry. Links and devices count as ignored."""

    def __init__(self, source: Source, limits: Limits = LIMITS):
        self.filename = source.filename
        self._lock = threading.Lock()
        packed = source.head(2) == GZIP
        # Held open until `close`, as the container is.
        self._file: Any = tempfile.TemporaryFile(prefix="automl-") if packed else source.path.open("rb")  # noqa: SIM115
        try:
            if packed:
                self._unpack(source, limits)
            self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115
            members = self._tar.getmembers()
            if len(members) > limits.archive_entries:
                raise _too_many_entries(self.filename, len(members), limits)
            self._check(members, limits)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as fault:
            self._file.close()
            raise InvalidData.at(self.filename, f"is no readable tar file ({fault})", reason="ARCHIVE_DAMAGED") from fault
        except BaseException:
            self._file.close()
            raise
        files = [m for m in members if m.isreg()]
        kept = [m for m in files if not _is_litter(_tar_name(m))]
        self.ignored = sum(not m.isdir() for m in members) - len(kept)
        self._members = sorted(kept, key=_tar_name)
        self.entries = tuple(Entry(_tar_name(m), i) for i, m in enumerate(self._members))

    def _unpack(self, source: Source, limits: Limits) -> None:
        """The stream inside gzip to the temporary file, counted: what it claims of its size isn't believed."""
        size = max(1, source.path.stat().st_size)
        written = 0
        with gzip.open(source.path, "rb") as stream:
            while chunk := stream.read(4 * MIB):
                written += len(chunk)
                if written > limits.archive_bytes:
                    raise InvalidData(_too_large(self.filename, None, limits.archive_bytes))
                if written > limits.archive_ratio_from and written > limits.archive_ratio * size:
                    raise InvalidData.at(
                        self.filename, f"unpacks to more than {limits.archive_ratio} times its {size:,} bytes",
                        reason="ARCHIVE_BOMB",
                    )
                self._file.write(chunk)
        self._file.seek(0)

    def _check(self, members: list[tarfile.TarInfo], limits: Limits) -> None:
        faults = []
        seen: set[str] = set()
        for member in members:
            name = _tar_name(member)
            reason = None
            if "\0" in name:
                reason = "its name contains a NUL"
            elif name.startswith("/") or ".." in name.split("/"):
                reason = "its name leads out of the archive"
            elif member.isreg() and name in seen:
                reason = "another entry has the same name"
            elif member.issparse():
                reason = "it is a sparse file, and only plain files are taken"
            if reason:
                place = f"{self.filename}, {_printable(name)}"
                faults.append(Violation(field=place, message=reason, reason="ARCHIVE_ENTRY"))
            seen.add(name)
        if (total := sum(m.size for m in members)) > limits.archive_bytes:
            faults.append(_too_large(self.filename, total, limits.archive_bytes))
        if faults:
            raise InvalidData(faults[: limits.listed])

    def read(self, entry: Entry, limit: int) -> bytes:
        place = f"{self.filename}, {entry.name}"
        with self._lock:
            try:
                file = self._tar.extractfile(self._members[entry.place])
                assert file is not None
                return _read_capped(file, limit, place)
            except (tarfile.TarError, OSError, EOFError) as fault:
                raise InvalidData.at(place, f"is damaged ({fault})", reason="ARCHIVE_DAMAGED") from fault

    def close(self) -> None:
        self._tar.close()
        self._file.close()


def container(source: Source, limits: Limits = LIMITS) -> Container | None:
    """The container that a folder, zip or tar is; None for any other file."""
    if source.path.is_dir():
        return Folder(source, limits)
    if is_zip(source.head(512)):
        return Zip(source, limits)
    return Tar(source, limits) if is_tar(source) else None


def _tar_name(member: tarfile.TarInfo) -> str:
    name = member.name
    while name.startswith("./"):
        name = name[2:]
    return name


def is_tar(source: Source) -> bool:
    """Whether a file, unpacked where it is gzipped, begins as a tar archive does (POSIX or GNU)."""
    head = source.head(512)
    if head.startswith(GZIP):
        try:
            with gzip.open(source.path, "rb") as stream:
                head = stream.read(512)
        except (OSError, EOFError, zlib.error):
            return False  # damaged: reading it says so
    return head[257:262] == b"ustar"


def read_file(source: Source, limits: Limits = LIMITS) -> bytes:
    """The bytes of a single file, unpacked when it is gzipped. Raises `InvalidData` past `limits.table_bytes`."""
    packed = source.head(2) == GZIP
    with source.path.open("rb") as file:
        data = _read_capped(file, limits.table_bytes, source.filename)
    return unpack_gzip(data, limits.table_bytes, source.filename) if packed else data


def unpack_gzip(data: bytes, limit: int, place: str) -> bytes:
    """The bytes inside gzipped ones. Raises `InvalidData` past `limit` and when they are cut short or damaged."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return _read_capped(file, limit, place)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise InvalidData.at(place, f"is damaged or cut short ({fault}).", "Upload it again.", "ARCHIVE_DAMAGED") from fault


def is_zip(head: bytes) -> bool:
    return head.startswith((ZIP, EMPTY_ZIP))


def _read_capped(file: BinaryIO | Any, limit: int, place: str) -> bytes:
    chunks = []
    left = limit
    while chunk := file.read(min(4 * MIB, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise InvalidData(_too_large(place, None, limit))
        chunks.append(chunk)
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]


def _folder_files(root: pathlib.Path) -> tuple[list[str], int]:
    """Relative paths of the regular files under a folder, and the number of other things (links, devices)."""
    names, others = [], 0
    for folder, _, files in os.walk(root, followlinks=False):
        relative = pathlib.PurePath(folder).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        for file in files:
            if stat.S_ISREG(os.lstat(os.path.join(folder, file)).st_mode):
                names.append(prefix + file)
            else:
                others += 1
    return names, others


def _is_litter(name: str) -> bool:
    """Files that systems and programs leave behind, not data."""
    parts = name.split("/")
    return any(p.startswith(".") or p == "__MACOSX" for p in parts) or parts[-1].lower() in ("thumbs.db", "desktop.ini")


def _entry_name(member: zipfile.ZipInfo) -> str:
    name = member.filename.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name


def _hostile(member: zipfile.ZipInfo, seen: set[str]) -> str | None:
    """Why an entry is refused, None when it is a plain file or folder."""
    name = _entry_name(member)
    mode = member.external_attr >> 16
    # ZipInfo cuts the name at a NUL; the original is kept beside it.
    if "\0" in member.orig_filename:
        return "its name contains a NUL"
    if name.startswith("/") or ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        return "its name leads out of the archive"
    if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "it is a link or device, and only plain files are taken"
    if member.flag_bits & 0x1:
        return "it is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"its compression method {member.compress_type} is not taken; deflate is"
    if name in seen:
        return "another entry has the same name"
    seen.add(name)
    return None


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)[:200]


def _too_many_entries(filename: str, entries: int, limits: Limits) -> InvalidData:
    return InvalidData(Violation(
        field=filename, reason="TOO_MANY_FILES",
        message=f"holds {entries:,} files; at most {limits.archive_entries:,} are taken",
    ))


def _too_large(place: str, size: int | None, limit: int) -> Violation:
    told = "" if size is None else f" ({size:,})"
    return Violation(field=place, message=f"is larger than the {limit:,} bytes that are taken{told}", reason="TOO_LARGE")


def chunks_of(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of up to `size` items, in order."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
