"""Whether the parts of a data set are alike: columns, pictures and targets whose distribution moves from training to
validation or test rows.

A difference is told when it is both sure (p below `SURE`, divided by the number of comparisons) and large enough to matter
(`LARGE`): Kolmogorov and Smirnov's statistic for numbers, the total variation (half the sum of the shares' differences) with
a χ² test for categories, the difference of shares for missing values. A few thousand rows of each part are compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from automl.spec.dataset import Finding, Severity

SURE = 1e-3
LARGE = 0.15
ROWS = 5_000
COLUMNS = 300
FEWEST = 20
"""Rows of a part with which nothing can be said."""
LISTED = 5


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows of a part: numbers [n, d] with NaN where missing, categories [n, c], targets [n] (classes or numbers)."""

    numeric: NDArray[np.float32]
    categorical: NDArray[np.int32]
    target: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.target)


@dataclasses.dataclass(frozen=True)
class _Moved:
    column: str
    size: float
    told: str


def found(
    parts: Mapping[str, Part], *, numeric: Sequence[str], categorical: Sequence[str], target: str, classes: Sequence[str]
) -> list[Finding]:
    """A finding for each part that differs from "train", naming what moved, strongest first.

    `numeric` and `categorical` name the columns ("since:days" counts for "since"); `classes` is empty for numbers.
    """
    findings = []
    train = parts["train"]
    for name, part in parts.items():
        if name == "train" or min(len(part), len(train)) < FEWEST:
            continue
        moved = _compared(train, part, numeric, categorical, target, bool(classes))
        if not moved:
            continue
        columns = list(dict.fromkeys(m.column for m in moved))
        told = ", ".join(m.told for m in moved[:LISTED]) + (" …" if len(moved) > LISTED else "")
        findings.append(Finding(
            check="drift", severity=Severity.WARNING, columns=tuple(columns[:50]),
            message=f"{name.capitalize()} rows differ from training rows: {told}. A model that learns from the one may do "
                    "worse on the other; if time or place divides them, so will what it meets later.",
        ))
    return findings


def _compared(
    train: Part, part: Part, numeric: Sequence[str], categorical: Sequence[str], target: str, classes: bool
) -> list[_Moved]:
    tests = 2 * min(COLUMNS, len(numeric)) + min(COLUMNS, len(categorical)) + 1
    sure = SURE / tests
    moved: dict[str, _Moved] = {}

    def note(column: str, size: float, p: float, told: str) -> None:
        # The strongest of what is seen in one column, which may be encoded in several.
        if p < sure and size >= LARGE and size > (moved[column].size if column in moved else 0.0):
            moved[column] = _Moved(column, size, told)

    for i, encoded in enumerate(numeric[:COLUMNS]):
        column = encoded.partition(":")[0]
        a, b = train.numeric[:, i], part.numeric[:, i]
        absent_a, absent_b = np.isnan(a), np.isnan(b)
        size = abs(float(absent_a.mean() - absent_b.mean()))
        note(column, size, _shares_p(absent_a.astype(np.int64), absent_b.astype(np.int64)),
             f"{column} is missing in {absent_a.mean():.0%} and {absent_b.mean():.0%}")
        a, b = a[~absent_a], b[~absent_b]
        if min(len(a), len(b)) >= FEWEST:
            size, p = _kolmogorov(a, b)
            note(column, size, p, f"{column} (median {np.median(a):.4g} and {np.median(b):.4g})")
    for i, column in enumerate(categorical[:COLUMNS]):
        codes, others = train.categorical[:, i], part.categorical[:, i]
        size = _variation(codes, others)
        note(column, size, _shares_p(codes, others), f"{column} ({size:.0%} of its shares)")
    if classes:
        codes, others = train.target.astype(np.int32), part.target.astype(np.int32)
        size = _variation(codes, others)
        note(target, size, _shares_p(codes, others), f"the classes of {target} ({size:.0%} of their shares)")
    else:
        size, p = _kolmogorov(train.target, part.target)
        told = f"the target {target} (median {np.median(train.target):.4g} and {np.median(part.target):.4g})"
        note(target, size, p, told)
    return sorted(moved.values(), key=lambda m: -m.size)


def _kolmogorov(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[float, float]:
    """The largest distance of two samples' cumulative shares, and its p."""
    from scipy import stats

    result = stats.ks_2samp(a, b, method="asymp")
    return float(result.statistic), float(result.pvalue)


def _counts(a: NDArray[np.integer], b: NDArray[np.integer]) -> NDArray[np.int64]:
    """[2, values]."""
    values, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    return np.stack([np.bincount(p, minlength=len(values)) for p in (places[: len(a)], places[len(a):])])


def _variation(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    counts = _counts(a, b)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return 0.5 * float(np.abs(shares[0] - shares[1]).sum())


def _shares_p(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    """p of two samples having the same shares; values that are too rare for a χ² test are taken together."""
    from scipy import stats

    counts = _counts(a, b)
    rare = counts.sum(axis=0) < 10
    merged = np.concatenate([counts[:, ~rare], counts[:, rare].sum(axis=1, keepdims=True)], axis=1)
    merged = merged[:, merged.sum(axis=0) > 0]
    return 1.0 if merged.shape[1] < 2 else float(stats.chi2_contingency(merged, correction=False).pvalue)
