"""How exactly the held-out rows tell a metric, and how far its probabilities can be believed: in NumPy alone.

`automl_client.scores` says the same of a user's own rows. The client sees nothing of the engine and evaluates each
resample from its rows; here metrics are evaluated by how often each row was drawn, since a job has no seconds for it. A
test holds both to the same numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.spec import Interval
from automl.tasks import metrics

Array = NDArray[Any]
Resampled = Callable[[NDArray[np.int64]], float]
"""The metric where row i was drawn counts[i] times; NaN where these rows don't settle it."""

RESAMPLES, FEWEST_RESAMPLES = 1000, 100
LIMIT_S = 0.5
"""For the resamples of one interval. Of 10,000 rows 1000 take 0.1 to 0.3 s, and 500 of ten classes' areas half a second."""
BINS = 15
_LARGEST = 1_000_000
"""Rows times classes up to which an area's fewest resamples fit into the limit, about."""


def interval(
    metric: str, y: Array, prediction: Array, *, seed: int = 0, limit_s: float = LIMIT_S
) -> Interval | None:
    """Of accuracy Wilson's, which is right for few rows and shares near 1; of all others between the 2.5 and 97.5 % points
    of the metric over resamples of the rows (percentile bootstrap, Efron 1979).

    None for a single row, where most resamples don't settle the metric, and where the time allowed fewer than
    `FEWEST_RESAMPLES`. Raises as `metrics.value` does.
    """
    y, prediction = metrics.checked(metric, y, prediction)
    n = len(y)
    if n < 2:
        return None
    if metric == "accuracy":
        return Interval.of_share(metrics.accuracy(y, prediction), n)
    if _RESAMPLED[metric] in _AREAS and prediction.size > _LARGEST:
        return None
    values: list[float] = []
    rng, began = np.random.default_rng(seed), time.monotonic()
    value = _RESAMPLED[metric](y, prediction)
    while len(values) < RESAMPLES and time.monotonic() - began < limit_s:
        values.append(value(np.bincount(rng.integers(0, n, n), minlength=n)))
    settled = np.array([value for value in values if not math.isnan(value)])
    if len(values) < FEWEST_RESAMPLES or len(settled) < len(values) / 2:
        return None
    low, high = np.percentile(settled, [2.5, 97.5])
    return Interval(low=float(low), high=float(high), method=f"bootstrap, {len(settled)} resamples")


def calibration_error(y: Array, prediction: Array) -> float:
    """Expected calibration error of probabilities [n, classes]: over equal bins of the likeliest class's, the difference
    between its mean and the share of right rows, weighted by the bins' rows (Guo et al. 2017)."""
    sure, right = prediction.max(axis=1), prediction.argmax(axis=1) == y
    place = np.clip((sure * BINS).astype(np.int64), 0, BINS - 1)
    # Rows of a bin times the difference of its means is the difference of its sums.
    gaps = np.bincount(place, sure, BINS) - np.bincount(place, right.astype(np.float64), BINS)
    return float(np.abs(gaps).sum() / len(y))


# --- metrics by how often each row was drawn ------------------------------------------------------------------------------


def _mean_of(terms: Callable[[Array, Array], Array], then: Callable[[float], float] = float) -> Callable[..., Resampled]:
    def of(y: Array, prediction: Array) -> Resampled:
        each = terms(y, prediction)
        return lambda counts: then(float(counts @ each) / len(each))

    return of


def _surprise(y: Array, prediction: Array) -> Array:
    chosen = prediction[np.arange(len(y)), y.astype(np.int64)].astype(np.float64)
    return -np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0))


def _squared(y: Array, prediction: Array) -> Array:
    return np.square(y.astype(np.float64) - prediction.astype(np.float64))


def _absolute(y: Array, prediction: Array) -> Array:
    return np.abs(y.astype(np.float64) - prediction.astype(np.float64))


def _r2(y: Array, prediction: Array) -> Resampled:
    truth, squared = y.astype(np.float64), _squared(y, prediction)

    def of(counts: NDArray[np.int64]) -> float:
        residual = float(counts @ squared)
        # Compared, not subtracted from their mean: rounding would leave a variance where there is none.
        if np.ptp(truth[counts > 0]) == 0:
            return 1.0 if residual == 0 else 0.0
        return 1 - residual / float(counts @ np.square(truth - counts @ truth / len(truth)))

    return of


