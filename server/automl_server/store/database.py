"""The SQLite file: opened, checked, migrated; one writer thread, two reader threads, none of them the event loop's.

WAL with `synchronous=FULL`: a transaction that was answered survives `kill -9` and a power cut, and readers never wait for
the writer. Every function given to `write` runs in one transaction, in the order of the calls.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
import sqlalchemy.exc
import structlog

from automl_server import errors, files
from automl_server.store import schema

P = ParamSpec("P")
R = TypeVar("R")

_READERS = 2

log = structlog.get_logger(__name__)


class Store:
    """An open store. `write` and `read` may be called from the event loop's thread only; `close` ends the threads."""

    def __init__(self, writer: sa.Engine, reader: sa.Engine):
        self._writer = writer
        self._reader = reader
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._read_threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")

    @classmethod
    def open(cls, path: Path, *, busy_s: float = 5.0) -> Store:
        """Opens the file, creating or migrating it. Raises `CannotStart`, the file untouched, when it is damaged or
        newer."""
        if path.exists():
            _check(path)
        writer = _engine(path, "BEGIN IMMEDIATE", busy_s, size=1)
        try:
            _migrate(writer, path)
        except BaseException:
            writer.dispose()
            raise
        return cls(writer, _engine(path, "BEGIN", busy_s, size=_READERS, query_only=True))

    async def write(self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `function(connection, …)` in a transaction that is durable when this returns.

        Raises what the function raises (rolled back), `StoreFull` when the disk is, and `Busy` when another process holds
        the file's lock for longer than `busy_s`.
        """
        return await self._run(self._write_thread, self._writer, function, args, kwargs)

    async def read(self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `function(connection, …)` on a consistent snapshot. Raises as `write` does."""
        return await self._run(self._read_threads, self._reader, function, args, kwargs)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        engine: sa.Engine,
        function: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> R:
        def call() -> R:
            try:
                with engine.begin() as connection:
                    return function(connection, *args, **kwargs)
            except sqlalchemy.exc.DatabaseError as error:
                raise _translated(error) from error

        # Shielded: a call that is cancelled half-way must not leave its caller unsure whether the queue still holds it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(threads, call))

    def close(self) -> None:
        """Waits for what was begun, and folds the log into the file."""
        self._write_thread.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()


def _engine(path: Path, begin: str, busy_s: float, *, size: int, query_only: bool = False) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", pool_size=size, max_overflow=0)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own: `_begin` does
        for pragma in (
            f"busy_timeout = {round(1000 * busy_s)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"query_only = {'ON' if query_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _translated(error: sqlalchemy.exc.DatabaseError) -> Exception:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return errors.Busy("The store is locked by another process. Try again.", reason="STORE_LOCKED", retry_after_s=1.0)
    if code == sqlite3.SQLITE_FULL:
        return errors.StoreFull()
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return errors.DataLoss("The store is damaged; its log says more.", reason="STORE_DAMAGED")
    return error


def _check(path: Path) -> None:
    """Raises `CannotStart` when the file is damaged. Opens it read-only, so that it stays as it is for a rescue."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            findings = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        findings = [str(error)]
    if findings != ["ok"]:
        backups = sorted(p.name for p in path.parent.glob(f"{path.name}.before-*"))
        there = f"There are backups beside it: {', '.join(backups)}." if backups else "There is no backup beside it."
        raise errors.CannotStart(
            f"The store {path} is damaged ({'; '.join(findings)}). It was left untouched. {there} Put a sound copy in its "
            f"place (with the server stopped, and {path.name}-wal and -shm moved away), or save what can be read: "
            f"sqlite3 {path} .recover | sqlite3 {path.name}.recovered"
        )


def _migrate(engine: sa.Engine, path: Path) -> None:
    """Brings the schema to `schema.REVISION`, after a backup. Raises `CannotStart` for a revision that isn't known here."""
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        found = (
            connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if "alembic_version" in tables else None
        )
    if found == schema.REVISION:
        return  # alembic isn't even imported: it costs ten megabytes and a tenth of a second
    import alembic.command
    import alembic.config
    import alembic.script

    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    script = alembic.script.ScriptDirectory.from_config(configuration)
    known = {revision.revision for revision in script.walk_revisions()}
    if (found is not None and found not in known) or (found is None and tables):
        what = f"has the revision {found}" if found else "holds tables of another program"
        raise errors.CannotStart(
            f"The store {path} {what}; this server knows {', '.join(sorted(known))}. It was left untouched. "
            "Start the server version that wrote it, or a newer one."
        )
    if found is not None:
        backup = path.with_name(f"{path.name}.before-{schema.REVISION}")
        _back_up(path, backup)
        log.info("store backed up", file=backup.name, revision=found)
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        alembic.command.upgrade(configuration, "head")
        faults = [row[0] for row in connection.execute(sa.text("PRAGMA quick_check(5)"))]
        if faults != ["ok"]:
            raise errors.CannotStart(
                f"Migrating the store {path} to {schema.REVISION} failed its check: {'; '.join(faults)}"
            )
    files.sync_folder(path.parent)
    log.info("store migrated", before=found, after=schema.REVISION)


def _back_up(path: Path, backup: Path) -> None:
    temporary = backup.with_name(backup.name + ".tmp")
    temporary.unlink(missing_ok=True)
    source, target = sqlite3.connect(path), sqlite3.connect(temporary)
    try:
        source.backup(target)
    finally:
        target.close()
        source.close()
    temporary.replace(backup)
    files.sync_folder(backup.parent)
