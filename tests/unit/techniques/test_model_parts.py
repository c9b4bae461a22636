"""Activations, normalisations, initialisations and noise inside the network, against formulas in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import special

from automl.catalog import techniques

X = np.linspace(-4, 4, 41, dtype=np.float32)

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.1 * x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * special.ndtr(x),
    "hard-swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "tanh": np.tanh,
    "sigmoid": special.expit,
}


def test_every_activation_is_tested_here():
    assert set(ACTIVATIONS) == {t.id for t in techniques if t.slot == "activation"}


@pytest.mark.parametrize("id", ACTIVATIONS)
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_activations_equal_their_formula(id, rank, apply):
    layer = apply(id).activation.make(rank=rank)
    x = X.reshape((1,) * (rank - 1) + (-1,))
    np.testing.assert_allclose(np.asarray(layer(x)), ACTIVATIONS[id](x), atol=1e-5)


@pytest.mark.parametrize(("shape", "slopes"), [((None, 5), (5,)), ((None, 4, 5), (1, 5)), ((None, 6, 7, 5), (1, 1, 5))])
def test_prelu_learns_one_slope_for_each_unit_or_channel(shape, slopes, apply):
    layer = apply("prelu", slope=0.3).activation.make(rank=len(shape))
    layer.build(shape)
    assert tuple(layer.alpha.shape) == slopes
    assert layer.alpha.trainable
    np.testing.assert_allclose(np.asarray(layer.alpha), 0.3)


def test_selu_keeps_unit_variance_through_many_layers(apply):
    plan = apply("selu")
    x = np.random.default_rng(0).normal(size=(2000, 256)).astype(np.float32)
    for i in range(20):
        x = keras.layers.Dense(256, kernel_initializer=plan.init.make(seed=i))(x)
        x = plan.activation.make(rank=2)(x)
    assert float(np.var(x)) == pytest.approx(1, abs=0.25)
    assert float(np.mean(x)) == pytest.approx(0, abs=0.15)


FAN_IN, FAN_OUT = 400, 100


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(("id", "variance"), [("glorot", 2 / (FAN_IN + FAN_OUT)), ("he", 2 / FAN_IN), ("lecun", 1 / FAN_IN)])
def test_kernels_have_the_variance_of_the_paper(id, variance, distribution, apply):
    kernel = np.asarray(apply(id, distribution=distribution).init.make(seed=1)((FAN_IN, FAN_OUT)))
    assert kernel.var() == pytest.approx(variance, rel=0.05)
    assert kernel.mean() == pytest.approx(0, abs=3 * np.sqrt(variance / kernel.size))
    if distribution == "uniform":
        assert np.abs(kernel).max() <= np.sqrt(3 * variance)


def test_fan_in_of_a_convolution_counts_its_area(apply):
    kernel = np.asarray(apply("he").init.make(seed=1)((3, 3, 64, 64)))
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)


def test_he_keeps_the_second_moment_through_a_rectifier(apply):
    x = np.random.default_rng(0).normal(size=(500, 512)).astype(np.float32)
    y = np.maximum(np.asarray(keras.layers.Dense(512, kernel_initializer=apply("he").init.make(seed=1))(x)), 0)
    assert float(np.mean(y**2)) == pytest.approx(float(np.mean(x**2)), rel=0.05)


def test_orthogonal_kernels_keep_lengths(apply):
    kernel = np.asarray(apply("orthogonal", gain=1.5).init.make(seed=1)((60, 40)))
    np.testing.assert_allclose(kernel.T @ kernel, 1.5**2 * np.eye(40), atol=1e-4)


NORM_AXES = {"batch-norm": (0, 1, 2), "layer-norm": (3,), "instance-norm": (1, 2)}


@pytest.mark.parametrize("id", NORM_AXES)
def test_normalisations_take_statistics_over_the_right_axes(id, apply):
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 4, 8)).astype(np.float32)
    y = np.asarray(apply(id).norm.make(rank=4, channels=8)(x, training=True))
    axes = NORM_AXES[id]
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, expected, atol=2e-3)


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 4), (7, 1)])
def test_groups_divide_the_channels(channels, groups, apply):
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 4, channels)).astype(np.float32)
    y = np.asarray(apply("group-norm", groups=8).norm.make(rank=4, channels=channels)(x))
    grouped = x.reshape(6, 5, 4, groups, channels // groups)
    axes = (1, 2, 4)
    expected = (grouped - grouped.mean(axes, keepdims=True)) / np.sqrt(grouped.var(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, expected.reshape(x.shape), atol=2e-3)


def test_running_statistics_follow_within_a_short_epoch(apply):
    """At momentum 0.9, 30 steps forget the start to 4 %; at Keras's own 0.99, 74 % of it is left."""
    layer = apply("batch-norm").norm.make(rank=2, channels=3)
    x = np.random.default_rng(0).normal(5, 2, (256, 3)).astype(np.float32)
    for _ in range(30):
        layer(x, training=True)
    np.testing.assert_allclose(np.asarray(layer.moving_mean), x.mean(0), rtol=0.06)


