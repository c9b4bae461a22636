"""InceptionTime for series (Ismail Fawaz et al., arXiv:1909.04939): modules of long, middle and short kernels side by side.

A module narrows its input to `width` channels, lets kernels of `kernel`, a half and a quarter of it look at that, adds a
maximum over three steps of the input, and joins the four (4 × `width` channels), normalised and activated. Every third
module ends in a shortcut. Long kernels see slow and fast patterns in one layer: the best single deep family on the UCR
archive. The paper averages five networks; here the search's seeds and the final fit stand for that. Kernels are never
longer than the series. """

from __future__ import annotations

from typing import Any

from automl.architectures import _series
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile

EVERY = 3
"""Modules between two shortcuts."""


def kernels_of(kernel: int, length: int) -> list[int]:
    """Three lengths, halved each time."""
    longest = max(4, min(kernel, length))
    return [longest, max(2, longest // 2), max(2, longest // 4)]


def size(profile: Profile, *, width: int, modules: int, kernel: int) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    channels = kept = _series.profile_channels(profile)
    total, out = 0, 4 * width
    for module in range(modules):
        narrow = channels
        if channels > 1:
            total, narrow = total + channels * width, width
        total += sum(k * narrow * width for k in kernels_of(kernel, profile.length)) + channels * width + 2 * out
        channels = out
        if module % EVERY == EVERY - 1:
            total += _series.conv_size(kept, out, 1)
            kept = out
    return total + (channels + 1) * profile.outputs


@architecture(
    id="inception-time",
    modalities=("series",),
    params={
        "width": Categorical((8, 16, 24, 32), 16), "modules": Int(2, 6, 3), "kernel": Categorical((10, 20, 40), 40),
    },
    reference="arXiv:1909.04939",
    cost=4.0,
    provides=("inception", "residual"),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, modules: int, kernel: int) -> Any:
    x, mask = _series.entrance(inputs, builder)
    kept = x
    for module in range(modules):
        name = f"module_{module + 1}"
        narrow = x
        if int(x.shape[-1]) > 1:
            narrow = _plain(builder, x, width, 1, f"{name}_narrow")
        branches = [
            _plain(builder, narrow, width, length, f"{name}_{place}")
            for place, length in enumerate(kernels_of(kernel, int(x.shape[2])), 1)
        ]
        # Zeros beyond the ends, as convolutions have them: pooling's own padding would tell the end of the input from
        # that of the series.
        beyond = builder.layers.ZeroPadding2D(((0, 0), (1, 1)), name=f"{name}_beyond")(x)
        largest = builder.layers.MaxPooling2D((1, 3), strides=1, name=f"{name}_largest")(beyond)
        branches.append(_plain(builder, largest, width, 1, f"{name}_of_largest"))
        x = builder.layers.Concatenate(name=f"{name}_joined")(branches)
        x = builder.finish(x, name=name)
        x = _series.present(x, mask, builder, name=f"{name}_present")
        if module % EVERY == EVERY - 1:
            shortcut = builder.conv1d(kept, 4 * width, 1, activate=False, name=f"{name}_shortcut")
            x = builder.residual(shortcut, x, depth=(module + 1) / modules, name=f"{name}_out")
            x = builder.finish(x, name=f"{name}_out", normalize=False)
            x = kept = _series.present(x, mask, builder, name=f"{name}_out_present")
    return builder.drop(_series.mean(x, mask, builder))


def _plain(builder: Builder, x: Any, filters: int, kernel: int, name: str) -> Any:
    """A convolution without bias, normalisation and activation, which follow once the branches are joined."""
    layer = builder.layers.Conv2D(
        filters, (1, kernel), padding="same", use_bias=False, kernel_initializer=builder.initializer(),
        kernel_regularizer=builder.regularizer(), name=name,
    )
    return layer(x)
