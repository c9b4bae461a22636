"""Prepares pictures: one size and mode for all, decoded once, damaged ones left out, split, written as uint8."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from automl.catalog.entries import Task
from automl.data import checks, drift, encoder, inspection, label_noise, pictures, split, table_preparation, targets
from automl.data.pictures import Pictures, Size
from automl.data.prepared import PreparedMeta, Writer
from automl.data.table import TextColumn
from automl.data.targets import Assignment
from automl.spec.dataset import Finding, Modality, Profile, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.job import DataSettings, JobSpec
from automl.spec.model import Json

_BLOCK = 2048


def prepare(spec: JobSpec, task: Task, data: Pictures, test: Pictures | None, writer: Writer, key: str) -> PreparedMeta:
    """Writes everything but `meta.json` and returns its content. Raises `InvalidData` with every violation."""
    settings = spec.data
    target = settings.target or "label"
    labels = _labels(data, target)
    test_labels = None if test is None else _labels(test, target)
    _check_settings(settings, data, labels, test_labels, test)
    sizes, bad = data.sizes()
    findings = [*data.findings]
    if len(bad) == len(data):
        pictures.unreadable(data, bad)
    sound = np.array([i for i in range(len(data)) if i not in bad], np.int64)
    size = pictures.common_size(sizes[sound])
    findings += inspection.mixed_sizes(data, sizes[sound])
    decoded, bad = _decode(data, size, bad, writer, "all")
    findings += pictures.unreadable(data, bad)
    grey = size[2] == 3 and _all_grey(decoded, bad)
    if grey:
        findings.append(Finding(
            check="picture-modes", severity=Severity.INFO,
            message="The pictures are stored in colour, but all are grey: one channel is kept.",
        ))
        size = (size[0], size[1], 1)
    test_decoded: NDArray[np.uint8] | None = None
    test_bad: dict[int, str] = {}
    if test is not None:
        # Headers are read by decoding anyway: what has no readable one is reported all the same.
        test_decoded, test_bad = _decode(test, size, {}, writer, "all-test")
        findings += [*test.findings, *pictures.unreadable(test, test_bad)]
    assignment = targets.assign(
        labels, filename=data.filename, kind=task.kind, usable=_usable(len(data), bad), parts=_parts(settings, data, test),
        groups=_groups(settings, data, decoded, bad), test_target=test_labels,
        test_usable=None if test is None else _usable(len(test), test_bad), test_fraction=settings.test_fraction,
        seed=spec.search.seed, times=table_preparation.times_of(settings, data.columns, data.filename),
    )
    findings += assignment.findings
    held = decoded if test_decoded is None else test_decoded
    findings += _duplicates(decoded, held, assignment)
    if assignment.classes:
        counts = sum(np.bincount(assignment.y[p], minlength=len(assignment.classes)) for p in split.NAMES)
        findings += checks.class_balance(assignment.classes, np.asarray(counts))
    findings += _suspicions(decoded, held, assignment, target, size)
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    _copy(decoded, own, size, writer, "")
    _copy(held, assignment.rows["test"], size, writer, "test")
    writer.array("", "target", np.concatenate([assignment.y["train"], assignment.y["validation"]]))
    writer.array("", "rows", own)
    writer.array("test", "target", assignment.y["test"])
    writer.array("test", "rows", assignment.rows["test"])
    del decoded, held, test_decoded
    for name in ("all", "all-test"):
        (writer.folder / f"{name}.npy").unlink(missing_ok=True)
    y = assignment.y["train"]
    statistics = {} if assignment.classes else {
        "target_mean": float(y.mean(dtype=np.float64)), "target_std": float(y.std(dtype=np.float64)) or 1.0,
        "target_min": float(y.min()), "target_max": float(y.max()),
    }
    return PreparedMeta(
        task=task.id, kind="classification" if assignment.classes else "regression", modality=Modality.IMAGE, target=target,
        classes=assignment.classes, parts={p: len(assignment.rows[p]) for p in split.NAMES},
        profile=_profile(task.id, size, assignment), key=key, findings=tuple(inspection.in_order(findings)),
        preprocess=_document(task, target, size, assignment, spec.metric), **statistics,
    )


def _labels(data: Pictures, target: str) -> TextColumn:
    if target in data.columns:
        return data.columns[target]
    if data.labels is None or target != "label":
        there = ", ".join(map(repr, data.columns)) or "'label'"
        raise InvalidData.at(
            "data.target", f"{data.filename} has no labels {target!r}; there are {there}", reason="COLUMN_MISSING"
        )
    return inspection.label_column(data.labels)


def _check_settings(
    settings: DataSettings, data: Pictures, labels: TextColumn, test_labels: TextColumn | None, test: Pictures | None
) -> None:
    faults = [
        Violation(field=field, message=f"no column {name!r}; there are: {', '.join(data.columns) or 'none but the label'}",
                  reason="COLUMN_MISSING")
        for field, name in (("data.split_column", settings.split_column), ("data.group_column", settings.group_column),
                            ("data.time_column", settings.time_column))
        if name is not None and name not in data.columns
    ]
    faults += table_preparation.time_and_group(settings)
    if settings.split_column is not None and test is not None:
        faults.append(Violation(field="data.split_column", reason="CONTRADICTION",
                                message="separate test data and a split column exclude each other"))
    if labels.rows_missing.all():
        faults.append(Violation(field=data.filename, message=f"no picture has a {labels.name!r}", reason="TARGET_EMPTY"))
    if test is not None and test_labels is not None and test_labels.rows_missing.all():
        faults.append(Violation(
            field=test.filename, message=f"no test picture has a {labels.name!r}", reason="TARGET_EMPTY"
        ))
    if faults:
        raise InvalidData(faults)


def _decode(
    data: Pictures, size: Size, bad: dict[int, str], writer: Writer, name: str
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """All pictures in source order, uint8 [n, h, w, ch], and why some could not be decoded (those stay black)."""
    if isinstance(data, pictures.ArrayPictures):
        images = data.images if data.images.ndim == 4 else data.images[..., None]
        if images.shape[1:] == size:
            return images, bad
    out = writer.mapped("", name, (len(data), *size), np.uint8)
    sound = np.array([i for i in range(len(data)) if i not in bad], np.int64)
    bad = dict(bad)
    if len(sound) == len(data):
        bad.update(data.decode(sound, size, out))
        return out, bad
    for start in range(0, len(sound), _BLOCK):
        rows = sound[start : start + _BLOCK]
        block = np.zeros((len(rows), *size), np.uint8)
        bad.update(data.decode(rows, size, block))
        out[rows] = block
    return out, bad


def _all_grey(images: NDArray[np.uint8], bad: dict[int, str]) -> bool:
    """Whether every colour picture has equal channels. Stops at the first block that has not."""
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        if (block[..., 0] != block[..., 1]).any() or (block[..., 0] != block[..., 2]).any():
            return False
    return len(bad) < len(images)


def _usable(n: int, bad: dict[int, str]) -> NDArray[np.bool_]:
    usable = np.ones(n, bool)
    usable[list(bad)] = False
    return usable


def _parts(settings: DataSettings, data: Pictures, test: Pictures | None) -> NDArray[np.int8]:
    """The part that each picture's folder, file or split column names, -1 without one."""
    if settings.split_column is not None:
        return table_preparation.parts_of(data.columns[settings.split_column], data.filename)
    places = {"": -1, **{name: i for i, name in enumerate(split.NAMES)}}
    parts = np.array([places[p] for p in data.parts], np.int8)
    if test is not None:
        # With separate test data the data's own test part is more to learn from.
        parts[parts == split.TEST] = split.TRAIN
    return parts


