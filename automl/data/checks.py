"""What a person should know of the data before trusting a model: each check returns findings with figures.

`inspection` runs those that need no target; `prepare` runs the rest and acts on two of them: rows without a target are
dropped, and a column that is a one-to-one copy of the target is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data.schema import Column
from automl.data.table import TextColumn
from automl.spec.dataset import ColumnKind, Finding, Severity

_LISTED = 5
_ROWS = 20
_LEAK_ROWS = 20_000
_LEAK_GAIN_NUMBERS, _LEAK_GAIN_WORDS = 0.95, 0.90
"""Share of the errors of always guessing the most frequent class that a suspicious column avoids. Measurements may be that
telling by nature; a flag, or that something is missing, hardly is."""
_LEAK_R2 = 0.99
_FEWEST_FOR_LEAK = 20
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def columns_alone(columns: Mapping[str, Column], rows: int) -> list[Finding]:
    """Missing values, constant, empty and id-like columns, cells that don't fit their column's kind."""
    found: list[Finding] = []
    gaps = {n: c.rows_missing for n, c in columns.items() if 0 < c.rows_missing < rows}
    if gaps:
        worst = sorted(gaps, key=lambda n: (-gaps[n], n))
        told = ", ".join(f"{n} {gaps[n] / rows:.1%}" for n in worst[:_LISTED]) + (" …" if len(worst) > _LISTED else "")
        found.append(Finding(
            check="missing-values", columns=tuple(worst[:50]),
            severity=Severity.WARNING if gaps[worst[0]] > rows / 2 else Severity.INFO,
            message=f"Values are missing in {len(gaps)} of {len(columns)} columns: {told}. "
                    "They are replaced by the median or a code of their own, and marked.",
        ))
    empty = [n for n, c in columns.items() if c.rows_missing == rows]
    if empty:
        found.append(Finding(
            check="empty-column", severity=Severity.WARNING, columns=tuple(empty[:50]),
            message=f"{_named(empty)} without any value: never a feature.",
        ))
    constant = [n for n, c in columns.items() if c.kind == ColumnKind.CONSTANT and n not in empty]
    if constant:
        found.append(Finding(
            check="constant-column", severity=Severity.INFO, columns=tuple(constant[:50]),
            message=f"{_named(constant)} with one value only: never a feature.",
        ))
    ids = [n for n, c in columns.items() if c.kind == ColumnKind.ID]
    if ids:
        found.append(Finding(
            check="id-like-column", severity=Severity.INFO, columns=tuple(ids[:50]),
            message=f"{_named(ids)} with a different value in nearly every row, as ids have: never a feature.",
        ))
    for name, column in columns.items():
        if column.kind in (ColumnKind.NUMERIC, ColumnKind.DATE, ColumnKind.BOOLEAN) and (strange := column.rows_unparsed):
            found.append(_unparsed(name, column, strange))
        elif column.kind in (ColumnKind.CATEGORICAL, ColumnKind.ID) and len(column.present) > 20:
            sample = [column.text.texts[c] for c in column.present[:100]]
            if sum(bool(_DECIMAL_COMMA.fullmatch(t)) for t in sample) > 0.9 * len(sample):
                found.append(Finding(
                    check="decimal-comma", severity=Severity.WARNING, columns=(name,),
                    message=f"Column {name!r} looks like numbers with a decimal comma ({sample[0]}); it is read as words. "
                            "Write numbers with a point.",
                ))
    return found


def _unparsed(name: str, column: Column, strange: int) -> Finding:
    text = column.text
    if column.kind == ColumnKind.NUMERIC:
        codes = column.present[np.isnan(text.numbers[column.present])]
        rows = np.flatnonzero(np.isin(text.codes, codes))[:_ROWS]
        examples = ", ".join(repr(text.texts[c][:40]) for c in codes[:3])
        told = f" ({examples})"
    else:
        rows, told = np.array([], np.int64), ""
    return Finding(
        check="unparsed-values", severity=Severity.WARNING, columns=(name,), rows=tuple(int(r) + 1 for r in rows),
        message=f"Column {name!r} is {column.kind.value}, but {strange:,} cells are not{told}: they count as missing.",
    )


def signatures(columns: Sequence[TextColumn], rows: int) -> NDArray[np.uint64]:
    """A 64-bit number for each row, equal for equal rows (and, but for one chance in 2⁶⁴ a pair, only for those)."""
    rng = np.random.default_rng(20_240_501)
    total = np.zeros(rows, np.uint64)
    for column in columns:
        total += rng.integers(0, 2**64, len(column.values), dtype=np.uint64)[column.codes]
    return total


def duplicate_rows(columns: Sequence[TextColumn], rows: int, target: TextColumn | None = None) -> list[Finding]:
    """Rows that repeat an earlier one; with a target also those that repeat its features, but not its target."""
    if not columns:
        return []
    features = signatures(columns, rows)
    whole = features if target is None else signatures([*columns, target], rows)
    _, first = np.unique(whole, return_index=True)
    repeated = np.ones(rows, bool)
    repeated[first] = False
    count = int(repeated.sum())
    contradictions = 0
    if target is not None:
        contradictions = len(first) - len(np.unique(features))
    if not count and not contradictions:
        return []
    message = f"{count:,} of {rows:,} rows ({count / rows:.1%}) repeat an earlier one."
    if contradictions:
        message += f" {contradictions:,} rows equal another in every feature, but not in the target."
    return [Finding(
        check="duplicate-rows", severity=Severity.WARNING if count > 0.01 * rows else Severity.INFO,
        message=message, rows=tuple((np.flatnonzero(repeated)[:_ROWS] + 1).tolist()),
    )]


def overlap(train: NDArray[np.uint64], test: NDArray[np.uint64], what: str = "rows") -> list[Finding]:
    """Test rows whose signature is among the training rows'."""
    shared = np.isin(test, train)
    count = int(shared.sum())
    if not count:
        return []
    return [Finding(
        check="train-test-overlap", severity=Severity.WARNING, rows=tuple((np.flatnonzero(shared)[:_ROWS] + 1).tolist()),
        message=f"{count:,} of {len(test):,} test {what} ({count / len(test):.1%}) are also among the training {what}: "
                "the test score flatters the model.",
    )]


