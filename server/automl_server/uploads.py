"""Uploads: bytes come in chunks, are durable before they are acknowledged, and go on where they were after any interruption.

The bytes of an unfinished upload lie in `uploads/<project>.<id>.part`. The store's `committed_size` never exceeds what is
durable there; what a crash left beyond it is cut off. A complete upload's file has been hashed and moved to the content
store.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c
import sqlalchemy as sa
import structlog

from automl.spec import InvalidInput
from automl_server import errors, files
from automl_server import resource_names as names
from automl_server.config import Settings
from automl_server.content import ContentStore
from automl_server.store import Store, datasets
from automl_server.store import uploads as rows
from automl_server.store.uploads import UploadRecord

_COMMIT_BYTES = 8 << 20
"""So many bytes at most are sent again after a crash of the server."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chunk:
    """A piece of a file with its place and CRC-32C."""

    offset: int
    data: bytes
    crc32c: int


@dataclass
class _Turn:
    """Who writes to an upload: one stream at a time, the others wait. One that has fallen silent is told to let go."""

    users: int = 0
    heard: float = 0.0
    """When the writing stream last brought something (monotonic)."""
    superseded: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """Creates, fills and cleans uploads."""

    def __init__(self, store: Store, content: ContentStore, folder: Path, settings: Settings):
        self._store = store
        self._content = content
        self._folder = files.make_folder(folder)
        self._settings = settings
        self._turns: dict[names.Upload, _Turn] = {}

    async def create(self, project: str, filename: str, size_bytes: int, sha256: str) -> UploadRecord:
        """A new upload, the one of the same declaration, or a complete one when the project has these bytes already.

        Raises `InvalidInput` when it is too large, and `ResourceExhausted` for quotas and a full disk.
        """
        limit = self._settings.max_upload_bytes
        if size_bytes > limit:
            raise InvalidInput.at(
                "upload.size_bytes", f"expected at most {limit} bytes, got {size_bytes}", reason="TOO_LARGE"
            )
        now = time.time()
        wanted = UploadRecord(project, f"u-{secrets.token_hex(8)}", filename, size_bytes, sha256, 0, False, now, now)
        free = shutil.disk_usage(self._folder).free
        async with self._content.guard:
            there = await asyncio.to_thread(self._content.has, sha256, size_bytes)
            return await self._store.write(_create, wanted, there, free, self._settings)

    async def get(self, name: names.Upload) -> UploadRecord:
        """Raises `NotFound`."""
        record = await self._store.read(rows.get, name)
        if record is None:
            raise errors.NotFound(f"There is no upload {name}. It may have expired, or its hash was wrong: create it again.")
        return record

    async def write(self, name: names.Upload, chunks: AsyncIterator[Chunk]) -> UploadRecord:
        """Takes a stream's chunks; what has come is kept whatever ends it.

        While another stream writes the same upload (two callers with the same file), this one waits: the upload is
        complete when that one is done, or goes on where it ended. One that has been silent for `upload_takeover_s` ends
        `Aborted`.

        Raises `NotFound`; `OutOfRange` with the committed size for a gap; `InvalidInput` for a wrong checksum, and (the
        upload is then gone) a wrong hash; `ResourceExhausted` for more bytes than declared and for a full disk;
        `DeadlineExceeded` for silence.
        """
        async with self._turn(name) as turn:
            record = await self.get(name)
            if not record.complete:
                await self._fill(record, chunks, turn)
                record = await self.get(name)
                if not record.complete and record.committed_size == record.size_bytes:
                    record = await self._finish(record)
            return record

    @contextlib.asynccontextmanager
    async def _turn(self, name: names.Upload) -> AsyncIterator[_Turn]:
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            while True:
                silent = time.monotonic() - turn.heard
                if turn.lock.locked() and silent >= self._settings.upload_takeover_s:
                    turn.superseded.set()
                try:
                    async with asyncio.timeout(max(0.1, self._settings.upload_takeover_s - silent)):
                        await turn.lock.acquire()
                    break
                except TimeoutError:
                    continue
            try:
                turn.superseded, turn.heard = asyncio.Event(), time.monotonic()
                yield turn
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]

    async def _fill(self, record: UploadRecord, chunks: AsyncIterator[Chunk], turn: _Turn) -> None:
        path = self._part(record)
        file = await asyncio.to_thread(_opened, path, record.committed_size)
        place, durable = record.committed_size, record.committed_size
        try:
            async for chunk in self._heard(chunks, turn):
                data = _next_bytes(chunk, place, record)
                await _whole(asyncio.to_thread(_write, file, data))
                place += len(data)
                if place - durable >= _COMMIT_BYTES:
                    await _whole(self._commit(record, file, place))
                    durable = place
        finally:
            # Also when the caller is gone: the next stream then goes on from here.
            try:
                if place > durable:
                    await _whole(self._commit(record, file, place))
            finally:
                os.close(file)

    async def _heard(self, chunks: AsyncIterator[Chunk], turn: _Turn) -> AsyncIterator[Chunk]:
        """The chunks, unless they stop coming or another stream takes over."""
        over = asyncio.ensure_future(turn.superseded.wait())
        coming: asyncio.Future[Chunk | None] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(chunks, None))
                done, _ = await asyncio.wait(
                    {coming, over}, timeout=self._settings.upload_silence_s, return_when=asyncio.FIRST_COMPLETED
                )
                if over in done:
                    raise errors.Aborted("This stream was silent, and a newer one writes the upload.", reason="SUPERSEDED")
                if coming not in done:
                    raise errors.DeadlineExceeded(
                        f"No data came for {self._settings.upload_silence_s:g} s. What came is kept; go on from the "
                        "committed size.",
                        reason="UPLOAD_SILENT",
                    )
                chunk = coming.result()
                if chunk is None:
                    return
                turn.heard = time.monotonic()
                yield chunk
        finally:
            over.cancel()
            if coming is not None:
                coming.cancel()

    async def _commit(self, record: UploadRecord, file: int, place: int) -> None:
        await asyncio.to_thread(_sync, file)
        await self._store.write(rows.commit, record.name, place, time.time())

    async def _finish(self, record: UploadRecord) -> UploadRecord:
        path = self._part(record)
        found = await asyncio.to_thread(_sha256, path)
        if found != record.sha256:
            await self._store.write(rows.delete, record.name)
            await asyncio.to_thread(path.unlink)
            raise InvalidInput.at(
                "upload.sha256",
                f"{record.sha256} was declared, but the bytes that came have {found}",
                "The file changed on the way, or while it was sent: create the upload again.",
                "SHA256_MISMATCH",
            )
        async with self._content.guard:
            await asyncio.to_thread(self._content.adopt, path, record.sha256)
            await self._store.write(rows.complete, record.name, time.time())
        log.info("upload complete", upload=str(record.name), size_bytes=record.size_bytes)
        return await self.get(record.name)

    async def recover(self) -> None:
        """At start: makes rows and files agree after a crash, and removes files that no row knows."""
        known = set()
        for record in await self._store.read(rows.unfinished):
            path = self._part(record)
            known.add(path.name)
            async with self._content.guard:
                if await asyncio.to_thread(self._content.has, record.sha256, record.size_bytes) and not path.exists():
                    await self._store.write(rows.complete, record.name, time.time())  # killed between moving and saying so
                    continue
            there = path.stat().st_size if path.exists() else 0
            if there < record.committed_size:
                log.warning(
                    "bytes of an upload are missing", upload=str(record.name), committed=record.committed_size, there=there
                )
                await self._store.write(rows.commit, record.name, there, time.time())
        for path in self._folder.glob("*.part"):
            if path.name not in known:
                path.unlink(missing_ok=True)
        await asyncio.to_thread(self._content.clean)

    async def expire(self) -> None:
        """Removes uploads without progress for `upload_expiry_s`, with bytes that nothing refers to any more."""
        before = time.time() - self._settings.upload_expiry_s
        for record in await self._store.write(rows.delete_stale, before):
            log.info("upload expired", upload=str(record.name))
            if record.complete:
                await self.drop_content(record.sha256)
            else:
                await asyncio.to_thread(self._part(record).unlink, missing_ok=True)

    async def drop_content(self, sha256: str) -> None:
        """Removes bytes from the content store if no row refers to them."""
        async with self._content.guard:
            if not await self._store.read(datasets.content_is_used, sha256):
                await asyncio.to_thread(self._content.remove, sha256)

    def _part(self, record: UploadRecord) -> Path:
        return self._folder / f"{record.project}.{record.id}.part"


