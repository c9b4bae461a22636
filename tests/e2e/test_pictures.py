"""The main job on pictures: drawn shapes in a zip of class folders, of mixed modes and sizes, two of them broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.machine import Home
from tests.e2e.shapes import CLASSES, draw_all

BUDGET_S = 75.0


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_all(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
def test_shapes_are_learned_and_told_apart_by_the_artifact(home: Home, pictures):
    data, new = pictures
    out = home.folder / "out"
    said = home.run("submit", data, "--budget", f"{BUDGET_S:g}s", "--json", "--out", out, timeout_s=3 * BUDGET_S)
    assert said.code == 0, said.err
    result = said.json()
    assert result["task"] == "image-classification"
    assert result["wall_s"] <= 1.05 * BUDGET_S
    assert result["metric"]["test"] > 0.6  # chance is 0.33
    assert {(a["format"], a["precision"]) for a in result["artifacts"]} >= {
        ("tflite", "float32"),
        ("saved-model", "float32"),
    }
    report = (out / "report.html").read_text()
    assert "broken.png" in report

    written = home.folder / "predictions.csv"
    said = home.run("predict", out, new, "--out", written)
    assert said.code == 0, said.err
    lines = written.read_text().splitlines()
    head = lines[0].split(",")
    assert {"file", "prediction", *(f"p_{name}" for name in CLASSES)} <= set(head)
    assert len(lines) == 1 + 60
    at, said_class = head.index("file"), head.index("prediction")
    right = sum(line.split(",")[said_class] in Path(line.split(",")[at]).name for line in lines[1:])
    assert right / 60 > 0.6
