"""What a job leaves behind for people and for `automl reproduce`: the recipe file, the report, the words about losses."""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
import platform
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from automl import __version__
from automl.spec import REMEDIES, JobSpec, JobState, Outcome, Recipe
from automl.training import result as results

log = logging.getLogger("automl.job")

PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "tensorflow-model-optimization", "tf_keras", "ai-edge-litert")
"""Whose versions stand in the recipe file."""


def goodput(state: JobState, slots: int, elapsed_s: float) -> float | None:
    """Share of the slots' time, over the whole job, that was spent in training and evaluation steps of trials and
    supernets."""
    spent = sum(t.slots * t.step_s for t in state.trials.values()) + sum(s.step_s for s in state.supernets.values())
    available = max(1, slots) * elapsed_s
    return min(1.0, spent / available) if available > 0 and state.trials else None


def losses(state: JobState, budget_s: float) -> str:
    """Why there is no usable model, and what to do about it."""
    lost = {name: n for name, n in state.outcomes().items() if name not in ("COMPLETED", "RUNNING")}
    if not lost:
        return f"The time ({budget_s:.0f} s) was too short for a single trial: allow more with --budget."
    said = [t.message for t in state.trials.values() if t.message]
    counts = ", ".join(f"{n} {name}" for name, n in sorted(lost.items()))
    advice = " ".join(REMEDIES[Outcome(name)] for name in sorted(lost) if Outcome(name) in REMEDIES)
    last = f" The last one: {said[-1]}." if said else ""
    return f"No trial left a usable model ({counts}).{last} {advice}".strip()


def recipe_of(candidate: Path) -> Recipe:
    """The recipe in a candidate's folder."""
    return Recipe.from_dict(json.loads((candidate / "recipe.json").read_text(encoding="utf-8")))


def score_of(candidate: Path) -> float:
    """What a candidate's training says that it scores; negative infinity where it says nothing."""
    found = results.read(candidate).score
    return -math.inf if found is None else found


def weights_of(candidate: Path) -> int:
    """How many weights a candidate has."""
    return results.read(candidate).parameters


def has_seen_validation(candidate: Path) -> bool:
    """Whether a candidate was trained on the validation rows."""
    return results.read(candidate).validation_seen


def write_recipe(
    path: Path, candidate: Path, spec: JobSpec, *, task: str, metric: str, data_key: str, seed: int, made: float
) -> None:
    """The reproducible file: the candidate's recipe, how long it was trained on which rows, which data, which versions.

    `made` is in seconds since 1970.
    """
    found = results.read(candidate)
    content = {
        "version": 1, "recipe": recipe_of(candidate).to_dict(), "task": task, "metric": metric, "part": found.part,
        "epochs": found.epochs_done, "best_epoch": found.best_epoch, "data": spec.data.to_dict(), "dataset": spec.dataset,
        "test_dataset": spec.test_dataset, "data_key": data_key, "seed": seed, "automl": __version__,
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "made": datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat(timespec="seconds"),
    }
    replace(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def report(
    render: Callable[..., str], state: JobState, spec: JobSpec, *, job: str, dataset: str, verification: Path
) -> str | None:
    """The report's page; None when drawing it failed: artifacts that are proven must not be lost to a drawing."""
    try:
        return render(state, spec, job=job, dataset=dataset, predictions=verification / "predictions.npz")
    except Exception as error:  # noqa: BLE001 — whatever a drawing raises costs the page, not the job.
        log.error("the report failed\n%s", "".join(traceback.format_exception(error)))
        return None


def replace(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def pointed(marker: Path, otherwise: Path) -> Path:
    """The path that a marker file names; `otherwise` when there is none."""
    return Path(marker.read_text(encoding="utf-8")) if marker.is_file() else otherwise


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
