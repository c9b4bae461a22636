"""Reparametrised and noisy kernels against formulas in NumPy, their gradients, and what is left of them in inference."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from automl.layers import folding, kernels

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(9, 6)).astype(np.float32)
MAPS = RNG.normal(size=(3, 8, 7, 4)).astype(np.float32)


def dense(units: int = 5, **more):
    return keras.layers.Dense(units, bias_initializer=keras.initializers.RandomNormal(seed=3), name="inner", **more)


def conv(filters: int = 5):
    return keras.layers.Conv2D(filters, 3, strides=2, padding="same", name="inner")


WRAPPED = {
    "weight-norm": lambda layer: kernels.WeightNorm(layer),
    "weight-standardization": lambda layer: kernels.WeightStandardization(layer),
    "weight-standardization-scaled": lambda layer: kernels.WeightStandardization(layer, scaled=True),
    "spectral-norm": lambda layer: kernels.SpectralNorm(layer, iterations=2),
    "shakeout": lambda layer: kernels.Shakeout(layer, rate=0.3, strength=0.2, seed=5),
}
CASES = [(name, dense, ROWS) for name in WRAPPED] + [(name, conv, MAPS) for name in WRAPPED if name != "shakeout"]


def model_of(name, make, x):
    inputs = keras.Input(x.shape[1:])
    layer = WRAPPED[name](make())
    model = keras.Model(inputs, layer(inputs))
    # Away from where it starts, so that a kernel that isn't carried over shows.
    model.set_weights([w + 0.1 * RNG.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])
    return model, layer


def used(layer, training=False) -> np.ndarray:
    return np.asarray(layer.effective(layer.layer.kernel, training))


def matrix(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.mark.parametrize(("make", "x"), [(dense, ROWS), (conv, MAPS)])
def test_weight_norm_keeps_direction_and_learns_length(make, x):
    keras.utils.set_random_seed(1)
    fresh = kernels.WeightNorm(make())
    fresh.build(x.shape)
    np.testing.assert_allclose(used(fresh), np.asarray(fresh.layer.kernel), rtol=1e-5)  # the same network in the beginning
    _, layer = model_of("weight-norm", make, x)
    v, g = matrix(np.asarray(layer.layer.kernel)), np.asarray(layer.scale)
    np.testing.assert_allclose(matrix(used(layer)), g * v / np.linalg.norm(v, axis=0), rtol=1e-4)


@pytest.mark.parametrize("scaled", [False, True])
def test_standardised_filters_have_mean_zero_and_variance_one(scaled):
    _, layer = model_of("weight-standardization" + "-scaled" * scaled, conv, MAPS)
    rows = matrix(used(layer)).astype(np.float64)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-6)
    expected = np.asarray(layer.scale) ** 2 / len(rows) if scaled else 1.0
    np.testing.assert_allclose(rows.var(axis=0), expected * np.ones(rows.shape[1]), rtol=1e-4)


@pytest.mark.parametrize(("make", "x"), [(dense, ROWS), (conv, MAPS)])
def test_the_largest_singular_value_is_one_after_power_iteration(make, x):
    model, layer = model_of("spectral-norm", make, x)
    for _ in range(60):
        model(x, training=True)
    for training in (False, True):
        singular = np.linalg.svd(matrix(used(layer, training)), compute_uv=False)
        assert singular[0] == pytest.approx(1, abs=1e-4)
    folded = folding.fold(model).get_layer("inner")
    assert np.linalg.svd(matrix(np.asarray(folded.kernel)), compute_uv=False)[0] <= 1 + 1e-4


def test_power_iteration_goes_on_from_step_to_step_and_inference_leaves_it_alone():
    model, layer = model_of("spectral-norm", dense, ROWS)
    start = np.asarray(layer.vector)
    model(ROWS, training=False)
    np.testing.assert_array_equal(np.asarray(layer.vector), start)
    model(ROWS, training=True)
    w = np.asarray(layer.layer.kernel)
    u = start
    for _ in range(2):
        v = w @ u / np.linalg.norm(w @ u)
        u = w.T @ v / np.linalg.norm(w.T @ v)
    np.testing.assert_allclose(np.asarray(layer.vector), u, atol=1e-5)


@pytest.mark.parametrize(("name", "make", "x"), CASES)
def test_the_layer_computes_with_the_kernel_that_it_says(name, make, x):
    model, layer = model_of(name, make, x)
    plain = make()
    plain.build(x.shape)
    plain.set_weights([used(layer), np.asarray(layer.layer.bias)])
    np.testing.assert_allclose(np.asarray(model(x)), np.asarray(plain(x)), atol=2e-5)


@pytest.mark.parametrize(("name", "make", "x"), CASES)
def test_a_folded_model_equals_the_trained_one_in_stock_layers(name, make, x):
    model, _ = model_of(name, make, x)
    folded = folding.fold(model)
    assert [type(layer).__module__.partition(".")[0] for layer in folded.layers] == ["keras"] * 2
    np.testing.assert_allclose(np.asarray(folded(x)), np.asarray(model(x)), atol=2e-5)


@pytest.mark.parametrize(("name", "make", "x"), CASES)
def test_they_save_load_and_clone(name, make, x, tmp_path):
    model, layer = model_of(name, make, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
    clone = type(layer).from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()


@pytest.mark.parametrize("name", WRAPPED)
def test_gradients_equal_differences(name):
    """float64 central differences of Σ sin(y); noise is the same each time, spectral norm's vectors have converged."""
    keras.backend.set_floatx("float64")
    try:
        layer = WRAPPED[name](dense(4, dtype="float64")) if name != "shakeout" else kernels.WeightNorm(dense(4))
        x = RNG.normal(size=(3, 5))
        layer.build(x.shape)
        if name == "spectral-norm":
            for _ in range(200):
                layer.effective(layer.layer.kernel, True)

        def value() -> tf.Tensor:
            return tf.reduce_sum(tf.sin(layer(tf.constant(x), training=False)))

        with tf.GradientTape() as tape:
            y = value()
        found = tape.gradient(y, [v.value for v in layer.trainable_variables])
        for variable, gradient in zip(layer.trainable_variables, found, strict=True):
            start = np.array(variable.value)
            for place in list(np.ndindex(start.shape))[:12]:
                sides = []
                for step in (1e-3, -1e-3):
                    moved = start.copy()
                    moved[place] += step
                    variable.assign(moved)
                    sides.append(float(value()))
                variable.assign(start)
                # The kernels are computed in float32, which bounds what differences can tell.
                assert float(gradient.numpy()[place]) == pytest.approx((sides[0] - sides[1]) / 2e-3, abs=3e-3)
    finally:
        keras.backend.set_floatx("float32")


