"""`--rank-by artifact`: what wins is the best file, its measuring is bounded, and a restart knows what was measured."""

from __future__ import annotations

import pathlib
from typing import get_args

import pytest

from automl.catalog import precisions, validation
from automl.execution.executor import Judge
from automl.search import judging, selection
from automl.spec import (
    ArtifactPoint,
    Choice,
    Constraints,
    DatasetInfo,
    Fidelity,
    FormatRequest,
    Modality,
    Outcome,
    Recipe,
    SearchSettings,
    Trial,
)
from automl.spec.event import TrialEnded
from automl.spec.job import Precision
from automl.training.result import TrainResult
from tests.unit.search.fakes import Theatre, World, fold, spec

BY_ARTIFACT = SearchSettings(strategy="random", rank_by="artifact")


def job(folder: pathlib.Path, spoiled: str = "", **changes: object) -> Theatre:
    """A job in which the file of one recipe loses far more than recipes differ by."""
    world = World(
        setup_s=4.0, epoch_s=lambda work: 1.0, judged_s=1.2,
        file=lambda recipe: (0.5 if recipe.identity == spoiled else 0.01, 40_000),
    )
    return Theatre(folder, spec=spec(wall_s=500.0, search=BY_ARTIFACT, **changes), world=world)


def test_the_best_file_wins_at_a_bounded_cost(tmp_path: pathlib.Path) -> None:
    usual = fold(job(tmp_path / "usual").run()).finished
    assert usual is not None
    assert usual.recipe is not None
    state = fold(job(tmp_path / "spoiled", spoiled=usual.recipe.identity).run())
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    trials = [t for t in state.trials.values() if t.usable and t.origin != "final"]
    measured = [t for t in trials if t.artifact is not None]
    assert len(measured) >= 3
    assert judging.share_spent(trials) <= 0.15
    spoiled = next(t for t in measured if t.recipe.identity == usual.recipe.identity)
    for t in measured:
        assert t.score == pytest.approx(max(m.score for m in t.measurements) - (0.5 if t is spoiled else 0.01))
    winner = selection.ranking(trials, limits=Constraints())[0].best
    assert winner is not spoiled
    assert state.finished.recipe is not None
    assert state.finished.recipe.identity == winner.recipe.identity
    assert any("were measured as tflite:float32" in n.message for n in state.notes)


@pytest.mark.parametrize("stop_after", [30, 90])
def test_a_restart_knows_what_was_measured(tmp_path: pathlib.Path, stop_after: int) -> None:
    stage = job(tmp_path)
    before = stage.run(stop_after=stop_after)
    points = {e.payload.trial: e.payload.artifact for e in before if isinstance(e.payload, TrialEnded)}
    state = fold(stage.run(before))
    assert {id: state.trials[id].artifact for id in points} == points
    assert judging.share_spent(state.trials.values()) <= 0.15
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"


def test_without_the_wish_nothing_is_measured(tmp_path: pathlib.Path) -> None:
    stage = Theatre(tmp_path, spec=spec(wall_s=120.0))
    state = fold(stage.run())
    assert all(work.judge is None for work in stage.executor.started)
    assert not any("measured as" in n.message for n in state.notes)


def test_it_needs_a_tflite_file_to_rank_by() -> None:
    wanted = spec(search=BY_ARTIFACT).changed(formats=(FormatRequest(format="saved-model"),))
    info = DatasetInfo(modality=Modality.TABLE, format="csv", rows=100, columns=())
    assert "search.rank_by" in [v.field for v in validation.violations(wanted, info)]


@pytest.mark.parametrize(("formats", "precision"), [
    ("tflite:float32 tflite:int8 onnx", "int8"), ("mobile:int8", "int8"), ("microcontroller:int8", "int8"),
    ("tflite:int16x8", "int16x8"), ("tflite:int16x8 mobile:float16", "float16"), ("onnx:int8 saved-model", None),
    ("onnx:int8 tflite:dynamic", "dynamic"),
])
def test_any_format_whose_model_is_a_tflite_file_can_be_ranked_by(formats: str, precision: str | None) -> None:
    asked = tuple(FormatRequest.parse(text) for text in formats.split())
    info = DatasetInfo(modality=Modality.TABLE, format="csv", rows=100, columns=())
    faults = [v.field for v in validation.violations(spec(search=BY_ARTIFACT).changed(formats=asked), info)]
    assert judging.precision(asked) == precision
    assert ("search.rank_by" in faults) == (precision is None)


