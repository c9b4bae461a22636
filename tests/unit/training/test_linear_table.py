"""Linear models of tables under the trainer's contract, and what is delivered against scikit-learn's own predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.data.encoder import TableEncoder
from automl.spec import Choice, Fidelity, Recipe
from automl.training import linear_table, prediction, trainer


def recipe(case: Any, **params: Any) -> Recipe:
    return Recipe(
        task=case.recipe.task, architecture=Choice(id="linear", params=params),
        techniques=(Choice(id="standardization"),), epochs=len(linear_table.STRENGTHS), seed=7,
    )


def fit(case: Any, workdir: Path, made: Recipe, **more: Any) -> Any:
    return trainer.train(
        made, case.data, fidelity=Fidelity(epochs=made.epochs), metric=case.metric, workdir=workdir,
        on_epoch=lambda m: True, **more,
    )


def encoded(case: Any, workdir: Path, part: str) -> Any:
    preprocess = json.loads((workdir / "preprocess.json").read_text(encoding="utf-8"))
    return TableEncoder.from_dict(preprocess).transform(case.data.inputs(part))


def one_hot(inputs: Any, cardinalities: list[int]) -> np.ndarray:
    return np.concatenate(
        [inputs["numeric"], *(np.eye(n)[inputs["categorical"][:, i]] for i, n in enumerate(cardinalities))], axis=1
    )


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_delivered_network_is_scikit_learns_model(
    kind: str, request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the levels of categories at 0 what is left is one-hot regression."""
    from sklearn.linear_model import LogisticRegression, Ridge

    levels = linear_table.boosting.fit_levels

    def nothing(codes: Any, *given: Any) -> Any:
        found, own = levels(codes, *given)
        found.table[:] = 0
        return found, np.zeros_like(own)

    monkeypatch.setattr(linear_table.boosting, "fit_levels", nothing)
    case = request.getfixturevalue(kind)
    found = fit(case, tmp_path, recipe(case))
    strength = linear_table.STRENGTHS[found.best_epoch - 1]
    preprocess = json.loads((tmp_path / "preprocess.json").read_text(encoding="utf-8"))
    cards = preprocess["cardinalities"]
    x, held = (one_hot(encoded(case, tmp_path, part), cards) for part in ("train", "validation"))
    y = np.asarray(case.data.target("train"))
    meta = case.data.meta
    if kind == "classification":
        expected = LogisticRegression(C=strength, max_iter=5000, tol=1e-6).fit(x, y).predict_proba(held)
    else:
        y = (y.reshape(-1) - meta.target_mean) / meta.target_std
        expected = Ridge(1 / strength).fit(x, y).predict(held)[:, None] * meta.target_std + meta.target_mean
        expected = np.clip(expected, meta.target_min, meta.target_max)
    given = prediction.predict(tmp_path, encoded(case, tmp_path, "validation"))
    np.testing.assert_allclose(given, expected, atol=5e-3, rtol=5e-3)
    np.testing.assert_allclose(np.load(tmp_path / "validation.npy"), given, rtol=1e-4, atol=1e-4)


def test_places_between_quantiles_bend_a_line(regression: Any, tmp_path: Path) -> None:
    """y = |x| has no linear part, and an additive model of places follows it."""
    case, meta = regression, regression.data.meta
    x = np.nan_to_num(np.asarray(case.data.inputs("train+validation")["numeric"][:, 0], np.float64))
    bent = np.abs(x - np.median(x))
    scaled = meta.target_mean + 0.5 * meta.target_std * (bent - bent.mean()) / bent.std()
    np.save(case.path / "target.npy", scaled.astype(np.float32))
    straight = fit(case, tmp_path / "straight", recipe(case))
    places = fit(case, tmp_path / "places", recipe(case, bins=8))
    assert places.validation["r2"] > straight.validation["r2"] + 0.3


def test_an_integer_artifact_loses_nothing(classification: Any, tmp_path: Path) -> None:
    from automl.export import tflite

    fit(classification, tmp_path, recipe(classification, bins=4))
    model = prediction.load(tmp_path / "model.keras")
    rows = encoded(classification, tmp_path, "validation")
    expected = prediction.predict(model, rows)
    for precision in ("float16", "dynamic", "int8"):
        content = tflite.convert(model, precision, rows if precision == "int8" else None)
        given = tflite.TFLitePredictor(content, 1).predict(rows)
        # 1/256 is a step of the probabilities in an int8 file, whose logits have steps of their range / 256, too.
        np.testing.assert_allclose(given, expected, atol=1 / 50 if precision == "int8" else 2e-3)


def test_columns_of_many_categories_have_their_mean_targets_alone(classification: Any) -> None:
    import keras

    from automl.architectures import linear

    inputs = {"categorical": keras.Input((2,), dtype="int32", name="categorical")}
    profile, preprocess = classification.data.meta.profile, {"cardinalities": [5, 40]}
    widths = {
        limit: linear.columns(inputs, profile, preprocess, {}, bins=0, one_hot_limit=limit).shape[-1] for limit in (8, 128)
    }
    assert widths == {8: 5 + 2, 128: 5 + 40 + 2}
