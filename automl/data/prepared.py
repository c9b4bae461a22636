"""A prepared data set: checked, split and encoded once, opened by every trial in milliseconds.

A folder with `meta.json` and memory-mapped `.npy` files. Rows are stored as train, then validation, in one file a kind of
input, so that their union is a slice; within a part they are shuffled once, so that the first rows are a fair sample. The
test part lies in the folder `test/`, which only verification opens.

    meta.json
    numeric.npy       float32 [n, d]          categorical.npy  int32 [n, c]          image.npy  uint8 [n, h, w, ch]
    tokens.npy        int32 [n, length], 0 fills up   ngrams.npy  int32 [n, k], 0 fills up
    series.npy        float32 [n, steps, channels]
    target.npy        int32 [n] classes, or float32 [n] in the target's own unit
    rows.npy          int64 [n]: row in the source, from 0 (in a separate test file for the rows of such)
    groups.npy        int64 [n]: rows of one number stay together in folds; absent where each stands for itself
    raw.npy           int32 [k, n]: index into the texts, for each column that is not numeric
    raw_values.npy    uint8, and raw_offsets.npy int64: the different texts as UTF-8, one behind the other (also of test/)
    raw_series.npy    float32 [n, longest, channels]: series as they came, NaN for what is missing or beyond the end
    test/             the same, but for meta.json and the texts
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from automl.data import encoder, split
from automl.spec.dataset import Finding, Modality, Profile
from automl.spec.errors import Internal
from automl.spec.model import Frozen, Json

Part = str
"""Rows: "train", "validation", "train+validation", "test"; "fold:2/5" is train+validation without the third of five folds,
and "held:2/5" is that fold."""
INPUTS = ("numeric", "categorical", "image", "tokens", "ngrams", "series")
_FOLD = re.compile(r"(fold|held):(\d+)/(\d+)")


def validated_on(part: Part) -> Part:
    """The rows on which a training on `part` is validated: what its fold holds out, else the validation part."""
    return part.replace("fold:", "held:") if part.startswith("fold:") else "validation"


class PreparedMeta(Frozen):
    """What is known of a prepared data set."""

    task: str
    kind: Literal["classification", "regression"]
    modality: Modality
    target: str
    classes: tuple[str, ...]
    """In the order of the model's outputs; empty for regression."""
    parts: dict[str, int]
    """Rows of "train", "validation" and "test"."""
    profile: Profile
    findings: tuple[Finding, ...]
    key: str
    """SHA-256 of the source's bytes, the data settings, the task and the seed: the identity of these data."""
    content: str = ""
    """SHA-256 of the source's bytes, whose first 16 digits name the data set's version."""
    preprocess: dict[str, Json]
    """`preprocess.json` without its fitted operations (pictures: whole)."""
    target_mean: float | None = None
    """Regression: of the training rows, in the target's own unit; so are the three below."""
    target_std: float | None = None
    """Never 0."""
    target_min: float | None = None
    target_max: float | None = None


