"""The client's metrics are the engine's, and their intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from automl.tasks import metrics
from automl_client import scores

RNG = np.random.default_rng(0)


def probabilities(rows: int, classes: int) -> np.ndarray:
    made = RNG.dirichlet(np.ones(classes), rows).astype(np.float32)
    made[: rows // 4] = np.round(made[: rows // 4], 1)  # ties
    return made


def test_the_client_has_every_metric_of_the_engine():
    assert set(scores.METRICS) == set(metrics.METRICS)
    assert set(scores.OF_NUMBERS) == {id for id, metric in metrics.METRICS.items() if metric.kind == "regression"}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("id", [id for id, metric in metrics.METRICS.items() if metric.kind == "classification"])
def test_metrics_of_classes_are_the_engines(id, classes):
    y, outputs = RNG.integers(0, classes, 200), probabilities(200, classes)
    assert scores.METRICS[id](y, outputs) == pytest.approx(metrics.value(id, y, outputs), rel=1e-12)


@pytest.mark.parametrize("id", scores.OF_NUMBERS)
def test_metrics_of_numbers_are_the_engines(id):
    y = RNG.normal(size=100)
    outputs = (y + RNG.normal(0, 0.3, 100)).astype(np.float32)[:, None]
    assert scores.METRICS[id](y, outputs) == pytest.approx(metrics.value(id, y, outputs), rel=1e-12)


def test_one_class_settles_no_area():
    assert np.isnan(scores.METRICS["roc-auc"](np.zeros(5, int), probabilities(5, 2)))


def test_wilsons_interval_is_the_textbooks():
    """8 of 10: 0.4902 to 0.9433 (Newcombe 1998, method 3)."""
    outputs = np.eye(2)[[1] * 8 + [0] * 2]
    found = scores.interval("accuracy", np.ones(10, int), outputs)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert found.method == "Wilson"


def test_the_bootstrap_has_the_width_of_a_means_error():
    """Of the mean absolute error of 400 rows: ± 1.96 standard errors."""
    errors = np.abs(RNG.normal(size=400))
    found = scores.interval("mae", np.zeros(400), errors[:, None], limit_s=60.0)
    half = 1.96 * errors.std() / 20
    assert found.low == pytest.approx(errors.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(errors.mean() + half, abs=0.15 * half)
    assert found.method == "bootstrap, 1000 resamples"


def test_calibration_error_of_a_hand_made_case():
    """Ten rows at 0.95, nine right: |0.95 − 0.9|; ten at 0.65, five right: |0.65 − 0.5|."""
    outputs = np.array([[0.05, 0.95]] * 10 + [[0.35, 0.65]] * 10)
    y = np.array([1] * 9 + [0] + [1] * 5 + [0] * 5)
    assert scores.calibration_error(y, outputs) == pytest.approx((0.05 + 0.15) / 2)


def test_agreement_is_of_classes_or_of_numbers():
    assert scores.agreement(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([[0.4, 0.6], [0.2, 0.8]])) == 0.5
    assert scores.agreement(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.0]])) == 1.0
