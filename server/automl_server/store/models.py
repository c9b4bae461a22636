"""Model versions and their artifacts."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from automl.spec import Artifact
from automl_server import resource_names as names
from automl_server.store.schema import artifacts, model_versions


@dataclasses.dataclass(frozen=True)
class ModelVersionRecord:
    """A row of `model_versions` with its artifacts; `version` and `number` are 0 until it is stored."""

    project: str
    model: str
    display_name: str
    job: str
    dataset: str
    task: str
    metric: str
    validation_metric: float | None
    test_metric: float | None
    test_metrics: dict[str, float]
    recipe: str
    create_time: float
    artifacts: tuple[Artifact, ...] = ()
    version: int = 0
    number: int = 0

    @property
    def name(self) -> names.ModelVersion:
        return names.ModelVersion(self.project, self.model, str(self.version))


@dataclasses.dataclass(frozen=True)
class ModelRecord:
    """A line of versions; the facts are the newest version's, `create_time` the first's."""

    project: str
    model: str
    display_name: str
    task: str
    versions: int
    latest: int
    create_time: float
    number: int
    """Number of the newest version's row: the place in lists."""

    @property
    def name(self) -> names.Model:
        return names.Model(self.project, self.model)


def insert(connection: sa.Connection, record: ModelVersionRecord) -> ModelVersionRecord:
    """Stores the next version of the model with its artifacts; the job's version that is there when it was stored before."""
    there = connection.execute(
        sa.select(model_versions).where((model_versions.c.project == record.project) & (model_versions.c.job == record.job))
    ).first()
    if there is not None:
        return _record(connection, there)
    newest = connection.scalar(
        sa.select(sa.func.max(model_versions.c.version)).where(
            (model_versions.c.project == record.project) & (model_versions.c.model == record.model)
        )
    )
    version = (newest or 0) + 1
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name not in ("artifacts", "number")}
    values |= {"version": version, "test_metrics": json.dumps(record.test_metrics)}
    key = connection.execute(model_versions.insert().values(**values)).inserted_primary_key
    assert key is not None
    for artifact in record.artifacts:
        add_artifact(connection, key[0], artifact)
    return dataclasses.replace(record, version=version, number=key[0])


def add_artifact(connection: sa.Connection, number: int, artifact: Artifact) -> None:
    """Adds an artifact to the version with this number, in place of one of the same id."""
    connection.execute(
        artifacts.delete().where((artifacts.c.model_version == number) & (artifacts.c.id == artifact.id))
    )
    connection.execute(
        artifacts.insert().values(
            model_version=number, id=artifact.id, sha256=artifact.sha256,
            info=json.dumps(artifact.to_dict(), ensure_ascii=False),
        )
    )


def get(connection: sa.Connection, name: names.ModelVersion) -> ModelVersionRecord | None:
    query = sa.select(model_versions).where(
        (model_versions.c.project == name.project) & (model_versions.c.model == name.model)
    )
    if name.number is not None:
        query = query.where(model_versions.c.version == name.number)
    row = connection.execute(query.order_by(model_versions.c.version.desc()).limit(1)).first()
    return None if row is None else _record(connection, row)


def page(connection: sa.Connection, project: str, before: int | None, rows: int) -> list[ModelRecord]:
    """Up to `rows` models, the most recently changed first, changed before the place `before`."""
    lines = (
        sa.select(
            sa.func.max(model_versions.c.number).label("number"),
            sa.func.count().label("versions"),
            sa.func.min(model_versions.c.create_time).label("create_time"),
        )
        .where(model_versions.c.project == project)
        .group_by(model_versions.c.model)
        .subquery()
    )
    newest = model_versions.alias()
    query = sa.select(newest, lines.c.versions, lines.c.create_time.label("first_time")).join(
        lines, newest.c.number == lines.c.number
    )
    if before is not None:
        query = query.where(newest.c.number < before)
    return [
        ModelRecord(
            project=row.project,
            model=row.model,
            display_name=row.display_name,
            task=row.task,
            versions=row.versions,
            latest=row.version,
            create_time=row.first_time,
            number=row.number,
        )
        for row in connection.execute(query.order_by(newest.c.number.desc()).limit(rows))
    ]


def _record(connection: sa.Connection, row: sa.Row[Any]) -> ModelVersionRecord:
    values = dict(row._mapping)
    values["test_metrics"] = json.loads(values["test_metrics"])
    held = connection.execute(
        sa.select(artifacts.c.info).where(artifacts.c.model_version == row.number).order_by(artifacts.c.id)
    )
    return ModelVersionRecord(**values, artifacts=tuple(Artifact.from_dict(json.loads(info)) for info in held.scalars()))