def test_shakeout_is_the_papers_weights_drawn_for_each_example():
    """Equation 3: W̃ = −c·sign(W) for a silenced input, else (W + c·τ·sign(W)) / (1 − τ)."""
    rate, strength = 0.3, 0.2
    layer = kernels.Shakeout(keras.layers.Dense(4, name="d"), rate=rate, strength=strength, seed=1)
    one = np.zeros((4000, 3), np.float32)
    one[:, 1] = 1.0
    y = np.asarray(layer(one, training=True))
    w = np.asarray(layer.layer.kernel)[1]
    silenced, kept = -strength * np.sign(w), (w + strength * rate * np.sign(w)) / (1 - rate)
    is_silenced = np.abs(y - silenced).max(axis=1) < 1e-5
    is_kept = np.abs(y - kept).max(axis=1) < 1e-5
    assert (is_silenced ^ is_kept).all()
    assert is_silenced.mean() == pytest.approx(rate, abs=0.03)
    np.testing.assert_allclose(y.mean(axis=0), w, atol=0.03)
    np.testing.assert_allclose(np.asarray(layer(one)), one @ np.asarray(layer.layer.kernel), atol=1e-6)


def test_without_strength_shakeout_is_dropout():
    layer = kernels.Shakeout(keras.layers.Dense(3, use_bias=False, name="d"), rate=0.5, strength=0.0, seed=1)
    y = np.asarray(layer(np.eye(3, dtype=np.float32).repeat(100, axis=0), training=True))
    w = np.repeat(np.asarray(layer.layer.kernel), 100, axis=0)
    assert (np.isclose(y, 0) | np.isclose(y, 2 * w, atol=1e-6)).all()


def test_a_wrapper_counts_as_much_arithmetic_as_its_layer():
    from automl.training import profile

    counts = []
    for make in (conv, lambda: kernels.SpectralNorm(conv())):
        inputs = keras.Input(MAPS.shape[1:])
        counts.append(sum(profile.macs(layer) for layer in keras.Model(inputs, make()(inputs)).layers))
    assert counts == [4 * 4 * 9 * 4 * 5] * 2
