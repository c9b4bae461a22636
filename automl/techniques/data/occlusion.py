"""Hides parts of pictures in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality
from automl.techniques.data import mixing

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]
GREY = 128
ASPECT = (0.3, 1 / 0.3)
"""Least and largest ratio of a rectangle's height to its width in random erasing."""


@technique(
    id="cutout", stage="data", modalities=(Modality.IMAGE,), params={"side": Float(0.1, 0.6, 0.25)}, cost=1.05,
    reference="arXiv:1708.04552",
)
def cutout(plan: TrainPlan, *, side: float) -> TrainPlan:
    """Cutout: a grey square hides a part of every picture.

    What it changes: a square of `side` × the picture's shorter side, around a uniform centre and cut at the borders,
    becomes mid-grey. Why it may help: the network must use the whole object instead of its most telling patch; cheap
    and strong on small pictures (with flip and crop it belongs to the CIFAR speed records). When it hurts: where the
    object is small, or place matters (digits). How: 8 pixels of 32 are the usual size under a short clock, 16 for long
    trainings.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:squares", {"side": side}))


@technique(
    id="random-erasing", stage="data", modalities=(Modality.IMAGE,),
    params={"share": Float(0.1, 1.0, 0.5), "area": Float(0.05, 0.4, 0.2)}, cost=1.05, reference="arXiv:1708.04896",
)
def random_erasing(plan: TrainPlan, *, share: float, area: float) -> TrainPlan:
    """Random erasing: rectangles of random size and shape are filled with noise.

    What it changes: with probability `share` a rectangle with an area uniform between 2 % and `area` of the picture,
    and a height-to-width ratio log-uniform between 0.3 and 3.3, is filled with random bytes. Why it may help: as
    cutout, with more variety, and a filling that no filter can mistake for background. When it hurts: together with
    cutout little is left to see; small objects. How: as written; rectangles are cut at the borders.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:rectangles", {"share": share, "area": area}))


def squares(*, side: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        b, h, w = x.shape[:3]
        pixels = np.full(b, side * min(h, w))
        hidden = mixing.boxes(h, w, pixels, pixels, rng)
        return {**inputs, "image": np.where(hidden[..., None], np.uint8(GREY), x)}, y

    return step


def rectangles(*, share: float, area: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        b, h, w = x.shape[:3]
        pixels = rng.uniform(0.02, area, b) * h * w * (rng.random(b) < share)
        ratio = np.exp(rng.uniform(np.log(ASPECT[0]), np.log(ASPECT[1]), b))
        hidden = mixing.boxes(h, w, np.sqrt(pixels * ratio), np.sqrt(pixels / ratio), rng)
        noise = rng.integers(0, 256, x.shape, np.uint8)
        return {**inputs, "image": np.where(hidden[..., None], noise, x)}, y

    return step