def leaks(
    columns: Mapping[str, Column], rows: NDArray[np.int64], y: NDArray[Any], classes: int
) -> tuple[list[Finding], tuple[str, ...]]:
    """Columns that give the target away: findings for suspicious ones, and the names of certain copies of the target.

    Certain is a one-to-one copy: classes and values correspond, or a number that is a linear function of the target.
    Suspicious is a column which alone predicts the target almost perfectly, judged on half of the rows after learning
    from the others.
    """
    if len(rows) < _FEWEST_FOR_LEAK:
        return [], ()
    rng = np.random.default_rng(7)
    order = rng.permutation(len(rows))[:_LEAK_ROWS]
    copies: list[str] = []
    suspects: list[tuple[str, str]] = []
    for name, column in columns.items():
        if classes:
            if _is_copy(column, rows, y, classes):
                copies.append(name)
                continue
            gain = _gain(_binned(column, rows[order]), y[order], classes)
            if gain >= (_LEAK_GAIN_NUMBERS if column.kind == ColumnKind.NUMERIC else _LEAK_GAIN_WORDS):
                suspects.append((name, f"{name} (avoids {gain:.0%} of the errors)"))
        else:
            r = _correlation(column, rows, y)
            if r is not None and abs(r) > 1 - 1e-10:
                copies.append(name)
            elif (r2 := _explained(_binned(column, rows[order]), y[order])) >= _LEAK_R2:
                suspects.append((name, f"{name} (R² {r2:.3f})"))
    if not suspects:
        return [], tuple(copies)
    return [Finding(
        check="target-leak", severity=Severity.WARNING, columns=tuple(name for name, _ in suspects[:50]),
        message="Alone predicts the target almost perfectly, as something known only afterwards would: "
                f"{', '.join(told for _, told in suspects[:_LISTED])}. Kept as a feature; ignore it if it isn't known "
                "when predictions are made.",
    )], tuple(copies)


def copies_left_out(copies: Sequence[str], target: str) -> Finding:
    """The finding for certain copies of the target, which are left out of the features."""
    return Finding(
        check="target-leak", severity=Severity.WARNING, columns=tuple(copies[:50]),
        message=f"{_named(list(copies))} being a one-to-one copy of the target {target!r}: left out of the features.",
    )


def copies_kept(copies: Sequence[str], target: str) -> Finding:
    """The finding for copies of the target where nothing else is there to learn from."""
    return Finding(
        check="target-leak", severity=Severity.WARNING, columns=tuple(copies[:50]),
        message=f"{_named(list(copies))} being a one-to-one copy of the target {target!r}: "
                "kept, since no other feature is there.",
    )


def _is_copy(column: Column, rows: NDArray[np.int64], y: NDArray[Any], classes: int) -> bool:
    codes = column.text.codes[rows]
    if column.kind == ColumnKind.TEXT or column.text.absent[codes].any():
        return False
    values, places = np.unique(codes, return_inverse=True)
    if len(values) != len(np.unique(y)):
        return False
    pairs = np.unique(places * np.int64(classes) + y)
    return len(pairs) == len(values)


