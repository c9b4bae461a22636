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

from automl.catalog.blueprint import GATES, Blueprint, Part
from automl.catalog.columns import Columns

Precision = Literal["float32", "int8"]
Option = bool | int | float
SAME = 0
"""Of the schema's paddings."""
FEW = 16
"""Constants of integers up to so many numbers say how to compute, and are known with their values."""
RELU = {"": 0, "relu": 1}
"""Of its activations that are computed within another operation."""
PIXELS = "uint8"
AS_GIVEN = ("numeric", "categorical", "tokens")
"""Inputs that no operation of their own makes integers of."""


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
    found = list(_OF_KIND[part.kind](part, given, made, precision))
    if part.kind == "unseen" and net[part.inputs[0]].kind == "there":
        column = dataclasses.replace(given[0], shape=(1, *given[0].shape[2:]))
        return _unseen(part, [column], made, precision)
    if part.kind == "steps" and net[part.inputs[0]].kind == "there":
        # Reshaped twice is reshaped once.
        found[-1] = dataclasses.replace(found[-1], inputs=(found[-1].outputs[0], found[-1].inputs[1]))
    if part.kind == "concatenate" and precision == "int8":
        # What stands side by side shares one scale, and a tanh has a scale of its own.
        found = [_simple("QUANTIZE", (x,), x) for i, x in zip(part.inputs, given) if net[i].activation == "tanh"] + found
    return found


def _activation(shape: tuple[int, ...], precision: Precision) -> Tensor:
    return Tensor(precision, (1, *shape))


def _simple(code: str, inputs: Iterable[Tensor], output: Tensor, **options: Option) -> Operation:
    return Operation(code, tuple(inputs), (output,), tuple(sorted(options.items())))


def _constant(type: str, shape: tuple[int, ...], values: tuple[int, ...] = ()) -> Tensor:
    return Tensor(type, shape, True, values)


def _bias(channels: int, precision: Precision) -> Tensor:
    return _constant("int32" if precision == "int8" else "float32", (channels,))


