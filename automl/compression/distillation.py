"""A smaller student of a finished model: `distill`, the function of a child process.

The teacher is whatever was to be delivered, an ensemble too. The student is a recipe of its own, trained from scratch by the
trainer on the training rows alone: what it then shows on the validation rows is what it can do.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from automl.compression import finetuning
from automl.export import candidate as candidates
from automl.spec import Fidelity, Recipe
from automl.training.given import Given

TECHNIQUE = "compress-distillation"
FEWEST_EPOCHS = 0.25
"""Of the recipe's own; with time for less it isn't begun."""
TAIL_S = 2.0


@dataclasses.dataclass(frozen=True)
class Student:
    """A recipe that may be taught, with how long its training is expected to take on this machine."""

    recipe: Recipe
    setup_s: float
    epoch_s: float
    parameters: int | None

    def epochs_within(self, seconds: float) -> int:
        """Epochs for which there is time, up to the recipe's; 0 where they would be too few."""
        room = int((seconds - self.setup_s - TAIL_S) / max(self.epoch_s, 1e-6))
        return 0 if room < FEWEST_EPOCHS * self.recipe.epochs else min(room, self.recipe.epochs)


def distill(request: dict[str, Any]) -> dict[str, Any]:
    """Trains a student on a candidate's outputs and writes the student's candidate.

    `request`: candidate (the teacher), prepared, out, metric, time_s, threads, seed, settings ("weight" of the teacher),
    recipe (the student's, with the epochs that fit). Returns "settings" and "notes". Raises `finetuning.Untrained`.
    """
    end = time.monotonic() + float(request["time_s"])
    teacher = candidates.Candidate(Path(request["candidate"]))
    weight = float(request["settings"]["weight"])
    recipe = Recipe.from_dict(request["recipe"])

    from automl.data.prepared import PreparedDataset
    from automl.training import backends, candidate, prediction, trainer

    backends.limit_threads(int(request["threads"]))
    prepared = PreparedDataset.open(Path(request["prepared"]))
    outputs = prediction.predict(teacher.model, teacher.encode(prepared.inputs("train")))
    out = Path(request["out"])
    result = trainer.train(
        recipe, prepared, fidelity=Fidelity(epochs=recipe.epochs), metric=str(request["metric"]), workdir=out,
        on_epoch=lambda measurement: True, deadline=end - TAIL_S, resume=True, threads=int(request["threads"]),
        given=Given(teacher=outputs, teacher_weight=weight),
    )
    if not result.usable:
        why = result.message or "no epoch was evaluated"
        raise finetuning.Untrained(f"the student's training ended with {result.outcome.value}: {why}")
    student = candidates.Candidate(out)
    taught = finetuning.with_technique(recipe, TECHNIQUE, {"weight": weight})
    candidate.write(
        out, candidate.Files(student.model, student.preprocess, taught, np.load(out / candidate.PREDICTIONS_FILE)),
        result.changed(recipe=taught.identity),
    )
    size, before = int(student.model.count_params()), int(teacher.model.count_params())
    return {
        "settings": {"weight": weight},
        "notes": [f"Distillation: a student of {size:,} parameters learned from {before:,} ({recipe.architecture.id})."],
    }
