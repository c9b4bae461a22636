"""Jobs: the specification, where it stands, and the request ids that made them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from automl.spec import JobSpec
from automl_server import errors
from automl_server import resource_names as names
from automl_server.store.schema import jobs, request_ids
from automl_server.summary import JobSummary

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"
UNFINISHED = (QUEUED, RUNNING)


@dataclasses.dataclass(frozen=True)
class JobRecord:
    """A row of `jobs`; `number` is 0 until it is stored."""

    project: str
    id: str
    dataset: str
    test_dataset: str | None
    spec: JobSpec
    state: str
    create_time: float
    message: str = ""
    reason: str = ""
    cancel: str = ""
    """What was asked for and isn't done yet: "finish", "abort" or nothing."""
    start_time: float | None = None
    end_time: float | None = None
    deadline: float | None = None
    last_event: int = 0
    last_controller_event: int = 0
    summary: JobSummary | None = None
    model_version: str = ""
    number: int = 0

    @property
    def name(self) -> names.Job:
        return names.Job(self.project, self.id)

    @property
    def ended(self) -> bool:
        return self.state not in UNFINISHED


def _record(row: sa.Row[Any]) -> JobRecord:
    values = dict(row._mapping)
    values["spec"] = JobSpec.from_dict(json.loads(values["spec"]))
    values["summary"] = None if values["summary"] is None else JobSummary.model_validate_json(values["summary"])
    return JobRecord(**values)


def get(connection: sa.Connection, name: names.Job) -> JobRecord | None:
    row = connection.execute(sa.select(jobs).where((jobs.c.project == name.project) & (jobs.c.id == name.job))).first()
    return None if row is None else _record(row)


def for_request(connection: sa.Connection, project: str, request_id: str, body_sha256: str) -> JobRecord | None:
    """The job that the request id made. Raises `AlreadyExists` when that was for another body."""
    found = connection.execute(
        sa.select(request_ids).where((request_ids.c.project == project) & (request_ids.c.request_id == request_id))
    ).first()
    if found is None:
        return None
    record = _record(connection.execute(sa.select(jobs).where(jobs.c.number == found.job)).one())
    if found.body_sha256 != body_sha256:
        raise errors.AlreadyExists(
            f"The request id {request_id} was used for another job, {record.name}: a new request needs a new id.",
            reason="REQUEST_ID_REUSED",
            metadata={"job": str(record.name)},
        )
    return record


def insert(
    connection: sa.Connection, record: JobRecord, request_id: str, body_sha256: str, max_unfinished: int
) -> tuple[JobRecord, bool]:
    """Stores the job and its request id ("" for none); (job, True), or (the job that the id made before, False).

    Raises `AlreadyExists` as `for_request`, and `ResourceExhausted` when the project has too many unfinished jobs.
    """
    if request_id and (there := for_request(connection, record.project, request_id, body_sha256)) is not None:
        return there, False
    waiting = connection.scalar(
        sa.select(sa.func.count()).select_from(jobs).where((jobs.c.project == record.project) & jobs.c.state.in_(UNFINISHED))
    )
    if waiting is not None and waiting >= max_unfinished:
        raise errors.ResourceExhausted(
            f"The project {record.project} has {waiting} unfinished jobs; the limit is {max_unfinished}. Cancel some or "
            "wait.",
            reason="JOB_QUOTA",
            metadata={"limit": str(max_unfinished)},
        )
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name != "number"}
    values["spec"] = json.dumps(record.spec.to_dict(), ensure_ascii=False)
    key = connection.execute(jobs.insert().values(**values)).inserted_primary_key
    assert key is not None
    stored = dataclasses.replace(record, number=key[0])
    if request_id:
        connection.execute(
            request_ids.insert().values(
                project=record.project,
                request_id=request_id,
                body_sha256=body_sha256,
                job=stored.number,
                create_time=record.create_time,
            )
        )
    return stored, True


def page(connection: sa.Connection, project: str, before: int | None, rows: int) -> list[JobRecord]:
    """Up to `rows` jobs, newest first, older than the place `before`."""
    query = sa.select(jobs).where(jobs.c.project == project)
    if before is not None:
        query = query.where(jobs.c.number < before)
    return [_record(row) for row in connection.execute(query.order_by(jobs.c.number.desc()).limit(rows))]


def unfinished(connection: sa.Connection) -> list[JobRecord]:
    """Every job that has to go on, oldest first."""
    return [
        _record(row)
        for row in connection.execute(sa.select(jobs).where(jobs.c.state.in_(UNFINISHED)).order_by(jobs.c.number))
    ]


def update(connection: sa.Connection, number: int, **values: Any) -> JobRecord:
    """Sets columns of a job and returns it."""
    if values.get("summary") is not None:
        values["summary"] = values["summary"].model_dump_json()
    connection.execute(jobs.update().where(jobs.c.number == number).values(**values))
    return _record(connection.execute(sa.select(jobs).where(jobs.c.number == number)).one())
