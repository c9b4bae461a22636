"""Rungs are kept behind the guard; what fails leaves the candidate as it is and says so."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any

import numpy as np
import pytest

from automl.catalog import techniques
from automl.compression import ladder, magnitude
from automl.execution import children
from automl.export import candidate, keras_file, tflite, verify
from automl.spec import AutoMLError, Internal
from automl.spec.event import Compressed, Noted
from tests.unit.export import planted


class Child:
    """Stands for the child process: gives prepared answers, keeps the requests."""

    def __init__(self, *answers: dict[str, Any] | AutoMLError):
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def __call__(self, *, target: str, request: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert target == "automl.compression.magnitude:prune"
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, AutoMLError):
            raise answer
        return answer


def answer(before: float, after: float, sparsity: float = 0.5) -> dict[str, Any]:
    return {"before": before, "after": after, "sparsity": sparsity, "steps": 100}


def climbed(
    model: planted.Planted, out: pathlib.Path, child: Any, metric: str = "accuracy", **more: Any
) -> tuple[pathlib.Path, list[Any]]:
    events: list[Any] = []
    given = {"tolerance": 0.02, "deadline": None, **more}
    best = ladder.compress(
        model.candidate, model.data, metric=metric, out=out, run_in_child=child, emit=events.append, **given
    )
    return best, events


def test_each_rung_goes_on_from_the_last_and_is_compared_with_the_original(
    table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    child = Child(answer(0.90, 0.895), answer(0.895, 0.891, 0.75))
    best, events = climbed(table, tmp_path, child)
    assert best == tmp_path / "pruned-75"
    assert [r["candidate"] for r in child.requests] == [str(table.candidate), str(tmp_path / "pruned-50")]
    assert [r["sparsity"] for r in child.requests] == [0.5, 0.75]
    assert [
        (e.accepted, e.validation_before, e.validation_after) for e in events
    ] == [(True, 0.90, 0.895), (True, 0.90, 0.891)]


def test_a_rung_that_costs_more_than_half_the_tolerance_is_refused(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    best, events = climbed(table, tmp_path, Child(answer(0.90, 0.89), answer(0.89, 0.885)))
    assert best == tmp_path / "pruned-50"
    assert [e.accepted for e in events] == [True, False]
    assert "would lose 0.0150" in events[1].reason


def test_errors_are_guarded_relative_to_their_size(numbers: planted.Planted, tmp_path: pathlib.Path) -> None:
    best, events = climbed(numbers, tmp_path, Child(answer(1000.0, 1009.0), answer(1009.0, 1011.0)), metric="rmse")
    assert best == tmp_path / "pruned-50"
    assert [e.accepted for e in events] == [True, False]


def test_a_failure_leaves_the_candidate_and_gives_the_reason(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    best, events = climbed(table, tmp_path, Child(Internal("the process was ended by SIGSEGV")))
    assert best == table.candidate
    (event,) = events
    assert isinstance(event, Compressed)
    assert not event.accepted
    assert event.reason == "the process was ended by SIGSEGV"


def test_without_time_nothing_is_tried(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    child = Child()
    best, events = climbed(table, tmp_path, child, deadline=time.monotonic() + 5)
    assert best == table.candidate
    assert [type(e) for e in events] == [Noted]


def test_what_the_user_forbids_is_not_tried(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    assert climbed(table, tmp_path, Child(), forbidden={"magnitude-pruning"}) == (table.candidate, [])


@pytest.fixture(scope="module")
def pruned(pictures: planted.Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[Any]]:
    """Pruned in a real child, to the sparsity that its recipe names."""
    import shutil

    folder = tmp_path_factory.mktemp("pruned")
    shutil.copytree(pictures.candidate, folder / "candidate")
    recipe = json.loads((folder / "candidate" / "recipe.json").read_text())
    recipe["techniques"] = [{"id": "magnitude-pruning", "params": {"sparsity": 0.6}}]
    (folder / "candidate" / "recipe.json").write_text(json.dumps(recipe))
    planted_again = planted.Planted(pictures.data, folder / "candidate")
    return climbed(planted_again, folder / "out", children.run_in_child)


def test_a_pruned_candidate_is_whole_and_as_sparse_as_asked(
    pictures: planted.Planted, pruned: tuple[pathlib.Path, list[Any]]
) -> None:
    best, events = pruned
    assert [(e.accepted, e.reason) for e in events] == [(True, "")]
    made = candidate.Candidate(best)
    original = candidate.Candidate(pictures.candidate)
    kernels = [layer.kernel for layer in made.model.layers if type(layer).__name__ in magnitude.PRUNED_LAYERS]
    large = [np.asarray(k) for k in kernels if np.prod(k.shape) >= magnitude.SMALLEST_KERNEL]
    small = [np.asarray(k) for k in kernels if np.prod(k.shape) < magnitude.SMALLEST_KERNEL]
    assert large
    assert all((k == 0).mean() == pytest.approx(0.6, abs=0.02) for k in large)
    assert all((k != 0).all() for k in small)
    assert keras_file.sparsity(made.model) == pytest.approx(events[0].sparsity)
    assert keras_file.sparsity(original.model) == 0
    assert made.recipe.params_of("magnitude-pruning") == {"sparsity": 0.6}
    assert made.result["recipe"] == made.recipe.identity
    assert made.result["validation"]["accuracy"] == events[0].validation_after
    assert made.preprocess == original.preprocess
    np.testing.assert_allclose(
        np.load(best / "validation.npy"), verify.model_outputs(made, pictures.data.inputs("validation")), atol=1e-5
    )


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_zeros_reach_the_artifacts_own_weights(
    pictures: planted.Planted, pruned: tuple[pathlib.Path, list[Any]], precision: str
) -> None:
    made = candidate.Candidate(pruned[0])
    rows = {"image": np.asarray(pictures.data.inputs("train")["image"][:50])}
    weights = tflite.weight_arrays(tflite.convert(made.model, precision, rows))
    zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights)
    assert zeros >= pruned[1][0].sparsity - 0.03


def test_the_techniques_are_declared_for_listing() -> None:
    assert techniques["magnitude-pruning"].stage == techniques["quantization-ptq"].stage == "compress"


def test_a_model_of_vectors_alone_is_not_pruned(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    request = {
        "candidate": str(texts.candidate), "prepared": str(texts.data.path), "out": str(tmp_path), "sparsity": 0.5,
        "metric": "accuracy", "epochs": 1, "time_s": 30.0, "seed": 1,
    }
    with pytest.raises(magnitude.NothingToPrune, match="of the weights"):
        magnitude.prune(request)
