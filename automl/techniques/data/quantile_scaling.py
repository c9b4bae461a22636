"""Replaces each number by its rank among the training rows, as a quantile of the normal or uniform distribution.

What it changes: x becomes Φ⁻¹(F(x)) ("rank-Gauss"), or 2 F(x) − 1, where F is the share of training rows below x,
those equal to it counted half.

Why it may help: heavy tails, gaps and odd units vanish; each column ends with the same well-spread distribution,
whatever monotone transform its maker took. Networks on heavy-tailed tables often gain several points. It is the usual
preparation of TabM, FT- Transformer and others.

When it hurts: distances within a column are lost, which matters where the target is linear in it; values beyond the
training range all look like its ends.

How: `knots` quantiles of the column, half of them of its rows and half of its distinct values, become a
piecewise-linear map (equal ones are merged, so a column with few values keeps them exactly). Normal quantiles end at
the most extreme mid-rank, ±Φ⁻¹(1 − 1/2n). The map travels in every artifact: ranks are rounded to four decimals, and
knots written with as many digits as tell them apart in the column's own precision.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Profile

DECIMALS = 4
KNOT_BYTES, SHARE = 4.4, 0.8
"""Of a knot and its rank, compressed, and of `knots` the share that a column of more values has, at least."""


def _when(profile: Profile) -> str | None:
    return None if profile.numeric else "needs numeric columns"


def _bytes(profile: Profile, *, output: str, knots: int) -> int:
    """Of the map in a file, at least: a knot for each of a column's values."""
    del output
    return round(KNOT_BYTES * sum(min(values, SHARE * knots) for values in profile.numeric_values))


@technique(
    id="quantile-scaling",
    stage="data",
    slot="scaling",
    modalities=("table",),
    params={
        "output": Categorical(("normal", "uniform"), "normal"),
        "knots": Categorical((32, 64, 128, 256), 128),
    },
    reference="arXiv:2106.11959 (section 4.4); arXiv:2410.24210",
    when=_when,
    travels=_bytes,
)
def apply(plan: TrainPlan, *, output: str, knots: int) -> TrainPlan:
    return plan.extended("features", Component(f"{__name__}:operations", {"output": output, "knots": knots}))


def operations(x: NDArray[Any], y: NDArray[Any], *, output: str, knots: int) -> list[dict[str, Any]]:
    """The fitted encoder operations for x [n, d] with NaN where missing."""
    inverse = statistics.NormalDist().inv_cdf
    all_knots: list[list[float]] = []
    all_values: list[list[float]] = []
    for i in range(x.shape[1]):
        column = np.sort(np.asarray(x[:, i], np.float64)[~np.isnan(x[:, i])])
        if not len(column):
            all_knots.append([])
            all_values.append([])
            continue
        # Half of the knots at quantiles of the rows, half at those of the distinct values, so that a column in which most
        # rows share one value keeps its other values apart.
        by_rows = np.quantile(column, np.linspace(0, 1, knots - knots // 2), method="closest_observation")
        between = (np.arange(knots // 2) + 0.5) / (knots // 2)
        by_values = np.quantile(np.unique(column), between, method="closest_observation")
        places = np.unique(np.concatenate([by_rows, by_values]))
        below, up_to = np.searchsorted(column, places, "left"), np.searchsorted(column, places, "right")
        rank = (below + up_to) / (2 * len(column))
        values = 2 * rank - 1 if output == "uniform" else np.array([inverse(r) for r in rank])
        all_knots.append([float(str(place)) for place in places.astype(x.dtype)])  # 4.6, not 4.599999904632568
        all_values.append([round(float(v), DECIMALS) for v in values])
    return [{"op": "interpolate", "knots": all_knots, "values": all_values}]
