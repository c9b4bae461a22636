"""Optimizers and losses in whole trainings: they learn, and the candidate is the plain model that others leave, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl.spec import Choice, Fidelity, InvalidInput, Outcome
from automl.training import prediction, result, trainer

TABM = Choice(id="tabm", params={"members": 4, "width": 64, "depth": 1})


def run(case: Any, recipe: Any, workdir: Path, **more: Any) -> result.TrainResult:
    more = {"fidelity": Fidelity(epochs=recipe.epochs), **more}
    return trainer.train(recipe, case.data, metric=case.metric, workdir=workdir, on_epoch=lambda m: True, **more)


def predicted(case: Any, work: Path) -> np.ndarray:
    from automl.data.encoder import TableEncoder

    preprocess = json.loads((work / "preprocess.json").read_text())
    return prediction.predict(work, TableEncoder.from_dict(preprocess).transform(case.data.inputs("validation")))


@pytest.mark.parametrize("family", ["mlp", "tabm"])
@pytest.mark.parametrize(
    "loss", [
        Choice(id="gaussian-nll"), Choice(id="evidential"), Choice(id="quantile"),
        Choice(id="custom-loss", params={"expression": "where(y > p, 1.1, 0.9) * huber(y - p, 10)"}),
    ], ids=lambda c: c.id,
)
def test_losses_of_numbers_learn_and_leave_a_plain_model(
    loss: Choice, family: str, regression: Any, make_recipe: Any, tmp_path: Path
) -> None:
    recipe = make_recipe("tabular-regression", loss, architecture=TABM if family == "tabm" else None, epochs=10)
    recipe = recipe.changed(techniques=tuple(c for c in recipe.techniques if c.id != "mse"))
    outcome = run(regression, recipe, tmp_path / "w")
    assert outcome.outcome is Outcome.COMPLETED
    assert outcome.score is not None
    assert outcome.score > 0.6
    model = keras.models.load_model(tmp_path / "w/model.keras")
    assert model.output_shape == (None, 1)
    assert "spread" not in [layer.name for layer in model.layers]
    np.testing.assert_allclose(
        predicted(regression, tmp_path / "w"), np.load(tmp_path / "w/validation.npy"), rtol=1e-4, atol=1e-3
    )


def test_a_high_quantile_lies_above_most_targets(regression: Any, make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("tabular-regression", Choice(id="quantile", params={"level": 0.9}), epochs=15)
    recipe = recipe.changed(techniques=tuple(c for c in recipe.techniques if c.id != "mse"))
    run(regression, recipe, tmp_path / "w")
    above = np.load(tmp_path / "w/validation.npy")[:, 0] >= regression.data.target("validation")
    assert 0.75 < above.mean() < 0.99


def test_counts_are_refused_where_the_target_has_none(regression: Any, make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("tabular-regression", Choice(id="poisson"))
    recipe = recipe.changed(techniques=tuple(c for c in recipe.techniques if c.id != "mse"))
    with pytest.raises(InvalidInput, match="least target"):
        run(regression, recipe, tmp_path / "w")


@pytest.mark.parametrize("loss", ["binary-cross-entropy", "custom-loss"])
def test_losses_of_classes_learn(loss: str, classification: Any, make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("tabular-classification", Choice(id=loss))
    recipe = recipe.changed(techniques=tuple(c for c in recipe.techniques if c.id != "cross-entropy"))
    outcome = run(classification, recipe, tmp_path / "w")
    assert outcome.score is not None
    assert outcome.score > 0.85


def with_optimizer(recipe: Any, *choices: Choice) -> Any:
    return recipe.changed(techniques=(*(c for c in recipe.techniques if c.id != "adam"), *choices))


@pytest.mark.parametrize(
    "choices",
    [
        (Choice(id="lamb", params={"learning_rate": 0.02}),), (Choice(id="lars"),),
        (Choice(id="radam", params={"learning_rate": 0.01}),), (Choice(id="ranger", params={"learning_rate": 0.02}),),
        (Choice(id="muon", params={"learning_rate": 0.01}),),
        (Choice(id="adamw", params={"learning_rate": 0.01}), Choice(id="lookahead"),
         Choice(id="ema"), Choice(id="gradient-clipping")),
    ],
    ids=lambda c: c[0].id,
)
def test_optimizers_learn_and_go_on_from_a_checkpoint(
    choices: tuple[Choice, ...], classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_S", 0.0)
    recipe = with_optimizer(classification.recipe, *choices).changed(epochs=8)
    whole = run(classification, recipe, tmp_path / "whole")
    assert whole.outcome is Outcome.COMPLETED
    assert whole.score is not None
    assert whole.score > 0.75
    run(classification, recipe, tmp_path / "parts", fidelity=Fidelity(epochs=3))
    parts = run(classification, recipe, tmp_path / "parts")
    assert parts.resumed_epoch == 3
    # What an optimizer remembers, slow weights included, is part of a checkpoint.
    assert [m.train_loss for m in parts.measurements] == [m.train_loss for m in whole.measurements]


def test_early_stopping_stops_and_brings_the_best_weights_back(classification: Any, tmp_path: Path) -> None:
    """At a rate that is too high the score goes up and down; what is kept scores as the best epoch did."""
    recipe = with_optimizer(
        classification.recipe, Choice(id="adam", params={"learning_rate": 0.02}),
        Choice(id="early-stopping", params={"patience": 3}),
    ).changed(epochs=60)
    outcome = run(classification, recipe, tmp_path / "w")
    scores = [m.score for m in outcome.measurements]
    assert outcome.epochs_done < 60
    assert outcome.epochs_done - outcome.best_epoch == 3
    assert outcome.message == "no better score for 3 epochs"
    truth = classification.data.target("validation")
    kept = np.mean(predicted(classification, tmp_path / "w").argmax(1) == truth)
    assert kept == pytest.approx(max(scores), abs=1e-6)
