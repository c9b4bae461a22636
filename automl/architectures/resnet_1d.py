"""A residual network for series (Wang et al., arXiv:1611.06455): blocks of three convolutions around a shortcut.

Each block has kernels of 8, 5 and 3 steps with `width` filters (2 × from the second block on), normalised, and a shortcut
that is a convolution of one step where the channels change. No pooling before the last mean: a pattern counts wherever it
stands. Deeper than `fcn`, so it sees farther and needs more series. Stochastic depth acts on the branches. """

from __future__ import annotations

from typing import Any

from automl.architectures import _series
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile

KERNELS = (8, 5, 3)


def size(profile: Profile, *, width: int, blocks: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    total, channels = 0, _series.profile_channels(profile)
    for block in range(blocks):
        filters = width if block == 0 else 2 * width
        inside = channels
        for kernel in KERNELS:
            total += _series.conv_size(inside, filters, kernel)
            inside = filters
        total += _series.conv_size(channels, filters, 1) if channels != filters else 0
        channels = filters
    return total + (channels + 1) * profile.outputs


@architecture(
    id="resnet-1d",
    modalities=("series",),
    params={"width": Categorical((16, 24, 32, 48, 64), 32), "blocks": Int(1, 4, 3)},
    reference="arXiv:1611.06455; arXiv:1512.03385",
    cost=3.0,
    provides=("residual",),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, blocks: int) -> Any:
    x, mask = _series.entrance(inputs, builder)
    for block in range(blocks):
        filters, name = width if block == 0 else 2 * width, f"block_{block + 1}"
        branch = x
        for place, kernel in enumerate(KERNELS, 1):
            last = place == len(KERNELS)
            branch = builder.conv1d(branch, filters, kernel, activate=not last, name=f"{name}_{place}")
            branch = _series.present(branch, mask, builder, name=f"{name}_{place}_present")
        if int(x.shape[-1]) != filters:
            x = builder.conv1d(x, filters, 1, activate=False, name=f"{name}_shortcut")
        x = builder.residual(x, branch, depth=(block + 1) / blocks, name=name)
        x = builder.finish(x, name=name, normalize=False)
        x = _series.present(x, mask, builder, name=f"{name}_present")
    return builder.drop(_series.mean(x, mask, builder))
