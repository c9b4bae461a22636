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


def _lamb(w, grads, lr, b1=0.9, b2=0.999, eps=1e-8):
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * np.linalg.norm(w) / np.linalg.norm(u) * u
    return w


def _lars(w, grads, lr, m, trust, decay):
    v = 0.0
    for g in grads:
        local = trust * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
        v = m * v + lr * local * (g + decay * w)
        w = w - v
    return w


def _radam(w, grads, lr, b1=0.9, b2=0.999, eps=1e-8):
    m = v = 0.0
    longest = 2 / (1 - b2) - 1
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        rho = longest - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if rho > 4:
            r = np.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
            step = r * step / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * step
    return w


def _ranger(w, grads, lr, b2, k, share):
    """RAdam's steps depend on the gradients alone, so a way of k steps can be taken from where it stands."""
    slow, fast = w, w
    for t in range(1, len(grads) + 1):
        fast = fast + _radam(w, grads[:t], lr, b2=b2) - _radam(w, grads[: t - 1], lr, b2=b2)
        if t % k == 0:
            slow = fast = slow + share * (fast - slow)
    return fast


def _muon(w, grads, lr, decay, beta=0.95):
    m = 0.0
    a, b, c = 3.4445, -4.7750, 2.0315
    for g in grads:
        w = w - lr * decay * w
        m = beta * m + g
        x = g + beta * m
        x = x / np.linalg.norm(x)
        for _ in range(5):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        w = w - lr * 0.2 * np.sqrt(max(w.shape)) * x
    return w


