"""Quantisation-aware training: where plain int8 loses, it wins most of it back; what it can't take says so."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from automl.compression import finetuning, pointwise, qat
from automl.execution import children
from automl.export import candidate as candidates
from automl.export import tflite
from automl.training import prediction
from tests.unit.compression.conftest import Trained
from tests.unit.export import planted
from tests.unit.export.test_formats import write

OUTLIER = 200.0
"""Factor on one hidden unit, and its inverse behind it: the same function, and a range of activations in which the other
units have one or two of the 256 steps."""


def stretched(source: planted.Planted, folder: pathlib.Path, outlier: float = OUTLIER) -> planted.Planted:
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
        weights[0][unit] *= outlier
        weights[1][unit] *= outlier
        kernel[0][unit] /= outlier
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
    asked = {**request(model, folder), "candidate": str(folder), "precision": "int8", "rows": None, "time_s": 20.0,
             "max_size_bytes": None}
    return children.run_in_child("automl.export.point:measure", asked, timeout_s=300)


@pytest.mark.slow
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
    # All kernels are integers in the file: those with a normalisation behind them too, which converters leave float.
    content = made.trained_for("int8").read_bytes()
    assert {str(w.dtype) for w in tflite.weight_arrays(content)} == {"int8"}
    # As slim as others: constants of a few numbers have no name.
    file = schema.ModelT.InitFromPackedBuf(content, 0)
    held = {n: len(buffer.data) for n, buffer in enumerate(file.buffers) if buffer.data is not None}
    few = [t for t in file.subgraphs[0].tensors if 0 < held.get(t.buffer, 0) <= 16]
    assert few
    assert {t.name for t in few} == {None}


def test_zeros_and_shared_values_stay_in_the_file(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    """PQAT, PCQAT and CQAT in one network: half of the first kernel is zero, the second has zeros and eight values, the
    third eight values and no zeros (which switches tfmot's own scheme off for all layers)."""
    model = stretched(table, tmp_path / "candidate", outlier=1.0)
    network = prediction.load(model.candidate / "model.keras")
    first, second, third = (layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
    zeros = {layer.name: half_zero(layer) for layer in (first, second)}
    for layer in (second, third):
        kernel, *rest = layer.get_weights()
        bounds = np.quantile(kernel[kernel != 0], np.linspace(0, 1, 8 if layer is second else 9))
        values = (bounds[:-1] + bounds[1:]) / 2
        nearest = values[np.abs(kernel[..., None] - values).argmin(axis=-1)]
        layer.set_weights([np.where(kernel == 0, 0, nearest), *rest])
    network.save(model.candidate / "model.keras")

    asked = {**request(model, tmp_path / "out"), "time_s": 120.0}
    answer = children.run_in_child("automl.compression.qat:train", asked, timeout_s=600)

    content = candidates.Candidate(tmp_path / "out").trained_for("int8").read_bytes()
    of_size = {w.size: w for w in tflite.weight_arrays(content) if w.dtype == np.int8}
    written = [of_size[int(np.prod(layer.kernel.shape))] for layer in (first, second, third)]
    for layer, weights in zip((first, second), written, strict=False):
        # Each zero is at its place; of the others one that training made smaller than half a step may join them.
        place = (np.asarray(layer.kernel) == 0).T.reshape(-1)
        assert int(place.sum()) == zeros[layer.name]
        assert not weights.reshape(-1)[place].any()
        assert int((weights.reshape(-1)[~place] == 0).sum()) <= 0.01 * weights.size
    assert len(np.unique(written[0])) > 50
    assert [len(np.unique(w)) for w in written[1:]] == [len(np.unique(layer.kernel)) for layer in (second, third)] <= [8, 8]
    assert "zeros are kept in 2; shared values are kept in 2" in answer["notes"][0]


def test_dense_layers_become_convolutions_of_the_same_function() -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((6,), name="numeric")
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(keras.layers.Dense(5)(given)))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(4, use_bias=False)(x))
    x = keras.layers.Concatenate()([x, keras.layers.Dense(2, activation="tanh")(given)])
    model = keras.Model({"numeric": given}, keras.layers.Dense(3)(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in layer.get_weights()])
    made = pointwise.rewritten(model)
    assert [type(layer).__name__ for layer in made.layers if layer.weights].count("Conv2D") == 2
    rows = {"numeric": rng.normal(size=(7, 6)).astype(np.float32)}
    np.testing.assert_allclose(made(rows), model(rows), rtol=1e-5, atol=1e-5)


