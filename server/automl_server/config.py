"""The server's settings: options of the command line over environment variables (`AUTOML_…`) over these defaults."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
import pydantic
import pydantic_settings

MIB = 1 << 20


def _default_data() -> Path:
    return Path(platformdirs.user_data_dir("automl", appauthor=False)) / "server"


class Settings(pydantic_settings.BaseSettings):
    """Read once at start and handed down; nothing else looks at the environment."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="AUTOML_", frozen=True, extra="ignore")

    listen: str = "127.0.0.1:50051"
    """"unix:PATH" or "HOST:PORT" (port 0: any free one). Other than loopback needs TLS and a token, or `insecure`."""
    data: Path = pydantic.Field(default_factory=_default_data)
    """Folder of the store and of all files; created with access for its owner alone."""
    executor: Literal["local"] = "local"
    """Where trials run: "local" is this machine."""
    slots: Annotated[int, pydantic.Field(ge=1, le=4096)] = pydantic.Field(default_factory=lambda: os.cpu_count() or 1)
    """Trials that may run at once, all jobs together: one a CPU core or GPU."""
    idle_exit_s: Annotated[float, pydantic.Field(ge=0)] = 0.0
    """Exit after so many seconds without calls and without unfinished jobs; 0: never."""
    ready_file: Path | None = None
    """Written when calls are answered, removed at exit."""

    token: pydantic.SecretStr | None = None
    """A bearer token for all projects."""
    token_file: Path | None = None
    """JSON list of {"sha256": hex of the token's SHA-256, "projects": ["*" or ids], "expires": ISO 8601 or null}."""
    tls_certificate: Path | None = None
    """PEM chain; with `tls_key` the port speaks TLS."""
    tls_key: Path | None = None
    insecure: bool = False
    """Allow an address other than loopback without TLS and token."""

    metrics_port: Annotated[int, pydantic.Field(ge=0, le=65535)] | None = None
    """Prometheus metrics over HTTP on 127.0.0.1; None: off."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    max_message_bytes: Annotated[int, pydantic.Field(ge=2 * MIB)] = 4 * MIB
    """Of one incoming message; a chunk of 1 MiB must fit."""
    max_report_bytes: int = 48 * MIB
    """Of a report; outgoing messages may be 64 MiB."""
    max_calls: int = 4096
    """Calls that are answered at the same time, watchers included; more are refused RESOURCE_EXHAUSTED."""
    max_upload_bytes: int = 64 << 30
    """Of one uploaded file."""
    max_project_bytes: int = 256 << 30
    """Of a project's uploads and data sets together."""
    max_unfinished_uploads: int = 128
    """In a project."""
    max_unfinished_jobs: int = 1000
    """Waiting and running, in a project."""
    upload_silence_s: float = 60.0
    """A stream of WriteUpload that brings nothing for so long ends DEADLINE_EXCEEDED."""
    upload_takeover_s: float = 5.0
    """A stream that has been silent for so long gives way to another one for the same upload."""
    upload_expiry_s: float = 7 * 86400.0
    """Uploads without progress for so long are removed."""
    min_free_bytes: int = 64 * MIB
    """No job is started, and a running one waits, while the disk has less room than this."""

    store_busy_s: float = 5.0
    """How long to wait for another process that holds the store's lock, before UNAVAILABLE."""

    inspect_timeout_s: float = 600.0
    inspect_memory_bytes: int = 8 << 30
    """Private memory of the process that inspects a data set."""
    inspect_at_once: int = 2
    report_timeout_s: float = 120.0
    cancel_grace_s: float = 5.0
    """A controller that was told to cancel is killed after so many seconds."""
    stop_grace_s: float = 10.0
    """At shutdown, controllers whose standard input was closed are killed after so many seconds."""
    finish_grace_s: float = 60.0
    """A controller that said job-finished must exit within so many seconds."""
    overrun_grace_s: float = 30.0
    """With a tenth of the budget: how far past its deadline a controller may run before it is killed."""
    max_crashes: int = 3
    """A controller that dies so often in a row without progress fails its job."""
    disk_check_s: float = 5.0
    """How often waiting jobs look again for room on the disk."""
    keep_workdirs: bool = False
    """Keep the folders of ended jobs (prepared data, checkpoints) for a closer look."""

    controller_command: tuple[str, ...] = (sys.executable, "-m", "automl.job")
    """The process of a job ("The controller's protocol" in the documentation)."""
    inspect_command: tuple[str, ...] = (sys.executable, "-m", "automl.data", "inspect")
    report_command: tuple[str, ...] = (sys.executable, "-m", "automl.report")
    export_command: tuple[str, ...] = (sys.executable, "-m", "automl.execution.again")
    export_timeout_s: float = 600.0
    """Of one artifact that is made of a registered model."""

    @pydantic.field_validator("data", "ready_file", "token_file", "tls_certificate", "tls_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()
