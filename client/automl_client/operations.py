"""Each call as a value: which method, with which request, and what to make of the answer.

The synchronous and the asyncio client differ only in how they carry an operation out, so what an operation is stands here
once. A list is a function from a page token to the operation that fetches that page.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from automl_client import converters, types
from automl_protos.v1 import catalog_service_pb2 as catalog_pb
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import model_service_pb2 as model_pb

T = TypeVar("T")

_DATASETS = "/automl.v1.DatasetService/"
_JOBS = "/automl.v1.JobService/"
_MODELS = "/automl.v1.ModelService/"
_CATALOG = "/automl.v1.CatalogService/"

WRITE_UPLOAD = f"{_DATASETS}WriteUpload"
WATCH_JOB = f"{_JOBS}WatchJob"
DOWNLOAD_ARTIFACT = f"{_MODELS}DownloadArtifact"


@dataclass(frozen=True)
class Operation(Generic[T]):
    """One unary call."""

    method: str
    request: Message
    response: type[Message]
    convert: Callable[[Any], T]
    retry: bool = True
    """Whether a second try is harmless when it isn't known if the first one arrived."""
    timeout_s: float = 60.0


EXPORT_S = 900.0
"""For another artifact of a model: the server's own limit is shorter."""

Pages = Callable[[str], Operation[types.Page[T]]]


def _page(items: Iterable[T], response: Any) -> types.Page[T]:
    return types.Page(tuple(items), response.next_page_token)


# --- data sets ------------------------------------------------------------------------------------------------------------


def create_upload(parent: str, filename: str, size_bytes: int, sha256: str) -> Operation[types.Upload]:
    request = dataset_pb.CreateUploadRequest(
        parent=parent, upload=dataset_pb.Upload(filename=filename, size_bytes=size_bytes, sha256=sha256)
    )
    return Operation(
        f"{_DATASETS}CreateUpload", request, dataset_pb.CreateUploadResponse, lambda r: converters.upload(r.upload)
    )


def get_upload(name: str) -> Operation[types.Upload]:
    request = dataset_pb.GetUploadRequest(name=name)
    return Operation(f"{_DATASETS}GetUpload", request, dataset_pb.GetUploadResponse, lambda r: converters.upload(r.upload))


def create_dataset(
    parent: str, upload: str, dataset_id: str = "", display_name: str = "", has_header: bool | None = None
) -> Operation[types.Dataset]:
    request = dataset_pb.CreateDatasetRequest(
        parent=parent, upload=upload, dataset_id=dataset_id, display_name=display_name, has_header=has_header
    )
    # Inspection reads the whole file in a process of its own: minutes for gigabytes.
    return Operation(
        f"{_DATASETS}CreateDataset",
        request,
        dataset_pb.CreateDatasetResponse,
        lambda r: converters.dataset(r.dataset),
        timeout_s=1800.0,
    )


def get_dataset(name: str) -> Operation[types.Dataset]:
    request = dataset_pb.GetDatasetRequest(name=name)
    return Operation(
        f"{_DATASETS}GetDataset", request, dataset_pb.GetDatasetResponse, lambda r: converters.dataset(r.dataset)
    )


def list_datasets(parent: str, page_size: int = 0) -> Pages[types.Dataset]:
    return lambda token: Operation(
        f"{_DATASETS}ListDatasets",
        dataset_pb.ListDatasetsRequest(parent=parent, page_size=page_size, page_token=token),
        dataset_pb.ListDatasetsResponse,
        lambda r: _page(map(converters.dataset, r.datasets), r),
    )


def delete_dataset(name: str) -> Operation[None]:
    request = dataset_pb.DeleteDatasetRequest(name=name)
    # Not tried again: a second answer "not found" would hide that the first try did it.
    return Operation(f"{_DATASETS}DeleteDataset", request, dataset_pb.DeleteDatasetResponse, lambda _: None, retry=False)


# --- jobs -----------------------------------------------------------------------------------------------------------------


def create_job(
    parent: str, spec: types.JobSpec, *, request_id: str = "", validate_only: bool = False
) -> Operation[types.Job]:
    """The request id makes a repeated try return the job that the first one made."""
    request = job_pb.CreateJobRequest(
        parent=parent,
        job=job_pb.Job(spec=converters.job_spec_to_proto(spec)),
        request_id=request_id or str(uuid.uuid4()),
        validate_only=validate_only,
    )
    return Operation(f"{_JOBS}CreateJob", request, job_pb.CreateJobResponse, lambda r: converters.job(r.job))


def get_job(name: str) -> Operation[types.Job]:
    request = job_pb.GetJobRequest(name=name)
    return Operation(f"{_JOBS}GetJob", request, job_pb.GetJobResponse, lambda r: converters.job(r.job))


def list_jobs(parent: str, page_size: int = 0) -> Pages[types.Job]:
    return lambda token: Operation(
        f"{_JOBS}ListJobs",
        job_pb.ListJobsRequest(parent=parent, page_size=page_size, page_token=token),
        job_pb.ListJobsResponse,
        lambda r: _page(map(converters.job, r.jobs), r),
    )


