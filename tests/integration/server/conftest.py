"""A server for each test: they start in milliseconds."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.server import harness


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="a") as path:
        yield Path(path)


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[harness.Served]:
    async with harness.served(folder) as running:
        yield running
