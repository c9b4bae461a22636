"""Callbacks that techniques bring. They read `logs["score"]`, the metric signed so that larger is better."""

from __future__ import annotations

import math
from typing import Any

import keras


class ReduceOnPlateau(keras.callbacks.Callback):
    """Multiplies the optimizer's rate by `factor` after `patience` epochs without a better score, not below `least`.

    Keras's own callback of this name counts by absolute improvements of a named log; this one takes the job's score,
    and its whole state is two numbers.
    """

    def __init__(self, patience: int, factor: float, least: float):
        super().__init__()
        self.patience, self.factor, self.least = patience, factor, least
        self.best = -math.inf
        self.stale = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        score = float((logs or {})["score"])
        if score > self.best:
            self.best, self.stale = score, 0
            return
        self.stale += 1
        if self.stale >= self.patience:
            rate = self.model.optimizer.learning_rate
            rate.assign(max(self.least, float(keras.ops.convert_to_numpy(rate)) * self.factor))
            self.stale = 0


class AveragingMomentum(keras.callbacks.Callback):
    """Sets how fast the optimizer's running average of weights forgets, before the first step is traced.

    The optimizer is made before the length of the training is known to it, so the momentum is set here.
    """

    def __init__(self, momentum: float):
        super().__init__()
        self.momentum = momentum

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # With float16 the optimizer stands inside the one that scales the loss.
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        optimizer.ema_momentum = self.momentum
