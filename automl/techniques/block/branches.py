"""Blocks whose parts are laid side by side: their channels are joined, not added."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality

NO_SHORTCUT = "its branches are joined, not added, so none can be skipped"


@technique(
    id="dense-block", stage="block", slot="block", modalities=(Modality.IMAGE,),
    params={"growth": Categorical((8, 12, 16, 24, 32), 12)}, cost=1.2, conflicts={"stochastic-depth": NO_SHORTCUT},
    reference="Huang et al.: Densely Connected Convolutional Networks, arXiv:1608.06993 (2016)",
)
def dense_block(plan: TrainPlan, *, growth: int) -> TrainPlan:
    """Dense block: every layer sees the channels of all layers before it in its stage.

    What it changes: a block makes `growth` new channels from all there are (1×1 convolution to 4 · growth, then 3×3) and
    joins them to its input; between stages a 1×1 convolution halves the channels and a mean over 2×2 the resolution. The
    network's width only sets the entrance. Why it may help: features are used again instead of learned again, so few
    weights go far (DenseNet-BC). When it hurts: joined maps need memory, and many small convolutions run slower than their
    arithmetic says. How: c·4g + 9·4g·g weights with c channels in; a transition has c · c/2. Normalisation and activation
    stand behind each convolution, not before it as in the paper, so that the first folds into the kernel for inference.
    """
    return plan.replace(block=Component(f"{__name__}:densely", {"growth": growth}))


@technique(
    id="inception", stage="block", slot="block", modalities=(Modality.IMAGE,), cost=1.3,
    conflicts={"stochastic-depth": NO_SHORTCUT},
    reference="Szegedy et al.: Going Deeper with Convolutions, arXiv:1409.4842 (2014); arXiv:1512.00567",
)
def inception(plan: TrainPlan) -> TrainPlan:
    """Inception block: convolutions of several sizes side by side, and a pooling, joined.

    What it changes: a block of f channels has four branches of q = f / 4 each: 1×1; 1×1 then 3×3; 1×1 then two 3×3 (which
    see 5×5); a 3×3 maximum then 1×1. Why it may help: the size of what matters is unknown and varies; each block looks at
    several at once, for a quarter of a full convolution's weights. When it hurts: without shortcuts deep networks of it are
    harder to train; branches of few channels use a CPU badly. How: 4·c·q + 27·q² weights with c channels in; to halve the
    resolution the last layer over places of each branch (the 1×1 branch's only one) has a stride.
    """
    return plan.replace(block=Component(f"{__name__}:joined"))


def densely(x: Any, builder: Any, *, growth: int, filters: int, strides: int, depth: float, name: str) -> Any:
    if strides > 1:
        x = builder.conv(x, int(x.shape[-1]) // 2, 1, name=f"{name}_transition")
        x = builder.layers.AveragePooling2D(strides, padding="same", name=f"{name}_pool")(x)
    branch = builder.conv(x, 4 * growth, 1, name=f"{name}_a")
    branch = builder.conv(branch, growth, 3, name=f"{name}_b")
    branch = builder.gate(branch, name=f"{name}_se")
    return builder.layers.Concatenate(name=f"{name}_join")([x, branch])


def joined(x: Any, builder: Any, *, filters: int, strides: int, depth: float, name: str) -> Any:
    quarter = filters // 4
    one = builder.conv(x, quarter, 1, strides=strides, name=f"{name}_1")
    three = builder.conv(x, quarter, 1, name=f"{name}_3a")
    three = builder.conv(three, quarter, 3, strides=strides, name=f"{name}_3b")
    five = builder.conv(x, quarter, 1, name=f"{name}_5a")
    five = builder.conv(five, quarter, 3, name=f"{name}_5b")
    five = builder.conv(five, quarter, 3, strides=strides, name=f"{name}_5c")
    pooled = builder.layers.MaxPooling2D(3, strides=strides, padding="same", name=f"{name}_pool")(x)
    pooled = builder.conv(pooled, quarter, 1, name=f"{name}_project")
    return builder.gate(builder.layers.Concatenate(name=f"{name}_join")([one, three, five, pooled]), name=f"{name}_se")