def _create(
    connection: sa.Connection, wanted: UploadRecord, there: bool, free_bytes: int, settings: Settings
) -> UploadRecord:
    same = rows.find_same(connection, wanted.project, wanted.filename, wanted.size_bytes, wanted.sha256)
    if same is not None:
        return same
    if there and rows.project_has_content(connection, wanted.project, wanted.sha256, wanted.size_bytes):
        known = UploadRecord(
            wanted.project,
            wanted.id,
            wanted.filename,
            wanted.size_bytes,
            wanted.sha256,
            wanted.size_bytes,
            True,
            wanted.create_time,
            wanted.update_time,
        )
        rows.insert(connection, known)
        return known
    unfinished = rows.unfinished(connection, wanted.project)
    if len(unfinished) >= settings.max_unfinished_uploads:
        raise errors.ResourceExhausted(
            f"The project {wanted.project} has {len(unfinished)} unfinished uploads; the limit is "
            f"{settings.max_unfinished_uploads}.",
            reason="UPLOAD_QUOTA",
            metadata={"limit": str(settings.max_unfinished_uploads)},
        )
    held = rows.project_bytes(connection, wanted.project)
    if held + wanted.size_bytes > settings.max_project_bytes:
        raise errors.ResourceExhausted(
            f"The project {wanted.project} holds {held} bytes; with {wanted.size_bytes} more it would pass its limit of "
            f"{settings.max_project_bytes}. Delete data sets that are no longer needed.",
            reason="BYTES_QUOTA",
            metadata={"limit": str(settings.max_project_bytes), "held": str(held)},
        )
    promised = sum(u.size_bytes - u.committed_size for u in unfinished)
    if wanted.size_bytes + promised + settings.min_free_bytes > free_bytes:
        raise errors.StoreFull(
            f"The server's disk has {free_bytes} bytes left: too few for {wanted.size_bytes} more. Free some room and try "
            "again."
        )
    rows.insert(connection, wanted)
    return wanted