def _binned(column: Column, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Few-valued codes of a column's rows: its values, or 64 quantiles of many numbers; None when it has too many values."""
    codes = column.text.codes[rows]
    if column.kind == ColumnKind.TEXT:
        return None
    if column.kind == ColumnKind.NUMERIC and len(column.present) > 256:
        values = column.text.numbers[codes]
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        edges = np.unique(np.quantile(known, np.linspace(0, 1, 65)[1:-1]))
        return np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values, side="right"))
    # Every missing token is the same value: that something is missing may itself tell the target.
    merged = np.where(column.text.absent[codes], -1, codes)
    _, places = np.unique(merged, return_inverse=True)
    return places if places.max(initial=0) < 2000 else None


def _gain(bins: NDArray[np.int64] | None, y: NDArray[Any], classes: int) -> float:
    """Share of the errors of the most frequent class that bin → majority class avoids on unseen rows; 0 without bins."""
    if bins is None:
        return 0.0
    half = len(y) // 2
    counts = np.bincount(bins[:half] * classes + y[:half], minlength=(int(bins.max()) + 1) * classes).reshape(-1, classes)
    usual = int(np.bincount(y[:half], minlength=classes).argmax())
    guess = np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), usual)
    right = float((guess[bins[half:]] == y[half:]).mean())
    base = float((y[half:] == usual).mean())
    return 0.0 if base >= 1 else (right - base) / (1 - base)


def _explained(bins: NDArray[np.int64] | None, y: NDArray[Any]) -> float:
    """R² on unseen rows of bin → mean target; 0 without bins."""
    if bins is None:
        return 0.0
    half = len(y) // 2
    mean = float(y[:half].mean())
    counts = np.bincount(bins[:half], minlength=int(bins.max()) + 1)
    sums = np.bincount(bins[:half], weights=y[:half], minlength=int(bins.max()) + 1)
    guess = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
    spread = float(((y[half:] - y[half:].mean()) ** 2).sum())
    return 0.0 if spread == 0 else 1 - float(((y[half:] - guess[bins[half:]]) ** 2).sum()) / spread


def _correlation(column: Column, rows: NDArray[np.int64], y: NDArray[Any]) -> float | None:
    """Pearson's correlation with the target; None for words, gaps and constants."""
    if column.kind not in (ColumnKind.NUMERIC, ColumnKind.BOOLEAN):
        return None
    x = column.text.numbers[column.text.codes[rows]]
    if np.isnan(x).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, z = x - x.mean(), y - y.mean()
    return float((x @ z) / np.sqrt((x @ x) * (z @ z)))


def class_balance(labels: Sequence[str], counts: NDArray[np.int64]) -> list[Finding]:
    """Rare classes and a strong imbalance among the usable rows."""
    found = []
    rare = [f"{label!r} ({n})" for label, n in zip(labels, counts.tolist()) if n < 10]
    if rare:
        found.append(Finding(
            check="rare-class", severity=Severity.WARNING,
            message=f"{len(rare)} of {len(labels)} classes have fewer than 10 rows, too few to judge them by: "
                    f"{', '.join(rare[:_LISTED])}{' …' if len(rare) > _LISTED else ''}.",
        ))
    ratio = counts.max() / max(1, counts.min())
    if ratio >= 4:
        least, most = labels[int(counts.argmin())], labels[int(counts.argmax())]
        found.append(Finding(
            check="imbalance", severity=Severity.WARNING if ratio >= 10 else Severity.INFO,
            message=f"Class {least!r} has {counts.min():,} rows ({counts.min() / counts.sum():.1%}), "
                    f"{most!r} {counts.max():,}: 1 to {ratio:.1f}. Accuracy says little here.",
        ))
    return found


def unseen_categories(names: Sequence[str], train: NDArray[np.int32], test: NDArray[np.int32]) -> list[Finding]:
    """Categorical columns with many test values that training has not seen (code 1 in the matrices [n, c])."""
    if not len(test):
        return []
    shares = (test == 1).mean(axis=0) - (train == 1).mean(axis=0)
    strange = [f"{names[i]} {shares[i]:.1%}" for i in np.argsort(-shares) if shares[i] > 0.02]
    if not strange:
        return []
    return [Finding(
        check="unseen-categories", severity=Severity.WARNING,
        message=f"Test rows have values that training hasn't: {', '.join(strange[:_LISTED])}. "
                "They count as one unknown value.",
    )]


def _named(names: list[str]) -> str:
    """"Column 'a'", or "3 columns ('a', 'b', 'c')"."""
    if len(names) == 1:
        return f"Column {names[0]!r}"
    return f"{len(names)} columns ({', '.join(map(repr, names[:_LISTED]))}{' …' if len(names) > _LISTED else ''})"
