"""Devices that a model may have to fit: memory, operations, and where figures of latency come from.

A device's RAM bounds the activations of a .tflite file, its flash the file. Its latency is **measured** where the verifying
machine is the device itself, which also times operations for tables; of every other device it is **estimated** from the
model's multiplications by a published figure, and called so wherever it is shown.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from automl.catalog.registry import Registry
from automl.spec import Constraints

Source = Literal["measured", "estimated"]
HERE = "here"


@dataclasses.dataclass(frozen=True)
class Device:
    """One kind of device."""

    id: str
    title: str
    ram_bytes: int | None = None
    """For everything that changes while a model runs; None: as much as there is."""
    flash_bytes: int | None = None
    """For the model and the program around it; None: as much as there is."""
    operations: frozenset[str] | None = None
    """By the schema's names; None: all of TensorFlow Lite's own."""
    runtime: str = "ai-edge-litert"
    macs_per_second: float | None = None
    """Of int8 networks, from the reference; None where latency is measured."""
    reference: str = ""

    @property
    def latency(self) -> Source:
        return "measured" if self.macs_per_second is None else "estimated"

    def estimated_ms(self, macs: int) -> float | None:
        """Of one example with so many multiplications; None where latency is measured."""
        return None if self.macs_per_second is None else 1e3 * macs / self.macs_per_second

    def narrowed(self, constraints: Constraints) -> Constraints:
        """The limits of the user and of the device together."""

        def least(*limits: int | None) -> int | None:
            return min((limit for limit in limits if limit is not None), default=None)

        return constraints.changed(
            max_size_bytes=least(constraints.max_size_bytes, self.flash_bytes),
            max_memory_bytes=least(constraints.max_memory_bytes, self.ram_bytes),
        )


devices: Registry[Device] = Registry("device", "automl.export")


def of(constraints: Constraints) -> Device:
    """The device that the limits are for; this machine where none is named. Raises `InvalidInput` for an unknown one."""
    return devices[constraints.device or HERE]
