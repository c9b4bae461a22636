"""What a blueprint needs on a device: the size of its int8 file, and the memory of its activations.

Both are known before anything is built. As converters do it, normalisations behind a kernel are folded into it, and
activations fused.
"""

from __future__ import annotations

import dataclasses

from automl.catalog import operations
from automl.catalog.blueprint import GATES, Blueprint, Part

KERNEL_CHANNEL_BYTES = 13
"""Of an int8 file for each output channel of a kernel: bias, and scale of kernel and bias (4 each). Zero points, all of them
the same, stand once for as many channels."""
OPERATION_BYTES = 108
"""For each operation, with its output's tensor: fitted to thirty files of this converter…"""
KERNEL_BYTES = 185
"""… and for each kernel beside that, with its bias…"""
FILE_BYTES = 1265
"""… and for the frame of the file."""
NORM_CHANNEL_BYTES = 6
"""For each channel of a normalisation that isn't folded: a factor and an offset."""
STEP_BYTES = 5
"""For each number of a GRU's biases within each step."""


@dataclasses.dataclass(frozen=True)
class Footprint:
    """What a network costs."""

    parameters: int
    """Trainable weights."""
    macs: int
    """Multiplications with additions, for one example."""
    int8_bytes: int
    """The .tflite file of 8-bit integers, without what travels with it (preprocessing, labels, samples)."""
    peak_bytes: int
    """Most memory that 8-bit activations need at once, for one example."""


def footprint(net: Blueprint, outputs: int) -> Footprint:
    """Of a blueprint's inference model with that many outputs."""
    whole = net.headed(outputs, softmax=True)
    return Footprint(whole.parameters, whole.macs, int8_bytes(whole), peak_bytes(whole))


def int8_bytes(net: Blueprint) -> int:
    """Bytes of the int8 file: a byte for each weight, and what stands beside it."""
    kernels = [p for p in net.parts if p.weights and p.kind != "columns"]
    norms = [p for p in net.parts if p.kind == "norm"]
    count = len(operations.of_whole(net, "int8"))
    return (
        sum(_recurrence_bytes(p) for p in kernels if p.cell)
        + sum(p.columns.stored_bytes for p in net.parts if p.columns is not None)
        + sum(p.weights for p in kernels) + KERNEL_CHANNEL_BYTES * sum(p.channels for p in kernels)
        + sum(NORM_CHANNEL_BYTES * p.channels + 2 * KERNEL_BYTES for p in norms)
        + OPERATION_BYTES * count + KERNEL_BYTES * len(kernels) + FILE_BYTES
    )


def _recurrence_bytes(part: Part) -> int:
    """Beside what kernels have: two of them for each gate; and of a GRU biases within each step."""
    numbers = GATES[part.cell] * part.channels
    steps = part.shape[1] if part.cell == "gru" else 0
    return KERNEL_CHANNEL_BYTES * (2 * numbers - part.channels) + STEP_BYTES * steps * numbers


def peak_bytes(net: Blueprint, width: int = 1) -> int:
    """The largest sum of activations that are alive at once, when parts are computed in their order; `width` bytes each.

    An activation lives from the part that writes it to the last one that reads it. A converter may put branches into another
    order: of cells with free wiring up to a fifth more was seen, of chains nothing.
    """
    parts = net.parts
    written: dict[int, int] = {}
    for place, part in enumerate(parts):
        # Dropout is nothing in inference: its output is its input.
        written[place] = written[part.inputs[0]] if part.kind == "drop" else place
    last = {written[place]: place for place in range(len(parts))}
    for place, part in enumerate(parts):
        for source in part.inputs:
            last[written[source]] = max(last[written[source]], place)
    last[written[len(parts) - 1]] = len(parts) - 1
    columns = max((p.columns.peak_bytes for p in parts if p.columns is not None), default=0)
    return max(
        columns, *(
            width * _scratch(parts[place], parts) + sum(
                _number_bytes(parts[owner], width) * parts[owner].size
                for owner, until in last.items() if owner <= place <= until
            )
            for place in range(len(parts))
        )
    )


def _scratch(part: Part, parts: list[Part]) -> int:
    """Numbers that are alive while a part is computed, beside what it reads and writes."""
    given = parts[part.inputs[0]].size if part.inputs else 0
    match part.kind:
        case "taps":
            return part.size - given  # each tap by itself
        case "recurrent":
            return 2 * given  # step by step, and all of it turned round
        case "masked-mean":
            return given  # with what isn't there taken out
        case "gather":
            # Scores and their shares; queries and keys are gone by then, and nothing is gathered yet.
            return max(0, 2 * part.heads * part.shape[1] ** 2 - 3 * part.size)
        case _:
            return 0


def _number_bytes(part: Part, width: int) -> int:
    """Of what a part writes: inputs other than pictures are float32 or int32 in every file."""
    return 4 if part.kind == "input" and len(part.shape) != 3 else width

