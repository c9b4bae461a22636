"""What stands between a model's body and its user: the last layer for training, and the output for inference.

The *core* that is trained ends in logits [b, classes] or a standardised number [b, 1]; a packed ensemble's core ends in [b,
members, outputs]. The *inference model* shares its layers and weights and adds stock layers only: softmax, the mean over
members, and for regression the way back to the target's unit with the prediction kept within the training range. Where a
loss learns how uncertain the outputs are, the core has further numbers behind them, from a layer of their own; the
inference model leaves that layer out.
"""

from __future__ import annotations

import dataclasses
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


LOCATION, SPREAD = "logits", "spread"
"""Names of the last layers: of the outputs themselves, and of the numbers that say how uncertain they are."""


def logits(features: Any, outputs: int, *, initializer: Any, regularizer: Any, name: str = LOCATION) -> Any:
    """The last layer: [b, features] → [b, outputs]; one of its own for each member of [b, members, features]."""
    import keras

    if len(features.shape) == 3:
        members = features.shape[1]
        return keras.layers.EinsumDense(
            "bmf,mfo->bmo", output_shape=(members, outputs), bias_axes="o", kernel_initializer=initializer,
            kernel_regularizer=regularizer, name=name,
        )(features)
    last = keras.layers.Dense(outputs, kernel_initializer=initializer, kernel_regularizer=regularizer, name=name)
    return last(features)


def without_spread(core: Any) -> Any:
    """The core without the numbers beside its outputs, which only its loss reads; itself where it has none."""
    import keras

    if not any(layer.name == SPREAD for layer in core.layers):
        return core
    return keras.Model(core.input, core.get_layer(LOCATION).output, name=core.name)


def inference_model(core: Any, meta: Target) -> Any:
    """A Keras model on the core's own layers: probabilities [b, classes], or numbers [b, 1] in the target's unit.

    Layers that act in training only are folded (see `automl.layers.folding`); of those it holds copies of the weights.
    """
    import keras

    from automl.layers import folding

    core = folding.fold(without_spread(core))
    x = core.output
    if meta.kind == "classification":
        x = keras.layers.Softmax(name="probabilities")(x)
        if len(x.shape) == 3:
            x = keras.layers.GlobalAveragePooling1D(name="ensemble")(x)
    else:
        if len(x.shape) == 3:
            x = keras.layers.GlobalAveragePooling1D(name="ensemble")(x)
        scaling = Standardisation.of(meta)
        # min(max(x, low), high) as layers that every converter knows: shift to 0, clip by ReLU, and shift and scale back.
        x = keras.layers.Rescaling(1.0, offset=-scaling.low, name="above_minimum")(x)
        x = keras.layers.ReLU(max_value=scaling.high - scaling.low, name="within_range")(x)
        unit = scaling.unit
        coarse, fine = scaling.float16_parts()
        x = keras.layers.Rescaling(scaling.std / unit, offset=(fine or coarse) / unit, name="scale")(x)
        if fine:
            # The ReLU changes nothing, since nothing is negative here; it keeps converters from adding up the two offsets.
            x = keras.layers.ReLU(name="positive")(x)
            x = keras.layers.Rescaling(1.0, offset=coarse / unit, name="shift")(x)
        x = keras.layers.Rescaling(unit, name="prediction")(x)
    return keras.Model(core.input, x, name="model")


def predictions(output: NDArray[Any], meta: Target) -> NDArray[np.float32]:
    """What `inference_model` gives for a core's output, in NumPy."""
    if meta.kind == "classification":
        shifted = output - output.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return np.asarray(probabilities.mean(axis=1) if probabilities.ndim == 3 else probabilities, np.float32)
    number = output.mean(axis=1) if output.ndim == 3 else output
    scaling = Standardisation.of(meta)
    return np.asarray(np.clip(number, scaling.low, scaling.high) * scaling.std + scaling.mean, np.float32)


def standardised(y: NDArray[Any], meta: Target) -> NDArray[np.float32]:
    """A regression target [n] as the core learns it: [n, 1], of about zero mean and unit variance over the training
    rows."""
    scaling = Standardisation.of(meta)
    return ((np.asarray(y, np.float64) - scaling.mean) / scaling.std).astype(np.float32).reshape(-1, 1)


@dataclasses.dataclass(frozen=True)
class Standardisation:
    """How a regression target is shifted and scaled for training, with its range.

    The mean and deviation of the training rows, moved so slightly that the constants of the way back (`std`, `low`,
    and the parts of the least prediction) are exact in float16: an artifact with float16 weights holds them in that
    precision, where 65,504 is the largest number and 2,049 doesn't exist.
    """

    mean: float
    std: float
    low: float
    """Least and largest training target, standardised; predictions are kept within."""
    high: float
    floor: float
    """The least prediction, in the target's unit: `low` · std + mean."""
    unit: float
    """A power of two, in which the constants are small enough for float16."""

    @classmethod
    def of(cls, meta: Target) -> Standardisation:
        """Raises `Internal` when the prepared data lack what regression needs."""
        mean, std, least, largest = meta.target_mean, meta.target_std, meta.target_min, meta.target_max
        if mean is None or not std or least is None or largest is None:
            raise Internal("a regression task's prepared data lack the target's mean, deviation or range")
        unit = _unit(std, least)
        std = _float16(std / unit) * unit
        low = _float16((least - mean) / std)
        floor = sum(_split(least / unit, resolution=1e-3 * std / unit)) * unit
        return cls(floor - low * std, std, low, low + (largest - floor) / std, floor, unit)

    def float16_parts(self) -> tuple[float, float]:
        """(coarse, fine): the least prediction `floor` is their sum; both and `std`, divided by the unit, are exact in
        float16. `fine` is not negative, and 0 where the coarse part is near enough."""
        coarse, fine = _split(self.floor / self.unit, resolution=1e-3 * self.std / self.unit)
        return coarse * self.unit, fine * self.unit


def _float16(value: float) -> float:
    return float(np.float16(value))


def _unit(std: float, least: float) -> float:
    """A power of two by which the deviation and the least value become numbers that float16 has. Itself it must be
    one, so beyond 2 × 10⁹ there is none: the float model is right all the same, and an artifact in float16 is refused
    by its verification."""
    wanted = max(np.log2(std), np.log2(abs(least) / 30_000) if least else -np.inf)
    return float(2.0 ** np.clip(np.floor(wanted), -14, 15))


def _split(value: float, resolution: float) -> tuple[float, float]:
    """`value`, to about 22 bits, as the sum of two float16 numbers, of which the second isn't negative; it is 0 where
    the first is within `resolution`. Unchanged where float16 ends."""
    if abs(value) > float(np.finfo(np.float16).max):
        return value, 0.0
    coarse = np.float16(value)
    if float(coarse) > value:
        coarse = np.nextafter(coarse, np.float16(-np.inf))
    rest = value - float(coarse)
    return float(coarse), 0.0 if rest <= resolution else _float16(rest)
