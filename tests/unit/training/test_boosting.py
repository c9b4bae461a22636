"""Boosted trees under the trainer's contract, and what is delivered against scikit-learn's own predictions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.catalog import space
from automl.data.encoder import TableEncoder
from automl.search import bagging
from automl.spec import Choice, Fidelity, Outcome, Recipe, SearchSettings
from automl.training import boosting, ensemble, prediction, trainer

EPOCHS = 5
PARAMS = {"rounds": 50, "leaves": 8, "leaf_rows": 5, "learning_rate": 0.2}


def recipe(case: Any, **params: Any) -> Recipe:
    return Recipe(
        task=case.recipe.task, architecture=Choice(id="boosted-trees", params=PARAMS | params),
        techniques=(Choice(id="quantile-scaling"),), epochs=EPOCHS, seed=7,
    )


def fit(case: Any, workdir: Path, *, epochs: int = EPOCHS, on_epoch: Any = lambda m: True, made: Recipe | None = None,
        **more: Any) -> Any:
    return trainer.train(
        made or recipe(case), case.data, fidelity=Fidelity(epochs=epochs), metric=case.metric, workdir=workdir,
        on_epoch=on_epoch, **more,
    )


def delivered(case: Any, workdir: Path, part: str = "validation") -> np.ndarray:
    preprocess = json.loads((workdir / "preprocess.json").read_text(encoding="utf-8"))
    return prediction.predict(workdir, TableEncoder.from_dict(preprocess).transform(case.data.inputs(part)))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_delivered_network_is_scikit_learns_model(kind: str, request: Any, tmp_path: Path, monkeypatch: Any) -> None:
    case = request.getfixturevalue(kind)
    fitted = {}
    model = boosting.Forest.core

    def kept(self: Any) -> Any:
        fitted["forest"] = self
        return model(self)

    monkeypatch.setattr(boosting.Forest, "core", kept)
    found = fit(case, tmp_path)
    forest = fitted["forest"]
    rounds = forest.rounds(found.best_epoch)
    own = type(forest.estimator)(**{**forest.estimator.get_params(), "max_iter": rounds, "warm_start": False})
    own.fit(forest.x, forest.y)
    expected = own.predict_proba(forest.validation) if kind == "classification" else own.predict(forest.validation)[:, None]
    if kind == "regression":
        meta = case.data.meta
        expected = np.clip(expected * meta.target_std + meta.target_mean, meta.target_min, meta.target_max)
    np.testing.assert_allclose(delivered(case, tmp_path), expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(np.load(tmp_path / "validation.npy"), delivered(case, tmp_path), rtol=1e-4, atol=1e-4)
    assert found.score > (0.85 if kind == "classification" else 0.8)


def test_an_integer_artifact_loses_nothing_in_the_trees(classification: Any, tmp_path: Path) -> None:
    from automl.export import tflite

    fit(classification, tmp_path)
    model = prediction.load(tmp_path / "model.keras")
    preprocess = json.loads((tmp_path / "preprocess.json").read_text(encoding="utf-8"))
    rows = TableEncoder.from_dict(preprocess).transform(classification.data.inputs("validation"))
    expected = prediction.predict(model, rows)
    for precision in ("float16", "dynamic", "int8"):
        content = tflite.convert(model, precision, rows if precision == "int8" else None)
        given = tflite.TFLitePredictor(content, 1).predict(rows)
        # 1/256 is a step of the probabilities in an int8 file.
        np.testing.assert_allclose(given, expected, atol=1 / 128 if precision == "int8" else 1e-3)


def test_an_integer_artifact_of_an_ensemble_loses_nothing_in_the_trees(classification: Any, tmp_path: Path) -> None:
    from automl.export import tflite

    made = [recipe(classification).model_copy(update={"fold": f"{k}/5", "seed": k}) for k in range(2)]
    for k, member in enumerate(made):
        fit(classification, tmp_path / str(k), made=member, part=member.part)
    ensemble.blend({
        "members": [str(tmp_path / str(k)) for k in range(2)], "prepared": str(classification.path),
        "metric": classification.metric, "out": str(tmp_path / "out"), "recipe": bagging.ensemble(made).to_dict(),
    })
    model = prediction.load(tmp_path / "out" / "model.keras")
    preprocess = json.loads((tmp_path / "out" / "preprocess.json").read_text(encoding="utf-8"))
    rows = TableEncoder.from_dict(preprocess).transform(classification.data.inputs("validation"))
    given = tflite.TFLitePredictor(tflite.convert(model, "int8", rows), 1).predict(rows)
    np.testing.assert_allclose(given, prediction.predict(model, rows), atol=1 / 64)


def test_every_epoch_is_reported_and_a_promotion_reports_the_further_ones(classification: Any, tmp_path: Path) -> None:
    seen: list[Any] = []
    first = fit(classification, tmp_path / "a", epochs=2, on_epoch=lambda m: seen.append(m) or True)
    assert [m.epoch for m in seen] == [1, 2]
    more: list[Any] = []
    second = fit(
        classification, tmp_path / "b", on_epoch=lambda m: more.append(m) or True, continue_from=tmp_path / "a"
    )
    assert [m.epoch for m in more] == [3, 4, 5][: len(more)]
    assert more
    assert (first.epochs_done, second.resumed_epoch) == (2, 2)
    alone: list[Any] = []
    whole = fit(classification, tmp_path / "c", on_epoch=lambda m: alone.append(m) or True)
    assert [m.score for m in seen + more] == [m.score for m in alone]
    assert whole.score == second.score
    np.testing.assert_array_equal(np.load(tmp_path / "b/validation.npy"), np.load(tmp_path / "c/validation.npy"))
    times = [m.elapsed_s for m in alone]
    assert times == sorted(times)


def test_a_stop_and_a_deadline_keep_what_is_best(classification: Any, tmp_path: Path) -> None:
    stopped = fit(classification, tmp_path / "a", on_epoch=lambda m: m.epoch < 2)
    assert (stopped.outcome, stopped.epochs_done, stopped.usable) == (Outcome.PRUNED, 2, True)
    late = fit(classification, tmp_path / "b", deadline=time.monotonic())
    assert (late.outcome, late.epochs_done, late.usable) == (Outcome.PRUNED, 1, True)
    told = fit(classification, tmp_path / "c", should_stop=lambda: True)
    assert (told.outcome, told.usable) == (Outcome.PRUNED, True)


def test_a_final_fit_has_the_best_rounds_of_the_trial(classification: Any, tmp_path: Path) -> None:
    trial = fit(classification, tmp_path / "a")
    final = fit(
        classification, tmp_path / "b", part="train+validation", continue_from=tmp_path / "a", epochs=1,
    )
    assert final.validation_seen
    assert final.best_epoch == trial.best_epoch
    assert final.score >= trial.score


def test_a_fold_is_validated_on_itself(classification: Any, tmp_path: Path) -> None:
    made = recipe(classification).model_copy(update={"fold": "1/5"})
    found = fit(classification, tmp_path, made=made, part=made.part)
    assert found.part == "fold:1/5"
    assert len(np.load(tmp_path / "validation.npy")) == len(classification.data.target("held:1/5"))


def test_a_row_of_a_rare_category_is_not_told_its_own_target() -> None:
    """A column with a category for each row: encoded by means with the row itself it would be the target."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300).astype(np.int32)
    codes = np.arange(300, dtype=np.int32)[:, None]
    profile = classification_profile(300)
    levels, own = boosting.fit_levels(codes, y, [300], profile, seed=1)
    assert abs(np.corrcoef(own[:, 0], y)[0, 1]) < 0.3
    assert np.corrcoef(levels.of(codes)[:, 0], y)[0, 1] > 0.9


