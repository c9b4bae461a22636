"""Between messages and the client's types, and from statuses to errors. The only module that reads a message's fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from automl_client import errors, types
from automl_protos.v1 import catalog_service_pb2 as catalog_pb
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import model_service_pb2 as model_pb

# --- pieces ---------------------------------------------------------------------------------------------------------------


def _time(message: Any, field: str) -> datetime | None:
    """A timestamp field as an aware UTC datetime; None when it isn't set."""
    if not message.HasField(field):
        return None
    stamp: timestamp_pb2.Timestamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)


def _optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _duration(seconds: float) -> duration_pb2.Duration:
    nanos = round(seconds * 1e9)
    return duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _kind(value: int) -> types.ColumnKind | None:
    """None for "not set" and for kinds that a newer server may have."""
    try:
        name = dataset_pb.ColumnKind.Name(value)
    except ValueError:
        return None
    short = name.removeprefix("COLUMN_KIND_").lower()
    return next((kind for kind in types.ColumnKind if kind.value == short), None)


def _kind_to_proto(kind: types.ColumnKind) -> Any:
    return dataset_pb.ColumnKind.Value(f"COLUMN_KIND_{kind.name}")


# --- data sets ------------------------------------------------------------------------------------------------------------


def upload(message: dataset_pb.Upload) -> types.Upload:
    return types.Upload(
        message.name, message.filename, message.size_bytes, message.sha256, message.committed_size, message.complete
    )


def finding(message: dataset_pb.Finding) -> types.Finding:
    return types.Finding(message.check, message.warning, message.message, tuple(message.columns), tuple(message.rows))


def dataset(message: dataset_pb.Dataset) -> types.Dataset:
    return types.Dataset(
        name=message.name,
        display_name=message.display_name,
        sha256=message.sha256,
        size_bytes=message.size_bytes,
        modality=message.modality,
        format=message.format,
        rows=message.rows,
        columns=tuple(
            types.Column(column.name, _kind(column.kind), column.rows_missing, column.distinct, tuple(column.examples))
            for column in message.columns
        ),
        findings=tuple(map(finding, message.findings)),
        create_time=_time(message, "create_time"),
        image_shape=tuple(message.image_shape),
    )


# --- jobs -----------------------------------------------------------------------------------------------------------------


def job_spec_to_proto(spec: types.JobSpec) -> job_pb.JobSpec:
    """Unset stays unset, so that the server's defaults are used and not a copy of them."""
    message = job_pb.JobSpec(
        task=spec.task,
        dataset=spec.dataset,
        test_dataset=spec.test_dataset,
        data=job_pb.DataSettings(
            target=spec.data.target,
            split_column=spec.data.split_column,
            group_column=spec.data.group_column,
            time_column=spec.data.time_column,
            kinds={name: _kind_to_proto(kind) for name, kind in spec.data.kinds.items()},
            ignore=spec.data.ignore,
        ),
        metric=spec.metric,
        budget=job_pb.Budget(wall=_duration(spec.budget.wall_s), spent=_duration(spec.budget.spent_s)),
        search=job_pb.SearchSettings(
            strategy=spec.search.strategy,
            allow=spec.search.allow,
            forbid=spec.search.forbid,
            force=spec.search.force,
            parameters=spec.search.parameters,
            seed=spec.search.seed,
            recipes_json=spec.search.recipes_json,
            rank_by=spec.search.rank_by,
        ),
        formats=[job_pb.FormatRequest(format=wanted.format, precision=wanted.precision) for wanted in spec.formats],
        display_name=spec.display_name,
    )
    for holder, field, value in (
        (message.data, "test_fraction", spec.data.test_fraction),
        (message.constraints, "max_size_bytes", spec.constraints.max_size_bytes),
        (message.constraints, "max_latency_ms", spec.constraints.max_latency_ms),
        (message.constraints, "max_parameters", spec.constraints.max_parameters),
        (message.constraints, "max_memory_bytes", spec.constraints.max_memory_bytes),
        (message.budget, "max_trials", spec.budget.max_trials),
        (message, "tolerance", spec.tolerance),
    ):
        if value is not None:
            setattr(holder, field, value)
    message.constraints.device = spec.constraints.device
    return message


