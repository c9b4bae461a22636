"""Uploads: what was declared, and how far the bytes have come. `committed_size` is durable before it stands here."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from automl_server import resource_names as names
from automl_server.store.schema import datasets, uploads


@dataclasses.dataclass(frozen=True)
class UploadRecord:
    """A row of `uploads`."""

    project: str
    id: str
    filename: str
    size_bytes: int
    sha256: str
    committed_size: int
    complete: bool
    create_time: float
    update_time: float

    @property
    def name(self) -> names.Upload:
        return names.Upload(self.project, self.id)


def _record(row: sa.Row[Any] | None) -> UploadRecord | None:
    return None if row is None else UploadRecord(**row._mapping)


def get(connection: sa.Connection, name: names.Upload) -> UploadRecord | None:
    return _record(connection.execute(sa.select(uploads).where(_is(name))).first())


def find_same(connection: sa.Connection, project: str, filename: str, size_bytes: int, sha256: str) -> UploadRecord | None:
    """The upload of the same declaration, finished or not; the one that is farthest when there are several."""
    same = (
        (uploads.c.project == project)
        & (uploads.c.filename == filename)
        & (uploads.c.size_bytes == size_bytes)
        & (uploads.c.sha256 == sha256)
    )
    return _record(connection.execute(sa.select(uploads).where(same).order_by(uploads.c.committed_size.desc())).first())


def project_has_content(connection: sa.Connection, project: str, sha256: str, size_bytes: int) -> bool:
    """Whether the project itself brought these bytes before (another project's don't count: a hash is no proof of
    possession)."""
    for table in (uploads, datasets):
        held = (table.c.project == project) & (table.c.sha256 == sha256) & (table.c.size_bytes == size_bytes)
        if table is uploads:
            held &= uploads.c.complete
        if connection.scalar(sa.select(sa.literal(1)).where(held).limit(1)):
            return True
    return False


def insert(connection: sa.Connection, record: UploadRecord) -> None:
    connection.execute(uploads.insert().values(**dataclasses.asdict(record)))


def commit(connection: sa.Connection, name: names.Upload, committed_size: int, now: float) -> None:
    """Records that the file's first `committed_size` bytes are durable."""
    connection.execute(uploads.update().where(_is(name)).values(committed_size=committed_size, update_time=now))


def complete(connection: sa.Connection, name: names.Upload, now: float) -> None:
    connection.execute(
        uploads.update().where(_is(name)).values(complete=True, committed_size=uploads.c.size_bytes, update_time=now)
    )


def delete(connection: sa.Connection, name: names.Upload) -> None:
    connection.execute(uploads.delete().where(_is(name)))


def unfinished(connection: sa.Connection, project: str | None = None) -> list[UploadRecord]:
    query = sa.select(uploads).where(~uploads.c.complete)
    if project is not None:
        query = query.where(uploads.c.project == project)
    return [UploadRecord(**row._mapping) for row in connection.execute(query)]


def delete_stale(connection: sa.Connection, before: float) -> list[UploadRecord]:
    """Removes uploads that weren't touched since `before` and returns them. Data sets made of them are not concerned."""
    stale = [
        UploadRecord(**r._mapping) for r in connection.execute(sa.select(uploads).where(uploads.c.update_time < before))
    ]
    connection.execute(uploads.delete().where(uploads.c.update_time < before))
    return stale


def project_bytes(connection: sa.Connection, project: str) -> int:
    """Bytes that a project's uploads and data sets take or will take; equal content counts once."""
    held: dict[str, int] = {}
    for table in (uploads, datasets):
        for sha256, size_bytes in connection.execute(
            sa.select(table.c.sha256, table.c.size_bytes).where(table.c.project == project)
        ):
            held[sha256] = size_bytes
    return sum(held.values())


def _is(name: names.Upload) -> sa.ColumnElement[bool]:
    return (uploads.c.project == name.project) & (uploads.c.id == name.upload)
