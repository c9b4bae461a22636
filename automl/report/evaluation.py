"""What the saved predictions of verification say: confusion, per-class scores, residuals.

The file is `numpy.savez` with `y` (class indices [n] or numbers [n]), `float` (outputs of the float model, [n, classes] or
[n, 1]) and, for classes, `classes` (their names); one more array for each artifact under its id.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from automl.spec import InvalidData

SPECKS = 1_500
"""Points drawn of a scatter plot: more add bytes, not insight."""
BINS = 40


@dataclasses.dataclass(frozen=True)
class Classes:
    """Held-out rows of a classification."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Rows of data by true class, then predicted class."""

    @property
    def rows(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        return sum(row[i] for i, row in enumerate(self.counts))

    def recall(self, i: int) -> float | None:
        """Share of class i's rows that were found; None when it has none."""
        total = sum(self.counts[i])
        return self.counts[i][i] / total if total else None

    def precision(self, i: int) -> float | None:
        """Share of rows predicted as class i that are; None when none was predicted."""
        total = sum(row[i] for row in self.counts)
        return self.counts[i][i] / total if total else None

    def confused(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent mistakes as (true, predicted, rows)."""
        pairs = [
            (self.names[i], self.names[j], value)
            for i, row in enumerate(self.counts)
            for j, value in enumerate(row)
            if i != j and value
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:most]


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Held-out rows of a regression."""

    rows: int
    true: tuple[float, ...]
    """Of at most `SPECKS` rows, evenly taken."""
    predicted: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    """Histogram of predicted − true over the central 99 % of it."""
    median_absolute: float
    p90_absolute: float
    bias: float
    """Mean of predicted − true."""


def read(path: Path) -> Classes | Numbers:
    """Raises `InvalidData` when the file isn't what verification writes."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            y, output = arrays["y"], arrays["float"]
            names = [str(name) for name in arrays["classes"]] if "classes" in arrays else []
    except (OSError, KeyError, ValueError) as error:
        raise InvalidData.at(path.name, f"can't be read as saved predictions: {error}") from error
    if y.ndim != 1 or output.ndim != 2 or len(y) != len(output) or not len(y):
        raise InvalidData.at(path.name, f"expected y [n] and float [n, outputs], got {y.shape} and {output.shape}")
    if output.shape[1] > 1:
        names = names or [f"class {i}" for i in range(output.shape[1])]
        counts = np.zeros((output.shape[1], output.shape[1]), np.int64)
        np.add.at(counts, (y.astype(np.int64), output.argmax(axis=1)), 1)
        return Classes(tuple(names), tuple(tuple(int(v) for v in row) for row in counts))
    true, predicted = y.astype(np.float64), output[:, 0].astype(np.float64)
    residual = predicted - true
    low, high = np.quantile(residual, [0.005, 0.995])
    # Residuals that are equal but for rounding leave no room for bins.
    if high - low < 1e-6 * (least := max(1e-6, abs(low), abs(high))):
        low, high = low - least / 2, high + least / 2
    inside, edges = np.histogram(residual, bins=BINS, range=(float(low), float(high)))
    chosen = np.linspace(0, len(true) - 1, min(SPECKS, len(true))).astype(int)
    return Numbers(
        rows=len(true),
        true=tuple(map(float, true[chosen])),
        predicted=tuple(map(float, predicted[chosen])),
        edges=tuple(map(float, edges)),
        counts=tuple(map(int, inside)),
        median_absolute=float(np.median(np.abs(residual))),
        p90_absolute=float(np.quantile(np.abs(residual), 0.9)),
        bias=float(residual.mean()),
    )
