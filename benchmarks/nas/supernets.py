"""Supernets on the small pictures, each trained in a process of its own, for a number of steps: the same call goes on where
the last one ended, from the checkpoints under the work folder; and stand-alone trainings of what comes out of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl.data.prepared import PreparedDataset
from automl.execution.children import run_in_child
from automl.spec import Choice, Fidelity, Outcome, Recipe
from automl.spec.recipe import ParameterValue
from benchmarks.nas import small
from benchmarks.techniques import runs

LIMIT_S = 5400.0
"""Longest training of a supernet; one that is broken off there goes on with the next call."""
RUN_S = 900.0
"""Longest stand-alone training."""
ENV = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}


def train(
    method: str, architecture: str, params: Mapping[str, ParameterValue], settings: Mapping[str, ParameterValue], *,
    data: PreparedDataset, work: Path, steps: int, seed: int, ask: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The supernet's account: {"found": [architectures], "message", "folder", "traces", "scores"}; `ask` names networks to
    be scored inside it ({"score": [architectures]})."""
    recipe = small.recipe_of(small.space_of(data, architecture), architecture, params, 30, seed=seed)
    folder = work / f"{method}-{architecture}-{steps}-{seed}-{recipe.identity[:8]}"
    request = {
        "recipe": recipe.to_dict(), "prepared": str(data.path), "folder": str(folder), "ask": dict(ask or {}),
        "settings": {**settings, "method": method, "steps": steps, "seconds": 1e9},
    }
    return run_in_child("benchmarks.nas.supernets:train_in_child", request, timeout_s=LIMIT_S, env=ENV)


def train_in_child(request: dict[str, Any]) -> dict[str, Any]:
    """See `train`."""
    from automl.execution.executor import Work
    from automl.nas import process

    class Alone:
        """Nobody listens."""

        def beat(self) -> None: ...

        def should_stop(self) -> bool:
            return False

        def epoch(self, measurement: Any) -> bool:
            print(json.dumps(measurement.to_dict()), flush=True)
            return True

    recipe, folder = Recipe.from_dict(request["recipe"]), Path(request["folder"])
    work = Work(
        trial="s01", recipe=recipe, fidelity=Fidelity(epochs=1), prepared=Path(request["prepared"]), metric=small.METRIC,
        workdir=folder, part=recipe.part, settings=request["settings"],
    )
    run = process.Run(work, Alone(), 1)  # type: ignore[arg-type]
    result = run.result()
    method: Any = run.method
    found = [one.to_dict() for one in process.read(folder)]
    scores = []
    for one in request["ask"].get("score", []):
        from automl.nas.subnetworks import Sub

        scores.append(method.score(Sub.of(Choice.from_dict(one), method.space.stages)))
    return {
        "found": found, "message": result.message, "outcome": result.outcome, "steps": run.steps_done,
        "traces": method.traces, "scores": scores,
    }


def alone(
    ledger: runs.Ledger, data: PreparedDataset, architecture: str, params: Mapping[str, ParameterValue], *, epochs: int,
    batch: int, seed: int,
) -> float | None:
    """Accuracy of an architecture that trains by itself, remembered; None where the training failed."""
    recipe = small.recipe_of(small.space_of(data, architecture), architecture, params, epochs, batch, seed)
    key = f"{recipe.identity[:16]} {architecture} {params['genotype']} {seed}"
    if (run := ledger.get(key)) is None:
        run = runs.train(key, recipe, data.path, small.METRIC, limit_s=RUN_S)
        if run.outcome == Outcome.LOST:
            raise SystemExit(f"{key}: {run.message}; nothing is recorded, the same call tries it again")
        ledger.add(run)
    return run.score
