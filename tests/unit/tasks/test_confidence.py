"""Intervals and calibration errors are those of textbooks, of SciPy and of the client, which resamples row by row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from automl.spec import Interval
from automl.tasks import confidence, metrics
from automl_client import scores

OF_CLASSES = [id for id, metric in metrics.METRICS.items() if metric.kind == "classification"]
OF_NUMBERS = [id for id, metric in metrics.METRICS.items() if metric.kind == "regression"]


def classes_of(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities with ties, better than chance; the last class is rare."""
    rng = np.random.default_rng(rows + classes)
    y = rng.choice(classes, rows, p=[0.95 / (classes - 1)] * (classes - 1) + [0.05])
    p = rng.dirichlet(np.ones(classes), rows) + 0.3 * np.eye(classes)[y]
    p[::2] = np.round(p[::2], 1) + 1e-3
    return y.astype(np.int32), (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def numbers_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    y = rng.normal(1e4, 3.0, rows).astype(np.float32)
    return y, (y + rng.normal(0, 1, rows)).astype(np.float32)[:, None]


def both(metric: str, y: np.ndarray, prediction: np.ndarray) -> tuple[Interval | None, object]:
    """The engine's and the client's, of the same draws."""
    return (
        confidence.interval(metric, y, prediction, limit_s=60.0),
        scores.interval(metric, y, prediction, limit_s=60.0),
    )


def assert_equal(found: Interval | None, expected: object) -> None:
    assert isinstance(found, Interval)
    assert isinstance(expected, scores.Interval)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.method == expected.method


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("metric", OF_CLASSES)
def test_intervals_of_classes_are_those_of_resampled_rows(metric: str, classes: int) -> None:
    assert_equal(*both(metric, *classes_of(60, classes)))


@pytest.mark.parametrize("rows", [3, 60])
@pytest.mark.parametrize("metric", OF_NUMBERS)
def test_intervals_of_numbers_are_those_of_resampled_rows(metric: str, rows: int) -> None:
    """Of three rows each ninth resample has one row alone, whose variance is nothing."""
    assert_equal(*both(metric, *numbers_of(rows)))


def test_a_bootstraps_interval_is_scipys() -> None:
    y, prediction = numbers_of(400)
    off = np.abs(y.astype(np.float64) - prediction[:, 0])
    expected = stats.bootstrap((off,), np.mean, n_resamples=4000, method="percentile", random_state=1).confidence_interval
    found = confidence.interval("mae", y, prediction, limit_s=60.0)
    assert found is not None
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.08 * width)


@pytest.mark.parametrize(("right", "rows"), [(81, 263), (0, 20), (20, 20), (1, 2), (9_910, 10_000)])
def test_wilsons_interval_is_scipys(right: int, rows: int) -> None:
    expected = stats.binomtest(right, rows).proportion_ci(method="wilson")
    found = Interval.of_share(right / rows, rows)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    outputs = np.eye(2)[[1] * right + [0] * (rows - right)]
    assert confidence.interval("accuracy", np.ones(rows, int), outputs) == found


def test_wilsons_interval_equals_published_values() -> None:
    """Newcombe 1998 (Statistics in Medicine 17, table I), method 3 (score), 95 %."""
    found = [Interval.of_share(81 / 263, 263), Interval.of_share(0.0, 20)]
    assert [(one.low, one.high) for one in found] == [
        pytest.approx((0.2553, 0.3662), abs=5e-5), pytest.approx((0.0, 0.1611), abs=5e-5),
    ]


def test_what_rows_dont_settle_has_no_interval() -> None:
    y, prediction = classes_of(40, 2)
    assert confidence.interval("roc-auc", np.zeros(40, int), prediction) is None
    assert confidence.interval("accuracy", y[:1], prediction[:1]) is None


@pytest.mark.parametrize(("step_s", "resamples"), [(0.005, 100), (0.0051, None), (0.0001, 1000)])
def test_resamples_end_with_the_time(step_s: float, resamples: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resample takes one step of this clock; fewer than a hundred are no interval."""
    clock = itertools.count()
    monkeypatch.setattr(confidence.time, "monotonic", lambda: next(clock) * step_s)
    found = confidence.interval("mae", *numbers_of(50), limit_s=0.502)
    assert (None if found is None else found.method) == (None if resamples is None else f"bootstrap, {resamples} resamples")


def test_an_area_of_very_many_rows_and_classes_isnt_begun() -> None:
    y, prediction = classes_of(2_001, 500)
    assert confidence.interval("roc-auc", y, prediction) is None
    assert confidence.interval("log-loss", y, prediction, limit_s=60.0) is not None


def test_calibration_error_of_a_hand_made_case() -> None:
    """Ten rows at 0.95, nine right: |0.95 − 0.9|; ten at 0.65, five right: |0.65 − 0.5|."""
    outputs = np.array([[0.05, 0.95]] * 10 + [[0.35, 0.65]] * 10)
    y = np.array([1] * 9 + [0] + [1] * 5 + [0] * 5)
    assert confidence.calibration_error(y, outputs) == pytest.approx((0.05 + 0.15) / 2)


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_errors_are_the_clients(classes: int) -> None:
    y, prediction = classes_of(500, classes)
    assert confidence.calibration_error(y, prediction) == pytest.approx(scores.calibration_error(y, prediction), abs=1e-12)
