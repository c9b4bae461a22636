"""The metrics agree with scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from automl.catalog import tasks
from automl.spec import InvalidInput
from automl.tasks import metrics


def _classification(seed: int, rows: int, classes: int, rounding: int | None = None):
    """Targets and probabilities; rounding makes ties, which metrics of ranks must treat right."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows).astype(np.int32)
    logits = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[y]
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if rounding is not None:
        p = np.round(p, rounding) + 1e-3
        p /= p.sum(axis=1, keepdims=True)
    return y, p.astype(np.float32)


REFERENCE = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced-accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "f1-macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "mcc": lambda y, p: sk.matthews_corrcoef(y, p.argmax(1)),
    "log-loss": lambda y, p: sk.log_loss(y, p.astype(np.float64) / p.sum(1, keepdims=True, dtype=np.float64)),
    "roc-auc": lambda y, p: (
        sk.roc_auc_score(y, p[:, 1]) if p.shape[1] == 2
        else np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in range(p.shape[1])])
    ),
    "pr-auc": lambda y, p: (
        sk.average_precision_score(y, p[:, 1]) if p.shape[1] == 2
        else np.mean([sk.average_precision_score(y == c, p[:, c]) for c in range(p.shape[1])])
    ),
}


@pytest.mark.parametrize("metric", REFERENCE)
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rounding", [None, 1])
def test_classification_agrees_with_scikit_learn(metric, classes, rounding):
    y, p = _classification(classes, 400, classes, rounding)
    assert metrics.value(metric, y, p) == pytest.approx(REFERENCE[metric](y, p), abs=1e-6)


def test_multiclass_roc_auc_is_scikit_learns_macro_ovr():
    y, p = _classification(5, 500, 4)
    p = p.astype(np.float64) / p.astype(np.float64).sum(axis=1, keepdims=True)
    assert metrics.value("roc-auc", y, p) == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr", average="macro"))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("r2", sk.r2_score), ("mae", sk.mean_absolute_error),
        ("rmse", lambda y, p: math.sqrt(sk.mean_squared_error(y, p))),
    ],
)
@pytest.mark.parametrize("shape", [(300,), (300, 1)])
def test_regression_agrees_with_scikit_learn(metric, reference, shape):
    rng = np.random.default_rng(0)
    y = rng.normal(1e5, 3e4, 300).astype(np.float32)
    prediction = (y + rng.normal(0, 1e4, 300)).astype(np.float32)
    expected = reference(y.astype(np.float64), prediction.astype(np.float64))
    assert metrics.value(metric, y, prediction.reshape(shape)) == pytest.approx(expected, rel=1e-9)


def test_a_class_that_does_not_occur_is_left_out_of_means():
    y, p = _classification(1, 300, 4)
    y[y == 3] = 2
    assert 0 < metrics.value("roc-auc", y, p) <= 1
    assert metrics.value("balanced-accuracy", y, p) == pytest.approx(
        np.mean([np.mean(p[y == c].argmax(1) == c) for c in range(3)])
    )


def test_ranking_metrics_say_so_when_there_is_one_class():
    with pytest.raises(InvalidInput, match="at least two classes"):
        metrics.value("roc-auc", np.zeros(5, int), np.full((5, 2), 0.5))


def test_scores_are_signed_so_that_larger_is_better():
    y = np.array([1.0, 2.0, 3.0])
    assert metrics.score("rmse", y, y + 1) == -1.0
    assert metrics.score("r2", y, y) == 1.0
    for metric in metrics.METRICS.values():
        assert metric.signed(metric.signed(0.3)) == 0.3


def test_a_perfect_model_reaches_the_declared_best_value():
    y = np.array([0, 1, 2, 1])
    numbers = np.array([1.0, 2.0, 4.0])
    for metric in metrics.METRICS.values():
        value = (
            metrics.value(metric.id, y, np.eye(3)[y]) if metric.kind == "classification"
            else metrics.value(metric.id, numbers, numbers)
        )
        assert value == pytest.approx(metric.best)


def test_every_tasks_metrics_are_declared_and_of_its_kind():
    for task in tasks:
        assert {metrics.get(m).kind for m in task.metrics} == {task.kind}
        for classes in (0,) if task.kind == "regression" else (2, 5):
            assert task.default_metric(classes) in task.metrics


def test_evaluate_gives_every_metric_of_the_task():
    y, p = _classification(2, 100, 3)
    assert list(metrics.evaluate("tabular-classification", y, p)) == list(tasks["tabular-classification"].metrics)


def test_predictions_that_are_not_finite_are_an_error_of_their_own():
    p = np.full((3, 2), 0.5)
    p[1] = np.nan
    with pytest.raises(FloatingPointError, match="NaN"):
        metrics.value("accuracy", np.zeros(3, int), p)


@pytest.mark.parametrize(
    ("y", "p"), [(np.zeros(3, int), np.full((3,), 0.5)), (np.zeros(3, int), np.full((2, 2), 0.5)), ([], np.zeros((0, 2)))]
)
def test_shapes_that_do_not_fit_are_refused(y, p):
    with pytest.raises(ValueError, match="accuracy"):
        metrics.value("accuracy", np.asarray(y), p)


def test_an_unknown_metric_names_those_there_are():
    with pytest.raises(InvalidInput, match="roc-auc"):
        metrics.get("auc")


def test_a_constant_regression_target_has_no_variance_to_explain():
    y = np.full(4, 2.0)
    assert metrics.value("r2", y, y) == 1.0
    assert metrics.value("r2", y, y + 1) == 0.0
