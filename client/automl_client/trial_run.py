"""The child of `automl verify`: `python -m automl_client.trial_run`, a request on standard input, an account on standard
output.

It alone loads the artifact: a file that crashes its runtime, hangs or takes all memory ends this process and no other.

Request: artifact, data, target, has_header, threads (a list), rows (most to predict, null: all), time_s, memory_bytes, out
(a path for the outputs, .npz). Account: see `_run`. Exit code 2, with violations as JSON, for an artifact or data that
can't be used.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors, labelled, measuring, predictor, proofs, runtimes

MINIMUM_ROWS = 500
BLOCK = 256
SEED = 0


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """`.npz` at `out`: `y` [n], `outputs` [n, outputs] with NaN in rows that weren't reached, `samples` and `samples_float`.
    Returns rows, unlabelled, strange, done, latency, peak_memory_bytes, runtime, outputs_finite."""
    began = time.monotonic()
    artifact, data = Path(request["artifact"]), Path(request["data"])
    document = predictor.document(artifact)
    rows = labelled.read(data, document, target=str(request["target"]), has_header=request["has_header"])
    if runtimes.light(artifact):
        outputs, account = _light(artifact, rows, request, began)
    else:
        outputs, account = _heavy(artifact, data, rows, request)
    samples, expected = _samples(artifact, document)
    np.savez(Path(request["out"]), y=rows.y, outputs=outputs, samples=samples, samples_float=expected)
    return {
        **account, "rows": len(rows.y), "unlabelled": rows.unlabelled, "strange": dict(rows.strange),
        "done": int((~np.isnan(outputs).all(axis=1)).sum()), "machine": measuring.machine(),
    }


def _light(
    artifact: Path, rows: labelled.Labelled, request: dict[str, Any], began: float
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    memory = measuring.PeakMemory()
    threads = [int(n) for n in request["threads"]]
    runtime = runtimes.open(artifact, threads[0])
    _check_inputs(artifact, runtime, rows.inputs)
    first = {name: value[:1] for name, value in rows.inputs.items()}
    width = runtime(first).shape[1]
    latencies = [measuring.latency(runtime.single(first), threads[0])]
    peak = memory.growth_bytes()
    latencies += [measuring.latency(runtimes.open(artifact, n).single(first), n) for n in threads[1:]]
    outputs = np.full((len(rows.y), width), np.nan, np.float32)
    order = np.random.default_rng(SEED).permutation(len(rows.y))[: request["rows"]]
    done = 0
    while done < len(order) and (done < MINIMUM_ROWS or time.monotonic() - began < float(request["time_s"])):
        chosen = np.sort(order[done : done + BLOCK])
        outputs[chosen] = runtime({name: value[chosen] for name, value in rows.inputs.items()})
        done += len(chosen)
    return outputs, {
        "latency": [dataclasses.asdict(one) for one in latencies], "peak_memory_bytes": peak, "runtime": runtime.name,
    }


def _check_inputs(artifact: Path, runtime: runtimes.Runtime, inputs: encoder.Inputs) -> None:
    """Raises `InvalidInput` when the bundled preprocessing makes other inputs than the model takes."""
    for name, shape in runtime.takes.items():
        made = inputs[name].shape[1:] if name in inputs else None
        fits = made is not None and len(made) == len(shape) and all(a in (-1, b) for a, b in zip(shape, made, strict=True))
        if not fits:
            what = f"{name} {list(made)}" if made is not None else f"no {name}, but {', '.join(inputs)}"
            raise errors.InvalidInput.at(
                str(artifact), f"preprocess.json doesn't belong to this model: it makes {what}, and the model takes {name} "
                f"{list(shape)}.", "PREPROCESS_MISMATCH",
            )


def _heavy(
    artifact: Path, data: Path, rows: labelled.Labelled, request: dict[str, Any]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """In TensorFlow, by the engine's own program, which measures itself."""
    model = predictor.Predictor(artifact)
    with tempfile.TemporaryDirectory(prefix="automl-") as folder:
        account = Path(folder) / "account.json"
        plain = model.form.plain(data, Path(folder), request["has_header"])
        out = Path(folder) / "predictions.csv"
        threads = ",".join(str(n) for n in request["threads"])
        predictor.run_child(artifact, plain, out, "--account", str(account), "--measure-threads", threads)
        everything = predictor.read_back(out, model.classes).outputs
        return everything[rows.places], json.loads(account.read_text(encoding="utf-8"))


def _samples(artifact: Path, document: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the artifact says of the rows in its samples.json, and what the float model said; both [0, 0] without samples."""
    none = np.zeros((0, 0), np.float32)
    content = proofs.members_of(artifact).get("samples.json")
    if content is None or not runtimes.light(artifact):
        return none, none
    held = json.loads(content)
    given, expected = list(held["inputs"]), np.asarray(held["outputs"], np.float32)
    if not given:
        return none, none
    model = predictor.Predictor(artifact, threads=1)
    return model.predict(_rows(given, str(document["modality"]))).outputs, expected


def _rows(given: list[dict[str, Any]], modality: str) -> Any:
    """The rows of a samples.json as `Predictor.predict` takes them."""
    if modality == "image":
        return np.stack([
            np.frombuffer(base64.b64decode(one["image"]["data"]), np.uint8).reshape(one["image"]["shape"]) for one in given
        ])
    if modality == "series":
        return [np.array([[np.nan if v is None else v for v in step] for step in one["series"]]) for one in given]
    return given


def main() -> int:
    request = json.loads(sys.stdin.readline())
    if request["memory_bytes"] is not None and sys.platform == "linux":
        # RLIMIT_DATA counts private writable memory; the address space would count what is only reserved.
        resource.setrlimit(resource.RLIMIT_DATA, (request["memory_bytes"], request["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        account = _run(request)
    except errors.AutoMLError as error:
        violations = [dataclasses.asdict(one) for one in error.violations]
        said = {"error": type(error).__name__, "message": str(error), "violations": violations}
        print(json.dumps(said), flush=True)
        return 2
    print(json.dumps(account), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
