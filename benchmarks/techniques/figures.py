"""What pairs of runs say: the difference of the metric with its interval, and the factor on the time of an epoch."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; without one (NaN) from fewer than two pairs."""

    mean: float
    low: float
    high: float
    pairs: int


def difference(on: Sequence[float], off: Sequence[float], *, test_over_train: float = 0.0) -> Estimate:
    """Mean of on − off over the pairs, with the interval of the paired t-test.

    Runs on the folds of one set share most of their training rows, so their differences vary less than those of fresh
    sets would. The corrected resampled t-test (Nadeau & Bengio: Inference for the Generalization Error, Machine
    Learning 52, 2003) takes the variance of the mean as s² · (1/n + `test_over_train`), with 1/(k − 1) for k folds; 0 is the
    plain paired t-test.
    """
    from scipy import stats

    if len(on) != len(off):
        raise ValueError(f"expected pairs, got {len(on)} and {len(off)} values")
    deltas = [a - b for a, b in zip(on, off, strict=True)]
    n = len(deltas)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = statistics.fmean(deltas)
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf(0.975, n - 1)) * statistics.stdev(deltas) * math.sqrt(1 / n + test_over_train)
    return Estimate(mean, mean - half, mean + half, n)


def factor(on_s: Sequence[float], off_s: Sequence[float]) -> Estimate:
    """Geometric mean of on / off over the pairs, with the paired t-interval of the logarithms. Times are positive."""
    logs = difference([math.log(t) for t in on_s], [math.log(t) for t in off_s])
    return Estimate(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.pairs)


def verdict(estimate: Estimate) -> str:
    """"helps" or "hurts" where the interval leaves 0 out; "" where nothing can be said."""
    if estimate.low > 0:
        return "helps"
    return "hurts" if estimate.high < 0 else ""
