"""What the examples of TFRecord files hold: pictures with labels, or rows of a table.

Where one feature holds encoded pictures (`image/encoded`, or the only feature of such bytes), each example is a picture and
its features of one value are columns, the label among them. Else each example is a row: a feature of one value is a column
of its name, one of k values the columns `name_0` … `name_{k-1}`. A feature that an example lacks, or that is empty, is a
missing cell. Bytes are UTF-8 text, floats are written as float32 needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa

from automl.data import encoder, tfrecords
from automl.data.limits import LIMITS, Limits
from automl.data.picture_files import LABEL_NAMES
from automl.data.pictures import FilePictures, is_picture
from automl.data.source import Container, Entry
from automl.data.table import Table, TextColumn, column_names
from automl.data.tfrecords import Example, Feature
from automl.spec.dataset import Finding, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.sizes import PARTS

FORMAT = "tfrecord"
_PICTURES = ("image/encoded", "image", "image_raw", "encoded", "img", "picture")
"""Names that the feature of encoded pictures goes by, the likeliest first."""
_CLASSES = ("image/class/text", "image/class/label", "class/text", "class/label")
_LOOKED_AT = 20


def read(
    files: Sequence[tuple[str, bytes]], filename: str, target: str | None = None, limits: Limits = LIMITS
) -> Table | FilePictures:
    """The examples of one file, or of shards in their order. Raises `InvalidData` naming every damaged or odd record."""
    records = _Records(filename)
    faults: list[Violation] = []
    for name, content in files:
        try:
            records.add(name, tfrecords.read(content, name, limits))
        except InvalidData as fault:
            faults += fault.violations
    if faults:
        raise InvalidData(faults[: limits.listed])
    if not records.examples:
        raise InvalidData.at(filename, "has no records.", "Give at least a few dozen examples.", "NO_ROWS")
    picture = _picture_feature(records, limits)
    return _table(records, limits) if picture is None else _pictures(records, picture, target, limits)


class _Records(Container):
    """The examples with their places, and as the container of the pictures in them."""

    def __init__(self, filename: str):
        self.filename = filename
        self.examples: list[Example] = []
        self.names: list[str] = []
        self.parts: list[str] = []
        self.entries: tuple[Entry, ...] = ()
        self.ignored = 0
        self.picture = ""

    def add(self, name: str, examples: Sequence[Example]) -> None:
        """Those of one file."""
        self.examples += examples
        self.names += [f"{name}, record {i}" for i in range(1, len(examples) + 1)]
        self.parts += [_part(name)] * len(examples)

    def features(self) -> dict[str, list[Feature | None]]:
        """Of each example the feature of each name, in the order of first appearance."""
        names = dict.fromkeys(name for example in self.examples for name in sorted(example))
        return {name: [example.get(name) for example in self.examples] for name in names}

    def read(self, entry: Entry, limit: int) -> bytes:
        feature = self.examples[entry.place].get(self.picture)
        if feature is None or feature.kind != "bytes" or len(feature.values) != 1:
            raise InvalidData.at(entry.name, f"has no feature {self.picture!r} of one value of bytes", reason="NO_PICTURE")
        return cast(bytes, feature.values[0])

    def close(self) -> None:
        """Nothing is held open."""


def _part(name: str) -> str:
    """The part that a shard's name tells ("train-00000-of-00004.tfrecord"), "" for none."""
    told = {PARTS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in PARTS}
    return told.pop() if len(told) == 1 else ""


# --- pictures ----------------------------------------------------------------------------------


def _picture_feature(records: _Records, limits: Limits) -> str | None:
    """The feature that holds pictures, None where there is none. Raises `InvalidData` when several might."""
    found = []
    for name, features in records.features().items():
        values = [f.values[0] for f in features[:_LOOKED_AT] if f is not None and f.kind == "bytes" and len(f.values) == 1]
        if values and 2 * sum(is_picture(cast(bytes, value), limits) for value in values) > len(values):
            found.append(name)
    known = [name for name in _PICTURES if name in found]
    if len(found) > 1 and not known:
        raise InvalidData.at(
            records.filename, f"pictures stand in several features: {', '.join(map(repr, found[:20]))}.",
            f"Call the one to learn from {_PICTURES[0]!r}.", "SEVERAL_PICTURES",
        )
    return known[0] if known else found[0] if found else None


