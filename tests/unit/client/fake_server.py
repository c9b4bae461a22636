"""A server in the test's own process that keeps everything in memory and fails when it is told to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from automl_protos.v1 import catalog_service_pb2 as catalog_pb
from automl_protos.v1 import catalog_service_pb2_grpc as catalog_grpc
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import dataset_service_pb2_grpc as dataset_grpc
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import job_service_pb2_grpc as job_grpc
from automl_protos.v1 import model_service_pb2 as model_pb
from automl_protos.v1 import model_service_pb2_grpc as model_grpc

CHUNK = 1 << 20
JOB = "projects/default/jobs/j1"
VERSION = "projects/default/models/m/versions/1"


def refuse(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    message: str,
    reason: str = "",
    violations: Iterable[tuple[str, str]] = (),
    retry_after_s: int = 0,
) -> Any:
    """Ends a call with a status as the real server makes them."""
    details: list[Any] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="automl", metadata={"k": "v"}))
    faults = [
        error_details_pb2.BadRequest.FieldViolation(field=f, description=d, reason="SOME_REASON") for f, d in violations
    ]
    if faults:
        details.append(error_details_pb2.BadRequest(field_violations=faults))
    if retry_after_s:
        pause = error_details_pb2.RetryInfo()
        pause.retry_delay.seconds = retry_after_s
        details.append(pause)
    packed = []
    for detail in details:
        holder = any_pb2.Any()
        holder.Pack(detail)
        packed.append(holder)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


def controller_event(sequence: int, kind: str, **payload: Any) -> job_pb.Event:
    made = job_pb.Event(
        sequence=sequence, controller=job_pb.ControllerEvent(kind=kind, json=json.dumps({"kind": kind, **payload}))
    )
    made.time.seconds = 1_700_000_000 + sequence
    return made


def state_event(sequence: int, state: job_pb.JobState, message: str = "") -> job_pb.Event:
    return job_pb.Event(sequence=sequence, state_changed=job_pb.JobStateChanged(state=state, message=message))


RECIPE = {"version": 1, "task": "tabular-classification", "architecture": {"id": "mlp", "params": {}}, "techniques": []}


def successful_events() -> list[job_pb.Event]:
    """A short job, whole."""
    measurement = {
        "epoch": 1,
        "train_loss": 0.5,
        "validation": {"accuracy": 0.91},
        "score": 0.91,
        "elapsed_s": 1.0,
        "step_s": 0.9,
        "learning_rate": 0.01,
    }
    return [
        state_event(1, job_pb.JOB_STATE_RUNNING),
        controller_event(2, "phase-started", phase="PREPARING", note=""),
        controller_event(
            3,
            "data-prepared",
            task="tabular-classification",
            task_inferred=True,
            target="label",
            metric="accuracy",
            parts={"train": 70, "validation": 15, "test": 15},
            profile={},
            key="k",
            findings=[
                {"check": "imbalance", "severity": "warning", "message": "9 of 10 are yes.", "columns": [], "rows": []}
            ],
        ),
        controller_event(
            4, "trial-started", trial="t1", attempt=1, recipe=RECIPE, fidelity={"epochs": 3}, origin="portfolio", slot=0
        ),
        controller_event(5, "trial-measured", trial="t1", attempt=1, measurement=measurement),
        controller_event(
            6,
            "trial-ended",
            trial="t1",
            attempt=1,
            outcome="COMPLETED",
            message="",
            score=0.91,
            best_epoch=1,
            parameters=120,
            wall_s=2.0,
            step_s=1.5,
        ),
        controller_event(7, "best-changed", trial="t1", score=0.91, validation={"accuracy": 0.91}, size_bytes=480),
        controller_event(
            8, "artifact-refused", refused={"format": "tflite", "precision": "int8", "reason": "accuracy fell by 0.2"}
        ),
        controller_event(9, "from-the-future", anything=1),
        state_event(10, job_pb.JOB_STATE_SUCCEEDED),
    ]


@dataclass
class FakeServer(
    dataset_grpc.DatasetServiceServicer,
    job_grpc.JobServiceServicer,
    model_grpc.ModelServiceServicer,
    catalog_grpc.CatalogServiceServicer,
):
    """All services. What was asked is in `seen`; what shall go wrong is in the other fields."""

    address: str = ""
    seen: list[tuple[str, Any]] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)

    fail_next: list[tuple[str, grpc.StatusCode, str] | tuple[str, grpc.StatusCode, str, dict[str, Any]]] = field(
        default_factory=list
    )
    """(method, code, message, more arguments of `refuse`) of calls that fail, in order."""
    chunks_before_loss: int | None = None
    """The first WriteUpload stream is cut after so many chunks."""
    take_nothing: bool = False
    wrong_download_bytes: bool = False
    download_cut_after: int | None = None
    """The first download stream is cut after so many bytes."""
    watch_cut_after: int | None = None
    """The first watch stream is cut after so many events."""
    repeat_events: bool = False
    """After a reconnection the last event comes again."""

    uploads: dict[str, tuple[dataset_pb.Upload, bytearray]] = field(default_factory=dict)
    datasets: dict[str, dataset_pb.Dataset] = field(default_factory=dict)
    events: list[job_pb.Event] = field(default_factory=successful_events)
    job: job_pb.Job = field(default_factory=lambda: job_pb.Job(name=JOB))
    files: dict[str, bytes] = field(
        default_factory=lambda: {"model-float32.tflite": b"\x01" * 100, "model.keras": b"\x02" * 50}
    )
    cancelled: list[job_pb.CancelJobRequest] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _note(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        with self.lock:
            self.seen.append((method, request))
            self.metadata.append(dict(context.invocation_metadata()))
            if self.fail_next and self.fail_next[0][0] == method:
                _, code, message, *more = self.fail_next.pop(0)
            else:
                return
        refuse(context, code, message, **(more[0] if more else {"reason": code.name}))

    def calls(self, method: str) -> list[Any]:
        return [request for name, request in self.seen if name == method]

    # --- data sets ---

    def CreateUpload(self, request, context):
        self._note("CreateUpload", request, context)
        for upload, data in self.uploads.values():
            if upload.sha256 == request.upload.sha256:
                return dataset_pb.CreateUploadResponse(upload=self._upload(upload, data))
        upload = dataset_pb.Upload()
        upload.CopyFrom(request.upload)
        upload.name = f"projects/default/uploads/u{len(self.uploads) + 1}"
        self.uploads[upload.name] = (upload, bytearray())
        return dataset_pb.CreateUploadResponse(upload=self._upload(*self.uploads[upload.name]))

    def GetUpload(self, request, context):
        self._note("GetUpload", request, context)
        return dataset_pb.GetUploadResponse(upload=self._upload(*self.uploads[request.name]))

    def WriteUpload(self, requests, context):
        name, cut = "", self.chunks_before_loss
        for count, chunk in enumerate(requests):
            self._note("WriteUpload", chunk, context) if count == 0 else None
            name = name or chunk.name
            _, data = self.uploads[name]
            if cut is not None and count == cut:
                self.chunks_before_loss = None
                refuse(context, grpc.StatusCode.UNAVAILABLE, "cut")
            if chunk.offset != len(data):
                refuse(context, grpc.StatusCode.OUT_OF_RANGE, f"expected {len(data)}", "OUT_OF_RANGE")
            assert google_crc32c.value(chunk.data) == chunk.crc32c
            assert len(chunk.data) <= CHUNK
            if not self.take_nothing:
                data += chunk.data
        return dataset_pb.WriteUploadResponse(upload=self._upload(*self.uploads[name]))

    def _upload(self, upload: dataset_pb.Upload, data: bytearray) -> dataset_pb.Upload:
        upload.committed_size = len(data)
        upload.complete = len(data) == upload.size_bytes and hashlib.sha256(data).hexdigest() == upload.sha256
        return upload

    def CreateDataset(self, request, context):
        self._note("CreateDataset", request, context)
        upload, _ = self.uploads[request.upload]
        made = dataset_pb.Dataset(
            name=f"projects/default/datasets/{request.dataset_id or 'd'}@{upload.sha256[:16]}",
            display_name=request.display_name or upload.filename,
            sha256=upload.sha256,
            size_bytes=upload.size_bytes,
            modality="table",
            format="csv",
            rows=100,
            columns=[
                dataset_pb.Column(
                    name="a\x1b[31m", kind=dataset_pb.COLUMN_KIND_NUMERIC, rows_missing=2, distinct=9, examples=["1", "2"]
                ),
                dataset_pb.Column(name="label", kind=dataset_pb.COLUMN_KIND_CATEGORICAL, distinct=2),
            ],
            findings=[dataset_pb.Finding(check="missing-values", warning=True, message="a lacks 2 values.", columns=["a"])],
        )
        self.datasets[made.name] = made
        return dataset_pb.CreateDatasetResponse(dataset=made)

    def GetDataset(self, request, context):
        self._note("GetDataset", request, context)
        if request.name not in self.datasets:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"There is no data set {request.name}.", "NOT_FOUND")
        return dataset_pb.GetDatasetResponse(dataset=self.datasets[request.name])

    def ListDatasets(self, request, context):
        self._note("ListDatasets", request, context)
        place = int(request.page_token or 0)
        there = list(self.datasets.values())
        return dataset_pb.ListDatasetsResponse(
            datasets=there[place : place + 1], next_page_token=str(place + 1) if place + 1 < len(there) else ""
        )

    def DeleteDataset(self, request, context):
        self._note("DeleteDataset", request, context)
        del self.datasets[request.name]
        return dataset_pb.DeleteDatasetResponse()

    # --- jobs ---

    def CreateJob(self, request, context):
        self._note("CreateJob", request, context)
        if not self.job.spec.dataset:
            self.job.spec.CopyFrom(request.job.spec)
            self.job.state = job_pb.JOB_STATE_QUEUED
        return job_pb.CreateJobResponse(job=self.job)

    def GetJob(self, request, context):
        self._note("GetJob", request, context)
        if request.name != self.job.name:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"There is no job {request.name}.", "NOT_FOUND")
        return job_pb.GetJobResponse(job=self.job)

    def ListJobs(self, request, context):
        self._note("ListJobs", request, context)
        return job_pb.ListJobsResponse(jobs=[self.job] if self.job.spec.dataset else [])

    def WatchJob(self, request, context):
        self._note("WatchJob", request, context)
        start = request.resume_after - int(self.repeat_events and request.resume_after > 0)
        for sent, event in enumerate(one for one in self.events if one.sequence > start):
            if self.watch_cut_after is not None and sent == self.watch_cut_after:
                self.watch_cut_after = None
                refuse(context, grpc.StatusCode.UNAVAILABLE, "cut")
            if event.HasField("state_changed"):
                self._change(event.state_changed)
            yield job_pb.WatchJobResponse(event=event)

    def _change(self, changed: job_pb.JobStateChanged) -> None:
        self.job.state, self.job.message = changed.state, changed.message
        if changed.state == job_pb.JOB_STATE_SUCCEEDED:
            self.job.metric, self.job.validation_metric, self.job.test_metric = "accuracy", 0.91, 0.9
            self.job.test_metrics.update({"accuracy": 0.9, "log-loss": 0.3})
            self.job.trials.update({"COMPLETED": 1})
            self.job.model_version, self.job.goodput = VERSION, 0.75
            if not self.job.refused:
                self.job.refused.add(format="tflite", precision="int8", reason="accuracy fell by 0.2")

    def CancelJob(self, request, context):
        self._note("CancelJob", request, context)
        self.cancelled.append(request)
        return job_pb.CancelJobResponse(job=self.job)

    def ListTrials(self, request, context):
        self._note("ListTrials", request, context)
        trial = job_pb.Trial(
            name=f"{JOB}/trials/t1",
            origin="portfolio",
            outcome="COMPLETED",
            epochs=3,
            epochs_planned=3,
            metric=0.91,
            parameters=120,
            wall_s=2.0,
        )
        return job_pb.ListTrialsResponse(trials=[trial])

    def GetReport(self, request, context):
        self._note("GetReport", request, context)
        return job_pb.GetReportResponse(html="<!doctype html><title>report</title>")

    # --- models ---

    def version(self) -> model_pb.ModelVersion:
        made = model_pb.ModelVersion(
            name=VERSION,
            job=JOB,
            dataset="projects/default/datasets/d@0123456789abcdef",
            task="tabular-classification",
            metric="accuracy",
            validation_metric=0.91,
            test_metric=0.9,
            recipe_json=json.dumps(RECIPE),
        )
        for name, content in self.files.items():
            format_id = "tflite" if name.endswith(".tflite") else "keras-file"
            made.artifacts.add(
                name=f"{VERSION}/artifacts/{name}",
                format=format_id,
                precision="float32",
                filename=name,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                parameters=120,
                verification=model_pb.Verification(
                    part="test",
                    rows=15,
                    metric="accuracy",
                    float_value=0.9,
                    artifact_value=0.89,
                    agreement=0.99,
                    tolerance=0.01,
                    latency_median_ms=0.02,
                    threads=1,
                    machine="test",
                    runtime="fake 1",
                    interval=model_pb.Interval(low=0.7, high=0.97, method="Wilson"),
                    calibration_error=0.04,
                    calibration_shift=-0.01,
                ),
            )
        return made

    def ListModels(self, request, context):
        self._note("ListModels", request, context)
        return model_pb.ListModelsResponse(
            models=[
                model_pb.Model(
                    name="projects/default/models/m", task="tabular-classification", versions=1, latest_version=VERSION
                )
            ]
        )

    def GetModelVersion(self, request, context):
        self._note("GetModelVersion", request, context)
        return model_pb.GetModelVersionResponse(model_version=self.version())

    def DownloadArtifact(self, request, context) -> Iterator[model_pb.DownloadArtifactResponse]:
        self._note("DownloadArtifact", request, context)
        content = self.files[request.name.rpartition("/")[2]]
        if self.wrong_download_bytes:
            content = b"\x09" * len(content)
        cut, self.download_cut_after = self.download_cut_after, None
        step = 40
        for offset in range(request.offset, len(content), step):
            if cut is not None and offset >= cut:
                refuse(context, grpc.StatusCode.UNAVAILABLE, "cut")
            data = content[offset : offset + step]
            yield model_pb.DownloadArtifactResponse(offset=offset, data=data, crc32c=google_crc32c.value(data))

    # --- the catalogue ---

    def ListTaskTypes(self, request, context):
        self._note("ListTaskTypes", request, context)
        return catalog_pb.ListTaskTypesResponse(
            task_types=[
                catalog_pb.TaskType(id="tabular-classification", summary="One.", metrics=["accuracy"], description="Essay")
            ]
        )

    def ListTechniques(self, request, context):
        self._note("ListTechniques", request, context)
        return catalog_pb.ListTechniquesResponse(
            techniques=[
                catalog_pb.Technique(
                    id="label-smoothing",
                    stage="loss",
                    summary="Softens.",
                    modalities=["table"],
                    kinds=["classification"],
                    parameters=[catalog_pb.Parameter(name="alpha", domain="[0, 0.3]", default_value="0.1")],
                    reference="arXiv:1512.00567",
                    cost=1.0,
                    conflicts={"focal": "both change the loss"},
                    description="The whole essay on label smoothing.",
                ),
                catalog_pb.Technique(
                    id="custom-loss", stage="loss", summary="Yours.", on_request="the formula is the user's"
                ),
                catalog_pb.Technique(id="edge-mobile", stage="export", summary="Phones.", decided_by="--format mobile"),
                catalog_pb.Technique(id="mlp", stage="architecture", summary="Layers.", cost=1.0),
            ]
        )

    def ExplainTechniques(self, request, context):
        self._note("ExplainTechniques", request, context)
        return catalog_pb.ExplainTechniquesResponse(
            task=request.spec.task or "tabular-classification",
            verdicts=[
                catalog_pb.TechniqueVerdict(id="adam", stage="optimizer", slot="optimizer", applies=True, is_default=True),
                catalog_pb.TechniqueVerdict(
                    id="flip", stage="data", summary="Mirrors.", reason="applies to image, the data are table"
                ),
                catalog_pb.TechniqueVerdict(id="mixup", stage="data", slot="mixing", applies=True, forced=True),
            ],
            profile=catalog_pb.ProfileEstimate(rows=72, numeric=2, classes=2, class_min=30, imbalance=1.4),
        )

    def ListFormats(self, request, context):
        self._note("ListFormats", request, context)
        return catalog_pb.ListFormatsResponse(
            formats=[
                catalog_pb.Format(
                    id="tflite",
                    summary="Small.",
                    precisions=["float32", "int8"],
                    suffix=".tflite",
                    description="One flatbuffer.",
                )
            ]
        )

    def ListDevices(self, request, context):
        self._note("ListDevices", request, context)
        return catalog_pb.ListDevicesResponse(
            devices=[
                catalog_pb.Device(id="here", title="this machine", runtime="ai-edge-litert", latency="measured"),
                catalog_pb.Device(
                    id="board", title="A board", ram_bytes=65_536, flash_bytes=1_048_576, operations=["CONV_2D", "SOFTMAX"],
                    runtime="tflite-micro", latency="estimated", macs_per_second=2e7, reference="A paper",
                ),
            ]
        )


def started(server: FakeServer) -> grpc.Server:
    """Serves it on a free port of this machine; the caller stops it."""
    made = grpc.server(futures.ThreadPoolExecutor(4))
    dataset_grpc.add_DatasetServiceServicer_to_server(server, made)
    job_grpc.add_JobServiceServicer_to_server(server, made)
    model_grpc.add_ModelServiceServicer_to_server(server, made)
    catalog_grpc.add_CatalogServiceServicer_to_server(server, made)
    server.address = f"127.0.0.1:{made.add_insecure_port('127.0.0.1:0')}"
    made.start()
    return made
