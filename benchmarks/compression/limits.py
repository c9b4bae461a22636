"""Small files of cifar10_subset: what a job delivers under a limit of size beside "train small, then quantise".

The plain path is what a practitioner writes by hand: a convnet as wide as its int8 file allows, trained on all of the
training pictures for the same wall-clock time (flips and shifts, Adam on half a cosine), and given to TFLite's converter.
Both are scored on the same test pictures, which neither has seen.
"""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import jobs, peers, rows
from benchmarks.compression.delivered import encoded, score
from benchmarks.mainjob import sets as mainjob

NAME = "size-limits"
AIM = "the metric at 20, 50, 100 and 200 KB is at or above that of “train small, then PTQ” (mean of the seeds, within 0.005)"
LIMITS_KB = (20, 50, 100, 200)
BUDGET_S = 600.0
WIDTHS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80)
NOISE = 0.005
"""Means of the seeds that differ by less are equal."""


def measure(given: rows.Given) -> dict[str, Any]:
    assert given.data is not None, "--data is needed"
    data, found = given.data, []
    for limit in LIMITS_KB:
        for seed in range(given.seeds):
            for how, run in (("job", job), ("plain", plain)):
                unit = given.unit(
                    NAME, {"limit_kb": limit, "seed": seed, "how": how},
                    lambda run=run, limit=limit, seed=seed: run(data, limit, seed, given.factor * BUDGET_S),
                )
                found += [] if unit is None else [unit]
    conditions = ["fault" not in u and u["bytes"] <= 1000 * u["limit_kb"] for u in found if u["how"] == "job"]
    for limit in LIMITS_KB:
        ours, theirs = means(found, limit)
        if ours is not None and theirs is not None:
            conditions.append(ours >= theirs - NOISE)
    return {"units": found, "met": rows.verdict(conditions, len(found) == 2 * len(LIMITS_KB) * given.seeds)}


def means(units: list[dict[str, Any]], limit: int) -> tuple[float | None, float | None]:
    """Of the job and of the plain path at a limit."""
    found = [
        [u["metric"] for u in units if u["limit_kb"] == limit and u["how"] == how and "fault" not in u]
        for how in ("job", "plain")
    ]
    ours, theirs = (float(np.mean(values)) if values else None for values in found)
    return ours, theirs


def differences(units: list[dict[str, Any]], limit: int) -> list[float]:
    """Job less plain path, of each seed that has both."""
    known = {(u["seed"], u["how"]): u["metric"] for u in units if u["limit_kb"] == limit and "fault" not in u}
    return [known[s, "job"] - known[s, "plain"] for s, how in known if how == "job" and (s, "plain") in known]


def table(result: dict[str, Any]) -> str:
    lines = [
        "| limit | job | plain path | job − plain (each seed) | files of the jobs | of the plain path |",
        "|---|---|---|---|---|---|",
    ]
    for limit in LIMITS_KB:
        ours, theirs = means(result["units"], limit)
        files = [
            ", ".join(
                u["fault"][:60] if "fault" in u else f"{u['bytes'] / 1e3:.1f} KB"
                for u in result["units"] if u["limit_kb"] == limit and u["how"] == how
            )
            for how in ("job", "plain")
        ]
        shown = ["" if value is None else f"{value:.4f}" for value in (ours, theirs)]
        if ours is not None and theirs is not None:
            each = ", ".join(f"{d:+.4f}" for d in differences(result["units"], limit))
            shown.append(f"{ours - theirs:+.4f} ({each})")
        else:
            shown.append("")
        lines.append(f"| {limit} KB | {' | '.join(shown)} | {' | '.join(files)} |")
    return "\n".join(lines)


def job(data: Path, limit_kb: int, seed: int, budget_s: float) -> dict[str, Any]:
    with jobs.place() as (user, work):
        prepared = mainjob.cifar10_subset(data, work)
        result = jobs.submitted(
            user, work / "out", str(prepared.train), "--max-size", f"{limit_kb}KB", "--format", "tflite:int8",
            budget_s=budget_s, seed=seed,
        )
        if not result.get("artifacts"):
            raise RuntimeError(f"nothing was delivered: {result['state']} {result['said'][-800:]}")
        file = Path(result["artifacts"][0]["path"])
        inputs, truth, classes = encoded(file, prepared)
        metric = score(peers.litert(file.read_bytes())(inputs), truth, classes, prepared)
        return {"metric": metric, **jobs.measured(file), "wall_job_s": result["wall_s"]}


