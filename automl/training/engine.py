"""What a backend does for the trainer: many steps in one call, and predictions. All else is NumPy and Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from automl.training.batches import Batch
from automl.training.samples import Inputs

Term = Callable[[Any, Any], Any]
"""`f(y_true, y_pred) -> scalar`, a term of the loss."""


class Perturbation(Protocol):
    """Where a step's gradient is taken, if not at the weights and inputs as they are.

    A step first takes the gradient of the loss with respect to what is `moved`, asks for the new values, and then takes the
    gradient for the optimizer there: at the moved weights, which return to where they were before the optimizer steps from
    there, or at the weights with the moved inputs (the floating-point ones). Both passes draw the same dropout masks, and
    statistics of normalisations are updated by the first alone, so once a step. The loss that is reported is the first's.
    """

    moved: Literal["weights", "inputs"]

    def values(self, values: list[Any], gradients: list[Any]) -> list[Any]:
        """The values to go to, as tensors of the backend; in `keras.ops`. Gradients hold the factor of a scaled loss."""


class Engine(Protocol):
    """Steps of one model on one backend.

    Weights, optimizer state and random states live in the Keras variables between calls, so they may be read and assigned
    there. Losses are one a step, [k]: the data's loss and every penalty.
    """

    accelerated: bool
    """Steps run on a GPU, while this process is free to make batches."""

    def hold(self, whole: Batch) -> Any:
        """Puts all rows where the steps run."""

    def run_rows(self, held: Any, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """One step for each line of `rows` [k, batch], on held data."""

    def run_batches(self, stacked: Batch) -> NDArray[np.float32]:
        """One step for each of k stacked batches."""

    def trace(self, held: Any | None, example: Batch) -> None:
        """Builds the graph of the steps ahead of the first call, so that its time isn't taken for a step's. `example` is a
        single batch; `held` is given when `run_rows` will be called."""

    def outputs(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32]:
        """The model's outputs for all rows, in order, without training behaviour."""
