"""What a candidate is worth as the file that it would become: `measure`, the function of a child process, and `of`.

The ladder judges by this and not by the float model, and so does the search with `--rank-by artifact`: metric, size and
latency of the TFLite file in the narrowest precision asked for, in its own runtime, on validation rows. Delivery measures
the same once more, on rows that nobody has seen.
"""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.export import candidate as candidates
from automl.export import companions
from automl.spec import ArtifactPoint

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

SAMPLES_BYTES = 1_000
"""Of the sample rows in a file, compressed."""
BATCH = 256
FEWEST_ROWS = 256
JUDGE_ROWS, JUDGE_S = 1_024, 0.3


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate and runs the file on validation rows, the first ones (they are shuffled).

    `request`: candidate, prepared, precision, metric, seed, time_s (of the predictions), rows (that were reached before, or
    None: as many as the time allows), max_size_bytes (None for no limit: what travels in the file turns on it). Returns
    "value" (the metric of the file), "float" (of the float model, on the same rows), "rows", "size_bytes",
    "compressed_bytes", "latency_ms", "parameters", "macs", "sparsity".
    """
    from automl.data.prepared import PreparedDataset
    from automl.export import keras_file
    from automl.training import profile

    source, prepared = candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"]))
    rows = None if request["rows"] is None else int(request["rows"])
    point, file = of(
        source, prepared, str(request["precision"]), str(request["metric"]), seed=int(request["seed"]),
        max_size_bytes=request["max_size_bytes"], time_s=None if rows is not None else float(request["time_s"]), rows=rows,
    )
    return {
        "value": point.value, "float": point.float_value, "rows": point.rows, "size_bytes": point.size_bytes,
        "compressed_bytes": len(gzip.compress(file, 6)) + prose_bytes(request["max_size_bytes"]),
        "latency_ms": point.latency_ms, "parameters": int(source.model.count_params()),
        "macs": sum(profile.macs(layer) for layer in source.model._flatten_layers()),
        "sparsity": keras_file.sparsity(source.model),
    }


def judge(request: dict[str, Any]) -> dict[str, Any]:
    """As `measure`, in a hurry and without what only the ladder asks: what a trial of the search is judged by, as an
    `ArtifactPoint`. `request`: candidate, prepared, precision, metric, seed, max_size_bytes."""
    from automl.data.prepared import PreparedDataset

    point, _ = of(
        candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"])),
        str(request["precision"]), str(request["metric"]), seed=int(request["seed"]),
        max_size_bytes=request["max_size_bytes"], time_s=JUDGE_S, rows=JUDGE_ROWS, latency_s=JUDGE_S / 2,
    )
    return point.to_dict()


def of(
    source: candidates.Candidate, prepared: PreparedDataset, precision: str, metric: str, *, seed: int,
    max_size_bytes: int | None, time_s: float | None = None, rows: int | None = None, latency_s: float = 1.0,
) -> tuple[ArtifactPoint, bytes]:
    """Converts a candidate and runs the file on the first validation rows: `rows` of them at most, and, once there were
    `FEWEST_ROWS`, within `time_s`. `latency_s`: for the latency, about. The figures, and the file but for the prose. Raises
    what the converter raises."""
    from automl.export import tflite, verify
    from automl.tasks import metrics

    began = time.monotonic()
    content = tflite.contents(source, prepared.path, precision, seed)
    predictor = tflite.TFLitePredictor(content, 1)
    inputs, y = prepared.inputs("validation"), np.asarray(prepared.target("validation"))
    first = _rows(source, inputs, slice(0, 1))
    latency, _ = verify.measure_latency(predictor, first, seconds=latency_s)
    most = min(len(y), rows or len(y))
    outputs: list[np.ndarray] = []
    done, end = 0, None if time_s is None else time.monotonic() + time_s
    while done < most and (done < FEWEST_ROWS or end is None or time.monotonic() < end):
        stop = min(most, done + BATCH)
        outputs.append(predictor.predict(_rows(source, inputs, slice(done, stop))))
        done = stop
    floats = np.load(source.path / "validation.npy", allow_pickle=False)
    file = content + _companions(source)
    point = ArtifactPoint(
        precision=precision, value=metrics.value(metric, y[:done], np.concatenate(outputs)),
        float_value=metrics.value(metric, y[:done], floats[:done]), rows=done,
        size_bytes=len(file) + prose_bytes(max_size_bytes), latency_ms=latency.median_ms, wall_s=time.monotonic() - began,
    )
    return point, file


def _rows(source: candidates.Candidate, inputs: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return source.encode({name: np.asarray(value[rows]) for name, value in inputs.items()})


def prose_bytes(max_size_bytes: int | None) -> int:
    """Of a file under that limit, what is written when it is delivered, compressed: sample rows, and the model card."""
    return SAMPLES_BYTES + (companions.CARD_BYTES if companions.CARD in companions.traveling(max_size_bytes) else 0)


def _companions(source: candidates.Candidate) -> bytes:
    """What travels in the file, without the prose."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        contents = {
            companions.PREPROCESS: json.dumps(source.preprocess, ensure_ascii=False, separators=(",", ":")).encode(),
            companions.RECIPE: source.recipe.canonical_json(), companions.LABELS: companions.labels(source.classes),
        }
        for name, content in contents.items():
            target.writestr(companions.entry(name), content)
    return archive.getvalue()
