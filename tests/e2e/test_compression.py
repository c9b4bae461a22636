"""Rungs that only a user asks for, in whole jobs: what was forced is tried, told, and what comes back is verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_client import Client
from tests.e2e.machine import Home, Said

pytestmark = pytest.mark.slow

PENGUINS = Path(__file__).parents[2] / "examples/data/penguins.csv"
ONE_NETWORK = (
    "--allow", "mlp", "--forbid", "bagging", "--format", "tflite:int8", "--format", "tflite:float32", "--seed", "1",
    "--tolerance", "0.05",
)
"""A single dense network: trees have nothing to prune."""


def submitted(home: Home, out: Path, *more: str, budget_s: int, environment: dict[str, str] | None = None) -> Said:
    return home.run(
        "submit", PENGUINS, "--target", "species", "--budget", f"{budget_s}s", "--json", "--out", out, *more,
        timeout_s=3 * budget_s, environment=environment,
    )


def compressed(home: Home, job: str) -> list[dict[str, Any]]:
    """What the job's events say of its rungs, in their order."""
    return [payload for kind, payload in told(home, job) if kind == "compressed"]


def told(home: Home, job: str) -> list[tuple[str, dict[str, Any]]]:
    """The job's events: kind and payload."""
    with Client.embedded(home=home.folder) as client:
        return [(event.kind, dict(event.payload)) for event in client.watch_job(job)]


def test_pruning_clustering_and_training_for_integers_in_one_job(home: Home, tmp_path: Path) -> None:
    """tfmot's PCQAT: each goes on from what the last one left, and the zeros are in the file."""
    ids = ("magnitude-pruning", "weight-clustering", "quantization-qat")
    forced = [part for id in ids for part in ("--force", id)]
    said = submitted(home, tmp_path, *ONE_NETWORK, *forced, budget_s=240)
    assert said.code == 0, said.err
    result = said.json()
    events = {event["technique"]: event for event in compressed(home, result["job"]) if event["need"] != "first"}
    assert list(events)[-2:] == ["weight-clustering", "quantization-qat"]
    assert set(ids) <= set(events)
    assert events["quantization-qat"]["precision"] == "int8", events["quantization-qat"]["reason"]
    assert {(a["format"], a["precision"]) for a in result["artifacts"]} >= {("tflite", "int8"), ("tflite", "float32")}


def test_an_agent_chooses_zeros_and_bits_of_each_layer(home: Home, tmp_path: Path) -> None:
    said = submitted(home, tmp_path, *ONE_NETWORK, "--forbid", "magnitude-pruning", "--force", "rl-sac", budget_s=120)
    assert said.code == 0, said.err
    result = said.json()
    (event,) = [event for event in compressed(home, result["job"]) if event["technique"] == "rl-sac"]
    assert event["precision"] == "int8", event["reason"]
    assert ("tflite", "int8") in {(a["format"], a["precision"]) for a in result["artifacts"]}


def test_trials_are_ranked_by_their_files_where_jax_trains(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The converter runs in a process of its own there: one process holds one backend."""
    pytest.importorskip("jax")
    user = Home(tmp_path_factory.mktemp("jax"))
    try:
        said = submitted(
            user, tmp_path, *ONE_NETWORK, "--rank-by", "artifact", "--max-trials", "2", budget_s=200,
            environment={"KERAS_BACKEND": "jax"},
        )
        assert said.code == 0, said.err
        result = said.json()
        ended = [payload for kind, payload in told(user, result["job"]) if kind == "trial-ended"]
        points = [trial["artifact"] for trial in ended if trial.get("artifact")]
        assert points
        assert all(point["precision"] == "int8" and point["size_bytes"] > 0 for point in points)
        assert ("tflite", "int8") in {(a["format"], a["precision"]) for a in result["artifacts"]}
    finally:
        user.stop()
