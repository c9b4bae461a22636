"""Zeros and shared values that stay through quantisation-aware training: PQAT, CQAT and PCQAT.

tfmot 0.8.1 has schemes for this, and what they kept was counted in the written files: `prune_preserve` keeps its zeros;
`cluster_preserve` gives each channel of a convolution clusters of its own, so 8 shared values became about 100 in a file,
and one layer without zeros (a small first kernel that pruning leaves whole) switches the preserving of zeros off for all
layers, so of 50 % zeros 5 % were left. Hence tfmot's plain scheme, and what is to stay is put in front of its quantizers:

- zeros: the kernel is multiplied by its mask in each step;
- shared values: the kernel is c[k] with fixed places k and trained values c, on one grid of 255 steps for the whole tensor
  instead of one a channel, so that equal values are equal bytes in the file.

What there is to be kept is seen on the kernels themselves, whichever step has made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FEWEST_ZEROS = 0.05
"""Share of a kernel; fewer zeros are chance."""
MOST_VALUES = 256
SHARED = 4
"""Weights for each distinct value at least, where values count as shared."""


class Kept:
    """What stays in the layers of a model with fake quantisation."""

    def __init__(self, quantised: Any):
        """Puts the masks and the shared values in; `quantised` is what tfmot's `quantize_apply` made, its weights there."""
        self._original: list[tuple[Any, list[Any]]] = []
        self._kernels: list[_Kernel] = []
        for layer in quantised.layers:
            if not (held := getattr(layer, "_weight_vars", None)):
                continue
            self._original.append((layer, list(held)))
            layer._weight_vars = [(weight, self._around(layer, weight, *rest), rest[-1]) for weight, *rest in held]
        self.zeros = sum(kernel.mask is not None for kernel in self._kernels)
        """Kernels whose zeros are kept."""
        self.shared = sum(kernel.values is not None for kernel in self._kernels)
        """Kernels whose values are shared."""

    def _around(self, layer: Any, weight: Any, quantizer: Any, ranges: Any) -> Any:
        kernel = _Kernel(layer, weight, quantizer, ranges)
        if kernel.mask is None and kernel.values is None:
            return quantizer
        self._kernels.append(kernel)
        return kernel

    def settle(self) -> None:
        """Ends the training: the layers' own variables hold what is kept, and the plain quantizers are back."""
        for kernel in self._kernels:
            kernel.settle()
        for layer, held in self._original:
            layer._weight_vars = held


class _Kernel:
    """In the place of a weight's quantizer."""

    def __init__(self, layer: Any, weight: Any, quantizer: Any, ranges: Any):
        import tensorflow as tf

        self._weight, self._quantizer, self._ranges = weight, quantizer, ranges
        kernel = weight.numpy()
        distinct, places = np.unique(kernel, return_inverse=True)
        self.mask: Any = None
        self.values: Any = None
        if (kernel == 0).mean() >= FEWEST_ZEROS:
            self.mask = (kernel != 0).astype(np.float32)
        if len(distinct) <= min(MOST_VALUES, kernel.size // SHARED):
            self._places = tf.constant(places.reshape(kernel.shape), tf.int32)
            self.values = layer.add_weight(
                name="shared_values", shape=distinct.shape, dtype=tf.float32, trainable=True,
                initializer=lambda shape, dtype=None: tf.constant(distinct, dtype),
            )

    def __call__(self, inputs: Any, training: bool, weights: Any, **more: Any) -> Any:
        import tensorflow as tf

        if self.values is None:
            return self._quantizer(inputs * self.mask, training, weights=weights, **more)
        kernel = self._whole()
        largest = tf.reduce_max(tf.abs(kernel))
        return tf.quantization.fake_quant_with_min_max_vars(kernel, -largest, largest, num_bits=8, narrow_range=True)

    def _whole(self) -> Any:
        import tensorflow as tf

        if self.values is None:
            return self._weight * self.mask
        kernel = tf.gather(self.values, self._places)
        return kernel if self.mask is None else kernel * self.mask

    def settle(self) -> None:
        import tensorflow as tf

        kernel = self._whole()
        self._weight.assign(kernel)
        channels = tuple(range(len(kernel.shape) - 1)) if self.values is None and self._quantizer.per_axis else None
        largest = tf.reduce_max(tf.abs(kernel), axis=channels)
        for name, bound in (("min_var", -largest), ("max_var", largest)):
            self._ranges[name].assign(tf.broadcast_to(bound, self._ranges[name].shape))
