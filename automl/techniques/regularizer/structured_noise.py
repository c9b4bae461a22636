"""Noise with a structure: squares of a map, or the signs of weights."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique
from automl.spec import Modality

OWN_KERNEL = "both would take the place of a dense layer's kernel"


@technique(
    id="dropblock", stage="regularizer", modalities=(Modality.IMAGE,),
    params={"rate": Float(0.02, 0.3, 0.1), "size": Categorical((2, 3, 5, 7), 3)}, cost=1.4,
    reference="Ghiasi, Lin, Le: DropBlock, arXiv:1810.12890 (2018)",
)
def dropblock(plan: TrainPlan, *, rate: float, size: int) -> TrainPlan:
    """DropBlock: in training, whole squares of each channel's map are silenced at random.

    What it changes: behind each convolution block a share `rate` of each channel's places is set to 0, in squares of
    `size` × `size`; the rest is scaled so that the mean stays. Why it may help: neighbouring places say nearly the same,
    so dropping single ones hides nothing; a missing square has to be made up from elsewhere. When it hurts: short
    trainings, narrow networks, and maps hardly larger than the square. How: a corner is drawn wherever the square fits,
    with the chance at which the expected share of hidden places, overlaps counted, is `rate`; squares are cut to the map's
    side. The rate is the same from the first step on (the paper's raises it slowly). Inference does nothing.
    """
    return plan.extended("dropout", Component(f"{__name__}:blocks", {"rate": rate, "size": size}))


@technique(
    id="shakeout", stage="regularizer", modalities=(Modality.TABLE,),
    params={"rate": Float(0.05, 0.5, 0.15), "strength": Float(0.01, 1.0, 0.1, log=True)}, cost=1.4,
    conflicts={
        "weight-norm": OWN_KERNEL, "spectral-norm": OWN_KERNEL,
        "dropout": "both silence the same units; without strength shakeout is dropout",
    },
    reference="Kang, Li, Tao: Shakeout: A New Regularized Deep Neural Network Training Scheme (AAAI 2016)",
)
def shakeout(plan: TrainPlan, *, rate: float, strength: float) -> TrainPlan:
    """Shakeout: in training, each input of a dense layer is strengthened, or turned against its weights' signs.

    What it changes: an input is silenced with probability τ = `rate`, as in dropout, but then passes −c (`strength`) for
    each positive and +c for each negative weight; else its weights count by 1 / (1 − τ), moved by c τ / (1 − τ) towards
    their sign. Why it may help: dropout's noise acts like an L2 penalty, this like L0, L1 and L2 together: it prefers few
    strong connections, which also prunes well. When it hurts: a large c drowns small weights, and with it the beginning
    of training. How: W̃ = r W + c (r − 1) sign(W) with r ∈ {0, 1 / (1 − τ)} for each example and input; E[W̃] = W, which is
    what inference uses. The sign's derivative counts as 0.
    """
    return plan.replace(kernel_noise=Component(f"{__name__}:shaken", {"rate": rate, "strength": strength}))


def blocks(*, rate: float, size: int, rank: int, seed: int) -> Any:
    from automl.layers import noise

    return noise.DropBlock(rate, size, seed=seed) if rank == 4 else None


def shaken(layer: Any, *, rate: float, strength: float, seed: int) -> Any:
    from automl.layers import kernels

    return kernels.Shakeout(layer, rate=rate, strength=strength, seed=seed)