class PreparedDataset:
    """An opened prepared data set. Arrays are memory-mapped and read-only; files are opened at first use."""

    def __init__(self, path: pathlib.Path, meta: PreparedMeta):
        self.path = path
        self.meta = meta
        self._arrays: dict[str, NDArray[Any]] = {}

    @classmethod
    def open(cls, path: str | pathlib.Path) -> PreparedDataset:
        """Opens the folder that `automl.data.prepare.prepare` wrote. Raises `Internal` when it is none or is damaged."""
        path = pathlib.Path(path)
        try:
            meta = PreparedMeta.model_validate_json((path / "meta.json").read_bytes())
        except (OSError, ValueError) as fault:
            raise Internal(f"{path.name} is no prepared data set: {fault}") from fault
        return cls(path, meta)

    def inputs(self, part: Part) -> dict[str, NDArray[Any]]:
        """Input name → array of the part's rows; an input without columns is absent."""
        folder, rows = self._place(part)
        there = [name for name in INPUTS if (self.path / f"{folder}{name}.npy").exists()]
        return {name: self._array(f"{folder}{name}.npy")[rows] for name in there}

    def target(self, part: Part) -> NDArray[Any]:
        """int32 [n] class indices, or float32 [n] in the target's own unit."""
        folder, rows = self._place(part)
        return self._array(f"{folder}target.npy")[rows]

    def rows(self, part: Part) -> NDArray[np.int64]:
        """For each row of the part its place in the source, counted from 0."""
        folder, rows = self._place(part)
        return self._array(f"{folder}rows.npy")[rows]

    def raw(self, part: Part, limit: int | None = None) -> dict[str, Any]:
        """The first `limit` raw rows of a part. Tables and texts: column → list of float with NaN (numeric), or text with ""
        where missing; the columns are those of `preprocess["columns"]`, in that order. Series: "series" float32 [n, steps,
        channels], NaN where a value is missing or beyond the end.
        """
        folder, rows = self._place(part)
        if not isinstance(rows, slice):
            raise Internal("raw rows of folds aren't kept together")
        chosen = slice(rows.start, rows.stop if limit is None else min(rows.stop, rows.start + max(0, limit)))
        if self.meta.modality == Modality.SERIES:
            return {"series": self._array(f"{folder}raw_series.npy")[chosen]}
        if self.meta.modality not in (Modality.TABLE, Modality.TEXT):
            raise Internal(f"raw rows of the modality {self.meta.modality} aren't kept")
        out: dict[str, list[Any]] = {}
        numeric = list(self.meta.preprocess.get("numeric", ()))
        texts = 0
        for column in self.meta.preprocess["columns"]:
            name = column["name"]
            if column["kind"] == "numeric":
                out[name] = self._array(f"{folder}numeric.npy")[chosen, numeric.index(name)].tolist()
            else:
                codes = self._array(f"{folder}raw.npy")[texts, chosen]
                out[name] = self._texts(codes)
                texts += 1
        return out

    def encoder(self, numeric_ops: list[dict[str, Json]]) -> encoder.TableEncoder:
        """The encoder with these fitted operations; `TableEncoder.fit(self, plan)` fits them."""
        return encoder.TableEncoder(self.meta.preprocess, numeric_ops)

    def _texts(self, codes: NDArray[np.int32]) -> list[str]:
        offsets, values = self._array("raw_offsets.npy"), self._array("raw_values.npy")
        distinct, places = np.unique(codes, return_inverse=True)
        texts = [bytes(values[offsets[c]:offsets[c + 1]]).decode() for c in distinct.tolist()]
        return [texts[i] for i in places.tolist()]

    def count(self, part: Part) -> int:
        """Rows of a part."""
        rows = self._place(part)[1]
        return rows.stop - rows.start if isinstance(rows, slice) else len(rows)

    def _place(self, part: str) -> tuple[str, slice | NDArray[np.int64]]:
        """The folder and the rows that hold a part; those of folds are numbers, and reading them makes a copy."""
        train, validation = self.meta.parts["train"], self.meta.parts["validation"]
        if (fold := _FOLD.fullmatch(part)) is not None:
            number, count = int(fold[2]), int(fold[3])
            if not 0 <= number < count:
                raise ValueError(f"expected a fold from 0 to {count - 1}, got {part!r}")
            of = self._folds(count)
            return "", np.flatnonzero(of == number if fold[1] == "held" else of != number)
        match part:
            case "train":
                return "", slice(0, train)
            case "validation":
                return "", slice(train, train + validation)
            case "train+validation":
                return "", slice(0, train + validation)
            case "test":
                return "test/", slice(0, self.meta.parts["test"])
            case _:
                raise ValueError(f"expected train, validation, train+validation, test or a fold, got {part!r}")

    def _folds(self, count: int) -> NDArray[np.int16]:
        """The fold of each row of train+validation."""
        if self.meta.profile.temporal:
            raise ValueError("rows that follow each other in time have no folds: one would learn from what came after it")
        y = self.target("train+validation")
        strata = y.astype(np.int64) if self.meta.kind == "classification" else split.strata_of_numbers(y.astype(np.float64))
        groups = self._array("groups.npy") if (self.path / "groups.npy").exists() else None
        return split.folds(strata, count, groups)

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            try:
                self._arrays[name] = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as fault:
                raise Internal(f"prepared data set {self.path.name}: {name} can't be read ({fault})") from fault
        return self._arrays[name]


def write_meta(path: pathlib.Path, meta: PreparedMeta) -> None:
    """Writes and syncs `meta.json`."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(meta.to_dict(), file, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


class Writer:
    """Writes the files of a prepared data set into a folder; the layout is this module's."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def array(self, part: Literal["", "test"], name: str, array: NDArray[Any]) -> None:
        """Writes and syncs one array. Arrays without columns are not written."""
        if array.ndim == 2 and array.shape[1] == 0 and name in INPUTS:
            return
        with (self.folder / part / f"{name}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())

    def mapped(self, part: Literal["", "test"], name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A new memory-mapped array to be filled."""
        return np.lib.format.open_memmap(self.folder / part / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)

    def meta(self, meta: PreparedMeta) -> None:
        """Writes `meta.json`, the last file."""
        write_meta(self.folder / "meta.json", meta)
