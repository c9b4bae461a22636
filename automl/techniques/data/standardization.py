"""Shifts and scales every feature to a common size, and bends outliers in.

What it changes: each numeric column x becomes (x − m) / s with m and s taken from the training rows alone; pictures
get the mean and the standard deviation of their channels.

Why it may help: gradient descent moves all weights at one rate, so columns of unlike size learn at unlike speed;
networks are initialised for inputs around 0 of size 1.

When it hurts: mean and deviation follow outliers. `statistics` median-iqr takes the median and the quartiles' distance
instead, and `smooth_clip` then maps x to x / sqrt(1 + (x / 3)²), which is nearly x inside and never beyond ±3. Both
are how RealMLP prepares tables. For columns whose order matters more than their distances take `quantile-scaling`.

How: mean-std: s is the standard deviation. median-iqr: s = (q₇₅ − q₂₅) / 1.349, which is the standard deviation for
normal data; where half of the rows share one value, s = (max − min) / 2. A constant column becomes 0. Missing values
are left out of the statistics and stay missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Bool, Categorical, Component, TrainPlan, technique

SMOOTH_LIMIT = 3.0
IQR_OF_NORMAL = 1.349


@technique(
    id="standardization",
    stage="data",
    slot="scaling",
    modalities=("table", "image"),
    params={
        "statistics": Categorical(("mean-std", "median-iqr"), "median-iqr"),
        "smooth_clip": Bool(True),
    },
    reference="arXiv:2407.04491 (robust scaling, smooth clipping)",
    default=True,
)
def apply(plan: TrainPlan, *, statistics: str, smooth_clip: bool) -> TrainPlan:
    operations = Component(f"{__name__}:operations", {"statistics": statistics, "smooth_clip": smooth_clip})
    return plan.extended("features", operations).replace(pixel_scaling=Component(f"{__name__}:pixels"))


def operations(x: NDArray[Any], y: NDArray[Any], *, statistics: str, smooth_clip: bool) -> list[dict[str, Any]]:
    """The fitted encoder operations for x [n, d] with NaN where missing."""
    shift, size = mean_and_std(x) if statistics == "mean-std" else median_and_spread(x)
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0.0)
    fitted: list[dict[str, Any]] = [{"op": "affine", "shift": shift.tolist(), "scale": scale.tolist()}]
    if smooth_clip:
        fitted.append({"op": "smooth-clip", "limit": SMOOTH_LIMIT})
    return fitted


def mean_and_std(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the present values of each column; (0, 0) for a column without any."""
    x, present = np.asarray(x, np.float64), ~np.isnan(x)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, x, 0).sum(axis=0) / count
    deviation = np.where(present, x - mean, 0)
    # A constant column's deviation is rounding error of its mean, not a size.
    std = np.sqrt((deviation**2).sum(axis=0) / count)
    return mean, np.where(std > 1e-9 * np.maximum(np.abs(mean), 1e-30), std, 0.0)


def median_and_spread(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and quartiles' distance / 1.349 of the present values; half the range where the quartiles coincide."""
    median, spread = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for i in range(x.shape[1]):
        column = np.asarray(x[:, i], np.float64)
        column = column[~np.isnan(column)]
        if len(column):
            low, q1, median[i], q3, high = np.quantile(column, [0, 0.25, 0.5, 0.75, 1])
            spread[i] = (q3 - q1) / IQR_OF_NORMAL if q3 > q1 else (high - low) / 2
    return median, spread


def pixels(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """(scale, offset) by channel such that pixel · scale + offset has mean 0 and variance 1 over pictures and
    places."""
    flat = images.reshape(-1, images.shape[-1]).astype(np.float64)
    mean, std = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1.0)
    return (1 / std).tolist(), (-mean / std).tolist()
