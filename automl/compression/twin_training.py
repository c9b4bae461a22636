"""Training on of a bridged model in tf_keras, for what tfmot does to it: under a clock, on the inference model's outputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.catalog.rung import FEWEST_ROWS
from automl.spec import AutoMLError

if TYPE_CHECKING:
    from automl.data.prepared import PreparedMeta

LEARNING_RATE = 5e-4
BATCH = 64
EPOCHS = 5
USUAL_STEPS = 400
"""At least so many if time allows, however few rows there are."""
FEWEST_STEPS = FEWEST_ROWS // BATCH
"""Fewer make no fine-tuning."""
SURE = 3
"""Steps, the first one left out, after which their time is known well enough to give up."""
TAIL = 0.15
"""Share of a rung's time that is kept for what comes after the training."""


class TooSlow(AutoMLError):
    """The fine-tuning came to too few steps in its time."""

    reason = "TOO_SLOW"


def fit(
    twin: Any, inputs: Sequence[str], x: Mapping[str, np.ndarray], y: np.ndarray, meta: PreparedMeta, *, end: float,
    callbacks: Sequence[Any] = (), progressed: Callable[[float], object] = lambda progress: None,
    rate: float = LEARNING_RATE,
) -> int:
    """Trains a tf_keras model on, for `EPOCHS` (of few rows, `USUAL_STEPS`) or till `end` (monotonic); the steps made.

    `inputs` are the names of its inputs in their order. `progressed` hears after each step how much of the training is done,
    in [0, 1]; the rate falls along half a cosine. Raises `TooSlow`, as soon as the first steps show it.
    """
    import tf_keras

    if time.monotonic() >= end:
        raise TooSlow("the time was over before the first step of fine-tuning")
    rows = len(y)
    batch = min(BATCH, rows)
    a_pass = -(-rows // batch)
    total = max(EPOCHS * a_pass, USUAL_STEPS)

    class Clock(tf_keras.callbacks.Callback):
        """Moves the progress, the learning rate and the end."""

        done = 0
        start: float | None = None
        possible = math.inf
        """Steps till the end, at the speed so far."""

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self.done += 1
            now = time.monotonic()
            self.start = now if self.start is None else self.start  # the first step is tracing, not work
            passed = 1.0 if now >= end else (now - self.start) / (end - self.start)
            progress = min(1.0, max(self.done / total, passed))
            if now >= end or self.done > SURE:
                self.possible = self.done + max(0.0, end - now) * (self.done - 1) / max(1e-9, now - self.start)
            progressed(progress)
            self.model.optimizer.learning_rate.assign(rate * (1 + np.cos(np.pi * progress)) / 2)
            if progress >= 1.0 or self.possible < FEWEST_STEPS:
                self.model.stop_training = True

    clock = Clock()
    twin.compile(tf_keras.optimizers.Adam(rate), _loss(tf_keras, meta), jit_compile=False)
    target = y if meta.kind == "classification" else y.reshape(-1, 1)
    twin.fit(
        [x[name] for name in inputs], target, batch_size=batch, epochs=-(-total // a_pass), verbose=0,
        callbacks=[*callbacks, clock],
    )
    if clock.done < FEWEST_STEPS:
        raise TooSlow(
            f"only {int(clock.possible)} steps of fine-tuning are possible in its time; at least {FEWEST_STEPS} are needed"
        )
    return clock.done


def _loss(tf_keras: Any, meta: PreparedMeta) -> Any:
    """On the inference model's outputs: probabilities, or numbers in the target's unit (then relative to its spread)."""
    if meta.kind == "classification":
        return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=False)
    variance = float(meta.target_std or 1.0) ** 2

    def scaled(y: Any, output: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_mean(tf.square(tf.cast(y, output.dtype) - output), axis=-1) / variance

    return scaled