def job_spec(message: job_pb.JobSpec) -> types.JobSpec:
    kinds = {name: _kind(value) for name, value in message.data.kinds.items()}
    return types.JobSpec(
        task=message.task,
        dataset=message.dataset,
        test_dataset=message.test_dataset,
        data=types.DataSettings(
            target=message.data.target,
            split_column=message.data.split_column,
            group_column=message.data.group_column,
            time_column=message.data.time_column,
            kinds={name: kind for name, kind in kinds.items() if kind is not None},
            ignore=tuple(message.data.ignore),
            test_fraction=_optional(message.data, "test_fraction"),
        ),
        metric=message.metric,
        constraints=types.Constraints(
            max_size_bytes=_optional(message.constraints, "max_size_bytes"),
            max_latency_ms=_optional(message.constraints, "max_latency_ms"),
            max_parameters=_optional(message.constraints, "max_parameters"),
            max_memory_bytes=_optional(message.constraints, "max_memory_bytes"),
            device=message.constraints.device,
        ),
        budget=types.Budget(
            wall_s=_seconds(message.budget.wall),
            spent_s=_seconds(message.budget.spent),
            max_trials=_optional(message.budget, "max_trials"),
        ),
        search=types.SearchSettings(
            strategy=message.search.strategy,
            allow=tuple(message.search.allow),
            forbid=tuple(message.search.forbid),
            force=tuple(message.search.force),
            parameters=dict(message.search.parameters),
            seed=message.search.seed,
            recipes_json=tuple(message.search.recipes_json),
            rank_by=message.search.rank_by or "model",
        ),
        formats=tuple(types.Format(wanted.format, wanted.precision or "float32") for wanted in message.formats),
        tolerance=_optional(message, "tolerance"),
        display_name=message.display_name,
    )


def _state(value: Any) -> types.JobState:
    """A state that this client does not know yet counts as running: a watcher then goes on."""
    try:
        return types.JobState(job_pb.JobState.Name(value).removeprefix("JOB_STATE_"))
    except ValueError:
        return types.JobState.RUNNING


def _phase(value: Any) -> types.JobPhase | None:
    try:
        return types.JobPhase(job_pb.JobPhase.Name(value).removeprefix("JOB_PHASE_"))
    except ValueError:
        return None


def job(message: job_pb.Job) -> types.Job:
    return types.Job(
        name=message.name,
        spec=job_spec(message.spec),
        state=_state(message.state),
        phase=_phase(message.phase),
        message=message.message,
        reason=message.reason,
        create_time=_time(message, "create_time"),
        start_time=_time(message, "start_time"),
        end_time=_time(message, "end_time"),
        deadline=_time(message, "deadline"),
        metric=message.metric,
        validation_metric=_optional(message, "validation_metric"),
        test_metric=_optional(message, "test_metric"),
        test_metrics=dict(message.test_metrics),
        trials=dict(message.trials),
        model_version=message.model_version,
        goodput=_optional(message, "goodput"),
        last_event=message.last_event,
        refused=tuple(types.Refused(one.format, one.precision, one.reason) for one in message.refused),
    )


def trial(message: job_pb.Trial) -> types.Trial:
    return types.Trial(
        name=message.name,
        recipe_json=message.recipe_json,
        origin=message.origin,
        outcome=message.outcome,
        message=message.message,
        epochs=message.epochs,
        epochs_planned=message.epochs_planned,
        metric=_optional(message, "metric"),
        parameters=_optional(message, "parameters"),
        wall_s=message.wall_s,
        step_s=message.step_s,
        artifact=_artifact_point(message.artifact) if message.HasField("artifact") else None,
        slots=max(1, message.slots),
    )


