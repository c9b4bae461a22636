"""Inverted residuals: thin shortcuts around wide depthwise convolutions (MobileNetV2 and V3).

A block expands its channels by `expansion` with 1×1 convolutions, filters each with a depthwise convolution (gated where
`squeeze-excite` is on), and projects back without activation, since a non-linearity on few channels destroys information;
blocks that keep resolution and channels add their input. Most of the accuracy of a plain network
at a fraction of weights and multiplications, so it is a first choice under size limits. On a CPU depthwise
convolutions train slowly for their arithmetic, and learning needs more epochs than `convnet`.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder, divisible
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile
from automl.techniques.block import skip


def _shape(width: int, stages: int, blocks: int) -> list[tuple[int, int]]:
    """(filters, strides) of each block: each stage halves the resolution and has 1.5 times the channels of the one
    before."""
    return [
        (divisible(width * 1.5**stage), 2 if block == 0 else 1) for stage in range(1, stages + 1) for block in range(blocks)
    ]


def size(profile: Profile, *, width: int, stages: int, blocks: int, expansion: int, kernel: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    stages = _pictures.stages_within(_pictures.profile_side(profile), stages)
    total, channels = _pictures.stem_size(profile, width), width
    for filters, _ in _shape(width, stages, blocks):
        wide = channels * expansion
        total += _pictures.conv_size(channels, wide, 1) + _pictures.depthwise_size(wide, kernel)
        total += _pictures.conv_size(wide, filters, 1)
        channels = filters
    last = 4 * channels
    return total + _pictures.conv_size(channels, last, 1) + (last + 1) * profile.outputs


def channels(profile: Profile, *, width: int, stages: int, blocks: int, expansion: int, kernel: int) -> list[int]:
    found = [width]
    for filters, _ in _shape(width, _pictures.stages_within(_pictures.profile_side(profile), stages), blocks):
        found += [expansion * found[-1]] * 2 + [filters]
    return [*found, 4 * found[-1]]


@architecture(
    id="mobilenet",
    modalities=("image",),
    params={
        "width": Categorical((8, 16, 24, 32), 16),
        "stages": Int(1, 4, 3),
        "blocks": Int(1, 4, 2),
        "expansion": Categorical((2, 3, 4, 6), 4),
        "kernel": Categorical((3, 5), 3),
    },
    reference="arXiv:1801.04381; arXiv:1905.02244",
    cost=1.7,
    provides=("inverted-residual", "depthwise-separable"),
    uses=("channel-gates",),
    size=size,
    overhead=_pictures.overhead(channels, frame=2_960, kernel=228, channel=14.4),
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, blocks: int, expansion: int, kernel: int
) -> Any:
    stages = _pictures.stages_within(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    shape = _shape(width, stages, blocks)
    for i, (filters, strides) in enumerate(shape):
        x = skip.mobilenet_block(
            x, builder, expansion=expansion, kernel=kernel, filters=filters, strides=strides, depth=(i + 1) / len(shape),
            name=f"block_{i + 1}",
        )
    x = builder.conv(x, 4 * int(x.shape[-1]), 1, name="last")
    return _pictures.exit(x, builder)
