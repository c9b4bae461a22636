"""The metrics of `preprocess.json` in NumPy, their intervals, and calibration.

The meaning of each is the engine's (`automl.tasks.metrics`, `automl.tasks.confidence`); a test holds both to the same
numbers. Targets `y` are class indices int [n] or numbers float [n]; `outputs` are probabilities [n, classes] or numbers
[n, 1].
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client.types import Interval

Array = NDArray[Any]

BINS = 15
RESAMPLES = 1000
FEWEST_RESAMPLES = 100
_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


def _confusion(y: Array, outputs: Array) -> NDArray[np.float64]:
    classes = outputs.shape[1]
    counts = np.bincount(y.astype(np.int64) * classes + outputs.argmax(axis=1), minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def _accuracy(y: Array, outputs: Array) -> float:
    return float(np.mean(outputs.argmax(axis=1) == y))


def _balanced_accuracy(y: Array, outputs: Array) -> float:
    table = _confusion(y, outputs)
    support = table.sum(axis=1)
    return float(np.mean(np.diag(table)[support > 0] / support[support > 0]))


def _f1_macro(y: Array, outputs: Array) -> float:
    table = _confusion(y, outputs)
    total = table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2 * np.diag(table)[total > 0] / total[total > 0]))


def _mcc(y: Array, outputs: Array) -> float:
    table = _confusion(y, outputs)
    true, said, n = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = (n * n - said @ said) * (n * n - true @ true)
    return float((np.trace(table) * n - true @ said) / np.sqrt(spread)) if spread > 0 else 0.0


def _log_loss(y: Array, outputs: Array) -> float:
    chosen = outputs[np.arange(len(y)), y.astype(np.int64)].astype(np.float64)
    return float(-np.mean(np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0))))


def _ordered_pairs(positive: NDArray[np.bool_], score: Array) -> float:
    """Area under the ROC curve: the share of pairs in the right order, ties counted half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - counts + (counts + 1) / 2
    hits = int(positive.sum())
    return float((rank[inverse][positive].sum() - hits * (hits + 1) / 2) / (hits * (len(positive) - hits)))


def _average_precision(positive: NDArray[np.bool_], score: Array) -> float:
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.nonzero(np.diff(score[order]))[0], len(score) - 1]
    hits = np.cumsum(positive[order])
    return float(np.sum(np.diff(np.r_[0.0, hits[ends] / hits[-1]]) * hits[ends] / (ends + 1)))


def _rest(binary: Callable[[NDArray[np.bool_], Array], float]) -> Callable[[Array, Array], float]:
    """The mean over the classes, each against the rest; of two classes the second's. NaN where the rows have one class."""

    def of(y: Array, outputs: Array) -> float:
        wanted = [1] if outputs.shape[1] == 2 else [int(c) for c in np.unique(y)]
        values = [binary(y == c, outputs[:, c]) for c in wanted if 0 < np.count_nonzero(y == c) < len(y)]
        return float(np.mean(values)) if values else math.nan

    return of


def _r2(y: Array, outputs: Array) -> float:
    truth, said = y.astype(np.float64), outputs.reshape(-1).astype(np.float64)
    residual, total = float(np.sum((truth - said) ** 2)), float(np.sum((truth - truth.mean()) ** 2))
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return 1 - residual / total


def _rmse(y: Array, outputs: Array) -> float:
    return float(np.sqrt(np.mean((y.astype(np.float64) - outputs.reshape(-1).astype(np.float64)) ** 2)))


def _mae(y: Array, outputs: Array) -> float:
    return float(np.mean(np.abs(y.astype(np.float64) - outputs.reshape(-1).astype(np.float64))))


METRICS: Mapping[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy, "balanced-accuracy": _balanced_accuracy, "roc-auc": _rest(_ordered_pairs),
    "pr-auc": _rest(_average_precision), "log-loss": _log_loss, "f1-macro": _f1_macro, "mcc": _mcc,
    "r2": _r2, "rmse": _rmse, "mae": _mae,
}
"""By id. NaN for a metric that these rows don't settle."""
OF_NUMBERS = ("r2", "rmse", "mae")


def interval(metric: str, y: Array, outputs: Array, *, seed: int = 0, limit_s: float = 5.0) -> Interval | None:
    """Of accuracy Wilson's, which is right for few rows and shares near 1; of all others between the 2.5 and 97.5 % points
    of the metric over resamples of the rows. None for a single row, or when most resamples don't settle the metric."""
    n = len(y)
    if n < 2:
        return None
    if metric == "accuracy":
        share = _accuracy(y, outputs)
        middle, width = share + _Z * _Z / (2 * n), _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
        scale = 1 + _Z * _Z / n
        return Interval((middle - width) / scale, (middle + width) / scale, "Wilson")
    rng, began, values = np.random.default_rng(seed), time.monotonic(), []
    for made in range(RESAMPLES):
        if made >= FEWEST_RESAMPLES and time.monotonic() - began > limit_s:
            break
        rows = rng.integers(0, n, n)
        values.append(METRICS[metric](y[rows], outputs[rows]))
    settled = np.array([value for value in values if not math.isnan(value)])
    if len(settled) < len(values) / 2:
        return None
    low, high = np.percentile(settled, [2.5, 97.5])
    return Interval(float(low), float(high), f"bootstrap, {len(settled)} resamples")


def calibration_error(y: Array, outputs: Array) -> float:
    """Expected calibration error: over equal bins of the likeliest class's probability, the difference between its mean and
    the share of right rows, weighted by the bins' rows (Guo et al. 2017)."""
    confidence, right = outputs.max(axis=1), outputs.argmax(axis=1) == y
    place = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    held = rows > 0
    mean = np.bincount(place, confidence, BINS)[held] / rows[held]
    share = np.bincount(place, right.astype(np.float64), BINS)[held] / rows[held]
    return float(np.sum(rows[held] * np.abs(mean - share)) / len(y))


def agreement(expected: Array, outputs: Array) -> float:
    """Share of rows with the same likeliest class; for numbers, R² of `outputs` against `expected`."""
    if expected.shape[1] > 1:
        return float(np.mean(expected.argmax(axis=1) == outputs.argmax(axis=1)))
    return _r2(expected.reshape(-1), outputs)
