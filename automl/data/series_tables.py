"""Series out of tables: wide (one row a series, a column for each step) and long (one row a step).

Long it is when a group column is named and tells series from one another: its label never changes within a group, and the
columns aren't numbered like steps. Else a row is a series, and a group column only keeps rows together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import schema, times
from automl.data.schema import Column
from automl.data.series import Series, trimmed
from automl.data.table import Table, TextColumn
from automl.data.times import Times
from automl.spec.dataset import ColumnKind, Finding, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.job import DataSettings

_NUMBERED = re.compile(r"(.*?)([0-9]+)\Z")
_RUN = 8
"""As many columns numbered in a row are steps, not channels."""
_TIME_NAMES = frozenset({"time", "timestamp", "t", "step", "date", "datetime", "index", "seq", "sequence", "frame", "tick"})
_PARSED = 0.95
"""Share of present cells that must be numbers."""


def read(table: Table, settings: DataSettings, like: Mapping[str, Any] | None = None) -> Series:
    """The series of a training table, or of a test table that is `like` the form found before.

    Raises `InvalidData` naming what doesn't fit.
    """
    _check(table, settings)
    form = dict(like) if like is not None else _form(table, settings)
    _check_needed(table, form)
    return (_wide if form["form"] == "wide" else _long)(table, settings, form)


def unlabelled(table: Table, form: Mapping[str, Any]) -> Series:
    """The series of a table to predict, of a form found in training; labels aren't looked for. Raises `InvalidData`."""
    _check_needed(table, form)
    return (_wide if form["form"] == "wide" else _long)(table, DataSettings(), form)


def _check_needed(table: Table, form: Mapping[str, Any]) -> None:
    if lacking := [n for n in _needed(form) if n not in table.columns]:
        raise InvalidData(
            Violation(field=table.filename, message=f"lacks the column {n!r}", reason="COLUMN_MISSING") for n in lacking[:20]
        )


def _needed(form: Mapping[str, Any]) -> list[str]:
    needed = list(form["columns"])
    if form["form"] == "long":
        needed.append(form["series"])
        if form["time"]:
            needed.append(form["time"]["name"])
    return needed


def _check(table: Table, settings: DataSettings) -> None:
    names = ", ".join(list(table.columns)[:40]) + (" …" if len(table.columns) > 40 else "")
    if settings.target is None:
        raise InvalidData.at("data.target", f"tables need a target column; there are: {names}", reason="TARGET_MISSING")
    if settings.target not in table.columns:
        raise InvalidData.at("data.target", f"no column {settings.target!r}; there are: {names}", reason="COLUMN_MISSING")


# --- which form --------------------------------------------------------------------------------


def _form(table: Table, settings: DataSettings) -> dict[str, Any]:
    kinds = schema.infer(table, settings.kinds)
    spare = {settings.target, settings.split_column, settings.group_column, settings.time_column, *settings.ignore}
    candidates = {n: c for n, c in kinds.items() if n not in spare}
    run = _numbered(candidates)
    if settings.group_column is not None and len(run) < _RUN and _is_series(table, settings):
        time = _time(candidates)
        if time is None and settings.time_column is not None:
            time = times.form(table.columns[settings.time_column])
        values = [n for n, c in candidates.items() if _is_number(c) and (time is None or n != time["name"])]
        if not values:
            raise InvalidData.at(table.filename, "no column of numbers is left to be a channel.",
                                 "Give at least one column of measured values.", "NO_FEATURES")
        return {"form": "long", "series": settings.group_column, "time": time, "columns": values}
    # Numbered steps count even where all values are missing: of the last ones no series may have any.
    steps = [n for n, c in candidates.items() if _is_number(c) or (n in run and not len(c.present))]
    if len(steps) < 2:
        raise InvalidData.at(
            table.filename, f"has {len(steps)} columns of numbers beside the target, and one row is taken for one series: "
            "at least 2 steps are needed.", "Where a row is one step, name the column that tells series apart (group "
            "column), and give one label to each series.", "NO_FEATURES",
        )
    return {"form": "wide", "columns": steps}


