"""The inspection of a data set before any target is chosen: form, columns or pictures, and what the checks find."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from automl.data import checks, pictures, readers, schema, series, text_files
from automl.data.limits import LIMITS, Limits
from automl.data.pictures import FilePictures, Pictures
from automl.data.series import Series
from automl.data.source import Source
from automl.data.table import Table, TextColumn
from automl.spec.dataset import ColumnInfo, ColumnKind, DatasetInfo, Finding, Modality, Severity

_DECODED = 2_000
"""Pictures that are decoded whole in an inspection; of the others only the headers are read, and `prepare` decodes them."""


def inspect(source: Source, limits: Limits = LIMITS) -> DatasetInfo:
    """What the data set holds. Raises `InvalidData` with every fault that makes it unusable."""
    data = readers.read(source, limits=limits)
    try:
        if isinstance(data, Table):
            return _table(data)
        return _series(data) if isinstance(data, Series) else _pictures(data, limits)
    finally:
        if isinstance(data, FilePictures):
            data.container.close()


def _table(table: Table) -> DatasetInfo:
    columns = schema.infer(table)
    compared = [c.text for c in columns.values() if c.kind not in (ColumnKind.ID, ColumnKind.CONSTANT)]
    findings = [*table.findings, *checks.columns_alone(columns, table.rows)]
    if table.rows >= 2:
        findings += checks.duplicate_rows(compared, table.rows)
    return DatasetInfo(
        modality=Modality.TABLE, format=table.format, rows=table.rows, has_header=table.has_header,
        columns=tuple(c.info(_values_told(len(columns))) for c in columns.values()), findings=tuple(in_order(findings)),
        parts=text_files.parts_of(table),
    )


def _values_told(columns: int) -> int:
    """Frequent values to list for each column: an inspection is stored and sent, so wide tables are told more briefly."""
    return 50 if columns <= 100 else 10 if columns <= 1_000 else 3


def _pictures(data: Pictures, limits: Limits) -> DatasetInfo:
    sizes, bad = data.sizes()
    sound = np.array([i for i in range(len(data)) if i not in bad], np.int64)
    if isinstance(data, FilePictures) and len(sound):
        probe = sound[np.unique(np.linspace(0, len(sound) - 1, min(_DECODED, len(sound))).astype(np.int64))]
        bad.update(data.decode(probe, (1, 1, 3), np.zeros((len(probe), 1, 1, 3), np.uint8)))
    findings = [*data.findings, *pictures.unreadable(data, bad, limits)]
    sound = np.array([i for i in range(len(data)) if i not in bad], np.int64)
    findings += mixed_sizes(data, sizes[sound])
    names, counts = np.unique([part for part in data.parts if part] or [""], return_counts=True)
    present = {str(n): int(c) for n, c in zip(names, counts) if n}
    return DatasetInfo(
        modality=Modality.IMAGE, format=data.format, rows=len(data), columns=_label_columns(data),
        image_shape=_most_frequent(sizes[sound]),
        parts=tuple((part, present[part]) for part in ("train", "validation", "test") if part in present),
        findings=tuple(in_order(findings)),
    )


def _series(data: Series) -> DatasetInfo:
    labels = () if data.labels is None else (schema.Column(data.labels, ColumnKind.CATEGORICAL).info(),)
    return DatasetInfo(
        modality=Modality.SERIES, format=data.format, rows=len(data),
        series_shape=(int(data.lengths.max(initial=0)), len(data.channels)),
        columns=tuple(c if c.distinct > 1 else c.changed(kind=ColumnKind.CONSTANT) for c in labels),
        findings=tuple(in_order([*data.findings, *series.shape_findings(data)])),
    )


def _label_columns(data: Pictures) -> tuple[ColumnInfo, ...]:
    columns = {name: schema.Column(text, ColumnKind.CATEGORICAL) for name, text in data.columns.items()}
    if "label" not in columns and data.labels is not None:
        columns["label"] = schema.Column(label_column(data.labels), ColumnKind.CATEGORICAL)
    # The label comes first, whatever the manifest's order.
    order = sorted(columns, key=lambda name: name != "label")
    infos = [columns[name].info() for name in order]
    return tuple(info if info.distinct > 1 else info.changed(kind=ColumnKind.CONSTANT) for info in infos)


def label_column(labels: list[str]) -> TextColumn:
    """Labels of pictures as a table's column."""
    return TextColumn.of("label", pa.array(labels, pa.string()))


def _most_frequent(sizes: NDArray[np.int64]) -> tuple[int, int, int]:
    shapes, counts = np.unique(sizes, axis=0, return_counts=True)
    h, w, ch = (int(v) for v in shapes[int(counts.argmax())])
    return h, w, ch


def mixed_sizes(data: Pictures, sizes: NDArray[np.int64]) -> list[Finding]:
    """Findings for pictures of several sizes, and of grey and colour together."""
    found = []
    h, w, _ = pictures.common_size(sizes)
    shapes = np.unique(sizes[:, :2], axis=0)
    if len(shapes) > 1 or (h, w) != tuple(shapes[0].tolist()):
        low, high = sizes[:, :2].min(axis=0).tolist(), sizes[:, :2].max(axis=0).tolist()
        told = f"{len(shapes):,} sizes from {low[0]} × {low[1]} to {high[0]} × {high[1]}" if len(shapes) > 1 else \
            f"{low[0]} × {low[1]} pixels"
        found.append(Finding(
            check="picture-sizes", severity=Severity.INFO,
            message=f"Pictures of {told} (height × width): all are resized to {h} × {w}.",
        ))
    grey = int((sizes[:, 2] == 1).sum())
    if 0 < grey < len(sizes):
        found.append(Finding(
            check="picture-modes", severity=Severity.INFO,
            message=f"{grey:,} of {len(sizes):,} pictures are grey, the others in colour: all are read in colour.",
        ))
    return found


def in_order(findings: list[Finding]) -> list[Finding]:
    """Warnings first."""
    return sorted(findings, key=lambda f: f.severity != Severity.WARNING)
