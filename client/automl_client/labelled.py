"""Rows with their labels, for `automl verify`: the label of each row that a model's form reads from a file, in its order.

    tables, texts, series in tables   the target's column
    `.ts` files                       the last field of each line
    folders and zips                  the folder that a file lies in
    `.npz`                            the array y (or labels), else that of the test part
    idx                               the file of labels beside that of pictures
    CSV of paths                      the column "label", or --target
"""

from __future__ import annotations

import csv
import gzip
import posixpath
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors, forms, series, tables, texts

LISTED = 5


@dataclass(frozen=True)
class Labelled:
    """Encoded rows that have a label which the model can give."""

    inputs: encoder.Inputs
    y: NDArray[Any]
    """int64 [n] class indices, or float64 [n]."""
    places: NDArray[np.int64]
    """Where each stands among all rows of the file."""
    unlabelled: int
    """Rows that were left out because they have no label, or for numbers none that is a number."""
    strange: Mapping[str, int]
    """Labels that the model doesn't know, with their rows, which were left out."""


def read(path: Path, document: Mapping[str, Any], *, target: str = "", has_header: bool | None = None) -> Labelled:
    """Every labelled row of a file. `document` is the artifact's preprocess.json, `target` the labels' column (default: the
    document's). Raises `InvalidData` naming file, row and column for faults, and when no row has a label that is known."""
    form = forms.of(document)
    names: list[str] = []
    parts: list[encoder.Inputs] = []
    for called, inputs in form.blocks(path, has_header):
        names += called
        parts.append(inputs)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(next(iter(joined.values())))
    labels = labels_of(path, document, names, form.columns, target=target, has_header=has_header)
    if len(labels) != count:
        raise errors.InvalidData.at(str(path), f"has {count:,} rows and {len(labels):,} labels.", "LABELS_DO_NOT_FIT")
    classes = [str(name) for name in document.get("classes") or ()]
    missing = frozenset(document.get("missing") or ("",))
    kept, y, strange = _indices(labels, classes, missing) if classes else _numbers(labels, missing)
    if not kept.any():
        shown = ", ".join(repr(label) for label in list(strange)[:LISTED])
        why = f"it has {shown}" if strange else "the rows have none"
        known = ", ".join(map(repr, classes[:LISTED])) + (", …" if len(classes) > LISTED else "")
        raise errors.InvalidData.at(
            str(path), f"no row has a label of this model ({known or 'a number'}): {why}. Is it the right target?",
            "LABELS_UNKNOWN",
        )
    gone = int((~kept).sum()) - sum(strange.values())
    return Labelled({name: value[kept] for name, value in joined.items()}, y[kept], np.flatnonzero(kept), gone, strange)


def labels_of(
    path: Path, document: Mapping[str, Any], names: Sequence[str], columns: Sequence[str], *, target: str = "",
    has_header: bool | None = None,
) -> list[str]:
    """The label of each row as text; `names` is what the rows are called, where they have names, `columns` what the model
    takes of a table."""
    modality = str(document["modality"])
    column = target or str(document.get("target") or "")
    if modality == "image":
        return _of_pictures(path, names, target)
    if modality == "text" and texts.are_files(path):
        return [_folder_of(name) for name in names]
    if modality == "series" and (series.is_ts(path) or document["source"]["form"] == "ts"):
        return series.ts_labels(path)
    if not column:
        raise errors.InvalidData.at(str(path), "which column holds the labels isn't known: name it with --target.")
    if modality == "series" and document["source"]["form"] == "long":
        return _of_long(path, str(document["source"]["series"]), column, has_header)
    found: list[str] = []
    needed = dict.fromkeys((*columns, column))
    for block in tables.blocks(path, list(needed), has_header):
        found += block[column]
    return found


def _of_long(path: Path, group: str, column: str, has_header: bool | None) -> list[str]:
    """One label for each series, by first appearance."""
    found: dict[str, str] = {}
    row = 0
    for block in tables.blocks(path, [group, column], has_header):
        for name, label in zip(map(encoder.text_of, block[group]), block[column], strict=True):
            row += 1
            if found.setdefault(name, label) != label:
                raise errors.InvalidData.at(
                    f"{path}, row {row}, column {column!r}",
                    f"the series {name!r} has two labels: {found[name]!r} and {label!r}.",
                )
    return list(found.values())


# --- pictures -------------------------------------------------------------------------------------------------------------