@pytest.mark.parametrize("rank", [2, 3])
def test_dropout_silences_units_at_its_rate_and_keeps_the_mean(rank, apply):
    (component,) = apply("dropout", rate=0.3).dropout
    y = np.asarray(component.make(rank=rank, seed=1)(np.ones((200,) * (rank - 1) + (50,), np.float32), training=True))
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert component.make(rank=4, seed=1) is None


def test_spatial_dropout_silences_whole_channels(apply):
    (component,) = apply("spatial-dropout", rate=0.25).dropout
    y = np.asarray(component.make(rank=4, seed=1)(np.ones((200, 5, 5, 20), np.float32), training=True))
    assert (y == y[:, :1, :1]).all()
    assert (y[:, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert component.make(rank=2, seed=1) is None


def test_label_smoothing_targets(apply):
    (component,) = apply("label-smoothing", alpha=0.2).target_steps
    y = component.make()(np.eye(4, dtype=np.float32)[[2, 0]], np.random.default_rng(0))
    np.testing.assert_allclose(y, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6)
    assert y.dtype == np.float32


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3)])
def test_the_confidence_penalty_is_the_negative_entropy(shape, apply):
    (component,) = apply("entropy-regularization", weight=0.3).activity
    logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    p = special.softmax(logits, axis=-1)
    expected = 0.3 * (p * np.log(p)).sum(-1).mean()
    np.testing.assert_allclose(component.make()(None, logits), expected, rtol=1e-5)


def test_its_gradient_raises_the_entropy(apply):
    term = apply("entropy-regularization", weight=1.0).activity[0].make()
    confident, doubtful = np.array([[5.0, 0.0]], np.float32), np.array([[0.5, 0.0]], np.float32)
    assert float(term(None, doubtful)) < float(term(None, confident))


PENALTIES = {
    "l1": ({"strength": 1e-3}, lambda w: 1e-3 * np.abs(w).sum()),
    "l2": ({"strength": 1e-3}, lambda w: 1e-3 * (w**2).sum()),
    "l1-l2": ({"l1": 1e-3, "l2": 1e-2}, lambda w: 1e-3 * np.abs(w).sum() + 1e-2 * (w**2).sum()),
}


@pytest.mark.parametrize("id", PENALTIES)
def test_penalties_of_kernels_alone(id, apply):
    params, formula = PENALTIES[id]
    layer = keras.layers.Dense(3, kernel_regularizer=apply(id, **params).regularizer.make(), bias_initializer="ones")
    layer.build((None, 4))
    assert float(sum(layer.losses)) == pytest.approx(formula(np.asarray(layer.kernel)), rel=1e-4)


@pytest.mark.parametrize(
    ("id", "params", "cls"),
    [
        ("cross-entropy", {}, "CrossEntropy"), ("focal", {"gamma": 1.5}, "Focal"), ("mse", {}, "SquaredError"),
        ("mae", {}, "AbsoluteError"), ("huber", {"delta": 0.4}, "Huber"),
    ],
)
def test_losses_are_made_with_their_parameters(id, params, cls, apply):
    loss = apply(id, **params).loss.make()
    assert type(loss).__name__ == cls
    assert params.items() <= loss.get_config().items()


def test_early_stopping_sets_the_patience(apply):
    assert apply("early-stopping", patience=7).patience == 7
