"""The rows that can be used: targets read, labels of two files matched, parts assigned, classes settled.

This is the part of the preparation that tables and pictures share. It works on text labels alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import labels, split
from automl.data.limits import LIMITS
from automl.data.table import TextColumn
from automl.data.times import Times, told
from automl.spec.dataset import Finding, Severity
from automl.spec.errors import InvalidData, Violation

FEWEST_ROWS = 10
_LISTED = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Assignment:
    """Which rows of the data and of the separate test data are used, for what, and their targets.

    `rows` holds for each part the places in the source, shuffled; `y` the targets in that order, int32 class indices or
    float32 numbers. `separate` says that the test rows are places in the test source.
    """

    rows: dict[str, NDArray[np.int64]]
    y: dict[str, NDArray[Any]]
    classes: tuple[str, ...]
    separate: bool
    findings: tuple[Finding, ...]


def assign(
    target: TextColumn,
    *,
    filename: str,
    kind: str,
    usable: NDArray[np.bool_],
    parts: NDArray[np.int8],
    groups: NDArray[np.int64] | None,
    test_target: TextColumn | None,
    test_usable: NDArray[np.bool_] | None,
    test_fraction: float | None,
    seed: int,
    times: Times | None = None,
) -> Assignment:
    """Assigns every usable row to a part.

    `usable` [n] is False for rows to be left out from the start (pictures that can't be read); `parts` [n] is -1 where
    the data name no part. With `times` the parts that are cut follow each other in time. Rows without a target, rows of a
    class with a single row, and test or validation rows whose class training doesn't have are dropped and reported. Raises
    `InvalidData` when too little is left to learn from.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    findings: list[Finding] = []
    keep, values = _read(target, usable, filename, kind, findings, "")
    separate = test_target is not None
    test_keep = np.zeros(0, bool)
    test_values: NDArray[Any] = np.zeros(0, values.dtype)
    if test_target is not None:
        assert test_usable is not None
        test_keep, test_values = _read(test_target, test_usable, filename, kind, findings, "test ")
    names: list[str] = []
    if kind == "classification":
        keep, values, test_keep, test_values, names = _classes(
            target, keep, values, test_target, test_keep, test_values, findings, filename
        )
    kept = np.flatnonzero(keep)
    if len(kept) < FEWEST_ROWS:
        raise _too_few(filename, len(kept))
    strata = values[kept].astype(np.int64) if kind == "classification" else split.strata_of_numbers(values[kept])
    divided = split.divide(
        parts[kept], strata, test_fraction=test_fraction, separate_test=separate, rng=rng,
        groups=None if groups is None else groups[kept], times=None if times is None else times.keys[kept],
    )
    rows = {name: kept[divided == part] for part, name in enumerate(split.NAMES)}
    if separate:
        rows["test"] = np.flatnonzero(test_keep)
    y = {name: (test_values if separate and name == "test" else values)[chosen] for name, chosen in rows.items()}
    if kind == "classification":
        names = _settle(rows, y, names, findings, filename)
    faults = [
        Violation(field=filename, message=f"no row is left for the {name} part.", reason="TOO_FEW_ROWS",
                  remedy="Give more rows, or another split." if times is None else
                  "Rows of one time stay together: a split by time needs at least three different times.")
        for name in split.NAMES if len(rows[name]) == 0
    ]
    if faults:
        raise InvalidData(faults)
    if times is not None:
        findings.append(told(times, {n: rows[n] for n in split.NAMES if not (separate and n == "test")}))
    for name in split.NAMES:
        order = rng.permutation(len(rows[name]))
        rows[name] = rows[name][order]
        y[name] = y[name][order].astype(np.int32 if kind == "classification" else np.float32)
    if kind == "regression" and np.ptp(y["train"]) == 0:
        raise InvalidData.at(
            f"{filename}, column {target.name!r}",
            f"all training rows have the one value {y['train'][0]:g}: there is nothing to learn", reason="ONE_CLASS",
        )
    return Assignment(rows, y, tuple(names), separate, tuple(findings))


def _read(
    target: TextColumn, usable: NDArray[np.bool_], filename: str, kind: str, findings: list[Finding], which: str
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """(rows that have a target, targets): for classification the codes of the labels, else float64 numbers."""
    missing = target.rows_missing
    told = f"have no {target.name!r}"
    values: NDArray[Any] = target.codes
    if kind == "regression":
        values = target.numbers[target.codes]
        if np.isnan(values[~missing]).all():
            # A yes-or-no target may be taken as a number.
            from automl.data import encoder, schema

            true, false = schema.boolean_words(target)
            lower = {v.lower() for pair in schema.PAIRS for v in pair}
            if {v.lower() for v in (*true, *false)} <= lower | {"1.0", "0.0"}:
                values = encoder.boolean_values(target.texts, true, false)[target.codes].astype(np.float64)
        words = np.isnan(values) & ~missing & usable
        if words.sum() > 0.05 * max(1, int((~missing & usable).sum())):
            row = int(np.flatnonzero(words)[0])
            raise InvalidData.at(
                f"{filename}, row {row + 1}, column {target.name!r}",
                f"regression needs numbers, but {int(words.sum()):,} of {len(values):,} {which}cells are none "
                f"(here {target.texts[target.codes[row]][:60]!r}).",
                "Choose a classification task, or another target.", "TARGET_NOT_NUMERIC",
            )
        if words.any():
            told = f"have no number as {target.name!r}"
        missing = missing | np.isnan(values)
    dropped = np.flatnonzero(missing & usable)
    if len(dropped):
        findings.append(Finding(
            check="missing-target", severity=Severity.WARNING, columns=(target.name,),
            rows=tuple((dropped[:20] + 1).tolist()),
            message=f"{len(dropped):,} of {len(values):,} {which}rows {told} and are left out.",
        ))
    return usable & ~missing, values


def _classes(
    target: TextColumn, keep: NDArray[np.bool_], codes: NDArray[Any], test_target: TextColumn | None,
    test_keep: NDArray[np.bool_], test_codes: NDArray[Any], findings: list[Finding], filename: str,
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], list[str]]:
    """Labels as indices into the ordered classes; single-row classes and labels only the test data have are dropped."""
    counts = np.bincount(codes[keep], minlength=len(target.values))
    texts = target.texts
    single = [texts[c] for c in np.flatnonzero(counts == 1)]
    names = labels.ordered(texts[c] for c in np.flatnonzero(counts >= 2))
    place = f"{filename}, column {target.name!r}"
    if len(names) < 2:
        only = f"the single class {names[0]!r} has more than one row" if names else "no class has more than one row"
        raise InvalidData.at(
            place, f"{only}: there is nothing to learn.",
            "Choose another target" + (", or a regression task." if len(single) > 1 else "."), "ONE_CLASS",
        )
    if len(names) > LIMITS.classes:
        raise InvalidData.at(
            place, f"{len(names):,} classes; at most {LIMITS.classes:,} are taken.",
            "If it is a quantity, choose a regression task.", "TOO_MANY_CLASSES",
        )
    if single:
        findings.append(Finding(
            check="rare-class", severity=Severity.WARNING,
            message=f"{len(single):,} classes have a single row, which can't be learnt and judged: left out "
                    f"({_quoted(single)}).",
        ))
    index = {name: i for i, name in enumerate(names)}
    table = np.array([index.get(t, -1) for t in texts], np.int64)
    values = table[codes]
    keep = keep & (values >= 0)
    if test_target is None:
        return keep, values, test_keep, test_codes.astype(np.int64), names
    present = [test_target.texts[c] for c in np.unique(test_codes[test_keep])]
    strange = [t for t in present if t not in index]
    meant = labels.matched([t for t in strange if t not in single], names)
    if meant:
        pairs = ", ".join(f"{a!r} as {b!r}" for a, b in list(meant.items())[:_LISTED])
        findings.append(Finding(
            check="label-spelling", severity=Severity.WARNING,
            message=f"The test data spell {len(meant)} labels differently; they are taken to mean the same: {pairs}.",
        ))
    test_table = np.array([index.get(meant.get(t, t), -1) for t in test_target.texts], np.int64)
    test_values = test_table[test_codes]
    unseen = test_keep & (test_values < 0)
    if unseen.any():
        unknown = [t for t in strange if t not in meant]
        findings.append(Finding(
            check="unseen-labels", severity=Severity.WARNING, rows=tuple((np.flatnonzero(unseen)[:20] + 1).tolist()),
            message=f"{int(unseen.sum()):,} of {len(unseen):,} test rows have labels that the training data lack and are "
                    f"left out ({_quoted(unknown)}).",
        ))
    return keep, values, test_keep & ~unseen, test_values, names


def _settle(
    rows: dict[str, NDArray[np.int64]], y: dict[str, NDArray[Any]], names: list[str], findings: list[Finding], filename: str
) -> list[str]:
    """Classes are those of the training rows; rows of others leave validation and test. Changes `rows` and `y`."""
    counts = np.bincount(y["train"].astype(np.int64), minlength=len(names))
    if (counts > 0).sum() < 2:
        raise InvalidData.at(
            filename, "the training rows have one class only: there is nothing to learn.", "Choose another split.",
            "ONE_CLASS",
        )
    absent = counts == 0
    if not absent.any():
        return names
    new = np.cumsum(~absent) - 1
    dropped = {}
    for part in split.NAMES:
        known = ~absent[y[part]]
        if not known.all():
            dropped[part] = int((~known).sum())
        rows[part], y[part] = rows[part][known], new[y[part][known]]
    lost = [name for name, gone in zip(names, absent) if gone]
    if dropped:
        told = " and ".join(f"{n:,} {part} rows" for part, n in dropped.items())
        findings.append(Finding(
            check="unseen-labels", severity=Severity.WARNING,
            message=f"{told} have labels that no training row has and are left out ({_quoted(lost)}).",
        ))
    return [name for name, gone in zip(names, absent) if not gone]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(n[:60]) for n in names[:_LISTED]) + (" …" if len(names) > _LISTED else "")


def _too_few(filename: str, rows: int) -> InvalidData:
    return InvalidData(Violation(
        field=filename, reason="TOO_FEW_ROWS", message=f"{rows} usable rows; at least {FEWEST_ROWS} are needed.",
        remedy="Give at least a few dozen rows.",
    ))
