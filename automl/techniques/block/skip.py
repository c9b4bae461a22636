"""Blocks around a shortcut: their input is added to what a branch makes of it."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality

PICTURES = (Modality.IMAGE,)
DEPTHWISE_ALREADY = "its convolutions over places are depthwise already"


@technique(
    id="residual", stage="block", slot="block", modalities=PICTURES, default=True,
    reference="He et al.: Deep Residual Learning for Image Recognition, arXiv:1512.03385 (2015)",
)
def residual(plan: TrainPlan) -> TrainPlan:
    """Residual block: two 3×3 convolutions, whose result is added to their input.

    What it changes: each block of the network's stages is y = act(x + B(x)) with B two normalised 3×3 convolutions, an
    activation between them. Why it may help: a block that has nothing to add leaves its input as it is, and gradients
    reach early blocks by the shortcuts, so depth doesn't hurt: the first choice for small and medium nets. When it hurts:
    many channels make it expensive; then take `bottleneck` or `inverted-residual`. How: with c channels in and f out it
    has 9·c·f + 9·f² weights; where the resolution is halved or f ≠ c, the shortcut is a 1×1 convolution (c·f more).
    """
    return plan.replace(block=Component(f"{__name__}:residual_block"))


@technique(
    id="bottleneck", stage="block", slot="block", modalities=PICTURES, params={"ratio": Categorical((2, 4), 4)}, cost=0.7,
    reference="He et al.: Deep Residual Learning for Image Recognition, arXiv:1512.03385 (2015), section 4.1",
)
def bottleneck(plan: TrainPlan, *, ratio: int) -> TrainPlan:
    """Bottleneck block: a 3×3 convolution on few channels, between 1×1 convolutions that thin and widen them.

    What it changes: the branch of each residual block thins its f channels to m = f / `ratio` (8 at least), filters those
    3×3, and widens them again. Why it may help: the 3×3 convolution is the expensive part, and costs 1 / ratio² of before;
    more blocks fit into the same size, as in ResNet-50. When it hurts: narrow networks: a few channels carry too little
    through the waist. How: c·m + 9·m² + m·f weights with c channels in; shortcuts as in `residual`. The stride lies on the
    3×3 convolution, so that no pixel is skipped.
    """
    return plan.replace(block=Component(f"{__name__}:bottleneck_block", {"ratio": ratio}))


@technique(
    id="inverted-residual", stage="block", slot="block", modalities=PICTURES, cost=2.0,
    params={
        "form": Categorical(("mobilenet", "convnext"), "mobilenet"),
        "expansion": Categorical((2, 3, 4, 6), 4),
        "kernel": Categorical((3, 5, 7), 3),
    },
    conflicts=dict.fromkeys(("depthwise-separable", "dilated-conv", "deformable-conv"), DEPTHWISE_ALREADY),
    reference="Sandler et al.: MobileNetV2, arXiv:1801.04381 (2018); Liu et al.: A ConvNet for the 2020s, arXiv:2201.03545",
)
def inverted_residual(plan: TrainPlan, *, form: str, expansion: int, kernel: int) -> TrainPlan:
    """Inverted residual block: a thin shortcut around a wide depthwise convolution (MobileNetV2), or ConvNeXt's form of it.

    What it changes: in the form `mobilenet` the branch widens its channels `expansion` times by a 1×1 convolution, filters
    each for itself (`kernel` × `kernel`), and thins them again without activation, since a non-linearity on few channels
    destroys information. In the form `convnext` the depthwise convolution comes first, on the thin channels, with one
    normalisation and one activation in the whole branch; usual are kernel 7, `layer-norm` and `gelu`. Why it may help:
    most of the accuracy of full convolutions at a fraction of weights and multiplications. When it hurts: depthwise
    convolutions train slowly for their arithmetic on CPUs, and need more epochs. How: with c channels in, f out and e = c ·
    expansion, mobilenet has c·e + k²·e + e·f weights, and a shortcut where resolution and channels stay; convnext has
    k²·f + 2·f²·expansion, behind a 2×2 convolution of its own (4·c·f) where the resolution is halved. Reparametrisations
    leave depthwise kernels alone.
    """
    values = {"expansion": expansion, "kernel": kernel}
    return plan.replace(block=Component(f"{__name__}:{form}_block", values))


def residual_block(x: Any, builder: Any, *, filters: int, strides: int, depth: float, name: str) -> Any:
    branch = builder.conv(x, filters, 3, strides=strides, name=f"{name}_a")
    branch = builder.conv(branch, filters, 3, activate=False, name=f"{name}_b")
    return _added(x, branch, builder, filters=filters, strides=strides, depth=depth, name=name)


def bottleneck_block(x: Any, builder: Any, *, ratio: int, filters: int, strides: int, depth: float, name: str) -> Any:
    thin = max(8, filters // ratio)
    branch = builder.conv(x, thin, 1, name=f"{name}_a")
    branch = builder.conv(branch, thin, 3, strides=strides, name=f"{name}_b")
    branch = builder.conv(branch, filters, 1, activate=False, name=f"{name}_c")
    return _added(x, branch, builder, filters=filters, strides=strides, depth=depth, name=name)


def mobilenet_block(
    x: Any, builder: Any, *, expansion: int, kernel: int, filters: int, strides: int, depth: float, name: str
) -> Any:
    branch = builder.conv(x, int(x.shape[-1]) * expansion, 1, name=f"{name}_expand")
    branch = builder.depthwise(branch, kernel, strides=strides, name=f"{name}_depthwise")
    branch = builder.gate(branch, name=f"{name}_se")
    branch = builder.conv(branch, filters, 1, activate=False, name=f"{name}_project")
    fits = strides == 1 and x.shape[-1] == filters
    return builder.residual(x, branch, depth=depth, name=name) if fits else branch


def convnext_block(
    x: Any, builder: Any, *, expansion: int, kernel: int, filters: int, strides: int, depth: float, name: str
) -> Any:
    if strides > 1 or x.shape[-1] != filters:
        x = builder.conv(x, filters, strides, strides=strides, activate=False, plain=True, name=f"{name}_down")
    branch = builder.depthwise(x, kernel, activate=False, name=f"{name}_depthwise")
    # Not normalised, so with biases of their own.
    branch = builder.conv(branch, expansion * filters, 1, finish=False, use_bias=True, name=f"{name}_expand")
    branch = builder.finish(branch, normalize=False, name=f"{name}_expand")
    branch = builder.gate(branch, name=f"{name}_se")
    branch = builder.conv(branch, filters, 1, finish=False, use_bias=True, name=f"{name}_project")
    return builder.residual(x, branch, depth=depth, name=name)


def _added(x: Any, branch: Any, builder: Any, *, filters: int, strides: int, depth: float, name: str) -> Any:
    """act(shortcut + gated branch)."""
    branch = builder.gate(branch, name=f"{name}_se")
    if strides > 1 or x.shape[-1] != filters:
        x = builder.conv(x, filters, 1, strides=strides, activate=False, name=f"{name}_shortcut")
    x = builder.residual(x, branch, depth=depth, name=name)
    return builder.finish(x, name=name, normalize=False)
