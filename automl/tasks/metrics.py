"""The metrics by which models are measured, each declared once, in NumPy alone so that an epoch's end costs
milliseconds.

Targets `y` are class indices int [n], or numbers [n]; predictions are probabilities [n, classes], or numbers [n] or
[n, 1]. The class with the largest probability is the predicted one; of two classes the second (index 1) is the
positive one. With more classes `roc-auc` and `pr-auc` are the plain mean of one-against-rest values over the classes
that occur in `y`.

Values agree with scikit-learn's functions of the same names (shown by tests).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import entries
from automl.spec import InvalidInput

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A declared metric. `function(y, prediction) -> float` in its natural sign."""

    id: str
    kind: str
    larger_is_better: bool
    function: Callable[[Array, Array], float]
    summary: str
    best: float
    """The value of a perfect model."""

    def signed(self, value: float) -> float:
        """The value turned so that larger is better; its own inverse."""
        return value if self.larger_is_better else -value



def confusion(y: Array, prediction: Array) -> NDArray[np.int64]:
    """Counts [classes, classes]: row the true class, column the predicted one."""
    classes = prediction.shape[1]
    flat = y.astype(np.int64) * classes + prediction.argmax(axis=1)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def accuracy(y: Array, prediction: Array) -> float:
    return float(np.mean(prediction.argmax(axis=1) == y))


def balanced_accuracy(y: Array, prediction: Array) -> float:
    table = confusion(y, prediction)
    support = table.sum(axis=1)
    occurring = support > 0
    return float(np.mean(np.diag(table)[occurring] / support[occurring]))


def f1_macro(y: Array, prediction: Array) -> float:
    """Over the classes that occur in `y` or among the predictions, as scikit-learn has it."""
    table = confusion(y, prediction)
    total = table.sum(axis=0) + table.sum(axis=1)
    occurring = total > 0
    return float(np.mean(2 * np.diag(table)[occurring] / total[occurring]))


def mcc(y: Array, prediction: Array) -> float:
    """Matthews' correlation coefficient for any number of classes (Gorodkin 2004); 0 where it is undefined."""
    table = confusion(y, prediction).astype(np.float64)
    true, predicted, n = table.sum(axis=1), table.sum(axis=0), table.sum()
    covariance = np.trace(table) * n - true @ predicted
    spread = (n * n - predicted @ predicted) * (n * n - true @ true)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def log_loss(y: Array, prediction: Array) -> float:
    """Mean negative log of the true class's probability, probabilities clipped to float64's resolution."""
    chosen = prediction[np.arange(len(y)), y.astype(np.int64)].astype(np.float64)
    return float(-np.mean(np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0))))


def _binary_roc_auc(positive: NDArray[np.bool_], score: Array) -> float:
    """The share of pairs in the right order, ties counted half (Mann–Whitney)."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    # A tied group's mean rank: the ranks before it plus half of its own (+ ½).
    mean_rank = np.cumsum(counts) - counts + (counts + 1) / 2
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    rank_sum = mean_rank[inverse][positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _binary_pr_auc(positive: NDArray[np.bool_], score: Array) -> float:
    """Average precision: the step-wise area, without interpolation."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    hits = np.cumsum(positive[order])
    ends = np.r_[np.nonzero(np.diff(ordered))[0], len(ordered) - 1]  # where a threshold can lie
    precision = hits[ends] / (ends + 1)
    recall = hits[ends] / hits[-1]
    return float(np.sum(np.diff(np.r_[0.0, recall]) * precision))


def _one_against_rest(name: str, binary: Callable[[NDArray[np.bool_], Array], float]) -> Callable[[Array, Array], float]:
    def function(y: Array, prediction: Array) -> float:
        if prediction.shape[1] == 2:
            wanted = [1]
        else:
            wanted = [int(c) for c in np.unique(y)]
        values = [binary(y == c, prediction[:, c]) for c in wanted if 0 < np.count_nonzero(y == c) < len(y)]
        if not values:
            raise InvalidInput.at("metric", f"{name} needs rows of at least two classes; these {len(y)} rows have one")
        return float(np.mean(values))

    return function