def _artifact_point(message: job_pb.ArtifactPoint) -> types.ArtifactPoint:
    return types.ArtifactPoint(
        precision=message.precision,
        metric=message.metric,
        float_metric=message.float_metric,
        rows=message.rows,
        size_bytes=message.size_bytes,
        latency_ms=message.latency_ms,
        wall_s=message.wall_s,
    )


def event(message: job_pb.Event) -> types.Event:
    time = _time(message, "time")
    if message.WhichOneof("payload") == "state_changed":
        changed = message.state_changed
        return types.Event(
            message.sequence, time, "state-changed", {"state": _state(changed.state), "message": changed.message}
        )
    return types.Event(message.sequence, time, message.controller.kind, json.loads(message.controller.json or "{}"))


# --- models ---------------------------------------------------------------------------------------------------------------


def verification(message: model_pb.Verification) -> types.Verification:
    return types.Verification(
        part=message.part,
        rows=message.rows,
        metric=message.metric,
        float_value=message.float_value,
        artifact_value=message.artifact_value,
        agreement=message.agreement,
        max_difference=message.max_difference,
        tolerance=message.tolerance,
        latency_median_ms=_optional(message, "latency_median_ms"),
        latency_p90_ms=_optional(message, "latency_p90_ms"),
        threads=message.threads,
        machine=message.machine,
        peak_memory_bytes=_optional(message, "peak_memory_bytes"),
        runtime=message.runtime,
        more_threads=tuple(
            types.ThreadsLatency(one.threads, one.median_ms, one.p90_ms) for one in message.more_threads
        ),
        held_out_rows=message.held_out_rows,
        interval=interval(message.interval) if message.HasField("interval") else None,
        calibration_error=_optional(message, "calibration_error"),
        calibration_shift=_optional(message, "calibration_shift"),
    )


def interval(message: model_pb.Interval) -> types.Interval:
    return types.Interval(message.low, message.high, message.method)


def artifact(message: model_pb.Artifact) -> types.Artifact:
    return types.Artifact(
        name=message.name,
        format=message.format,
        precision=message.precision,
        filename=message.filename,
        size_bytes=message.size_bytes,
        compressed_bytes=message.compressed_bytes,
        sha256=message.sha256,
        parameters=message.parameters,
        sparsity=message.sparsity,
        verification=verification(message.verification) if message.HasField("verification") else None,
        proof_json=message.proof_json,
        fit=device_fit(message.fit) if message.HasField("fit") else None,
    )


def device_fit(message: model_pb.DeviceFit) -> types.DeviceFit:
    return types.DeviceFit(message.device, message.latency_ms, message.macs, message.activation_bytes)


def model(message: model_pb.Model) -> types.Model:
    return types.Model(
        message.name,
        message.display_name,
        message.task,
        message.versions,
        message.latest_version,
        _time(message, "create_time"),
    )


def model_version(message: model_pb.ModelVersion) -> types.ModelVersion:
    return types.ModelVersion(
        name=message.name,
        job=message.job,
        dataset=message.dataset,
        task=message.task,
        metric=message.metric,
        validation_metric=_optional(message, "validation_metric"),
        test_metric=_optional(message, "test_metric"),
        test_metrics=dict(message.test_metrics),
        recipe_json=message.recipe_json,
        artifacts=tuple(map(artifact, message.artifacts)),
        create_time=_time(message, "create_time"),
    )


# --- the catalogue --------------------------------------------------------------------------------------------------------


def task_type(message: catalog_pb.TaskType) -> types.TaskType:
    return types.TaskType(
        message.id,
        message.summary,
        message.takes,
        message.returns,
        message.modality,
        tuple(message.metrics),
        message.description,
    )


