"""Running a downloaded artifact here.

    predictor = Predictor("automl-JOB/model.tflite")
    result = predictor.predict({"age": [39, 50], "job": ["clerk", None]})
    result.labels            # ["<=50K", ">50K"]
    result.outputs           # float32 [2, 2]: probabilities; for numbers [n, 1]

A `.tflite` or `.onnx` file runs in this process, without TensorFlow, from the tables that travel in it; `.onnx` takes
onnxruntime. SavedModel and `.keras` files need TensorFlow and run in a process of their own, `python -m automl.export.run`,
which is part of the server's installation.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors, forms, runtimes

SUFFIXES = (".tflite", ".onnx", ".keras", ".zip")
"""Of artifacts."""

_MAX_DOCUMENT_BYTES = 64 << 20
_PRECISIONS = ("float32", "float16", "int16x8", "dynamic", "int8")
"""Best first: the closer to the float model, the better."""


@dataclass(frozen=True)
class Predictions:
    """What a model says about some rows, in their order."""

    outputs: NDArray[np.float32]
    """Probabilities [n, classes], or numbers [n, 1] in the target's own unit."""
    classes: tuple[str, ...]
    """Empty for numbers."""
    names: tuple[str, ...] = ()
    """What the rows are called (files of pictures, ids of series); empty where they have no names."""

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each row. Empty for numbers."""
        return [self.classes[place] for place in self.outputs.argmax(axis=1)] if self.classes else []


class Predictor:
    """An artifact, ready to run. Not safe for several threads.

    `path` is a .tflite, .onnx or .keras file, a SavedModel's .zip, or a folder that `automl submit` wrote: then its best
    file. `threads`: of LiteRT or onnxruntime; None for one each core.
    Raises `NotFound`, `InvalidInput` for a file that is no artifact of ours, `Unavailable` for what this machine can't run.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None):
        self.path = chosen(Path(path))
        self.preprocess = document(self.path)
        self.classes: tuple[str, ...] = tuple(self.preprocess.get("classes", ()))
        self.modality = str(self.preprocess["modality"])
        self.task = str(self.preprocess.get("task", ""))
        self._run: Callable[[encoder.Inputs], NDArray[np.float32]] | None = None
        self.form = forms.of(self.preprocess)
        if runtimes.light(self.path):
            self._run = runtimes.open(self.path, threads)
        else:
            check_runnable(self.path)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have; empty where no table is taken."""
        return self.form.columns

    def predict(self, rows: forms.Rows) -> Predictions:
        """Tables: columns (name → values) or rows (name → value), in text or numbers, None for missing. Pictures: uint8
        [n, h, w] or [n, h, w, channels] of any size. Series: arrays [steps, channels], NaN for
        missing. Raises `InvalidData` naming the columns that are lacking."""
        if self._run is not None:
            return Predictions(self._run(self.form.encoded(rows)), self.classes)
        with tempfile.TemporaryDirectory(prefix="automl-") as folder:
            return self._in_child(self.form.written(rows, Path(folder)), Path(folder))

    def predict_file(self, data: str | Path, *, has_header: bool | None = None) -> Iterator[Predictions]:
        """A CSV, TSV (also .gz) or Parquet file, or for pictures a file, folder, zip, CSV of paths, .npz or idx: block by
        block, in order. Raises `InvalidData` naming file, row and column."""
        path = Path(data)
        if self._run is None:
            with tempfile.TemporaryDirectory(prefix="automl-") as folder:
                yield self._in_child(self.form.plain(path, Path(folder), has_header), Path(folder))
            return
        for names, inputs in self.form.blocks(path, has_header):
            yield Predictions(self._run(inputs), self.classes, names)

    def predict_to_csv(self, data: str | Path, out: str | Path, *, has_header: bool | None = None) -> int:
        """Writes one row an input row, in order: `prediction`, `p_<class>` for each class, and for pictures first `file`.

        Returns the number of rows. The file appears whole or not at all.
        """
        target = Path(out)
        with tempfile.TemporaryDirectory(prefix=".automl-", dir=target.parent) as folder:
            made = Path(folder) / target.name
            with made.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                rows = 0
                for place, block in enumerate(self.predict_file(data, has_header=has_header)):
                    if place == 0:
                        writer.writerow(header(self.classes, self.form.heading if block.names else ""))
                    writer.writerows(lines(block))
                    rows += len(block.outputs)
            made.replace(target)
        return rows

    def _in_child(self, data: Path, folder: Path) -> Predictions:
        out = folder / "predictions.csv"
        run_child(self.path, data, out)
        return read_back(out, self.classes)


def header(classes: Sequence[str], heading: str) -> list[str]:
    """The first line of a file of predictions; `heading` is that of the rows' names, "" without."""
    return [*([heading] if heading else []), "prediction", *(f"p_{name}" for name in classes)]


