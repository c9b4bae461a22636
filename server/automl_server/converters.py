"""Between the wire and our own types: convert on arrival, convert on departure, think in `automl.spec` in between."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from google.protobuf.timestamp_pb2 import Timestamp

from automl.catalog import devices, entries
from automl.catalog.applicability import Applicability, Verdict
from automl.spec import (
    Artifact,
    ArtifactPoint,
    ColumnInfo,
    ColumnKind,
    Finding,
    InvalidInput,
    JobPhase,
    JobSpec,
    Recipe,
    Severity,
    Trial,
    Violation,
)
from automl_protos.v1 import catalog_service_pb2 as catalog_pb
from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as job_pb
from automl_protos.v1 import model_service_pb2 as model_pb
from automl_server import resource_names as names
from automl_server.store.datasets import DatasetRecord
from automl_server.store.events import SAMPLER_STATE, STATE_CHANGED, EventRecord
from automl_server.store.jobs import JobRecord
from automl_server.store.models import ModelRecord, ModelVersionRecord
from automl_server.store.uploads import UploadRecord
from automl_server.summary import JobSummary

MAX_ITEMS = 1_000
"""Of a repeated field or map in a specification; ignored columns and their kinds may be ten times as many."""
MAX_TEXT = 1_000
"""Characters of a name or id in a specification."""
MAX_RECIPE_BYTES = 256 << 10

_FIELDS = {"budget.wall_s": "budget.wall", "budget.spent_s": "budget.spent", "search.recipes": "search.recipes_json"}
"""Where a field of `JobSpec` has another name on the wire."""


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since 1970, to the microsecond."""
    if seconds is None:
        return None
    whole = math.floor(seconds)
    return Timestamp(seconds=whole, nanos=min(999_999, round((seconds - whole) * 1e6)) * 1000)


# Data sets


def upload(record: UploadRecord) -> dataset_pb.Upload:
    return dataset_pb.Upload(
        name=str(record.name),
        filename=record.filename,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        committed_size=record.committed_size,
        complete=record.complete,
        create_time=timestamp(record.create_time),
    )


def dataset(record: DatasetRecord, *, whole: bool = True) -> dataset_pb.Dataset:
    """Without columns and findings unless `whole`."""
    info = record.info
    return dataset_pb.Dataset(
        name=str(record.name),
        display_name=record.display_name,
        sha256=record.sha256,
        size_bytes=record.size_bytes,
        modality=info.modality,
        format=info.format,
        rows=info.rows,
        columns=[_column(c) for c in info.columns] if whole else [],
        findings=[_finding(f) for f in info.findings] if whole else [],
        create_time=timestamp(record.create_time),
        image_shape=info.image_shape or [],
    )


def _column(column: ColumnInfo) -> dataset_pb.Column:
    return dataset_pb.Column(
        name=column.name,
        kind=_kind_to_proto(column.kind),
        rows_missing=column.rows_missing,
        distinct=column.distinct,
        examples=column.examples,
    )


def _finding(finding: Finding) -> dataset_pb.Finding:
    return dataset_pb.Finding(
        check=finding.check,
        warning=finding.severity == Severity.WARNING,
        message=finding.message,
        columns=finding.columns,
        rows=finding.rows,
    )


def _kind_to_proto(kind: ColumnKind) -> Any:
    return dataset_pb.ColumnKind.Value(f"COLUMN_KIND_{kind.name}")


# Specifications