def _groups(
    settings: DataSettings, data: Pictures, images: NDArray[np.uint8], bad: dict[int, str]
) -> NDArray[np.int64] | None:
    """Numbers of the pictures that must stay together: by the group column, else identical ones; none where time divides."""
    if settings.time_column is not None:
        return None
    if settings.group_column is not None:
        column = data.columns[settings.group_column]
        return np.where(column.rows_missing, np.arange(len(data)) + len(column.values), column.codes).astype(np.int64)
    _, groups = np.unique(_hashes(images), return_inverse=True)
    if groups.max(initial=-1) + 1 == len(data):
        return None
    return groups.astype(np.int64)


def _hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A 64-bit number for each picture, equal for identical ones."""
    flat = images.reshape(len(images), -1)
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in flat)
    return np.frombuffer(digests, np.uint64)


def _duplicates(images: NDArray[np.uint8], held: NDArray[np.uint8], assignment: Assignment) -> list[Finding]:
    own = np.concatenate([assignment.rows["train"], assignment.rows["validation"]])
    y = np.concatenate([assignment.y["train"], assignment.y["validation"]])
    hashes = _hashes(images)
    theirs = hashes if held is images else _hashes(held)
    found = []
    _, first, places = np.unique(hashes[own], return_index=True, return_inverse=True)
    repeated = len(own) - len(first)
    if repeated:
        differing = len(np.unique(np.stack([places, np.unique(y, return_inverse=True)[1]]), axis=1).T) - len(first)
        again = np.ones(len(own), bool)
        again[first] = False
        message = f"{repeated:,} of {len(own):,} pictures ({repeated / len(own):.1%}) repeat another one."
        if differing:
            message += f" {differing:,} of them have another label than their twin."
        found.append(Finding(
            check="duplicate-rows", severity=Severity.WARNING if repeated > 0.01 * len(own) or differing else Severity.INFO,
            message=message, rows=tuple(int(r) + 1 for r in np.sort(own[again])[:20]),
        ))
    test_rows = np.sort(assignment.rows["test"])
    overlaps = checks.overlap(hashes[own], theirs[test_rows], "pictures")
    return found + [f.changed(rows=tuple(int(test_rows[r - 1]) + 1 for r in f.rows)) for f in overlaps]


def _suspicions(
    images: NDArray[np.uint8], held: NDArray[np.uint8], assignment: Assignment, target: str, size: Size
) -> list[Finding]:
    """Labels that look wrong, and light, contrast or colour that differ between the parts."""

    def some(part: str, most: int) -> NDArray[np.uint8]:
        return (held if part == "test" else images)[np.sort(assignment.rows[part][:most])][..., : size[2]]

    found = []
    if assignment.classes:
        order = np.argsort(assignment.rows["train"][: label_noise.ROWS], kind="stable")
        found += label_noise.found(
            label_noise.small(some("train", label_noise.ROWS)), assignment.y["train"][order],
            assignment.rows["train"][order], assignment.classes, "pictures",
        )
    names = ["brightness", "contrast"] + [f"share of channel {c + 1}" for c in range(size[2]) if size[2] > 1]
    parts = {
        name: drift.Part(
            _light(some(name, drift.ROWS // 2)), np.zeros((min(len(assignment.y[name]), drift.ROWS // 2), 0), np.int32),
            assignment.y[name][: drift.ROWS // 2].astype(np.float64),
        )
        for name in split.NAMES
    }
    return found + drift.found(parts, numeric=names, categorical=(), target=target, classes=assignment.classes)


def _light(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of each picture the mean, the deviation, and with colours each channel's share of the mean; [n, 2] or [n, 2 + ch]."""
    flat = images.reshape(len(images), -1, images.shape[-1])
    channels = flat.mean(axis=1, dtype=np.float32)
    deviation = np.array([picture.std(dtype=np.float32) for picture in flat], np.float32)
    columns = [channels.mean(axis=1), deviation]
    if images.shape[-1] > 1:
        columns += list((channels / np.maximum(channels.sum(axis=1, keepdims=True), 1e-6)).T)
    return np.stack(columns, axis=1).astype(np.float32)


