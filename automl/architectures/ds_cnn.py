"""Depthwise-separable convolutional networks (MobileNetV1, arXiv:1704.04861; DS-CNN, arXiv:1711.07128).

Each block filters every channel by itself (depthwise, `kernel` × `kernel`) and then mixes channels by a 1×1
convolution: about k² times fewer multiplications than a full convolution, which is why keyword spotters and other
microcontroller models are built so. Stages halve the resolution and double the channels. No shortcuts: keep it shallow
(up to about ten blocks).
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile


def _shape(width: int, stages: int, blocks: int) -> list[tuple[int, int]]:
    """(filters, strides) of each block."""
    return [(width * 2**stage, 2 if block == 0 else 1) for stage in range(1, stages + 1) for block in range(blocks)]


def size(profile: Profile, *, width: int, stages: int, blocks: int, kernel: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    stages = _pictures.stages_within(_pictures.profile_side(profile), stages)
    total, channels = _pictures.stem_size(profile, width), width
    for filters, _ in _shape(width, stages, blocks):
        total += _pictures.depthwise_size(channels, kernel) + _pictures.conv_size(channels, filters, 1)
        channels = filters
    return total + (channels + 1) * profile.outputs


def channels(profile: Profile, *, width: int, stages: int, blocks: int, kernel: int) -> list[int]:
    found = [width]
    for filters, _ in _shape(width, _pictures.stages_within(_pictures.profile_side(profile), stages), blocks):
        found += [found[-1], filters]
    return found


@architecture(
    id="ds-cnn",
    modalities=("image",),
    params={
        "width": Categorical((8, 12, 16, 20, 24, 32, 48, 64), 24),
        "stages": Int(1, 4, 3),
        "blocks": Int(1, 4, 2),
        "kernel": Categorical((3, 5), 3),
    },
    reference="arXiv:1704.04861; arXiv:1711.07128; arXiv:2106.07597",
    cost=1.2,
    provides=("depthwise-separable",),
    size=size,
    overhead=_pictures.overhead(channels, frame=2_640, kernel=326, channel=11.9),
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, blocks: int, kernel: int) -> Any:
    stages = _pictures.stages_within(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    for i, (filters, strides) in enumerate(_shape(width, stages, blocks)):
        x = builder.depthwise(x, kernel, strides=strides, name=f"block_{i + 1}_depthwise")
        x = builder.conv(x, filters, 1, name=f"block_{i + 1}_pointwise")
    return _pictures.exit(x, builder)
