"""Vision transformers with shifted windows (Swin): attention near by, in a pyramid of resolutions.

Patches of `patch` pixels attend to those in the same window of `window` × `window`; every second block shifts the windows by
half their side, so that what happens crosses their borders. Each of the `stages` has `pairs` such pairs of blocks, and
between stages 2 × 2 tokens become one with twice the width (Liu et al., arXiv:2103.14030; here the merging normalises
tokens and then applies a strided 2 × 2 convolution). Offsets inside a window have learned biases, which stand for
positions. Cost grows with the number of pixels, not with its square as in `vit`.

From scratch on small sets it is ahead of `vit`, since windows know neighbourhood, and behind convolutional families. The
picture gets a neutral margin where windows don't divide it.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _attention, _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile

HEAD_WIDTH = 16
"""Numbers of a head, at every stage."""


def grid_within(height: int, width: int, *, patch: int, window: int, stages: int) -> tuple[int, int, int, int, int]:
    """(patch, window, stages, rows, columns): stages that leave at least one window, no more than 64 patches a side, and
    the grid filled up to whole windows at the last stage."""
    patch = max(patch, -(-max(height, width) // 64))
    rows, columns = -(-height // patch), -(-width // patch)
    window = min(window, max(rows, columns))
    while stages > 1 and min(rows, columns) < window * 2 ** (stages - 1):
        stages -= 1
    unit = window * 2 ** (stages - 1)
    return patch, window, stages, -(-rows // unit) * unit, -(-columns // unit) * unit


def size(profile: Profile, *, width: int, stages: int, pairs: int, window: int, patch: int, expansion: int) -> int:
    """Trainable parameters with layer-norm."""
    side, channels = _pictures.profile_side(profile), _pictures.profile_channels(profile)
    height, across = profile.image_shape[:2] if profile.image_shape else (side, side)
    patch, window, stages, _, _ = grid_within(height, across, patch=patch, window=window, stages=stages)
    total = (patch * patch * channels + 1) * width
    for stage in range(stages):
        if stage:
            total += 2 * width + (4 * width + 1) * 2 * width
            width *= 2
        blocks = _attention.blocks_size(width, depth=1, expansion=expansion) - 2 * width
        total += 2 * pairs * (blocks + (2 * window - 1) ** 2 * (width // HEAD_WIDTH))
    return total + 2 * width + (width + 1) * profile.outputs


@architecture(
    id="swin",
    modalities=("image",),
    params={
        "width": Categorical((32, 48, 64, 96), 48),
        "stages": Int(1, 4, 3),
        "pairs": Int(1, 3, 1),
        "window": Categorical((2, 4, 8), 4),
        "patch": Categorical((1, 2, 4), 2),
        "expansion": Categorical((1, 2, 4), 2),
    },
    reference="arXiv:2103.14030",
    cost=6.0,
    conversion=3.0,
    size=size,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, pairs: int, window: int, patch: int, expansion: int
) -> Any:
    x = builder.pixels(inputs["image"])
    height, across = int(x.shape[1]), int(x.shape[2])
    patch, window, stages, rows, columns = grid_within(height, across, patch=patch, window=window, stages=stages)
    below, right = rows * patch - height, columns * patch - across
    if below or right:
        x = builder.layers.ZeroPadding2D(
            ((below // 2, below - below // 2), (right // 2, right - right // 2)), name="margin"
        )(x)
    x = _tokens(x, builder, width, patch, name="patches")
    blocks = 2 * pairs * stages
    for stage in range(stages):
        if stage:
            width *= 2
            x = _attention.normalisation(builder, width // 2, rank=4, name=f"merge_{stage}_norm")(x)
            x = _tokens(x, builder, width, 2, name=f"merge_{stage}")
        whole = max(int(x.shape[1]), int(x.shape[2])) <= window
        for i in range(2 * pairs):
            place = stage * 2 * pairs + i + 1
            x = _block(
                x, builder, width=width, window=window, shift=0 if i % 2 == 0 or whole else window // 2,
                expansion=expansion, depth=place / blocks, name=f"block_{place}",
            )
    x = _attention.normalisation(builder, width, rank=4, name="exit_norm")(x)
    return _pictures.exit(x, builder)


def _tokens(x: Any, builder: Builder, width: int, patch: int, *, name: str) -> Any:
    return builder.layers.Conv2D(
        width, patch, strides=patch, kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(),
        name=name,
    )(x)


def _block(
    x: Any, builder: Builder, *, width: int, window: int, shift: int, expansion: int, depth: float, name: str
) -> Any:
    from automl.layers import attention, windows

    heads, rows, columns = width // HEAD_WIDTH, int(x.shape[1]), int(x.shape[2])
    y = _attention.normalisation(builder, width, rank=4, name=f"{name}_norm_1")(x)
    q, k, v = (
        windows.ToWindows(heads, window, shift, name=f"{name}_{part}_windows")(
            builder.dense_layer(width, name=f"{name}_{part}")(y)
        )
        for part in ("query", "key", "value")
    )
    weights = windows.WindowWeights(heads, window, shift, rows, columns, name=f"{name}_weights")([q, k])
    y = attention.Gathered(name=f"{name}_gathered")([weights, v])
    y = windows.FromWindows(heads, window, shift, rows, columns, name=f"{name}_join")(y)
    y = builder.dense_layer(width, name=f"{name}_exit")(y)
    x = builder.residual(x, y, depth=depth, name=f"{name}_gather")
    y = _attention.normalisation(builder, width, rank=4, name=f"{name}_norm_2")(x)
    y = builder.dense_layer(expansion * width, name=f"{name}_expand")(y)
    y = builder.drop(builder.activate(y, name=f"{name}_expand"))
    y = builder.dense_layer(width, name=f"{name}_project")(y)
    return builder.residual(x, y, depth=depth, name=f"{name}_think")