def watch_job(name: str, resume_after: int) -> Message:
    """The request of the stream; `streams.Watch` keeps the place."""
    return job_pb.WatchJobRequest(name=name, resume_after=resume_after)


def cancel_job(name: str, *, finish: bool) -> Operation[types.Job]:
    mode = job_pb.CancelJobRequest.MODE_FINISH_WITH_BEST if finish else job_pb.CancelJobRequest.MODE_ABORT
    request = job_pb.CancelJobRequest(name=name, mode=mode)
    return Operation(f"{_JOBS}CancelJob", request, job_pb.CancelJobResponse, lambda r: converters.job(r.job))


def list_trials(job: str, page_size: int = 0) -> Pages[types.Trial]:
    return lambda token: Operation(
        f"{_JOBS}ListTrials",
        job_pb.ListTrialsRequest(parent=job, page_size=page_size, page_token=token),
        job_pb.ListTrialsResponse,
        lambda r: _page(map(converters.trial, r.trials), r),
    )


def get_report(name: str) -> Operation[str]:
    request = job_pb.GetReportRequest(name=name)
    return Operation(f"{_JOBS}GetReport", request, job_pb.GetReportResponse, lambda r: str(r.html))


# --- models ---------------------------------------------------------------------------------------------------------------


def list_models(parent: str, page_size: int = 0) -> Pages[types.Model]:
    return lambda token: Operation(
        f"{_MODELS}ListModels",
        model_pb.ListModelsRequest(parent=parent, page_size=page_size, page_token=token),
        model_pb.ListModelsResponse,
        lambda r: _page(map(converters.model, r.models), r),
    )


def get_model_version(name: str) -> Operation[types.ModelVersion]:
    request = model_pb.GetModelVersionRequest(name=name)
    return Operation(
        f"{_MODELS}GetModelVersion",
        request,
        model_pb.GetModelVersionResponse,
        lambda r: converters.model_version(r.model_version),
    )


def export_artifact(
    name: str, wanted: types.Format, max_size_bytes: int | None, tolerance: float | None,
    max_latency_ms: float | None = None, retarget: bool = False,
) -> Operation[types.Artifact]:
    request = model_pb.ExportArtifactRequest(
        name=name, format=wanted.format, precision=wanted.precision, max_size_bytes=max_size_bytes or 0, tolerance=tolerance,
        max_latency_ms=max_latency_ms or 0.0, retarget=retarget,
    )
    return Operation(
        f"{_MODELS}ExportArtifact", request, model_pb.ExportArtifactResponse, lambda r: converters.artifact(r.artifact),
        timeout_s=EXPORT_S,
    )


def delete_model_kit(name: str) -> Operation[None]:
    return Operation(
        f"{_MODELS}DeleteModelKit", model_pb.DeleteModelKitRequest(name=name), model_pb.DeleteModelKitResponse,
        lambda r: None, retry=False,
    )


def download_artifact(name: str, offset: int) -> Message:
    """The request of the stream; `transfer.Download` keeps the place."""
    return model_pb.DownloadArtifactRequest(name=name, offset=offset)


# --- the catalogue --------------------------------------------------------------------------------------------------------


def list_task_types() -> Pages[types.TaskType]:
    return lambda token: Operation(
        f"{_CATALOG}ListTaskTypes",
        catalog_pb.ListTaskTypesRequest(page_token=token),
        catalog_pb.ListTaskTypesResponse,
        lambda r: _page(map(converters.task_type, r.task_types), r),
    )


def list_techniques(task: str = "") -> Pages[types.Technique]:
    return lambda token: Operation(
        f"{_CATALOG}ListTechniques",
        catalog_pb.ListTechniquesRequest(task=task, page_token=token),
        catalog_pb.ListTechniquesResponse,
        lambda r: _page(map(converters.technique, r.techniques), r),
    )


def explain_techniques(parent: str, spec: types.JobSpec) -> Operation[types.Applicability]:
    request = catalog_pb.ExplainTechniquesRequest(parent=parent, spec=converters.job_spec_to_proto(spec))
    return Operation(
        f"{_CATALOG}ExplainTechniques", request, catalog_pb.ExplainTechniquesResponse, converters.applicability
    )


def list_formats() -> Pages[types.ArtifactFormat]:
    return lambda token: Operation(
        f"{_CATALOG}ListFormats",
        catalog_pb.ListFormatsRequest(page_token=token),
        catalog_pb.ListFormatsResponse,
        lambda r: _page(map(converters.artifact_format, r.formats), r),
    )


def list_devices() -> Pages[types.Device]:
    return lambda token: Operation(
        f"{_CATALOG}ListDevices",
        catalog_pb.ListDevicesRequest(page_token=token),
        catalog_pb.ListDevicesResponse,
        lambda r: _page(map(converters.device, r.devices), r),
    )
