"""Residual convolutional networks: stages of two-convolution blocks around a shortcut (He et al., arXiv:1512.03385).

Each stage but the first halves the resolution and doubles the channels; its first block's shortcut is a strided 1×1
convolution. `blocks` 1, width 16 and 3 stages is MLPerf Tiny's ResNet-8 (78 k parameters, CIFAR-10 about 86 %). With
`squeeze_excite` each branch's channels are gated by their means (arXiv:1709.01507): some accuracy for about 5 % more
weights. Stochastic depth acts on the branches.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Int, architecture
from automl.spec import Profile

SQUEEZE_RATIO = 0.25


def squeeze_excite_size(channels: int) -> int:
    inner = max(4, int(channels * SQUEEZE_RATIO))
    return 2 * channels * inner + inner + channels


def size(profile: Profile, *, width: int, stages: int, blocks: int, squeeze_excite: bool) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    stages = 1 + _pictures.stages_within(_pictures.profile_side(profile), stages - 1) if stages > 1 else 1
    total, channels = _pictures.stem_size(profile, width), width
    for stage in range(stages):
        filters = width * 2**stage
        for block in range(blocks):
            total += _pictures.conv_size(channels, filters, 3) + _pictures.conv_size(filters, filters, 3)
            if stage > 0 and block == 0:
                total += _pictures.conv_size(channels, filters, 1)
            if squeeze_excite:
                total += squeeze_excite_size(filters)
            channels = filters
    return total + (channels + 1) * profile.outputs


@architecture(
    id="resnet",
    modalities=("image",),
    params={
        "width": Categorical((8, 16, 24, 32, 48, 64), 16),
        "stages": Int(1, 4, 3),
        "blocks": Int(1, 4, 1),
        "squeeze_excite": Bool(False),
    },
    reference="arXiv:1512.03385; arXiv:1709.01507; arXiv:2106.07597",
    cost=1.5,
    provides=("residual", "squeeze-excite"),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, blocks: int, squeeze_excite: bool) -> Any:
    side = _pictures.shortest_side(inputs)
    stages = 1 + _pictures.stages_within(side, stages - 1) if stages > 1 else 1
    x = _pictures.entrance(inputs, builder, width)
    for stage in range(stages):
        filters = width * 2**stage
        for block in range(blocks):
            name = f"block_{stage + 1}_{block + 1}"
            strides = 2 if stage > 0 and block == 0 else 1
            branch = builder.conv(x, filters, 3, strides=strides, name=f"{name}_a")
            branch = builder.conv(branch, filters, 3, activate=False, name=f"{name}_b")
            if squeeze_excite:
                branch = builder.squeeze_excite(branch, SQUEEZE_RATIO, name=f"{name}_se")
            if strides > 1:
                x = builder.conv(x, filters, 1, strides=strides, activate=False, name=f"{name}_shortcut")
            depth = (stage * blocks + block + 1) / (stages * blocks)
            x = builder.residual(x, branch, depth=depth, name=name)
            x = builder.finish(x, name=name, normalize=False)
    return _pictures.exit(x, builder)
