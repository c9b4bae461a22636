"""Models trained once a session."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from automl.data.prepared import PreparedDataset
from automl.spec import Choice, Fidelity, Recipe
from tests.unit.export import planted
from tests.unit.training import conftest as small


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
def pictures(tmp_path_factory: pytest.TempPathFactory) -> planted.Planted:
    return planted.plant_pictures(tmp_path_factory.mktemp("pictures"))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A prepared data set with a candidate of the trainer's own, and its recipe."""

    data: PreparedDataset
    candidate: pathlib.Path
    recipe: Recipe
    metric: str

    def request(self, out: pathlib.Path, **settings: Any) -> dict[str, Any]:
        """Of a rung's child."""
        return {
            "candidate": str(self.candidate), "prepared": str(self.data.path), "out": str(out), "metric": self.metric,
            "time_s": 60.0, "seed": 1, "threads": 1, "settings": settings,
        }


def trained(folder: pathlib.Path, case: small.Case, **more: Any) -> Trained:
    from automl.training import trainer

    trainer.train(
        case.recipe, case.data, fidelity=Fidelity(epochs=case.recipe.epochs), metric=case.metric,
        workdir=folder / "candidate", on_epoch=lambda measurement: True, **more,
    )
    return Trained(case.data, folder / "candidate", case.recipe, case.metric)


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A residual convnet with normalisation that tells lying from standing bars."""
    folder = tmp_path_factory.mktemp("bars")
    net = Choice(id="convnet", params={"width": 16, "stages": 2, "residual": True})
    recipe = small.recipe("image-classification", Choice(id="batch-norm"), architecture=net, epochs=6)
    return trained(folder, small.Case(small.make_pictures(folder / "prepared", rows=400), recipe))


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A network on a table with numbers as target."""
    folder = tmp_path_factory.mktemp("sums")
    recipe = small.recipe("tabular-regression", epochs=24)
    return trained(folder, small.Case(small.make_table(folder / "prepared", "regression"), recipe))
