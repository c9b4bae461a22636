"""The tables as of `REVISION`. Migrations (`migrations/versions`) lead here; a test compares the two.

Times are seconds since 1970 (UTC). Values that are only read back whole are kept as JSON text of the types in `automl.spec`.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISION = "0001"
"""The newest migration: a store with another one is migrated, or refused when it isn't known here."""

metadata = sa.MetaData()

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("committed_size", sa.Integer, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("update_time", sa.Float, nullable=False),
    sa.Index("uploads_by_content", "sha256"),
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("has_header", sa.Boolean, nullable=True),  # as asked for; null: found out
    sa.Column("info", sa.Text, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.UniqueConstraint("project", "id", "version", name="datasets_by_name"),
    sa.Index("datasets_by_content", "sha256"),
    sqlite_autoincrement=True,
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),  # the version's name
    sa.Column("test_dataset", sa.Text, nullable=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("cancel", sa.Text, nullable=False, server_default=""),  # "", "finish" or "abort": asked for
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("start_time", sa.Float, nullable=True),
    sa.Column("end_time", sa.Float, nullable=True),
    sa.Column("deadline", sa.Float, nullable=True),
    sa.Column("last_event", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_controller_event", sa.Integer, nullable=False, server_default="0"),
    sa.Column("summary", sa.Text, nullable=True),  # of an ended job; a running one's is the fold of its events
    sa.Column("model_version", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("project", "id", name="jobs_by_name"),
    sa.Index("jobs_by_state", "state"),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("controller_sequence", sa.Integer, nullable=True),  # null: the server's own
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

request_ids = sa.Table(
    "request_ids",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("body_sha256", sa.Text, nullable=False),
    sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number"), nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("validation_metric", sa.Float, nullable=True),
    sa.Column("test_metric", sa.Float, nullable=True),
    sa.Column("test_metrics", sa.Text, nullable=False),
    sa.Column("recipe", sa.Text, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.UniqueConstraint("project", "model", "version", name="model_versions_by_name"),
    sqlite_autoincrement=True,
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("model_version", sa.Integer, sa.ForeignKey("model_versions.number"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("info", sa.Text, nullable=False),
    sa.Index("artifacts_by_content", "sha256"),
)
