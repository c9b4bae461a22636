"""Pairs of convolutions between poolings: the plain pyramid (Simonyan and Zisserman, arXiv:1409.1556), normalised.

Each stage has `depth` convolutions of as many channels; a max-pooling between two stages halves the resolution, and the next
one has twice the channels. No shortcut: at six layers none is needed, and each layer's weights and operations count. It is
the family for small files: with 16 channels and three stages it has 72 k weights and needs two fifths of the operations of
`convnet` with as many channels at the entrance.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Int, architecture
from automl.spec import Profile


def channels(profile: Profile, *, width: int, stages: int, depth: int) -> list[int]:
    stages = _pictures.stages_of(_pictures.profile_side(profile), stages)
    return [width * 2**stage for stage in range(stages) for _ in range(depth)]


def size(profile: Profile, *, width: int, stages: int, depth: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    return _pictures.chain_size(profile, channels(profile, width=width, stages=stages, depth=depth))


@architecture(
    id="vgg",
    modalities=("image",),
    params={
        "width": Int(4, 64, 16, log=True),
        "stages": Int(1, 4, 3),
        "depth": Int(2, 3, 2),
    },
    reference="arXiv:1409.1556",
    cost=1.0,
    uses=("convolution",),
    size=size,
    overhead=_pictures.overhead(channels, frame=850, kernel=670, channel=9.8),
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, depth: int) -> Any:
    stages = _pictures.stages_of(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    for stage in range(stages):
        for layer in range(0 if stage else 1, depth):  # the entrance is the first of them
            name = f"stage_{stage + 1}_{layer + 1}"
            # Normalised and activated after the pooling: a quarter of the work, and the same result for rising activations
            # with a positive scale.
            pooled = layer == depth - 1 and stage < stages - 1
            x = builder.conv(x, width * 2**stage, 3, name=name, finish=not pooled)
            if pooled:
                x = builder.layers.MaxPooling2D(2, padding="same", name=f"stage_{stage + 1}_pool")(x)
                x = builder.finish(x, name=name)
    return _pictures.exit(x, builder)
