"""What computes along one axis as convolutions of pictures of one row, for quantisation-aware training.

tfmot knows Conv2D and DepthwiseConv2D, and folds a normalisation behind them; it knows no Conv1D, no separable or depthwise
convolution along one axis, and no pooling there. Dense layers on each step it knows, but tf_keras computes them between two
reshapes that ask for the batch's size, and the converter leaves such a kernel float (seen with TensorFlow 2.21). TensorFlow
and TFLite compute all of these as pictures of height 1 anyway, so the network is written so: [b, steps, c] becomes
[b, 1, steps, c] in front of the first of them and stays that through what doesn't mind (normalisation, activations, sums,
concatenation); what else comes gets its steps back.
"""

from __future__ import annotations

from typing import Any

CONVOLUTIONS = frozenset({"Conv1D", "SeparableConv1D", "DepthwiseConv1D"})
POOLINGS = frozenset({"MaxPooling1D", "AveragePooling1D"})
KEEP_ROW = frozenset({"Activation", "ReLU", "LeakyReLU", "Dropout", "Add", "Multiply", "Concatenate", "BatchNormalization"})
"""Layers that do the same to pictures of one row, where the axis that they name, if any, is the channels'."""


def rewritten(model: Any) -> Any:
    """The Keras 3 model with its convolutions and dense layers along one axis as pictures', its weights taken over; `model`
    itself where it has none."""
    import keras

    on_steps = {layer.name for layer in model.layers if _on_steps(layer)}
    if not on_steps:
        return model
    rows: set[int] = set()
    """Tensors that are pictures of one row."""
    made_of: dict[str, list[Any]] = {}
    """Layer → those that compute it, in the order of its weights."""

    def clone(layer: Any) -> Any:
        # What becomes of a convolution is decided where it is called: only there its input is known.
        return type(layer).from_config(layer.get_config())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        kind = type(layer).__name__
        if layer.name in on_steps or kind in POOLINGS:
            parts = _as_picture(keras, layer)
            made_of[layer.name] = [part for part in parts if part.weights or type(part).__name__.endswith("Conv2D")]
            x = args[0]
            if id(x) not in rows:
                x = keras.layers.Reshape((1, -1 if x.shape[1] is None else x.shape[1], x.shape[2]))(x)
            for part in parts:
                x = part(x)
            rows.add(id(x))
            return x
        tensors = keras.tree.flatten(args)
        mine = [t for t in tensors if id(t) in rows]
        if mine and len(mine) == len(tensors) and kind in KEEP_ROW and _of_channels(layer):
            y = _again(layer)(*args, **kwargs)
            made_of[layer.name] = [y._keras_history.operation]
            rows.add(id(y))
            return y
        if mine:
            args = keras.tree.map_structure(lambda t: _with_steps(keras, t) if id(t) in rows else t, args)
        return layer(*args, **kwargs)

    made = keras.models.clone_model(model, clone_function=clone, call_function=call)
    if any(id(t) in rows for t in made.outputs):
        back = keras.tree.map_structure(lambda t: _with_steps(keras, t) if id(t) in rows else t, made.output)
        made = keras.Model(made.input, back, name=made.name)
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name in on_steps:
            _take_over(layer, made_of[layer.name])
        else:
            place = made_of.get(layer.name) or [made.get_layer(layer.name)]
            place[0].set_weights(layer.get_weights())
    return made


def _on_steps(layer: Any) -> bool:
    """Whether the layer computes along one axis with weights: a convolution, or a dense layer on each step."""
    kind = type(layer).__name__
    return kind in CONVOLUTIONS or (kind == "Dense" and len(layer.output.shape) == 3)


def _with_steps(keras: Any, picture: Any) -> Any:
    """[b, 1, steps, c] → [b, steps, c]."""
    _, _, steps, width = picture.shape
    return keras.layers.Reshape((-1 if steps is None else steps, width))(picture)


def _of_channels(layer: Any) -> bool:
    """Whether the axis that a layer on [b, steps, c] names, if any, is the last one."""
    return getattr(layer, "axis", -1) in (-1, 2)


def _again(layer: Any) -> Any:
    """The layer for pictures of one row: the same, with its axis counted from the end."""
    config = layer.get_config()
    if "axis" in config:
        config["axis"] = -1
    return type(layer).from_config(config)


def _as_picture(keras: Any, layer: Any) -> list[Any]:
    """The layers of pictures that compute what a layer along one axis does, one behind the other."""
    layers, kind = keras.layers, type(layer).__name__
    if kind in POOLINGS:
        pooling = layers.MaxPooling2D if kind == "MaxPooling1D" else layers.AveragePooling2D
        return [pooling((1, layer.pool_size[0]), (1, layer.strides[0]), layer.padding, name=layer.name)]
    if kind == "Dense":
        return [layers.Conv2D(
            layer.units, 1, activation=layer.activation, use_bias=layer.use_bias, name=layer.name
        )]
    (size,), (step,), (apart,) = layer.kernel_size, layer.strides, layer.dilation_rate
    padding, parts = layer.padding, []
    if padding == "causal":
        parts.append(layers.ZeroPadding2D(((0, 0), (apart * (size - 1), 0)), name=f"{layer.name}_before"))
        padding = "valid"
    if kind == "Conv1D":
        return [*parts, layers.Conv2D(
            layer.filters, (1, size), (1, step), padding, dilation_rate=(1, apart), groups=layer.groups,
            activation=layer.activation, use_bias=layer.use_bias, name=layer.name,
        )]
    # TensorFlow's depthwise kernels take equal steps along both axes; along one row a step down leads nowhere.
    single = kind == "DepthwiseConv1D"
    parts.append(layers.DepthwiseConv2D(
        (1, size), (step, step), padding, depth_multiplier=layer.depth_multiplier, dilation_rate=(1, apart),
        activation=layer.activation if single else None, use_bias=layer.use_bias and single,
        name=layer.name if single else f"{layer.name}_depthwise",
    ))
    if not single:
        parts.append(layers.Conv2D(
            layer.filters, 1, activation=layer.activation, use_bias=layer.use_bias, name=layer.name
        ))
    return parts


def _take_over(layer: Any, parts: list[Any]) -> None:
    """A convolution's weights into the layers that compute it: kernels get an axis of one row."""
    values = layer.get_weights()
    convolutions = [part for part in parts if type(part).__name__.endswith("Conv2D")]
    kernels = [value.reshape((1,) * (4 - value.ndim) + value.shape) for value in values[: len(convolutions)]]
    for number, (part, kernel) in enumerate(zip(convolutions, kernels, strict=True)):
        last = number == len(convolutions) - 1
        part.set_weights([kernel, *values[len(convolutions) :]] if last else [kernel])
