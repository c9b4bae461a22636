"""Homes for the tests of this folder; real searches run one after the other, so that budgets mean something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.machine import Home


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A user whose server starts by itself and is stopped after the module's tests."""
    user = Home(tmp_path_factory.mktemp("user"))
    yield user
    user.stop()