def test_categories_stand_in_the_order_of_their_mean_targets() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (4000, 1)).astype(np.int32)
    y = (rng.random(4000) < np.array([0.7, 0.1, 0.9, 0.4])[codes[:, 0]]).astype(np.int32)
    levels, own = boosting.fit_levels(codes, y, [4], classification_profile(4000), seed=1)
    assert np.argsort(levels.table[:, 0]).tolist() == [1, 3, 0, 2]
    assert np.corrcoef(own[:, 0], levels.of(codes)[:, 0])[0, 1] > 0.99


def classification_profile(rows: int) -> Any:
    from automl.spec import Profile

    return Profile(modality="table", task="tabular-classification", rows=rows, classes=2, outputs=2, categorical=1)


def test_steps_round_up_so_that_whole_thresholds_decide_alike() -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    rounded = boosting._steps(x)
    for t in (-3000, 0, 7):
        np.testing.assert_array_equal(rounded > t, x * np.float32(4096) > t)


def test_no_technique_of_gradient_steps_stands_in_a_recipe_of_trees(classification: Any) -> None:
    profile = classification.data.meta.profile
    derived = space.derive(profile.task, profile, SearchSettings(force=("boosted-trees",)))
    made = derived.recipe(derived.default(), 1)
    assert [c.id for c in made.techniques] == ["standardization"]
    assert "boosted-trees lacks training by gradient steps" in space.derive(
        profile.task, profile, SearchSettings(force=("mixup",))
    ).excluded["boosted-trees"]
