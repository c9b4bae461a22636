"""A trial: a recipe at a fidelity, what was measured on it, and its one outcome."""

from __future__ import annotations

import enum
from typing import Annotated

import pydantic

from automl.spec.model import Frozen
from automl.spec.recipe import Recipe


class Outcome(enum.StrEnum):
    """How a trial ended. Only COMPLETED and PRUNED trials have a usable model."""

    COMPLETED = "COMPLETED"
    PRUNED = "PRUNED"
    """Stopped early by the pruner or the budget; what it reached counts."""
    NAN = "NAN"
    OOM = "OOM"
    OVERSIZE = "OVERSIZE"
    """Refused before training: too many parameters, or its artifact could not meet the size limit."""
    UNCONVERTIBLE = "UNCONVERTIBLE"
    TIMED_OUT = "TIMED_OUT"
    LOST = "LOST"
    """The worker died and no attempt was left."""
    ERROR = "ERROR"


REMEDIES: dict[Outcome, str] = {
    Outcome.NAN: "Loss or weights became NaN or infinite: lower the learning rate, or --force gradient-clipping.",
    Outcome.OOM: "The trial ran out of memory twice, the second time with half the batch: fewer slots or smaller models.",
    Outcome.OVERSIZE: "The model is larger than the limits allow: raise --max-size, or leave the search to smaller models.",
    Outcome.UNCONVERTIBLE: "The model can't be converted to a format asked for: drop it, or forbid the technique named.",
    Outcome.TIMED_OUT: "The trial made no progress within its time limit: a larger budget, or a smaller model.",
    Outcome.LOST: "The worker process died, the message names the signal: usually other programs took the memory.",
    Outcome.ERROR: "An exception in the trial: the message names it. Please report it with the recipe.",
}
"""What to do about each failure; printed by the failure ledger."""


class Fidelity(Frozen):
    """How much of a full training a trial gets."""

    epochs: Annotated[int, pydantic.Field(ge=1)]
    """Epochs to run; the recipe's own `epochs` is the full measure."""
    data_fraction: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    resolution: float = 1.0
    """Factor on the side of pictures."""


class Measurement(Frozen):
    """What one epoch showed."""

    epoch: int
    """Counted from 1."""
    train_loss: float | None
    validation: dict[str, float]
    """Every metric of the task on the validation part, by id."""
    score: float
    """The job's metric on the validation part, signed so that larger is better."""
    elapsed_s: float
    """Since the trial's process began."""
    step_s: float
    """Of it, in training and evaluation steps (for goodput)."""
    learning_rate: float | None = None


class ArtifactPoint(Frozen):
    """A model as the file that it would become: its bytes were written, and run on validation rows."""

    precision: str
    """Of the TFLite file."""
    value: float
    """The job's metric of the file, in its own sign."""
    float_value: float
    """The float model's, on the same rows."""
    rows: int
    size_bytes: int
    """Of the file, with what travels in it."""
    latency_ms: float
    """Median of one example on one thread."""
    wall_s: float
    """That it took to find out."""


class Trial(Frozen):
    """One trial as the store and the report know it."""

    id: str
    recipe: Recipe
    fidelity: Fidelity
    origin: str
    """Who proposed it: "portfolio", "tpe", "evolution", "final"…"""
    attempt: int = 1
    slots: int = 1
    """That it holds while it runs, with their cores."""
    paced: bool = False
    """Its epochs are fitted to the clock while it runs: it has at most those of its recipe, and its schedule is carried to
    the end all the same. Once it has ended, recipe and fidelity have the epochs that there were."""
    outcome: Outcome | None = None
    message: str = ""
    measurements: tuple[Measurement, ...] = ()
    best_epoch: int | None = None
    """0 of a network that wasn't trained, but cut out of a supernet."""
    score: float | None = None
    """Best `Measurement.score`; larger is better. Where the search ranks by artifacts, what the artifact scores."""
    artifact: ArtifactPoint | None = None
    """Where the search ranks by artifacts and there was time to measure this one."""
    parameters: int | None = None
    size_bytes: int | None = None
    """Of the model as float32 weights: 4 × parameters."""
    wall_s: float = 0.0
    step_s: float = 0.0

    def of_epochs(self, epochs: int) -> Trial:
        """The same as a training of so many epochs."""
        return self.model_copy(
            update={"recipe": self.recipe.changed(epochs=epochs), "fidelity": self.fidelity.changed(epochs=epochs)}
        )

    @property
    def usable(self) -> bool:
        """It left a model: one that was stopped before it could write a candidate has a score all the same."""
        ended = self.outcome in (Outcome.COMPLETED, Outcome.PRUNED)
        return ended and self.score is not None and self.best_epoch is not None
