"""Caps on what is read, counted while reading: nothing that a file claims about itself is believed."""

from __future__ import annotations

import dataclasses

from automl.spec import sizes

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Limits:
    """Largest inputs that the readers take. Sizes are of the unpacked bytes."""

    table_bytes: int = 2**31 - 1
    """A column's text must fit 32-bit offsets."""
    table_columns: int = 10_000
    table_rows: int = 20_000_000
    table_cells: int = 1_000_000_000
    """Rows × columns: Parquet can pack a billion equal cells into a few bytes."""
    field_bytes: int = MIB
    name_length: int = 500
    """Characters of a column's name."""
    classes: int = 1_000
    archive_entries: int = 500_000
    archive_bytes: int = 16 * 1024 * MIB
    archive_ratio: int = 200
    """Unpacked over packed bytes, looked at beyond `archive_ratio_from` bytes: real data don't reach it, bombs do."""
    archive_ratio_from: int = 256 * MIB
    array_bytes: int = 8 * 1024 * MIB
    pictures: int = 500_000
    picture_bytes: int = 64 * MIB
    picture_pixels: int = 50_000_000
    picture_side: int = sizes.PICTURE_SIDE
    """Longer side of the pictures that are trained on, in pixels."""
    bad_fraction: float = 0.05
    """Share of unreadable pictures beyond which the data set is refused."""
    listed: int = 20
    """Faults that one message lists."""


LIMITS = Limits()
