"""What a network computes when it runs: the operations of TensorFlow Lite, each with its shapes, as plain data.

Runtimes take their time by operation and shape, so a network's latency is looked up operation by operation
(`automl.nas.latency`). Of a blueprint they are written down here in closed form; of any other network they are read from its
file (`automl.export.operation_files`), in the same words. Both say what the converter makes of a trained network:
normalisations folded into kernels, rectifiers fused into what they follow, every kernel with a bias.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any, Literal

from automl.catalog.blueprint import Blueprint, Part

Precision = Literal["float32", "int8"]
Option = bool | int | float
SAME = 0
"""Of the schema's paddings."""
RELU = {"": 0, "relu": 1}
"""Of its activations that are computed within another operation."""
PIXELS = "uint8"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What an operation reads or writes."""

    type: str
    """"float32", "int8", "uint8", "int32", …"""
    shape: tuple[int, ...]
    """With the batch, which is 1."""
    constant: bool = False
    """Whether it stands in the file."""
    values: tuple[int, ...] = ()
    """Of constants that say how to compute: axes, sizes, paddings."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One step of a runtime."""

    code: str
    """The schema's name of it ("CONV_2D")."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: tuple[tuple[str, Option], ...] = ()
    """By the schema's names, in alphabetical order."""

    @property
    def key(self) -> str:
        """What a table knows it by; equal texts take equal time. `parse` reads it."""
        said = [self.code, [_plain(t) for t in self.inputs], [_plain(t) for t in self.outputs], dict(self.options)]
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def parse(cls, key: str) -> Operation:
        code, inputs, outputs, options = json.loads(key)
        return cls(
            code, tuple(_tensor(*t) for t in inputs), tuple(_tensor(*t) for t in outputs), tuple(sorted(options.items()))
        )

    @property
    def macs(self) -> int:
        """Multiplications with additions in kernels, for one example."""
        match self.code:
            case "CONV_2D" | "FULLY_CONNECTED":
                kernel = self.inputs[1]
                return kernel.size * (self.outputs[0].size // kernel.shape[0])
            case "DEPTHWISE_CONV_2D":
                height, width = self.inputs[1].shape[1:3]
                return height * width * self.outputs[0].size
            case "BATCH_MATMUL":
                return self.outputs[0].size * self.inputs[0].shape[-1]
            case _:
                return 0


def _plain(tensor: Tensor) -> list[Any]:
    return [tensor.type, list(tensor.shape), int(tensor.constant), list(tensor.values)]


def _tensor(type: str, shape: list[int], constant: int, values: list[int]) -> Tensor:
    return Tensor(type, tuple(shape), bool(constant), tuple(values))


# --- of a blueprint ------------------------------------------------------------------------------------------


def of_network(net: Blueprint, outputs: int, precision: Precision) -> list[Operation]:
    """The operations of a blueprint's inference model with so many outputs.

    Holds where the plan's activation is a rectifier and its normalisation one that is folded.
    """
    return of_whole(net.headed(outputs, softmax=True), precision)


def of_whole(net: Blueprint, precision: Precision) -> list[Operation]:
    """The operations of all parts as they are laid down; the file takes the network's inputs and gives float32."""
    same = _computed_once(net)
    found: list[Operation] = []
    spread: set[tuple[int, Operation]] = set()
    for place, part in enumerate(net.parts):
        if same[place] != place:
            continue
        for operation in of_part(net, place, precision):
            if operation.code == "SPACE_TO_BATCH_ND":
                # Dilated convolutions of one input share the rearrangement.
                if (source := (same[part.inputs[0]], operation)) in spread:
                    continue
                spread.add(source)
            found.append(operation)
    if precision == "int8" and found:
        last = found[-1].outputs[0]
        found.append(_simple("DEQUANTIZE", (last,), dataclasses.replace(last, type="float32")))
    return found


def _computed_once(net: Blueprint) -> list[int]:
    """For each part the first one that computes the same: without weights of their own, of the same inputs."""
    first: dict[Part, int] = {}
    places: list[int] = []
    for place, part in enumerate(net.parts):
        inputs = tuple(places[i] for i in part.inputs)
        if part.kind == "drop":
            places.append(inputs[0])  # nothing in inference
            continue
        alone = part.weights > 0 or not inputs
        key = dataclasses.replace(part, name=part.name if alone else "", inputs=inputs, depth=0.0)
        places.append(first.setdefault(key, place))
    return places


def of_part(net: Blueprint, place: int, precision: Precision) -> list[Operation]:
    """The operations that one part becomes."""
    part = net[place]
    given = [_activation(net[i].shape, precision) for i in part.inputs]
    made = _activation(part.shape, precision)
    return list(_OF_KIND[part.kind](part, given, made, precision))


def _activation(shape: tuple[int, ...], precision: Precision) -> Tensor:
    return Tensor(precision, (1, *shape))


def _simple(code: str, inputs: Iterable[Tensor], output: Tensor, **options: Option) -> Operation:
    return Operation(code, tuple(inputs), (output,), tuple(sorted(options.items())))


def _constant(type: str, shape: tuple[int, ...], values: tuple[int, ...] = ()) -> Tensor:
    return Tensor(type, shape, True, values)


def _bias(channels: int, precision: Precision) -> Tensor:
    return _constant("int32" if precision == "int8" else "float32", (channels,))


def _nothing(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Inputs of numbers enter a file of integers as float32."""
    if part.kind == "input" and precision == "int8" and len(part.shape) != 3:
        return [_simple("QUANTIZE", (dataclasses.replace(made, type="float32"),), made)]
    return []


def _pixels(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Bytes to numbers, then scale and offset for each channel or for all."""
    picture = dataclasses.replace(made, type=PIXELS)
    factor = _constant(precision, (part.channels,))
    return [
        _simple("QUANTIZE" if precision == "int8" else "CAST", (picture,), made),
        _simple("MUL", (made, factor), made, fusedActivationFunction=0),
        _simple("ADD", (made, factor), made, fusedActivationFunction=0, potScaleInt16=True),
    ]


def _resize(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    size = _constant("int32", (2,), part.shape[:2])
    return [_simple("RESIZE_BILINEAR", (given[0], size), made, alignCorners=False, halfPixelCenters=True)]


def _fused(part: Part) -> int:
    """A rectifier is computed with the kernel; "plan" is taken to be one."""
    return RELU["relu" if part.activation == "plan" else part.activation if part.activation in RELU else ""]


def _behind(part: Part, made: Tensor) -> list[Operation]:
    """Activations that are operations of their own."""
    if part.activation == "sigmoid":
        return [_simple("LOGISTIC", (made,), made)]
    if part.activation == "softmax":
        return [_simple("SOFTMAX", (made,), made, beta=1.0)]
    return []


def _conv(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    kernel = _constant(precision, (part.channels, *part.kernel, given[0].shape[-1]))
    return [
        _simple(
            "CONV_2D", (given[0], kernel, _bias(part.channels, precision)), made, padding=SAME, strideW=part.strides[1],
            strideH=part.strides[0], fusedActivationFunction=_fused(part), dilationWFactor=part.dilation[1],
            dilationHFactor=part.dilation[0], quantizedBiasType=0,
        ),
        *_behind(part, made),
    ]


def _depthwise(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """With dilation the converter leaves it between two rearrangements: places that are `dilation` apart become neighbours
    in a batch of their own."""
    kernel = _constant(precision, (1, *part.kernel, part.channels))
    bias = _bias(part.channels, precision)
    fused = _fused(part)

    def filtered(x: Tensor, y: Tensor, padding: int) -> Operation:
        return _simple(
            "DEPTHWISE_CONV_2D", (x, kernel, bias), y, padding=padding, strideW=part.strides[1], strideH=part.strides[0],
            depthMultiplier=1, fusedActivationFunction=fused, dilationWFactor=1, dilationHFactor=1,
        )

    if part.dilation == (1, 1):
        return [filtered(given[0], made, SAME), *_behind(part, made)]
    padded: list[tuple[int, int]] = []
    crops: list[tuple[int, int]] = []
    for side, over, step in zip(part.shape[:2], part.kernel, part.dilation):
        around = (over - 1) * step
        rest = -(side + around) % step
        padded.append((around // 2, around - around // 2 + rest))
        crops.append((0, rest))
    steps = math.prod(part.dilation)
    inner = [(side + sum(pad)) // step for side, pad, step in zip(part.shape[:2], padded, part.dilation)]
    spread = Tensor(precision, (steps, *inner, part.channels))
    small = [size - over + 1 for size, over in zip(inner, part.kernel)]
    narrow = Tensor(precision, (steps, *small, part.channels))
    block = _constant("int32", (2,), part.dilation)
    return [
        _simple("SPACE_TO_BATCH_ND", (given[0], block, _constant("int32", (2, 2), sum(padded, ()))), spread),
        filtered(spread, narrow, 1 - SAME),
        _simple("BATCH_TO_SPACE_ND", (narrow, block, _constant("int32", (2, 2), sum(crops, ()))), made),
        *_behind(part, made),
    ]


def _dense(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    kernel = _constant(precision, (part.channels, given[0].shape[-1]))
    return [
        _simple(
            "FULLY_CONNECTED", (given[0], kernel, _bias(part.channels, precision)), made,
            fusedActivationFunction=_fused(part), weightsFormat=0, keepNumDims=False, asymmetricQuantizeInputs=False,
            quantizedBiasType=0,
        ),
        *_behind(part, made),
    ]


def _pool(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    return [
        _simple(
            "MAX_POOL_2D" if part.kind == "max-pool" else "AVERAGE_POOL_2D", given, made, padding=SAME,
            strideW=part.strides[1], strideH=part.strides[0], filterWidth=part.kernel[1], filterHeight=part.kernel[0],
            fusedActivationFunction=0,
        )
    ]


def _mean(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    axes = _constant("int32", (2,), (1, 2))
    return [_simple("MEAN", (given[0], axes), made, keepDims=len(part.shape) == 3)]


def _add(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Of more than two, one after the other."""
    count = max(1, len(given) - 1)
    return [
        _simple(
            "ADD", (made, made), made, fusedActivationFunction=_fused(part) if step == count - 1 else 0, potScaleInt16=True
        )
        for step in range(count)
    ]


def _multiply(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    return [_simple("MUL", given, made, fusedActivationFunction=0)]


def _concatenate(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    return [_simple("CONCATENATION", given, made, axis=-1, fusedActivationFunction=0)]


_OF_KIND = {
    "input": _nothing, "drop": _nothing, "pixels": _pixels, "resize": _resize, "conv": _conv, "depthwise": _depthwise,
    "dense": _dense, "max-pool": _pool, "average-pool": _pool, "mean": _mean, "add": _add, "multiply": _multiply,
    "concatenate": _concatenate,
}
