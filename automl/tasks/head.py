"""What stands between a model's body and its user: the last layer for training, and the output for inference.

The *core* that is trained ends in logits [b, classes] or a standardised number [b, 1]; a packed ensemble's core ends in
[b, members, outputs]. The *inference model* shares its layers and weights and adds stock layers only: softmax, the mean over
members, and for regression the way back to the target's unit with the prediction kept within the training range.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl.spec import Internal


class Target(Protocol):
    """What a head needs to know of the prepared data (`automl.data` has more in its `PreparedMeta`)."""

    @property
    def kind(self) -> str: ...
    @property
    def target_mean(self) -> float | None: ...
    @property
    def target_std(self) -> float | None: ...
    @property
    def target_min(self) -> float | None: ...
    @property
    def target_max(self) -> float | None: ...


def logits(features: Any, outputs: int, *, initializer: Any, regularizer: Any) -> Any:
    """The last layer: [b, features] → [b, outputs]; one of its own for each member of [b, members, features]."""
    import keras

    if len(features.shape) == 3:
        members = features.shape[1]
        return keras.layers.EinsumDense(
            "bmf,mfo->bmo", output_shape=(members, outputs), bias_axes="mo", kernel_initializer=initializer,
            kernel_regularizer=regularizer, name="logits",
        )(features)
    return keras.layers.Dense(outputs, kernel_initializer=initializer, kernel_regularizer=regularizer, name="logits")(features)


def inference_model(core: Any, meta: Target) -> Any:
    """A Keras model on the core's own layers: probabilities [b, classes], or numbers [b, 1] in the target's unit."""
    import keras

    x = core.output
    if meta.kind == "classification":
        x = keras.layers.Softmax(name="probabilities")(x)
        if len(x.shape) == 3:
            x = keras.layers.GlobalAveragePooling1D(name="ensemble")(x)
    else:
        if len(x.shape) == 3:
            x = keras.layers.GlobalAveragePooling1D(name="ensemble")(x)
        mean, std, low, high = _standardisation(meta)
        # min(max(x, low), high) as layers that every converter knows: shift to 0, clip by ReLU, and shift and scale back.
        x = keras.layers.Rescaling(1.0, offset=-low, name="above_minimum")(x)
        x = keras.layers.ReLU(max_value=high - low, name="within_range")(x)
        x = keras.layers.Rescaling(std, offset=mean + low * std, name="prediction")(x)
    return keras.Model(core.input, x, name="model")


def predictions(output: NDArray[Any], meta: Target) -> NDArray[np.float32]:
    """What `inference_model` gives for a core's output, in NumPy."""
    if meta.kind == "classification":
        shifted = output - output.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return np.asarray(probabilities.mean(axis=1) if probabilities.ndim == 3 else probabilities, np.float32)
    mean, std, low, high = _standardisation(meta)
    number = output.mean(axis=1) if output.ndim == 3 else output
    return np.asarray(np.clip(number, low, high) * std + mean, np.float32)


def standardised(y: NDArray[Any], meta: Target) -> NDArray[np.float32]:
    """A regression target [n] as the core learns it: [n, 1], zero mean and unit variance over the training rows."""
    mean, std, _, _ = _standardisation(meta)
    return ((np.asarray(y, np.float64) - mean) / std).astype(np.float32).reshape(-1, 1)


def _standardisation(meta: Target) -> tuple[float, float, float, float]:
    """(mean, standard deviation, standardised minimum, standardised maximum) of the training target."""
    mean, std, least, largest = meta.target_mean, meta.target_std, meta.target_min, meta.target_max
    if mean is None or not std or least is None or largest is None:
        raise Internal("a regression task's prepared data lack the target's mean, deviation or range")
    return mean, std, (least - mean) / std, (largest - mean) / std
