"""Varies brightness, contrast and saturation of pictures in training.

What it changes: each picture's pixels are scaled about black (brightness), about its mean grey (contrast), and about
each pixel's own grey (saturation), by factors uniform in [1 − s, 1 + s], drawn independently. Why it may help: light
and cameras vary, the label doesn't. When it hurts: where colour or brightness is the label (ripeness, stains); on
clean scans it only costs time.

How: x ← x·f_b; x ← m + (x − m)·f_c with m the picture's mean; x ← g + (x − g)·f_s with g the mean of a pixel's
channels (no effect on grey pictures); rounded and cut to [0, 255].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]


@technique(
    id="color-jitter", stage="data", modalities=(Modality.IMAGE,), params={"strength": Float(0.05, 0.5, 0.2)}, cost=1.15,
    reference="Howard: Some Improvements on Deep CNN Based Image Classification, arXiv:1312.5402",
)
def apply(plan: TrainPlan, *, strength: float) -> TrainPlan:
    return plan.extended("batch_steps", Component(f"{__name__}:jittered", {"strength": strength}))


def jittered(*, strength: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"].astype(np.float32)
        brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, (3, len(x), 1, 1, 1)).astype(np.float32)
        x *= brightness
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        x = mean + (x - mean) * contrast
        grey = x.mean(axis=3, keepdims=True)
        x = grey + (x - grey) * saturation
        return {**inputs, "image": np.clip(np.rint(x), 0, 255).astype(np.uint8)}, y

    return step
