"""What a blueprint needs on a device: the size of its int8 file, and the memory of its activations.

Both are known before anything is built. Normalisations are folded into kernels and activations fused, as converters do it.
"""

from __future__ import annotations

import dataclasses

from automl.catalog import operations
from automl.catalog.blueprint import Blueprint

KERNEL_CHANNEL_BYTES = 28
"""Of an int8 file for each output channel of a kernel: bias (4), and scale and zero point of kernel (12) and bias (12)."""
OPERATION_BYTES = 320
"""For each operation, with its output's tensor: measured on files of this converter, most of it are names."""
FILE_BYTES = 950
"""For the frame of the file."""


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
    kernels = [p for p in net.parts if p.weights]
    count = len(operations.of_whole(net, "int8"))
    return (
        sum(p.weights for p in kernels) + KERNEL_CHANNEL_BYTES * sum(p.channels for p in kernels)
        + OPERATION_BYTES * count + FILE_BYTES
    )


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
    return max(
        sum(width * parts[owner].size for owner, until in last.items() if owner <= place <= until)
        for place in range(len(parts))
    )