def _of_pictures(path: Path, names: Sequence[str], column: str) -> list[str]:
    lower = path.name.lower()
    if path.is_dir() or (zipfile.is_zipfile(path) and not lower.endswith(".npz")):
        return [_folder_of(name) for name in names]
    if lower.endswith(".npz"):
        return _of_npz(path)
    if "idx" in lower or "ubyte" in lower:
        return _of_idx(path)
    if lower.endswith((".csv", ".tsv")):
        return _of_manifest(path, names, column or "label")
    raise errors.InvalidData.at(str(path), "a single picture has no label: give a folder with one folder for each class.")


def _folder_of(name: str) -> str:
    return posixpath.basename(posixpath.dirname(name))


def _of_npz(path: Path) -> list[str]:
    with np.load(path, allow_pickle=False) as arrays:
        there = {name.lower(): name for name in arrays.files}
        wanted = [f"{stem}{part}" for part in ("", "_test") for stem in ("y", "labels", "label", "targets", "target")]
        name = next((there[one] for one in wanted if one in there), None)
        if name is None:
            raise errors.InvalidData.at(
                str(path), f"expected an array y (or y_test) of labels; there are {', '.join(arrays.files)}.",
                "LABELS_MISSING",
            )
        array = np.asarray(arrays[name])
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    return [encoder.text_of(value) for value in array.reshape(-1).tolist()]


def _of_idx(path: Path) -> list[str]:
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside == path or not beside.is_file():
        raise errors.InvalidData.at(str(path), f"the labels were looked for in {beside.name}, which is not there.")
    data = beside.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if data[:4] != b"\0\0\x08\x01" or len(data) < 8 or struct.unpack(">I", data[4:8])[0] != len(data) - 8:
        raise errors.InvalidData.at(str(beside), "is no IDX file of labels in bytes.", "UNREADABLE")
    return [str(label) for label in data[8:]]


def _of_manifest(path: Path, names: Sequence[str], column: str) -> list[str]:
    """The labels' column of a CSV of paths; in one without a header the column beside that of the paths."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",") if row]
    header = [cell.strip() for cell in rows[0]]
    body = rows[1:] if len(rows) == len(names) + 1 else rows
    if column in header and body is not rows:
        place = header.index(column)
    elif len(header) == 2:
        place = 1 if names and rows[-1][0].strip() == names[-1] else 0
    else:
        raise errors.InvalidData.at(str(path), f"has no column {column!r}: name that of the labels with --target.")
    return [row[place].strip() if place < len(row) else "" for row in body]


# --- labels as the model has them -----------------------------------------------------------------------------------------

Found = tuple[NDArray[np.bool_], NDArray[Any], dict[str, int]]
"""Which rows can be used, their targets, and the labels that aren't known with their rows."""


def _indices(labels: Sequence[str], classes: Sequence[str], missing: frozenset[str]) -> Found:
    place = {name: index for index, name in enumerate(classes)}
    distinct = {label: label.strip(encoder.BLANKS) for label in set(labels)}
    strange = [text for text in distinct.values() if text not in place and text not in missing]
    meant = _matched(strange, classes)
    code = {label: place.get(meant.get(text, text), -2 if text in missing else -1) for label, text in distinct.items()}
    y = np.array([code[label] for label in labels], np.int64)
    unknown: dict[str, int] = {}
    for label, value in zip(labels, y.tolist(), strict=True):
        if value == -1:
            unknown[distinct[label]] = unknown.get(distinct[label], 0) + 1
    return y >= 0, y, unknown


def _matched(strange: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """What training takes for the same label: one with or without a final dot, the same number, another case; where exactly
    one fits."""
    found: dict[str, str] = {}
    ways: tuple[Callable[[str], str], ...] = (lambda label: label.removesuffix("."), _as_number, str.casefold)
    for normal in ways:
        table: dict[str, list[str]] = {}
        for label in known:
            table.setdefault(normal(label), []).append(label)
        for label in strange:
            fits = table.get(normal(label), [])
            if label not in found and len(fits) == 1:
                found[label] = fits[0]
    return found


def _as_number(label: str) -> str:
    number = encoder.number_of(label, frozenset())
    return repr(number) if number == number else label


def _numbers(labels: Sequence[str], missing: frozenset[str]) -> Found:
    y = np.array([encoder.number_of(encoder.text_of(label), missing) for label in labels], np.float64)
    return ~np.isnan(y), y, {}
