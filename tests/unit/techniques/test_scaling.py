"""Scalings, through the encoder: statistics of the training rows alone, missing values left out, odd columns survived."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from scipy import stats
from sklearn import preprocessing

from automl.catalog import techniques
from automl.data.encoder import apply_operations, operation_faults
from automl.spec import Profile
from automl.techniques.data import minmax_scaling, quantile_scaling, standardization

RNG = np.random.default_rng(0)
NAN = np.nan


def _columns(rows: int = 3000) -> np.ndarray:
    """Normal, heavy-tailed, two values, constant, large offset, with missing values."""
    x = np.stack([
        RNG.normal(5, 2, rows), RNG.standard_t(1.5, rows), RNG.integers(0, 2, rows), np.full(rows, 7.25),
        1e6 + RNG.normal(0, 0.5, rows), RNG.exponential(3, rows),
    ], axis=1).astype(np.float32)
    x[::7, 5] = NAN
    return x


SCALINGS = {
    "mean-std": lambda x: standardization.operations(x, None, statistics="mean-std", smooth_clip=False),
    "mean-std-clipped": lambda x: standardization.operations(x, None, statistics="mean-std", smooth_clip=True),
    "median-iqr": lambda x: standardization.operations(x, None, statistics="median-iqr", smooth_clip=True),
    "unit": lambda x: minmax_scaling.operations(x, None, low=0.0),
    "symmetric": lambda x: minmax_scaling.operations(x, None, low=-1.0),
    "normal": lambda x: quantile_scaling.operations(x, None, output="normal", knots=128),
    "uniform": lambda x: quantile_scaling.operations(x, None, output="uniform", knots=128),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_any_column_becomes_finite_and_of_ordinary_size(name):
    x = _columns()
    operations = SCALINGS[name](x)
    assert operation_faults(operations, x.shape[1]) == []
    y = apply_operations(x, operations)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert np.isfinite(y[~np.isnan(y)]).all()
    if name != "mean-std":  # which lets outliers through
        assert np.nanmax(np.abs(y)) < 4.5
    assert np.isfinite(apply_operations(np.full_like(x, 1e9), operations)).all()


def test_mean_and_deviation_agree_with_scikit_learn():
    x = _columns()[:, [0, 2, 5]]
    y = apply_operations(x, SCALINGS["mean-std"](x))
    np.testing.assert_allclose(y, preprocessing.StandardScaler().fit_transform(x.astype(np.float64)), atol=1e-4)


def test_a_constant_column_becomes_zero():
    x = np.full((10, 1), 0.1, np.float32)
    for name in ("mean-std", "median-iqr"):
        assert not apply_operations(x, SCALINGS[name](x)).any()


def test_median_and_quartiles_give_unit_deviation_on_normal_data_whatever_the_outliers():
    x = RNG.normal(40, 3, (5000, 1))
    x[:100] = 1e6
    median, spread = standardization.median_and_spread(x)
    assert median[0] == pytest.approx(40, abs=0.3)
    assert spread[0] == pytest.approx(3, rel=0.06)


def test_smooth_clipping_equals_the_formula():
    x = np.linspace(-20, 20, 81, dtype=np.float32)[:, None]
    y = apply_operations(x, [{"op": "smooth-clip", "limit": standardization.SMOOTH_LIMIT}])
    np.testing.assert_allclose(y, x / np.sqrt(1 + (x / 3) ** 2), rtol=1e-5)
    assert np.abs(y).max() < 3


@pytest.mark.parametrize(("name", "low"), [("unit", 0), ("symmetric", -1)])
def test_minmax_agrees_with_scikit_learn_and_cuts_off_what_lies_beyond(name, low):
    x = _columns()[:, [0, 1, 2]]
    operations = SCALINGS[name](x)
    expected = preprocessing.MinMaxScaler((low, 1)).fit_transform(x.astype(np.float64))
    np.testing.assert_allclose(apply_operations(x, operations), expected, atol=1e-4)
    beyond = apply_operations(np.array([[1e9] * 3, [-1e9] * 3], np.float32), operations)
    np.testing.assert_array_equal(beyond, [[1, 1, 1], [low, low, low]])


def test_rank_gauss_makes_any_distribution_normal():
    x = _columns(4000)[:, [0, 1]]
    y = apply_operations(x, SCALINGS["normal"](x))
    assert stats.skew(y).max() < 0.1
    np.testing.assert_allclose(y.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(y.std(0), 1, atol=0.05)
    reference = stats.norm.ppf((stats.rankdata(x[:, 1]) - 0.5) / len(x))
    # Between the last two of 128 knots lie 32 rows, whose ranks are interpolated over a heavy tail.
    assert np.quantile(np.abs(y[:, 1] - reference), 0.98) < 0.05
    assert stats.spearmanr(y[:, 1], x[:, 1]).statistic > 0.999


def test_a_column_that_is_mostly_zero_keeps_its_other_values_apart():
    rest = np.geomspace(10, 1e5, 80)
    x = np.concatenate([np.zeros(920), rest]).astype(np.float32)[:, None]
    y = apply_operations(x, quantile_scaling.operations(x, None, output="normal", knots=64))[920:, 0]
    assert (np.diff(y) > 0).all()
    reference = stats.norm.ppf((np.arange(920, 1000) + 0.5) / 1000)
    # The first of them may lie between the knot at 0 and the next one.
    np.testing.assert_allclose(y[3:], reference[3:], atol=0.12)


@pytest.mark.parametrize("knots", [32, 128])
def test_the_map_that_travels_is_written_in_few_digits(knots):
    """Prices to a tenth, as float32: 4.6 is 4.599999904632568 in the next wider precision."""
    x = np.round(RNG.gamma(2, 3, (2000, 6)), 1).astype(np.float32)
    operations = quantile_scaling.operations(x, None, output="normal", knots=knots)
    assert all(k == round(k, 1) for column in operations[0]["knots"] for k in column)
    exactly = [{**operations[0], "knots": [[float(np.float32(k)) for k in c] for c in operations[0]["knots"]]}]
    np.testing.assert_allclose(apply_operations(x, operations), apply_operations(x, exactly), atol=1e-5)
    profile = Profile(
        modality="table", task="tabular-classification", rows=2000, numeric=6,
        numeric_values=tuple(len(np.unique(column)) for column in x.T),
    )
    foreseen = techniques["quantile-scaling"].travels(profile, output="normal", knots=knots)
    written = len(zlib.compress(json.dumps(operations, separators=(",", ":")).encode(), 9))
    assert 0.65 * written <= foreseen <= 1.05 * written


def test_a_column_of_few_values_keeps_them_apart_at_their_mid_ranks():
    x = np.repeat([3.0, 5.0, 9.0], [50, 30, 20]).astype(np.float32)[:, None]
    y = apply_operations(x, SCALINGS["uniform"](x))
    np.testing.assert_allclose(np.unique(y), 2 * np.array([0.25, 0.65, 0.9]) - 1, atol=1e-6)


def test_pixels_have_mean_0_and_variance_1_over_the_training_pictures():
    images = (RNG.normal(100, [20, 40, 5], (50, 8, 8, 3))).clip(0, 255).astype(np.uint8)
    scale, offset = standardization.pixels(images)
    y = images * np.array(scale) + np.array(offset)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_bytes_are_mapped_onto_the_range(low):
    scale, offset = minmax_scaling.pixels(np.zeros((1, 2, 2, 3), np.uint8), low=low)
    np.testing.assert_allclose(np.array([0, 255]) * scale[0] + offset[0], [low, 1], atol=1e-9)


@pytest.mark.parametrize("id", ["standardization", "minmax-scaling"])
def test_pixel_scaling_stands_inside_the_model(id, apply):
    import keras

    from automl.architectures import builder
    from automl.spec import Profile

    images = RNG.integers(0, 200, (20, 8, 8, 3), np.uint8)
    plan = apply(id)
    data = Profile(modality="image", task="image-classification", rows=20)
    made = builder.Builder(plan, data, seed=1, preprocess={}, sample={"image": images})
    x = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(x, made.pixels(x))
    scale, offset = plan.pixel_scaling.make(images)
    np.testing.assert_allclose(model.predict(images, verbose=0), images * np.array(scale) + offset, atol=1e-4)