def plain(data: Path, limit_kb: int, seed: int, budget_s: float) -> dict[str, Any]:
    import keras

    from automl.export import tflite

    keras.utils.set_random_seed(seed)
    (x, y), (test, truth) = _pictures(data)
    rng = np.random.default_rng(seed)

    def converted(model: Any) -> bytes:
        return tflite.convert(model, "int8", {"image": x[:200]})

    # The widest whose file fits; the limit holds the weights and the graph alone.
    width = max((w for w in WIDTHS if _weights(w) * 1.08 + 6_000 <= 1000 * limit_kb), default=WIDTHS[0])
    model = _convnet(width)
    while len(content := converted(model)) > 1000 * limit_kb and width > WIDTHS[0]:
        width = WIDTHS[WIDTHS.index(width) - 1]
        model = _convnet(width)
    ends, began, batch = time.monotonic() + 0.95 * budget_s, time.monotonic(), 64
    logits = keras.Model(model.input, model.get_layer("logits").output)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits.compile(keras.optimizers.Adam(2e-3), loss, jit_compile=False)
    while time.monotonic() < ends:
        order = rng.permutation(len(y))
        for i in range(0, len(y) - batch + 1, batch):
            share = min(1.0, (time.monotonic() - began) / (ends - began))
            logits.optimizer.learning_rate.assign(2e-3 * (1 + np.cos(np.pi * share)) / 2)
            chosen = order[i : i + batch]
            logits.train_on_batch(_moved(x[chosen], rng), y[chosen])
            if share >= 1.0:
                break
    content = converted(model)
    outputs = peers.litert(content)({"image": test})
    return {"metric": float((outputs.argmax(axis=1) == truth).mean()), "bytes": len(content), "width": width}


def _convnet(width: int) -> Any:
    """Three pairs of convolutions, twice as wide after each pool; a mean; a softmax."""
    import keras

    layers = keras.layers
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    z = layers.Rescaling(1 / 127.5, -1.0)(image)
    for stage in range(3):
        for _ in range(2):
            z = layers.Conv2D(width * 2**stage, 3, padding="same", use_bias=False)(z)
            z = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(z))
        z = layers.MaxPooling2D()(z) if stage < 2 else layers.GlobalAveragePooling2D()(z)
    logits = layers.Dense(10, name="logits")(z)
    return keras.Model({"image": image}, layers.Softmax(name="probabilities")(logits))


def _weights(width: int) -> int:
    total, channels = 0, 3
    for stage in range(3):
        for _ in range(2):
            total += 9 * channels * width * 2**stage + 4 * width * 2**stage
            channels = width * 2**stage
    return total + 10 * (channels + 1)


def _moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flipped by chance, and moved by up to 4 pixels."""
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    made = np.empty_like(x)
    for i in range(len(x)):
        top, left = rng.integers(0, 9, 2)
        picture = padded[i, top : top + 32, left : left + 32]
        made[i] = picture[:, ::-1] if rng.random() < 0.5 else picture
    return made


def _pictures(data: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    from PIL import Image

    found: dict[str, list[tuple[np.ndarray, str]]] = {"train": [], "test": []}
    with zipfile.ZipFile(data / "cifar10_subset" / "cifar10_subset.zip") as archive:
        for info in archive.infolist():
            parts = Path(info.filename).parts
            if info.is_dir() or len(parts) != 4:
                continue
            with archive.open(info) as file:
                picture = np.asarray(Image.open(file).convert("RGB"))
            found["train" if parts[1] == "train" else "test"].append((picture, parts[2]))
    classes = sorted({label for _, label in found["train"]})
    train, test = (
        (np.stack([p for p, _ in part]), np.array([classes.index(label) for _, label in part]))
        for part in (found["train"], found["test"])
    )
    return train, test
