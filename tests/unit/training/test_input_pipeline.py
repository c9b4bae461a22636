"""No step waits for its input: what the engine is asked for, and what was made by then. Order of events, not times."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from automl.catalog import Component, TrainPlan, compose
from automl.spec import Fidelity
from automl.training import backends, batches, samples, trainer

PATIENCE_S = 60.0
"""Longer than any batch takes to make: who waits so long waits for ever."""


def run(case: Any, workdir: Path) -> Any:
    return trainer.train(
        case.recipe, case.data, metric=case.metric, workdir=workdir, fidelity=Fidelity(epochs=1), on_epoch=lambda m: True
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that made batches, in order, one entry a batch."""
    log: list[str] = []
    stream = batches.Batches.stream

    def logged(self: batches.Batches, epoch: int) -> Any:
        for batch in stream(self, epoch):
            log.append(threading.current_thread().name)
            yield batch

    monkeypatch.setattr(batches.Batches, "stream", logged)
    return log


def test_rows_that_no_step_changes_are_handed_over_once(
    pictures: Any, tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a decoded set an epoch is row numbers alone: nothing of an input is made between its steps."""
    create = backends.create
    calls: list[str] = []

    def watched(*given: Any) -> Any:
        engine = create(*given)
        for name in ("hold", "run_rows", "run_batches"):
            setattr(engine, name, noted(name, getattr(engine, name)))
        return engine

    def noted(name: str, method: Any) -> Any:
        def call(*data: Any) -> Any:
            calls.append(name)
            return method(*data)

        return call

    monkeypatch.setattr(backends, "create", watched)
    run(pictures, tmp_path / "work")
    assert len(calls) > 2
    assert calls[0] == "hold"
    assert set(calls[1:]) == {"run_rows"}
    assert len(made) == 1  # The example that the graph is built from, before the first epoch.


class Ahead:
    """An engine on a device of its own whose steps end when the input of the next ones was made, and not before."""

    def __init__(self, engine: Any, calls: int):
        self.engine, self.accelerated, self.calls = engine, True, calls
        self.taken = self.made = 0
        self.changed = threading.Condition()
        self.waited_in_vain = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def stacked(self) -> None:
        with self.changed:
            self.made += 1
            self.changed.notify_all()

    def run_batches(self, stacked: Any) -> Any:
        with self.changed:
            self.taken += 1
            if self.taken < self.calls and not self.changed.wait_for(lambda: self.made > self.taken, PATIENCE_S):
                self.waited_in_vain += 1
        return self.engine.run_batches(stacked)


def test_on_a_device_the_next_input_is_made_while_a_step_runs(
    pictures: Any, tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that are changed one by one: each call of the engine ends only after the next call's input is whole, so a
    trainer that made it between the calls would wait for ever."""
    plan_of = compose.plan_of

    def augmented(recipe: Any, profile: Any) -> TrainPlan:
        return plan_of(recipe, profile).extended("batch_steps", Component(f"{__name__}:unchanged"))

    monkeypatch.setattr(compose, "plan_of", augmented)
    # One step a call, so that there are as many calls as batches.
    monkeypatch.setattr(trainer, "STACK_BYTES", 1)
    monkeypatch.setattr(trainer._Training, "_time_step", lambda self, example: None)
    create, engines = backends.create, []
    steps = len(list(batches.Batches(
        samples.load(pictures.data, TrainPlan(), "train", Fidelity(epochs=1), 0, None), TrainPlan(),
        pictures.recipe.batch_size, 0,
    ).rows(1)))

    def slow(*given: Any) -> Ahead:
        engines.append(Ahead(create(*given), steps))
        return engines[-1]

    stack = batches.Batch.stack

    def counted(listed: list[batches.Batch]) -> batches.Batch:
        whole = stack(listed)
        engines[-1].stacked()
        return whole

    monkeypatch.setattr(backends, "create", slow)
    monkeypatch.setattr(batches.Batch, "stack", staticmethod(counted))
    run(pictures, tmp_path / "work")
    (engine,) = engines
    assert engine.taken == engine.made == steps > 4
    assert not engine.waited_in_vain
    assert set(made[1:]) == {"batches"}


def unchanged() -> Any:
    return lambda inputs, target, rng: (inputs, target)
