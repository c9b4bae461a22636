"""What a weight takes in a precision, and which precision counts where several are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from automl.catalog import entries
from automl.spec import FormatRequest

BYTES = {"float32": 4.0, "float16": 2.0, "dynamic": 1.05, "int8": 1.1, "int16x8": 1.1}
"""A weight in a file of that precision; biases and scales of quantised ones stay wider. What a family knows of its files
goes before that."""
NARROWEST = ("int8", "dynamic", "float16", "float32", "int16x8")
"""int16x8 comes last: as small as int8, and on a CPU several times slower than float."""


def narrowest(wanted: Iterable[FormatRequest], *models: str) -> str | None:
    """Of the formats whose model is in one of the formats `models`: mobile's is a TFLite file as well. None where none is
    asked for."""
    asked = {f.precision for f in wanted if f.format in entries.formats and entries.formats[f.format].model in models}
    return next((p for p in NARROWEST if p in asked), None)