def r2(y: Array, prediction: Array) -> float:
    """1 − squared error over that of the mean; 0 for a constant target unless it is met exactly."""
    truth = y.astype(np.float64)
    residual = float(np.sum((truth - prediction.astype(np.float64)) ** 2))
    total = float(np.sum((truth - truth.mean()) ** 2))
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1 - residual / total


def rmse(y: Array, prediction: Array) -> float:
    return float(np.sqrt(np.mean((y.astype(np.float64) - prediction.astype(np.float64)) ** 2)))


def mae(y: Array, prediction: Array) -> float:
    return float(np.mean(np.abs(y.astype(np.float64) - prediction.astype(np.float64))))


METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        Metric("accuracy", "classification", True, accuracy, "share of rows with the right class", 1.0),
        Metric("balanced-accuracy", "classification", True, balanced_accuracy, "mean recall of the classes", 1.0),
        Metric("roc-auc", "classification", True, _one_against_rest("roc-auc", _binary_roc_auc),
               "area under the ROC curve; the mean of one-against-rest for several classes", 1.0),
        Metric("pr-auc", "classification", True, _one_against_rest("pr-auc", _binary_pr_auc),
               "average precision; the mean of one-against-rest for several classes", 1.0),
        Metric("log-loss", "classification", False, log_loss, "mean negative log-probability of the right class", 0.0),
        Metric("f1-macro", "classification", True, f1_macro, "mean F1 of the classes", 1.0),
        Metric("mcc", "classification", True, mcc, "Matthews' correlation coefficient", 1.0),
        Metric("r2", "regression", True, r2, "share of the target's variance that is explained", 1.0),
        Metric("rmse", "regression", False, rmse, "root mean squared error, in the target's unit", 0.0),
        Metric("mae", "regression", False, mae, "mean absolute error, in the target's unit", 0.0),
    )
}


def get(metric: str) -> Metric:
    """Raises `InvalidInput` that lists the metrics there are."""
    if metric not in METRICS:
        message = f"unknown metric {metric!r}; there are: {', '.join(METRICS)}"
        raise InvalidInput.at("metric", message, reason="UNKNOWN_METRIC")
    return METRICS[metric]


def checked(metric: str, y: Array, prediction: Array) -> tuple[Array, Array]:
    """Both in the form that the metric takes. Raises as `value` does."""
    declared = get(metric)
    y, prediction = np.asarray(y), np.asarray(prediction)
    if declared.kind == "regression":
        prediction = prediction.reshape(-1)
        y = y.reshape(-1)
    elif prediction.ndim != 2 or prediction.shape[1] < 2:
        raise ValueError(f"{metric}: expected probabilities [n, classes], got the shape {prediction.shape}")
    if len(y) != len(prediction) or not len(y):
        raise ValueError(f"{metric}: {len(y)} targets and {len(prediction)} predictions")
    if not np.isfinite(prediction).all():
        raise FloatingPointError(f"{metric}: predictions hold NaN or infinite values")
    return y, prediction


def value(metric: str, y: Array, prediction: Array) -> float:
    """The metric in its natural sign.

    Raises `FloatingPointError` for predictions that are not finite, `ValueError` for shapes that don't fit.
    """
    return get(metric).function(*checked(metric, y, prediction))


def score(metric: str, y: Array, prediction: Array) -> float:
    """The metric signed so that larger is better. Raises as `value` does."""
    return get(metric).signed(value(metric, y, prediction))


def evaluate(task: str, y: Array, prediction: Array) -> dict[str, float]:
    """Every metric of a task type in its natural sign, by id, in the task's order. Raises as `value` does."""
    return {metric: value(metric, y, prediction) for metric in entries.tasks[task].metrics}
