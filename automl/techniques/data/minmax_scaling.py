"""Maps every feature linearly onto [0, 1] or [−1, 1].

What it changes: x becomes (x − min) / (max − min), with the least and largest value of the training rows; pictures are
divided by 255. With `range` symmetric the result is stretched to [−1, 1].

Why it may help: bounded inputs suit saturating activations and small integer arithmetic, and a column's meaning (0
none, 1 all) is kept. For pictures it is the usual choice.

When it hurts: one outlier squeezes all other rows together. Values beyond the training range are cut off, so that the
network never sees what it wasn't trained for.

How: an affine operation and a clip; a constant column becomes the middle of the range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, TrainPlan, technique


@technique(
    id="minmax-scaling",
    stage="data",
    slot="scaling",
    modalities=("table", "image"),
    params={"range": Categorical(("unit", "symmetric"), "symmetric")},
    reference="Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.7",
)
def apply(plan: TrainPlan, *, range: str) -> TrainPlan:
    low = 0.0 if range == "unit" else -1.0
    return plan.extended("features", Component(f"{__name__}:operations", {"low": low})).replace(
        pixel_scaling=Component(f"{__name__}:pixels", {"low": low})
    )


def operations(x: NDArray[Any], y: NDArray[Any], *, low: float) -> list[dict[str, Any]]:
    """The fitted encoder operations for x [n, d] with NaN where missing; the range is [low, 1]."""
    present = ~np.isnan(x)
    least = np.where(present, x, np.inf).min(axis=0).astype(np.float64)
    largest = np.where(present, x, -np.inf).max(axis=0).astype(np.float64)
    least, largest = (np.where(np.isfinite(v), v, 0.0) for v in (least, largest))
    width = largest - least
    scale = np.where(width > 0, (1 - low) / np.where(width > 0, width, 1), 0.0)
    # (x − shift) · scale = low at the least value; a constant column (scale 0) gives 0, then clipped into the range.
    shift = least - np.where(scale > 0, low / np.where(scale > 0, scale, 1), 0.0)
    return [
        {"op": "affine", "shift": shift.tolist(), "scale": scale.tolist()},
        {"op": "clip", "low": low, "high": 1.0},
    ]


def pixels(images: NDArray[np.uint8], *, low: float) -> tuple[list[float], list[float]]:
    """(scale, offset) by channel that map [0, 255] onto [low, 1]."""
    channels = images.shape[-1]
    return [(1 - low) / 255] * channels, [low] * channels