def spec_from_proto(message: job_pb.JobSpec) -> JobSpec:
    """The specification. Raises `InvalidInput` with every fault that shows without the data; fields are named as on the
    wire, relative to the specification ("budget.wall", "search.force[0]")."""
    found = list(_too_much(message))
    if found:
        raise InvalidInput(found)  # before anything looks at each of a million items
    values: dict[str, Any] = {"dataset": message.dataset, "display_name": message.display_name}
    _set(values, "task", message.task)
    _set(values, "test_dataset", message.test_dataset)
    _set(values, "metric", message.metric)
    if message.HasField("tolerance"):
        values["tolerance"] = message.tolerance
    if message.formats:
        values["formats"] = [
            {"format": f.format} | ({"precision": f.precision} if f.precision else {}) for f in message.formats
        ]
    if not message.dataset:
        found.append(
            Violation(field="dataset", message="the name of a data set version is needed", reason="DATASET_MISSING")
        )
    values["data"] = _data_settings(message.data, found)
    values["constraints"] = {
        name: getattr(message.constraints, name)
        for name in ("max_size_bytes", "max_latency_ms", "max_parameters", "max_memory_bytes")
        if message.constraints.HasField(name)
    } | ({"device": message.constraints.device} if message.constraints.device else {})
    values["budget"] = _budget(message.budget)
    values["search"] = _search(message.search, found)
    try:
        spec = JobSpec.model_validate(values)
    except pydantic.ValidationError as error:
        found += [_violation(fault) for fault in error.errors(include_url=False)]
    if found:
        raise InvalidInput(found)
    return spec


def _set(values: dict[str, Any], name: str, text: str) -> None:
    """Proto3 has no absent text: an empty one means the default."""
    if text:
        values[name] = text


def _too_much(message: job_pb.JobSpec) -> Iterable[Violation]:
    search, data = message.search, message.data
    for field, items, limit in (
        ("formats", message.formats, 100),
        ("search.allow", search.allow, MAX_ITEMS),
        ("search.forbid", search.forbid, MAX_ITEMS),
        ("search.force", search.force, MAX_ITEMS),
        ("search.recipes_json", search.recipes_json, MAX_ITEMS),
        ("search.parameters", search.parameters, MAX_ITEMS),
        ("data.ignore", data.ignore, 10 * MAX_ITEMS),
        ("data.kinds", data.kinds, 10 * MAX_ITEMS),
    ):
        if len(items) > limit:
            yield Violation(field=field, message=f"expected at most {limit} items, got {len(items)}", reason="TOO_MANY")
    for field, text in (
        ("task", message.task),
        ("dataset", message.dataset),
        ("test_dataset", message.test_dataset),
        ("metric", message.metric),
        ("display_name", message.display_name),
        ("data.target", data.target),
        ("data.split_column", data.split_column),
        ("data.group_column", data.group_column),
        ("data.time_column", data.time_column),
        ("search.strategy", search.strategy),
        ("search.rank_by", search.rank_by),
        *((f"search.parameters[{name[:MAX_TEXT]}]", name + text) for name, text in search.parameters.items()),
    ):
        if len(text) > MAX_TEXT:
            yield Violation(
                field=field, message=f"expected at most {MAX_TEXT} characters, got {len(text)}", reason="TOO_LONG"
            )
    for i, recipe in enumerate(search.recipes_json):
        if len(recipe) > MAX_RECIPE_BYTES:
            yield Violation(
                field=f"search.recipes_json[{i}]", message=f"expected at most {MAX_RECIPE_BYTES} bytes", reason="TOO_LONG"
            )


def _data_settings(message: job_pb.DataSettings, found: list[Violation]) -> dict[str, Any]:
    values: dict[str, Any] = {"ignore": list(message.ignore)}
    for name in ("target", "split_column", "group_column", "time_column"):
        _set(values, name, getattr(message, name))
    if message.HasField("test_fraction"):
        values["test_fraction"] = message.test_fraction
    kinds = {}
    for column, number in message.kinds.items():
        descriptor = dataset_pb.ColumnKind.DESCRIPTOR.values_by_number.get(number)
        if descriptor is None or number == dataset_pb.COLUMN_KIND_UNSPECIFIED:
            known = ", ".join(ColumnKind)
            found.append(Violation(field=f"data.kinds[{column}]", message=f"expected one of {known}", reason="UNKNOWN_KIND"))
        else:
            kinds[column] = ColumnKind[descriptor.name.removeprefix("COLUMN_KIND_")]
    return values | {"kinds": kinds}


def _budget(message: job_pb.Budget) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if message.HasField("wall"):
        values["wall_s"] = message.wall.seconds + message.wall.nanos * 1e-9
    if message.HasField("spent"):
        values["spent_s"] = message.spent.seconds + message.spent.nanos * 1e-9
    if message.HasField("max_trials"):
        values["max_trials"] = message.max_trials
    return values