def _nothing(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Inputs of numbers enter a file of integers as float32; columns and codes as they are, since what reads them says what
    becomes of them."""
    if part.kind == "input" and precision == "int8" and len(part.shape) != 3 and part.name not in AS_GIVEN:
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
    if part.activation == "silu":
        return [_simple("LOGISTIC", (made,), made), _simple("MUL", (made, made), made, fusedActivationFunction=0)]
    if part.activation == "tanh":
        return [_simple("TANH", (made,), made)]
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


def _norm(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """A factor and an offset for each channel: what stands between keeps them from being folded into the kernel."""
    each = _constant(precision, (part.channels,))
    return [
        _simple("MUL", (given[0], each), made, fusedActivationFunction=0),
        _simple("ADD", (made, each), made, fusedActivationFunction=_fused(part), potScaleInt16=True),
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
    found = []
    if part.zeros:
        around = [over // 2 for over in part.kernel]
        _, height, width, channels = given[0].shape
        padded = dataclasses.replace(given[0], shape=(1, height + 2 * around[0], width + 2 * around[1], channels))
        pads = (0, 0, around[0], around[0], around[1], around[1], 0, 0)
        found, given = [_simple("PAD", (given[0], _constant("int32", (4, 2), pads)), padded)], [padded]
    return [
        *found,
        _simple(
            "MAX_POOL_2D" if part.kind == "max-pool" else "AVERAGE_POOL_2D", given, made,
            padding=1 - SAME if part.zeros else SAME,
            strideW=part.strides[1], strideH=part.strides[0], filterWidth=part.kernel[1], filterHeight=part.kernel[0],
            fusedActivationFunction=0,
        )
    ]


def _columns(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Numbers are encoded as floats, codes are looked up, and what came of both stands side by side."""
    columns = part.columns
    assert columns is not None
    found, parts = [], []
    if columns.numeric:
        numbers, made_of = _numbers(columns)
        found += made_of
        if precision == "int8":
            found.append(_simple("QUANTIZE", (numbers,), dataclasses.replace(numbers, type="int8")))
        parts.append(dataclasses.replace(numbers, type=precision))
    if columns.cardinalities:
        categories, looked_up = _categories(columns, precision)
        found += looked_up
        parts.append(categories)
    return [*found, *_side_by_side(parts, made)]


def _numbers(columns: Columns) -> tuple[Tensor, list[Operation]]:
    """Encoded numbers as floats."""
    def floats(*shape: int) -> Tensor:
        return Tensor("float32", (1, *shape))

    def fixed(*shape: int) -> Tensor:
        return _constant("float32", shape)

    d, inside = columns.numeric, columns.outputs - 1
    flat = floats(d * columns.outputs)
    if columns.encoding == "none":
        return flat, []
    each = floats(d, 1)
    found = [_simple("EXPAND_DIMS", (floats(d), _constant("int32", (), (2,))), each)]
    if columns.encoding == "piecewise-linear":
        filled = floats(d, inside)
        found += [
            _simple("MUL", (each, fixed(d, inside)), filled, fusedActivationFunction=0),
            _simple("ADD", (filled, fixed(d, inside)), filled, fusedActivationFunction=1, potScaleInt16=True),
            _simple("MINIMUM", (filled, fixed()), filled),
        ]
    else:
        f = columns.frequencies
        waves, filled, turned = floats(d, f), floats(d, inside), Tensor("float32", (d, 1, f))
        mixed, order = Tensor("float32", (d, 1, inside)), _constant("int32", (3,), (1, 0, 2))
        found += [
            _simple("MUL", (each, fixed(d, f)), waves, fusedActivationFunction=0),
            _simple("ADD", (waves, fixed(d, f)), waves, fusedActivationFunction=0, potScaleInt16=True),
            _simple("MUL", (waves, fixed()), waves, fusedActivationFunction=0),
            _simple("COS", (waves,), waves),
            _simple("TRANSPOSE", (waves, order), turned),
            _simple(
                "BATCH_MATMUL", (turned, fixed(d, f, inside)), mixed, adjX=False, adjY=False, asymmetricQuantizeInputs=False
            ),
            _simple("TRANSPOSE", (mixed, order), filled),
            _simple("ADD", (filled, fixed(d, inside)), filled, fusedActivationFunction=0, potScaleInt16=True),
        ]
    joined = floats(d, columns.outputs)
    found += [
        _simple("CONCATENATION", (each, filled), joined, axis=-1, fusedActivationFunction=0),
        _simple("RESHAPE", (joined, _constant("int32", (2,), (-1, flat.size))), flat),
    ]
    return flat, found


def _categories(columns: Columns, precision: Precision) -> tuple[Tensor, list[Operation]]:
    """Codes as vectors, table by table."""
    count = len(columns.cardinalities)
    found, parts = [], []
    for group in columns.groups:
        here = len(group.columns)
        codes = Tensor("int32", (1, count))
        if here < count:
            wanted = _constant("int32", (here,), group.columns if here <= FEW else ())
            codes, given = Tensor("int32", (1, here)), codes
            found.append(_simple("GATHER", (given, wanted), codes, axis=1, batchDims=0))
        if not group.hot and here > 1:
            # Behind each other the columns share one table.
            found.append(_simple("ADD", (codes, _constant("int32", (here,))), codes, fusedActivationFunction=0,
                                 potScaleInt16=True))
        found += _looked_up(codes, group.rows, group.width, precision)
        vectors = Tensor(precision, (1, here, group.width))
        flat = Tensor(precision, (1, here * group.width))
        found.append(_simple("RESHAPE", (vectors, _constant("int32", (2,), (-1, flat.size))), flat))
        parts.append(flat)
    whole = Tensor(precision, (1, sum(t.size for t in parts)))
    return whole, [*found, *_side_by_side(parts, whole)]


def _looked_up(codes: Tensor, rows: int, width: int, precision: Precision) -> list[Operation]:
    """Rows of a table; codes below 0 count from its end, and there are none."""
    below = dataclasses.replace(codes, type="bool")
    table = _constant(precision, (rows, width))
    return [
        _simple("LESS", (codes, _constant("int32", (), (0,))), below),
        _simple("ADD", (codes, _constant("int32", ())), codes, fusedActivationFunction=0, potScaleInt16=True),
        _simple("SELECT_V2", (below, codes, codes), codes),
        _simple("GATHER", (table, codes), Tensor(precision, (*codes.shape, width)), axis=0, batchDims=0),
    ]


def _side_by_side(parts: list[Tensor], made: Tensor) -> list[Operation]:
    return [_simple("CONCATENATION", parts, made, axis=-1, fusedActivationFunction=0)] if len(parts) > 1 else []


def _embedding(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    codes = dataclasses.replace(given[0], type="int32")
    vectors = Tensor(precision, (1, *part.shape[1:]))
    return [
        *_looked_up(codes, part.weights // part.channels, part.channels, precision), *_reshaped(vectors, made)
    ]


def _values(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """The channels of a series, without its mask."""
    whole = given[0]
    if whole.shape[-1] == part.channels:
        return _reshaped(whole, made)
    cut = Tensor(precision, (1, *part.shape[1:]))
    return [_channels(whole, cut, 0), *_reshaped(cut, made)]


def _there(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    whole, column = given[0], Tensor(precision, (1, *part.shape[1:]))
    if len(whole.shape) == 3:
        return [_channels(whole, column, whole.shape[-1] - 1), *_reshaped(column, made)]
    codes, numbers = dataclasses.replace(whole, type="int32"), dataclasses.replace(whole, type="float32")
    found = [_simple("MINIMUM", (codes, _constant("int32", ())), codes), _simple("CAST", (codes,), numbers)]
    if precision == "int8":
        found.append(_simple("QUANTIZE", (numbers,), dataclasses.replace(numbers, type="int8")))
    row = dataclasses.replace(numbers, type=precision)
    return [*found, _simple("EXPAND_DIMS", (row, _constant("int32", (), (2,))), column), *_reshaped(column, made)]


def _steps(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    return _reshaped(given[0], made)


def _unseen(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    mask, one = given[0], _constant(precision, ())
    return [
        _simple("SUB", (mask, one), mask, fusedActivationFunction=0, potScaleInt16=True),
        _simple("MUL", (mask, one), mask, fusedActivationFunction=0),
        _simple("RESHAPE", (mask, _constant("int32", (4,), (-1, *made.shape[1:]))), made),
    ]


def _taps(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """The series moved to and fro, side by side."""
    count, apart = part.kernel[1], part.dilation[1]
    reach, x = (count - 1) * apart, given[0]
    _, _, steps, channels = x.shape
    padded = dataclasses.replace(x, shape=(1, 1, steps + reach, channels))
    around = (0, 0, 0, 0, reach // 2, reach - reach // 2, 0, 0)
    found = [_simple("PAD", (x, _constant("int32", (4, 2), around)), padded)]
    for tap in range(count):
        begin = tap * apart
        found.append(_sliced(padded, x, (0, 0, begin, 0), (0, 0, begin + steps, channels), kept=(0, 1, 3)))
    return [*found, _simple("CONCATENATION", [x] * count, made, axis=-1, fusedActivationFunction=0)]


def _gather(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Scores of all pairs, their shares, and what is gathered by them."""
    x = given[0]
    _, _, steps, channels = x.shape
    width = channels // part.heads

    def tensor(*shape: int) -> Tensor:
        return Tensor(precision, (1, *shape))

    split, turned = tensor(steps, part.heads, width), tensor(part.heads, steps, width)
    across, scores = tensor(part.heads, width, steps), tensor(part.heads, steps, steps)
    order = _constant("int32", (4,), (0, 2, 1, 3))
    products = {"adjX": False, "adjY": False, "asymmetricQuantizeInputs": False}
    found = [
        *_reshaped(x, split), _simple("TRANSPOSE", (split, _constant("int32", (4,), (0, 2, 3, 1))), across),
        *_reshaped(x, split), _simple("MUL", (split, _constant(precision, ())), split, fusedActivationFunction=0),
        _simple("TRANSPOSE", (split, order), turned), _simple("BATCH_MATMUL", (turned, across), scores, **products),
        *_reshaped(x, split), _simple("TRANSPOSE", (split, order), turned),
    ]
    if len(given) > 3:
        found.append(_simple("ADD", (scores, given[3]), scores, fusedActivationFunction=0, potScaleInt16=True))
    return [
        *found, _simple("SOFTMAX", (scores,), scores, beta=1.0),
        _simple("BATCH_MATMUL", (scores, turned), turned, **products), _simple("TRANSPOSE", (turned, order), split),
        *_reshaped(split, made),
    ]


def _recurrent(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    """Step by step: the converter has no loop for it."""
    steps, units = part.shape[1:]
    channels = given[0].shape[-1]
    gates = GATES[part.cell]
    flat, step = Tensor(precision, (1, steps, channels)), Tensor(precision, (1, channels))
    states, state = Tensor(precision, (1, steps, units)), Tensor(precision, (1, units))
    gated = Tensor(precision, (1, gates * units))
    order = _constant("int32", (3,), (1, 0, 2))

    def kernel(x: Tensor) -> Operation:
        weights = _constant(precision, (gates * units, x.shape[-1]))
        return _simple(
            "FULLY_CONNECTED", (x, weights, _bias(gates * units, precision)), gated, fusedActivationFunction=0,
            weightsFormat=0, keepNumDims=False, asymmetricQuantizeInputs=False, quantizedBiasType=0,
        )

    def add(x: Tensor, other: Tensor | None = None) -> Operation:
        return _simple("ADD", (x, other or x), x, fusedActivationFunction=0, potScaleInt16=True)

    product = _simple("MUL", (state, state), state, fusedActivationFunction=0)
    sigmoid, bounded = _simple("LOGISTIC", (state,), state), _simple("TANH", (state,), state)

    def split(axis: int) -> Operation:
        return Operation(
            "SPLIT", (_constant("int32", (), (axis,)), gated), (state,) * gates, (("numSplits", gates),)
        )

    if part.cell == "lstm":
        one = [
            kernel(step), kernel(state), add(gated), add(gated, _constant(precision, (gates * units,))), split(1),
            *[sigmoid] * 3, *[bounded] * 2, *[product] * 3, add(state),
        ]
    else:
        parts = [
            _sliced(
                gated, state, (0, n * units), (0, (n + 1) % gates * units), kept=(0, 1) if n == gates - 1 else (0,),
                first=(0, 1) if n == 0 else (0,),
            )
            for n in range(gates)
        ]
        one = [
            kernel(step), split(-1), kernel(state), *parts, *[sigmoid] * 2, bounded, *[product] * 3, *[add(state)] * 4,
            _simple("SUB", (_constant(precision, ()), state), state, fusedActivationFunction=0, potScaleInt16=True),
        ]
    turned, written = Tensor(precision, (steps, 1, channels)), Tensor(precision, (steps, 1, units))
    size = Tensor("int32", (2,))
    return [
        *_reshaped(given[0], flat), *_batch(flat), _packed((units,), size),
        _simple("FILL", (size, _constant(precision, ())), state), _simple("TRANSPOSE", (flat, order), turned),
        Operation("UNPACK", (turned,), (step,) * steps, (("axis", 0), ("num", steps))), *one * steps,
        _simple("PACK", [state] * steps, written, axis=0, valuesCount=steps), _simple("TRANSPOSE", (written, order), states),
        *_reshaped(states, made),
    ]


def _masked_mean(part: Part, given: list[Tensor], made: Tensor, precision: Precision) -> list[Operation]:
    x, mask = given
    flat, one = Tensor(precision, (1, *x.shape[2:])), Tensor(precision, (1, 1))
    axis = _constant("int32", (), (1,))
    return [
        _simple("SUM", (mask, axis), one, keepDims=False), _simple("MAXIMUM", (one, _constant(precision, ())), one),
        *_reshaped(x, flat), _simple("MUL", (flat, mask), flat, fusedActivationFunction=0),
        _simple("SUM", (flat, axis), made, keepDims=False), _simple("DIV", (made, one), made, fusedActivationFunction=0),
    ]


def _reshaped(x: Tensor, made: Tensor) -> list[Operation]:
    """The batch is free, so the new shape is put together when the network runs."""
    shape = Tensor("int32", (len(made.shape),))
    return [*_batch(x), _packed(made.shape[1:], shape), _simple("RESHAPE", (x, shape), made)]


def _batch(x: Tensor) -> list[Operation]:
    """How many rows there are."""
    shape = Tensor("int32", (len(x.shape),))
    first, one = _constant("int32", (1,), (0,)), _constant("int32", (1,), (1,))
    return [
        _simple("SHAPE", (x,), shape, outType=2),
        _simple(
            "STRIDED_SLICE", (shape, first, one, one), Tensor("int32", ()), beginMask=0, endMask=0, ellipsisMask=0,
            newAxisMask=0, shrinkAxisMask=1, offset=False,
        ),
    ]


def _packed(rest: tuple[int, ...], made: Tensor) -> Operation:
    """The batch with these sizes behind it."""
    given = [Tensor("int32", ()), *(_constant("int32", (), (size,)) for size in rest)]
    return _simple("PACK", given, made, axis=0, valuesCount=len(given))


def _channels(x: Tensor, made: Tensor, start: int) -> Operation:
    """Those from `start` on, as many as are made."""
    return _sliced(x, made, (0, 0, start), (0, 0, start + made.shape[-1]), kept=(0, 1))


def _sliced(
    x: Tensor, made: Tensor, begin: tuple[int, ...], end: tuple[int, ...], *, kept: tuple[int, ...],
    first: tuple[int, ...] | None = None
) -> Operation:
    """A part of x; of the axes that are `kept` all is taken up to the end, of the `first` ones from the beginning."""
    def mask(axes: tuple[int, ...]) -> int:
        return sum(1 << axis for axis in axes)

    rank = len(begin)
    numbers = (_constant("int32", (rank,), values) for values in (begin, end, (1,) * rank))
    return _simple(
        "STRIDED_SLICE", (x, *numbers), made, beginMask=mask(kept if first is None else first), endMask=mask(kept),
        ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0, offset=False,
    )


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
    "norm": _norm,
    "dense": _dense, "max-pool": _pool, "average-pool": _pool, "mean": _mean, "add": _add, "multiply": _multiply,
    "concatenate": _concatenate, "columns": _columns, "embedding": _embedding, "values": _values, "there": _there,
    "steps": _steps, "unseen": _unseen, "taps": _taps, "gather": _gather, "recurrent": _recurrent,
    "masked-mean": _masked_mean,
}
