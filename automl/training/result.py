"""What a training left behind; plain values, so that a controller reads them without loading Keras."""

from __future__ import annotations

import json
from pathlib import Path

import pydantic

from automl.spec import ArtifactPoint, Fidelity, Measurement, Outcome
from automl.spec.model import Frozen
from automl.training.profile import StepProfile

RESULT_FILE = "result.json"


class TrainResult(Frozen):
    """The account of one training; also the content of a candidate's `result.json`."""

    outcome: Outcome
    """COMPLETED (all epochs, or patience ended), PRUNED (told to stop, or the deadline), NAN, or
    OVERSIZE (refused before its first step)."""
    message: str = ""
    """Why it ended, for people; empty for a training that ran through."""
    recipe: str
    """Identity of the recipe."""
    part: str
    """The rows that were trained on (see `automl.data.prepared.Part`); "folds" for an ensemble."""
    metric: str
    fidelity: Fidelity
    epochs_done: int
    """Whole epochs over all attempts and continuations."""
    schedule_epochs: int | None = None
    """That the schedule had in the end, where it was paced; `recipe` is one of as many."""
    best_epoch: int | None = None
    """Epoch (counted from 1) whose weights the candidate holds; None when no epoch was evaluated."""
    score: float | None = None
    """The job's metric of the candidate on the validation part, signed so that larger is better."""
    artifact: ArtifactPoint | None = None
    """Measured behind the training, where trials are judged by the file that they would become."""
    validation: dict[str, float] = pydantic.Field(default_factory=dict)
    """Every metric of the task for the candidate on the validation part."""
    validation_seen: bool = False
    """The validation rows were trained on, so `score` and `validation` say nothing about new data."""
    averaged: bool = False
    """The candidate holds averaged weights (EMA, SWA)."""
    parameters: int = 0
    """Weights of the inference model, trainable or not; of trees the bytes of the nodes, which no precision makes fewer."""
    size_bytes: int = 0
    """Of these as float32: 4 × parameters; of trees just the bytes."""
    batch_size: int = 0
    """As trained with (the recipe's, after any halving for memory)."""
    profile: StepProfile | None = None
    """What a step needs, counted and timed before training."""
    measurements: tuple[Measurement, ...] = ()
    """One an epoch, those of earlier attempts and continuations included."""
    resumed_epoch: int = 0
    """The epoch after which this attempt went on; 0 when it began anew."""
    wall_s: float = 0.0
    """Of this attempt, from the call of `train` to the written candidate."""
    step_s: float = 0.0
    """Of it, inside training and evaluation steps."""
    overheads_s: dict[str, float] = pydantic.Field(default_factory=dict)
    """Where the rest of this attempt went, by name: "start", "data", "build", "rate-search", "trace",
    "batches" (made between steps), "averaging", "checkpoint", "report" (waiting for the controller), "export"."""

    @property
    def usable(self) -> bool:
        """A candidate folder was written."""
        return self.outcome in (Outcome.COMPLETED, Outcome.PRUNED) and self.best_epoch is not None


def read(candidate: Path) -> TrainResult:
    """The result in a candidate's folder. Raises `FileNotFoundError` where there is no candidate."""
    return TrainResult.from_dict(json.loads((Path(candidate) / RESULT_FILE).read_text(encoding="utf-8")))
