"""Series as they were measured: one array of steps × channels each, of lengths of their own, with labels.

A series ends at the last step at which any channel has a value; what is missing before that is NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data.table import TextColumn
from automl.data.times import Times
from automl.spec.dataset import Finding, Severity

LABEL = "label"
"""What the label of a `.ts` file is called."""


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """Labelled series of one source."""

    filename: str
    format: str
    values: Sequence[NDArray[np.float32]]
    """For each series float32 [steps, channels]; one without any value has no steps."""
    channels: tuple[str, ...]
    labels: TextColumn | None
    columns: Mapping[str, TextColumn] = dataclasses.field(default_factory=dict)
    """Other columns that tables bring, one value a series: to split by, or to keep together."""
    names: tuple[str, ...] = ()
    """Of a table in long form: each series' id."""
    form: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"form": "ts"})
    """How a table gave them: the document's "source" (see `automl.data.series_encoder`)."""
    findings: tuple[Finding, ...] = ()
    times: Times | None = None
    """When each was measured, where a table's time column is named to split by."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each."""
        return np.array([len(v) for v in self.values], np.int64)


def trimmed(values: NDArray[Any]) -> NDArray[np.float32]:
    """[steps, channels] without the steps at the end at which nothing was measured."""
    there = np.flatnonzero(~np.isnan(values).all(axis=1))
    return np.asarray(values[: int(there[-1]) + 1 if len(there) else 0], np.float32)


def shape_findings(series: Series) -> list[Finding]:
    """What lengths and channels there are, and what is missing."""
    lengths = series.lengths[series.lengths > 0]
    if not len(lengths):
        return []
    low, high = int(lengths.min()), int(lengths.max())
    steps = f"{high:,} steps" if low == high else f"{low:,} to {high:,} steps (on average {lengths.mean():.1f})"
    channels = len(series.channels)
    found = [Finding(
        check="series-shape", severity=Severity.INFO,
        message=f"Series of {steps} with {channels:,} {'channel' if channels == 1 else 'channels'}.",
    )]
    gaps = np.array([int(np.isnan(v).sum()) for v in series.values])
    if gaps.any():
        cells = int(series.lengths.sum()) * channels
        rows = np.flatnonzero(gaps)
        found.append(Finding(
            check="missing-values", severity=Severity.WARNING if gaps.sum() > cells / 2 else Severity.INFO,
            rows=tuple((rows[:20] + 1).tolist()),
            message=f"{int(gaps.sum()):,} of {cells:,} values are missing, in {len(rows):,} of {len(series):,} series. They "
                    "are interpolated between the steps before and after; at the ends the nearest value stands.",
        ))
    empty = np.flatnonzero(series.lengths == 0)
    if len(empty):
        found.append(Finding(
            check="empty-series", severity=Severity.WARNING, rows=tuple((empty[:20] + 1).tolist()),
            message=f"{len(empty):,} of {len(series):,} series have no value at all and are left out.",
        ))
    return found
