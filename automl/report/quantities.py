"""Numbers as people read them."""

from __future__ import annotations

import math


def size(count: float | None) -> str:
    """Bytes in decimal units: "63.2 KB"."""
    if count is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            return f"{_three(count / factor)} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float | None) -> str:
    """ "2 min 05 s", "1 h 10 min"."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def figure(value: float | None) -> str:
    """A metric: four significant digits, whole thousands with separators."""
    if value is None:
        return "–"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e7):
        return f"{value:.3e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.{max(0, 3 - int(math.log10(abs(value))))}f}"
    return f"{value:.4f}"


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """ "83 %"; tenths where it matters, near 0 and 1."""
    if value is None:
        return "–"
    percent = 100 * value
    return f"{percent:.0f} %" if 1 <= percent <= 99 or percent in (0, 100) else f"{percent:.1f} %"


def number(value: int, noun: str) -> str:
    """ "1 trial", "1,200 trials"."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def parameter(name: str, value: object) -> str:
    """A technique's parameter, as short as it can be read: "width 128", "residual", "no residual"."""
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
