"""Averages of weights over training, as `TrainPlan.averaging` describes them: asked after each epoch, they give the
weights that are evaluated and kept, or None for the model's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Batches = Callable[[], Iterable[Mapping[str, NDArray[Any]]]]
STATISTICS_BATCHES = 20
"""Batches from which normalisation statistics are taken anew."""


class RunningAverage:
    """The optimizer's own running average of the trainable weights (`use_ema`), once it has forgotten where it began.

    `settle_epochs` is the number of epochs after which it counts; the optimizer keeps the average, so there is no
    state here.
    """

    def __init__(self, settle_epochs: float):
        self.settle_epochs = settle_epochs

    def after_epoch(self, model: Any, epoch: int, batches: Batches) -> list[NDArray[Any]] | None:
        if epoch < self.settle_epochs:
            return None
        model.optimizer.finalize_variable_values(model.trainable_variables)
        weights: list[NDArray[Any]] = model.get_weights()
        return weights

    def state(self) -> dict[str, NDArray[Any]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if state:
            raise ValueError(f"a running average has no state of its own, got {sorted(state)}")


class EpochMean:
    """The plain mean of the weights at the ends of the epochs from `first_epoch` on.

    Batch normalisation's statistics of averaged weights are not the average of statistics, so they are taken anew from
    training batches: the cumulative mean over `STATISTICS_BATCHES` batches in training mode.
    """

    def __init__(self, first_epoch: int):
        self.first_epoch = first_epoch
        self._mean: list[NDArray[np.float64]] = []
        self._count = 0

    def after_epoch(self, model: Any, epoch: int, batches: Batches) -> list[NDArray[Any]] | None:
        if epoch < self.first_epoch:
            return None
        weights = [np.asarray(w, np.float64) for w in model.get_weights()]
        self._count += 1
        if self._count == 1:
            self._mean = weights
        else:
            self._mean = [mean + (w - mean) / self._count for mean, w in zip(self._mean, weights)]
        averaged = [mean.astype(w.dtype) for mean, w in zip(self._mean, model.get_weights())]
        if self._count == 1 or not (normalizations := batch_normalizations(model)):
            return averaged
        model.set_weights(averaged)
        reestimate(model, normalizations, batches)
        renewed: list[NDArray[Any]] = model.get_weights()
        return renewed

    def state(self) -> dict[str, NDArray[Any]]:
        return {"count": np.asarray(self._count), **{f"mean_{i:04}": mean for i, mean in enumerate(self._mean)}}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._count = int(state["count"])
        self._mean = [np.asarray(state[name]) for name in sorted(state) if name.startswith("mean_")]


def batch_normalizations(model: Any) -> list[Any]:
    """The batch-normalisation layers of a model."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def reestimate(model: Any, normalizations: list[Any], batches: Batches) -> None:
    """Sets the layers' moving statistics to their mean over some training batches, as they are in training mode."""
    momenta = [layer.momentum for layer in normalizations]
    try:
        for i, inputs in enumerate(itertools.islice(batches(), STATISTICS_BATCHES)):
            # moving ← moving · i/(i+1) + batch · 1/(i+1): the mean of all so far; the first overwrites what was there.
            for layer in normalizations:
                layer.momentum = i / (i + 1)
            model(dict(inputs), training=True)
    finally:
        for layer, momentum in zip(normalizations, momenta):
            layer.momentum = momentum
