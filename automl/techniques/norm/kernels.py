"""Kernels that are normalised instead of (or beside) what they compute.

Training learns a kernel v and computes with w(v). The model that leaves training holds w itself in plain layers (see
`automl.layers.folding`), so inference pays nothing. Depthwise kernels and the head are left alone.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Int, TrainPlan, technique
from automl.spec import Modality

# Behind the normalisations: whether one follows is known then.
ORDER = 10


@technique(
    id="weight-norm", stage="norm", slot="reparametrisation", cost=1.05, order=ORDER,
    reference="Salimans, Kingma: Weight Normalization, arXiv:1602.07868 (2016)",
)
def weight_norm(plan: TrainPlan) -> TrainPlan:
    """Weight normalisation: a filter's length and its direction are learned apart.

    What it changes: each filter is w = g · v / ‖v‖ with a learned length g, which begins at ‖v‖, so the network is the
    same in the beginning. Why it may help: the gradient is scaled and kept orthogonal to v, which steadies the effective
    rate, as batch-norm does, without depending on the batch. When it hurts: unlike batch-norm it neither centres nor
    regularises; in front of a normalisation that rescales anyway it does nothing but slow down. How: ‖v‖ over all weights
    of a filter; the paper's data-dependent start isn't made.
    """
    return plan.replace(reparametrisation=Component(f"{__name__}:lengthwise"))


@technique(
    id="weight-standardization", stage="norm", slot="reparametrisation", modalities=(Modality.IMAGE,), cost=1.05,
    order=ORDER,
    reference="Qiao et al.: Weight Standardization, arXiv:1903.10520 (2019); Brock et al., arXiv:2101.08692",
)
def weight_standardization(plan: TrainPlan) -> TrainPlan:
    """Weight standardisation: the weights of each filter of a convolution have mean 0 and variance 1.

    What it changes: the convolution computes with (v − μ) / σ, μ and σ over the weights of a filter. Why it may help: it
    smooths the loss as batch-norm does, so that `group-norm` with small batches learns nearly as well. When it hurts:
    beside batch-norm with large batches little is left to win. How: a normalisation has to follow, which takes the
    resulting scale away; where the recipe has none, the filter is divided by the root of its number of weights and
    multiplied by a learned gain that begins at √2. Dense layers are left alone.
    """
    scaled = plan.norm is None
    return plan.replace(reparametrisation=Component(f"{__name__}:standardised", {"scaled": scaled}))


@technique(
    id="spectral-norm", stage="norm", slot="reparametrisation", params={"iterations": Int(1, 3, 1)}, cost=1.05, order=ORDER,
    reference="Miyato et al.: Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957 (2018)",
)
def spectral_norm(plan: TrainPlan, *, iterations: int) -> TrainPlan:
    """Spectral normalisation: a kernel's largest singular value is held at 1.

    What it changes: each layer computes with w = v / σ(v), so it can't stretch differences of its inputs (a convolution:
    at most by the number of places that a pixel reaches). Why it may help: the network's output moves little when its
    input does: steadier training, less fitting of noise, more robust predictions. When it hurts: a task that needs steep
    functions is underfitted; a normalisation behind the layer takes the bound away again. How: σ = uᵀ v u′ by power
    iteration, `iterations` rounds a step from the vectors of the step before, on the kernel as a matrix [inputs, filters].
    """
    return plan.replace(reparametrisation=Component(f"{__name__}:bounded", {"iterations": iterations}))


def lengthwise(layer: Any) -> Any:
    from automl.layers import kernels

    return kernels.WeightNorm(layer)


def standardised(layer: Any, *, scaled: bool) -> Any:
    from automl.layers import kernels

    is_convolution = type(layer).__name__.startswith("Conv")
    return kernels.WeightStandardization(layer, scaled=scaled) if is_convolution else layer


def bounded(layer: Any, *, iterations: int) -> Any:
    from automl.layers import kernels

    return kernels.SpectralNorm(layer, iterations=iterations)