def _next_bytes(chunk: Chunk, place: int, record: UploadRecord) -> bytes:
    """The part of a sound chunk that isn't there yet; nothing of one that another stream has brought meanwhile."""
    if len(chunk.data) > files.CHUNK_BYTES:
        raise InvalidInput.at(
            "data", f"expected at most {files.CHUNK_BYTES} bytes in a chunk, got {len(chunk.data)}", reason="TOO_LARGE"
        )
    if google_crc32c.value(chunk.data) != chunk.crc32c:
        raise InvalidInput.at(
            "crc32c", f"the chunk at {chunk.offset} isn't the one that was sent: send it again", reason="CHECKSUM_MISMATCH"
        )
    if not 0 <= chunk.offset <= place:
        raise errors.OutOfRange(
            f"The next chunk starts at {place}, got one at {chunk.offset}.",
            reason="OFFSET_MISMATCH",
            metadata={"committed_size": str(place)},
        )
    if chunk.offset + len(chunk.data) > record.size_bytes:
        raise errors.ResourceExhausted(
            f"{record.size_bytes} bytes were declared, and more came.",
            reason="SIZE_EXCEEDED",
            metadata={"declared": str(record.size_bytes)},
        )
    return chunk.data[place - chunk.offset :]


async def _whole(operation: Awaitable[None]) -> None:
    """Waits for the operation's end even when the caller is cancelled meanwhile: its file must not be closed under it."""
    task = asyncio.ensure_future(operation)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _write(file: int, data: bytes) -> None:
    """Writes all of the bytes. Raises `StoreFull` when there is no room for them."""
    view = memoryview(data)
    with _full_disk_named():
        while view:
            view = view[os.write(file, view) :]


def _sync(file: int) -> None:
    """Makes what was written durable. Raises `StoreFull`."""
    with _full_disk_named():
        os.fsync(file)


@contextlib.contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.StoreFull from error
        raise


def _opened(path: Path, committed_size: int) -> int:
    """The file, opened for appending after its committed bytes; what lies behind them is cut off."""
    new = not path.exists()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.ftruncate(file, committed_size)
    os.lseek(file, committed_size, os.SEEK_SET)
    if new:
        files.sync_folder(path.parent)
    return file


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
