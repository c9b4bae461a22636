"""Predicts with a downloaded artifact: `python -m automl.export.run ARTIFACT DATA --out predictions.csv`.

For artifacts that need TensorFlow (SavedModel, .keras); `.tflite` and `.onnx` files work too, though clients run these
without this package. Only for artifacts that one trusts: a model file is a program.

DATA is a table (CSV, TSV, Parquet, also .gz) with the columns of the training data, or pictures: one file, a folder, a
zip, `.npz` or IDX. The CSV has one row for each input row, in order: `prediction`, then `p_<class>` for each class; for
pictures `file` in front. Exit codes: 0 done, 2 the artifact or the data are at fault, 1 anything else.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import companions, raw, verify
from automl.spec import AutoMLError, InvalidInput

if TYPE_CHECKING:
    import numpy as np

    from automl.export.predictor import Predictor

_BATCH = 1024


def predict(
    artifact: Path, data: Path, out: Path, threads: int | None = None, *, account: Path | None = None,
    measure: Sequence[int] = (1,),
) -> int:
    """Writes the predictions and returns the number of rows. The file appears whole or not at all.

    `account` is a JSON file for what the runtime is, its memory, and the latency of one row for each number of threads in
    `measure`; TensorFlow's threads are the process's, so that of these the first alone is measured.

    Raises `InvalidInput` for a file that is no artifact, `InvalidData` for data that can't be read or lack columns.
    """
    format = format_of(artifact)
    preprocess = json.loads(_companion(artifact))
    rows = raw.of(preprocess).read(data, preprocess)
    module = importlib.import_module(catalog.formats[format].exporter.partition(":")[0])
    if account is not None:
        threads = measure[0]
    memory = verify.PeakMemory()
    predictor: Predictor = module.load(artifact, threads or os.cpu_count() or 1)
    if account is not None:
        row = _given(predictor, preprocess, rows.batch(0, 1))
        latency, _ = verify.measure_latency(predictor, row)
        said = {
            "runtime": predictor.runtime, "peak_memory_bytes": memory.growth_bytes(),
            "latency": [{**latency.to_dict(), "threads": measure[0]}],
        }
        account.write_text(json.dumps(said), encoding="utf-8")
    classes = [str(name) for name in preprocess.get("classes") or ()]
    temporary = out.with_name(out.name + ".part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*([rows.heading] if rows.names else []), "prediction", *(f"p_{name}" for name in classes)])
        written = 0
        for outputs in _outputs(predictor, preprocess, rows):
            for output in outputs:
                values = [f"{v:.9g}" for v in output]
                name = [rows.names[written]] if rows.names else []
                writer.writerow([*name, classes[int(output.argmax())], *values] if classes else [*name, *values])
                written += 1
    temporary.replace(out)
    return written


def format_of(artifact: Path) -> str:
    """The id of the format that the file's bytes are in. Raises `InvalidInput` when there is no file or it is none."""
    try:
        with artifact.open("rb") as file:
            head = file.read(8)
        if head[4:8] == b"TFL3":
            return "tflite"
        with zipfile.ZipFile(artifact) as archive:
            names = set(archive.namelist())
    except FileNotFoundError as error:
        raise InvalidInput.at(str(artifact), "there is no such file", reason="FILE_MISSING") from error
    except zipfile.BadZipFile as error:
        raise InvalidInput.at(artifact.name, _NO_ARTIFACT, reason="NO_ARTIFACT") from error
    if "saved_model/saved_model.pb" in names:
        return "saved-model"
    if {"model.h", "model.cc"} <= names:
        return "microcontroller"
    if {"index.html", "model.onnx"} <= names:
        return "browser"
    if {"config.json", "model.weights.h5"} <= names:
        return "keras-file"
    # A message of Protocol Buffers that begins with the field 1, the version of ONNX's intermediate representation.
    if head[:1] == b"\x08" and companions.PREPROCESS in names:
        return "onnx"
    raise InvalidInput.at(artifact.name, _NO_ARTIFACT, reason="NO_ARTIFACT")


_NO_ARTIFACT = "is no artifact of automl: expected .tflite, .onnx, .keras, or the .zip of a SavedModel, page or firmware"


def _companion(artifact: Path) -> bytes:
    found = companions.read(artifact)
    if companions.PREPROCESS not in found:
        message = f"holds no {companions.PREPROCESS}: it was not made by automl"
        raise InvalidInput.at(artifact.name, message, reason="NO_ARTIFACT")
    return found[companions.PREPROCESS]


def _outputs(predictor: Predictor, preprocess: dict[str, Any], rows: raw.Rows) -> Iterator[np.ndarray]:
    for start in range(0, rows.count, _BATCH):
        yield predictor.predict(_given(predictor, preprocess, rows.batch(start, _BATCH)))


def _given(predictor: Predictor, preprocess: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
    """Raw columns as the artifact takes them."""
    modality = raw.of(preprocess)
    return dict((modality.typed if predictor.raw_input else modality.encode)(preprocess, batch))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m automl.export.run", description="Predict with a downloaded artifact.")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("predictions.csv"))
    parser.add_argument("--threads", type=int, default=None, help="threads of the runtime (default: one for each core)")
    parser.add_argument("--account", type=Path, default=None, help="JSON file for latency, memory and runtime")
    parser.add_argument("--measure-threads", default="1", help="threads to measure the latency with, with commas between")
    given = parser.parse_args(arguments)
    measure = [int(number) for number in given.measure_threads.split(",")]
    try:
        rows = predict(given.artifact, given.data, given.out, given.threads, account=given.account, measure=measure)
    except AutoMLError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{rows} rows written to {given.out}")
    return 0


if __name__ == "__main__":
    # TensorFlow logs to standard error, where only messages for people belong.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
