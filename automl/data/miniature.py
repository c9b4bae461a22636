"""A prepared data set with a few rows of each part: what has to be kept of the data so that a model can be converted and
verified again when the data set itself is gone."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data.prepared import INPUTS, PreparedDataset, Writer

PART_BYTES = 8 * 2**20
"""Of a part's inputs, at most."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """How many rows of each part are kept, at most. Parts are shuffled, so the first rows are a fair sample."""

    train: int
    validation: int
    test: int


def write(prepared: PreparedDataset, out: pathlib.Path, rows: Rows) -> PreparedDataset:
    """Writes the first rows of each part into the folder `out`, raw rows included, and opens it. Texts that no kept row has
    stay behind. `out` must not exist."""
    (out / "test").mkdir(parents=True)
    counts = {
        part: min(wanted, prepared.count(part), _affordable(prepared, part))
        for part, wanted in dataclasses.asdict(rows).items()
    }
    writer = Writer(out)
    for name, array in _joined(prepared, counts).items():
        writer.array("", name, array)
    test = prepared.inputs("test")
    for name, value in {**test, "target": prepared.target("test"), "rows": _rows(prepared, "test")}.items():
        if value is not None:
            writer.array("test", name, value[: counts["test"]])
    _raw(prepared, writer, counts)
    writer.meta(prepared.meta.model_copy(update={"parts": counts}))
    return PreparedDataset.open(out)


def _affordable(prepared: PreparedDataset, part: str) -> int:
    row = sum(value[:1].nbytes for value in prepared.inputs(part).values())
    return max(1, PART_BYTES // max(1, row))


def _joined(prepared: PreparedDataset, counts: dict[str, int]) -> dict[str, NDArray[Any]]:
    """Inputs, targets and places of the train rows, then of the validation rows."""
    made: dict[str, NDArray[Any]] = {}
    train, validation = prepared.inputs("train"), prepared.inputs("validation")
    for name in (name for name in INPUTS if name in train):
        made[name] = np.concatenate([train[name][: counts["train"]], validation[name][: counts["validation"]]])
    made["target"] = np.concatenate(
        [prepared.target("train")[: counts["train"]], prepared.target("validation")[: counts["validation"]]]
    )
    places = [_rows(prepared, part) for part in ("train", "validation")]
    if places[0] is not None and places[1] is not None:
        made["rows"] = np.concatenate([places[0][: counts["train"]], places[1][: counts["validation"]]])
    return made


def _rows(prepared: PreparedDataset, part: str) -> NDArray[np.int64] | None:
    folder = prepared.path / ("test" if part == "test" else "")
    return prepared.rows(part) if (folder / "rows.npy").exists() else None


def _raw(prepared: PreparedDataset, writer: Writer, counts: dict[str, int]) -> None:
    """Raw rows: series as they came, texts by new indices into those that are still used."""
    path, train = prepared.path, prepared.meta.parts["train"]

    def chosen(name: str, axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
        whole, test = (np.load(path / part / f"{name}.npy", mmap_mode="r", allow_pickle=False) for part in ("", "test"))
        head = [np.arange(counts["train"]), train + np.arange(counts["validation"])]
        return np.take(whole, np.concatenate(head), axis=axis), np.take(test, np.arange(counts["test"]), axis=axis)

    if (path / "raw_series.npy").exists():
        for part, array in zip(("", "test"), chosen("raw_series", 0)):
            writer.array("test" if part else "", "raw_series", array)
    if not (path / "raw.npy").exists():
        return
    seen, held_out = chosen("raw", 1)
    offsets = np.load(path / "raw_offsets.npy", mmap_mode="r", allow_pickle=False)
    values = np.load(path / "raw_values.npy", mmap_mode="r", allow_pickle=False)
    used, places = np.unique(np.concatenate([seen.ravel(), held_out.ravel()]), return_inverse=True)
    texts = [bytes(values[offsets[code] : offsets[code + 1]]) for code in used.tolist()]
    writer.array("", "raw_values", np.frombuffer(b"".join(texts), np.uint8))
    writer.array("", "raw_offsets", np.cumsum([0, *map(len, texts)]).astype(np.int64))
    writer.array("", "raw", places[: seen.size].reshape(seen.shape).astype(np.int32))
    writer.array("test", "raw", places[seen.size :].reshape(held_out.shape).astype(np.int32))
