"""Small prepared data sets and candidates, written as their own modules lay them out, and trained with Keras alone."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from automl.data import encoder, prepared
from automl.spec import Choice, Fidelity, Modality, Outcome, Profile, Recipe
from automl.training.result import TrainResult

CITIES = ("Bonn", "Köln", "Ulm")
WORDS = ("good", "bad", "fast", "slow")


@dataclasses.dataclass(frozen=True)
class Planted:
    """A prepared data set with a trained candidate."""

    data: prepared.PreparedDataset
    candidate: pathlib.Path


def run_here(
    *, target: str, request: dict[str, Any], timeout_s: float, memory_bytes: int | None = None,
    env: Mapping[str, str] | None = None, preload: str | None = None,
) -> dict[str, Any]:
    """In this process: for tests of what the parts do rather than of where they run."""
    import importlib

    module, _, name = target.partition(":")
    return dict(json.loads(json.dumps(getattr(importlib.import_module(module), name)(request))))


def table_columns(rng: np.random.Generator, n: int) -> dict[str, list[str]]:
    """Raw text columns of every kind, with missing and unseen values."""

    def sometimes_missing(values: list[str], share: float = 0.05) -> list[str]:
        return ["?" if rng.random() < share else value for value in values]

    return {
        "age": sometimes_missing([f"{v:.1f}" for v in rng.normal(40, 10, n)]),
        "income": sometimes_missing([str(int(v)) for v in rng.lognormal(10, 1, n)]),
        "city": sometimes_missing([str(c) for c in rng.choice([*CITIES, "Trier"], n, p=[0.4, 0.3, 0.25, 0.05])]),
        "member": sometimes_missing([str(c) for c in rng.choice(["yes", "no"], n)]),
        "since": sometimes_missing(
            [f"{rng.integers(1990, 2025)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}" for _ in range(n)]
        ),
        "remark": [" ".join(rng.choice(WORDS, rng.integers(0, 5))) for _ in range(n)],
    }


def table_preprocess(classes: tuple[str, ...]) -> dict[str, Any]:
    """The unfitted part of preprocess.json for `table_columns`."""
    columns: list[dict[str, Any]] = [
        {"name": "age", "kind": "numeric"}, {"name": "income", "kind": "numeric"},
        {"name": "city", "kind": "categorical", "vocabulary": list(CITIES)},
        {"name": "member", "kind": "boolean", "true": ["yes"], "false": ["no"]},
        {"name": "since", "kind": "date", "format": "iso", "features": list(encoder.DATE_FEATURES)},
        {"name": "remark", "kind": "text", "tokens": list(WORDS[:3]), "idf": [1.5, 1.2, 2.0]},
    ]
    return {
        "version": 1, "modality": "table", "task": "tabular-classification" if classes else "tabular-regression",
        "kind": "classification" if classes else "regression", "target": "y", "classes": list(classes),
        "metric": "accuracy" if classes else "r2", "output": "probabilities" if classes else "prediction",
        "missing": list(encoder.MISSING), "columns": columns,
        "numeric": [name for column in columns for name in encoder.feature_names(column)],
        "categorical": ["city"], "cardinalities": [len(CITIES) + 2],
    }


def plant_table(folder: pathlib.Path, *, regression: bool = False, parts: tuple[int, int, int] = (600, 150, 200)) -> Planted:
    """A table whose target follows from age, city and remark; an MLP that has learnt it well enough to lose something."""
    import keras

    rng = np.random.default_rng(7)
    classes = () if regression else ("high", "low", "middle")
    preprocess = table_preprocess(classes)
    n = sum(parts)
    raw = table_columns(rng, n)
    inputs = encoder.raw_inputs(preprocess, raw)
    latent = (
        np.nan_to_num(inputs["numeric"][:, 0] - 40) / 10 + (inputs["categorical"][:, 0] - 2) * 0.8
        + inputs["numeric"][:, preprocess["numeric"].index("remark:good")] + rng.normal(0, 0.1, n)
    )
    y = (100 * latent).astype(np.float32) if regression else np.digitize(
        latent, np.quantile(latent, [1 / 3, 2 / 3])
    ).astype(np.int32)
    data = _write_prepared(folder / "data", preprocess, inputs, y, parts, raw)

    train = {name: value[: parts[0]] for name, value in inputs.items()}
    incomplete = np.flatnonzero(np.isnan(train["numeric"]).any(axis=0)).tolist()
    mean, std = np.nanmean(train["numeric"], axis=0), np.nanstd(train["numeric"], axis=0) + 1e-6
    d = len(preprocess["numeric"])
    fitted = encoder.TableEncoder(preprocess, [
        {"op": "indicators", "columns": incomplete},
        {"op": "signed-log", "columns": [1]},
        {"op": "interpolate", "knots": [[20.0, 40.0, 60.0] if i == 0 else [] for i in range(d)],
         "values": [[20.0, 40.0, 60.0] if i == 0 else [] for i in range(d)]},
        {"op": "affine", "shift": [9.0 if i == 1 else float(m) for i, m in enumerate(mean)],
         "scale": [1.0 if i == 1 else float(1 / s) for i, s in enumerate(std)]},
        {"op": "smooth-clip", "limit": 3.0}, {"op": "clip", "low": -2.5, "high": 2.5},
        {"op": "impute", "values": [0.1 * i for i in range(d)]},
    ])
    x = fitted.transform(train)
    layers = keras.layers
    keras.utils.set_random_seed(3)
    numeric = keras.Input((x["numeric"].shape[1],), name="numeric")
    categorical = keras.Input((1,), dtype="int32", name="categorical")
    hidden = layers.Concatenate()([numeric, layers.Flatten()(layers.Embedding(len(CITIES) + 2, 4)(categorical))])
    for _ in range(2):
        hidden = layers.Dense(48, use_bias=False)(hidden)
        hidden = layers.BatchNormalization(momentum=0.9)(hidden)
        hidden = layers.Activation("relu")(hidden)
    if regression:
        output: Any = layers.Rescaling(float(y.std()), offset=float(y.mean()), name="prediction")(layers.Dense(1)(hidden))
        loss: Any = "mse"
        target: Any = y[: parts[0], None]
    else:
        output, loss, target = layers.Softmax()(layers.Dense(3)(hidden)), "sparse_categorical_crossentropy", y[: parts[0]]
    model: Any = keras.Model({"numeric": numeric, "categorical": categorical}, output, name="model")
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x, target, batch_size=32, epochs=6, verbose=0)
    return Planted(data, _write_candidate(folder / "candidate", model, fitted.to_dict(), "mlp"))


def plant_pictures(
    folder: pathlib.Path, parts: tuple[int, int, int] = (400, 80, 100), *, channels: int = 1
) -> Planted:
    """Bright shapes at one of three places on a noisy ground, and a small convnet with a depthwise block."""
    import keras

    rng = np.random.default_rng(5)
    n = sum(parts)
    y = rng.integers(0, 3, n).astype(np.int32)
    image = rng.integers(0, 90, (n, 12, 12, channels)).astype(np.uint8)
    for i, place in enumerate(y):
        image[i, 4 * place : 4 * place + 4, 2:9] += np.uint8(100)
    classes = ("bottom", "middle", "top")
    preprocess = {
        "version": 1, "modality": "image", "task": "image-classification", "kind": "classification", "target": "label",
        "classes": list(classes), "metric": "accuracy", "output": "probabilities", "height": 12, "width": 12,
        "channels": channels, "resize": "bilinear",
    }
    data = _write_prepared(folder / "data", preprocess, {"image": image}, y, parts, None)
    layers = keras.layers
    keras.utils.set_random_seed(4)
    picture = keras.Input((12, 12, channels), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    y1 = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y1 = layers.BatchNormalization(momentum=0.9)(y1)
    y1 = layers.Conv2D(8, 1)(y1)
    x = layers.Add()([x, y1])
    x = layers.Flatten()(x)
    model: Any = keras.Model({"image": picture}, layers.Softmax()(layers.Dense(3)(x)), name="model")
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit({"image": image[: parts[0]]}, y[: parts[0]], batch_size=32, epochs=4, verbose=0)
    return Planted(data, _write_candidate(folder / "candidate", model, preprocess, "convnet"))


def text_columns(rng: np.random.Generator, n: int) -> dict[str, list[str]]:
    """Messages in two columns of text, with their class."""
    spam = ("claim your PRIZE", "win £1000 now!", "free entry", "urgent: call 08001234567", "cash offer", "click 2 win")
    ham = ("see you at noon", "home late today", "did you eat?", "call mum, ok", "meeting moved", "thanks :)")
    label = rng.choice(["ham", "spam"], n)
    return {
        "message": [" ".join(rng.choice(spam if c == "spam" else ham, 3)) + f" {i}" for i, c in enumerate(label)],
        "sender": [
            " ".join(rng.choice(("prize desk", "the winner's club") if c == "spam" else ("my mum", "an old friend"), 2))
            for c in label
        ],
        "label": [str(c) for c in label],
    }


def plant_texts(folder: pathlib.Path, rows: int = 400) -> Planted:
    """Prepared messages and a bag of words that has learnt to tell them apart."""
    import csv

    import keras

    from automl.architectures import model as architectures
    from automl.catalog import TrainPlan
    from automl.data.prepare import prepare
    from automl.data.source import Source
    from automl.spec import ColumnKind, DataSettings, JobSpec
    from automl.tasks import head

    raw = text_columns(np.random.default_rng(3), rows)
    with (folder / "messages.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(raw)
        writer.writerows(zip(*raw.values()))
    kinds = {"message": ColumnKind.TEXT, "sender": ColumnKind.TEXT}
    settings = DataSettings(target="label", test_fraction=0.25, kinds=kinds)
    spec = JobSpec(dataset="d", data=settings, metric="accuracy")
    data = prepare(spec, "text-classification", Source(folder / "messages.csv"), None, folder / "data")
    family = Choice(id="text-bag", params={"width": 16, "pairs": 8192})
    recipe = Recipe(task="text-classification", architecture=family, seed=2)
    x, y = dict(data.inputs("train")), data.target("train")
    keras.utils.set_random_seed(3)
    core = architectures.build_core(recipe, TrainPlan(), data.meta.profile, data.meta.preprocess, x)
    model = head.inference_model(core, data.meta)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit({name: np.asarray(v) for name, v in x.items()}, y, batch_size=32, epochs=5, verbose=0)
    return Planted(data, _write_candidate(folder / "candidate", model, data.meta.preprocess, "text-bag"))


def waves(rows: int = 80, seed: int = 0) -> list[np.ndarray]:
    """Slow and quick waves in turn, of lengths of their own, with gaps: two channels."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(rows):
        t = np.arange(rng.integers(12, 25))
        one = np.stack([np.sin(t * (0.5, 1.5)[i % 2] + rng.uniform(0, 6)), np.cos(t)], axis=1)
        one = (one + rng.normal(0, 0.1, one.shape)).round(4)
        one[rng.random(one.shape) < 0.05] = np.nan
        found.append(one)
    return found


