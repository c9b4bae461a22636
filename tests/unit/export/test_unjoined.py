"""Dense layers behind concatenations of parts with different ranges: the same in float, and far nearer to it as int8."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.export import _unjoined, tflite

ROWS = {
    "wide": np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) * 3,
    "narrow": np.random.default_rng(1).normal(size=(200, 5)).astype(np.float32) * 0.02,
    "also": np.random.default_rng(2).normal(size=(200, 4)).astype(np.float32) * 0.03,
}


def network(name: str = "model", order: tuple[str, ...] = ("narrow", "wide", "also")) -> keras.Model:
    """Its answer hangs on the narrow parts alone."""
    keras.utils.set_random_seed(5)
    inputs = {key: keras.Input((value.shape[1],), name=key) for key, value in ROWS.items()}
    x = keras.layers.Concatenate(name="joined")([inputs[key] for key in order])
    x = keras.layers.Dropout(0.5)(x)
    out = keras.layers.Dense(3, activation="softmax", name="logits")
    model = keras.Model(inputs, out(x), name=name)
    kernel, bias = out.get_weights()
    at = 0
    for key in order:
        width = ROWS[key].shape[1]
        kernel[at : at + width] *= 0.01 if key == "wide" else 30.0
        at += width
    out.set_weights([kernel, bias + 0.3])
    return model


def int8(model: keras.Model) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=tflite.convert(model, "int8", ROWS)).get_signature_runner()
    return np.concatenate([
        next(iter(run(**{name: rows[i : i + 1] for name, rows in ROWS.items()}).values())) for i in range(100)
    ])


@pytest.mark.parametrize("order", [("narrow", "wide", "also"), ("wide", "narrow", "also")])
def test_parts_of_different_ranges_get_dense_layers_of_their_own(order):
    model = network(order=order)
    made = _unjoined.unjoined(model, ROWS)
    names = {layer.name for layer in made.layers}
    assert {"logits_of_1", "logits_of_2", "logits_sum"} <= names
    assert not {"joined", "logits", "logits_of_3"} & names  # those of about the same range stay together
    expected = model.predict(ROWS, verbose=0)
    np.testing.assert_allclose(made.predict(ROWS, verbose=0), expected, atol=1e-6)


def test_as_int8_nothing_is_lost_that_side_by_side_is(monkeypatch):
    model = network()
    expected = model.predict(ROWS, verbose=0)[:100]
    apart = np.abs(int8(model) - expected).mean()
    monkeypatch.setattr(_unjoined, "RATIO", 1e9)
    together = np.abs(int8(model) - expected).mean()
    assert apart < 0.01
    assert together > 5 * apart


def test_members_of_an_ensemble_are_gone_through_too():
    first, second = network("first"), network("second", ("wide", "narrow", "also"))
    inputs = {key: keras.Input((value.shape[1],), name=key) for key, value in ROWS.items()}
    model = keras.Model(inputs, keras.layers.Average()([first(inputs), second(inputs)]))
    made = _unjoined.unjoined(model, ROWS)
    names = {layer.name for layer in made._flatten_layers()}
    assert {"first", "second", "logits_sum"} <= names
    np.testing.assert_allclose(made.predict(ROWS, verbose=0), model.predict(ROWS, verbose=0), atol=1e-6)


def test_where_ranges_are_alike_the_layers_stay():
    rows = {name: value / np.abs(value).max() for name, value in ROWS.items()}
    made = _unjoined.unjoined(network(), rows)
    assert {"joined", "logits"} <= {layer.name for layer in made.layers}


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [([1.0, 0.9, 0.3], [[0, 1, 2]]), ([0.1, 3.0, 0.02], [[1], [0], [2]]), ([0.0, 1.0, 0.0], [[1], [0, 2]])],
)
def test_groups(sizes, groups):
    assert _unjoined.alike(sizes) == groups
