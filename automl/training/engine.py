"""What a backend does for the trainer: many steps in one call, and predictions. All else is NumPy and Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl.training.batches import Batch
from automl.training.samples import Inputs

Term = Callable[[Any, Any], Any]
"""`f(y_true, y_pred) -> scalar`, a term of the loss."""


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