def technique(message: catalog_pb.Technique) -> types.Technique:
    return types.Technique(
        id=message.id,
        stage=message.stage,
        slot=message.slot,
        summary=message.summary,
        modalities=tuple(message.modalities),
        kinds=tuple(message.kinds),
        parameters=tuple(types.Parameter(one.name, one.domain, one.default_value) for one in message.parameters),
        reference=message.reference,
        cost=message.cost,
        is_default=message.is_default,
        conflicts=dict(message.conflicts),
        unsupported_formats=dict(message.unsupported_formats),
        description=message.description,
        on_request=message.on_request,
        decided_by=message.decided_by,
    )


def applicability(message: catalog_pb.ExplainTechniquesResponse) -> types.Applicability:
    profile = message.profile
    return types.Applicability(
        task=message.task,
        verdicts=tuple(
            types.TechniqueVerdict(
                one.id, one.stage, one.slot, one.summary, one.applies, one.reason, one.forced, one.is_default
            )
            for one in message.verdicts
        ),
        profile=types.ProfileEstimate(
            rows=profile.rows,
            numeric=profile.numeric,
            categorical=profile.categorical,
            cardinality_max=profile.cardinality_max,
            missing_fraction=profile.missing_fraction,
            classes=profile.classes,
            class_min=profile.class_min,
            imbalance=profile.imbalance,
            image_shape=tuple(profile.image_shape),
            length=profile.length,
        ),
    )


def device(message: catalog_pb.Device) -> types.Device:
    return types.Device(
        message.id, message.title, message.ram_bytes, message.flash_bytes, tuple(message.operations), message.runtime,
        message.latency, message.macs_per_second, message.reference,
    )


def artifact_format(message: catalog_pb.Format) -> types.ArtifactFormat:
    return types.ArtifactFormat(
        message.id,
        message.summary,
        tuple(message.precisions),
        message.suffix,
        message.runtime,
        message.raw_input,
        message.description,
    )


# --- errors ---------------------------------------------------------------------------------------------------------------

_BY_CODE: dict[grpc.StatusCode, type[errors.AutoMLError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
}


def error(code: grpc.StatusCode, details: str, metadata: Iterable[Any] | None) -> errors.AutoMLError:
    """The error for a call's status, with the reason and the violations of its `google.rpc.Status` details.

    `metadata` are the call's trailing pairs of key and value. The reason in `ErrorInfo` decides on the class where a class
    has it; otherwise the status code does.
    """
    reason, retry_after_s = "", None
    info: dict[str, str] = {}
    violations: list[errors.Violation] = []
    for key, value in metadata or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                message = error_details_pb2.ErrorInfo()
                detail.Unpack(message)
                reason, info = message.reason, dict(message.metadata)
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                request = error_details_pb2.BadRequest()
                detail.Unpack(request)
                violations += [
                    errors.Violation(one.field, one.description, one.reason or errors.InvalidInput.reason)
                    for one in request.field_violations
                ]
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                pause = error_details_pb2.RetryInfo()
                detail.Unpack(pause)
                retry_after_s = _seconds(pause.retry_delay)
    converted = _error(code, details, reason, info, violations)
    converted.retry_after_s = retry_after_s
    if isinstance(converted, errors.Unavailable):
        converted.transient = True
    return converted


def _error(
    code: grpc.StatusCode, details: str, reason: str, info: Mapping[str, str], violations: list[errors.Violation]
) -> errors.AutoMLError:
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.FailedPrecondition(
            "The server doesn't know this call: it is older than this client. Upgrade it, or stop it if it is your own: the "
            "next command starts a new one.",
            reason=reason, metadata=info,
        )
    kind = _BY_CODE.get(code, errors.Internal)
    by_reason = errors.BY_REASON.get(reason)
    if by_reason is not None and (kind is errors.Internal or issubclass(by_reason, kind) or by_reason is errors.Infeasible):
        kind = by_reason
    if issubclass(kind, errors.InvalidInput):
        text = "\n".join(map(str, violations)) or details
        return kind(text, violations, reason=reason, metadata=info)
    return kind(details or f"The server answered {code.name} without a message.", reason=reason, metadata=info)