STEPS = {
    "lamb": ({"beta_2": 0.98}, lambda g: _lamb(W, g, LR, b2=0.98)),
    "lars": (
        {"momentum": 0.8, "trust": 0.02, "decay": 1e-3, "learning_rate": 0.5}, lambda g: _lars(W, g, 0.5, 0.8, 0.02, 1e-3),
    ),
    "radam": ({"beta_2": 0.95}, lambda g: _radam(W, g, LR, b2=0.95)),
    "ranger": ({"beta_2": 0.95, "interval": 5, "share": 0.5}, lambda g: _ranger(W, g, LR, 0.95, 5, 0.5)),
    "muon": ({"weight_decay": 0.1}, lambda g: _muon(W, g, LR, 0.1)),
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
    plan = apply(id, **{"learning_rate": LR, **params})
    assert plan.learning_rate == params.get("learning_rate", LR)
    np.testing.assert_allclose(stepped(optimizer_of(plan), G1, G2), formula([G1, G2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("id", ["radam", "ranger"])
def test_many_steps_equal_the_formula(id, apply):
    """Far enough for RAdam's scaling to set in, and for Ranger to come back twice to its slow weights."""
    grads = [np.float32(G1 * np.cos(i) + G2 * np.sin(i)) for i in range(12)]
    params, formula = STEPS[id]
    plan = apply(id, learning_rate=LR, **params)
    np.testing.assert_allclose(stepped(optimizer_of(plan), *grads), formula(grads), rtol=1e-5, atol=1e-6)


def test_ranger_is_radam_in_lookahead(apply):
    together = apply("ranger", learning_rate=LR, beta_2=0.99, interval=5, share=0.5)
    apart = apply("lookahead", apply("radam", learning_rate=LR, beta_2=0.99), interval=5, share=0.5)
    assert together == apart


@pytest.mark.parametrize("id", ["lars", "radam"])
def test_own_optimizers_are_rebuilt_from_their_config(id, apply):
    made = optimizer_of(apply(id))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


def test_lars_moves_vectors_by_plain_momentum(apply):
    plan = apply("lars", learning_rate=0.5, momentum=0.8, trust=0.02, decay=1e-2)
    np.testing.assert_allclose(
        stepped(optimizer_of(plan), G1[0], G2[0], value=W[0], name="bias"), _momentum(W[0], [G1[0], G2[0]], 0.5, 0.8, False),
        rtol=1e-5,
    )
    still = stepped(optimizer_of(plan), np.zeros_like(W))
    np.testing.assert_allclose(still, W * (1 - 0.5 * 1e-2), rtol=1e-5)


def test_muons_step_is_nearly_orthogonal_and_spares_the_head(apply):
    """The singular values of its step lie in the iteration's band around 1; the last layer moves as under AdamW."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(6, 4)).astype(np.float32)
    start = np.zeros((6, 4), np.float32)
    plan = apply("muon", learning_rate=1.0, weight_decay=1e-5)
    step = -stepped(optimizer_of(plan), g, value=start) / (0.2 * np.sqrt(6))
    values = np.linalg.svd(step, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    for shape, name in (((6, 4), "logits"), ((6,), "hidden"), ((3, 3, 2, 2), "hidden")):
        layer = keras.layers.Layer(name=name)
        variable = layer.add_weight(name="kernel" if len(shape) > 1 else "bias", shape=shape, initializer="zeros")
        optimizer = optimizer_of(plan)
        optimizer.build([variable])
        gradient = rng.normal(size=shape).astype(np.float32)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        np.testing.assert_allclose(np.asarray(variable), -np.sign(gradient), rtol=1e-3, err_msg=f"{name} {shape}")


@pytest.mark.parametrize("inner", ["sgd", "adamw", "lamb"])
def test_lookahead_around_any_optimizer(inner, apply):
    """After k steps the weights stand between where they began and where the optimizer alone would have taken them."""
    grads = [np.float32(G1 * np.cos(i) + G2) for i in range(5)]
    alone = stepped(optimizer_of(apply(inner, learning_rate=LR)), *grads)
    ahead = apply("lookahead", apply(inner, learning_rate=LR), interval=5, share=0.8)
    np.testing.assert_allclose(stepped(optimizer_of(ahead), *grads[:4]),
                               stepped(optimizer_of(apply(inner, learning_rate=LR)), *grads[:4]), rtol=1e-6)
    np.testing.assert_allclose(stepped(optimizer_of(ahead), *grads), W + 0.8 * (alone - W), rtol=1e-5)


def test_lookahead_begins_where_the_weights_stand_and_counts_updates(apply):
    plan = apply("gradient-accumulation", apply("lookahead", apply("sgd", learning_rate=LR), interval=5, share=0.5), steps=2)
    variable = keras.Variable(np.zeros_like(W), name="kernel")
    optimizer = optimizer_of(plan)
    optimizer.build([variable])
    variable.assign(W)  # As when a training begins from another's weights.
    for i in range(10):
        optimizer.apply([keras.ops.convert_to_tensor(G1)], [variable])
        moved = 0.5 if i == 9 else 1.0
        np.testing.assert_allclose(np.asarray(variable), W - moved * LR * ((i + 1) // 2) * G1, rtol=1e-5)


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


# --- rates by depth and batch ------------------------------------------------------------------


def _stack():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), name="x")
    x = keras.layers.Dense(4, name="first")(inputs)
    x = keras.layers.LayerNormalization(name="first_norm")(x)
    x = keras.layers.Dense(4, name="second", use_bias=False)(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


FACTORS = {
    "first/kernel": 0.25, "first/bias": 0.25, "first_norm/gamma": 0.25, "first_norm/beta": 0.25, "second/kernel": 0.5,
    "last/kernel": 1.0, "last/bias": 1.0,
}


@pytest.mark.parametrize("wrapped", [False, True])
def test_layerwise_rates_fall_with_the_distance_from_the_output(wrapped, apply):
    """Each variable's step is that of plain SGD times decay^(levels below the last)."""
    plan = apply("sgd", learning_rate=LR)
    if wrapped:  # Other wrappers and the optimizer's own options beside it.
        plan = apply("gradient-centralization", apply("gradient-clipping", plan, mode="value", threshold=10.0))
    model = _stack()
    variables = model.trainable_variables
    grads = [np.random.default_rng(i).normal(size=v.shape).astype(np.float32) for i, v in enumerate(variables)]

    def steps(plan):
        before = [np.asarray(v).copy() for v in variables]
        optimizer = optimizer_of(plan)
        optimizer.build(variables)
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
        moved = {v.path: np.asarray(v) - b for v, b in zip(variables, before, strict=True)}
        for v, b in zip(variables, before, strict=True):
            v.assign(b)
        return moved

    alone, graded = steps(plan), steps(apply("layerwise-lr-decay", plan, decay=0.5))
    assert set(graded) == set(FACTORS)
    for path, factor in FACTORS.items():
        np.testing.assert_allclose(graded[path], factor * alone[path], rtol=1e-3, atol=1e-8, err_msg=path)


def test_layerwise_rates_grade_decoupled_decay_too_and_work_with_adaptive_steps(apply):
    model = _stack()
    variables = model.trainable_variables
    before = [np.asarray(v).copy() for v in variables]
    optimizer = optimizer_of(apply("layerwise-lr-decay", apply("adamw", learning_rate=LR, weight_decay=0.1), decay=0.5))
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros(v.shape) for v in variables], variables)
    for variable, value in zip(variables, before, strict=True):
        decayed = 1 - LR * FACTORS[variable.path] * 0.1 if "kernel" in variable.path else 1.0
        np.testing.assert_allclose(np.asarray(variable), value * decayed, rtol=1e-6)
    optimizer.apply([keras.ops.ones(v.shape) for v in variables], variables)
    first = np.asarray(variables[1])  # A bias: Adam's second step after a gradient of 0.
    m, v = 0.1 / (1 - 0.9**2), 0.001 / (1 - 0.999**2)
    np.testing.assert_allclose(first, -LR * 0.25 * m / (np.sqrt(v) + 1e-8), rtol=1e-4)


@pytest.mark.parametrize(
    ("rule", "rows", "factor"),
    [("linear", 512, 4.0), ("linear", 32, 0.25), ("square-root", 512, 2.0), ("square-root", 128, 1.0)],
)
def test_the_rate_scales_with_the_rows_of_an_update(rule, rows, factor, apply):
    """What these rows are in a training: tests/unit/training/test_trainer.py."""
    from automl.catalog import TrainPlan

    plan = apply("batch-lr-scaling", TrainPlan(), rule=rule, reference_batch=128)
    assert plan.rate_of_batch.make(rows=rows) == pytest.approx(factor)
    assert plan.learning_rate == TrainPlan().learning_rate
