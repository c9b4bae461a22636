"""What the suite itself relies on."""

from __future__ import annotations

import os

import pytest

GROUP = "the-suite"


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="only workers have groups")
@pytest.mark.xdist_group(GROUP)
def test_groups_of_tests_stay_on_one_worker(request: pytest.FixtureRequest) -> None:
    """Versions of pytest and pytest-xdist that don't suit each other ignore them: what a module prepares is prepared twice,
    and searches run side by side that are timed."""
    assert request.node.nodeid.endswith(f"@{GROUP}")
