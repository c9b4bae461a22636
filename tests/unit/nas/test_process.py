"""The process of a supernet: rounds, checkpoints, going on after a kill, deadlines, and what it leaves behind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl.execution.executor import Work
from automl.nas import process
from automl.spec import Choice, Fidelity, Found, Outcome, Recipe
from tests.unit.nas.parts import Session

RECIPE = Recipe(task="image-classification", architecture=Choice(id="nas-cell"))
STEPS = 40


class Counting:
    """A method whose weight counts its steps."""

    def __init__(self, ground: Any):
        self.weight = keras.Variable(0.0)
        self.variables = [self.weight]
        self.kept = 0

    def trace(self) -> None: ...

    def step(self, progress: float) -> float:
        self.weight.assign_add(1.0)
        if float(ground_of["nan_at"]) == float(self.weight.value):
            return float("nan")
        return progress

    def measured(self) -> tuple[dict[str, float], float]:
        self.kept += 1
        return {"weight": float(self.weight.value)}, 0.5

    def over(self) -> str:
        return "it has seen enough" if self.kept == ground_of["enough"] else ""

    def found(self) -> list[Found]:
        return [Found(architecture=Choice(id="nas-cell", params={"genotype": f"{float(self.weight.value):.0f}"}))]

    def remark(self) -> str:
        return ""

    def state(self) -> Any:
        return {"kept": self.kept}

    def restore(self, state: Any) -> None:
        self.kept = state["kept"]

    def leave(self, folder: Path) -> None:
        (folder / "left").touch()


ground_of: dict[str, float] = {}


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    ground_of.update(nan_at=-1, enough=-1)
    monkeypatch.setattr(process, "_method", lambda work: Counting(None))
    monkeypatch.setattr(process, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(process, "quick_graphs", lambda: None)


def work(folder: Path, **changes: Any) -> Work:
    settings = {"method": "darts", "seconds": 1000.0, "steps": STEPS, **changes.pop("settings", {})}
    return Work(
        trial="s01", recipe=RECIPE, fidelity=Fidelity(epochs=1), prepared=folder, metric="accuracy", workdir=folder,
        settings=settings, **changes,
    )


def test_a_search_goes_through_its_rounds_and_writes_what_it_found(tmp_path):
    session = Session()
    result = process.search(work(tmp_path), session, 1)
    assert result.outcome == Outcome.COMPLETED
    assert [m.epoch for m in session.rounds] == list(range(1, process.ROUNDS + 1))
    assert session.rounds[-1].validation["steps"] == STEPS
    assert process.read(tmp_path)[0].architecture.params["genotype"] == str(STEPS)
    assert (tmp_path / "left").exists()


def test_a_killed_search_goes_on_with_its_weights_and_its_clock(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        process.search(work(tmp_path), Session(killed_after=5), 1)
    assert process.read(tmp_path)[0].architecture.params["genotype"] == "10"
    session = Session()
    result = process.search(work(tmp_path), session, 1)
    assert result.outcome == Outcome.COMPLETED
    assert [m.epoch for m in session.rounds] == list(range(6, process.ROUNDS + 1))
    assert session.rounds[0].validation["weight"] == 12.0
    assert session.rounds[-1].validation["weight"] == STEPS


def test_a_damaged_checkpoint_counts_as_absent_and_the_one_before_is_taken(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        process.search(work(tmp_path), Session(killed_after=5), 1)
    (tmp_path / "checkpoint.npz").write_bytes(b"half of it")
    session = Session()
    process.search(work(tmp_path), session, 1)
    assert session.rounds[0].epoch == 5


def test_seconds_end_a_search_that_has_no_steps_given(tmp_path):
    session = Session()
    start = time.monotonic()
    result = process.search(work(tmp_path, settings={"steps": 0, "seconds": 0.2}), session, 1)
    assert result.outcome == Outcome.COMPLETED
    assert time.monotonic() - start < 5
    epochs = [m.epoch for m in session.rounds]
    assert epochs == sorted(set(epochs))
    assert process.ROUNDS // 2 < epochs[-1] <= process.ROUNDS


def test_a_deadline_ends_a_search_before_its_seconds_are_over(tmp_path):
    given = work(tmp_path, settings={"steps": 0, "seconds": 900.0}, deadline=time.monotonic() + process.LAST_WORDS_S)
    result = process.search(given, Session(), 1)
    assert result.outcome == Outcome.COMPLETED
    assert process.read(tmp_path)
    late = process.search(work(tmp_path / "other", deadline=time.monotonic() - 1.0), Session(), 1)
    assert (late.outcome, late.message) == (Outcome.PRUNED, "the deadline came")
    assert process.read(tmp_path / "other") == []


def test_a_search_ends_where_its_method_or_the_controller_says_so(tmp_path):
    ground_of["enough"] = 3
    ended = process.search(work(tmp_path / "a"), Session(), 1)
    assert (ended.outcome, ended.message) == (Outcome.COMPLETED, "it has seen enough")
    stopped = process.search(work(tmp_path / "b"), Session(stopped_after=2), 1)
    assert stopped.outcome == Outcome.PRUNED
    assert process.read(tmp_path / "b")[0].architecture.params["genotype"] == "4"


def test_a_loss_that_is_not_finite_is_an_outcome(tmp_path):
    ground_of["nan_at"] = 7
    result = process.search(work(tmp_path), Session(), 1)
    assert result.outcome == Outcome.NAN
    assert "round 4" in result.message


def test_the_checkpoint_of_another_recipe_counts_as_absent(tmp_path):
    process.search(work(tmp_path), Session(), 1)
    arrays = dict(np.load(tmp_path / "checkpoint.npz"))
    position = json.loads(arrays["position"].tobytes())
    position["recipe"] = "another"
    arrays["position"] = np.frombuffer(json.dumps(position).encode(), np.uint8)
    np.savez(tmp_path / "checkpoint.npz", **arrays)
    session = Session()
    process.search(work(tmp_path), session, 1)
    assert session.rounds[0].epoch == 1
