"""What convolutional families for series share: the entrance as a picture of height 1, masks, and means over steps.

Steps lie along the width of [b, 1, steps, channels]: convolutions are then of the kind that every converter, compressor
and normalisation knows (in TensorFlow Conv1D is computed that way anyway). The mask [b, steps, 1] is that of `_sequences`.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.spec import Profile


def entrance(inputs: dict[str, Any], builder: Builder) -> tuple[Any, Any | None]:
    """(series [b, 1, steps, channels], mask [b, 1, steps, 1] or None)."""
    x, mask = _sequences.entrance(inputs, builder, 0)
    steps, channels = int(x.shape[1]), int(x.shape[2])
    x = builder.layers.Reshape((1, steps, channels), name="as_width")(x)
    if mask is not None:
        mask = builder.layers.Reshape((1, steps, 1), name="mask_as_width")(mask)
    return x, mask


def present(x: Any, mask: Any | None, builder: Builder, *, name: str) -> Any:
    """x with zeros at the steps that aren't there."""
    return _sequences.masked(x, mask, builder, name=name)


def mean(x: Any, mask: Any | None, builder: Builder, *, name: str = "pool") -> Any:
    """The mean over the steps that are there, [b, 1, steps, f] → [b, f]."""
    if mask is None:
        return builder.layers.GlobalAveragePooling2D(name=name)(x)
    steps, features = int(x.shape[2]), int(x.shape[3])
    flat = builder.layers.Reshape((steps, features), name=f"{name}_steps")(x)
    flat_mask = builder.layers.Reshape((steps, 1), name=f"{name}_mask")(mask)
    return _sequences.mean(flat, flat_mask, builder, name=name)


def profile_channels(profile: Profile) -> int:
    return max(1, profile.channels)


def conv_size(channels: int, filters: int, kernel: int) -> int:
    """Weights of a normalised convolution: kernel, and the normalisation's two for each filter."""
    return kernel * channels * filters + 2 * filters
