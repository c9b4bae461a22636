"""Moves, turns and scales pictures in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, Float, TrainPlan, technique
from automl.spec import Modality

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]
PICTURES = (Modality.IMAGE,)


@technique(
    id="flip",
    stage="data",
    modalities=PICTURES,
    params={"axes": Categorical(("horizontal", "vertical", "both"), "horizontal")},
    cost=1.02,
    reference="Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep CNNs (2012)",
)
def flip(plan: TrainPlan, *, axes: str) -> TrainPlan:
    """Flip: pictures are mirrored with probability one half.

    What it changes: half of the pictures in each batch are mirrored left to right (and, with both or vertical, half of
    them top to bottom). Why it may help: most things look alike mirrored, so the data are doubled for nothing. When it
    hurts: letters, digits, arrows, anything whose side carries the label. How: an independent draw for each picture
    and axis.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:flipped", {"axes": axes}))


@technique(
    id="random-crop", stage="data", modalities=PICTURES,
    params={"padding": Float(0.03, 0.25, 0.125), "border": Categorical(("reflect", "zero"), "reflect")}, cost=1.05,
    reference="arXiv:1409.5185 (section 4); Page, How to train your ResNet (2018)",
)
def random_crop(plan: TrainPlan, *, padding: float, border: str) -> TrainPlan:
    """Random crop: pictures are padded and cut back to their size at a random place.

    What it changes: each picture is shifted by up to `padding` × its side in both directions; what comes in at the
    border is a reflection, or black. Why it may help: convnets are only roughly insensitive to shifts, and this shows
    them all; together with flip the standard augmentation of small pictures (4 pixels of 32). When it hurts: where the
    place is the label. How: uniform whole-pixel shifts.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:cropped", {"padding": padding, "border": border}))


@technique(
    id="rotation", stage="data", modalities=PICTURES, params={"degrees": Float(2.0, 30.0, 10.0)}, cost=1.2,
    reference="Simard, Steinkraus, Platt: Best Practices for Convolutional Neural Networks (2003)",
)
def rotation(plan: TrainPlan, *, degrees: float) -> TrainPlan:
    """Rotation: pictures are turned by a random angle about their centre.

    What it changes: each picture is turned by an angle uniform in ±degrees. Why it may help: hand-held cameras and
    handwriting vary so; for digits it is among the best augmentations. When it hurts: where upright is certain it only
    blurs; large angles confuse 6 and 9. How: bilinear sampling; what comes in at the corners repeats the border.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:rotated", {"degrees": degrees}))


@technique(
    id="zoom", stage="data", modalities=PICTURES, params={"factor": Float(0.03, 0.4, 0.1)}, cost=1.2,
    reference="arXiv:1409.4842 (section 6)",
)
def zoom(plan: TrainPlan, *, factor: float) -> TrainPlan:
    """Zoom: pictures are scaled about their centre by a random factor.

    What it changes: each picture is enlarged or shrunk by a factor log-uniform in [1 / (1 + factor), 1 + factor]. Why
    it may help: objects come at all distances. When it hurts: where size is the label; details of tiny pictures blur.
    How: bilinear sampling; what comes in at the border repeats it.
    """
    return plan.extended("batch_steps", Component(f"{__name__}:zoomed", {"factor": factor}))


def flipped(*, axes: str) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        for axis, name in ((2, "horizontal"), (1, "vertical")):
            if axes in (name, "both"):
                chosen = rng.random(len(x)) < 0.5
                x = np.where(chosen[:, None, None, None], np.flip(x, axis), x)
        return {**inputs, "image": x}, y

    return step


def cropped(*, padding: float, border: str) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        b, h, w = x.shape[:3]
        up, side = max(1, round(padding * h)), max(1, round(padding * w))
        widths = ((0, 0), (up, up), (side, side), (0, 0))
        padded = np.pad(x, widths, mode="reflect") if border == "reflect" else np.pad(x, widths)
        top, left = rng.integers(0, 2 * up + 1, b), rng.integers(0, 2 * side + 1, b)
        # A view of all windows costs nothing; only the chosen ones are copied.
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(1, 2))
        return {**inputs, "image": np.moveaxis(windows[np.arange(b), top, left], 1, -1)}, y

    return step


def rotated(*, degrees: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        angle = np.deg2rad(rng.uniform(-degrees, degrees, len(x)))
        return {**inputs, "image": warped(x, np.cos(angle), np.sin(angle))}, y

    return step


def zoomed(*, factor: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        scale = np.exp(rng.uniform(-1, 1, len(x)) * np.log1p(factor))
        return {**inputs, "image": warped(x, 1 / scale, np.zeros(len(x)))}, y

    return step


def warped(x: NDArray[np.uint8], a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.uint8]:
    """Pictures [n, h, w, ch] sampled at centre + [[a, −b], [b, a]] · (row, column − centre): (a, b) = (cos θ, sin θ) turns
    by θ, (1/s, 0) enlarges s times."""
    matrix = np.stack([np.stack([a, -b], axis=-1), np.stack([b, a], axis=-1)], axis=-2)
    return mapped(x, matrix, np.zeros((len(x), 2)))


def mapped(x: NDArray[np.uint8], matrix: NDArray[Any], shift: NDArray[Any]) -> NDArray[np.uint8]:
    """Pictures [n, h, w, ch] sampled bilinearly at centre + matrix [n, 2, 2] · (row, column − centre) + shift [n, 2] in
    pixels; the border repeats outside."""
    n, h, w, channels = x.shape
    row = (np.arange(h, dtype=np.float32) - (h - 1) / 2)[None, :, None]
    column = (np.arange(w, dtype=np.float32) - (w - 1) / 2)[None, None, :]
    m, s = np.asarray(matrix, np.float32)[:, None, None], np.asarray(shift, np.float32)[:, None, None]
    y = np.clip(m[..., 0, 0] * row + m[..., 0, 1] * column + s[..., 0] + (h - 1) / 2, 0, h - 1)
    z = np.clip(m[..., 1, 0] * row + m[..., 1, 1] * column + s[..., 1] + (w - 1) / 2, 0, w - 1)
    top, left = y.astype(np.int32), z.astype(np.int32)
    down, right = np.minimum(top + 1, h - 1), np.minimum(left + 1, w - 1)
    fy, fz = (y - top)[..., None], (z - left)[..., None]
    flat = np.ascontiguousarray(x).reshape(n * h * w, channels)
    first = (np.arange(n, dtype=np.int32) * (h * w))[:, None, None]

    def at(rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
        return flat[first + rows * w + columns].astype(np.float32)

    upper = at(top, left) * (1 - fz) + at(top, right) * fz
    lower = at(down, left) * (1 - fz) + at(down, right) * fz
    return np.rint(upper * (1 - fy) + lower * fy).astype(np.uint8)
