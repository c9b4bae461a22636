"""Smaller flatbuffers that compute the same, number for number."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from automl.export import _slim, inference, tflite
from automl.layers import trees


def converted(function: Any, *specs: tf.TensorSpec) -> bytes:
    module = tf.Module()
    made = tf.function(function, autograph=False).get_concrete_function(*specs)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([made], module).convert())


def run(content: bytes, *inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    for detail, value in zip(interpreter.get_input_details(), inputs):
        interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def stored(content: bytes) -> list[tuple[int, int]]:
    """(type, bytes) of each constant."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffers = [0 if b.data is None else len(b.data) for b in model.buffers]
    return [(t.type, buffers[t.buffer]) for t in model.subgraphs[0].tensors if buffers[t.buffer]]


@pytest.mark.parametrize(("low", "high", "type", "width"), [
    (0, 256, schema.TensorType.UINT8, 1), (-128, 128, schema.TensorType.INT8, 1),
    (-(2**15), 2**15, schema.TensorType.INT16, 2), (0, 2**20, schema.TensorType.INT32, 4),
])
def test_tables_of_whole_numbers_take_the_bits_they_need(low: int, high: int, type: int, width: int) -> None:
    table = np.random.default_rng(0).integers(low, high, 3000).astype(np.int32)
    table[:2] = low, high - 1
    content = converted(lambda at: tf.gather(table, at), tf.TensorSpec((None,), tf.int32))
    slim = _slim.slimmed(content, named=True)
    assert (type, 3000 * width) in stored(slim)
    at = np.arange(3000, dtype=np.int32)
    np.testing.assert_array_equal(run(slim, at), table)


def test_equal_constants_are_stored_once() -> None:
    kernel = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    twin = kernel.copy()
    content = converted(
        lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, kernel)), tf.constant(twin)),
        tf.TensorSpec((None, 40), tf.float32),
    )
    x = np.random.default_rng(1).normal(size=(3, 40)).astype(np.float32)
    slim = _slim.slimmed(content, named=True)
    np.testing.assert_array_equal(run(slim, x), run(content, x))
    assert len(slim) <= len(content)


def test_what_isnt_whole_numbers_of_places_stays_as_it_is() -> None:
    """A float bias may be whole numbers, and kernels of a runtime want it as it is."""
    bias = np.arange(500, dtype=np.float32)
    content = converted(lambda x: x + bias, tf.TensorSpec((None, 500), tf.float32))
    assert (schema.TensorType.FLOAT32, 2000) in stored(_slim.slimmed(content, named=True))


def forest(rng: np.random.Generator) -> keras.Model:
    """200 complete trees of depth 4 on 6 columns."""
    x = keras.Input((6,), name="numeric")
    count, inner = 200, 15
    layer = trees.DecisionTrees(6, 2, count, count * 31, 90, 4, one_sum=True, name="trees")
    model = keras.Model({"numeric": x}, keras.layers.Softmax(name="probabilities")(layer(x)))
    layer.column.assign(rng.integers(0, 6, 90).astype("uint8"))
    layer.threshold.assign(rng.integers(-8000, 8000, 90).astype("int16"))
    asks, leaves = rng.integers(0, 90, count * inner), rng.integers(-500, 500, count * 16)
    layer.node.assign(np.r_[asks - layer.base, leaves].astype("int16"))
    return model


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int8"])
def test_a_forest_takes_two_bytes_a_node_and_a_small_graph_in_every_precision(precision: str) -> None:
    rng = np.random.default_rng(0)
    model, x = forest(rng), rng.normal(size=(300, 6)).astype(np.float32)
    content = tflite.convert(model, precision, {"numeric": x} if precision == "int8" else None)
    # Inner nodes and leaves of 200 trees, 90 splits of 3 bytes; some 10 KB of graph.
    assert 2 * 200 * 31 + 90 * 3 < len(content) < 2 * 200 * 31 + 90 * 3 + 11_000
    given = tflite.TFLitePredictor(content, 1).predict({"numeric": x})
    np.testing.assert_allclose(given, np.asarray(model({"numeric": x})), atol=1e-6)


def test_a_forest_alone_has_nothing_to_round_and_a_network_beside_it_has() -> None:
    model = forest(np.random.default_rng(0))
    assert inference.nothing_to_round(model)
    x = keras.Input((6,), name="numeric")
    both = keras.Model({"numeric": x}, model({"numeric": x}) + keras.layers.Dense(2)(x))
    assert not inference.nothing_to_round(both)
    assert not inference.nothing_to_round(keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)]))


def test_equal_vectors_are_written_once() -> None:
    """Of a quantised network above all the zero points: eight bytes for each channel of kernels and biases."""
    x = keras.Input((8, 8, 3))
    z = x
    for _ in range(3):
        z = keras.layers.Conv2D(64, 3, activation="relu", bias_initializer="random_normal")(z)
    model = keras.Model(x, z)
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(20, 8, 8, 3)).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None]] for picture in pictures)
    content = bytes(converter.convert())
    slim = _slim.slimmed(content, named=True)
    graph = schema.Model.GetRootAs(slim, 0).Subgraphs(0)
    points = [graph.Tensors(i).Quantization() for i in range(graph.TensorsLength())]
    each = [q.ZeroPointAsNumpy() for q in points if q is not None and q.ZeroPointLength() == 64]
    assert len(each) == 6
    assert {one.__array_interface__["data"][0] for one in each} == {each[0].__array_interface__["data"][0]}
    np.testing.assert_array_equal(run(slim, pictures[:1]), run(content, pictures[:1]))


def names(content: bytes) -> list[str]:
    """Of the tensors, "" where one has none."""
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    return [(graph.Tensors(i).Name() or b"").decode() for i in range(graph.TensorsLength())]


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_of_names_those_of_kernels_inputs_outputs_and_of_what_stays_float_are_left(precision: str) -> None:
    """A layer that int8 files leave float, between two that they don't."""
    x = keras.Input((24,), name="numeric")
    z = keras.layers.Dense(32, "relu", name="first")(x)
    z = keras.layers.LayerNormalization(name="middle")(z)
    z = keras.layers.Dense(3, "softmax", name="probabilities", bias_initializer="random_normal")(z)
    model = keras.Model({"numeric": x}, z)
    rows = {"numeric": np.random.default_rng(0).normal(size=(100, 24)).astype(np.float32)}
    content = tflite.convert(model, precision, rows if precision == "int8" else None)
    found = names(content)
    assert {name for name in found if "numeric" in name} == {"serving_default_numeric:0"}
    layers = {name for name in found if not name.startswith(("serving_default", "StatefulPartitionedCall"))} - {""}
    kernels = {"first", "probabilities"}
    assert kernels <= {name.rstrip("_1") for name in layers}
    floats = {name for name in layers if name.endswith("/")}
    assert any("middle" in name for name in floats) == (precision == "int8")
    assert all(name.count("/") <= name.count(";") + 1 for name in layers)
    given = tflite.TFLitePredictor(content, 1).predict(rows)
    np.testing.assert_allclose(given, model.predict(rows, verbose=0), atol=0.05 if precision == "int8" else 1e-5)
    if precision == "int8":
        assert tflite.float_operations(content, apart_from=["middle"]) == []
        assert tflite.float_operations(content) != []
