"""Pages: sizes within limits, tokens that fit their own list alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.spec import InvalidInput
from automl_server import pages


@given(st.integers(0, 2**62), st.text(max_size=50))
def test_a_token_leads_back_to_its_place(place: int, listing: str) -> None:
    assert pages.place(listing, pages.token(listing, place)) == place


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    if not text:
        assert pages.place("jobs", text) is None
        return
    with pytest.raises(InvalidInput):
        pages.place("jobs", text)


def test_sizes() -> None:
    assert [pages.size(n, 50) for n in (0, 1, 1000, 5000)] == [50, 1, 1000, 1000]
    with pytest.raises(InvalidInput):
        pages.size(-1, 50)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 10))
def test_pages_together_are_the_list(items: list[int], size: int) -> None:
    found: list[int] = []
    token = ""
    while True:
        page, token = pages.slice_of(items, "list", size, token, 5)
        found += page
        if not token:
            break
        assert len(page) == size
    assert found == items
