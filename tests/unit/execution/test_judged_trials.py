"""A trial that is judged by its file: the bytes are written and run at its end; a converter that fails or crashes ends it as
UNCONVERTIBLE."""

from __future__ import annotations

import dataclasses
import pathlib
import time
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

SAID = SimpleNamespace(epoch=lambda measurement: True, beat=lambda: None, should_stop=lambda: False)
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
    (work.workdir / "converting").write_text("1")
    assert train(work).artifact is not None
    (work.workdir / "converting").write_text("2")
    with pytest.raises(worker.Unconvertible, match="ended 2 times"):
        train(work)