def _from_confusion(value: Callable[[Array, Array, Array], float]) -> Callable[[Array, Array], Resampled]:
    """Of metrics that follow from each class's right, true and predicted rows."""

    def over(y: Array, prediction: Array) -> Resampled:
        classes = prediction.shape[1]
        # Of many classes most pairs never occur.
        cells, cell = np.unique(y.astype(np.int64) * classes + prediction.argmax(axis=1), return_inverse=True)
        true, said = np.divmod(cells, classes)
        right = true == said

        def of(counts: NDArray[np.int64]) -> float:
            held = np.bincount(cell, counts, len(cells))
            return value(
                np.bincount(true[right], held[right], classes), np.bincount(true, held, classes),
                np.bincount(said, held, classes),
            )

        return of

    return over


def _balanced_accuracy(right: Array, true: Array, said: Array) -> float:
    return float(np.mean(right[true > 0] / true[true > 0]))


def _f1_macro(right: Array, true: Array, said: Array) -> float:
    total = true + said
    return float(np.mean(2 * right[total > 0] / total[total > 0]))


def _mcc(right: Array, true: Array, said: Array) -> float:
    n = true.sum()
    spread = (n * n - said @ said) * (n * n - true @ true)
    return float((right.sum() * n - true @ said) / np.sqrt(spread)) if spread > 0 else 0.0


class _Ranked:
    """One class's score in order, and where each of its own rows and that row's ties stand in it."""

    def __init__(self, positive: Array, score: Array):
        self._order = np.argsort(score, kind="stable")
        score, hit = score[self._order], positive[self._order]
        self._own = np.flatnonzero(hit)
        self._first, self._last = (np.searchsorted(score, score[self._own], side) for side in ("left", "right"))
        before = np.r_[0, np.cumsum(hit)]
        self._own_first, self._own_last = before[self._first], before[self._last]

    def area(self, counts: NDArray[np.int64]) -> float:
        """Under the ROC curve: the share of pairs in the right order, ties counted half."""
        own, all_before, own_before = self._drawn(counts)
        others = all_before[self._first] + all_before[self._last] - own_before[self._own_first] - own_before[self._own_last]
        hits = own_before[-1]
        return float(own @ others / (2 * hits * (all_before[-1] - hits)))

    def average_precision(self, counts: NDArray[np.int64]) -> float:
        """Of the scores turned round, the largest first."""
        own, all_before, own_before = self._drawn(counts)
        # A row that wasn't drawn weighs nothing, and may have nothing before it.
        precision = own_before[self._own_last] / np.maximum(all_before[self._last], 1)
        return float(own @ precision / own_before[-1])

    def hits(self, counts: NDArray[np.int64]) -> int:
        return int(counts[self._order[self._own]].sum())

    def _drawn(self, counts: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """How often each of the class's rows was drawn, and before each place how many rows, and how many of the class."""
        drawn = counts[self._order]
        own = drawn[self._own]
        return own, np.r_[0, np.cumsum(drawn)], np.r_[0, np.cumsum(own)]


def _roc_auc(y: Array, prediction: Array) -> Resampled:
    return _one_against_rest(y, prediction, _Ranked.area)


def _pr_auc(y: Array, prediction: Array) -> Resampled:
    return _one_against_rest(y, -prediction, _Ranked.average_precision)


def _one_against_rest(y: Array, score: Array, area: Callable[[_Ranked, NDArray[np.int64]], float]) -> Resampled:
    wanted = [1] if score.shape[1] == 2 else [int(c) for c in np.unique(y)]
    ranked = [_Ranked(y == c, score[:, c]) for c in wanted]

    def of(counts: NDArray[np.int64]) -> float:
        values = [area(one, counts) for one in ranked if 0 < one.hits(counts) < len(counts)]
        return float(np.mean(values)) if values else math.nan

    return of


_AREAS = (_roc_auc, _pr_auc)
_RESAMPLED: dict[str, Callable[[Array, Array], Resampled]] = {
    "balanced-accuracy": _from_confusion(_balanced_accuracy), "roc-auc": _roc_auc, "pr-auc": _pr_auc,
    "log-loss": _mean_of(_surprise), "f1-macro": _from_confusion(_f1_macro), "mcc": _from_confusion(_mcc), "r2": _r2,
    "rmse": _mean_of(_squared, math.sqrt), "mae": _mean_of(_absolute),
}