def _search(message: job_pb.SearchSettings, found: list[Violation]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "allow": list(message.allow),
        "forbid": list(message.forbid),
        "force": list(message.force),
        "parameters": dict(message.parameters),
        "seed": message.seed,
    }
    _set(values, "strategy", message.strategy)
    _set(values, "rank_by", message.rank_by)
    recipes = []
    for i, text in enumerate(message.recipes_json):
        try:
            recipes.append(Recipe.model_validate_json(text))
        except pydantic.ValidationError as error:
            found += [_violation(fault, ("search", "recipes_json", i)) for fault in error.errors(include_url=False)]
    return values | {"recipes": recipes}


def _violation(fault: Mapping[str, Any], within: tuple[str | int, ...] = ()) -> Violation:
    path = ""
    for part in (*within, *fault["loc"]):
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    message = str(fault["msg"])
    value = fault.get("input")
    if isinstance(value, str | int | float | bool):
        message += f", got {str(value)[:100]!r}" if isinstance(value, str) else f", got {value}"
    return Violation(
        field=_FIELDS.get(path, path), message=message[:1].lower() + message[1:], reason=str(fault["type"]).upper()[:60]
    )


def spec(value: JobSpec, summary: JobSummary) -> job_pb.JobSpec:
    """The specification with what was inferred filled in, as far as it is known."""
    message = job_pb.JobSpec(
        task=value.task or summary.task,
        dataset=value.dataset,
        test_dataset=value.test_dataset or "",
        metric=value.metric or summary.metric,
        tolerance=value.tolerance,
        display_name=value.display_name,
        formats=[job_pb.FormatRequest(format=f.format, precision=f.precision) for f in value.formats],
        constraints=job_pb.Constraints(
            max_size_bytes=value.constraints.max_size_bytes,
            max_latency_ms=value.constraints.max_latency_ms,
            max_parameters=value.constraints.max_parameters,
            max_memory_bytes=value.constraints.max_memory_bytes,
            device=value.constraints.device,
        ),
        data=job_pb.DataSettings(
            target=value.data.target or summary.target,
            split_column=value.data.split_column or "",
            group_column=value.data.group_column or "",
            time_column=value.data.time_column or "",
            kinds={c: _kind_to_proto(k) for c, k in value.data.kinds.items()},
            ignore=value.data.ignore,
            test_fraction=value.data.test_fraction,
        ),
        search=job_pb.SearchSettings(
            strategy=value.search.strategy,
            allow=value.search.allow,
            forbid=value.search.forbid,
            force=value.search.force,
            parameters=value.search.parameters,
            seed=value.search.seed,
            recipes_json=[r.canonical_json().decode() for r in value.search.recipes],
            rank_by=value.search.rank_by,
        ),
        budget=job_pb.Budget(max_trials=value.budget.max_trials),
    )
    message.budget.wall.FromNanoseconds(round(value.budget.wall_s * 1e9))
    message.budget.spent.FromNanoseconds(round(value.budget.spent_s * 1e9))
    return message


# Jobs


def job(record: JobRecord, summary: JobSummary) -> job_pb.Job:
    """`record` without an id (validate_only) has no name."""
    return job_pb.Job(
        name=str(record.name) if record.id else "",
        spec=spec(record.spec, summary),
        state=_state(record.state),
        phase=_phase(summary.phase),
        message=record.message,
        reason=record.reason,
        create_time=timestamp(record.create_time),
        start_time=timestamp(record.start_time),
        end_time=timestamp(record.end_time),
        metric=summary.metric,
        validation_metric=summary.validation_metric,
        test_metric=summary.test_metric,
        trials=summary.trials,
        model_version=record.model_version,
        goodput=summary.goodput,
        last_event=record.last_event,
        refused=[model_pb.RefusedArtifact(format=r.format, precision=r.precision, reason=r.reason) for r in summary.refused],
        deadline=timestamp(record.deadline),
        test_metrics=summary.test_metrics,
    )


def _phase(phase: JobPhase | None) -> Any:
    return job_pb.JobPhase.Value(f"JOB_PHASE_{phase.name}" if phase else "JOB_PHASE_UNSPECIFIED")


def _state(state: str) -> Any:
    return job_pb.JobState.Value(f"JOB_STATE_{state}")


