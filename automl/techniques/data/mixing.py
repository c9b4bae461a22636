"""Mixes examples and their targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]
AFTER_OTHERS = 1
"""Mixing comes behind flips and crops, so that the two parts of a mixture are augmented independently."""


@technique(
    id="mixup", stage="data", slot="mixing", modalities=(Modality.TABLE, Modality.IMAGE),
    params={"alpha": Float(0.05, 1.0, 0.2)}, order=AFTER_OTHERS, cost=1.1, reference="arXiv:1710.09412",
)
def mixup(plan: TrainPlan, *, alpha: float) -> TrainPlan:
    """Mixup: each example becomes a weighted mean of two, and so does its target.

    What it changes: x ← λx + (1 − λ)x′, y ← λy + (1 − λ)y′ with λ ~ Beta(α, α), λ ≥ ½, drawn for each example, x′
    another row of the batch. Why it may help: the network is taught to change linearly between examples, which tames
    confidence and noise in labels. When it hurts: small nets and short trainings underfit; mixtures of categories
    don't exist, so those stay with the example that weighs more, which blurs them. How: pictures are mixed as pixels
    and rounded to bytes.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:mixed", {"alpha": alpha})).tagged("soft-targets")


@technique(
    id="cutmix", stage="data", slot="mixing", modalities=(Modality.IMAGE,), kinds=("classification",),
    params={"alpha": Float(0.2, 2.0, 1.0)}, order=AFTER_OTHERS, cost=1.1, reference="arXiv:1905.04899",
)
def cutmix(plan: TrainPlan, *, alpha: float) -> TrainPlan:
    """CutMix: a rectangle of each picture is replaced by that of another, and the target is split by area.

    What it changes: a box that covers the share 1 − λ, λ ~ Beta(α, α), is pasted from another picture of the batch at
    the same place; y becomes λ′y + (1 − λ′)y′ with λ′ the share that is really left. Why it may help: as cutout it
    hides parts, but wastes no pixels; strong for convnets trained long. When it hurts: short trainings; small objects
    that the box hides wholly. How: box sides are √(1 − λ) of the picture's, its centre is uniform, and it is cut at
    the borders.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:pasted", {"alpha": alpha})).tagged("soft-targets")


def mixed(*, alpha: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        b = len(y)
        weight = rng.beta(alpha, alpha, b).astype(np.float32)
        weight = np.maximum(weight, 1 - weight)
        partner = rng.permutation(b)
        out: Inputs = {}
        for name, x in inputs.items():
            if name == "categorical":
                out[name] = x
                continue
            shaped = weight.reshape(-1, *(1,) * (x.ndim - 1))
            blend = x * shaped + x[partner] * (1 - shaped)
            out[name] = np.rint(blend).astype(np.uint8) if x.dtype == np.uint8 else blend.astype(x.dtype)
        shaped = weight[:, None]
        return out, y * shaped + y[partner] * (1 - shaped)

    return step


def pasted(*, alpha: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        b, h, w = x.shape[:3]
        side = np.sqrt(1 - rng.beta(alpha, alpha, b))
        partner = rng.permutation(b)
        inside = boxes(h, w, side * h, side * w, rng)
        kept = (1 - inside.mean(axis=(1, 2), dtype=np.float32))[:, None]
        out = np.where(inside[..., None], x[partner], x)
        return {**inputs, "image": out}, y * kept + y[partner] * (1 - kept)

    return step


def boxes(
    h: int, w: int, heights: NDArray[Any], widths: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Masks [b, h, w] of rectangles with these sides in pixels (rounded) around uniform centres, cut at the borders."""
    tall, wide = np.rint(heights).astype(int), np.rint(widths).astype(int)
    top = rng.integers(0, h, len(tall)) - tall // 2
    left = rng.integers(0, w, len(wide)) - wide // 2
    rows, columns = np.arange(h), np.arange(w)
    in_rows = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    return in_rows[:, :, None] & in_columns[:, None, :]
