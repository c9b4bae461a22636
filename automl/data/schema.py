"""What each column of a table holds, inferred from its text; users override it by name.

The rules, in order, on the present values of a column:

1. None, or one value without gaps: constant. One value with gaps stays a feature, since the gaps may tell something.
2. 0 and 1, or a known pair of words (yes/no, true/false …): boolean.
3. At least 95 % of the cells are numbers: numeric; the rest count as missing and are reported. But digits with leading zeros
   are codes, hence categorical; and whole numbers that are all different and run through in steps of one, or are called
   "id", are an id.
4. At least 95 % are dates in one order of the fields: date.
5. Words: text when cells have several words and differ mostly; an id when single words differ almost all; else categorical.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Mapping

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from automl.data import encoder, text_encoder
from automl.data.table import Table, TextColumn
from automl.spec.dataset import ColumnInfo, ColumnKind

PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
"""Pairs of words that mean no and yes, in lower case."""
_SHARE = 0.95
_ID_NAME = re.compile(r"(?:^|[_\-. ])(?:id|uuid|guid|key|index|rownum|row)$|[a-z]I[Dd]$|^(?:Id|ID)", re.ASCII)
_CODE = r"^0[0-9]+$"
_TOP, _TOP_OF, _EXAMPLE = 50, 1000, 80
_TOKENS_OF = 2000
"""Texts whose tokens are counted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """A column with its kind and what was counted on the way."""

    text: TextColumn
    kind: ColumnKind
    order: str = ""
    """Of a date's fields: "iso", "dmy", "mdy"."""

    @property
    def name(self) -> str:
        return self.text.name

    @functools.cached_property
    def rows_missing(self) -> int:
        """Empty cells and missing tokens."""
        return int(self.text.counts[self.text.absent].sum())

    @functools.cached_property
    def present(self) -> NDArray[np.int64]:
        """Codes of the present values that occur."""
        return np.flatnonzero(~self.text.absent & (self.text.counts > 0))

    @functools.cached_property
    def rows_unparsed(self) -> int:
        """Present cells that don't fit the kind (a word in a numeric column): they count as missing."""
        counts = self.text.counts[self.present]
        if self.kind == ColumnKind.NUMERIC:
            return int(counts[np.isnan(self.text.numbers[self.present])].sum())
        if self.kind == ColumnKind.DATE:
            texts = self.text.texts
            return sum(int(n) for n, c in zip(counts, self.present) if encoder.date_of(texts[c], self.order) is None)
        if self.kind == ColumnKind.BOOLEAN:
            true, false = boolean_words(self.text)
            words = set(true) | set(false)
            return sum(int(n) for n, c in zip(counts, self.present) if self.text.texts[c] not in words)
        return 0

    def info(self, most: int = _TOP) -> ColumnInfo:
        """The column as it is stored and shown, with up to `most` frequent values."""
        column, texts = self.text, self.text.texts
        counts = column.counts[self.present]
        numbers = column.numbers[self.present]
        numbers = numbers[~np.isnan(numbers)]
        if self.kind not in (ColumnKind.NUMERIC, ColumnKind.BOOLEAN, ColumnKind.ID):
            numbers = numbers[:0]
        few = len(self.present) <= _TOP_OF
        by_count = self.present[np.argsort(-counts, kind="stable")][: most if few else 0]
        return ColumnInfo(
            name=self.name, kind=self.kind, rows_missing=self.rows_missing, distinct=len(self.present),
            examples=tuple(texts[c][:_EXAMPLE] for c in self.present[:5]),
            top=tuple((texts[c][:_EXAMPLE], int(column.counts[c])) for c in by_count),
            minimum=float(numbers.min()) if len(numbers) else None, maximum=float(numbers.max()) if len(numbers) else None,
            integer=bool(len(numbers) and (numbers == np.rint(numbers)).all()),
            tokens=self._tokens() if self.kind == ColumnKind.TEXT else 0,
        )

    def _tokens(self) -> int:
        sample = self.present[:: max(1, len(self.present) // _TOKENS_OF)]
        lengths = [len(text_encoder.words_of(self.text.texts[c])) for c in sample]
        return math.ceil(np.percentile(lengths, text_encoder.COVERED)) if lengths else 0


def infer(table: Table, overrides: Mapping[str, ColumnKind] | None = None) -> dict[str, Column]:
    """The kind of every column; `overrides` win over what the values look like."""
    overrides = overrides or {}
    return {name: _column(column, overrides.get(name)) for name, column in table.columns.items()}


def _column(text: TextColumn, kind: ColumnKind | None) -> Column:
    inferred = Column(text, *_kind(text)) if kind is None else Column(text, kind)
    if inferred.kind == ColumnKind.DATE and not inferred.order:
        order, _ = date_order(inferred)
        return Column(text, inferred.kind, order)
    return inferred


def _kind(text: TextColumn) -> tuple[ColumnKind, str]:
    column = Column(text, ColumnKind.CATEGORICAL)
    present = column.present
    rows = int(text.counts[present].sum())
    if len(present) == 0 or (len(present) == 1 and column.rows_missing == 0):
        return ColumnKind.CONSTANT, ""
    numbers = text.numbers[present]
    numeric = ~np.isnan(numbers)
    if len(present) <= 8 and _is_pair([text.texts[c] for c in present], numbers):
        return ColumnKind.BOOLEAN, ""
    if text.counts[present][numeric].sum() >= _SHARE * rows:
        codes = np.asarray(pc.match_substring_regex(text.values, _CODE).to_numpy(zero_copy_only=False), bool)[present]
        if codes.sum() > 0.01 * len(present):
            return ColumnKind.CATEGORICAL, ""
        return (ColumnKind.ID if numeric.all() and _is_running(text, numbers, rows) else ColumnKind.NUMERIC), ""
    order, share = date_order(column)
    if share >= _SHARE:
        return ColumnKind.DATE, order
    return _kind_of_words(text, present, rows), ""


def _is_pair(values: list[str], numbers: NDArray[np.float64]) -> bool:
    if not np.isnan(numbers).any():
        return set(numbers.tolist()) == {0.0, 1.0}
    lower = {value.lower() for value in values}
    return len(lower) == 2 and any(lower == set(pair) for pair in PAIRS)


def _is_running(text: TextColumn, numbers: NDArray[np.float64], rows: int) -> bool:
    """Whether whole numbers, all different, only tell one row from another."""
    if rows < 20 or len(numbers) != rows or (numbers != np.rint(numbers)).any():
        return False
    if _ID_NAME.search(text.name):
        return True
    # Values stand in order of first appearance, which for all-different ones is the order of rows.
    steps = np.diff(numbers)
    return bool(rows >= 50 and (steps == steps[0]).all() and abs(steps[0]) == 1)


def date_order(column: Column) -> tuple[str, float]:
    """The order of fields that reads most cells as dates, and the share of present cells that it reads."""
    text, present = column.text, column.present
    counts = text.counts[present]
    total = int(counts.sum())
    # Dates are recognised on a few values first: most columns are none.
    for probe in (present[:: max(1, len(present) // 50)][:50], present):
        shares = {}
        for order in encoder.DATE_FORMATS:
            read = np.array([encoder.date_of(text.texts[c], order) is not None for c in probe], bool)
            shares[order] = float(text.counts[probe][read].sum()) / max(1, int(text.counts[probe].sum()))
        if max(shares.values()) < 0.5:
            return "iso", 0.0
    tie = ("iso", "mdy", "dmy") if any("/" in text.texts[c] for c in present[:5]) else ("iso", "dmy", "mdy")
    best = max(tie, key=lambda order: (shares[order], -tie.index(order)))
    return best, shares[best] if total else 0.0


def _kind_of_words(text: TextColumn, present: NDArray[np.int64], rows: int) -> ColumnKind:
    sample = present[:: max(1, len(present) // 2000)]
    words = float(np.mean([len(text.texts[c].split()) for c in sample]))
    different = len(present) / rows
    if len(present) > 20 and (
        (words >= 8) or (words >= 3 and different > 0.3) or (words >= 2 and different > 0.6 and len(present) > 50)
    ):
        return ColumnKind.TEXT
    if rows >= 20 and different >= _SHARE:
        return ColumnKind.ID
    return ColumnKind.CATEGORICAL


def boolean_words(text: TextColumn) -> tuple[list[str], list[str]]:
    """(spellings of true, spellings of false) for a boolean column: those that occur, and for 0 and 1 also "0.0" and "1.0".

    Words that belong to no known pair are sorted; the last is true.
    """
    values = [text.texts[c] for c in np.flatnonzero(~text.absent & (text.counts > 0))]
    true = {v for v in values if v.lower() in {yes for _, yes in PAIRS} or encoder.number_of(v) == 1}
    false = {v for v in values if v.lower() in {no for no, _ in PAIRS} or encoder.number_of(v) == 0}
    unknown = sorted(set(values) - true - false)
    if not true and unknown:
        true.add(unknown.pop())
    if not false and unknown:
        false.add(unknown.pop(0))
    if any(encoder.number_of(v) in (0, 1) for v in true | false):
        true |= {"1", "1.0"}
        false |= {"0", "0.0"}
    return sorted(true), sorted(false)
