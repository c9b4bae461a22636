"""A server over a real socket with a controller that trains nothing, and the calls that tests make often."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
from google.rpc import error_details_pb2, status_pb2

from automl_protos.v1 import (
    catalog_service_pb2_grpc,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from automl_server import app
from automl_server.config import Settings

HERE = Path(__file__).parent
COMMANDS: dict[str, Any] = {
    "controller_command": (sys.executable, "-S", str(HERE / "fake_controller.py")),
    "inspect_command": (sys.executable, "-S", str(HERE / "fake_inspect.py")),
    "report_command": (sys.executable, "-S", str(HERE / "fake_report.py")),
    "export_command": (sys.executable, "-S", str(HERE / "fake_export.py")),
}
TABLE = b"age,label\n" + b"".join(b"%d,%s\n" % (i, b"yes" if i % 2 else b"no") for i in range(10))


PATIENCE_S = 60.0
"""No call of a test takes nearly so long; one that hangs fails instead."""


async def eventually(condition: Callable[[], Any]) -> None:
    """Returns when the condition (a function, or a coroutine function) holds: for what nothing announces."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.005)


class Refused(Exception):
    """A status with its details, as a test wants to look at them."""

    def __init__(self, error: grpc.aio.AioRpcError):
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code()
        self.message = error.details() or ""
        self.reason = ""
        self.domain = ""
        self.metadata: dict[str, str] = {}
        self.violations: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.retry_after_s: float | None = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    self._take(detail)

    def _take(self, detail: Any) -> None:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            self.reason, self.domain, self.metadata = info.reason, info.domain, dict(info.metadata)
        elif detail.Unpack(bad):
            self.violations = {v.field: v.description for v in bad.field_violations}
            self.reasons = {v.field: v.reason for v in bad.field_violations}
        elif detail.Unpack(retry):
            self.retry_after_s = retry.retry_delay.ToMilliseconds() / 1000


class Wire:
    """Stubs over a channel, and the common ways of using them. Errors are raised as `Refused`."""

    def __init__(self, channel: grpc.aio.Channel):
        self.channel = channel
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)

    async def call(self, method: Any, request: Any, **options: Any) -> Any:
        try:
            return await method(request, timeout=PATIENCE_S, **options)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from error

    async def stream(self, method: Any, request: Any, **options: Any) -> list[Any]:
        try:
            return [message async for message in method(request, timeout=PATIENCE_S, **options)]
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from error

    async def create_upload(self, data: bytes, filename: str = "adult.csv", parent: str = "", **changed: Any) -> Any:
        declared = {"filename": filename, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | changed
        request = dataset_service_pb2.CreateUploadRequest(parent=parent, upload=dataset_service_pb2.Upload(**declared))
        return (await self.call(self.datasets.CreateUpload, request)).upload

    async def send(self, name: str, data: bytes, offset: int = 0, chunk: int = 1 << 20) -> Any:
        return (await self.call(self.datasets.WriteUpload, iter(chunks(name, data, offset, chunk)))).upload

    async def upload(self, data: bytes = TABLE, filename: str = "adult.csv", parent: str = "") -> Any:
        upload = await self.create_upload(data, filename, parent)
        return upload if upload.complete else await self.send(upload.name, data)

    async def dataset(self, data: bytes = TABLE, filename: str = "adult.csv", parent: str = "", **values: Any) -> Any:
        upload = await self.upload(data, filename, parent)
        request = dataset_service_pb2.CreateDatasetRequest(parent=parent, upload=upload.name, **values)
        return (await self.call(self.datasets.CreateDataset, request)).dataset

    async def create_job(self, behaviour: str = "", parent: str = "", spec: Any = None, **values: Any) -> Any:
        if spec is None:
            spec = job_spec((await self.dataset(parent=parent)).name, behaviour)
        request = job_service_pb2.CreateJobRequest(parent=parent, job=job_service_pb2.Job(spec=spec), **values)
        return (await self.call(self.jobs.CreateJob, request)).job

    async def job(self, name: str) -> Any:
        return (await self.call(self.jobs.GetJob, job_service_pb2.GetJobRequest(name=name))).job

    async def watch(self, name: str, resume_after: int = 0) -> list[Any]:
        """Every event until the job's end."""
        request = job_service_pb2.WatchJobRequest(name=name, resume_after=resume_after)
        return [message.event for message in await self.stream(self.jobs.WatchJob, request)]

    async def until(self, name: str, kind: str, count: int = 1) -> Any:
        """The first event of a kind, or the second…"""
        stream = self.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=name), timeout=PATIENCE_S)
        async for message in stream:
            count -= message.event.controller.kind == kind
            if not count:
                stream.cancel()
                return message.event
        raise AssertionError(f"{name} ended without {kind}")

    async def run(self, behaviour: str = "", **values: Any) -> Any:
        """A job, carried to its end."""
        job = await self.create_job(behaviour, **values)
        await self.watch(job.name)
        return await self.job(job.name)

    async def cancel(self, name: str, finish: bool = False) -> Any:
        mode = (
            job_service_pb2.CancelJobRequest.MODE_FINISH_WITH_BEST if finish else job_service_pb2.CancelJobRequest.MODE_ABORT
        )
        return (await self.call(self.jobs.CancelJob, job_service_pb2.CancelJobRequest(name=name, mode=mode))).job

    async def download(self, name: str, offset: int = 0) -> bytes:
        request = model_service_pb2.DownloadArtifactRequest(name=name, offset=offset)
        messages = await self.stream(self.models.DownloadArtifact, request)
        assert all(google_crc32c.value(m.data) == m.crc32c for m in messages)
        return b"".join(m.data for m in messages)


def chunks(name: str, data: bytes, offset: int = 0, size: int = 1 << 20) -> list[Any]:
    """The messages that send `data` from `offset` on."""
    return [
        dataset_service_pb2.WriteUploadRequest(
            name=name, offset=start, data=data[start : start + size], crc32c=google_crc32c.value(data[start : start + size])
        )
        for start in range(offset, len(data), size)
    ]


def job_spec(dataset: str, behaviour: str = "", **values: Any) -> Any:
    """A sound specification; `behaviour` is the fake controller's."""
    spec = job_service_pb2.JobSpec(
        dataset=dataset,
        display_name=behaviour,
        data=job_service_pb2.DataSettings(target="label"),
        formats=[job_service_pb2.FormatRequest(format="tflite", precision="int8")],
        **values,
    )
    if not spec.budget.HasField("wall"):
        spec.budget.wall.FromSeconds(600)
    return spec


def request_id() -> str:
    return str(uuid.uuid4())


class Served(Wire):
    """A server in this event loop, over a Unix socket of its own."""

    def __init__(self, running: app.App, channel: grpc.aio.Channel):
        super().__init__(channel)
        self.app = running
        self.address = running.address
        self.data = running.settings.data


@contextlib.asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """A server with its data in `folder`; again on the same folder, it goes on with what is there."""
    values = {
        "listen": f"unix:{folder}/s",
        "data": folder / "data",
        "slots": 2,
        "min_free_bytes": 0,
        "stop_grace_s": 5.0,
    } | COMMANDS
    async with app.running(Settings(**(values | settings))) as running, connected(running.address) as channel:
        yield Served(running, channel)


def connected(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)])
