"""The synchronous client.

    with Client.embedded() as client:                       # or Client("host:port", token=…, tls=True)
        job = client.submit("train.csv", target="income", budget_s=180)
        for event in job.watch():
            print(event.kind)
        version = job.result()                              # raises when the job came to nothing
        files = job.download("result")

`aio.AsyncClient` is its twin. Both carry out the same `operations`, retry by the same `retry.RetryPolicy`, and raise the
same `errors`. A client may be used by several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from automl_client import converters, endpoint, errors, names, operations, retry, streams, submission, transfer, types
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import model_service_pb2 as model_pb

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes that there are."""


class Client:
    """A connection to a server; it is made on first use, and mended by itself.

    `server` is "host:port" or "unix:/path". `token` goes with each call. `tls=True` trusts the system's authorities;
    `endpoint.Tls` names files. Raises `InvalidInput` for an address that can't be one.
    """

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
        self._sleep: Callable[[float], object] = threading.Event().wait
        security = self._endpoint.tls
        if security is None:
            self._channel = grpc.insecure_channel(self._endpoint.target, options=self._endpoint.options)
        else:
            self._channel = grpc.secure_channel(
                self._endpoint.target, security.credentials(), options=self._endpoint.options
            )

    @classmethod
    def embedded(cls, *, home: Path | None = None, project: str = names.DEFAULT_PROJECT) -> Self:
        """A client of this user's own server on this machine, which is started if it isn't running.

        `home` is the folder with its store (default: AUTOML_HOME, else the user's data folder). When the server is lost in
        the middle of something, it is started again and the thing goes on. Raises `Unavailable` when it can't be started.
        """
        from automl_client import embedded

        place = embedded.Place.of(home)
        client = cls(embedded.ensure_running(place), project=project)
        client._revive = lambda: embedded.ensure_running(place)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls in flight are cancelled."""
        self._channel.close()

    @property
    def server(self) -> str:
        """The address."""
        return self._endpoint.target

    @property
    def project(self) -> str:
        """Id of the project that ids are looked up in."""
        return self._project

    # --- data sets ---

    def upload(
        self,
        path: str | Path,
        *,
        dataset_id: str = "",
        display_name: str = "",
        has_header: bool | None = None,
        on_progress: Progress | None = None,
    ) -> types.Dataset:
        """Sends a file or folder, and has it inspected. The same bytes again return the version that is there.

        Goes on where an earlier try ended. Raises `InvalidData` with every fault that was found.
        """
        with transfer.packed(Path(path)) as source:
            upload = self._call(
                operations.create_upload(self._parent, source.filename, source.size_bytes, source.sha256)
            )
            attempts = self._attempts()
            while not upload.complete:
                if on_progress:
                    on_progress(upload.committed_size, upload.size_bytes)
                try:
                    written = self._write(source, upload, on_progress)
                    transfer.check_written(upload, written)
                    upload = written
                except errors.AutoMLError as error:
                    self._pause(attempts, error)
                    now = self._call(operations.get_upload(upload.name))
                    if now.committed_size > upload.committed_size:
                        attempts.progressed()
                    upload = now
            if on_progress:
                on_progress(upload.size_bytes, upload.size_bytes)
            return self._call(
                operations.create_dataset(self._parent, upload.name, dataset_id, display_name, has_header)
            )

    def get_dataset(self, name: str) -> types.Dataset:
        """By id or name; without @version the newest."""
        return self._call(operations.get_dataset(names.dataset(self._project, name)))

    def list_datasets(self) -> Iterator[types.Dataset]:
        """Newest first, without columns and findings."""
        return self._pages(operations.list_datasets(self._parent))

    def delete_dataset(self, name: str) -> None:
        """Deletes one version (with @) and its bytes. Raises `FailedPrecondition` while a job uses it."""
        self._call(operations.delete_dataset(names.dataset(self._project, name)))

    # --- jobs ---

    def submit(
        self,
        data: str | Path | types.Dataset,
        *,
        test_data: str | Path | types.Dataset | None = None,
        has_header: bool | None = None,
        started: float | None = None,
        on_progress: Progress | None = None,
        **settings: Unpack[types.SubmitSettings],
    ) -> JobHandle:
        """Sends the data and starts a job on it; see `types.SubmitSettings` for what may be asked.

        The budget runs from `started` (a `time.monotonic()`; default: now). Raises `InvalidInput` with every fault.
        """
        begun = time.monotonic() if started is None else started
        submission.check(data, settings)
        dataset = self._dataset(data, has_header, on_progress)
        test = None if test_data is None else self._dataset(test_data, has_header, on_progress)
        spec = submission.specification(
            settings, dataset.name, test.name if test else "", max(0.0, time.monotonic() - begun)
        )
        return self.create_job(spec)

    def create_job(self, spec: types.JobSpec, *, request_id: str = "") -> JobHandle:
        """Starts a job on data sets that are there. The same `request_id` (a UUID) again returns the same job."""
        return JobHandle(self, self._call(operations.create_job(self._parent, spec, request_id=request_id)).name)

    def validate_job(self, spec: types.JobSpec) -> types.Job:
        """The job as it would be made. Raises `InvalidInput` with every fault."""
        return self._call(operations.create_job(self._parent, spec, validate_only=True))

    def job(self, name: str) -> JobHandle:
        """A handle on a job by id or name; the server isn't asked yet."""
        return JobHandle(self, names.job(self._project, name))

    def get_job(self, name: str) -> types.Job:
        return self._call(operations.get_job(names.job(self._project, name)))

    def list_jobs(self) -> Iterator[types.Job]:
        """Newest first."""
        return self._pages(operations.list_jobs(self._parent))

    def list_trials(self, job: str) -> Iterator[types.Trial]:
        """In the order in which they started."""
        return self._pages(operations.list_trials(names.job(self._project, job)))

    def watch_job(self, name: str, *, resume_after: int = 0, timeout_s: float | None = None) -> Iterator[types.Event]:
        """The job's events after `resume_after`, then live ones until its last; none is lost or doubled over reconnections.

        Raises `DeadlineExceeded` after `timeout_s`.
        """
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
                for response in call:
                    self._connected = True
                    attempts.progressed()
                    event = watch.take(response)
                    if event is not None:
                        yield event
                return
            except grpc.RpcError as error:
                self._pause(attempts, _error(error))
            finally:
                call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs leave it unannotated

    def cancel_job(self, name: str, *, finish: bool = False) -> types.Job:
        """Stops a job; with `finish` it ends its search and delivers the best so far."""
        return self._call(operations.cancel_job(names.job(self._project, name), finish=finish))

    def get_report(self, name: str) -> str:
        """The report as one HTML page; of a running job, as far as it is."""
        return self._call(operations.get_report(names.job(self._project, name)))

    # --- models ---

    def list_models(self) -> Iterator[types.Model]:
        """Newest first."""
        return self._pages(operations.list_models(self._parent))

    def get_model_version(self, name: str) -> types.ModelVersion:
        """By "MODEL" (the latest), "MODEL/VERSION" or name."""
        return self._call(operations.get_model_version(names.model_version(self._project, name)))

    def export(
        self, model: str, format: str, *, max_size_bytes: int | None = None, tolerance: float | None = None
    ) -> types.Artifact:
        """Makes another artifact of a version that the server kept: `format` is "tflite:int8", or "tflite" for the most
        exact precision that meets `max_size_bytes`. It is verified on held-out rows that were kept with the model. Raises
        `FailedPrecondition` when nothing was kept, `Infeasible` with the reason when it can't be made."""
        name, _, precision = format.partition(":")
        wanted = types.Format(name, precision)
        return self._call(
            operations.export_artifact(names.model_version(self._project, model), wanted, max_size_bytes, tolerance)
        )

    def retarget(
        self, model: str, format: str = "tflite:int8", *, max_latency_ms: float | None = None,
        max_size_bytes: int | None = None, tolerance: float | None = None,
    ) -> types.Artifact:
        """Cuts the best network that meets the limits out of the supernet that was kept with a model of the strategy
        once-for-all, without training, and makes an artifact of it, verified as in `export`. Raises `InvalidArgument` when
        no supernet was kept or none of its networks is foreseen within the limits, `Infeasible` when what was made
        missed them."""
        name, _, precision = format.partition(":")
        wanted = types.Format(name, precision)
        return self._call(
            operations.export_artifact(
                names.model_version(self._project, model), wanted, max_size_bytes, tolerance, max_latency_ms, retarget=True
            )
        )

    def delete_kit(self, model: str) -> None:
        """Deletes what the server kept of a version for `export`: the model and a sample of its data."""
        self._call(operations.delete_model_kit(names.model_version(self._project, model)))

    def download(self, artifact: types.Artifact, folder: str | Path) -> Path:
        """Brings an artifact into a folder, where it takes its own file name after its SHA-256 was checked.

        Goes on where an earlier try ended; a file that is there already is left. Raises `DataLoss` for damaged bytes.
        """
        download = transfer.Download(artifact, Path(folder))
        if download.done:
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
                    for response in call:
                        download.take(file, response)
                        attempts.progressed()
                    break
                except grpc.RpcError as error:
                    self._pause(attempts, _error(error))
                finally:
                    call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs leave it unannotated
        return download.finish()

    # --- the catalogue ---

    def list_task_types(self) -> Iterator[types.TaskType]:
        return self._pages(operations.list_task_types())

    def list_techniques(self, task: str = "") -> Iterator[types.Technique]:
        """Techniques and architectures; with `task` those that apply to it."""
        return self._pages(operations.list_techniques(task))

    def explain_techniques(
        self,
        data: str | Path | types.Dataset,
        *,
        test_data: str | Path | types.Dataset | None = None,
        has_header: bool | None = None,
        on_progress: Progress | None = None,
        **settings: Unpack[types.SubmitSettings],
    ) -> types.Applicability:
        """What of the techniques and architectures applies to these data, and why the others don't.

        Takes what `submit` takes; target, task, formats, allow, forbid, force and how the data are read make a difference.
        Sends the data unless the server has them, and starts nothing. Raises `InvalidInput` as `submit` does, also where
        forced techniques contradict each other or the data.
        """
        submission.check(data, settings)
        dataset = self._dataset(data, has_header, on_progress)
        test = None if test_data is None else self._dataset(test_data, has_header, on_progress)
        spec = submission.specification(settings, dataset.name, test.name if test else "", 0.0)
        return self._call(operations.explain_techniques(self._parent, spec))

    def list_formats(self) -> Iterator[types.ArtifactFormat]:
        return self._pages(operations.list_formats())

    def list_devices(self) -> Iterator[types.Device]:
        return self._pages(operations.list_devices())

    # --- how it is done ---

    def _dataset(
        self, data: str | Path | types.Dataset, has_header: bool | None, on_progress: Progress | None
    ) -> types.Dataset:
        if isinstance(data, types.Dataset):
            return data
        return self.upload(data, has_header=has_header, on_progress=on_progress)

    def _write(self, source: transfer.Packed, upload: types.Upload, on_progress: Progress | None) -> types.Upload:
        """One WriteUpload stream to its end."""

        def requests() -> Iterator[dataset_pb.WriteUploadRequest]:
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
            return converters.upload(call(requests(), metadata=self._endpoint.metadata).upload)
        except grpc.RpcError as error:
            raise _error(error) from error

    def _call(self, operation: operations.Operation[T]) -> T:
        attempts = self._attempts()
        call = self._channel.unary_unary(
            operation.method, request_serializer=_serialized, response_deserializer=operation.response.FromString
        )
        while True:
            try:
                response = call(operation.request, timeout=operation.timeout_s, metadata=self._endpoint.metadata)
            except grpc.RpcError as error:
                failure = _error(error)
                if not operation.retry and retry.is_transient(failure):
                    raise failure from error
                self._pause(attempts, failure)
            else:
                self._connected = True
                return operation.convert(response)

    def _pages(self, pages: operations.Pages[T]) -> Iterator[T]:
        token = ""
        while True:
            page = self._call(pages(token))
            yield from page.items
            token = page.next_token
            if not token:
                return

    def _attempts(self) -> retry.Attempts:
        return retry.Attempts(self._policy, connected=self._connected)

    def _pause(self, attempts: retry.Attempts, error: errors.AutoMLError) -> None:
        """Waits before the next try, or raises the error."""
        try:
            pause = attempts.pause_after(error)
        except errors.Unavailable:
            if retry.is_transient(error) and not self._connected:
                raise self._endpoint.unreachable(error) from error
            raise
        self._sleep(pause)
        if self._revive is not None:
            self._revive()


