"""Prepares series: parts, scaling fitted on the training rows, one array of equal length for all."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from automl.catalog.entries import Task
from automl.data import checks, inspection, series, series_encoder, series_tables, split, table_preparation, targets
from automl.data.prepared import PreparedMeta, Writer
from automl.data.series import Series
from automl.data.series_encoder import SeriesEncoder
from automl.data.table import Table, TextColumn
from automl.data.targets import Assignment
from automl.spec.dataset import Finding, Modality, Profile, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.job import DataSettings, JobSpec
from automl.spec.model import Json

_BLOCK = 1024


def prepare(
    spec: JobSpec, task: Task, given: Series | Table, given_test: Series | Table | None, writer: Writer, key: str
) -> PreparedMeta:
    """Writes everything but `meta.json` and returns its content. Raises `InvalidData` with every violation."""
    settings = spec.data
    data, test = _as_series(given, given_test, settings)
    target = settings.target or series.LABEL
    _check(settings, data, test, target)
    labels = _labels(data, target)
    test_labels = None if test is None else _labels(test, target)
    findings = [*data.findings, *series.shape_findings(data)]
    parts = _parts(settings, data)
    assignment = targets.assign(
        labels, filename=data.filename, kind=task.kind, usable=data.lengths > 0, parts=parts,
        groups=_groups(settings, data), times=data.times, test_target=test_labels,
        test_usable=None if test is None else test.lengths > 0, test_fraction=settings.test_fraction, seed=spec.search.seed,
    )
    findings += assignment.findings
    held = data if test is None else test
    findings += _duplicates(data, held, assignment)
    counts = sum(np.bincount(assignment.y[p], minlength=len(assignment.classes)) for p in split.NAMES)
    findings += checks.class_balance(assignment.classes, np.asarray(counts))
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    lengths = np.concatenate([data.lengths[own], held.lengths[assignment.rows["test"]]])
    document = series_encoder.document(
        data, [data.values[r] for r in own], [data.values[r] for r in assignment.rows["train"]],
        ragged=bool((lengths != lengths[0]).any()), task=task.id, kind=task.kind, target=target, classes=assignment.classes,
        metric=spec.metric or task.default_metric(len(assignment.classes)),
    )
    findings += _fitted(document, held, assignment)
    encoder = SeriesEncoder(document)
    _write(encoder, data, own, writer, "")
    _write(encoder, held, assignment.rows["test"], writer, "test")
    writer.array("", "target", np.concatenate([assignment.y["train"], assignment.y["validation"]]))
    writer.array("", "rows", own)
    table_preparation.write_groups(_groups(settings, data), assignment, writer)
    writer.array("test", "target", assignment.y["test"])
    writer.array("test", "rows", assignment.rows["test"])
    return PreparedMeta(
        task=task.id, kind="classification", modality=Modality.SERIES, target=target, classes=assignment.classes,
        parts={p: len(assignment.rows[p]) for p in split.NAMES}, key=key,
        profile=_profile(task.id, encoder, data, assignment), findings=tuple(inspection.in_order(findings)),
        preprocess=document,
    )


def _as_series(
    given: Series | Table, given_test: Series | Table | None, settings: DataSettings
) -> tuple[Series, Series | None]:
    """Series as they came, or made out of tables; the test data of the same form as the training data."""
    if given_test is not None and isinstance(given, Table) != isinstance(given_test, Table):
        raise InvalidData.at(
            given_test.filename, f"expected data of the form {given.format}, got {given_test.format}",
            reason="WRONG_MODALITY",
        )
    data = series_tables.read(given, settings) if isinstance(given, Table) else given
    if isinstance(given_test, Table):
        return data, series_tables.read(given_test, settings, like=data.form)
    return data, given_test


def _check(settings: DataSettings, data: Series, test: Series | None, target: str) -> None:
    faults = []
    if data.labels is None:
        faults.append(Violation(
            field=data.filename, message="has no labels (@classLabel false), and they are what is learnt.",
            remedy="Give a file with @classLabel true and a label at the end of each line.", reason="TARGET_MISSING",
        ))
    elif data.labels.name != target:
        faults.append(Violation(field="data.target", reason="COLUMN_MISSING",
                                message=f"{data.filename} has no {target!r}; its labels are called {data.labels.name!r}"))
    elif data.labels.rows_missing.all():
        faults.append(Violation(field=data.filename, message=f"no series has a {target!r}", reason="TARGET_EMPTY"))
    # The group column of a table in long form is spent on telling the series apart.
    spent = {data.form.get("series")}
    for field, name in (("data.split_column", settings.split_column), ("data.group_column", settings.group_column)):
        if name is not None and name not in data.columns and name not in spent:
            there = ", ".join(map(repr, data.columns)) or "none"
            faults.append(Violation(field=field, message=f"no column {name!r}; there are: {there}", reason="COLUMN_MISSING"))
    if settings.time_column is not None and data.times is None:
        faults.append(Violation(field="data.time_column", reason="COLUMN_MISSING",
                                message=f"{data.filename} has no column {settings.time_column!r}"))
    if settings.group_column in data.columns:
        faults += table_preparation.time_and_group(settings)
    if test is not None:
        if settings.split_column is not None:
            faults.append(Violation(field="data.split_column", reason="CONTRADICTION",
                                    message="separate test data and a split column exclude each other"))
        if len(test.channels) != len(data.channels):
            faults.append(Violation(
                field=test.filename, reason="WRONG_SHAPE",
                message=f"has {len(test.channels)} channels, the training data have {len(data.channels)}",
            ))
        if test.labels is None or test.labels.rows_missing.all():
            faults.append(Violation(field=test.filename, message=f"no test series has a {target!r}", reason="TARGET_EMPTY"))
    if faults:
        raise InvalidData(faults)


def _labels(data: Series, target: str) -> TextColumn:
    assert data.labels is not None, target
    return data.labels


def _parts(settings: DataSettings, data: Series) -> NDArray[np.int8]:
    if settings.split_column is None:
        return np.full(len(data), -1, np.int8)
    return table_preparation.parts_of(data.columns[settings.split_column], data.filename)


def _groups(settings: DataSettings, data: Series) -> NDArray[np.int64] | None:
    """Numbers of the series that must stay together: by the group column, else identical ones; none where time divides."""
    if settings.time_column is not None:
        return None
    column = data.columns.get(settings.group_column or "")
    if column is not None:
        return np.where(column.rows_missing, np.arange(len(data)) + len(column.values), column.codes).astype(np.int64)
    _, groups = np.unique(_hashes(data), return_inverse=True)
    return groups.astype(np.int64) if groups.max(initial=-1) + 1 < len(data) else None


def _hashes(data: Series) -> NDArray[np.uint64]:
    """A 64-bit number for each series, equal for identical ones."""
    digests = b"".join(hashlib.blake2b(v.tobytes(), digest_size=8).digest() for v in data.values)
    return np.frombuffer(digests, np.uint64)


def _duplicates(data: Series, held: Series, assignment: Assignment) -> list[Finding]:
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    hashes = _hashes(data)
    theirs = hashes if held is data else _hashes(held)
    found = []
    _, first = np.unique(hashes[own], return_index=True)
    repeated = len(own) - len(first)
    if repeated:
        again = np.ones(len(own), bool)
        again[first] = False
        found.append(Finding(
            check="duplicate-rows", severity=Severity.WARNING if repeated > 0.01 * len(own) else Severity.INFO,
            message=f"{repeated:,} of {len(own):,} series ({repeated / len(own):.1%}) repeat another one.",
            rows=tuple(int(r) + 1 for r in np.sort(own[again])[:20]),
        ))
    test_rows = np.sort(assignment.rows["test"])
    overlaps = checks.overlap(hashes[own], theirs[test_rows], "series")
    return found + [f.changed(rows=tuple(int(test_rows[r - 1]) + 1 for r in f.rows)) for f in overlaps]


def _fitted(document: dict[str, Json], held: Series, assignment: Assignment) -> list[Finding]:
    """What was done to lengths."""
    length, steps = int(document["length"]), int(document["inputs"]["steps"])
    found = []
    if length > steps:
        found.append(Finding(
            check="series-resampled", severity=Severity.INFO,
            message=f"The longest series has {length:,} steps: all are resampled by the factor {steps / length:.3g} to at "
                    f"most {steps:,} steps, each the mean over its share.",
        ))
    longer = np.flatnonzero(held.lengths[assignment.rows["test"]] > length)
    if len(longer):
        rows = np.sort(assignment.rows["test"][longer])
        found.append(Finding(
            check="series-cut", severity=Severity.INFO, rows=tuple((rows[:20] + 1).tolist()),
            message=f"{len(longer):,} of {len(assignment.rows['test']):,} test series are longer than the longest that was "
                    f"learnt from ({length:,} steps): what is beyond is cut off.",
        ))
    return found


def _write(
    encoder: SeriesEncoder, data: Series, rows: NDArray[np.int64], writer: Writer, part: Literal["", "test"]
) -> None:
    """The encoded series, and the raw ones with NaN behind their ends, in blocks."""
    longest = int(data.lengths[rows].max(initial=1))
    out = writer.mapped(part, "series", (len(rows), encoder.steps, encoder.channels + encoder.ragged), np.float32)
    raw = writer.mapped(part, "raw_series", (len(rows), longest, encoder.channels), np.float32)
    for start in range(0, len(rows), _BLOCK):
        chosen = [data.values[r] for r in rows[start : start + _BLOCK]]
        out[start : start + len(chosen)] = encoder.encode(chosen)["series"]
        raw[start : start + len(chosen)] = padded(chosen, longest)
    for array in (out, raw):
        array.flush()  # type: ignore[attr-defined]


def padded(values: list[NDArray[np.float32]], length: int) -> NDArray[np.float32]:
    """[series, length, channels] with NaN behind the end of each."""
    out = np.full((len(values), length, values[0].shape[1]), np.nan, np.float32)
    for row, one in enumerate(values):
        out[row, : len(one)] = one
    return out


def _profile(task: str, encoder: SeriesEncoder, data: Series, assignment: Assignment) -> Profile:
    y = assignment.y["train"]
    counts = np.bincount(y, minlength=len(assignment.classes))
    train = [data.values[r] for r in assignment.rows["train"]]
    cells = sum(v.size for v in train)
    return Profile(
        modality=Modality.SERIES, task=task, rows=len(y), classes=len(assignment.classes), class_min=int(counts.min()),
        imbalance=float(counts.max() / counts.min()), length=encoder.steps, channels=encoder.channels,
        missing_fraction=float(sum(int(np.isnan(v).sum()) for v in train) / max(1, cells)), outputs=len(assignment.classes),
        ragged=encoder.ragged, sample_bytes=4 * encoder.steps * (encoder.channels + encoder.ragged),
    )
