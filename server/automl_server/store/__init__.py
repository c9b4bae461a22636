"""The store: what must survive a power cut, in SQLite.

`database.Store` opens, checks and migrates the file, and runs functions on its one writer thread or its reader threads;
`schema` has the tables; `uploads`, `datasets`, `jobs`, `events` and `models` are functions of a connection, to be run so:
`await store.write(jobs.insert, …)`.
"""

from automl_server.store.database import Store

__all__ = ["Store"]