class JobHandle:
    """A job, and what can be done with it."""

    def __init__(self, client: Client, name: str):
        self._client = client
        self.name = name
        """projects/{project}/jobs/{job}"""

    @property
    def id(self) -> str:
        return names.short(self.name)

    def __repr__(self) -> str:
        return f"JobHandle({self.name!r})"

    def get(self) -> types.Job:
        """The job as it is now."""
        return self._client.get_job(self.name)

    def watch(self, *, resume_after: int = 0, timeout_s: float | None = None) -> Iterator[types.Event]:
        """See `Client.watch_job`."""
        return self._client.watch_job(self.name, resume_after=resume_after, timeout_s=timeout_s)

    def wait(self, timeout_s: float | None = None) -> types.Job:
        """Returns when the job has ended, however it did. Raises `DeadlineExceeded` after `timeout_s`."""
        job = self.get()
        if not job.state.ended:
            for _ in self.watch(resume_after=job.last_event, timeout_s=timeout_s):
                pass
            job = self.get()
        return job

    def result(self, timeout_s: float | None = None) -> types.ModelVersion:
        """Waits, and returns what came out.

        Raises the error of the job's reason when it failed, `Cancelled` when it was cancelled.
        """
        return self._client.get_model_version(outcome(self.wait(timeout_s)).model_version)

    def trials(self) -> Iterator[types.Trial]:
        """In the order in which they started."""
        return self._client.list_trials(self.name)

    def cancel(self, *, finish: bool = False) -> types.Job:
        """Stops it; with `finish` it delivers the best so far."""
        return self._client.cancel_job(self.name, finish=finish)

    def report(self) -> str:
        """The report as one HTML page."""
        return self._client.get_report(self.name)

    def download(self, folder: str | Path, *, formats: tuple[str, ...] = ()) -> list[Path]:
        """Brings the artifacts ("tflite:int8"…; default: all) into a folder, in the server's order. Waits for the end."""
        wanted = [types.Format.parse(text) for text in formats]
        return [
            self._client.download(artifact, folder)
            for artifact in self.result().artifacts
            if not wanted or types.Format(artifact.format, artifact.precision) in wanted
        ]


def outcome(job: types.Job) -> types.Job:
    """The job, when it succeeded. Raises the error of its reason when it failed, `Cancelled` when it was cancelled."""
    if job.state is types.JobState.CANCELLED:
        raise errors.Cancelled(f"Job {job.id} was cancelled. {job.message}".rstrip())
    if job.state is types.JobState.FAILED:
        raise errors.of_job(job.reason, job.message or f"Job {job.id} failed without a message.")
    return job


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _error(error: Any) -> errors.AutoMLError:
    """The client's error for a failed call."""
    return converters.error(error.code(), error.details() or "", error.trailing_metadata())
