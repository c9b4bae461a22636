"""What a model's training steps need: memory and arithmetic, counted from the built model before it is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from automl.spec.model import Frozen

UNMOVED = frozenset({"InputLayer", "Reshape", "Flatten", "Identity", "Permute"})
"""Kinds of layers whose output is their input, seen otherwise."""
HALF = {"mixed_float16": 2, "mixed_bfloat16": 2}


class TooLarge(MemoryError):
    """A batch's activations don't fit into the memory that the training may use."""


class StepProfile(Frozen):
    """The needs of one training step."""

    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    """Of the batch, forward; kept for the way back."""
    macs: int
    """Multiply-adds of one example, forward."""
    batch_size: int
    step_s: float | None = None
    """Measured; None where it wasn't."""

    @property
    def state_bytes(self) -> int:
        """Without activations: what no smaller batch changes."""
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activations_bytes


def profile(core: Any, optimizer: Any, batch_size: int, precision: str = "float32") -> StepProfile:
    """Counts a built core with its built optimizer."""
    width = HALF.get(precision, 4)
    moving = [layer for layer in core.layers if type(layer).__name__ not in UNMOVED]
    elements = sum(_elements(shape) for layer in moving for shape in _outputs(layer))
    return StepProfile(
        weights_bytes=_bytes(core.variables), gradients_bytes=_bytes(core.trainable_variables),
        optimizer_bytes=_bytes(optimizer.variables), activations_bytes=elements * width * batch_size,
        macs=sum(macs(layer) for layer in core.layers), batch_size=batch_size,
    )


def macs(layer: Any) -> int:
    """Multiply-adds of a layer for one example; of kinds without a rule here, one for each trainable weight of its matrices,
    as if they were applied once."""
    shapes = _outputs(layer)
    # A wrapper that computes its layer with another kernel takes what the layer takes.
    inner = layer.layer if hasattr(layer, "folded") and hasattr(layer, "layer") else layer
    rule = _RULES.get(type(inner).__name__)
    if rule is not None and shapes:
        return int(rule(inner, shapes[0]))
    return _matrices(layer)


def _matrices(layer: Any) -> int:
    """Weights of a layer's matrices. (A GRU's bias has two rows.)"""
    return sum(math.prod(v.shape) for v in layer.trainable_variables if len(v.shape) > 1 and "bias" not in v.name)


def _dense(layer: Any, output: tuple[int | None, ...]) -> int:
    return math.prod(layer.kernel.shape) * _elements(output[:-1])


def _convolution(layer: Any, output: tuple[int | None, ...]) -> int:
    # A kernel [… , channels in of the group, filters] is applied at each place.
    return math.prod(layer.kernel.shape) * (_elements(output) // layer.filters)


def _depthwise(layer: Any, output: tuple[int | None, ...]) -> int:
    return math.prod(layer.kernel.shape[:-2]) * _elements(output)


def _separable(layer: Any, output: tuple[int | None, ...]) -> int:
    places = _elements(output) // layer.filters
    return places * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))


def _einsum(layer: Any, output: tuple[int | None, ...]) -> int:
    """One multiply-add for each combination of all letters but the batch's."""
    terms, _, result = layer.equation.partition("->")
    first, kernel = terms.split(",")
    sizes = {**dict(zip(kernel, layer.kernel.shape, strict=True)), **_letters(first, layer.input.shape)}
    sizes |= _letters(result, output)
    return math.prod(size for letter, size in sizes.items() if size is not None)


def _letters(term: str, shape: Iterable[int | None]) -> dict[str, int | None]:
    # An ellipsis stands for leading axes, which Keras's Dense-like equations don't use beside letters of their own.
    return dict(zip(reversed(term.replace(".", "")), reversed(tuple(shape)), strict=False))


def _attention(layer: Any, output: tuple[int | None, ...]) -> int:
    query, *rest = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    length = _elements(query.shape[:-1])
    others = _elements(rest[0].shape[:-1]) if rest else length
    heads = layer.num_heads
    projections = sum(
        math.prod(part.kernel.shape) * places
        for part, places in ((layer._query_dense, length), (layer._key_dense, others), (layer._value_dense, others),
                             (layer._output_dense, length))
    )
    width = heads * (layer._query_dense.kernel.shape[-1] + layer._value_dense.kernel.shape[-1])
    return projections + length * others * int(width)


def _recurrent(layer: Any, output: tuple[int | None, ...]) -> int:
    steps = layer.input.shape[1] or 1
    return int(steps) * _matrices(layer)


_RULES = {
    "Dense": _dense, "Conv1D": _convolution, "Conv2D": _convolution, "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise, "SeparableConv1D": _separable, "SeparableConv2D": _separable, "EinsumDense": _einsum,
    "MultiHeadAttention": _attention, "LSTM": _recurrent, "GRU": _recurrent, "SimpleRNN": _recurrent, "RNN": _recurrent,
    "Bidirectional": _recurrent, "Embedding": lambda layer, output: 0, "BatchNormalization": lambda layer, output: 0,
}


def _outputs(layer: Any) -> list[tuple[int | None, ...]]:
    """The shapes of a layer's outputs, in each place where the model uses it."""
    found = []
    for node in layer._inbound_nodes:
        found += [tuple(tensor.shape) for tensor in _flat(node.output_tensors)]
    return found


def _flat(tensors: Any) -> Iterator[Any]:
    if isinstance(tensors, dict):
        tensors = tensors.values()
    elif not isinstance(tensors, list | tuple):
        tensors = (tensors,)
    yield from tensors


def _elements(shape: Iterable[int | None]) -> int:
    """Of one example; a length that isn't known until training counts once."""
    return math.prod(int(size) for size in shape if size is not None)


def _bytes(variables: Iterable[Any]) -> int:
    return sum(math.prod(v.shape) * SIZES.get(str(v.dtype), 4) for v in variables)


SIZES = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Bytes of a number whose type isn't 4 wide."""
