"""The server, put together. Each part is named here once, and knows only the parts that it is given.

files     FolderLock · ContentStore (data sets, artifacts) · Workdirs (jobs' folders) · Kits (models) · Store (SQLite)
work      Uploads · Inspector · Supervisor (queue, controllers) · Hub (watchers) · Reports · Exporter
wire      services.{Dataset,Job,Model,Catalog}Service · health · reflection
on calls  ActivityInterceptor → ErrorsInterceptor → AuthInterceptor
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

import automl
from automl.catalog import entries
from automl_protos.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from automl_server import files, listening
from automl_server.config import Settings
from automl_server.content import ContentStore
from automl_server.exporting import Exporter
from automl_server.inspection import Inspector
from automl_server.interceptors.activity import ActivityInterceptor
from automl_server.interceptors.auth import AuthInterceptor, Grant, read_grants
from automl_server.interceptors.errors import ErrorsInterceptor
from automl_server.kits import Kits
from automl_server.lock import FolderLock
from automl_server.metrics import Metrics
from automl_server.reports import Reports
from automl_server.services.catalog import CatalogService
from automl_server.services.dataset import DatasetService
from automl_server.services.job import JobService
from automl_server.services.model import ModelService
from automl_server.signing import Signer
from automl_server.store import Store
from automl_server.supervisor import Supervisor
from automl_server.uploads import Uploads
from automl_server.watch import Hub
from automl_server.workdirs import Workdirs

SERVICES = tuple(
    file.services_by_name[name].full_name
    for file, name in (
        (catalog_service_pb2.DESCRIPTOR, "CatalogService"),
        (dataset_service_pb2.DESCRIPTOR, "DatasetService"),
        (job_service_pb2.DESCRIPTOR, "JobService"),
        (model_service_pb2.DESCRIPTOR, "ModelService"),
    )
)
MAX_OUTGOING_BYTES = 64 << 20

_STREAMS_GRACE_S = 2.0
_EXPIRY_CHECK_S = 3600.0
_IDLE_CHECK_S = 5.0

log = structlog.get_logger(__name__)


class App:
    """A running server: `address` is what clients dial. Made by `running`."""

    def __init__(self, settings: Settings, store: Store, content: ContentStore, grants: list[Grant]):
        self.settings = settings
        self.address = ""
        self.metrics = Metrics()
        self.hub = Hub(store)
        workdirs = Workdirs(settings.data / "jobs")
        self.uploads = Uploads(store, content, settings.data / "uploads", settings)
        signer = Signer.of(settings.data)
        kits = Kits(settings.data / "kits")
        self.supervisor = Supervisor(store, content, workdirs, self.hub, signer, kits, settings)
        exporter = Exporter(store, content, kits, signer, settings)
        self._activity = ActivityInterceptor(self.metrics)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        interceptors: list[grpc.aio.ServerInterceptor] = [self._activity, ErrorsInterceptor()]
        if grants:
            interceptors.append(AuthInterceptor(grants, time.time))
        self.server = grpc.aio.server(
            interceptors=interceptors, options=_options(settings), maximum_concurrent_rpcs=settings.max_calls
        )
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
            DatasetService(store, content, self.uploads, Inspector(settings)), self.server
        )
        job_service_pb2_grpc.add_JobServiceServicer_to_server(
            JobService(store, self.supervisor, self.hub, Reports(settings, workdirs)), self.server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(store, content, kits, exporter), self.server
        )
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(CatalogService(store), self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self.server)

    async def start(self) -> None:
        """Answers calls, then takes up unfinished jobs. Raises `CannotStart`."""
        address = listening.bind(self.server, listening.Address.parse(self.settings.listen), self.settings)
        await self.uploads.recover()
        await self.uploads.expire()
        # A broken declaration shows here, and not at the first job; it also takes the time off the first call.
        await asyncio.to_thread(_discover)
        self.metrics.observe(
            running=lambda: self.supervisor.running,
            waiting=lambda: self.supervisor.unfinished - self.supervisor.running,
            watchers=lambda: self.hub.watchers,
        )
        await self.supervisor.start()
        await self.server.start()
        self.address = address
        await self._say(health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=self.address, slots=self.settings.slots, version=automl.__version__)

    async def stop(self) -> None:
        """NOT_SERVING at once; watchers end UNAVAILABLE; controllers end, to be taken up by the next server."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.hub.close()
        await asyncio.gather(self.server.stop(_STREAMS_GRACE_S), self.supervisor.stop())
        log.info("stopped")

    async def until_idle(self, idle_exit_s: float) -> None:
        """Returns after so many seconds without calls and unfinished jobs."""
        worked = time.monotonic()
        while True:
            if self.supervisor.unfinished:
                worked = time.monotonic()
            left = idle_exit_s - min(self._activity.idle_s, time.monotonic() - worked)
            if left <= 0:
                log.info("idle", seconds=idle_exit_s)
                return
            await asyncio.sleep(min(left, _IDLE_CHECK_S))

    async def keep_house(self) -> None:
        """Removes expired uploads, once an hour, for ever."""
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_S)
            await self.uploads.expire()

    async def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", *SERVICES):
            await self._health.set(service, status)


def _discover() -> None:
    for registry in (entries.techniques, entries.architectures, entries.tasks, entries.formats):
        len(registry)


def _options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", 0),  # else a second server would share the port, and calls would go to either
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", MAX_OUTGOING_BYTES),
        # A peer that vanished is noticed within about a minute; its own pings are welcome.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """A server that answers calls until the context is left. Raises `CannotStart`."""
    address = listening.Address.parse(settings.listen)
    grants = read_grants(settings.token_file) if settings.token_file else []
    if settings.token:
        grants.append(Grant.of_token(settings.token.get_secret_value()))
    listening.check_exposure(address, settings, bool(grants))
    files.make_folder(settings.data)
    lock = FolderLock.take(settings.data, patience_s=settings.stop_grace_s + 5)
    try:
        store = Store.open(settings.data / "store.sqlite3", busy_s=settings.store_busy_s)
        try:
            app = App(settings, store, ContentStore(settings.data / "content"), grants)
            try:
                await app.start()
                yield app
            finally:
                lock.stopping()
                await app.stop()
        finally:
            store.close()
    finally:
        lock.release()


async def serve(settings: Settings) -> None:
    """Runs the server until SIGTERM, SIGINT or idleness. Raises `CannotStart`."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running(settings) as app:
        if settings.metrics_port is not None:
            log.info("metrics", port=app.metrics.serve(settings.metrics_port))
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(stopped.wait())]
        if settings.idle_exit_s:
            waits.append(asyncio.create_task(app.until_idle(settings.idle_exit_s)))
        housekeeping = asyncio.create_task(app.keep_house())
        if settings.ready_file is not None:
            ready = {"address": app.address, "pid": os.getpid(), "version": automl.__version__}
            files.write(settings.ready_file, json.dumps(ready).encode())
        try:
            await asyncio.wait([*waits, housekeeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if settings.ready_file is not None:
                settings.ready_file.unlink(missing_ok=True)
            for task in (*waits, housekeeping):
                task.cancel()
