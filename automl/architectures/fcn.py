"""A fully convolutional network for series: three wide convolutions and a mean over the steps (Wang et al. 2017).

Kernels of 8, 5 and 3 steps with `width`, 2 × `width` and `width` filters, each followed by the recipe's normalisation and
activation (batch-norm and ReLU in the paper, width 128); no pooling before the last mean, so that a pattern counts
wherever it stands. Strong on the UCR archive for its simplicity; sees about 15 steps around each. `depth` beyond 3 adds
convolutions of 3 steps with doubled dilation, for longer patterns. """

from __future__ import annotations

from typing import Any

from automl.architectures import _series
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile


def shape(width: int, depth: int) -> list[tuple[int, int, int]]:
    """(filters, kernel, dilation) of each convolution."""
    first = [(width, 8, 1), (2 * width, 5, 1), (width, 3, 1)]
    return first[: min(depth, 3)] + [(width, 3, 2**n) for n in range(1, depth - 2)]


def size(profile: Profile, *, width: int, depth: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    total, channels = 0, _series.profile_channels(profile)
    for filters, kernel, _ in shape(width, depth):
        total += _series.conv_size(channels, filters, kernel)
        channels = filters
    return total + (channels + 1) * profile.outputs


@architecture(
    id="fcn",
    modalities=("series",),
    params={"width": Categorical((16, 32, 64, 96, 128), 64), "depth": Int(2, 6, 3)},
    reference="arXiv:1611.06455",
    cost=1.5,
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, depth: int) -> Any:
    x, mask = _series.entrance(inputs, builder)
    for place, (filters, kernel, dilation) in enumerate(shape(width, depth), 1):
        x = builder.conv1d(x, filters, kernel, dilation=dilation, name=f"conv_{place}")
        x = _series.present(x, mask, builder, name=f"present_{place}")
    return builder.drop(_series.mean(x, mask, builder))
