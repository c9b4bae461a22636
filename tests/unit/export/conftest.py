"""Models trained once a session."""

from __future__ import annotations

import pytest

from tests.unit.export import planted


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_table(tmp_path_factory.mktemp("numbers"), regression=True)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_series(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_pictures(tmp_path_factory.mktemp("pictures"))
