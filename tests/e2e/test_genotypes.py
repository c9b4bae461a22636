"""Genotypes of a table and of series, by the command line alone: strong recipes first, the best of all delivered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.machine import Home
from tests.e2e.test_series import waves

BUDGET_S = 60.0


@pytest.mark.slow
@pytest.mark.parametrize(("family", "first"), [("nas-mlp", "boosted-trees"), ("nas-sequence", "rocket")])
def test_evolution_searches_genotypes_beside_what_is_known_to_be_strong(
    home: Home, tmp_path: Path, family: str, first: str
) -> None:
    if family == "nas-mlp":
        data = [Path(__file__).parents[2] / "examples/data/penguins.csv", "--target", "species"]
    else:
        data = [waves(tmp_path / "train.ts", 60, seed=1), "--test-data", waves(tmp_path / "test.ts", 60, seed=2)]
    said = home.run(
        "submit", *data, "--strategy", "evolution", "--budget", f"{BUDGET_S:g}s", "--format", "tflite:int8", "--json",
        "--out", tmp_path / "out", timeout_s=3 * BUDGET_S,
    )
    assert said.code == 0, said.err
    result = said.json()
    assert result["state"] == "SUCCEEDED"
    assert result["metric"]["test"] > 0.9
    assert [one["precision"] for one in result["artifacts"]] == ["int8"]
    assert f"searches genotypes of {family}" in said.err
    assert f"({first}, portfolio) completed" in said.err
    assert f"({family}, evolution) completed" in said.err
