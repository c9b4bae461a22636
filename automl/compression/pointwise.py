"""Dense layers as convolutions of 1 × 1, for quantisation-aware training: on places, and with a normalisation behind them.

A normalisation scales each unit by its own factor. TFLite's converter folds that into the integer kernel of a convolution,
which has a scale for each channel; a fully connected layer that was trained under quantisation has one scale for the whole
kernel, so there the converter folds into floats and leaves the kernel float, four times as large, without a word (seen
with TensorFlow 2.21; a scale for each unit makes it fail). On pictures of one pixel both compute the same.

On the places of a picture, or of its windows, tf_keras computes a dense layer between two reshapes that ask for the batch's
size, at which the converter fails; as a convolution it needs none. (On steps `single_row` does that.)
"""

from __future__ import annotations

from typing import Any

KEEP_SHAPE = frozenset({"Activation", "ReLU", "LeakyReLU", "Dropout"})
"""Layers that don't mind whether vectors come as pictures of one pixel; what else comes behind gets vectors again."""


def rewritten(model: Any) -> Any:
    """The Keras 3 model with these as convolutions, its weights taken over; `model` itself where it has none."""
    import keras

    pairs = {layer.name for layer in model.layers if _normalised(layer)}
    on_places = {layer.name for layer in model.layers if type(layer).__name__ == "Dense" and len(layer.output.shape) == 4}
    if not pairs | on_places:
        return model
    norms = {_following(layer).name for layer in model.layers if layer.name in pairs}
    pixels: set[int] = set()

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in pairs:
            return keras.layers.Conv2D(layer.units, 1, use_bias=layer.use_bias, name=layer.name)
        if layer.name in on_places:
            return keras.layers.Conv2D(
                layer.units, 1, activation=layer.activation, use_bias=layer.use_bias, name=layer.name
            )
        if layer.name in norms:
            config["axis"] = -1
        return type(layer).from_config(config)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        x: Any = args[0]
        if layer.name in pairs and id(x) not in pixels:
            x = keras.layers.Reshape((1, 1, x.shape[-1]))(x)
        if layer.name in pairs or (id(x) in pixels and (layer.name in norms or type(layer).__name__ in KEEP_SHAPE)):
            y = layer(x, **kwargs)
            pixels.add(id(y))
            return y
        args = keras.tree.map_structure(
            lambda t: keras.layers.Reshape((t.shape[-1],))(t) if id(t) in pixels else t, args
        )
        return layer(*args, **kwargs)

    made = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in pairs | on_places:
            weights[0] = weights[0][None, None]
        made.get_layer(layer.name).set_weights(weights)
    return made


def _normalised(layer: Any) -> bool:
    """Whether this is a dense layer on vectors, linear, whose only reader is a normalisation."""
    if type(layer).__name__ != "Dense" or len(layer.output.shape) != 2 or layer.activation.__name__ != "linear":
        return False
    return len(layer._outbound_nodes) == 1 and type(_following(layer)).__name__ == "BatchNormalization"


def _following(layer: Any) -> Any:
    return layer._outbound_nodes[0].operation