def lines(block: Predictions) -> Iterator[list[str]]:
    """The other lines."""
    said = block.labels if block.classes else [f"{value:.9g}" for value in block.outputs[:, 0]]
    for place, prediction in enumerate(said):
        shares = [f"{value:.7g}" for value in block.outputs[place]] if block.classes else []
        yield [*([block.names[place]] if block.names else []), prediction, *shares]


# --- TensorFlow, in a process of its own ----------------------------------------------------------------------------------


def check_runnable(path: Path) -> None:
    missing = [name for name in ("automl", "tensorflow") if importlib.util.find_spec(name) is None]
    if missing:
        raise errors.Unavailable(
            f"{path.name} runs in TensorFlow, and {', '.join(missing)} is not installed: pip install 'automl[server]'. "
            "A .tflite file of the same model runs without."
        )


def run_child(artifact: Path, data: Path, out: Path, *options: str) -> None:
    """`python -m automl.export.run` writes the predictions to `out`; `options` are further ones of it. Raises `InvalidData`
    with what it says of the data."""
    if not data.exists():
        raise errors.InvalidData.at(str(data), "there is no such file or folder.", "FILE_NOT_FOUND")
    command = [sys.executable, "-m", "automl.export.run", str(artifact), str(data), "--out", str(out), *options]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, errors="replace")
    said = done.stderr.strip()
    if done.returncode == 2:
        raise errors.InvalidData(said.removeprefix("Error: ") or f"{data} can't be used with {artifact.name}.")
    if done.returncode:
        last = said.splitlines()[-1] if said else "without a word"
        raise errors.Internal(f"Running {artifact.name} in TensorFlow ended with code {done.returncode}: {last}")


def read_back(path: Path, classes: tuple[str, ...]) -> Predictions:
    """The predictions that a child wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    heading, body = rows[0], rows[1:]
    first = len(heading) - len(classes) if classes else len(heading) - 1
    names = tuple(row[0] for row in body) if heading[0] != "prediction" else ()
    outputs = np.array([[float(cell) for cell in row[first:]] for row in body], np.float32)
    return Predictions(outputs.reshape(len(body), -1), classes, names)


# --- which file, and what travels in it -----------------------------------------------------------------------------------


def chosen(path: Path) -> Path:
    """The file itself, or the best in a folder: TFLite before ONNX before what needs TensorFlow, the most exact precision
    first."""
    if path.is_file():
        return path
    if not path.exists():
        raise errors.NotFound(f"{path}: there is no such file or folder.")
    precision = _recorded_precisions(path)

    def rank(file: Path) -> tuple[int, int, str]:
        kind = {".tflite": 0, ".onnx": 1, ".keras": 3}.get(file.suffix.lower(), 2)
        said = precision.get(file.name) or next((one for one in reversed(_PRECISIONS) if one in file.name), "float32")
        return kind, _PRECISIONS.index(said) if said in _PRECISIONS else len(_PRECISIONS), file.name

    files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not files:
        raise errors.NotFound(f"{path}: there is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file in this folder.")
    return min(files, key=rank)


def _recorded_precisions(folder: Path) -> dict[str, str]:
    """File name → precision, as `automl submit` recorded it; empty for a folder without its result.json."""
    result = folder / "result.json"
    if not result.is_file():
        return {}
    try:
        artifacts = json.loads(result.read_text(encoding="utf-8")).get("artifacts", [])
    except ValueError as error:
        raise errors.InvalidInput.at(str(result), f"is no JSON: {error}.") from error
    return {Path(one["path"]).name: str(one["precision"]) for one in artifacts if one.get("path")}


def document(path: Path) -> dict[str, Any]:
    """`preprocess.json` from the zip that every artifact is or ends with. Raises `InvalidInput`."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("preprocess.json")
            if info.file_size > _MAX_DOCUMENT_BYTES:
                raise ValueError(f"preprocess.json claims {info.file_size:,} bytes")
            found = json.loads(archive.read(info))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise errors.InvalidInput.at(
            str(path), "is no artifact of automl: it should carry a preprocess.json, and that can't be read."
        ) from error
    if not isinstance(found, dict) or found.get("modality") not in forms.FORMS:
        raise errors.InvalidInput.at(str(path), "its preprocess.json is of a kind that this version does not know.")
    return found
