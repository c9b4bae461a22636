"""Quantisation-aware training: where plain int8 loses, it wins most of it back; what it can't take says so."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pytest

from automl.compression import qat
from automl.execution import children
from automl.export import candidate as candidates
from automl.export import tflite
from automl.training import prediction
from tests.unit.compression.conftest import Trained
from tests.unit.export import planted

OUTLIER = 200.0
"""Factor on one hidden unit, and its inverse behind it: the same function, and a range of activations in which the other
units have one or two of the 256 steps."""


def stretched(source: planted.Planted, folder: pathlib.Path) -> planted.Planted:
    """The planted table's network with one unit of each hidden layer blown up, its head named as the trainer names it."""
    shutil.copytree(source.candidate, folder)
    old = prediction.load(folder / "model.keras")

    def renamed(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Dense) and layer.units == 3:
            config["name"] = "logits"
        return type(layer).from_config(config)

    model = keras.models.clone_model(old, clone_function=renamed)
    model.set_weights(old.get_weights())
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    readers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][1:]
    for norm, reader in zip(norms, readers, strict=True):
        weights, kernel = norm.get_weights(), reader.get_weights()
        unit = int(np.argmax(np.abs(weights[0])))
        weights[0][unit] *= OUTLIER
        weights[1][unit] *= OUTLIER
        kernel[0][unit] /= OUTLIER
        norm.set_weights(weights)
        reader.set_weights(kernel)
    model.save(folder / "model.keras")
    made = candidates.Candidate(folder)
    np.save(folder / "validation.npy", prediction.predict(model, made.encode(source.data.inputs("validation"))))
    return planted.Planted(source.data, folder)


def request(model: planted.Planted, out: pathlib.Path, **more: Any) -> dict[str, Any]:
    return {
        "candidate": str(model.candidate), "prepared": str(model.data.path), "out": str(out), "metric": "log-loss",
        "time_s": 200.0, "seed": 1, "threads": 1, "settings": {"rate": 3e-3}, **more,
    }


def point(model: planted.Planted, folder: pathlib.Path) -> dict[str, Any]:
    asked = {**request(model, folder), "candidate": str(folder), "precision": "int8", "rows": None, "time_s": 20.0}
    return children.run_in_child("automl.compression.point:measure", asked, timeout_s=300)


def test_it_wins_back_most_of_what_plain_int8_loses(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    model = stretched(table, tmp_path / "candidate")
    out = tmp_path / "out"
    answer = children.run_in_child("automl.compression.qat:train", request(model, out), timeout_s=600)
    plain, trained = point(model, model.candidate), point(model, out)
    assert plain["value"] - plain["float"] > 0.01
    assert trained["value"] - plain["float"] <= 0.5 * (plain["value"] - plain["float"])
    made = candidates.Candidate(out)
    assert made.trained_for("int8") is not None
    assert made.recipe.params_of("quantization-qat") == {"rate": 3e-3}
    assert trained["float"] == pytest.approx(plain["float"])
    assert "layers" in answer["notes"][0]
    # The kernels are integers in the file.
    assert any(w.dtype == np.int8 for w in tflite.weight_arrays(made.trained_for("int8").read_bytes()))


def test_pictures_come_in_as_bytes(bars: Trained, tmp_path: pathlib.Path) -> None:
    asked = {**bars.request(tmp_path / "out", rate=3e-4), "time_s": 200.0}
    children.run_in_child("automl.compression.qat:train", asked, timeout_s=600)
    made = candidates.Candidate(tmp_path / "out")
    runtime = tflite.TFLitePredictor(made.trained_for("int8").read_bytes(), 1)
    images = np.asarray(bars.data.inputs("validation")["image"])
    outputs = runtime.predict({"image": images})
    assert images.dtype == np.uint8
    agreement = (outputs.argmax(axis=1) == np.load(tmp_path / "out" / "validation.npy").argmax(axis=1)).mean()
    assert agreement > 0.9


def test_what_stands_mostly_in_unknown_layers_is_not_for_it(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    from automl.compression import finetuning

    with pytest.raises((qat.NotForQat, finetuning.Untrained)):
        qat.train(request(texts, tmp_path / "out"))
