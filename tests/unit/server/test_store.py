"""The store: durable, migrated to what the schema says, one writer and undisturbed readers."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import alembic.autogenerate
import alembic.config
import alembic.migration
import alembic.script
import pytest
import sqlalchemy as sa

from automl.spec import JobSpec
from automl_server import errors
from automl_server.store import Store, events, jobs, schema
from automl_server.store.events import NewEvent
from automl_server.store.jobs import JobRecord


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    opened = Store.open(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def record(id: str = "j", project: str = "p") -> JobRecord:
    return JobRecord(
        project=project, id=id, dataset="d", test_dataset=None, spec=JobSpec(dataset="d"), state="QUEUED", create_time=1.0
    )


def test_migrations_lead_to_the_schema(store: Store, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/store.sqlite3")
    with engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_the_revision_in_the_code_is_the_newest_migration() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(folder))
    assert alembic.script.ScriptDirectory.from_config(configuration).get_current_head() == schema.REVISION


async def test_commits_are_synchronous_and_readers_do_not_wait(store: Store, tmp_path: Path) -> None:
    def settings(connection: sa.Connection) -> tuple:  # type: ignore[type-arg]
        return tuple(
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        )

    assert await store.write(settings) == await store.read(settings) == ("wal", 2, 1)
    lock = sqlite3.connect(tmp_path / "store.sqlite3")
    lock.execute("BEGIN IMMEDIATE")
    assert await store.read(jobs.unfinished) == []
    lock.rollback()
    lock.close()


async def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        await store.read(jobs.insert, record(), "", "", 10)


async def test_what_fails_leaves_nothing(store: Store) -> None:
    def fail(connection: sa.Connection) -> None:
        jobs.insert(connection, record(), "", "", 10)
        raise KeyError("half-way")

    with pytest.raises(KeyError, match="half-way"):
        await store.write(fail)
    assert await store.read(jobs.unfinished) == []


async def test_events_are_numbered_without_gaps_and_replays_are_ignored(store: Store) -> None:
    job, _ = await store.write(jobs.insert, record(), "", "", 10)

    def said(*sequences: int) -> list[NewEvent]:
        return [NewEvent(n, 1.0, "noted", "{}") for n in sequences]

    first = await store.write(events.append, job.number, said(1, 2))
    await store.write(events.append, job.number, [NewEvent.state_changed("RUNNING", "", 2.0)])
    second = await store.write(events.append, job.number, said(1, 2, 3))
    assert [e.sequence for e in (*first, *second)] == [1, 2, 4]
    stored = await store.read(events.after, job.number, 0, 100)
    assert [(e.sequence, e.controller_sequence) for e in stored] == [(1, 1), (2, 2), (3, None), (4, 3)]
    now = await store.read(jobs.get, job.name)
    assert now is not None
    assert (now.last_event, now.last_controller_event) == (4, 3)


async def test_of_the_samplers_states_the_newest_is_given_back(store: Store) -> None:
    job, _ = await store.write(jobs.insert, record(), "", "", 10)
    new = [NewEvent(n, 1.0, "sampler-state" if n % 2 else "noted", "{}") for n in range(1, 7)]
    await store.write(events.append, job.number, new)
    assert [e["sequence"] for e in await store.read(events.of_controller, job.number, sampler_state=True)] == [2, 4, 5, 6]
    assert [e["sequence"] for e in await store.read(events.of_controller, job.number, sampler_state=False)] == [2, 4, 6]


async def test_events_are_stored_in_order_by_many_callers(store: Store) -> None:
    job, _ = await store.write(jobs.insert, record(), "", "", 10)
    await asyncio.gather(*(store.write(events.append, job.number, [NewEvent(n, 1.0, "noted", "{}")]) for n in range(1, 201)))
    stored = await store.read(events.after, job.number, 0, 2000)
    assert [e.controller_sequence for e in stored] == list(range(1, 201))


def test_a_store_survives_a_kill_between_two_servers(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    first = Store.open(path)
    asyncio.run(_insert(first))
    # not closed: as after `kill -9`, the log is still beside the file
    second = Store.open(path)
    assert [j.id for j in asyncio.run(_unfinished(second))] == ["j"]
    second.close()
    first.close()


async def _insert(store: Store) -> None:
    await store.write(jobs.insert, record(), "", "", 10)


async def _unfinished(store: Store) -> list[JobRecord]:
    return await store.read(jobs.unfinished)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite3") as connection:
        connection.execute("CREATE TABLE somebody_elses (x)")
    connection.close()
    with pytest.raises(errors.CannotStart, match="another program"):
        Store.open(tmp_path / "store.sqlite3")


def test_an_older_store_is_backed_up_before_it_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite3"
    Store.open(path).close()
    monkeypatch.setattr(schema, "REVISION", "0002")  # as if this code were newer; its migration changes nothing
    Store.open(path).close()
    backup = path.with_name("store.sqlite3.before-0002")
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    connection.close()
