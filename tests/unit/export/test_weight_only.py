"""Kernels that stay float in quantised files, in 8 bits: what they compute, and what they take."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from automl.export import _weight_only, tflite
from automl.layers import tables
from tests.unit.export.test_slim import converted, run


def products(kernel: np.ndarray) -> bytes:
    """x [n, b, k] · kernel [n, k, m], float throughout."""
    import tensorflow as tf

    n, k, _ = kernel.shape
    return converted(lambda x: tf.matmul(x, kernel), tf.TensorSpec((n, 3, k), tf.float32))


def test_each_of_the_first_axis_is_rounded_with_a_scale_of_its_own() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 16, 12)).astype(np.float32) * np.float32([1e-3, 1, 0, 30, 2])[:, None, None]
    content = products(kernel)
    made = tflite.finished(content, "int8")
    scale = np.abs(kernel).max((1, 2), keepdims=True) / 127
    expected = np.round(kernel / np.where(scale, scale, 1)) * scale
    x = rng.normal(size=(5, 3, 16)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), x @ expected, rtol=1e-5, atol=1e-5)
    assert len(tflite.finished(content, "float32")) - len(made) > 2.5 * kernel.size


def test_a_kernel_of_a_few_numbers_stays_as_it_is() -> None:
    content = products(np.ones((2, 8, 8), np.float32))
    made = _weight_only.rounded_kernels(content)
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(made, x), run(content, x))
    types = [t.type for t in schema.ModelT.InitFromPackedBuf(made, 0).subgraphs[0].tensors]
    assert schema.TensorType.INT8 not in types


def periodic(columns: int) -> tuple[keras.Model, dict[str, np.ndarray]]:
    x = keras.Input((columns,), name="numeric")
    z = tables.PeriodicEmbedding(32, 16, sigma=1.0, seed=0, name="periodic", dtype="float32")(x)
    z = keras.layers.Dense(32, "relu", kernel_initializer=keras.initializers.GlorotUniform(1))(z)
    z = keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(2), name="probabilities")(z)
    rows = np.random.default_rng(0).normal(size=(200, columns)).astype(np.float32)
    return keras.Model({"numeric": x}, z), {"numeric": rows}


@pytest.mark.parametrize("precision", ["int8", "dynamic", "int16x8"])
def test_an_embedding_by_cosines_takes_a_byte_a_weight_in_quantised_files(precision: str) -> None:
    model, rows = periodic(8)
    embedding, dense = 8 * 32 * 15, 8 * 16 * 32
    content = tflite.convert(model, precision, rows if precision in tflite.INTEGER else None)
    phases = 4 * 2 * 8 * 32
    assert embedding + dense + phases < len(content) < embedding + dense + phases + 10_000
    given = tflite.TFLitePredictor(content, 1).predict(rows)
    np.testing.assert_allclose(given, model.predict(rows, verbose=0), atol=0.03)


def test_floats_stay_floats_where_nothing_is_to_be_quantised() -> None:
    model, rows = periodic(8)
    content = tflite.convert(model, "float32")
    given = tflite.TFLitePredictor(content, 1).predict(rows)
    np.testing.assert_allclose(given, model.predict(rows, verbose=0), atol=1e-5)