def text_of(value: float) -> str:
    return "?" if np.isnan(value) else str(value)


def ts(path: pathlib.Path, values: list[np.ndarray], labelled: bool = True) -> pathlib.Path:
    lines = ["@classLabel true slow quick" if labelled else "@classLabel false", "@data"]
    for i, one in enumerate(values):
        fields = [",".join(map(text_of, channel)) for channel in one.T]
        lines.append(":".join([*fields, *([("slow", "quick")[i % 2]] if labelled else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def plant_series(folder: pathlib.Path, rows: int = 120) -> Planted:
    """Prepared waves and random convolutions whose last layer has learnt to tell them apart."""
    import keras

    from automl.architectures import model as architectures
    from automl.catalog import TrainPlan
    from automl.data.prepare import prepare
    from automl.data.source import Source
    from automl.spec import DataSettings, JobSpec
    from automl.tasks import head

    spec = JobSpec(dataset="d", data=DataSettings(test_fraction=0.25), metric="accuracy")
    data = prepare(spec, "timeseries-classification", Source(ts(folder / "waves.ts", waves(rows))), None, folder / "data")
    family = Choice(id="rocket", params={"dilations": 2, "features_each": 1})
    recipe = Recipe(task="timeseries-classification", architecture=family, seed=2)
    x, y = {name: np.asarray(v) for name, v in data.inputs("train").items()}, data.target("train")
    keras.utils.set_random_seed(3)
    core = architectures.build_core(recipe, TrainPlan(), data.meta.profile, data.meta.preprocess, x)
    model = head.inference_model(core, data.meta)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(x, y, batch_size=16, epochs=6, verbose=0)
    return Planted(data, _write_candidate(folder / "candidate", model, data.meta.preprocess, "rocket"))


def _write_prepared(
    path: pathlib.Path, preprocess: dict[str, Any], inputs: dict[str, Any], y: Any, parts: tuple[int, int, int],
    raw: dict[str, list[str]] | None,
) -> prepared.PreparedDataset:
    (path / "test").mkdir(parents=True)
    seen = parts[0] + parts[1]
    regression = preprocess["kind"] == "regression"
    arrays = {**inputs, "target": y}
    if raw is not None:
        texts = [c["name"] for c in preprocess["columns"] if c["kind"] != "numeric"]
        cells = np.array([["" if v in encoder.MISSING else v for v in raw[name]] for name in texts])
        distinct, codes = np.unique(cells, return_inverse=True)
        encoded = [str(v).encode() for v in distinct]
        np.save(path / "raw_values.npy", np.frombuffer(b"".join(encoded), np.uint8))
        np.save(path / "raw_offsets.npy", np.cumsum([0, *map(len, encoded)]).astype(np.int64))
        codes = codes.reshape(cells.shape).astype(np.int32)
        np.save(path / "raw.npy", codes[:, :seen])
        np.save(path / "test" / "raw.npy", codes[:, seen:])
    for name, value in arrays.items():
        np.save(path / f"{name}.npy", value[:seen])
        np.save(path / "test" / f"{name}.npy", value[seen:])
    meta = prepared.PreparedMeta(
        task=preprocess["task"], kind=preprocess["kind"], modality=Modality(preprocess["modality"]),
        target=preprocess["target"],
        classes=tuple(preprocess["classes"]), parts=dict(zip(("train", "validation", "test"), parts)),
        profile=Profile(modality=Modality(preprocess["modality"]), task=preprocess["task"], rows=parts[0]),
        findings=(), key="k" * 64, content="c" * 64,
        preprocess=preprocess,
        **({
            "target_mean": float(y.mean()), "target_std": float(y.std()),
            "target_min": float(y.min()), "target_max": float(y.max()),
        }
           if regression else {}),
    )
    prepared.write_meta(path / "meta.json", meta)
    return prepared.PreparedDataset.open(path)


def _write_candidate(path: pathlib.Path, model: Any, preprocess: dict[str, Any], architecture: str) -> pathlib.Path:
    """`model` is saved without its optimizer, as the trainer does."""
    import keras

    path.mkdir()
    keras.Model(model.input, model.output, name="model").save(path / "model.keras")
    recipe = Recipe(task=preprocess["task"], architecture=Choice(id=architecture))
    (path / "preprocess.json").write_text(json.dumps(preprocess))
    (path / "recipe.json").write_bytes(recipe.canonical_json())
    account = TrainResult(
        outcome=Outcome.COMPLETED, recipe=recipe.identity, part="train", metric=preprocess["metric"],
        fidelity=Fidelity(epochs=6),
        epochs_done=6, best_epoch=6, score=0.9, validation={preprocess["metric"]: 0.9}, parameters=model.count_params(),
    )
    (path / "result.json").write_text(json.dumps(account.to_dict()))
    return path
