"""What a training is given instead of making it itself: by compression, which trains on what others made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Given:
    """Each is what the recipe says where nothing is given."""

    network: Callable[[], keras.Model] | None = None
    """Gives the core to train (built, with its weights), in the place of the architecture's. It is trained in float32, and
    gradually: its weights are good already, so pretraining and the search for a rate are left out."""
    shaped: Callable[[keras.Model], None] | None = None
    """Called with the core that the architecture made, before its optimizer is built: to hold weights by constraints."""
    preprocess: dict[str, Any] | None = None
    """A fitted preprocess.json, in the place of one that is fitted anew."""
    epochs: int | None = None
    """That the schedule spans."""
    rate: float = 1.0
    """Factor on the learning rate."""
    teacher: NDArray[np.float32] | None = None
    """What another model gives for the rows of the part: probabilities [n, classes], or numbers [n, 1] in the target's unit.
    Resampling is left out: it would tear the rows from what the teacher says of them."""
    teacher_weight: float = 1.0
    """Of the teacher in the targets; the truth has the rest."""

    def changed(self, plan: TrainPlan) -> TrainPlan:
        """The recipe's plan, as it suits what is given."""
        if self.network is not None:
            plan = plan.replace(
                precision="float32", pretraining=None, rate_search=None, reparametrisation=None, kernel_noise=None
            )
        if self.teacher is not None:
            plan = plan.replace(resampling=None)
        return plan.replace(
            learning_rate=plan.learning_rate * self.rate, epochs=plan.epochs if self.epochs is None else self.epochs
        )
