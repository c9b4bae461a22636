"""Parts of very different ranges that stand side by side in front of a dense layer, each with a layer of its own.

In an integer file everything in a concatenation has one scale, that of the widest part: beside numbers up to 3, means of up
to 0.1 have a few steps out of 256. A dense layer of a concatenation is the sum of a dense layer of each part, and these have
scales of their own. (A convolutional network of news with the means of its words beside its filters lost eight points of
accuracy as int8, and loses none so.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

RATIO = 4.0
"""Parts stay together as long as their ranges are no more than as many times each other: that costs two of eight bits."""
IDLE = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "Identity")
"""Layers that do nothing in inference."""


def unjoined(model: keras.Model, rows: Mapping[str, np.ndarray]) -> keras.Model:
    """The model (of the same layers) with a dense layer for each group of parts whose ranges over the `rows`, encoded
    inputs by name, are alike, where one stands behind a concatenation of several such groups. Computes the same but for
    rounding. Models within the model are gone through, too."""
    import keras

    if not any(type(layer).__name__ == "Concatenate" for layer in model._flatten_layers()):
        return model
    inputs = {i.name: keras.Input(i.shape[1:], dtype=i.dtype, name=i.name) for i in model.inputs}
    tensors = inputs if isinstance(model.input, dict) else [inputs[i.name] for i in model.inputs]
    joined: dict[int, tuple[Any, list[Any]]] = {}
    """By its id: a tensor (held, so that no other has this id) that is others side by side, and these."""

    def values(of: Any) -> Any:
        given = {name: rows[name].astype(tensor.dtype) for name, tensor in inputs.items()}
        found = keras.Model(inputs, of)(given, training=False)
        return keras.tree.map_structure(lambda tensor: np.asarray(keras.ops.convert_to_numpy(tensor)), found)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else None
        parts = joined.get(id(given), (None, []))[1]
        kind = type(layer).__name__
        if kind == "Dense" and len(groups := alike([ranges(v) for v in values(parts)] if parts else [])) > 1:
            return _summed(layer, parts, groups)
        if isinstance(layer, keras.Model):
            named = given if isinstance(given, Mapping) else {i.name: given for i in layer.inputs}
            layer = unjoined(layer, values(dict(named))) if len(named) == len(layer.inputs) else layer
        out = layer(*args, **kwargs)
        if kind == "Concatenate" and layer.axis in (-1, len(out.shape) - 1):
            joined[id(out)] = out, list(args[0])
        elif kind in IDLE and parts:
            joined[id(out)] = out, parts
        return out

    made = keras.models.clone_model(model, input_tensors=tensors, clone_function=lambda layer: layer, call_function=call)
    made.name = model.name
    return made


def ranges(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def alike(sizes: Sequence[float]) -> list[list[int]]:
    """Places of parts, in groups whose largest range is at most `RATIO` times their smallest; each in ascending order."""
    groups: list[list[int]] = []
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        if groups and sizes[groups[-1][0]] <= RATIO * sizes[place]:
            groups[-1].append(place)
        else:
            groups.append([place])
    return [sorted(group) for group in groups]


def _summed(layer: Any, parts: Sequence[Any], groups: Sequence[Sequence[int]]) -> Any:
    """What a dense layer makes of the parts side by side, as the sum of a layer for each group."""
    import keras

    kernel, *bias = layer.get_weights()
    ends = np.cumsum([part.shape[-1] for part in parts])
    sums = []
    for number, group in enumerate(groups, 1):
        x = parts[group[0]] if len(group) == 1 else (
            keras.layers.Concatenate(name=f"{layer.name}_parts_{number}")([parts[place] for place in group])
        )
        first = number == 1
        dense = keras.layers.Dense(layer.units, use_bias=bool(bias) and first, name=f"{layer.name}_of_{number}")
        sums.append(dense(x))
        rows = np.concatenate([np.arange(ends[place] - parts[place].shape[-1], ends[place]) for place in group])
        dense.set_weights([kernel[rows], *(bias if first else [])])
    total = keras.layers.Add(name=f"{layer.name}_sum")(sums)
    return keras.layers.Activation(layer.activation, name=f"{layer.name}_activation")(total)
