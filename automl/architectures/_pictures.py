"""What families for pictures share: how often the resolution is halved, the entrance, the exit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from automl.architectures.builder import Builder
from automl.catalog.blueprint import Blueprint
from automl.spec import Profile


def stem_strides(side: int) -> int:
    """Stride of the first convolution: pictures from 64 pixels on are halved, from 160 on quartered, at the
    entrance."""
    return 4 if side >= 160 else 2 if side >= 64 else 1


def stages_within(side: int, stages: int) -> int:
    """How many halvings a picture takes after the stem, so that at least 3 pixels a side are left; at least one."""
    side = -(-side // stem_strides(side))
    possible = 0
    while -(-side // 2) >= 3 and possible < stages:
        side = -(-side // 2)
        possible += 1
    return max(1, possible)


def shortest_side(inputs: dict[str, Any]) -> int:
    return int(min(inputs["image"].shape[1:3]))


def profile_side(profile: Profile) -> int:
    """The shorter side in pixels; 32 where the profile doesn't say."""
    return min(profile.image_shape[:2]) if profile.image_shape else 32


def profile_channels(profile: Profile) -> int:
    return profile.image_shape[2] if profile.image_shape else 3


def entrance(inputs: dict[str, Any], builder: Builder, filters: int) -> Any:
    """Scaled pixels through the first convolution block; large strides get a kernel that sees every pixel."""
    x = builder.pixels(inputs["image"])
    strides = stem_strides(shortest_side(inputs))
    return builder.conv(x, filters, {1: 3, 2: 5, 4: 7}[strides], strides=strides, name="stem", plain=True)


def exit(x: Any, builder: Builder) -> Any:
    """The mean over places, [b, h, w, channels] → [b, channels], with the plan's dropout of features."""
    return builder.drop(builder.layers.GlobalAveragePooling2D(name="pool")(x))


def stem_size(profile: Profile, filters: int) -> int:
    kernel = {1: 3, 2: 5, 4: 7}[stem_strides(profile_side(profile))]
    return conv_size(profile_channels(profile), filters, kernel)


def conv_size(channels: int, filters: int, kernel: int) -> int:
    """Weights of a normalised convolution: kernel, and the normalisation's two for each filter."""
    return kernel * kernel * channels * filters + 2 * filters


def chain_size(profile: Profile, channels: Sequence[int]) -> int:
    """Weights of an entrance and of 3×3 convolutions one after the other, of so many channels each, the head included."""
    kernels = sum(conv_size(before, after, 3) for before, after in itertools.pairwise(channels))
    return stem_size(profile, channels[0]) + kernels + (channels[-1] + 1) * profile.outputs


def depthwise_size(channels: int, kernel: int) -> int:
    return kernel * kernel * channels + 2 * channels


def overhead(
    channels: Callable[..., Sequence[int]], *, frame: int, kernel: int, channel: float
) -> Callable[..., int]:
    """The `overhead` of a family whose kernels before the head have as many output `channels(profile, **params)`: bytes for
    the file, for each kernel with its operations, and for each channel (bias, scales). Fitted to eight to ten int8 files of
    each family, of 5 to 950 KB; they are within 3.5 %."""
    def beside(profile: Profile, **params: Any) -> int:
        found = channels(profile, **params)
        return round(frame + kernel * (len(found) + 1) + channel * (sum(found) + profile.outputs))

    return beside


def stages_of(side: int, stages: int) -> int:
    """How many stages a picture takes when each but the first halves it."""
    return 1 + stages_within(side, stages - 1) if stages > 1 else 1


def residual_size(profile: Profile, width: int, stages: int, blocks: int) -> int:
    """Weights of a network of residual blocks, entrance and head included; each stage has twice the channels of the one
    before."""
    total, channels = stem_size(profile, width), width
    for stage in range(stages):
        filters = width * 2**stage
        for block in range(blocks):
            total += conv_size(channels, filters, 3) + conv_size(filters, filters, 3)
            if stage > 0 and block == 0:
                total += conv_size(channels, filters, 1)
            channels = filters
    return total + (channels + 1) * profile.outputs


# --- networks laid down as blueprints ----------------------------------------------------------------------


def profile_shape(profile: Profile) -> tuple[int, int, int]:
    """Height, width and channels; 32 × 32 × 3 where the profile doesn't say."""
    if not profile.image_shape:
        return 32, 32, 3
    height, width, channels = profile.image_shape
    return height, width, channels


def input_shape(inputs: dict[str, Any]) -> tuple[int, int, int]:
    height, width, channels = inputs["image"].shape[1:]
    return int(height), int(width), int(channels)


def begin(shape: tuple[int, int, int], filters: int, resolution: float = 1.0) -> tuple[Blueprint, int]:
    """A blueprint with the same entrance as `entrance`'s, behind a resizing to the share `resolution` of the side."""
    net = Blueprint()
    x = net.pixels(net.input(shape, name="image"))
    height, width = (max(4, round(side * resolution)) for side in shape[:2])
    x = net.resize(x, height, width)
    strides = stem_strides(min(height, width))
    return net, net.conv(x, filters, {1: 3, 2: 5, 4: 7}[strides], strides=strides, name="stem")


def end(net: Blueprint, x: int) -> Blueprint:
    """The same exit as `exit`'s; parts that nothing reads are gone."""
    net.drop(net.mean(x, name="pool"))
    return net.pruned()
