"""Layers for sequences: which steps are there and which only fill up, and means over those that are.

Keras's own masks travel beside the tensors, where neither the bridge nor a converter sees them; here a mask is a tensor
[b, steps, 1] of ones and zeros.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

PACKAGE = "automl"


@keras.saving.register_keras_serializable(PACKAGE)
class PaddingMask(keras.layers.Layer):
    """1 where a token stands, 0 where code 0 fills up: int32 [b, steps] → float32 [b, steps, 1]."""

    def call(self, inputs: Any) -> Any:
        return ops.expand_dims(ops.cast(ops.minimum(inputs, 1), self.compute_dtype), -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, 1)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class ChannelSlice(keras.layers.Layer):
    """The channels `start` to `stop` (exclusive): [b, steps, channels] → [b, steps, stop − start]."""

    def __init__(self, start: int, stop: int, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= start < stop:
            raise ValueError(f"expected 0 ≤ start < stop, got {start} and {stop}")
        self.start, self.stop = start, stop

    def call(self, inputs: Any) -> Any:
        return inputs[..., self.start : self.stop]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "stop": self.stop}


LEVELS = 255
"""Of a number of 8 bits, beside zero."""


@keras.saving.register_keras_serializable(PACKAGE)
class MaskedMean(keras.layers.Layer):
    """The mean over the steps that are there: [x [b, steps, f], mask [b, steps, 1]] → [b, f]; zeros where no step is.

    Fewer steps than a 255th of all, or than one, count as so many. An int8 file counts in as many levels: a smaller number
    may be level 0 there, and its kernels end the whole prediction rather than divide by it.
    """

    def call(self, inputs: Any) -> Any:
        x, mask = inputs
        return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), max(1.0, (mask.shape[1] or 1) / LEVELS))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], input_shape[0][2])


@keras.saving.register_keras_serializable(PACKAGE)
class CodeLimit(keras.layers.Layer):
    """Codes from `limit` on become `unknown`: int32 [b, steps] → the same shape."""

    def __init__(self, limit: int, unknown: int, **kwargs: Any):
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)
        if not 0 <= unknown < limit:
            raise ValueError(f"expected 0 ≤ unknown < limit, got {unknown} and {limit}")
        self.limit, self.unknown = limit, unknown

    def call(self, inputs: Any) -> Any:
        return ops.where(inputs < self.limit, inputs, ops.full_like(inputs, self.unknown))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "limit": self.limit, "unknown": self.unknown}


@keras.saving.register_keras_serializable(PACKAGE)
class TokenPairs(keras.layers.Layer):
    """Neighbouring tokens as the number of a bucket: int32 [b, steps] → int32 [b, steps − 1].

    1 + (a · 31,337 + b) mod `buckets` where both are there, 0 where one fills up. Codes below 65,000 don't overflow 32 bits;
    pairs that fall into one bucket share its vector (Weinberger et al., Feature Hashing, arXiv:0902.2206).
    """

    FACTOR = 31_337

    def __init__(self, buckets: int, **kwargs: Any):
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)
        if buckets < 2:
            raise ValueError(f"expected at least 2 buckets, got {buckets}")
        self.buckets = buckets

    def call(self, inputs: Any) -> Any:
        first, second = inputs[:, :-1], inputs[:, 1:]
        bucket = ops.mod(first * self.FACTOR + second, self.buckets) + 1
        return ops.where(ops.minimum(first, second) > 0, bucket, ops.zeros_like(bucket))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((inputs.shape[0], inputs.shape[1] - 1), dtype="int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "buckets": self.buckets}


@keras.saving.register_keras_serializable(PACKAGE)
class Taps(keras.layers.Layer):
    """What a convolution of `count` taps sees at each step, side by side: [b, 1, steps, c] → [b, 1, steps, count · c].

    The taps are `dilation` steps apart, the middle one at the step itself, zeros beyond the ends; tap k of channel j becomes
    channel k · c + j. With `centred` their mean is taken away. A 1 × 1 convolution behind it is a dilated convolution,
    without the copying to and fro by which TensorFlow and TFLite compute those on a CPU.
    """

    def __init__(self, count: int, dilation: int, centred: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if count < 1 or dilation < 1:
            raise ValueError(f"expected a count and a dilation of at least 1, got {count} and {dilation}")
        self.count, self.dilation, self.centred = count, dilation, centred

    def call(self, inputs: Any) -> Any:
        reach, steps = (self.count - 1) * self.dilation, inputs.shape[2]
        padded = ops.pad(inputs, ((0, 0), (0, 0), (reach // 2, reach - reach // 2), (0, 0)))
        taps = [padded[:, :, k * self.dilation : k * self.dilation + steps] for k in range(self.count)]
        if self.centred:
            mean = sum(taps) * (1 / self.count)
            taps = [tap - mean for tap in taps]
        return ops.concatenate(taps, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.count * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count, "dilation": self.dilation, "centred": self.centred}
