"""Data set versions: immutable, named by content."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from automl.spec import DatasetInfo
from automl_server import errors
from automl_server import resource_names as names
from automl_server.store import jobs as job_rows
from automl_server.store.schema import artifacts, datasets, jobs, uploads


@dataclasses.dataclass(frozen=True)
class DatasetRecord:
    """A row of `datasets`; `number` is None until it is stored."""

    project: str
    id: str
    version: str
    sha256: str
    size_bytes: int
    filename: str
    display_name: str
    has_header: bool | None
    info: DatasetInfo
    create_time: float
    number: int | None = None

    @property
    def name(self) -> names.Dataset:
        return names.Dataset(self.project, self.id, self.version)


def _record(row: sa.Row[Any]) -> DatasetRecord:
    values = dict(row._mapping)
    values["info"] = DatasetInfo.from_dict(json.loads(values["info"]))
    return DatasetRecord(**values)


def get(connection: sa.Connection, name: names.Dataset) -> DatasetRecord | None:
    """The version; without a version in the name, the newest."""
    query = sa.select(datasets).where((datasets.c.project == name.project) & (datasets.c.id == name.dataset))
    if name.version is not None:
        query = query.where(datasets.c.version == name.version)
    row = connection.execute(query.order_by(datasets.c.number.desc()).limit(1)).first()
    return None if row is None else _record(row)


def insert(connection: sa.Connection, record: DatasetRecord) -> DatasetRecord:
    """Stores the version, or returns the one of that name and content which another call stored first."""
    there = get(connection, record.name)
    if there is not None:
        return there
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    values["info"] = json.dumps(record.info.to_dict(), ensure_ascii=False)
    number = connection.execute(datasets.insert().values(**values)).inserted_primary_key
    assert number is not None
    return dataclasses.replace(record, number=number[0])


def page(connection: sa.Connection, project: str, before: int | None, rows: int) -> list[DatasetRecord]:
    """Up to `rows` versions, newest first, older than the place `before`."""
    query = sa.select(datasets).where(datasets.c.project == project)
    if before is not None:
        query = query.where(datasets.c.number < before)
    return [_record(row) for row in connection.execute(query.order_by(datasets.c.number.desc()).limit(rows))]


def delete(connection: sa.Connection, name: names.Dataset) -> DatasetRecord:
    """Removes the version with the project's uploads of the same bytes. Raises `NotFound`, or `FailedPrecondition` while an
    unfinished job uses it."""
    record = get(connection, name)
    if record is None:
        raise errors.NotFound(f"There is no data set {name}.")
    users = (
        connection.execute(
            sa.select(jobs.c.id).where(
                jobs.c.state.in_(job_rows.UNFINISHED) & ((jobs.c.dataset == str(name)) | (jobs.c.test_dataset == str(name)))
            )
        )
        .scalars()
        .all()
    )
    if users:
        raise errors.FailedPrecondition(
            f"{name} is used by {len(users)} unfinished job(s): {', '.join(users[:5])}. Cancel them or wait.",
            reason="DATASET_IN_USE",
            metadata={"jobs": ",".join(users[:20])},
        )
    connection.execute(datasets.delete().where(datasets.c.number == record.number))
    connection.execute(uploads.delete().where((uploads.c.project == name.project) & (uploads.c.sha256 == record.sha256)))
    return record


def content_is_used(connection: sa.Connection, sha256: str) -> bool:
    """Whether any row of any project still refers to the bytes."""
    return any(
        connection.scalar(sa.select(sa.literal(1)).where(table.c.sha256 == sha256).limit(1))
        for table in (uploads, datasets, artifacts)
    )
