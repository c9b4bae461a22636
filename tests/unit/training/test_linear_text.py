"""Linear models of texts under the trainer's contract, and what is delivered against scikit-learn's own tf-idf."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.data.prepare import prepare
from automl.data.prepared import PreparedDataset
from automl.data.source import Source
from automl.data.text_encoder import TextEncoder
from automl.spec import Choice, ColumnKind, DataSettings, Fidelity, JobSpec, Outcome, Recipe
from automl.training import linear_text, prediction, trainer

GOOD, BAD = ("fine", "splendid", "lovely", "charming"), ("awful", "dreary", "dull", "tedious")
OTHER = ("film", "story", "actor", "music", "scene", "ending", "plot", "cast", "script", "tale")


def write_reviews(path: Path, labels: int, rows: int = 500) -> Path:
    """Reviews whose opinion turns on a word or two; with three labels the third has words of both."""
    rng = np.random.default_rng(5)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            label = int(rng.integers(labels))
            telling = [rng.choice(GOOD if label == 0 else BAD)] if label < 2 else [rng.choice(GOOD), rng.choice(BAD)]
            noise = [rng.choice(GOOD + BAD)] if rng.random() < 0.2 else []
            words = [*telling, *noise, *rng.choice(OTHER, 6), f"n{number}"]
            writer.writerow([" ".join(rng.permutation(words)), ("good", "bad", "mixed")[label]])
    return path


def prepared(folder: Path, labels: int = 2) -> PreparedDataset:
    settings = DataSettings(target="label", test_fraction=0.2, kinds={"text": ColumnKind.TEXT})
    spec = JobSpec(dataset="d", data=settings, metric="accuracy")
    return prepare(spec, "text-classification", Source(write_reviews(folder / "reviews.csv", labels)), None, folder / "data")


def recipe(**params: Any) -> Recipe:
    return Recipe(
        task="text-classification", architecture=Choice(id="text-linear", params={"pairs": 2_048} | params), epochs=4, seed=7
    )


def fit(data: PreparedDataset, workdir: Path, *, epochs: int = 4, made: Recipe | None = None, **more: Any) -> Any:
    return trainer.train(
        made or recipe(), data, fidelity=Fidelity(epochs=epochs), metric="accuracy", workdir=workdir,
        **{"on_epoch": lambda m: True, **more},
    )


def delivered(workdir: Path, data: PreparedDataset, part: str = "validation") -> np.ndarray:
    encoder = TextEncoder(json.loads((workdir / "preprocess.json").read_text(encoding="utf-8")))
    return prediction.predict(workdir, encoder.transform(data.inputs(part)))


def texts(data: PreparedDataset, part: str) -> list[str]:
    """The rows' words by their codes, as a text."""
    return [" ".join(f"w{c}" for c in row if c > 2) for row in np.asarray(data.inputs(part)["tokens"])]


@pytest.mark.parametrize("labels", [2, 3])
def test_the_delivered_network_is_logistic_regression_on_tf_idf(labels: int, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    data = prepared(tmp_path, labels)
    words_alone = recipe(ngrams=0, pairs=0)
    found = fit(data, tmp_path / "work", made=words_alone)
    strength = linear_text.STRENGTHS[found.best_epoch - 1]
    tfidf = TfidfVectorizer(binary=True)
    x, y = tfidf.fit_transform(texts(data, "train")), np.asarray(data.target("train"))
    own = OneVsRestClassifier(LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=1000)).fit(x, y)
    values = own.decision_function(tfidf.transform(texts(data, "validation")))
    logits = np.stack([-values / 2, values / 2], axis=1) if labels == 2 else values
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    given = delivered(tmp_path / "work", data)
    # Rarities are rounded to 1/16 and weights to 8 bits.
    np.testing.assert_allclose(given, expected, atol=0.05)
    assert np.mean(given.argmax(axis=1) == expected.argmax(axis=1)) > 0.97
    np.testing.assert_allclose(np.load(tmp_path / "work/validation.npy"), given, rtol=1e-4, atol=1e-4)
    assert found.score > 0.8
    assert found.outcome == Outcome.COMPLETED


@pytest.mark.parametrize(("labels", "precisions"), [
    (2, ("float32", "int8")), pytest.param(2, ("float16", "dynamic"), marks=pytest.mark.slow),
    pytest.param(3, ("float32", "float16", "dynamic", "int8"), marks=pytest.mark.slow),
])
def test_every_precision_gives_the_same_answers(labels: int, precisions: tuple[str, ...], tmp_path: Path) -> None:
    from automl.export import tflite

    data = prepared(tmp_path, labels)
    found = fit(data, tmp_path / "work")
    model = prediction.load(tmp_path / "work/model.keras")
    rows = {name: np.asarray(v) for name, v in data.inputs("validation").items()}
    expected = prediction.predict(model, rows)
    for precision in precisions:
        content = tflite.convert(model, precision, rows if precision == "int8" else None)
        given = tflite.TFLitePredictor(content, 1).predict(rows)
        # 1/256 is a step of the probabilities in an int8 file.
        np.testing.assert_allclose(given, expected, atol=1 / 64 if precision == "int8" else 1e-3)
        assert len(content) < found.parameters + 30_000


def test_epochs_walk_from_a_strong_penalty_to_a_weak_one(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    seen = []
    made = recipe().changed(epochs=8)
    fit(data, tmp_path / "work", epochs=4, made=made, on_epoch=lambda m: not seen.append(m) or True)  # type: ignore[func-returns-value]
    assert [m.epoch for m in seen] == [1, 2, 3, 4]
    assert seen[0].validation == seen[1].validation
    assert seen[0].validation["log-loss"] != seen[2].validation["log-loss"] == seen[3].validation["log-loss"]
    fit(data, tmp_path / "work", epochs=8, made=made, on_epoch=lambda m: not seen.append(m) or True)  # type: ignore[func-returns-value]
    assert [m.epoch for m in seen] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_class_without_rows_is_refused(tmp_path: Path) -> None:
    from automl.spec import InvalidInput

    prepared(tmp_path)
    np.save(tmp_path / "data/target.npy", np.zeros_like(np.load(tmp_path / "data/target.npy")))
    with pytest.raises(InvalidInput, match="text-linear needs rows of every class"):
        fit(PreparedDataset.open(tmp_path / "data"), tmp_path / "work")
