"""Pages of lists (AIP-158): sizes within limits, and opaque tokens that hold the place and what the list was of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from automl.spec import InvalidInput

MAX_PAGE_SIZE = 1000

T = TypeVar("T")


def size(asked: int, default: int) -> int:
    """Rows of a page: `default` for 0, at most 1000. Raises `InvalidInput` for a negative number."""
    if asked < 0:
        raise InvalidInput.at(
            "page_size", f"expected 0 (the default) to {MAX_PAGE_SIZE}, got {asked}", reason="OUT_OF_RANGE"
        )
    return min(asked or default, MAX_PAGE_SIZE)


def token(listing: str, place: int) -> str:
    """The token for what follows `place` in a listing; `listing` names method and filter, so that a token fits no other
    list."""
    return base64.urlsafe_b64encode(json.dumps([1, listing, place]).encode()).decode()


def place(listing: str, text: str) -> int | None:
    """The place that `token` wrote; None for the first page. Raises `InvalidInput` for anything else."""
    if not text:
        return None
    fault = InvalidInput.at(
        "page_token", "expected the next_page_token of an earlier response to the same request", reason="INVALID_PAGE_TOKEN"
    )
    if len(text) > 4096:
        raise fault
    try:
        version, of, found = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError) as error:
        raise fault from error
    if version != 1 or of != listing or not isinstance(found, int) or isinstance(found, bool) or abs(found) >= 2**63:
        raise fault
    return found


def cut(rows: Sequence[T], rows_per_page: int, listing: str, place_of: Callable[[T], int]) -> tuple[Sequence[T], str]:
    """A page of rows that were read with one more than a page holds, and the token of the next page ("" on the last)."""
    if len(rows) <= rows_per_page:
        return rows, ""
    page = rows[:rows_per_page]
    return page, token(listing, place_of(page[-1]))


def slice_of(items: Sequence[T], listing: str, page_size: int, page_token: str, default: int) -> tuple[Sequence[T], str]:
    """A page of a list that is in memory; the place is the number of items before it."""
    start = place(listing, page_token) or 0
    if start < 0:
        raise InvalidInput.at("page_token", "expected a next_page_token of this list", reason="INVALID_PAGE_TOKEN")
    end = start + size(page_size, default)
    return items[start:end], token(listing, end) if end < len(items) else ""
