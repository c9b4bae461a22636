"""Vision transformers: a picture as a sequence of patches.

The picture is cut into squares of `patch` pixels, each becomes a token by one dense layer, and `depth` encoder blocks let
all patches attend to each other (Dosovitskiy et al., arXiv:2010.11929); the mean of the tokens goes to the head, which on
small data does as well as a class token (Beyer et al., arXiv:2205.01580). Patches are made larger where more than 16 would
stand side by side.

Nothing tells it that neighbouring pixels belong together, so from scratch it needs more pictures and more epochs than
convolutional families; with thousands of pictures and strong augmentation it comes near them. Worth a try where what
decides stands far apart.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _attention, _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile

MOST_SIDE = 16
"""Patches side by side."""


def patch_within(height: int, width: int, patch: int) -> int:
    """The patch, enlarged where more than `MOST_SIDE` would stand side by side."""
    return max(patch, -(-max(height, width) // MOST_SIDE))


def size(profile: Profile, *, width: int, depth: int, expansion: int, patch: int) -> int:
    """Trainable parameters; positions left out."""
    side, channels = _pictures.profile_side(profile), _pictures.profile_channels(profile)
    height, across = profile.image_shape[:2] if profile.image_shape else (side, side)
    patch = patch_within(height, across, patch)
    entrance = (patch * patch * channels + 1) * width
    return entrance + _attention.blocks_size(width, depth=depth, expansion=expansion) + (width + 1) * profile.outputs


@architecture(
    id="vit",
    modalities=("image",),
    params={
        "width": Categorical((32, 64, 96, 128, 192), 64),
        "depth": Int(1, 8, 4),
        "expansion": Categorical((1, 2, 4), 2),
        "patch": Categorical((2, 4, 8), 4),
    },
    reference="arXiv:2010.11929; arXiv:2205.01580",
    cost=4.0,
    conversion=2.0,
    uses=("attention", "positions"),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, depth: int, expansion: int, patch: int) -> Any:
    x = builder.pixels(inputs["image"])
    patch = patch_within(int(x.shape[1]), int(x.shape[2]), patch)
    x = builder.layers.Conv2D(
        width, patch, strides=patch, padding="same", kernel_initializer=builder.initializer(),
        kernel_regularizer=builder.regularizer(), name="patches",
    )(x)
    x = builder.layers.Reshape((int(x.shape[1]) * int(x.shape[2]), width), name="tokens")(x)
    x = _attention.positioned(x, builder)
    x = _attention.encode(x, None, builder, depth=depth, expansion=expansion)
    return builder.layers.GlobalAveragePooling1D(name="pool")(x)
