"""A convolutional backbone whose block is chosen: ResNet-, DenseNet-, Inception-, MobileNet- and ConvNeXt-like.

An entrance, then `stages` of `blocks` blocks; each stage but the first halves the resolution and doubles the channels.
What a block is says the slot `block` (`residual`, `bottleneck`, `dense-block`, `inverted-residual` in two forms,
`inception`), what its convolutions are the slot `convolution`, and `squeeze-excite` gates its channels: so the well-known
families are points of one space, and the search may take what lies between them. Where it is known beforehand what the
data want, the families with a fixed block (`convnet`, `resnet`, `mobilenet`, `ds-cnn`) have fewer choices to make.

The size in closed form is that of residual blocks with plain convolutions; most other blocks have fewer weights.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile


def size(profile: Profile, *, width: int, stages: int, blocks: int) -> int:
    """Trainable parameters of residual blocks, with a normalisation's two for each channel."""
    stages = _pictures.stages_of(_pictures.profile_side(profile), stages)
    return _pictures.residual_size(profile, width, stages, blocks)


@architecture(
    id="convnet-families",
    modalities=("image",),
    params={
        "width": Categorical((8, 16, 24, 32, 48, 64), 16),
        "stages": Int(1, 4, 3),
        "blocks": Int(1, 4, 2),
    },
    reference="arXiv:1512.03385; arXiv:1608.06993; arXiv:1409.4842; arXiv:1801.04381; arXiv:2201.03545",
    cost=2.5,
    provides=("residual", "bottleneck", "dense-block", "inverted-residual", "inception"),
    uses=("block", "convolution", "channel-gates"),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, blocks: int) -> Any:
    stages = _pictures.stages_of(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    for stage in range(stages):
        for block in range(blocks):
            x = builder.block(
                x, width * 2**stage, strides=2 if stage > 0 and block == 0 else 1, name=f"block_{stage + 1}_{block + 1}",
                depth=(stage * blocks + block + 1) / (stages * blocks),
            )
    return _pictures.exit(x, builder)
