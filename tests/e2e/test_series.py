"""Series from a `.ts` file to proven artifacts, by the command line alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.machine import Home

BUDGET_S = 120.0


def waves(path: Path, rows: int, seed: int, labelled: bool = True) -> Path:
    """Slow and quick waves in turn, of different lengths."""
    rng = np.random.default_rng(seed)
    lines = ["@classLabel true slow quick" if labelled else "@classLabel false", "@data"]
    for i in range(rows):
        t = np.arange(rng.integers(20, 40))
        values = np.sin(t * (0.5, 1.5)[i % 2] + rng.uniform(0, 6)) + rng.normal(0, 0.3, len(t))
        lines.append(",".join(map(str, values.round(4))) + (f":{('slow', 'quick')[i % 2]}" if labelled else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_a_ts_file_becomes_a_model_that_predicts_another(home: Home, tmp_path: Path) -> None:
    data, test = waves(tmp_path / "train.ts", 40, seed=1), waves(tmp_path / "test.ts", 60, seed=2)
    said = home.run(
        "submit", data, "--test-data", test, "--budget", f"{BUDGET_S:g}s", "--format", "tflite:int8", "--format",
        "tflite:float32", "--json", "--out", tmp_path / "out", timeout_s=3 * BUDGET_S,
    )
    assert said.code == 0, said.err
    result = said.json()
    assert (result["task"], result["state"]) == ("timeseries-classification", "SUCCEEDED")
    assert result["metric"]["test"] > 0.9
    assert result["wall_s"] <= BUDGET_S
    new = waves(tmp_path / "new.ts", 30, seed=3, labelled=False)
    said = home.run("predict", tmp_path / "out", new, "--out", tmp_path / "predictions.csv", timeout_s=60)
    assert said.code == 0, said.err
    with (tmp_path / "predictions.csv").open(newline="") as file:
        found = [row["prediction"] for row in csv.DictReader(file)]
    assert np.mean([p == ("slow", "quick")[i % 2] for i, p in enumerate(found)]) > 0.9
