"""Activations with an exponential branch."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, TrainPlan, technique

EXPONENTIAL_IN_8_BITS = (
    "TFLite computes it from the exponential of all inputs, whose range 8 bits can't hold "
    "(a small convnet's probabilities were off by 0.3 for SELU and 0.6 for softplus)"
)


@technique(id="elu", stage="activation", slot="activation", cost=1.1, reference="arXiv:1511.07289")
def elu(plan: TrainPlan) -> TrainPlan:
    """ELU: x for positive inputs, eˣ − 1 for negative ones.

    What it changes: negative inputs saturate smoothly at −1. Why it may help: mean activations come nearer to 0, which
    speeds learning without normalisation, and no unit dies. When it hurts: exponentials cost time, and 8-bit tables
    round the saturating branch. How: x if x > 0 else eˣ − 1.
    """
    return plan.replace(activation=Component(f"{__name__}:layer", {"name": "elu"}))


@technique(
    id="selu", stage="activation", slot="activation", cost=1.1, reference="arXiv:1706.02515",
    unsupported_formats={"tflite:int8": EXPONENTIAL_IN_8_BITS},
    conflicts={
        "batch-norm": "SELU normalises by itself; a normalisation before it breaks the fixed point it is built on",
        "layer-norm": "SELU normalises by itself; a normalisation before it breaks the fixed point it is built on",
        "group-norm": "SELU normalises by itself; a normalisation before it breaks the fixed point it is built on",
        "instance-norm": "SELU normalises by itself; a normalisation before it breaks the fixed point it is built on",
    },
)
def selu(plan: TrainPlan) -> TrainPlan:
    """SELU: a scaled ELU that keeps mean 0 and variance 1 from layer to layer.

    What it changes: the activation, and kernels begin as LeCun normal whatever else was chosen, since the constants
    are derived for it. Why it may help: deep plain networks stay normalised without batch statistics, so small batches
    and tables are no trouble; RealMLP uses it for classification. When it hurts: convnets with shortcuts and pooling
    leave its assumptions. How: 1.0507 · (x if x > 0 else 1.6733 (eˣ − 1)).
    """
    return plan.replace(
        activation=Component(f"{__name__}:layer", {"name": "selu"}),
        init=Component(
            "keras.initializers:VarianceScaling", {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"}
        ),
    )


@technique(
    id="softplus", stage="activation", slot="activation", cost=1.3,
    reference="Dugas et al.: Incorporating Second-Order Functional Knowledge (NIPS 2000)",
    unsupported_formats={"tflite:int8": EXPONENTIAL_IN_8_BITS},
)
def softplus(plan: TrainPlan) -> TrainPlan:
    """Softplus: log(1 + eˣ), a smooth ReLU.

    What it changes: the corner of ReLU becomes a curve. Why it may help: derivatives of all orders exist, which suits
    smooth regression surfaces. When it hurts: outputs are always positive, so signals drift; slower than ReLU and
    rarely better in deep nets. How: log(1 + eˣ).
    """
    return plan.replace(activation=Component(f"{__name__}:layer", {"name": "softplus"}))


def layer(*, name: str, rank: int) -> Any:
    """The stock activation layer."""
    import keras

    return keras.layers.Activation(name)
