"""The proof of an artifact: its very bytes, run in their own runtime on held-out rows, beside the float model.

Two child processes, never in one: `reference` runs the float Keras model once and stores its outputs; `artifact` opens one
artifact's file and nothing else of the model, predicts the same rows, and compares.

The held-out rows may be many and the artifact slow, so `artifact` predicts in a random order (fixed by a seed) until its
time is up, and compares on the rows that it reached; `Verification.rows` says how many. At least `MINIMUM_ROWS` are
predicted. The float model does so too where time is short, and artifacts then have its rows. Each class has its share of
however many rows are reached.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import candidate as candidates
from automl.export import companions, raw
from automl.spec import Internal, Latency, Verification

if TYPE_CHECKING:
    import numpy as np

    from automl.export.predictor import Predictor

REFERENCE = "reference.npz"
ACCOUNT = "reference.json"
MINIMUM_ROWS = 500
SAMPLE_ROWS, SAMPLE_BYTES = 5, 1_200
"""Most rows that travel in an artifact with the float model's outputs, and most bytes of them compressed; at least one row
does."""
_BATCH = 256
_REFERENCE_BATCH = 512
_STRETCH_S = 0.5
"""The float model predicts in stretches, between which the time is looked at; after a shorter one they are made longer."""
_LATENCY_S = 1.0
_LATENCY_RUNS, _LATENCY_LEAST_S = 200, 0.1
"""A latency is measured for as many runs, and for as long: of small models 200 are over within half a millisecond."""
_LATENCY_ROUNDS, _LATENCY_PATIENCE_S, _LATENCY_NEAR = 3, 1.5, 3.0
"""Where a limit is passed by less than this factor, latencies are measured as often at least, for as long at least, and the
least counts: what else the machine does makes a model slower, and nothing makes it faster. A shared core changes its speed
by 2.5 from one half second to the next."""
_ROUNDING = 1e-9
"""A loss that equals the tolerance but for floating-point rounding is within it."""


def reference(request: dict[str, Any]) -> dict[str, Any]:
    """Opens the held-out part, runs the float model on it, and stores targets and outputs for every comparison to come.

    `request`: candidate, prepared, part, out (a folder), threads, seed, and time_s for the predictions (None: no limit).
    Writes `reference.npz` (`y`, `float`, and `rows`, the places in the part of those that were reached),
    `reference.json` and the samples (raw rows of the validation part with the float model's outputs) there; returns
    `{"metrics", "rows", "held_out_rows", "model_sha256"}`. A complete account of the same model and part is returned as
    it stands, so that the held-out part is opened once.
    """
    source = candidates.Candidate(Path(request["candidate"]))
    out, part = Path(request["out"]), str(request["part"])
    identity = {"model_sha256": sha256(source.model_file), "part": part}
    account_file = out / ACCOUNT
    if account_file.exists():
        earlier = dict(json.loads(account_file.read_text(encoding="utf-8")))
        if {key: earlier.get(key) for key in identity} == identity:
            return earlier

    import numpy as np

    from automl.data.prepared import PreparedDataset
    from automl.tasks import metrics

    candidates.limit_tensorflow_threads(int(request["threads"]))
    prepared = PreparedDataset.open(Path(request["prepared"]))
    inputs, target = prepared.inputs(part), np.asarray(prepared.target(part))
    end = math.inf if request.get("time_s") is None else time.monotonic() + float(request["time_s"])
    order = in_fair_order(target, prepared.meta.kind, int(request["seed"]))
    outputs = np.empty((0, 0), np.float32)
    batch = min(_REFERENCE_BATCH, len(order))
    done, stretch = 0, len(order) if end == math.inf else batch
    while done < len(order) and (done < MINIMUM_ROWS or time.monotonic() < end):
        began = time.monotonic()
        chosen = np.sort(order[done : done + stretch])
        # Filled up to whole batches: one of another size would be another graph.
        filled = np.resize(chosen, len(chosen) + -len(chosen) % batch)
        given = model_outputs(source, {name: np.asarray(value[filled]) for name, value in inputs.items()}, batch)
        if not done:
            outputs = np.full((len(order), *given.shape[1:]), np.nan, np.float32)
        outputs[chosen] = given[: len(chosen)]
        done += len(chosen)
        stretch *= 4 if time.monotonic() - began < _STRETCH_S else 1
    rows = np.sort(order[:done])
    y, outputs = target[rows], outputs[rows]
    sample = _samples(source, prepared)
    out.mkdir(parents=True, exist_ok=True)
    (out / companions.SAMPLES).write_bytes(_json(sample))
    with (out / (REFERENCE + ".part")).open("wb") as file:
        classes = np.asarray(source.classes, dtype=np.str_)
        np.savez(file, allow_pickle=False, y=y, float=outputs, rows=rows, classes=classes)
    (out / (REFERENCE + ".part")).rename(out / REFERENCE)
    account = {
        **identity, "metrics": metrics.evaluate(prepared.meta.task, y, outputs), "rows": len(y),
        "held_out_rows": len(target),
    }
    _write_json(account_file, account)
    return account


def artifact(request: dict[str, Any]) -> dict[str, Any]:
    """Verifies one artifact.

    `request`: artifact (path), format, sha256, prepared, part, metric, tolerance, reference (folder), predictions (path
    for the outputs, .npy), threads, time_s, seed, max_latency_ms (None for no limit). Returns a `Verification` as JSON.
    Raises `Internal` when the file isn't the one whose digest was given, and whatever the runtime raises for bytes that it
    can't run.
    """
    import importlib

    import numpy as np

    from automl import catalog
    from automl.data.prepared import PreparedDataset

    began = time.monotonic()
    path = Path(request["artifact"])
    if (found := sha256(path)) != request["sha256"]:
        expected_digest = str(request["sha256"])
        raise Internal(f"{path.name} changed after it was written: SHA-256 {expected_digest[:12]}… then, {found[:12]}… now")
    prepared = PreparedDataset.open(Path(request["prepared"]))
    part = str(request["part"])
    with np.load(Path(request["reference"]) / REFERENCE, allow_pickle=False) as stored:
        y, expected, places = stored["y"], stored["float"], stored["rows"]

    entry = catalog.formats[request["format"]]
    module = importlib.import_module(entry.exporter.partition(":")[0])
    memory = PeakMemory()
    predictor: Predictor = module.load(path, int(request["threads"]))
    rows = Part(prepared, part, predictor, path)
    example = rows.take(np.array([0]))
    latency, first = measure_latency(predictor, example)
    slowest = request["max_latency_ms"]
    rounds, patient_until = 1, time.monotonic() + _LATENCY_PATIENCE_S
    while (
        slowest is not None and slowest < latency.median_ms < _LATENCY_NEAR * slowest
        and (rounds < _LATENCY_ROUNDS or time.monotonic() < patient_until)
    ):
        latency = min(latency, measure_latency(predictor, example)[0], key=lambda one: one.median_ms)
        rounds += 1
    peak = memory.growth_bytes()
    more_threads = [
        measure_latency(module.load(path, threads), example, threads)[0]
        for threads in entry.threads if threads != int(request["threads"]) and threads <= cores()
    ]
    if first.shape[-1] != expected.shape[-1]:
        raise ValueError(f"expected {expected.shape[-1]} outputs a row, the artifact gives {first.shape[-1]}")

    outputs = np.full(expected.shape, np.nan, dtype=np.float32)
    order = in_fair_order(y, prepared.meta.kind, int(request["seed"]))
    done = 0
    while done < len(y) and (done < MINIMUM_ROWS or time.monotonic() - began < float(request["time_s"])):
        chosen = np.sort(order[done : done + _BATCH])
        outputs[chosen] = predictor.predict(rows.take(places[chosen]))
        done += len(chosen)
    reached = np.sort(order[:done])
    if done == len(y):
        np.save(Path(request["predictions"]), outputs)
    return compare(
        y[reached], expected[reached], outputs[reached], part=part, metric=str(request["metric"]),
        tolerance=float(request["tolerance"]), latency=latency, more_threads=more_threads, peak_memory_bytes=peak,
        runtime=predictor.runtime, reference_rows=len(y), held_out_rows=prepared.count(part),
    ).to_dict()


def in_fair_order(y: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """The places of the rows [n] in an order by chance of which each beginning has each class's share, within a row; of
    numbers any order by chance."""
    import numpy as np

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    if kind != "classification":
        return order
    classes = np.asarray(y)[order].reshape(-1)
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    number = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The k-th of n rows of a class comes at (k + u) / n of the way, u by chance.
    along = (number + rng.random(len(counts))[classes[by_class]]) / counts[classes[by_class]]
    return order[by_class][np.argsort(along, kind="stable")]


def compare(
    y: np.ndarray, expected: np.ndarray, outputs: np.ndarray, *, part: str, metric: str, tolerance: float,
    latency: Latency | None, peak_memory_bytes: int | None, runtime: str, more_threads: Sequence[Latency] = (),
    reference_rows: int = 0, held_out_rows: int = 0,
) -> Verification:
    """The artifact's outputs against the float model's `expected` ones, both [n, outputs], by the metric on `y` [n].

    Passes when the metric's loss is at most the tolerance: absolute for metrics whose perfect value is 1, relative to the
    float model's value for errors, whose perfect value is 0.
    """
    import numpy as np

    from automl.tasks import confidence, metrics

    declared = metrics.get(metric)
    before = metrics.value(metric, y, expected)
    finite = bool(np.isfinite(outputs).all())
    if not finite:
        rows = int((~np.isfinite(outputs).all(axis=1)).sum())
        nan_reason = f"the outputs of {rows} of {len(y)} rows are NaN or infinite"
        outputs = np.where(np.isfinite(outputs), outputs, 0.0).astype(np.float32)
    after = metrics.value(metric, y, outputs)
    loss = declared.signed(before) - declared.signed(after)
    if not declared.larger_is_better:
        loss = loss / abs(before) if before else (math.inf if loss > 0 else 0.0)
    reason = ""
    if not finite:
        reason = nan_reason
    elif loss > tolerance + _ROUNDING:
        unit = "" if declared.larger_is_better else " of it"
        reason = (
            f"{metric} is {after:.4f} on {len(y)} held-out rows, {before:.4f} for the float model: "
            f"{loss:.4f}{unit} worse, and the tolerance is {tolerance:g}"
        )
    off = None if declared.kind == "regression" else confidence.calibration_error(y, outputs)
    return Verification(
        part=part, rows=len(y), reference_rows=reference_rows, held_out_rows=held_out_rows, metric=metric,
        float_value=before, artifact_value=after, interval=confidence.interval(metric, y, outputs), calibration_error=off,
        calibration_shift=None if off is None else off - confidence.calibration_error(y, expected),
        agreement=agreement(expected, outputs), max_difference=float(np.abs(expected - outputs).max()),
        tolerance=tolerance, passed=not reason, reason=reason, latency=latency, more_threads=tuple(more_threads),
        peak_memory_bytes=peak_memory_bytes, runtime=runtime,
    )


def agreement(expected: np.ndarray, outputs: np.ndarray) -> float:
    """Share of rows with the same largest class; for one output, R² of `outputs` against `expected`."""
    import numpy as np

    if expected.shape[1] > 1:
        return float(np.mean(expected.argmax(axis=1) == outputs.argmax(axis=1)))
    residual = float(np.sum((expected.astype(np.float64) - outputs) ** 2))
    total = float(np.sum((expected.astype(np.float64) - expected.mean(dtype=np.float64)) ** 2))
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1 - residual / total


class Part:
    """Rows of a part as an artifact takes them: raw, or encoded by the preprocess.json that the artifact itself holds."""

    def __init__(self, prepared: Any, part: str, predictor: Predictor, artifact: Path):
        self._inputs = prepared.inputs(part)
        keeps = raw.of(prepared.meta.preprocess).has_raw(prepared.meta.preprocess)
        self._raw = prepared.raw(part) if predictor.raw_input and keeps else None
        self._preprocess = None if predictor.raw_input else json.loads(companions.read(artifact)[companions.PREPROCESS])

    def take(self, rows: np.ndarray) -> dict[str, Any]:
        """Those rows, by index in ascending order."""
        if self._raw is not None:
            return {
                name: column[rows] if hasattr(column, "shape") else [column[i] for i in rows]
                for name, column in self._raw.items()
            }
        chosen = {name: value[rows] for name, value in self._inputs.items()}
        return chosen if self._preprocess is None else candidates.encode(self._preprocess, chosen)


def measure_latency(
    predictor: Predictor, row: dict[str, Any], threads: int = 1, seconds: float = _LATENCY_S
) -> tuple[Latency, np.ndarray]:
    """Time of one example, batch 1, after warming up; and the row's outputs. About `seconds` at most. `threads` is what the
    predictor was loaded with."""
    import numpy as np

    outputs = predictor.predict(row)
    single = predictor.single(row)
    began = time.perf_counter()
    warm = 0
    while warm < 3 or (warm < 20 and time.perf_counter() - began < seconds / 4):
        single()
        warm += 1
    times: list[float] = []
    began = time.perf_counter()
    spent = 0.0
    while len(times) < 5 or spent < min(seconds, _LATENCY_LEAST_S) or (len(times) < _LATENCY_RUNS and spent < seconds):
        start = time.perf_counter()
        single()
        end = time.perf_counter()
        times.append(end - start)
        spent = end - began
    median, p90 = np.percentile(np.array(times) * 1e3, [50, 90])
    latency = Latency(
        median_ms=float(median), p90_ms=float(p90), runs=len(times), threads=threads, machine=machine(), warm_up=warm
    )
    return latency, outputs


def model_outputs(source: candidates.Candidate, inputs: dict[str, np.ndarray], batch: int = 1024) -> np.ndarray:
    """The float model's outputs float32 [n, outputs] for prepared inputs."""
    model = source.model
    from automl.training import prediction

    return prediction.predict(model, source.encode(inputs), batch)


def _samples(source: candidates.Candidate, prepared: Any) -> dict[str, Any]:
    """The content of samples.json: the first validation rows, raw, with the float model's outputs, as many as `SAMPLE_BYTES`
    hold.

    `inputs` is a list of dicts, of which each modality has its form (`automl.export.raw`): of tables from column to value.
    """
    count = min(SAMPLE_ROWS, len(next(iter(prepared.inputs("validation").values()))))
    rows, inputs = raw.of(source.preprocess).samples(prepared, count)
    answers = [[float(f"{v:.7g}") for v in row] for row in model_outputs(source, inputs)]
    found = {"inputs": rows, "outputs": answers}
    while len(rows) > 1 and len(zlib.compress(_json(found), 9)) > SAMPLE_BYTES:
        rows, answers = rows[:-1], answers[:-1]
        found = {"inputs": rows, "outputs": answers}
    return found


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


class PeakMemory:
    """Growth of this process's peak resident memory from here on; None where the system doesn't tell.

    Linux keeps a peak that a process may reset for itself; elsewhere the peak since the process began can't be told apart
    from what was loaded before the artifact, so nothing is reported.
    """

    _status, _reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._before: int | None = None
        if self._status.exists() and os.access(self._reset, os.W_OK):
            self._reset.write_text("5")  # "5": the peak becomes the present size (proc(5))
            self._before = self._read("VmRSS")

    def growth_bytes(self) -> int | None:
        if self._before is None:
            return None
        return max(0, self._read("VmHWM") - self._before)

    def _read(self, field: str) -> int:
        for line in self._status.read_text().splitlines():
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
        raise Internal(f"{self._status} has no field {field}")


def machine() -> str:
    """The machine as a report names it: processor, cores that this process may use, system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    return f"{name}, {cores()} cores, {platform.system()} {platform.machine()}"


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")
    temporary.replace(path)
