"""The losses equal their formulas, and average over the members of a packed ensemble, not over their outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import special, stats

from automl.layers import losses

RNG = np.random.default_rng(0)
SOFT = RNG.dirichlet([1, 1, 1], 6).astype(np.float32)
LOGITS = RNG.normal(0, 2, (6, 3)).astype(np.float32)
NUMBERS = RNG.normal(size=(6, 1)).astype(np.float32)
PREDICTED = RNG.normal(0, 2, (6, 1)).astype(np.float32)


def test_cross_entropy_equals_the_formula_and_keras():
    expected = -(SOFT * special.log_softmax(LOGITS, axis=1)).sum(1)
    np.testing.assert_allclose(losses.CrossEntropy().call(SOFT, LOGITS), expected, rtol=1e-5)
    reference = keras.losses.CategoricalCrossentropy(from_logits=True)(SOFT, LOGITS)
    np.testing.assert_allclose(losses.CrossEntropy()(SOFT, LOGITS), reference, rtol=1e-5)


def test_focal_at_gamma_0_is_cross_entropy():
    np.testing.assert_allclose(losses.Focal(0.0).call(SOFT, LOGITS), losses.CrossEntropy().call(SOFT, LOGITS), rtol=1e-5)


def test_focal_turns_away_from_easy_examples():
    p = special.softmax(LOGITS, axis=1)
    expected = -(SOFT * (1 - p) ** 2 * np.log(p)).sum(1)
    np.testing.assert_allclose(losses.Focal(2.0).call(SOFT, LOGITS), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.SquaredError(), ((NUMBERS - PREDICTED) ** 2)[:, 0]),
        (losses.AbsoluteError(), np.abs(NUMBERS - PREDICTED)[:, 0]),
        (losses.Huber(0.7), special.huber(0.7, (NUMBERS - PREDICTED))[:, 0]),
    ],
)
def test_losses_of_numbers(loss, expected):
    np.testing.assert_allclose(loss.call(NUMBERS, PREDICTED), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "target", "shape"),
    [
        (losses.CrossEntropy(), SOFT, (6, 4, 3)), (losses.Focal(), SOFT, (6, 4, 3)),
        (losses.SquaredError(), NUMBERS, (6, 4, 1)), (losses.AbsoluteError(), NUMBERS, (6, 4, 1)),
        (losses.Huber(), NUMBERS, (6, 4, 1)),
    ],
)
def test_each_member_is_trained_on_its_own_loss(loss, target, shape):
    output = RNG.normal(size=shape).astype(np.float32)
    single = np.mean([np.asarray(loss.call(target, output[:, m])) for m in range(4)], axis=0)
    np.testing.assert_allclose(loss.call(target, output), single, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3)])
def test_weights_of_examples_reach_the_mean(shape):
    output = RNG.normal(size=shape).astype(np.float32)
    weights = np.array([0, 0, 3, 1, 0, 2], np.float32)
    loss = losses.CrossEntropy()
    expected = (np.asarray(loss.call(SOFT, output)) * weights).sum() / 6
    np.testing.assert_allclose(loss(SOFT, output, sample_weight=weights), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [losses.Focal(1.5), losses.Huber(0.3)])
def test_parameters_survive_the_config(loss):
    again = type(loss).from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


# --- counts, quantiles, two classes ------------------------------------------------------------


def test_binary_cross_entropy_is_that_of_the_margin_and_of_softmax():
    two, soft = LOGITS[:, :2], SOFT[:, :2] / SOFT[:, :2].sum(1, keepdims=True)
    p = special.expit(two[:, 1] - two[:, 0])
    expected = -(soft[:, 1] * np.log(p) + soft[:, 0] * np.log1p(-p))
    np.testing.assert_allclose(losses.BinaryCrossEntropy().call(soft, two), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.BinaryCrossEntropy().call(soft, two), losses.CrossEntropy().call(soft, two), rtol=1e-4)
    far = np.array([[-300.0, 300.0]], np.float32)
    np.testing.assert_allclose(losses.BinaryCrossEntropy().call(np.eye(2, dtype=np.float32)[:1], far), [600.0])


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_quantile_loss_equals_scikit_learns_and_its_least_is_the_quantile(level):
    from sklearn.metrics import mean_pinball_loss

    value = float(np.mean(losses.Quantile(level).call(NUMBERS, PREDICTED)))
    assert value == pytest.approx(mean_pinball_loss(NUMBERS, PREDICTED, alpha=level), rel=1e-5)
    y = np.sort(np.random.default_rng(1).gamma(2.0, size=(2001, 1)), axis=0).astype(np.float32)
    means = [float(np.mean(losses.Quantile(level).call(y, np.full_like(y, c)))) for c in y[::20, 0]]
    assert abs(np.argmin(means) * 20 / 2000 - level) <= 0.01


def test_poisson_equals_scipys_likelihood_up_to_what_the_prediction_does_not_change():
    counts = np.array([[0.0], [1.0], [2.0], [7.0]], np.float32)
    mean, std = 2.5, 2.0
    rates = np.array([[0.5], [1.5], [2.0], [9.0]])
    loss = losses.Poisson(mean, std)

    def standard(values):
        return np.float32((values - mean) / std)

    found = np.asarray(loss.call(standard(counts), standard(rates)))
    expected = -stats.poisson.logpmf(counts, rates)[:, 0] - special.gammaln(counts + 1)[:, 0]
    np.testing.assert_allclose(found, expected * mean / std**2, rtol=1e-4)
    # Beyond the least rate it is a straight line that leads back.
    low = [float(loss.call(standard(counts[3:]), standard(np.array([[r]])))[0]) for r in (-2.0, -1.0, 0.0)]
    assert low[0] > low[1] > low[2]
    assert low[0] - low[1] == pytest.approx(low[1] - low[2], rel=1e-4)
    with pytest.raises(ValueError, match="positive mean"):
        losses.Poisson(-1.0, 2.0)


# --- uncertainty -------------------------------------------------------------------------------

RAW = RNG.normal(size=(6, 4)).astype(np.float32)


def _softplus(x):
    return np.logaddexp(0.0, x) + 1e-4


def test_the_gaussian_likelihood_equals_scipys():
    variance = _softplus(RAW[:, 1].astype(np.float64))
    expected = -stats.norm.logpdf(NUMBERS[:, 0], RAW[:, 0], np.sqrt(variance))
    np.testing.assert_allclose(losses.GaussianLikelihood(0.0).call(NUMBERS, RAW[:, :2]), expected, rtol=1e-5)
    weighted = losses.GaussianLikelihood(0.5).call(NUMBERS, RAW[:, :2])
    np.testing.assert_allclose(weighted, expected * np.sqrt(variance), rtol=1e-5)


def test_the_evidential_loss_is_scipys_student_t_and_a_penalty():
    """The marginal of a normal-inverse-gamma prior: location γ, 2α degrees of freedom, scale² β (1 + ν) / (ν α)."""
    v, b = (_softplus(RAW[:, i].astype(np.float64)) for i in (1, 3))
    a = _softplus(RAW[:, 2].astype(np.float64)) + 1
    error = np.abs(NUMBERS[:, 0] - RAW[:, 0])
    expected = -stats.t.logpdf(NUMBERS[:, 0], 2 * a, RAW[:, 0], np.sqrt(b * (1 + v) / (v * a)))
    np.testing.assert_allclose(losses.Evidential(0.0).call(NUMBERS, RAW), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses.Evidential(0.3).call(NUMBERS, RAW), expected + 0.3 * error * (2 * v + a), rtol=1e-4)


def test_log_gamma_equals_scipys():
    x = np.geomspace(0.5, 1e4, 60).astype(np.float32)
    np.testing.assert_allclose(np.asarray(losses.log_gamma(x)), special.gammaln(x), rtol=2e-6, atol=5e-6)


OTHERS = [
    (losses.BinaryCrossEntropy(), SOFT[:, :2], 2), (losses.Quantile(0.8), NUMBERS, 1),
    (losses.Poisson(3.0, 1.0), NUMBERS, 1),
    (losses.GaussianLikelihood(0.0), NUMBERS, 2), (losses.Evidential(0.1), NUMBERS, 4),
]


@pytest.mark.parametrize(("loss", "target", "outputs"), OTHERS, ids=lambda v: getattr(v, "name", ""))
def test_gradients_are_the_slopes_of_the_values(loss, target, outputs):
    """Central differences, in float64 so that only the formula is tested."""
    import tensorflow as tf

    output = np.random.default_rng(3).normal(size=(6, outputs))
    target = target.astype(np.float64)
    tensor = tf.constant(output)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = tf.reduce_sum(loss.call(tf.constant(target), tensor))
    gradient = tape.gradient(value, tensor).numpy()
    for place in np.ndindex(output.shape):
        up, down = output.copy(), output.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        slope = (np.sum(loss.call(tf.constant(target), tf.constant(up)))
                 - np.sum(loss.call(tf.constant(target), tf.constant(down)))) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("loss", "target", "outputs"), OTHERS, ids=lambda v: getattr(v, "name", ""))
def test_these_too_train_each_member_on_its_own_loss_and_survive_their_config(loss, target, outputs):
    output = RNG.normal(size=(6, 4, outputs)).astype(np.float32)
    single = np.mean([np.asarray(loss.call(target, output[:, m])) for m in range(4)], axis=0)
    np.testing.assert_allclose(loss.call(target, output), single, rtol=1e-4)
    again = type(loss).from_config(loss.get_config())
    np.testing.assert_array_equal(again.call(target, output), loss.call(target, output))


def _learned(loss, outputs: int):
    """Outputs of a small net that learned noise of a size that depends on x; and x, y, the noise's size, of new rows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (6000, 1)).astype(np.float32)
    size = 0.2 + 0.6 * (x > 0)
    y = (np.sin(3 * x) + size * rng.normal(size=x.shape)).astype(np.float32)
    keras.utils.set_random_seed(1)
    hidden = [keras.layers.Dense(32, activation="tanh") for _ in range(2)]
    model = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(outputs)])
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x[:4000], y[:4000], batch_size=200, epochs=30, verbose=0)
    return np.asarray(model(x[4000:]), np.float64), x[4000:, 0], y[4000:, 0], size[4000:, 0]


