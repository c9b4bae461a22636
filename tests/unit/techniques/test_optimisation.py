"""One step of each optimizer, the curve of each schedule, and what is done to gradients, against formulas in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.catalog import techniques
from automl.layers import callbacks, gradients

LR = 0.01
W = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
G1 = np.array([[0.3, -0.1], [2.0, 0.0]], np.float32)
G2 = np.array([[-0.2, 0.4], [1.0, 0.5]], np.float32)


def stepped(optimizer, *grads, name: str = "kernel", value=W):
    """The variable after steps on these gradients."""
    variable = keras.Variable(value, name=name)
    optimizer.build([variable])
    for g in grads:
        optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
    return np.asarray(variable)


def optimizer_of(plan):
    made = plan.optimizer.make(learning_rate=plan.learning_rate, **plan.optimizer_options)
    for wrapper in plan.optimizer_wrappers:
        made = wrapper.make(made)
    return made


def _adam(w, grads, lr, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        w = w - lr * decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def _lion(w, grads, lr, decay, b1=0.9, b2=0.99):
    m = 0.0
    for g in grads:
        w = w - lr * decay * w - lr * np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
    return w


def _momentum(w, grads, lr, beta, nesterov):
    v = 0.0
    for g in grads:
        v = beta * v - lr * g
        w = w + (beta * v - lr * g if nesterov else v)
    return w


def _rmsprop(w, grads, lr, rho):
    v = 0.0
    for g in grads:
        v = rho * v + (1 - rho) * g**2
        w = w - lr * g / np.sqrt(v + 1e-7)
    return w


def _adagrad(w, grads, lr):
    v = 0.1
    for g in grads:
        v = v + g**2
        w = w - lr * g / np.sqrt(v + 1e-7)
    return w


STEPS = {
    "sgd": ({}, lambda g: W - LR * sum(g)),
    "sgd-momentum": ({"momentum": 0.8}, lambda g: _momentum(W, g, LR, 0.8, False)),
    "nesterov": ({"momentum": 0.8}, lambda g: _momentum(W, g, LR, 0.8, True)),
    "rmsprop": ({"rho": 0.9}, lambda g: _rmsprop(W, g, LR, 0.9)),
    "adagrad": ({}, lambda g: _adagrad(W, g, LR)),
    "adam": ({"beta_2": 0.95}, lambda g: _adam(W, g, LR, b2=0.95)),
    "adamw": ({"beta_2": 0.999, "weight_decay": 0.1}, lambda g: _adam(W, g, LR, decay=0.1)),
    "lion": ({"weight_decay": 0.1}, lambda g: _lion(W, g, LR, 0.1)),
}


def test_every_optimizer_is_tested_here():
    assert set(STEPS) == {t.id for t in techniques if t.slot == "optimizer"}


@pytest.mark.parametrize("id", STEPS)
def test_two_steps_equal_the_formula(id, apply):
    params, formula = STEPS[id]
    plan = apply(id, learning_rate=LR, **params)
    assert plan.learning_rate == LR
    np.testing.assert_allclose(stepped(optimizer_of(plan), G1, G2), formula([G1, G2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("id", ["adamw", "lion"])
@pytest.mark.parametrize("name", ["bias", "gamma", "beta", "scale", "member_bias", "frequency", "embeddings_8"])
def test_decay_leaves_what_is_no_kernel_alone(id, name, apply):
    plan = apply(id, learning_rate=LR, weight_decay=0.2)
    still = np.zeros_like(G1)
    np.testing.assert_array_equal(stepped(optimizer_of(plan), still, name=name), W)
    np.testing.assert_allclose(stepped(optimizer_of(plan), still), W * (1 - LR * 0.2), rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_weight_decay_beside_any_optimizer(optimizer, apply):
    plan = apply("weight-decay", apply(optimizer, learning_rate=LR), rate=0.05)
    still = np.zeros_like(G1)
    np.testing.assert_allclose(stepped(optimizer_of(plan), still), W * (1 - LR * 0.05), rtol=1e-6)
    np.testing.assert_array_equal(stepped(optimizer_of(plan), still, name="bias"), W)


# --- schedules ---------------------------------------------------------------------------------

STEPS_OF_TRAINING = 101
PEAK = 0.5


def curve(plan) -> np.ndarray:
    """The rate at each step, as a share of the peak."""
    made = plan.schedule.make(peak=PEAK, steps=STEPS_OF_TRAINING, steps_per_epoch=10)
    again = type(made).from_config(made.get_config())
    values = np.array([float(made(step)) for step in range(STEPS_OF_TRAINING + 20)]) / PEAK
    assert float(again(50)) == float(made(50)), "rebuilt from its config"
    return values


def t() -> np.ndarray:
    return np.minimum(np.arange(STEPS_OF_TRAINING + 20) / (STEPS_OF_TRAINING - 1), 1.0)


CURVES = {
    "step-decay": ({"drops": 2, "factor": 0.1}, lambda t: 0.1 ** np.minimum(np.floor(t * 3 + 1e-6), 2)),
    "exponential-decay": ({"final": 0.01}, lambda t: 0.01**t),
    "cosine-decay": ({"final": 0.1}, lambda t: 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * t))),
    "polynomial-decay": ({"power": 2.0, "final": 0.0}, lambda t: (1 - t) ** 2),
}


@pytest.mark.parametrize("id", CURVES)
def test_decays_equal_their_formula(id, apply):
    params, formula = CURVES[id]
    np.testing.assert_allclose(curve(apply(id, **params)), formula(t()), atol=2e-4)


@pytest.mark.parametrize("id", ["warmup-cosine", "warmup-linear"])
def test_warm_ups_rise_in_a_line_and_fall_to_the_end(id, apply):
    values = curve(apply(id, warmup=0.2, final=0.05))
    assert 0 < values[0] < 0.1
    np.testing.assert_allclose(np.diff(values[:20]), np.diff(values[:20])[0], atol=1e-5)
    assert values[20] == pytest.approx(1, abs=0.01)
    assert (np.diff(values[20:]) <= 1e-6).all()
    assert values[100:] == pytest.approx(0.05, abs=1e-4)
    half = 0.05 + 0.95 * 0.5
    assert values[60] == pytest.approx(half, abs=0.01), "half-way down in the middle, line and cosine alike"


def test_one_cycle_has_one_high_peak(apply):
    values = curve(apply("one-cycle", rise=0.3, start=0.1))
    assert values[0] == pytest.approx(0.1, abs=1e-4)
    assert values.argmax() == 30
    assert values.max() == pytest.approx(1, abs=1e-3)
    assert values[100] < 1e-4
    assert (np.diff(values[:30]) > 0).all()
    assert (np.diff(values[31:101]) < 0).all()


def test_cosine_restarts_as_in_sgdr(apply):
    values = curve(apply("cosine-restarts", cycles=3, growth=2.0, shrink=0.5))
    ends = [100 / 7, 300 / 7]  # shares 1 : 2 : 4
    jumps = np.flatnonzero(np.diff(values) > 0.1) + 1
    np.testing.assert_array_equal(jumps, np.ceil(ends))
    assert values[0] == pytest.approx(1)
    assert values[jumps[0]] == pytest.approx(0.5, abs=0.01)
    assert values[jumps[1]] == pytest.approx(0.25, abs=0.01)
    assert values[100] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("shape", "peaks"), [("triangular", [1, 1, 1, 1]), ("halving", [1, 0.5, 0.25, 0.125])])
def test_cyclical_triangles(shape, peaks, apply):
    values = curve(apply("cyclical", shape=shape, cycles=4, low=0.0))[:101]
    tops = values[[12, 37, 62, 87]]
    np.testing.assert_allclose(tops, peaks, rtol=0.06)
    np.testing.assert_allclose(values[[0, 25, 50, 75, 100]], 0, atol=0.02)


def test_the_log_cosine_is_realmlps_schedule(apply):
    values = curve(apply("cyclical", shape="log-cosine", cycles=4, low=0.0))
    np.testing.assert_allclose(values, 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t()))), atol=1e-4)


def test_reduce_on_plateau_lowers_the_rate_when_the_score_stands_still(apply):
    plan = apply("reduce-on-plateau", patience=2, factor=0.5)
    callback = plan.schedule.make(peak=0.1, steps=100, steps_per_epoch=10)
    assert isinstance(callback, callbacks.ReduceOnPlateau)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    callback.set_model(model)
    rates = []
    for epoch, score in enumerate([0.5, 0.6, 0.6, 0.55, 0.6, 0.7, 0.7, 0.7]):
        callback.on_epoch_end(epoch, {"score": score})
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025])
    for epoch in range(40):
        callback.on_epoch_end(epoch, {"score": 0.0})
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)


def test_every_schedule_is_tested_here():
    tested = {*CURVES, "warmup-cosine", "warmup-linear", "one-cycle", "cosine-restarts", "cyclical", "reduce-on-plateau"}
    assert tested == {t.id for t in techniques if t.slot == "schedule"}


# --- gradients ---------------------------------------------------------------------------------


def test_clipping_by_value_norm_and_global_norm(apply):
    def change(mode: str, *grads):
        plan = apply("gradient-clipping", apply("sgd", learning_rate=1.0), mode=mode, threshold=0.5)
        variables = [keras.Variable(np.zeros_like(g)) for g in grads]
        optimizer = optimizer_of(plan)
        optimizer.build(variables)
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
        return [-np.asarray(v) for v in variables]

    np.testing.assert_allclose(change("value", G1)[0], np.clip(G1, -0.5, 0.5), rtol=1e-6)
    small = G2 / 10
    first, second = change("norm", G1, small)
    assert np.linalg.norm(first) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(second, small, rtol=1e-6)
    first, second = change("global-norm", G1, G2)
    assert np.sqrt((first**2).sum() + (second**2).sum()) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(first / second.max(), G1 / G2.max(), rtol=1e-5)


def test_adaptive_clipping_bounds_each_unit_by_its_weights(apply):
    """Brock et al. (2021), equation 3, unit by unit."""
    plan = apply("gradient-clipping", apply("sgd", learning_rate=1.0), mode="adaptive", threshold=2.0)
    change = W - stepped(optimizer_of(plan), G1)
    allowed = 0.02 * np.linalg.norm(W, axis=0)
    norm = np.linalg.norm(G1, axis=0)
    np.testing.assert_allclose(change, G1 * np.minimum(1, allowed / norm), rtol=1e-4, atol=1e-7)


def test_adaptive_clipping_takes_vectors_as_a_whole():
    g = np.array([3.0, 4.0], np.float32)
    clipped = gradients.clip_to_weights(g, keras.Variable(np.array([0.6, 0.8], np.float32)), 0.1)
    np.testing.assert_allclose(clipped, g / 5 * 0.1, rtol=1e-5)


def test_centralized_gradients_have_mean_0_for_each_unit(apply):
    plan = apply("gradient-centralization", apply("sgd", learning_rate=1.0))
    change = W - stepped(optimizer_of(plan), G1)
    np.testing.assert_allclose(change, G1 - G1.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(W.sum(0) - change.sum(0), W.sum(0), atol=1e-6)
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    centred = np.asarray(gradients.centre(kernel, kernel))
    np.testing.assert_allclose(centred.mean((0, 1, 2)), 0, atol=1e-7)
    np.testing.assert_array_equal(gradients.centre(kernel[0, 0, 0], kernel[0, 0, 0]), kernel[0, 0, 0])


def test_transformed_optimizers_work_inside_fit(apply):
    plan = apply("gradient-centralization", apply("adamw"))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    before = model.get_weights()[0].sum(0)
    model.compile(optimizer_of(plan.replace(optimizer=apply("sgd").optimizer)), "mse", jit_compile=False)
    model.fit(np.ones((8, 3)), np.arange(16).reshape(8, 2), verbose=0)
    # Behind equal inputs a centred gradient is 0: the sum of each unit's weights never changes.
    np.testing.assert_allclose(model.get_weights()[0].sum(0), before, atol=1e-5)


@pytest.mark.parametrize("k", [2, 3])
def test_k_small_steps_equal_one_large_one(k, apply):
    grads = [G1, G2, -G1 + 1][:k]
    plan = apply("gradient-accumulation", apply("sgd", learning_rate=0.1), steps=k)
    np.testing.assert_allclose(stepped(optimizer_of(plan), *grads), W - 0.1 * sum(grads) / k, rtol=1e-5)
    np.testing.assert_array_equal(stepped(optimizer_of(plan), *grads[: k - 1]), W)