def test_every_precision_has_its_place_among_the_narrow_ones() -> None:
    assert sorted(precisions.NARROWEST) == sorted(get_args(Precision))


def trial(id: str, score: float, file: tuple[float, int] | None = None, family: str = "mlp", wall_s: float = 20.0) -> Trial:
    recipe = Recipe(task="tabular-classification", architecture=Choice(id=family), seed=int(id))
    point = None if file is None else ArtifactPoint(
        precision="int8", value=0.8 - file[0], float_value=0.8, rows=300, size_bytes=file[1], latency_ms=0.2, wall_s=2.0,
    )
    # Different batches keep the trials from being taken for one recipe under several seeds.
    return Trial(
        id=id, recipe=recipe.changed(batch_size=16 * (1 + int(id))), fidelity=Fidelity(epochs=3), origin="tpe",
        outcome=Outcome.COMPLETED, best_epoch=1, score=score, parameters=1000, size_bytes=4000, artifact=point,
        wall_s=wall_s,
    )


def test_files_within_the_limits_come_first_and_of_alike_ones_the_smaller() -> None:
    trials = [
        trial("1", 0.90, (0.0, 90_000)), trial("2", 0.8502, (0.0, 40_000)), trial("3", 0.8501, (0.0, 30_000)),
        trial("4", 0.80, (0.0, 10_000)),
    ]
    ranked = [c.best.id for c in selection.ranking(trials, limits=Constraints(max_size_bytes=50_000))]
    assert ranked == ["3", "2", "4", "1"]


def test_what_was_not_measured_is_taken_to_lose_as_much_as_its_family() -> None:
    judge = judging.Judging("int8", "accuracy", 0)
    trials = [trial("1", 0.8, (0.02, 1)), trial("2", 0.8, (0.04, 1)), trial("3", 0.8, (0.30, 1), family="tabm")]
    recipe = trials[0].recipe

    def result(artifact: ArtifactPoint | None) -> TrainResult:
        return TrainResult(
            outcome=Outcome.COMPLETED, recipe="r", part="train", metric="accuracy", fidelity=Fidelity(epochs=3),
            epochs_done=3, best_epoch=3, score=0.9, artifact=artifact,
        )

    assert judge.score(result(None), recipe, trials) == pytest.approx(0.87)
    assert judge.score(result(None), recipe.changed(architecture=Choice(id="wide")), trials) == pytest.approx(0.78)
    assert judge.score(result(trials[2].artifact), recipe, trials) == pytest.approx(0.6)
    assert judge.score(result(None), recipe, []) == pytest.approx(0.9)


def test_what_would_be_the_best_has_the_first_claim_on_the_time() -> None:
    judge = Judge(precision="int8", seed=0, bar=0.8, needed_s=3.0, share=0.1, allowed_s=1.0)
    assert judge.wants(0.81, wall_s=20.0, left_s=60.0)
    assert not judge.wants(0.79, wall_s=20.0, left_s=60.0)
    assert judge.wants(0.79, wall_s=50.0, left_s=60.0)
    assert not judge.wants(0.81, wall_s=19.0, left_s=60.0)
    assert not judge.wants(0.81, wall_s=50.0, left_s=2.0)


def test_the_allowance_is_a_share_of_what_the_trials_took() -> None:
    judge = judging.Judging("int8", "accuracy", 0)
    assert judge.order([], None).allowed_s == 0.0
    order = judge.order([trial("1", 0.8, (0.0, 1), wall_s=52.0), trial("2", 0.8, wall_s=50.0)], 0.8)
    assert order.needed_s == pytest.approx(2.0)
    assert order.allowed_s == pytest.approx(0.12 * 100 - 2)


def test_a_running_trial_has_its_measurement_promised() -> None:
    running = trial("3", 0.7).model_copy(update={"outcome": None})
    known = [trial("1", 0.8, (0.0, 1), wall_s=102.0), running]
    assert judging.Judging("int8", "accuracy", 0).order(known, 0.8).allowed_s == pytest.approx(0.12 * 100 - 2 - 2)