def event(record: EventRecord) -> job_pb.Event:
    """Of a sampler's state, which is large and of no use outside, only the sampler's name is told."""
    time = timestamp(record.time)
    if record.kind == STATE_CHANGED:
        change = json.loads(record.payload)
        return job_pb.Event(
            sequence=record.sequence,
            time=time,
            state_changed=job_pb.JobStateChanged(state=_state(change["state"]), message=change["message"]),
        )
    payload = record.payload
    if record.kind == SAMPLER_STATE:
        payload = json.dumps({"kind": SAMPLER_STATE, "sampler": json.loads(payload)["sampler"]})
    return job_pb.Event(
        sequence=record.sequence, time=time, controller=job_pb.ControllerEvent(kind=record.kind, json=payload)
    )


def trial(owner: names.Job, value: Trial, metric: str) -> job_pb.Trial:
    """`metric` is the job's: its value at the epoch of the best score."""
    best = max(value.measurements, key=lambda m: m.score, default=None)
    return job_pb.Trial(
        name=owner.trial(value.id),
        recipe_json=value.recipe.canonical_json().decode(),
        origin=value.origin,
        outcome=value.outcome.value if value.outcome else "RUNNING",
        message=value.message,
        epochs=len(value.measurements),
        epochs_planned=value.fidelity.epochs,
        metric=best.validation.get(metric) if best else None,
        parameters=value.parameters,
        wall_s=value.wall_s,
        step_s=value.step_s,
        artifact=None if value.artifact is None else _artifact_point(value.artifact),
        slots=value.slots,
    )


def _artifact_point(value: ArtifactPoint) -> job_pb.ArtifactPoint:
    return job_pb.ArtifactPoint(
        precision=value.precision,
        metric=value.value,
        float_metric=value.float_value,
        rows=value.rows,
        size_bytes=value.size_bytes,
        latency_ms=value.latency_ms,
        wall_s=value.wall_s,
    )


# Models


def model(record: ModelRecord) -> model_pb.Model:
    return model_pb.Model(
        name=str(record.name),
        display_name=record.display_name,
        task=record.task,
        versions=record.versions,
        latest_version=str(names.ModelVersion(record.project, record.model, str(record.latest))),
        create_time=timestamp(record.create_time),
    )


def model_version(record: ModelVersionRecord) -> model_pb.ModelVersion:
    return model_pb.ModelVersion(
        name=str(record.name),
        job=record.job,
        dataset=record.dataset,
        task=record.task,
        metric=record.metric,
        validation_metric=record.validation_metric,
        test_metric=record.test_metric,
        recipe_json=record.recipe,
        artifacts=[artifact(record.name, a) for a in record.artifacts],
        create_time=timestamp(record.create_time),
        test_metrics=record.test_metrics,
    )


def artifact(owner: names.ModelVersion, value: Artifact) -> model_pb.Artifact:
    proof = value.verification
    latency = proof.latency
    return model_pb.Artifact(
        name=str(names.Artifact(owner.project, owner.model, owner.version, value.id)),
        format=value.format,
        precision=value.precision,
        filename=value.filename,
        size_bytes=value.size_bytes,
        compressed_bytes=value.compressed_bytes,
        sha256=value.sha256,
        parameters=value.parameters,
        sparsity=value.sparsity,
        proof_json=value.proof,
        fit=None if value.fit is None else model_pb.DeviceFit(
            device=value.fit.device, latency_ms=value.fit.latency_ms, macs=value.fit.macs,
            activation_bytes=value.fit.activation_bytes,
        ),
        verification=model_pb.Verification(
            part=proof.part,
            rows=proof.rows,
            metric=proof.metric,
            float_value=proof.float_value,
            artifact_value=proof.artifact_value,
            agreement=proof.agreement,
            max_difference=proof.max_difference,
            tolerance=proof.tolerance,
            latency_median_ms=latency.median_ms if latency else None,
            latency_p90_ms=latency.p90_ms if latency else None,
            threads=latency.threads if latency else 0,
            machine=latency.machine if latency else "",
            peak_memory_bytes=proof.peak_memory_bytes,
            runtime=proof.runtime,
            more_threads=[
                model_pb.ThreadsLatency(threads=one.threads, median_ms=one.median_ms, p90_ms=one.p90_ms)
                for one in proof.more_threads
            ],
            held_out_rows=proof.held_out_rows,
            interval=None if proof.interval is None else model_pb.Interval(**proof.interval.to_dict()),
            calibration_error=proof.calibration_error,
            calibration_shift=proof.calibration_shift,
        ),
    )


