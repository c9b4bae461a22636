"""A case in which plain int8 loses more than a point, and what quantisation-aware training wins back of it.

A network of depthwise convolutions learns MNIST; then, behind each of its normalisations that a rectifier follows, some
channels are made up to 30 times as large and what reads them as many times smaller: max(0, c·x) = c·max(0, x), so the
function is the same to rounding, and the other channels have few of the 256 steps of an activation's range. (Networks that
were trained for long get there by themselves: this is what equalisation across layers undoes, Nagel et al., ICCV 2019.) The
ladder's rung is run on it, and the written files are scored on rows that neither training has seen.
"""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import rows

NAME = "qat"
AIM = "where plain int8 loses more than a point, quantisation-aware training recovers at least half (means of the seeds)"
TRAIN, TEST = 6_000, 10_000
EPOCHS = 10
TECHNIQUES = ("adam", "batch-norm", "cross-entropy", "he", "one-cycle", "relu", "standardization")
STRETCHED = 0.1
"""Share of the channels."""
MOST = 30.0
TIME_S = 180.0
"""Of the rung."""


def measure(given: rows.Given) -> dict[str, Any]:
    assert given.data is not None, "--data is needed"
    data = given.data
    found = []
    for seed in range(given.seeds):
        unit = given.unit(NAME, {"seed": seed}, lambda seed=seed: case(data, given.work, seed, given.factor))
        found += [] if unit is None else [unit]
    sound = [u for u in found if "fault" not in u]
    recovered = [u["recovered"] for u in sound]
    conditions = [len(sound) == len(found)]
    if sound:
        conditions += [float(np.mean([u["plain_loss"] for u in sound])) > 0.01, float(np.mean(recovered)) >= 0.5]
    return {"units": found, "met": rows.verdict(conditions, len(found) == given.seeds)}


def table(result: dict[str, Any]) -> str:
    lines = ["| seed | float | plain int8 | QAT int8 | recovered | of its kernels int8 |", "|---|---|---|---|---|---|"]
    for u in result["units"]:
        if "fault" in u:
            lines.append(f"| {u['seed']} | {u['fault'][:120]} | | | | |")
        else:
            lines.append(
                f"| {u['seed']} | {u['float']:.4f} | {u['plain']:.4f} | {u['qat']:.4f} | {u['recovered']:.0%} | "
                f"{u['integer_weights']:.1%} |"
            )
    return "\n".join(lines)


def case(data: Path, work: Path, seed: int, factor: float) -> dict[str, Any]:
    from automl.data.inspection import inspect
    from automl.data.prepare import prepare
    from automl.data.source import Source
    from automl.execution import children
    from automl.export import candidate as candidates
    from automl.export import tflite
    from automl.spec import Choice, Fidelity, JobSpec, Recipe
    from automl.training import trainer

    folder = work / f"qat-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images, labels = _mnist(data, "train")
    chosen = np.random.default_rng(seed).permutation(len(labels))[:TRAIN]
    np.savez(folder / "digits.npz", x=images[chosen], y=labels[chosen])
    task = "image-classification"
    source = Source(folder / "digits.npz", "digits.npz")
    source = Source(source.path, source.filename, inspect(source))
    prepared = prepare(JobSpec(task=task, dataset="mnist"), task, source, None, folder / "prepared")
    recipe = Recipe(
        task=task, seed=seed, epochs=EPOCHS, batch_size=64,
        architecture=Choice(id="mobilenet", params={"width": 16, "stages": 2, "blocks": 1, "expansion": 3, "kernel": 3}),
        techniques=tuple(Choice(id=id) for id in TECHNIQUES),
    )
    trainer.train(
        recipe, prepared, fidelity=Fidelity(epochs=EPOCHS), metric="accuracy", workdir=folder / "trained",
        on_epoch=lambda measurement: True, threads=2,
    )
    made = stretched(folder / "trained", folder / "stretched", prepared, np.random.default_rng([seed, 1]))
    asked = {
        "candidate": str(made), "prepared": str(prepared.path), "out": str(folder / "qat"), "metric": "accuracy",
        "time_s": factor * TIME_S, "seed": seed, "threads": 2, "settings": {"rate": 3e-4},
    }
    answer = children.run_in_child("automl.compression.qat:train", asked, timeout_s=3 * TIME_S)
    test, truth = _mnist(data, "t10k")
    rows_given = {"image": test[:TEST, :, :, None]}

    def score(content: bytes) -> float:
        outputs = np.concatenate([
            tflite.TFLitePredictor(content, 1).predict({"image": rows_given["image"][i : i + 500]})
            for i in range(0, TEST, 500)
        ])
        return float((outputs.argmax(axis=1) == truth[:TEST]).mean())

    source_model = candidates.Candidate(made)
    floating = score(tflite.contents(source_model, prepared.path, "float32", seed))
    plain = score(tflite.contents(source_model, prepared.path, "int8", seed))
    content = tflite.contents(candidates.Candidate(folder / "qat"), prepared.path, "int8", seed)
    trained = score(content)
    weights = tflite.weight_arrays(content)
    return {
        "float": floating, "plain": plain, "qat": trained, "plain_loss": floating - plain,
        "recovered": (trained - plain) / max(1e-9, floating - plain),
        "integer_weights": sum(w.size for w in weights if w.dtype == np.int8) / sum(w.size for w in weights),
        "notes": answer["notes"],
    }


def stretched(candidate: Path, out: Path, prepared: Any, rng: np.random.Generator) -> Path:
    """The candidate with channels of its activations stretched, and what reads them shrunk."""
    from automl.export import candidate as candidates
    from automl.training import prediction

    shutil.copytree(candidate, out)
    model = prediction.load(out / "model.keras")
    for norm in (layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"):
        chain = [_reader(norm)]
        if type(chain[0]).__name__ not in ("Activation", "ReLU"):
            continue
        reader = _reader(chain[0])
        kind = type(reader).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D"):
            continue
        weights, kernel = norm.get_weights(), reader.get_weights()
        channels = rng.random(len(weights[0])) < STRETCHED
        factors = np.where(channels, rng.uniform(MOST / 3, MOST, len(weights[0])), 1.0).astype(np.float32)
        weights[0], weights[1] = weights[0] * factors, weights[1] * factors
        kernel[0] = kernel[0] / factors[None, None, :, None]
        norm.set_weights(weights)
        reader.set_weights(kernel)
    model.save(out / "model.keras")
    made = candidates.Candidate(out)
    np.save(out / "validation.npy", prediction.predict(model, made.encode(prepared.inputs("validation"))))
    return out


def _reader(layer: Any) -> Any:
    nodes = layer._outbound_nodes
    return nodes[0].operation if len(nodes) == 1 else None


def _mnist(data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(data / "mnist" / f"{part}-images-idx3-ubyte.gz") as file:
        _, n, height, width = struct.unpack(">4I", file.read(16))
        images = np.frombuffer(file.read(), np.uint8).reshape(n, height, width)
    with gzip.open(data / "mnist" / f"{part}-labels-idx1-ubyte.gz") as file:
        file.read(8)
        return images, np.frombuffer(file.read(), np.uint8).astype(np.int64)
