"""Run by alembic: the connection is handed over by `automl_server.store.database`, there is no configuration file."""

from alembic import context

from automl_server.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
# The caller holds the transaction, so that a migration and the check after it succeed or fail together.
context.run_migrations()
