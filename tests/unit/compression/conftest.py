"""Models trained once a session."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from automl.compression import magnitude
from automl.data.prepared import PreparedDataset
from automl.export import candidate as candidates
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


@dataclasses.dataclass(frozen=True)
class Fresh:
    """Rows that nothing was trained, stopped or chosen by, and what a model makes of them."""

    rows: dict[str, np.ndarray]
    target: np.ndarray

    def probabilities(self, made: candidates.Candidate) -> np.ndarray:
        found = made.model.predict(made.encode(self.rows), batch_size=500, verbose=0)
        return np.asarray(found, np.float64)

    def loss(self, made: candidates.Candidate) -> float:
        """Cross-entropy."""
        of_target = self.probabilities(made)[np.arange(len(self.target)), self.target]
        return float(-np.log(np.maximum(of_target, 1e-7)).mean())

    def accuracy(self, made: candidates.Candidate) -> float:
        return float((self.probabilities(made).argmax(axis=1) == self.target).mean())


def with_kernels(source: pathlib.Path, change: Callable[[np.ndarray], np.ndarray]) -> candidates.Candidate:
    """A candidate with its large kernels changed, and nothing trained."""
    made = candidates.Candidate(source)
    for layer in made.model.layers:
        if type(layer).__name__ in magnitude.PRUNED_LAYERS and np.prod(layer.kernel.shape) >= magnitude.SMALLEST_KERNEL:
            layer.kernel.assign(change(np.asarray(layer.kernel)))
    return made


def faint_bars(folder: pathlib.Path, seed: int) -> Trained:
    """A small convnet on bars that hardly stand out: unlike that of `bars`, which is sure of every picture, it has something
    to lose."""
    net = Choice(id="convnet", params={"width": 8, "stages": 3, "residual": False})
    recipe = small.recipe("image-classification", Choice(id="batch-norm"), architecture=net, epochs=4).changed(seed=seed)
    return trained(folder, small.Case(small.make_pictures(folder / "prepared", rows=3200, faint=True), recipe))


@pytest.fixture(scope="session")
def faint(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return faint_bars(tmp_path_factory.mktemp("faint"), 7)


@pytest.fixture(scope="session")
def faints(faint: Trained, tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """Three networks, for what differs from one to the next."""
    return [faint, *(faint_bars(tmp_path_factory.mktemp("faint"), seed) for seed in (8, 9))]


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Of `faint`."""
    folder = small.make_pictures(tmp_path_factory.mktemp("fresh") / "prepared", rows=4000, seed=1, faint=True)
    return Fresh({"image": np.load(folder / "image.npy")}, np.load(folder / "target.npy"))