# The catalogue


def task_type(entry: entries.Task) -> catalog_pb.TaskType:
    return catalog_pb.TaskType(
        id=entry.id,
        summary=entry.summary,
        takes=entry.takes,
        returns=entry.returns,
        modality=entry.modality,
        metrics=entry.metrics,
        description=entry.doc,
    )


def technique(entry: entries.Technique, conflicts: Mapping[str, str]) -> catalog_pb.Technique:
    """`conflicts`: with those that the other side declares."""
    return catalog_pb.Technique(
        id=entry.id,
        stage=entry.stage,
        slot=entry.slot or "",
        summary=entry.summary,
        modalities=sorted(entry.modalities),
        kinds=sorted(entry.kinds),
        parameters=_parameters(entry),
        reference=entry.reference,
        cost=entry.cost,
        is_default=entry.default,
        conflicts=conflicts,
        unsupported_formats=entry.unsupported_formats,
        description=entry.doc,
        on_request=entry.on_request,
        decided_by=entry.decided_by,
    )


def architecture(entry: entries.Architecture, conflicts: Mapping[str, str]) -> catalog_pb.Technique:
    return catalog_pb.Technique(
        id=entry.id,
        stage="architecture",
        summary=entry.summary,
        modalities=sorted(entry.modalities),
        kinds=sorted(entries.BOTH_KINDS),
        parameters=_parameters(entry),
        reference=entry.reference,
        cost=entry.cost,
        conflicts=conflicts,
        description=entry.doc,
    )


def applicability(found: Applicability) -> catalog_pb.ExplainTechniquesResponse:
    profile = found.profile
    return catalog_pb.ExplainTechniquesResponse(
        task=found.task,
        verdicts=map(_verdict, found.verdicts),
        profile=catalog_pb.ProfileEstimate(
            rows=profile.rows,
            numeric=profile.numeric,
            categorical=profile.categorical,
            cardinality_max=profile.cardinality_max,
            missing_fraction=profile.missing_fraction,
            classes=profile.classes,
            class_min=profile.class_min,
            imbalance=profile.imbalance,
            image_shape=profile.image_shape or [],
            length=profile.length,
        ),
    )


def _verdict(verdict: Verdict) -> catalog_pb.TechniqueVerdict:
    entry = verdict.entry
    technique = entry if isinstance(entry, entries.Technique) else None
    return catalog_pb.TechniqueVerdict(
        id=entry.id,
        stage=technique.stage if technique else "architecture",
        slot=(technique.slot if technique else "") or "",
        summary=entry.summary,
        applies=verdict.applies,
        reason=verdict.reason,
        forced=verdict.forced,
        is_default=verdict.is_default,
    )


def _parameters(entry: entries.Technique | entries.Architecture) -> list[catalog_pb.Parameter]:
    return [
        catalog_pb.Parameter(
            name=name,
            domain=domain.describe(),
            default_value=str(domain.default).lower() if isinstance(domain.default, bool) else str(domain.default),
        )
        for name, domain in entry.params.items()
    ]


def device(entry: devices.Device) -> catalog_pb.Device:
    return catalog_pb.Device(
        id=entry.id, title=entry.title, ram_bytes=entry.ram_bytes or 0, flash_bytes=entry.flash_bytes or 0,
        operations=sorted(entry.operations or ()), runtime=entry.runtime, latency=entry.latency,
        macs_per_second=entry.macs_per_second or 0.0, reference=entry.reference,
    )


def format(entry: entries.Format) -> catalog_pb.Format:
    return catalog_pb.Format(
        id=entry.id,
        summary=entry.summary,
        precisions=entry.precisions,
        suffix=entry.suffix,
        runtime=entry.runtime,
        raw_input=entry.raw_input,
        description=entry.doc,
    )
