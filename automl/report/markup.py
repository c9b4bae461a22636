"""HTML that is escaped by construction: text becomes markup only through `element`.

Column names, labels, file names and messages come from outside, so the page must not depend on anybody remembering to
escape. Every string that is not already `Markup` is text, and is escaped where it enters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Union

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls, direction overrides and lone surrogates: they would break the file, hide text or reorder it on the screen."""

VOID = frozenset({"br", "col", "hr", "meta"})
TEXT_LIMIT = 2_000
"""Longest text that is printed whole; a label may be a megabyte."""


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


Child = Union[str, int, float, None, Iterable["Child"]]


def text(value: object) -> Markup:
    """The value as escaped text; unprintable characters become U+FFFD, and very long text is cut with its length named."""
    plain = _UNPRINTABLE.sub("\ufffd", str(value))
    if len(plain) > TEXT_LIMIT:
        plain = f"{plain[:TEXT_LIMIT]}… ({len(plain):,} characters)"
    return Markup(html.escape(plain))


def short(value: object, limit: int = 40) -> str:
    """Text for narrow places: cut in the middle, where names differ least."""
    plain = str(value)
    return plain if len(plain) <= limit else f"{plain[: limit * 2 // 3]}…{plain[len(plain) - limit // 3 + 1 :]}"


def join(*children: Child) -> Markup:
    """Children one after the other: text escaped, `None` left out, iterables flattened."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str | int | float):
            parts.append(text(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """`<tag attributes>children</tag>`. An attribute `class_` is written `class`, `stroke_width` `stroke-width`;
    None and False leave it out, True writes the name alone."""
    written = []
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {name}")
        elif value is not None and value is not False:
            shown = f"{value:.6g}" if isinstance(value, float) else value
            written.append(f' {name}="{text(shown)}"')
    opening = f"<{tag}{''.join(written)}>"
    return Markup(opening if tag in VOID else f"{opening}{join(*children)}</{tag}>")
