"""First schema: uploads, data sets, jobs with events and request ids, model versions with artifacts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("committed_size", sa.Integer, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("create_time", sa.Float, nullable=False),
        sa.Column("update_time", sa.Float, nullable=False),
    )
    op.create_index("uploads_by_content", "uploads", ["sha256"])
    op.create_table(
        "datasets",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("has_header", sa.Boolean, nullable=True),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("create_time", sa.Float, nullable=False),
        sa.UniqueConstraint("project", "id", "version", name="datasets_by_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("datasets_by_content", "datasets", ["sha256"])
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("test_dataset", sa.Text, nullable=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("cancel", sa.Text, nullable=False, server_default=""),
        sa.Column("create_time", sa.Float, nullable=False),
        sa.Column("start_time", sa.Float, nullable=True),
        sa.Column("end_time", sa.Float, nullable=True),
        sa.Column("deadline", sa.Float, nullable=True),
        sa.Column("last_event", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_controller_event", sa.Integer, nullable=False, server_default="0"),
        sa.Column("summary", sa.Text, nullable=True),
        sa.Column("model_version", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("project", "id", name="jobs_by_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_table(
        "events",
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("controller_sequence", sa.Integer, nullable=True),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "request_ids",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("body_sha256", sa.Text, nullable=False),
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number"), nullable=False),
        sa.Column("create_time", sa.Float, nullable=False),
    )
    op.create_table(
        "model_versions",
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
    op.create_table(
        "artifacts",
        sa.Column("model_version", sa.Integer, sa.ForeignKey("model_versions.number"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("info", sa.Text, nullable=False),
    )
    op.create_index("artifacts_by_content", "artifacts", ["sha256"])
