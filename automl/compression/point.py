"""What a candidate is worth as the file that it would become: `measure`, the function of a child process.

The ladder judges by this and not by the float model: metric, size and latency of the TFLite file in the narrowest precision
asked for, in its own runtime, on validation rows. Delivery measures the same once more, on rows that nobody has seen.
"""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from automl.export import candidate as candidates
from automl.export import companions

PROSE_BYTES = 2_500
"""Of the model card and the sample rows in a file, compressed."""
BATCH = 256
FEWEST_ROWS = 256


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate and runs the file on validation rows, the first ones (they are shuffled).

    `request`: candidate, prepared, precision, metric, seed, time_s (of the predictions), rows (that were reached before, or
    None: as many as the time allows). Returns "value" (the metric of the file), "float" (of the float model, on the same
    rows), "rows", "size_bytes", "compressed_bytes", "latency_ms", "parameters", "macs", "sparsity".
    """
    from automl.data.prepared import PreparedDataset
    from automl.export import keras_file, tflite, verify
    from automl.tasks import metrics
    from automl.training import profile

    source, prepared = candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"]))
    content = tflite.contents(source, prepared.path, str(request["precision"]), int(request["seed"]))
    predictor = tflite.TFLitePredictor(content, 1)
    inputs, y = prepared.inputs("validation"), np.asarray(prepared.target("validation"))
    latency, _ = verify.measure_latency(predictor, _rows(source, inputs, slice(0, 1)))
    most = min(len(y), int(request["rows"] or len(y)))
    outputs: list[np.ndarray] = []
    done, end = 0, time.monotonic() + float(request["time_s"])
    while done < most and (done < FEWEST_ROWS or request["rows"] is not None or time.monotonic() < end):
        stop = min(most, done + BATCH)
        outputs.append(predictor.predict(_rows(source, inputs, slice(done, stop))))
        done = stop
    metric = str(request["metric"])
    floats = np.load(source.path / "validation.npy", allow_pickle=False)
    file = content + _companions(source)
    return {
        "value": metrics.value(metric, y[:done], np.concatenate(outputs)),
        "float": metrics.value(metric, y[:done], floats[:done]), "rows": done,
        "size_bytes": len(file) + PROSE_BYTES, "compressed_bytes": len(gzip.compress(file, 6)) + PROSE_BYTES,
        "latency_ms": latency.median_ms, "parameters": int(source.model.count_params()),
        "macs": sum(profile.macs(layer) for layer in source.model._flatten_layers()),
        "sparsity": keras_file.sparsity(source.model),
    }


def _rows(source: candidates.Candidate, inputs: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return source.encode({name: np.asarray(value[rows]) for name, value in inputs.items()})


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
