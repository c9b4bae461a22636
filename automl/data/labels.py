"""Targets: class labels in their order, labels that are spelt differently in two files, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from automl.data import encoder

_PIECES = re.compile(r"(\d+)")


def ordered(labels: Iterable[str]) -> list[str]:
    """Different labels in the order of the model's outputs: as numbers when all are numbers, else as text in which runs of
    digits count as numbers ("class 2" before "class 10")."""
    distinct = sorted(set(labels))
    numbers = [encoder.number_of(label) for label in distinct]
    if all(n == n for n in numbers):
        return [label for _, label in sorted(zip(numbers, distinct))]
    return sorted(distinct, key=lambda label: (_pieces(label), label))


def matched(strange: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """For labels that are not among the known ones the known label that they mean, where exactly one fits.

    Tried in turn: the same with or without a final dot ("<=50K." and "<=50K"), the same number ("1.0" and "1"), the same
    in lower case.
    """
    found: dict[str, str] = {}
    for normal in (lambda s: s.removesuffix("."), _as_number, str.casefold):
        table: dict[str, list[str]] = {}
        for label in known:
            table.setdefault(normal(label), []).append(label)
        for label in strange:
            fits = table.get(normal(label), [])
            if label not in found and len(fits) == 1:
                found[label] = fits[0]
    return found


def _pieces(label: str) -> list[tuple[int, int, str]]:
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in _PIECES.split(label)]


def _as_number(label: str) -> str:
    number = encoder.number_of(label)
    return repr(number) if number == number else label