def test_dense_layers_on_places_become_convolutions_of_the_same_function() -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 5, 3), name="image")
    x = keras.layers.Dense(6, activation="gelu")(given)
    x = keras.layers.Dense(2, use_bias=False)(keras.layers.Add()([x, keras.layers.Dense(6)(given)]))
    model = keras.Model({"image": given}, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    made = pointwise.rewritten(model)
    assert [type(layer).__name__ for layer in made.layers if layer.weights].count("Conv2D") == 3
    rows = {"image": rng.normal(size=(7, 4, 5, 3)).astype(np.float32)}
    np.testing.assert_allclose(made(rows), model(rows), rtol=1e-5, atol=1e-5)


def half_zero(layer: Any) -> int:
    """Sets the smaller half of a kernel to zero; how many weights that are."""
    kernel, *rest = layer.get_weights()
    small = np.abs(kernel) < np.median(np.abs(kernel))
    layer.set_weights([np.where(small, 0, kernel), *rest])
    return int(small.sum())


@pytest.mark.parametrize("technique", ["mixed-bit", "rl-sac"])
def test_grids_of_fewer_bits_would_be_lost(technique: str, table: planted.Planted, tmp_path: pathlib.Path) -> None:
    model = stretched(table, tmp_path / "candidate")
    recipe = finetuning.with_technique(candidates.Candidate(model.candidate).recipe, technique, {"budget": 4.0})
    (model.candidate / "recipe.json").write_bytes(recipe.canonical_json())
    with pytest.raises(qat.NotForQat, match=technique):
        qat.train(request(model, tmp_path / "out"))


@pytest.mark.slow
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


@pytest.mark.slow
def test_convolutions_along_one_axis_are_trained_under_quantisation(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    """With hardly any rate the file has to answer as the network did that it is made of."""
    folder = tmp_path / "convolved"
    shutil.copytree(table.candidate, folder)
    old = prediction.load(folder / "model.keras")
    keras.utils.set_random_seed(0)
    inputs = {t.name: keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in old.inputs}
    x = keras.layers.Reshape((-1, 1))(inputs["numeric"])
    x = keras.layers.Conv1D(16, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.8)(x))
    x = keras.layers.ReLU()(keras.layers.SeparableConv1D(16, 3, padding="same")(x))
    x = keras.layers.Conv1D(16, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = keras.layers.Dense(16, activation="relu")(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling1D(2, padding="same")(x))
    logits = keras.layers.Dense(3, name="logits")(x)
    model = keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits))
    made = candidates.Candidate(folder)
    x, y = made.encode(table.data.inputs("train")), np.asarray(table.data.target("train"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    model.save(folder / "model.keras")
    rows = made.encode(table.data.inputs("validation"))
    np.save(folder / "validation.npy", expected := prediction.predict(model, rows))

    answer = qat.train(request(planted.Planted(table.data, folder), tmp_path / "out", settings={"rate": 1e-6}))
    assert "layers with 100% of the weights" in answer["notes"][0]
    content = (tmp_path / "out" / "model-int8.tflite").read_bytes()
    assert {w.dtype for w in tflite.weight_arrays(content)} == {np.dtype(np.int8)}
    found = tflite.TFLitePredictor(content, 1).predict(rows)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9
    assert np.abs(found - expected).mean() < 0.03

    # The phone's file has the ranges that were learned, too, and one row at a time: no tensor's size is open.
    artifact, _ = write(planted.Planted(table.data, tmp_path / "out"), tmp_path, "mobile", "int8")
    phone = tflite.load(artifact, 1)
    few = {name: values[:50] for name, values in rows.items()}
    np.testing.assert_allclose(phone.predict(few), found[:50], atol=1 / 256)
    [graph] = schema.ModelT.InitFromPackedBuf(artifact.read_bytes(), 0).subgraphs
    assert [int(graph.tensors[i].shape[0]) for i in graph.inputs] == [1] * len(graph.inputs)
    assert not [t.name for t in graph.tensors if t.shapeSignature is not None and -1 in t.shapeSignature]


def test_what_stands_mostly_in_unknown_layers_is_not_for_it(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    with pytest.raises(qat.NotForQat, match=r"only \d+% of the weights are in layers that tfmot trains"):
        qat.train(request(texts, tmp_path / "out"))
