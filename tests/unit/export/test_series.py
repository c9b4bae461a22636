"""Series from a file to proven artifacts and back: prepared, trained for a moment, delivered, predicted by the client."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl.data import prepare, source
from automl.export import companions, deliver, run
from automl.spec import Artifact, Choice, Constraints, DataSettings, Fidelity, FormatRequest, JobSpec, Recipe
from automl.training import trainer
from automl_client import Predictor
from tests.unit.export import planted
from tests.unit.export.planted import text_of, ts, waves

pytestmark = pytest.mark.xdist_group("series-files")

FORMATS = [FormatRequest.parse(text) for text in ("tflite:float32", "tflite:int8", "saved-model", "keras-file")]
RECIPE = Recipe(
    task="timeseries-classification", architecture=Choice(id="rocket", params={"dilations": 2, "features_each": 1}),
    techniques=tuple(
        Choice(id=id, params=params) for id, params in
        {"cross-entropy": {}, "adamw": {"learning_rate": 0.02}}.items()
    ),
    batch_size=16, epochs=6, seed=1,
)


def long(path: Path, values: list[np.ndarray]) -> Path:
    lines = ["run,step,a,b,label"]
    for i, one in enumerate(values):
        lines += [f"r{i},{t},{text_of(a)},{text_of(b)},{('slow', 'quick')[i % 2]}" for t, (a, b) in enumerate(one)]
    path.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    return path


def wide(path: Path, values: list[np.ndarray]) -> Path:
    longest = max(map(len, values))
    lines = [",".join([*(f"t{t}" for t in range(longest)), "label"])]
    for i, one in enumerate(values):
        cells = [*map(text_of, one[:, 0]), *[""] * (longest - len(one))]
        lines.append(",".join([*cells, ("slow", "quick")[i % 2]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def made(folder: Path, data: Path, formats: list[FormatRequest], **settings: Any) -> list[Path]:
    spec = JobSpec(dataset="d", data=DataSettings(**settings))
    prepared = prepare.prepare(spec, RECIPE.task, source.Source(data), None, folder / "prepared")
    trainer.train(
        RECIPE, prepared, fidelity=Fidelity(epochs=RECIPE.epochs), metric="accuracy", workdir=folder / "candidate",
        on_epoch=lambda measurement: True,
    )
    results = deliver.deliver(
        folder / "candidate", prepared, formats=formats, constraints=Constraints(), tolerance=0.1, metric="accuracy",
        out=folder / "artifacts", run_in_child=planted.run_here, deadline=None, emit=lambda event: None,
    )
    for result in results:
        assert isinstance(result, Artifact), result
        assert result.verification.float_value > 0.9
    return [folder / "artifacts" / result.filename for result in results]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("series")
    return made(folder, ts(folder / "waves.ts", waves()), FORMATS)


def predictions(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_ts_file_without_labels_is_predicted_by_every_artifact_alike(artifacts: list[Path], tmp_path: Path) -> None:
    new = ts(tmp_path / "new.ts", waves(30, seed=7), labelled=False)
    for path in artifacts:
        if path.suffix == ".tflite":
            Predictor(path).predict_to_csv(new, tmp_path / f"{path.name}.csv")
        else:  # the client runs these in a process of their own
            run.predict(path, new, tmp_path / f"{path.name}.csv")
    found = [predictions(tmp_path / f"{path.name}.csv") for path in artifacts]
    assert list(found[0][0]) == ["prediction", "p_quick", "p_slow"]
    right = [row["prediction"] == ("slow", "quick")[i % 2] for i, row in enumerate(found[0])]
    assert np.mean(right) > 0.9
    shares = [np.array([float(row["p_slow"]) for row in rows]) for rows in found]
    for path, other in zip(artifacts[1:], shares[1:], strict=True):
        np.testing.assert_allclose(other, shares[0], atol=0.15 if "int8" in path.name else 1e-3)


def test_what_travels_describes_series(artifacts: list[Path]) -> None:
    found = companions.read(artifacts[0])
    samples = json.loads(found[companions.SAMPLES])
    given = [np.array(row["series"], float) for row in samples["inputs"]]
    np.testing.assert_allclose(Predictor(artifacts[0]).predict(given).outputs, samples["outputs"], atol=1e-4)
    assert "the last channel is 1 where a step is there" in found[companions.CARD].decode()
    assert "any number of steps" in companions.read(artifacts[2])[companions.CARD].decode()


@pytest.mark.parametrize("form", ["long", "wide"])
def test_tables_are_predicted_in_the_form_that_was_learnt(form: str, tmp_path: Path) -> None:
    write = {"long": long, "wide": wide}[form]
    settings = {"target": "label", "group_column": "run"} if form == "long" else {"target": "label"}
    tflite, keras_file = made(tmp_path, write(tmp_path / "waves.csv", waves()), [FORMATS[0], FORMATS[3]], **settings)
    new = write(tmp_path / "new.csv", waves(20, seed=8))
    Predictor(tflite).predict_to_csv(new, tmp_path / "a.csv")
    run.predict(keras_file, new, tmp_path / "b.csv")
    first, second = predictions(tmp_path / "a.csv"), predictions(tmp_path / "b.csv")
    assert len(first) == len(second) == 20
    for a, b in zip(first, second, strict=True):
        assert float(a["p_slow"]) == pytest.approx(float(b["p_slow"]), abs=1e-3)
    if form == "long":
        # The file runs backwards: the last series comes first.
        assert [row["series"] for row in first] == [row["series"] for row in second] == [f"r{i}" for i in range(19, -1, -1)]
        right = [row["prediction"] == ("slow", "quick")[int(row["series"][1:]) % 2] for row in first]
    else:
        right = [row["prediction"] == ("slow", "quick")[i % 2] for i, row in enumerate(first)]
    assert np.mean(right) > 0.85
