"""How large the preparation makes parts and vocabularies.

The preparation (`automl.data`) decides by these, and the estimate of a profile (`automl.catalog.estimate`), which doesn't
read the data, repeats its decisions.
"""

from __future__ import annotations

PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}
"""Names of folders, and values of split columns, in lower case, that mean a part."""

CATEGORIES = 1000
"""Most categories of a column that are told apart; the rarer ones count as one."""
TOKENS = 256
"""Most words of a table's column of text that become numeric columns."""
TOKEN_ROWS = 3
"""Training rows in which such a word has to come."""
TEXT_LENGTH = 1024
"""Most tokens of a text; longer ones are cut."""
SERIES_LENGTH = 512
"""Most steps of a series; longer ones are resampled."""
PICTURE_SIDE = 96
"""Longer side of the pictures that are trained on, in pixels."""

_CAP, _FEW = 10_000, 30
_ENOUGH = 1_500
"""Rows by which a share of right answers is known to a point: of larger sets a tenth is held out."""


def rows_to_test(rows: int, fraction: float | None = None) -> int:
    """Rows to hold out for the final verification."""
    if fraction is not None:
        return max(1, min(rows - 2, round(fraction * rows)))
    return _held(rows, rows // 4)


def rows_to_validate(rows: int) -> int:
    """Rows to judge trials by, out of those that are not test rows."""
    return _held(rows, rows // 3)


def _held(rows: int, most: int) -> int:
    return min(_CAP, max(min(round(0.15 * rows), _ENOUGH), round(0.10 * rows), min(_FEW, most)))


def rows_of_category(train: int) -> int:
    """Training rows that a category needs to be told apart, of `train` in all."""
    return 1 if train < 200 else 2 if train < 5_000 else 5
