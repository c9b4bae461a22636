"""What may stand in the place of plain convolutions over more than one pixel. The entrance stays a plain one."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality

PICTURES = (Modality.IMAGE,)


@technique(
    id="depthwise-separable", stage="block", slot="convolution", modalities=PICTURES, cost=0.95,
    reference="Howard et al.: MobileNets, arXiv:1704.04861 (2017); Chollet: Xception, arXiv:1610.02357",
)
def depthwise_separable(plan: TrainPlan) -> TrainPlan:
    """Depthwise-separable convolutions: each channel is filtered by itself, then channels are mixed.

    What it changes: a k×k convolution from c to f channels becomes a k×k filter for each channel, normalised and activated,
    and a 1×1 convolution. Why it may help: k²·c + c·f weights instead of k²·c·f, nearly k² times fewer. When it hurts:
    each convolution can do less, so at equal width the accuracy falls a little; depthwise filters run slowly for their
    arithmetic on CPUs. How: as in MobileNetV1. Reparametrisations leave the depthwise kernels alone.
    """
    return plan.replace(convolution=Component(f"{__name__}:separable"))


@technique(
    id="dilated-conv", stage="block", slot="convolution", modalities=PICTURES, params={"rate": Categorical((2, 3, 4), 2)},
    cost=1.2, reference="Yu, Koltun: Multi-Scale Context Aggregation by Dilated Convolutions, arXiv:1511.07122 (2015)",
)
def dilated(plan: TrainPlan, *, rate: int) -> TrainPlan:
    """Dilated convolutions: the places that a kernel sees lie `rate` pixels apart.

    What it changes: a 3×3 kernel covers a field of (2 · rate + 1)² pixels with its 9 weights. Why it may help: large
    structures are seen early, without more weights or lower resolution. When it hurts: neighbouring outputs look at
    disjoint grids of pixels ("gridding"), so fine detail is lost; on maps smaller than the field most of the kernel lies
    outside. How: y[p] = Σ w[i] · x[p + rate · i]; where a convolution halves the resolution, it stays as it is.
    """
    return plan.replace(convolution=Component(f"{__name__}:spread", {"rate": rate}))


@technique(
    id="deformable-conv", stage="block", slot="convolution", modalities=PICTURES, cost=12.0,
    reference="Dai et al.: Deformable Convolutional Networks, arXiv:1703.06211 (2017)",
)
def deformable(plan: TrainPlan) -> TrainPlan:
    """Deformable convolutions: a second convolution says for each place where the first one looks.

    What it changes: the k² places that a kernel sees are each moved by a learned offset, different at every pixel, and
    sampled between the pixels. Why it may help: the field of view follows the object's shape and size. When it hurts:
    on a CPU a step takes ten times as long, most of it in looking places up; small data don't say enough about offsets.
    How: y[p] = Σ w[i] · x(p + i + Δ_i(p)) with bilinear x(·) and zeros outside; Δ from a convolution of the same k and
    stride, whose kernel begins at 0, where all equals the plain convolution. 2·k⁴·c + 2·k² weights more. In int8 files
    the sampling stays float, since a place isn't told by 8 bits.
    """
    return plan.replace(convolution=Component(f"{__name__}:moved"))


def separable(x: Any, builder: Any, *, filters: int, kernel: int, strides: int, name: str) -> Any:
    x = builder.depthwise(x, kernel, strides=strides, name=f"{name}_depthwise")
    return builder.plain_conv(x, filters, 1, name=name)


def spread(x: Any, builder: Any, *, rate: int, filters: int, kernel: int, strides: int, name: str) -> Any:
    return builder.plain_conv(x, filters, kernel, strides=strides, dilation=rate if strides == 1 else 1, name=name)


def moved(x: Any, builder: Any, *, filters: int, kernel: int, strides: int, name: str) -> Any:
    from automl.layers import deformable

    # Not the builder's: neither a normalisation's missing bias nor a reparametrised kernel of zeros fits here.
    offsets = builder.layers.Conv2D(
        2 * kernel**2, kernel, strides=strides, padding="same", kernel_initializer="zeros", name=f"{name}_offsets"
    )(x)
    sampled = deformable.DeformableSampling(kernel, strides, name=f"{name}_sampling")([x, offsets])
    return builder.plain_conv(sampled, filters, 1, name=name)
