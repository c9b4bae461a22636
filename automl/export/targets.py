"""The devices there are (`automl devices`): this machine, and boards with published figures."""

from __future__ import annotations

from automl.catalog.devices import HERE, Device, devices
from automl.export import _micro_source

MICRO = frozenset(_micro_source.OPERATIONS) | {"DEQUANTIZE"}
"""What TensorFlow Lite Micro has; files with float outputs end with a dequantisation, which it has, too."""

devices.add(Device(id=HERE, title="the machine that verifies"))

# 12.5 million multiplications of ResNet-8 in 704 ms: MLPerf Tiny 0.5, the reference submission.
devices.add(
    Device(
        id="nucleo-l4r5zi", title="ST NUCLEO-L4R5ZI, Arm Cortex-M4 at 120 MHz", ram_bytes=640 * 1024,
        flash_bytes=2 * 1024 * 1024, operations=MICRO, runtime="tflite-micro", macs_per_second=12.5e6 / 0.704,
        reference="Banbury et al.: MLPerf Tiny Benchmark, arXiv:2106.07597 (2021)",
    )
)
# 24.7 million operations, two a multiplication, in 99.1 ms.
devices.add(
    Device(
        id="nucleo-f746zg", title="ST NUCLEO-F746ZG, Arm Cortex-M7 at 216 MHz", ram_bytes=320 * 1024,
        flash_bytes=1024 * 1024, operations=MICRO, runtime="tflite-micro", macs_per_second=24.7e6 / 2 / 0.0991,
        reference="Lai et al.: CMSIS-NN, arXiv:1801.06601 (2018)",
    )
)
