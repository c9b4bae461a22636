"""Signal augmentation: shapes and ends stay, statistics are those of its formulas, the pace is a monotone map."""

from __future__ import annotations

import numpy as np

from automl.catalog import TrainPlan
from automl.techniques.data import signal_augment

OFF = {"jitter": 0.0, "scaling": 0.0, "warp": 0.0, "time_mask": 0.0, "channel_mask": 0.0}


def run(series, seed=0, **params):
    plan = signal_augment.apply(TrainPlan(), **{**OFF, **params})
    y = np.zeros((len(series), 2), np.float32)
    given = series.copy()
    out, same = plan.batch_steps[-1].make()({"series": series}, y, np.random.default_rng(seed))
    np.testing.assert_array_equal(series, given)
    assert same is y
    assert out["series"].shape == series.shape
    assert out["series"].dtype == np.float32
    return out["series"]


def ragged(rows=200, steps=30, channels=3, seed=1):
    rng = np.random.default_rng(seed)
    there = np.arange(steps) < rng.integers(2, steps + 1, rows)[:, None]
    values = rng.normal(size=(rows, steps, channels)) * there[..., None]
    return np.concatenate([values, there[..., None]], axis=2).astype(np.float32)


def test_nothing_changes_when_all_is_off():
    x = ragged()
    np.testing.assert_array_equal(run(x), x)


def test_ends_and_the_mask_stay():
    x = ragged()
    out = run(x, jitter=0.3, scaling=0.3, warp=0.4, time_mask=0.3, channel_mask=0.2)
    np.testing.assert_array_equal(out[..., -1], x[..., -1])
    assert (out[..., :-1][x[..., -1] == 0] == 0).all()
    assert np.isfinite(out).all()


def test_jitter_and_scaling_have_their_deviations():
    x = np.full((4000, 20, 2), 3.0, np.float32)
    noise = run(x, jitter=0.2) - x
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.2], atol=0.005)
    factor = run(x, scaling=0.3) / x
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape), rtol=1e-6)
    np.testing.assert_allclose([factor.mean(), factor[:, 0].std()], [1, 0.3], atol=0.02)
    assert abs(np.corrcoef(factor[:, 0].T)[0, 1]) < 0.06


def test_the_pace_is_a_monotone_map_that_keeps_both_ends():
    line = np.tile(np.arange(25, dtype=np.float32)[None, :, None], (300, 1, 1))
    out = run(line, warp=0.3)[..., 0]
    np.testing.assert_allclose(out[:, 0], 0, atol=1e-5)
    np.testing.assert_allclose(out[:, -1], 24, atol=1e-4)
    assert (np.diff(out, axis=1) > 0).all()
    assert np.abs(out - line[..., 0]).max() > 1
    # Within a part the pace is constant: 24 steps in four parts of six.
    slopes = np.diff(out, axis=1).reshape(300, 4, 6)
    np.testing.assert_allclose(slopes, np.broadcast_to(slopes[:, :, :1], slopes.shape), rtol=1e-3)
    ratios = np.log(slopes[:, 0, 0] / slopes[:, 1, 0])
    assert abs(ratios.std() - 0.3 * np.sqrt(2)) < 0.05


def test_a_span_of_time_is_hidden():
    x = np.ones((4000, 50, 1), np.float32)
    hidden = run(x, time_mask=0.4)[..., 0] == 0
    widths = hidden.sum(axis=1)
    assert widths.max() == 20
    assert abs(widths.mean() - 10) < 0.3
    edges = np.abs(np.diff(np.pad(hidden, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1)
    assert set(edges.tolist()) <= {0, 2}


def test_channels_are_hidden_but_never_all():
    x = np.ones((4000, 5, 4), np.float32) * 2
    hidden = (run(x, channel_mask=0.3) == 0)
    whole = hidden.all(axis=1)
    np.testing.assert_array_equal(hidden.any(axis=1), whole)
    assert whole.sum(axis=1).max() <= 3
    # One channel, drawn evenly, is always kept.
    assert abs(whole.mean() - 0.3 * 3 / 4) < 0.01


def test_the_mask_is_told_from_measured_values():
    assert signal_augment.has_mask(ragged())
    assert not signal_augment.has_mask(ragged()[..., :-1])
    assert not signal_augment.has_mask(np.ones((3, 4, 1), np.float32))
    full = np.concatenate([np.random.default_rng(0).normal(size=(3, 4, 2)), np.ones((3, 4, 1))], axis=2)
    assert signal_augment.has_mask(full.astype(np.float32))