def _numbered(columns: Mapping[str, Column]) -> set[str]:
    """The columns of the longest family of names that are numbered on by one ("t0", "t1", …)."""
    families: dict[str, dict[int, str]] = {}
    for name in columns:
        if found := _NUMBERED.match(name):
            families.setdefault(found.group(1), {})[int(found.group(2))] = name
    best: set[str] = set()
    for members in families.values():
        places = sorted(members)
        if len(places) > len(best) and places[-1] - places[0] == len(places) - 1:
            best = set(members.values())
    return best


def _is_number(column: Column) -> bool:
    if column.kind in (ColumnKind.DATE, ColumnKind.ID) or not len(column.present):
        return False
    counts = column.text.counts[column.present]
    return bool(counts[~np.isnan(column.text.numbers[column.present])].sum() >= _PARSED * counts.sum())


def _is_series(table: Table, settings: DataSettings) -> bool:
    """Whether the group column tells series apart: groups of several rows with one label each."""
    groups, target = table.columns[str(settings.group_column)], table.columns[str(settings.target)]
    several = len(np.unique(groups.codes)) < table.rows
    return several and not len(_changing(groups, target))


def _changing(groups: TextColumn, target: TextColumn) -> NDArray[np.int64]:
    """Rows whose label isn't the first one of their group."""
    known = np.flatnonzero(~target.rows_missing)
    if not len(known):
        return known
    first = np.full(len(groups.values), -1, np.int64)
    first[groups.codes[known[::-1]]] = target.codes[known[::-1]]
    return known[first[groups.codes[known]] != target.codes[known]]


def _time(columns: Mapping[str, Column]) -> dict[str, Any] | None:
    """The column by which steps are ordered: the first of dates, else numbers under a name for times."""
    for name, column in columns.items():
        if column.kind == ColumnKind.DATE:
            return {"name": name, "kind": "date", "format": column.order}
    for name, column in columns.items():
        numbers = len(column.present) and not np.isnan(column.text.numbers[column.present]).any()
        if name.strip().lower() in _TIME_NAMES and numbers:
            return {"name": name, "kind": "numeric", "format": ""}
    return None


# --- wide --------------------------------------------------------------------------------------


def _wide(table: Table, settings: DataSettings, form: Mapping[str, Any]) -> Series:
    columns = [table.columns[name] for name in form["columns"]]
    matrix = np.stack([c.numbers[c.codes] for c in columns], axis=1).astype(np.float32)
    kept = (settings.split_column, settings.group_column)
    spare = {settings.target, *kept, settings.time_column, *settings.ignore, *form["columns"]}
    findings = [
        Finding(check="series-form", severity=Severity.INFO, message=f"One row is one series: {len(columns):,} columns of "
                f"numbers are its steps, {form['columns'][0]!r} to {form['columns'][-1]!r} in the order of the file."),
        *_left_out([n for n in table.columns if n not in spare]), *_unparsed(columns),
    ]
    return Series(
        table.filename, table.format, [trimmed(row[:, None]) for row in matrix], ("value",),
        table.columns.get(settings.target or ""),
        {n: table.columns[n] for n in kept if n is not None and n in table.columns}, form=form, findings=tuple(findings),
        times=_times(table, settings),
    )


def _left_out(names: list[str]) -> list[Finding]:
    if not names:
        return []
    told = ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
    return [Finding(
        check="ignored-columns", severity=Severity.INFO, columns=tuple(names[:50]),
        message=f"{len(names)} columns that aren't measured values are left out: {told}.",
    )]


def _unparsed(columns: list[TextColumn]) -> list[Finding]:
    found = []
    for column in columns:
        strange = np.flatnonzero(np.isnan(column.numbers) & ~column.absent)
        rows = np.flatnonzero(np.isin(column.codes, strange))
        if len(rows):
            examples = ", ".join(repr(column.texts[c][:40]) for c in strange[:3])
            found.append(Finding(
                check="unparsed-values", severity=Severity.WARNING, columns=(column.name,),
                rows=tuple((rows[:20] + 1).tolist()),
                message=f"Column {column.name!r} holds measured values, but {len(rows):,} cells are no numbers "
                        f"({examples}): they count as missing.",
            ))
    return found[:20]