def test_the_gaussian_variance_is_calibrated():
    out, x, y, size = _learned(losses.GaussianLikelihood(0.5), 2)
    deviation = np.sqrt(_softplus(out[:, 1]))
    for side in (x < -0.1, x > 0.1):
        assert np.mean(deviation[side]) == pytest.approx(size[side][0], rel=0.15)
        z = (y[side] - out[side, 0]) / deviation[side]
        assert np.mean(z**2) == pytest.approx(1, abs=0.2)
        assert np.mean(np.abs(z) < 1.645) == pytest.approx(0.9, abs=0.04)


def test_the_evidential_distribution_is_calibrated():
    """Intervals of its Student t hold their share of new rows on both sides."""
    out, x, y, _ = _learned(losses.Evidential(0.01), 4)
    v, a, b = _softplus(out[:, 1]), _softplus(out[:, 2]) + 1, _softplus(out[:, 3])
    spread = np.sqrt(b * (1 + v) / (v * a))
    for side in (x < -0.1, x > 0.1):
        inside = np.abs(y[side] - out[side, 0]) < (stats.t.ppf(0.95, 2 * a) * spread)[side]
        assert np.mean(inside) == pytest.approx(0.9, abs=0.04)
    assert np.mean(spread[x > 0.1]) > 2 * np.mean(spread[x < -0.1])
