"""The asyncio client: the twin of `client.Client`, with the same operations, retries and errors.

    async with AsyncClient("host:port") as client:
        job = await client.submit("train.csv", target="income", budget_s=180)
        async for event in job.watch():
            print(event.kind)
        version = await job.result()

Hashing, packing and starting a server, which take a while, happen in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message

from automl_client import client as sync_client
from automl_client import converters, endpoint, errors, names, operations, retry, streams, submission, transfer, types
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import model_service_pb2 as model_pb

T = TypeVar("T")


class AsyncClient:
    """See `client.Client`; use it within one event loop."""

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        tls: endpoint.Tls | bool = False,
        project: str = names.DEFAULT_PROJECT,
        policy: retry.RetryPolicy | None = None,
    ):
        self._endpoint = endpoint.Endpoint(server, token, endpoint.Tls() if tls is True else tls or None)
        self._project = project
        self._parent = names.project(project)
        self._policy = policy or retry.RetryPolicy()
        self._revive: Callable[[], object] | None = None
        self._connected = False
        self._sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
        security = self._endpoint.tls
        if security is None:
            self._channel = grpc.aio.insecure_channel(self._endpoint.target, options=self._endpoint.options)
        else:
            self._channel = grpc.aio.secure_channel(
                self._endpoint.target, security.credentials(), options=self._endpoint.options
            )

    @classmethod
    async def embedded(cls, *, home: Path | None = None, project: str = names.DEFAULT_PROJECT) -> Self:
        """See `client.Client.embedded`."""
        from automl_client import embedded

        place = embedded.Place.of(home)
        made = cls(await asyncio.to_thread(embedded.ensure_running, place), project=project)
        made._revive = lambda: embedded.ensure_running(place)
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls in flight are cancelled."""
        await self._channel.close(None)

    @property
    def server(self) -> str:
        """The address."""
        return self._endpoint.target

    # --- data sets ---

    async def upload(
        self,
        path: str | Path,
        *,
        dataset_id: str = "",
        display_name: str = "",
        has_header: bool | None = None,
        on_progress: sync_client.Progress | None = None,
    ) -> types.Dataset:
        """See `client.Client.upload`."""
        packing = transfer.packed(Path(path))
        source = await asyncio.to_thread(packing.__enter__)
        try:
            upload = await self._call(
                operations.create_upload(self._parent, source.filename, source.size_bytes, source.sha256)
            )
            attempts = self._attempts()
            while not upload.complete:
                if on_progress:
                    on_progress(upload.committed_size, upload.size_bytes)
                try:
                    written = await self._write(source, upload, on_progress)
                    transfer.check_written(upload, written)
                    upload = written
                except errors.AutoMLError as error:
                    await self._pause(attempts, error)
                    now = await self._call(operations.get_upload(upload.name))
                    if now.committed_size > upload.committed_size:
                        attempts.progressed()
                    upload = now
            if on_progress:
                on_progress(upload.size_bytes, upload.size_bytes)
            return await self._call(
                operations.create_dataset(self._parent, upload.name, dataset_id, display_name, has_header)
            )
        finally:
            await asyncio.to_thread(packing.__exit__, None, None, None)

    async def get_dataset(self, name: str) -> types.Dataset:
        """By id or name; without @version the newest."""
        return await self._call(operations.get_dataset(names.dataset(self._project, name)))

    def list_datasets(self) -> AsyncIterator[types.Dataset]:
        """Newest first, without columns and findings."""
        return self._pages(operations.list_datasets(self._parent))

    async def delete_dataset(self, name: str) -> None:
        """Deletes one version (with @) and its bytes. Raises `FailedPrecondition` while a job uses it."""
        await self._call(operations.delete_dataset(names.dataset(self._project, name)))

    # --- jobs ---

    async def submit(
        self,
        data: str | Path | types.Dataset,
        *,
        test_data: str | Path | types.Dataset | None = None,
        has_header: bool | None = None,
        started: float | None = None,
        on_progress: sync_client.Progress | None = None,
        **settings: Unpack[types.SubmitSettings],
    ) -> AsyncJobHandle:
        """See `client.Client.submit`."""
        begun = time.monotonic() if started is None else started
        submission.check(data, settings)
        dataset = await self._dataset(data, has_header, on_progress)
        test = None if test_data is None else await self._dataset(test_data, has_header, on_progress)
        spec = submission.specification(
            settings, dataset.name, test.name if test else "", max(0.0, time.monotonic() - begun)
        )
        return await self.create_job(spec)

    async def create_job(self, spec: types.JobSpec, *, request_id: str = "") -> AsyncJobHandle:
        """Starts a job on data sets that are there. The same `request_id` (a UUID) again returns the same job."""
        job = await self._call(operations.create_job(self._parent, spec, request_id=request_id))
        return AsyncJobHandle(self, job.name)

    async def validate_job(self, spec: types.JobSpec) -> types.Job:
        """The job as it would be made. Raises `InvalidInput` with every fault."""
        return await self._call(operations.create_job(self._parent, spec, validate_only=True))

    def job(self, name: str) -> AsyncJobHandle:
        """A handle on a job by id or name; the server isn't asked yet."""
        return AsyncJobHandle(self, names.job(self._project, name))

    async def get_job(self, name: str) -> types.Job:
        return await self._call(operations.get_job(names.job(self._project, name)))

    def list_jobs(self) -> AsyncIterator[types.Job]:
        """Newest first."""
        return self._pages(operations.list_jobs(self._parent))

    def list_trials(self, job: str) -> AsyncIterator[types.Trial]:
        """In the order in which they started."""
        return self._pages(operations.list_trials(names.job(self._project, job)))

    async def watch_job(
        self, name: str, *, resume_after: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[types.Event]:
        """See `client.Client.watch_job`."""
        watch = streams.Watch(names.job(self._project, name), resume_after)
        attempts = self._attempts()
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            call = self._channel.unary_stream(
                operations.WATCH_JOB,
                request_serializer=_serialized,
                response_deserializer=job_pb.WatchJobResponse.FromString,
            )(
                watch.request(),
                metadata=self._endpoint.metadata,
                timeout=None if until is None else max(0.0, until - time.monotonic()),
            )
            try:
                async for response in call:
                    self._connected = True
                    attempts.progressed()
                    event = watch.take(response)
                    if event is not None:
                        yield event
                return
            except grpc.aio.AioRpcError as error:
                await self._pause(attempts, _error(error))
            finally:
                call.cancel()

    async def cancel_job(self, name: str, *, finish: bool = False) -> types.Job:
        """Stops a job; with `finish` it ends its search and delivers the best so far."""
        return await self._call(operations.cancel_job(names.job(self._project, name), finish=finish))

    async def get_report(self, name: str) -> str:
        """The report as one HTML page; of a running job, as far as it is."""
        return await self._call(operations.get_report(names.job(self._project, name)))

    # --- models ---

    def list_models(self) -> AsyncIterator[types.Model]:
        """Newest first."""
        return self._pages(operations.list_models(self._parent))

    async def get_model_version(self, name: str) -> types.ModelVersion:
        """By "MODEL" (the latest), "MODEL/VERSION" or name."""
        return await self._call(operations.get_model_version(names.model_version(self._project, name)))

    async def export(
        self, model: str, format: str, *, max_size_bytes: int | None = None, tolerance: float | None = None
    ) -> types.Artifact:
        """Makes another artifact of a version that the server kept: `format` is "tflite:int8", or "tflite" for the most
        exact precision that meets `max_size_bytes`. It is verified on held-out rows that were kept with the model. Raises
        `FailedPrecondition` when nothing was kept, `Infeasible` with the reason when it can't be made."""
        name, _, precision = format.partition(":")
        wanted = types.Format(name, precision)
        return await self._call(
            operations.export_artifact(names.model_version(self._project, model), wanted, max_size_bytes, tolerance)
        )

    async def retarget(
        self, model: str, format: str = "tflite:int8", *, max_latency_ms: float | None = None,
        max_size_bytes: int | None = None, tolerance: float | None = None,
    ) -> types.Artifact:
        """Cuts the best network that meets the limits out of the supernet that was kept with a model of the strategy
        once-for-all, without training, and makes an artifact of it, verified as in `export`. Raises `InvalidArgument` when
        no supernet was kept or none of its networks is foreseen within the limits, `Infeasible` when what was made
        missed them."""
        name, _, precision = format.partition(":")
        wanted = types.Format(name, precision)
        return await self._call(
            operations.export_artifact(
                names.model_version(self._project, model), wanted, max_size_bytes, tolerance, max_latency_ms, retarget=True
            )
        )

    async def delete_kit(self, model: str) -> None:
        """Deletes what the server kept of a version for `export`: the model and a sample of its data."""
        await self._call(operations.delete_model_kit(names.model_version(self._project, model)))

    async def download(self, artifact: types.Artifact, folder: str | Path) -> Path:
        """See `client.Client.download`."""
        download = transfer.Download(artifact, Path(folder))
        if await asyncio.to_thread(lambda: download.done):
            return download.proven()
        attempts = self._attempts()
        with download.writing() as file:
            while (offset := file.tell()) < artifact.size_bytes:
                call = self._channel.unary_stream(
                    operations.DOWNLOAD_ARTIFACT,
                    request_serializer=_serialized,
                    response_deserializer=model_pb.DownloadArtifactResponse.FromString,
                )(operations.download_artifact(artifact.name, offset), metadata=self._endpoint.metadata)
                try:
                    async for response in call:
                        download.take(file, response)
                        attempts.progressed()
                    break
                except grpc.aio.AioRpcError as error:
                    await self._pause(attempts, _error(error))
                finally:
                    call.cancel()
        return await asyncio.to_thread(download.finish)

    # --- the catalogue ---

    def list_task_types(self) -> AsyncIterator[types.TaskType]:
        return self._pages(operations.list_task_types())

    def list_techniques(self, task: str = "") -> AsyncIterator[types.Technique]:
        """Techniques and architectures; with `task` those that apply to it."""
        return self._pages(operations.list_techniques(task))

    async def explain_techniques(
        self,
        data: str | Path | types.Dataset,
        *,
        test_data: str | Path | types.Dataset | None = None,
        has_header: bool | None = None,
        on_progress: sync_client.Progress | None = None,
        **settings: Unpack[types.SubmitSettings],
    ) -> types.Applicability:
        """See `Client.explain_techniques`."""
        submission.check(data, settings)
        dataset = await self._dataset(data, has_header, on_progress)
        test = None if test_data is None else await self._dataset(test_data, has_header, on_progress)
        spec = submission.specification(settings, dataset.name, test.name if test else "", 0.0)
        return await self._call(operations.explain_techniques(self._parent, spec))

    def list_formats(self) -> AsyncIterator[types.ArtifactFormat]:
        return self._pages(operations.list_formats())

    def list_devices(self) -> AsyncIterator[types.Device]:
        return self._pages(operations.list_devices())

    # --- how it is done ---

    async def _dataset(
        self, data: str | Path | types.Dataset, has_header: bool | None, on_progress: sync_client.Progress | None
    ) -> types.Dataset:
        if isinstance(data, types.Dataset):
            return data
        return await self.upload(data, has_header=has_header, on_progress=on_progress)

    async def _write(
        self, source: transfer.Packed, upload: types.Upload, on_progress: sync_client.Progress | None
    ) -> types.Upload:
        async def requests() -> AsyncIterator[dataset_pb.WriteUploadRequest]:
            for chunk in transfer.chunks(source, upload):
                yield chunk
                if on_progress:
                    on_progress(chunk.offset + len(chunk.data), source.size_bytes)

        call = self._channel.stream_unary(
            operations.WRITE_UPLOAD,
            request_serializer=_serialized,
            response_deserializer=dataset_pb.WriteUploadResponse.FromString,
        )
        try:
            return converters.upload((await call(requests(), metadata=self._endpoint.metadata)).upload)
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error

    async def _call(self, operation: operations.Operation[T]) -> T:
        attempts = self._attempts()
        call = self._channel.unary_unary(
            operation.method, request_serializer=_serialized, response_deserializer=operation.response.FromString
        )
        while True:
            try:
                response = await call(operation.request, timeout=operation.timeout_s, metadata=self._endpoint.metadata)
            except grpc.aio.AioRpcError as error:
                failure = _error(error)
                if not operation.retry and retry.is_transient(failure):
                    raise failure from error
                await self._pause(attempts, failure)
            else:
                self._connected = True
                return operation.convert(response)

    async def _pages(self, pages: operations.Pages[T]) -> AsyncIterator[T]:
        token = ""
        while True:
            page = await self._call(pages(token))
            for item in page.items:
                yield item
            token = page.next_token
            if not token:
                return

    def _attempts(self) -> retry.Attempts:
        return retry.Attempts(self._policy, connected=self._connected)

    async def _pause(self, attempts: retry.Attempts, error: errors.AutoMLError) -> None:
        try:
            pause = attempts.pause_after(error)
        except errors.Unavailable:
            if retry.is_transient(error) and not self._connected:
                raise self._endpoint.unreachable(error) from error
            raise
        await self._sleep(pause)
        if self._revive is not None:
            await asyncio.to_thread(self._revive)


class AsyncJobHandle:
    """See `client.JobHandle`."""

    def __init__(self, client: AsyncClient, name: str):
        self._client = client
        self.name = name

    @property
    def id(self) -> str:
        return names.short(self.name)

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.name!r})"

    async def get(self) -> types.Job:
        """The job as it is now."""
        return await self._client.get_job(self.name)

    def watch(self, *, resume_after: int = 0, timeout_s: float | None = None) -> AsyncIterator[types.Event]:
        """See `client.Client.watch_job`."""
        return self._client.watch_job(self.name, resume_after=resume_after, timeout_s=timeout_s)

    async def wait(self, timeout_s: float | None = None) -> types.Job:
        """Returns when the job has ended, however it did. Raises `DeadlineExceeded` after `timeout_s`."""
        job = await self.get()
        if not job.state.ended:
            async for _ in self.watch(resume_after=job.last_event, timeout_s=timeout_s):
                pass
            job = await self.get()
        return job

    async def result(self, timeout_s: float | None = None) -> types.ModelVersion:
        """Waits, and returns what came out. Raises as `client.JobHandle.result` does."""
        return await self._client.get_model_version(sync_client.outcome(await self.wait(timeout_s)).model_version)

    def trials(self) -> AsyncIterator[types.Trial]:
        """In the order in which they started."""
        return self._client.list_trials(self.name)

    async def cancel(self, *, finish: bool = False) -> types.Job:
        """Stops it; with `finish` it delivers the best so far."""
        return await self._client.cancel_job(self.name, finish=finish)

    async def report(self) -> str:
        """The report as one HTML page."""
        return await self._client.get_report(self.name)

    async def download(self, folder: str | Path, *, formats: tuple[str, ...] = ()) -> list[Path]:
        """See `client.JobHandle.download`."""
        wanted = [types.Format.parse(text) for text in formats]
        return [
            await self._client.download(artifact, folder)
            for artifact in (await self.result()).artifacts
            if not wanted or types.Format(artifact.format, artifact.precision) in wanted
        ]


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _error(error: grpc.aio.AioRpcError) -> errors.AutoMLError:
    return converters.error(error.code(), error.details() or "", error.trailing_metadata())
