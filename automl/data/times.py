"""When rows are from: a column of dates or of numbers, as keys that grow with time.

Dates are those of `automl.data.encoder` (a zone is ignored, and so are fractions of a second); numbers are years, days or
seconds, whatever the column counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import encoder, schema
from automl.data.limits import LIMITS
from automl.data.table import TextColumn
from automl.spec.dataset import ColumnKind, Finding, Severity
from automl.spec.errors import InvalidData, Violation

_SECONDS = (32_140_800, 2_678_400, 86_400, 3_600, 60, 1)
"""Of years of months of 31 days: the order is what counts."""


@dataclasses.dataclass(frozen=True, eq=False)
class Times:
    """The time of each of n examples: its key, and what stands there, for people."""

    column: TextColumn
    keys: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Times:
        """Those of some rows."""
        return Times(self.column.take(rows), self.keys[rows])

    def text(self, row: int) -> str:
        """The time of a row as it was written."""
        return self.column.texts[self.column.codes[row]]


def form(column: TextColumn) -> dict[str, Any]:
    """How a column tells time: {"name", "kind": "date" or "numeric", "format": order of a date's fields or ""}."""
    as_dates = schema.Column(column, ColumnKind.DATE)
    numbers = ~np.isnan(column.numbers[as_dates.present])
    order, share = schema.date_order(as_dates)
    counts = column.counts[as_dates.present]
    if share * counts.sum() > counts[numbers].sum():
        return {"name": column.name, "kind": "date", "format": order}
    return {"name": column.name, "kind": "numeric", "format": ""}


def keys(texts: Sequence[str], time: Mapping[str, Any]) -> NDArray[np.float64]:
    """Numbers in the order of times; NaN for what is none."""
    if time["kind"] == "numeric":
        return np.array([encoder.number_of(text) for text in texts], np.float64)
    found = []
    for text in texts:
        moment = encoder.date_of(text, time["format"])
        found.append(np.nan if moment is None else float(sum(a * b for a, b in zip(moment, _SECONDS))))
    return np.array(found, np.float64)


def read(column: TextColumn, filename: str, time: Mapping[str, Any] | None = None) -> Times:
    """The time of every row. Raises `InvalidData` with the rows whose time can't be read."""
    time = form(column) if time is None else time
    found = keys(column.texts, time)[column.codes]
    bad = np.flatnonzero(np.isnan(found) | column.rows_missing)
    if len(bad):
        kind = "a number" if time["kind"] == "numeric" else "a date"
        listed = [
            Violation(
                field=f"{filename}, row {row + 1}, column {column.name!r}", reason="TIME_UNREADABLE",
                message=f"expected {kind} to order the rows by, got {column.texts[column.codes[row]][:60]!r}",
            )
            for row in bad[: LIMITS.listed]
        ]
        if len(bad) > len(listed):
            listed.append(Violation(
                field=f"{filename}, column {column.name!r}", reason="TIME_UNREADABLE",
                message=f"and {len(bad) - len(listed):,} more rows, {len(bad):,} of {len(found):,} in all",
            ))
        raise InvalidData(listed)
    return Times(column, found)


def told(times: Times, rows: Mapping[str, NDArray[np.int64]]) -> Finding:
    """From when to when the parts reach. `rows` are those of each part that was cut out of the data."""
    said = []
    for part, chosen in rows.items():
        first, last = (times.text(int(chosen[place(times.keys[chosen])])) for place in (np.argmin, np.argmax))
        said.append(f"{part} {first} to {last}" if first != last else f"{part} {first}")
    return Finding(
        check="split-by-time", severity=Severity.INFO, columns=(times.column.name,),
        message=f"The parts follow each other by {times.column.name!r}: {'; '.join(said)}.",
    )
