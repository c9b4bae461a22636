"""From the model that was trained to the one that leaves training: plain layers in the place of those that act in training
only.

A layer takes part by a method `folded() -> keras.Layer | None`: a built layer that does in inference what it does (a
reparametrised kernel as a plain kernel), or None where that is nothing (noise). Compression and export so see stock
layers alone, and what was an expense of training costs nothing afterwards.
"""

from __future__ import annotations

from typing import Any

import keras


def fold(model: keras.Model) -> keras.Model:
    """The functional model with every layer that has `folded` replaced by what it gives; all other layers are shared with
    the model given, weights included. The model itself where nothing is to be replaced."""
    if not any(hasattr(layer, "folded") for layer in model.layers):
        return model
    nothing: set[int] = set()

    def replaced(layer: Any) -> Any:
        if not hasattr(layer, "folded"):
            return layer
        plain = layer.folded()
        if plain is None:
            nothing.add(id(layer))
            return layer
        return plain

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if id(layer) in nothing else layer(*args, **kwargs)

    # A model of its own that isn't compiled: cloning would copy the optimizer, with schedules that aren't serialisable.
    model = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(model, clone_function=replaced, call_function=called)