# --- long --------------------------------------------------------------------------------------


def _long(table: Table, settings: DataSettings, form: Mapping[str, Any]) -> Series:
    ids, target = table.columns[form["series"]], table.columns.get(settings.target or "")
    _check_long(table, ids, target)
    groups, order = by_series(ids.codes, _keys(table, form))
    columns = [table.columns[name] for name in form["columns"]]
    matrix = np.stack([c.numbers[c.codes] for c in columns], axis=1).astype(np.float32)[order]
    ends = np.cumsum(np.bincount(groups))
    starts = ends - np.bincount(groups)
    # The first row of each series in the file, with its label, stands for the series.
    first = np.array([order[a:b].min() for a, b in zip(starts, ends)])
    labels = None if target is None else target.take(_first_labelled(ids, target, first))
    split = settings.split_column
    spare = {settings.target, settings.split_column, settings.time_column, *settings.ignore, *_needed(form)}
    ordered = f"ordered by {form['time']['name']!r}" if form["time"] else "in the order of the file"
    moments = _times(table, settings)
    if moments is not None:
        # All of a series is known at its latest step.
        moments = moments.take(np.array([order[a:b][moments.keys[order[a:b]].argmax()] for a, b in zip(starts, ends)]))
    channels = ", ".join(form["columns"][:10]) + (" …" if len(form["columns"]) > 10 else "")
    findings = [
        Finding(
            check="series-form", severity=Severity.INFO,
            message=f"One row is one step: the rows of one {ids.name!r} are a series, {ordered}. Channels: {channels}.",
        ),
        *_left_out([n for n in table.columns if n not in spare]), *_unparsed(columns),
    ]
    return Series(
        table.filename, table.format, [trimmed(matrix[a:b]) for a, b in zip(starts, ends)], tuple(form["columns"]),
        labels, {split: table.columns[split].take(first)} if split is not None and split in table.columns else {},
        names=tuple(ids.texts[c] for c in ids.codes[first]), form=form, findings=tuple(findings), times=moments,
    )


def _check_long(table: Table, ids: TextColumn, target: TextColumn | None) -> None:
    without = np.flatnonzero(ids.rows_missing)
    faults = [
        Violation(field=f"{table.filename}, row {row + 1}, column {ids.name!r}", reason="SERIES_MISSING",
                  message="is empty: it must say to which series the row belongs.")
        for row in without[:20]
    ]
    if target is not None:
        faults += [
            Violation(
                field=f"{table.filename}, row {row + 1}, column {target.name!r}", reason="LABEL_CHANGES",
                message=f"is {target.texts[target.codes[row]][:60]!r}, but an earlier row of the series "
                        f"{ids.texts[ids.codes[row]][:60]!r} has another label; a series has one.",
            )
            for row in _changing(ids, target)[: 20 - len(faults)]
        ]
    if faults:
        raise InvalidData(faults)


def _first_labelled(ids: TextColumn, target: TextColumn, first: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each series the row that tells its label: its first one that has any."""
    known = np.flatnonzero(~target.rows_missing)
    rows = np.full(len(ids.values), -1, np.int64)
    rows[ids.codes[known[::-1]]] = known[::-1]
    found = rows[ids.codes[first]]
    return np.where(found < 0, first, found)


def _keys(table: Table, form: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """What rows are ordered by within their series. Raises `InvalidData` for rows whose time can't be read."""
    time = form["time"]
    if not time:
        return None
    column = table.columns[time["name"]]
    return times.read(column, table.filename, time).keys


def _times(table: Table, settings: DataSettings) -> Times | None:
    """The time of each row where the split is by time; test tables may lack it."""
    if settings.time_column is None or settings.time_column not in table.columns:
        return None
    return times.read(table.columns[settings.time_column], table.filename)


def by_series(ids: NDArray[np.int32], keys: NDArray[np.float64] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(number of its series, from 0 by first appearance; row) for all rows, series by series, ordered by `keys` within
    (stable, so that equal keys keep the file's order)."""
    _, first, places = np.unique(ids, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    series = rank[places]
    order = np.lexsort((keys, series)) if keys is not None else np.argsort(series, kind="stable")
    return series[order], order