def _copy(images: NDArray[np.uint8], rows: NDArray[np.int64], size: Size, writer: Writer, part: Literal["", "test"]) -> None:
    """Writes the chosen pictures in the given order, in blocks, so that no second copy of all lies in memory."""
    out = writer.mapped(part, "image", (len(rows), *size), np.uint8)
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        out[start : start + len(chosen)] = images[chosen][..., : size[2]]
    out.flush()  # type: ignore[attr-defined]


def _profile(task: str, size: Size, assignment: Assignment) -> Profile:
    y = assignment.y["train"]
    counts: NDArray[Any] = np.bincount(y, minlength=len(assignment.classes)) if assignment.classes else np.zeros(0, np.int64)
    return Profile(
        modality=Modality.IMAGE, task=task, rows=len(y), classes=len(assignment.classes),
        class_min=int(counts.min()) if len(counts) else 0,
        imbalance=float(counts.max() / counts.min()) if len(counts) else 1.0,
        image_shape=size, outputs=len(assignment.classes) or 1, sample_bytes=size[0] * size[1] * size[2],
    )


def _document(task: Task, target: str, size: Size, assignment: Assignment, metric: str | None) -> dict[str, Json]:
    return {
        "version": encoder.VERSION, "modality": "image", "task": task.id, "kind": task.kind, "target": target,
        "classes": list(assignment.classes), "metric": metric or task.default_metric(len(assignment.classes)),
        "output": "probabilities" if task.kind == "classification" else "numbers",
        "height": size[0], "width": size[1], "channels": size[2], "resize": "bilinear", "inputs": {"image": list(size)},
    }
