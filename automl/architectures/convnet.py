"""A short, wide convolutional network that learns fast: the kind that holds the CIFAR-10 speed records (ResNet-9).

A stem, then stages of one convolution and a max-pooling that double the channels; the first and the last stage end in
a residual pair of convolutions when `residual` is on. Few layers with large matrices keep a CPU or GPU busy and need
few epochs (with one-cycle, flip, crop and label smoothing: Page, "How to train your ResNet", 2018, DAWNBench). Where
deep, narrow nets still warm up, this one has finished.

Pictures up to 63 pixels a side enter at full resolution; larger ones through a strided stem. At least 3 pixels a side
are left before the mean over places. For tiny models take `ds-cnn` or `mobilenet`, which have fewer weights for the
same accuracy.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _pictures
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Int, architecture
from automl.spec import Profile


def _residual_stages(stages: int, residual: bool) -> set[int]:
    return {1, stages} if residual else set()


def channels(profile: Profile, *, width: int, stages: int, residual: bool) -> list[int]:
    stages = _pictures.stages_within(_pictures.profile_side(profile), stages)
    found = [width]
    for stage in range(1, stages + 1):
        found += [width * 2**stage] * (3 if stage in _residual_stages(stages, residual) else 1)
    return found


def size(profile: Profile, *, width: int, stages: int, residual: bool) -> int:
    """Trainable parameters with a normalisation's two for each channel."""
    return _pictures.chain_size(profile, channels(profile, width=width, stages=stages, residual=residual))


@architecture(
    id="convnet",
    modalities=("image",),
    params={
        "width": Categorical((8, 12, 16, 20, 24, 32, 48, 64), 16),
        "stages": Int(1, 4, 3),
        "residual": Bool(True),
    },
    reference="Page, How to train your ResNet (2018); arXiv:1512.03385",
    cost=1.0,
    provides=("residual",),
    uses=("convolution",),
    size=size,
    overhead=_pictures.overhead(channels, frame=4_650, kernel=125, channel=15.1),
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, stages: int, residual: bool) -> Any:
    stages = _pictures.stages_within(_pictures.shortest_side(inputs), stages)
    x = _pictures.entrance(inputs, builder, width)
    for stage in range(1, stages + 1):
        name = f"stage_{stage}"
        # The normalisation and activation follow the pooling: a quarter of the work, and the same result for
        # rising activations with a positive scale.
        x = builder.conv(x, width * 2**stage, 3, name=f"{name}_conv", finish=False)
        x = builder.layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)
        x = builder.finish(x, name=f"{name}_conv")
        if stage in _residual_stages(stages, residual):
            branch = builder.conv(x, width * 2**stage, 3, name=f"{name}_a")
            branch = builder.conv(branch, width * 2**stage, 3, name=f"{name}_b")
            x = builder.residual(x, branch, depth=stage / stages, name=name)
    return _pictures.exit(x, builder)
