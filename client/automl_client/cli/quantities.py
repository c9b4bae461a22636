"""Sizes and durations as people write them on the command line and read them in a summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _BytesType = click.ParamType[int]
    _SecondsType = click.ParamType[float]
    _PairType = click.ParamType[tuple[str, str]]
else:
    # Generic in click's stubs and its newer versions alone.
    _BytesType = _SecondsType = _PairType = click.ParamType

_SIZE_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "k": 10**3, "m": 10**6, "g": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*\Z")
_DURATION = re.compile(r"\s*(?:[0-9]+(?:\.[0-9]+)?\s*[a-z]+\s*)+\Z")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)")


class Size(_BytesType):
    """Bytes, from "200KB", "1.5MB", "64KiB" or a plain number."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.match(value)
        unit = _SIZE_UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            self.fail(f"expected a size like 200KB, 1.5MB or 64KiB, got {value!r}.", param, ctx)
        size = round(float(match[1]) * unit)
        if size < 1:
            self.fail(f"must be at least 1 byte, got {value!r}.", param, ctx)
        return size


class Duration(_SecondsType):
    """Seconds, from "90s", "10m", "1h30m" or "5ms". The unit is needed: a bare 10 could mean anything."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        parts = _PART.findall(value.lower()) if _DURATION.match(value.lower()) else []
        if not parts or any(unit not in _SECONDS for _, unit in parts):
            self.fail(f"expected a duration with its unit, like 90s, 10m, 1h30m or 5ms, got {value!r}.", param, ctx)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if seconds <= 0:
            self.fail(f"must be more than 0, got {value!r}.", param, ctx)
        return seconds


class ColumnKindOf(_PairType):
    """A pair of a column's name and its kind, from "age=numeric"."""

    name = "column=kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        from automl_client import types

        column, equals, kind = value.rpartition("=")
        kinds = [one.value for one in types.ColumnKind]
        if not equals or not column or kind not in kinds:
            self.fail(f"expected COLUMN=KIND with KIND one of {', '.join(kinds)}, got {value!r}.", param, ctx)
        return column, kind


class ParameterValue(_PairType):
    """A pair of a parameter's name and its value, from "dropout.rate=0.3"; the value may hold further equals signs."""

    name = "technique.parameter=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        parameter, equals, text = value.partition("=")
        technique, dot, name = parameter.strip().partition(".")
        if not (equals and dot and technique and name):
            self.fail(f"expected TECHNIQUE.PARAMETER=VALUE, like dropout.rate=0.3, got {value!r}.", param, ctx)
        return parameter.strip(), text.strip()


def size_text(size_bytes: float) -> str:
    """ "184 KB", "1.5 MB"."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("KB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 999.5 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if size_bytes >= 99.5 else f"{size_bytes:.3g} {unit}"
    raise AssertionError("unreachable: the last unit returns")


def duration_text(seconds: float) -> str:
    """ "2 min 51 s", "1 h 05 min", "12 s"."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number_text(value: float | None) -> str:
    """A metric's value with four significant places; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.6g}"
