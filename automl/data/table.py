"""A table as text: each column is its different values and, for each row, which of them stands there.

Almost everything that is asked of a column (is it a number, a date, missing?) is asked once for each different value and
then gathered by the codes, so that no work is done row by row in Python.
"""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from automl.data import encoder
from automl.data.limits import LIMITS, Limits
from automl.spec.dataset import Finding
from automl.spec.errors import InvalidData, Violation

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True, eq=False)
class TextColumn:
    """One column. `values` are different stripped texts in order of first appearance, `codes` int32 [n] point into them."""

    name: str
    values: pa.StringArray
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, name: str, cells: pa.Array | pa.ChunkedArray) -> TextColumn:
        """From cells of text; nulls count as empty."""
        if isinstance(cells, pa.ChunkedArray):
            cells = cells.combine_chunks()
        cells = pc.ascii_trim(cells, characters=encoder.BLANKS)
        if cells.null_count:
            cells = pc.fill_null(cells, "")
        coded = cells.dictionary_encode()
        return cls(name, coded.dictionary, coded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False))

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each value."""
        return np.bincount(self.codes, minlength=len(self.values))

    @functools.cached_property
    def absent(self) -> NDArray[np.bool_]:
        """For each value whether it means "missing"."""
        return _to_numpy(pc.is_in(self.values, value_set=pa.array(encoder.MISSING, pa.string())))

    @functools.cached_property
    def rows_missing(self) -> NDArray[np.bool_]:
        """For each row whether its value is missing."""
        return self.absent[self.codes]

    @functools.cached_property
    def numbers(self) -> NDArray[np.float64]:
        """For each value the number that it spells, NaN where it spells none that is finite as float32, or is missing."""
        spelt = pc.match_substring_regex(self.values, f"^(?:{encoder.NUMBER.pattern})$")
        spelt = pc.and_not(spelt, pa.array(self.absent))
        plain = pc.replace_substring_regex(pc.if_else(spelt, self.values, None), r"^\+", "")
        try:
            parsed = plain.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            # Arrow refuses what overflows a double; Python's float makes it infinite.
            parsed = np.array([np.nan if v is None else float(v) for v in plain.to_pylist()], np.float64)
        return np.where(np.abs(parsed) <= _FLOAT32_MAX, parsed, np.nan)

    @functools.cached_property
    def texts(self) -> list[str]:
        """The different values as a list."""
        return self.values.to_pylist()

    def take(self, rows: NDArray[np.int64]) -> TextColumn:
        """The column of some rows; the values stay as they are, also those that no row has any more."""
        return TextColumn(self.name, self.values, self.codes[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, in file order."""

    filename: str
    format: str
    columns: dict[str, TextColumn]
    rows: int
    has_header: bool = True
    findings: tuple[Finding, ...] = ()
    """What the reader noticed."""


def column_names(raw: list[str], filename: str, limits: Limits = LIMITS) -> list[str]:
    """Names as they are used everywhere: blanks and control characters collapsed, an empty one becomes `column_<place>`.

    Raises `InvalidData` naming every name that stands there twice or is too long.
    """
    names = [_CONTROL.sub(" ", name).strip() or f"column_{i}" for i, name in enumerate(raw, 1)]
    faults = []
    first: dict[str, int] = {}
    for i, name in enumerate(names, 1):
        if len(name) > limits.name_length:
            faults.append(Violation(
                field=f"{filename}, header, column {i}", reason="NAME_TOO_LONG",
                message=f"the name has {len(name)} characters; at most {limits.name_length} are taken",
            ))
        elif name in first:
            faults.append(Violation(
                field=f"{filename}, header, column {i}", reason="DUPLICATE_COLUMN",
                message=f"the name {name!r} is already that of column {first[name]}.", remedy="Rename one of the two.",
            ))
        first.setdefault(name, i)
    if faults:
        raise InvalidData(faults[: limits.listed])
    return names


def _to_numpy(array: pa.Array) -> NDArray[np.bool_]:
    return array.to_numpy(zero_copy_only=False).astype(bool)
