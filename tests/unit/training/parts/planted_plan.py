"""Components for plans of tests, by "planted_plan:name"."""

from __future__ import annotations

import keras
import numpy as np

CALLS: list[str] = []
"""What the components below saw; a test clears it."""


def nan_loss():
    return _Nan()


class _Nan(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.sum(y_pred, axis=-1) * float("nan")


def nan_after(limit):
    """A term that is 0 while its model's outputs are small and NaN beyond: training runs into it after a while."""
    def term(y_true, y_pred):
        size = keras.ops.mean(keras.ops.abs(y_pred))
        return keras.ops.where(size > limit, float("nan"), 0.0)

    return term


def soften(alpha):
    def step(soft, rng):
        CALLS.append(f"target {soft.shape[1]}")
        return soft * (1 - alpha) + alpha / soft.shape[1]

    return step


def shift_numeric():
    def step(inputs, target, rng):
        CALLS.append(f"batch {sorted(inputs)} {target.shape[1]} {float(target.max()):.2f}")
        noise = rng.normal(0, 0.01, inputs["numeric"].shape).astype(np.float32)
        return {**inputs, "numeric": inputs["numeric"] + noise}, target

    return step


def inverse_frequency(counts):
    weights = counts.sum() / (len(counts) * counts)
    return weights / (weights * counts / counts.sum()).sum()


def double_rows(inputs, target, rng):
    CALLS.append("resampled")
    return {name: np.concatenate([a, a]) for name, a in inputs.items()}, np.concatenate([target, target])


class Halver(keras.callbacks.Callback):
    """Halves the rate after each epoch, and counts."""

    def __init__(self, peak):
        super().__init__()
        self.peak = peak
        self.ended = 0

    def on_epoch_end(self, epoch, logs=None):
        assert {"loss", "val_loss", "score"} <= set(logs)
        self.ended += 1
        self.model.optimizer.learning_rate = self.peak / 2**self.ended


def halving(peak, steps, steps_per_epoch):
    CALLS.append(f"schedule {peak} {steps} {steps_per_epoch}")
    return Halver(peak)


def linear(peak, steps, steps_per_epoch):
    return keras.optimizers.schedules.PolynomialDecay(peak, steps, end_learning_rate=0.0)


class MeanOfTwo:
    """Averages the weights of each epoch with those of the one before, from the second epoch on."""

    def __init__(self):
        self.last = None

    def after_epoch(self, model, epoch, batches):
        CALLS.append(f"averaged {epoch} {len(next(iter(batches()))['numeric'])}")
        now = model.get_weights()
        last, self.last = self.last, now
        model.set_weights([np.zeros_like(w) for w in now])  # The trainer must not depend on an averager's tidiness.
        return None if last is None else [(a + b) / 2 for a, b in zip(now, last)]

    def state(self):
        return {} if self.last is None else {str(i): w for i, w in enumerate(self.last)}

    def restore(self, state):
        self.last = [state[str(i)] for i in range(len(state))]


def mean_of_two(epochs, steps_per_epoch):
    return MeanOfTwo()


class StopAfter(keras.callbacks.Callback):
    def __init__(self, last):
        super().__init__()
        self.last = last

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 >= self.last:
            self.model.stop_training = True


def stop_after(last, epochs, steps_per_epoch):
    return StopAfter(last)
