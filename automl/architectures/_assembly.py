"""From a blueprint to Keras layers: every part by the builder, so that each gets the plan's initialisation, normalisation,
activation and dropout as in families drawn by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from automl.architectures.builder import Builder
from automl.catalog import Component
from automl.catalog.blueprint import Blueprint, Part

Make = Callable[[Part, list[Any], Builder], Any]


BATCH_NORM = Component("automl.techniques.norm.layers:batch_layer", {"momentum": 0.9})


def normalizing(builder: Builder) -> Builder:
    """The builder, with batch-norm where its plan normalises nothing: parts that are laid down as normalised then are."""
    if builder.plan.norm is None:
        builder.plan = builder.plan.replace(norm=BATCH_NORM)
    return builder


def assemble(net: Blueprint, inputs: Mapping[str, Any], builder: Builder, own: Mapping[str, Make] | None = None) -> Any:
    """The blueprint's output on Keras tensors, given for its input parts by their names. `own` makes the kinds of parts that
    only one family has."""
    tensors: list[Any] = []
    for part in net.parts:
        if part.kind == "input":
            tensors.append(inputs[part.name])
        else:
            made = (own or {}).get(part.kind) or _MAKERS[part.kind]
            tensors.append(made(part, [tensors[i] for i in part.inputs], builder))
    return tensors[-1]


def _finished(part: Part, x: Any, builder: Builder) -> Any:
    """Behind a kernel: normalisation and activation as the part has them."""
    if part.deferred:
        return x
    if part.activation in ("silu", "tanh"):
        # In the place of the plan's, so with what stands behind that, and under its name.
        x = builder.finish(x, name=part.name, normalize=part.normalized, activate=False)
        return builder.drop(builder.layers.Activation(part.activation, name=f"{part.name}_act")(x))
    if part.activation in ("relu", "sigmoid", "softmax"):
        return builder.layers.Activation(part.activation, name=f"{part.name}_{part.activation}")(x)
    return builder.finish(x, name=part.name, normalize=part.normalized, activate=part.activation == "plan")


def _biased(part: Part, builder: Builder) -> bool:
    return part.bias and (not part.normalized or builder.plan.norm is None)


def _conv(part: Part, xs: list[Any], builder: Builder) -> Any:
    x = builder.plain_conv(
        xs[0], part.channels, part.kernel, strides=part.strides, dilation=part.dilation, name=part.name,
        use_bias=_biased(part, builder),
    )
    return _finished(part, x, builder)


def _depthwise(part: Part, xs: list[Any], builder: Builder) -> Any:
    x = builder.depthwise(
        xs[0], part.kernel, strides=part.strides, dilation=part.dilation, name=part.name, finish=False,
        use_bias=_biased(part, builder),
    )
    return _finished(part, x, builder)


def _dense(part: Part, xs: list[Any], builder: Builder) -> Any:
    layer = builder.dense_layer(part.channels, name=part.name, use_bias=_biased(part, builder))
    return _finished(part, layer(xs[0]), builder)


def _mean(part: Part, xs: list[Any], builder: Builder) -> Any:
    return builder.layers.GlobalAveragePooling2D(keepdims=len(part.shape) == 3, name=part.name)(xs[0])


def _max_pool(part: Part, xs: list[Any], builder: Builder) -> Any:
    return _pooled(builder.layers.MaxPooling2D, part, xs[0], builder)


def _average_pool(part: Part, xs: list[Any], builder: Builder) -> Any:
    return _pooled(builder.layers.AveragePooling2D, part, xs[0], builder)


def _pooled(kind: Any, part: Part, x: Any, builder: Builder) -> Any:
    if part.zeros:
        around = tuple(over // 2 for over in part.kernel)
        x = builder.layers.ZeroPadding2D(around, name=f"{part.name}_zeros")(x)
    padding = "valid" if part.zeros else "same"
    return kind(part.kernel, strides=part.strides, padding=padding, name=part.name)(x)


def _add(part: Part, xs: list[Any], builder: Builder) -> Any:
    if part.depth and len(xs) == 2:
        x = builder.residual(*xs, depth=part.depth, name=part.name)
    else:
        x = builder.layers.Add(name=f"{part.name}_add")(xs) if len(xs) > 1 else xs[0]
    return _finished(part, x, builder)


_MAKERS: dict[str, Make] = {
    "pixels": lambda part, xs, builder: builder.pixels(xs[0]),
    "resize": lambda part, xs, builder: builder.layers.Resizing(part.shape[0], part.shape[1], name=part.name)(xs[0]),
    "conv": _conv,
    "depthwise": _depthwise,
    "dense": _dense,
    "max-pool": _max_pool,
    "average-pool": _average_pool,
    "mean": _mean,
    "add": _add,
    "multiply": lambda part, xs, builder: builder.layers.Multiply(name=part.name)(xs),
    "concatenate": lambda part, xs, builder: builder.layers.Concatenate(name=part.name)(xs),
    "norm": lambda part, xs, builder: _finished(part, xs[0], builder),
    "drop": lambda part, xs, builder: builder.drop(xs[0]),
}
