"""Residual convolutional networks: stages of two-convolution blocks around a shortcut (He et al., arXiv:1512.03385).

Each stage but the first halves the resolution and doubles the channels; its first block's shortcut is a strided 1×1
convolution. `blocks` 1, width 16 and 3 stages is MLPerf Tiny's ResNet-8 (78 k parameters, CIFAR-10 about 86 %). Stochastic
depth acts on the branches, `squeeze-excite` gates their channels, and the slot `convolution` says what their convolutions
are.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile
from automl.techniques.block import skip


def size(profile: Profile, *, width: int, stages: int, blocks: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    return _pictures.residual_size(profile, width, _pictures.stages_of(_pictures.profile_side(profile), stages), blocks)


def channels(profile: Profile, *, width: int, stages: int, blocks: int) -> list[int]:
    found = [width]
    for stage in range(_pictures.stages_of(_pictures.profile_side(profile), stages)):
        found += [width * 2**stage] * (2 * blocks + (1 if stage else 0))  # one of a shortcut
    return found


@architecture(
    id="resnet",
    modalities=("image",),
    params={
        "width": Categorical((8, 12, 16, 20, 24, 32, 48, 64), 16),
        "stages": Int(1, 4, 3),
        "blocks": Int(1, 4, 1),
    },
    reference="arXiv:1512.03385; arXiv:2106.07597",
    cost=1.5,
    provides=("residual",),
    uses=("convolution", "channel-gates"),
    size=size,
    overhead=_pictures.overhead(channels, frame=1_980, kernel=332, channel=13.2),
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, blocks: int) -> Any:
    stages = _pictures.stages_of(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    for stage in range(stages):
        for block in range(blocks):
            x = skip.residual_block(
                x, builder, filters=width * 2**stage, strides=2 if stage > 0 and block == 0 else 1,
                depth=(stage * blocks + block + 1) / (stages * blocks), name=f"block_{stage + 1}_{block + 1}",
            )
    return _pictures.exit(x, builder)
