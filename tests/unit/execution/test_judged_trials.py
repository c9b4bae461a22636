"""A trial that is judged by its file: the bytes are written and run at its end; a converter that fails or crashes ends it as
UNCONVERTIBLE."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import select
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from automl.execution import outcomes, worker
from automl.execution.executor import Judge, Work
from automl.export import candidate as candidates
from automl.export import tflite
from automl.spec import Fidelity, Outcome
from tests.unit.training import conftest as small

MEASURED: list[tuple[Any, str, float]] = []
"""What workers of these tests have said before they measured."""
SAID = SimpleNamespace(
    epoch=lambda measurement: True, beat=lambda: None, should_stop=lambda: False,
    measuring=lambda *said: MEASURED.append(said),
)
EAGER = Judge(precision="int8", seed=0, bar=None, needed_s=0.0, share=0.1, allowed_s=60.0)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("judged")
    recipe = small.recipe("tabular-classification", epochs=3)
    data = small.make_table(folder / "prepared", "classification")
    return Work(
        trial="t0001", recipe=recipe, fidelity=Fidelity(epochs=3), prepared=data, metric="roc-auc",
        workdir=folder / "t0001", judge=EAGER,
    )


def train(work: Work) -> Any:
    return worker.train(work, SAID, 1)  # type: ignore[arg-type]


def test_its_bytes_are_run_on_validation_rows(work: Work) -> None:
    from automl.data.prepared import PreparedDataset
    from automl.tasks import metrics

    result = train(worker.from_json(worker.to_json(work)))
    point = result.artifact
    assert point is not None
    made, data = candidates.Candidate(work.workdir), PreparedDataset.open(work.prepared)
    content = tflite.contents(made, data.path, "int8", 0)
    outputs = tflite.TFLitePredictor(content, 1).predict(made.encode(data.inputs("validation")))
    y = np.asarray(data.target("validation"))
    assert point.rows == len(y)
    assert point.value == pytest.approx(metrics.value("roc-auc", y, outputs), abs=1e-9)
    assert point.float_value == pytest.approx(result.validation["roc-auc"], abs=1e-9)
    assert 0 <= point.size_bytes - len(content) < 8_000
    assert point.latency_ms > 0
    assert not (work.workdir / "converting").exists()
    # The executor knows what was trained before, and for how long it has to wait.
    trained, wanted, limit_s = MEASURED[-1]
    assert (trained.changed(artifact=point), wanted) == (result, "tflite:int8")
    assert limit_s == max(60.0, 10 * tflite.estimate_s(result.parameters))


def test_without_time_for_it_the_trial_stays_unmeasured(work: Work, tmp_path: pathlib.Path) -> None:
    stingy = dataclasses.replace(EAGER, needed_s=3.0, allowed_s=0.0)
    assert train(dataclasses.replace(work, judge=stingy)).artifact is None
    late = dataclasses.replace(EAGER, needed_s=500.0, allowed_s=1e6)
    assert train(dataclasses.replace(work, judge=late, deadline=time.monotonic() + 400)).artifact is None


def test_a_converter_that_fails_ends_it_as_unconvertible(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise ValueError("no kernel for this")

    monkeypatch.setattr(tflite, "contents", fail)
    with pytest.raises(worker.Unconvertible, match="no kernel for this") as caught:
        train(work)
    assert outcomes.of_exception(caught.value) == Outcome.UNCONVERTIBLE
    assert not (work.workdir / "converting").exists()


def test_what_has_crashed_twice_is_not_converted_again(work: Work) -> None:
    work.workdir.mkdir(parents=True, exist_ok=True)  # No other test of this process may have been there before.
    (work.workdir / "converting").write_text("1")
    assert train(work).artifact is not None
    (work.workdir / "converting").write_text("2")
    with pytest.raises(worker.Unconvertible, match="ended 2 times"):
        train(work)


@pytest.fixture
def executor(help: Any) -> Iterator[Any]:
    """One that hangs up on silence before its workers' measurements may last."""
    with help.local(slots=1, preload=("planted_entries:preload_judging",), silence_s=2.0, grace_s=1.0) as made:
        yield made


def test_a_converter_that_hangs_ends_it_as_unconvertible(executor: Any, help: Any, make_work: Any) -> None:
    executor.start(make_work("judged", judge=EAGER))
    pid = next(iter(executor._runs.values())).child.pid
    [end] = help.drive(executor)
    assert (end.outcome, end.result) == (Outcome.UNCONVERTIBLE, None)
    assert end.message == "the model can't be given as tflite:int8: it wasn't written and run within 3 s"
    assert not help.alive(pid)
    # Its slot is free, and others aren't held for slow because of it.
    executor.start(make_work("train", trial="next"))
    assert help.ends(help.drive(executor))["next"].outcome is Outcome.COMPLETED


@pytest.mark.parametrize(("how", "outcome", "why"), [
    ("deadline", Outcome.COMPLETED, "still running 1 s after its deadline"), ("stop", Outcome.PRUNED, "stopped"),
])
def test_what_was_trained_counts_where_the_time_for_measuring_ends_early(
    how: str, outcome: Outcome, why: str, executor: Any, help: Any, make_work: Any
) -> None:
    work = make_work("judged", judge=EAGER)
    work.workdir.mkdir(parents=True)
    os.mkfifo(work.workdir / "begun")
    begun = os.open(work.workdir / "begun", os.O_RDONLY | os.O_NONBLOCK)
    executor.start(dataclasses.replace(work, deadline=time.monotonic() + 1.0) if how == "deadline" else work)
    assert select.select([begun], [], [], 30.0)[0], "the measurement hasn't begun"
    if how == "stop":
        executor.stop("t")
    os.close(begun)
    [end] = help.drive(executor)
    assert (end.outcome, end.message) == (outcome, f"it wasn't measured as tflite:int8: {why}")
    assert end.result is not None
    assert (end.result.usable, end.result.score, end.result.artifact) == (True, 0.03, None)


def test_a_converter_that_crashes_is_given_up_at_the_third_attempt(executor: Any, help: Any, make_work: Any) -> None:
    ended = []
    for attempt in (1, 2, 3):
        executor.start(make_work("judged", params={"fault": "crash"}, judge=EAGER, attempt=attempt))
        ended += help.drive(executor)
    assert [end.outcome for end in ended] == [Outcome.LOST, Outcome.LOST, Outcome.UNCONVERTIBLE]
    assert "SIGSEGV" in ended[0].message
    assert "the process was ended 2 times while the model was written as tflite:int8" in ended[2].message
