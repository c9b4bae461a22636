"""One network that computes every smaller one of its space: by slices of its kernels, chosen while it runs.

The largest network's layers hold the weights. A smaller one of the same family is a table of whole numbers, one row for each
part of the largest: whether the part is there, its channels, its kernel's side, its stride. Kernels are cut at their centre,
channels from the front. The table is an argument of the graph, so nothing is traced again whichever network runs, and what
isn't there isn't computed either. Structure is said once: the table follows from the smaller network's blueprint by the
parts' names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog.blueprint import Blueprint, Part

PRESENT, CHANNELS, KERNEL, STRIDE = range(4)
HEAD = "logits"


class NotElastic(ValueError):
    """A network isn't part of the largest one."""


def table(largest: Blueprint, smaller: Blueprint) -> NDArray[np.int32]:
    """Rows (present, channels, kernel, stride) for each part of the largest; the last row holds height and width behind the
    resizing. Raises `NotElastic`."""
    known = {part.name: part for part in smaller.parts}
    rows = []
    for part in largest.parts:
        here = known.pop(part.name, None)
        if here is None:
            rows.append((0, 0, 1, 1))
            continue
        if here.channels > part.channels or here.kernel[0] > part.kernel[0]:
            raise NotElastic(f"{part.name} is larger than that of the largest network")
        rows.append((1, here.channels, here.kernel[0], here.strides[0]))
    seen = known.pop("resize", None) or next(part for part in smaller.parts if part.kind == "pixels")
    if known:
        raise NotElastic(f"the largest network has no {', '.join(sorted(known))}")
    return np.array([*rows, (1, 0, *seen.shape[:2])], np.int32)


def crop(side: int, whole: int) -> slice:
    """Where a kernel of `side` lies in one of `whole`: at its centre."""
    before = (whole - side) // 2
    return slice(before, before + side)


def sliced(layer: str, arrays: Sequence[NDArray[Any]], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[Any]]:
    """The weights of a smaller network's layer, of these shapes, out of the largest's: kernels [h, w, in, out] at their
    centre, channels from the front."""
    found = []
    for array, shape in zip(arrays, shapes, strict=True):
        places = tuple(
            crop(small, large) if len(shape) == 4 and axis < 2 else slice(0, small)
            for axis, (small, large) in enumerate(zip(shape, array.shape, strict=True))
        )
        found.append(np.ascontiguousarray(array[places]))
    return found


def layers_of(core: Any) -> dict[str, Any]:
    """By their names. Raises `NotElastic` where they can't be run as `finished` does."""
    layers = {layer.name: layer for layer in core.layers}
    for name, layer in layers.items():
        kind = type(layer).__name__
        if (name.endswith("_norm") and kind != "BatchNormalization") or (name.endswith("_act") and layer.weights):
            raise NotElastic(f"{name} ({kind}) can't be cut: supernets take batch-norm and activations without weights")
    return layers


def finished(part: Part, made: Any, layers: Mapping[str, Any], read: Callable[[str], list[Any]]) -> Any:
    """What stands behind a part's kernel: normalisation by the batch's own statistics, activation. `read` gives a layer's
    trainable tensors."""
    import tensorflow as tf

    if f"{part.name}_norm" in layers:
        layer = layers[f"{part.name}_norm"]
        scale, shift = read(layer.name)
        made = tf.compat.v1.nn.fused_batch_norm(made, scale, shift, epsilon=layer.epsilon, is_training=True)[0]
    if part.activation:
        made = layers[f"{part.name}_act"](made)
    return made


class Elastic:
    """The graph of the largest network, cut by a table. `core` is its Keras model, whose layers are named as its parts are;
    every normalisation is over the batch, by the batch's own statistics."""

    def __init__(self, core: Any, largest: Blueprint, strides: Sequence[set[int]]):
        """`strides` are those that each part may have, over all smaller networks."""
        self.core = core
        self.parts = largest.parts
        self.strides = strides
        self.layers = layers_of(core)

    def read(self, layer: str) -> list[Any]:
        """The layer's trainable tensors."""
        return [v.value for v in self.layers[layer].trainable_variables]

    def outputs(self, image: Any, rows: Any, read: Callable[[str], list[Any]] | None = None) -> Any:
        """Logits [b, classes] of the network of that table, int32 [parts + 1, 4]; with `read` of other weights."""
        import tensorflow as tf

        read = read or self.read
        tensors: list[Any] = []
        for place, part in enumerate(self.parts):
            xs = [tensors[i] for i in part.inputs]
            if part.kind == "input":
                made = image
            elif part.kind == "pixels":
                made = self._resized(self.layers["pixels"](xs[0]), rows[-1, 2:])
            elif part.kind in ("mean", "drop"):
                made = tf.reduce_mean(xs[0], axis=(1, 2)) if part.kind == "mean" else xs[0]
            elif part.name in ("stem", "last"):
                made = self._kernel(part, xs[0], rows[place], self.strides[place], read)
            else:
                made = self._cond(part, xs, rows[place], self.strides[place], read)
                made = tf.ensure_shape(made, [None] * len(xs[0].shape))
            tensors.append(made)
        kernel, bias = read(HEAD)
        features = tensors[-1]
        return features @ kernel[: tf.shape(features)[-1]] + bias

    def _cond(self, part: Part, xs: list[Any], row: Any, strides: set[int], read: Callable[[str], list[Any]]) -> Any:
        import tensorflow as tf

        def there() -> Any:
            return xs[0] + xs[1] if part.kind == "add" else self._kernel(part, xs[0], row, strides, read)

        return tf.cond(row[PRESENT] > 0, there, lambda: tf.identity(xs[0]))

    def _kernel(self, part: Part, x: Any, row: Any, strides: set[int], read: Callable[[str], list[Any]]) -> Any:
        """A convolution with its normalisation and activation."""
        import tensorflow as tf

        kernel, *bias = read(part.name)
        side, whole, channels = row[KERNEL], part.kernel[0], row[CHANNELS]
        before = (whole - side) // 2
        kernel = kernel[before : before + side, before : before + side]
        if part.kind == "depthwise":
            kernel = kernel[:, :, :channels]

            def convolve(stride: int) -> Any:
                return tf.nn.depthwise_conv2d(x, kernel, (1, stride, stride, 1), "SAME")
        else:
            kernel = kernel[:, :, : tf.shape(x)[-1], :channels]

            def convolve(stride: int) -> Any:
                return tf.nn.conv2d(x, kernel, stride, "SAME")

        if len(strides) == 1:
            made = convolve(next(iter(strides)))
        else:
            made = tf.cond(row[STRIDE] > 1, lambda: convolve(max(strides)), lambda: convolve(min(strides)))
        if bias:
            made = made + bias[0][:channels]
        return finished(part, made, self.layers, lambda layer: [v[:channels] for v in read(layer)])

    def _resized(self, x: Any, size: Any) -> Any:
        import tensorflow as tf

        same = tf.reduce_all(tf.equal(size, tf.shape(x)[1:3]))
        made = tf.cond(same, lambda: tf.identity(x), lambda: tf.image.resize(x, size))
        return tf.ensure_shape(made, [None, None, None, x.shape[-1]])