def _pictures(records: _Records, picture: str, target: str | None, limits: Limits) -> FilePictures:
    if len(records.examples) > limits.pictures:
        raise InvalidData.at(
            records.filename, f"{len(records.examples):,} pictures; at most {limits.pictures:,} are taken",
            reason="TOO_LARGE",
        )
    columns: dict[str, TextColumn] = {}
    left_out = []
    for name, features in records.features().items():
        if name == picture:
            continue
        if any(f is not None and len(f.values) != 1 for f in features):
            left_out.append(name)
            continue
        try:
            cells = [None if f is None else _text(f, 0) for f in features]
        except UnicodeDecodeError:
            left_out.append(name)
            continue
        columns[name] = TextColumn.of(name, pa.array(cells, pa.string()))
    named = [n for n in (*LABEL_NAMES, *_CLASSES) if n in columns]
    label = target if target in columns else named[0] if named else next(iter(columns)) if len(columns) == 1 else None
    if label is None:
        raise InvalidData.at(
            records.filename, f"which feature is the label? There are {', '.join(map(repr, list(columns)[:20])) or 'none'}.",
            "Call it `label`, or name the target.", "NO_LABELS",
        )
    column = columns[label]
    columns.setdefault("label", TextColumn("label", column.values, column.codes))
    findings = [] if not left_out else [Finding(
        check="ignored-columns", severity=Severity.INFO, columns=tuple(left_out[:50]),
        message=f"{len(left_out)} features that aren't one value of text or number are left out: "
                f"{', '.join(map(repr, left_out[:5]))}{' …' if len(left_out) > 5 else ''}.",
    )]
    records.picture = picture
    records.entries = tuple(Entry(name, i) for i, name in enumerate(records.names))
    labels = ["" if column.absent[c] else column.texts[c] for c in column.codes.tolist()]
    return FilePictures(
        records.filename, FORMAT, records, list(records.entries), labels, records.parts, columns, tuple(findings), limits
    )


# --- tables ------------------------------------------------------------------------------------


def _table(records: _Records, limits: Limits) -> Table:
    if len(set(records.parts)) > 1:
        told = ", ".join(sorted(part or "no part" for part in set(records.parts)))
        raise InvalidData.at(
            records.filename, f"holds shards of several parts ({told}).",
            "Give those to learn from as the data, and those of the test as the separate test data.", "SEVERAL_TABLES",
        )
    cells: dict[str, list[str | None]] = {}
    faults: list[Violation] = []
    for name, features in records.features().items():
        faults += _odd(records, name, features)
        first = next(f for f in features if f is not None)
        if not faults:
            for k in range(len(first.values)):
                column = name if len(first.values) == 1 else f"{name}_{k}"
                cells[column] = [None if f is None else _text(f, k) for f in features]
        if len(cells) > limits.table_columns or len(cells) * len(records.examples) > limits.table_cells:
            raise InvalidData.at(records.filename, f"more than {limits.table_columns:,} columns", reason="TOO_LARGE")
    if faults:
        raise InvalidData(faults[: limits.listed])
    names = column_names(list(cells), records.filename, limits)
    columns = {name: TextColumn.of(name, pa.array(values, pa.string())) for name, values in zip(names, cells.values())}
    return Table(records.filename, FORMAT, columns, len(records.examples), True)


def _odd(records: _Records, name: str, features: Sequence[Feature | None]) -> list[Violation]:
    """The records whose feature of that name is of another kind or number than in the record that has it first."""
    first = next(f for f in features if f is not None)
    found = []
    for place, feature in zip(records.names, features):
        if feature is None:
            continue
        if (feature.kind, len(feature.values)) != (first.kind, len(first.values)):
            why = f"expected {_told(first)}, as in the first record that has it, got {_told(feature)}"
        elif not _readable(feature):
            why = "expected text in UTF-8, got other bytes, which are no picture either"
        else:
            continue
        found.append(Violation(field=f"{place}, feature {name!r}", message=why, reason="FEATURE_DIFFERS"))
    return found


def _told(feature: Feature) -> str:
    return f"{len(feature.values)} {'value' if len(feature.values) == 1 else 'values'} of {feature.kind}"


def _readable(feature: Feature) -> bool:
    if feature.kind != "bytes":
        return True
    try:
        for k in range(len(feature.values)):
            _text(feature, k)
    except UnicodeDecodeError:
        return False
    return True


def _text(feature: Feature, k: int) -> str:
    """The k-th value as a CSV's cell would hold it. Raises `UnicodeDecodeError`."""
    value = feature.values[k]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    # A float came as float32: 0.1 is told as 0.1, not as the double next to it.
    return encoder.text_of(value if isinstance(value, int) else float(str(np.float32(value))))
