"""Distorts pictures in training by operations drawn at random: RandAugment, TrivialAugment, AugMix.

What it changes: each picture goes through operations drawn from fourteen (none; contrast stretched, histogram
equalised; turned, sheared and shifted in either direction; brightness, contrast, colour, sharpness; fewer grey levels;
bright pixels inverted), each at a strength that `magnitude` M of 30 sets. `randaugment` applies `operations` of them,
each at the strength M; `trivialaugment` one, at a strength uniform in [0, M]; `augmix` mixes three chains of one to
`operations` of the colourless ones with the picture itself. Why it may help: a whole policy of augmentations has two
numbers instead of dozens; strong on pictures of things when there are epochs enough. When it hurts: short trainings,
and where an operation changes the label: turned signs, colour or brightness that is the class. How: an operation is
drawn for each picture and place in the chain, its sign too; at M = 30 turned by 30°, sheared by 0.3, shifted by 0.3 of
the side, colours × (1 ± 0.9), 4 bits of grey levels taken away, everything inverted. AugMix: Dirichlet(1, 1, 1) weights
of the chains, Beta(1, 1) against the picture; its consistency loss isn't part of it. Labels stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, Int, TrainPlan, technique
from automl.spec import Modality
from automl.spec.recipe import ParameterValue
from automl.techniques.data import geometry

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]
Pictures = NDArray[np.uint8]
Operation = Callable[[Pictures, NDArray[np.float32]], Pictures]
"""(pictures [n, h, w, ch], strengths [n] in [−1, 1]) → pictures."""
LARGEST = 30
CHAINS = 3
FULL = {"rotate": 30.0, "shear": 0.3, "shift": 0.3, "colour": 0.9, "bits": 4.0}
"""What strength 1 means: degrees, slope, share of the side, change of a factor, bits taken away."""


@technique(
    id="randaugment", stage="data", modalities=(Modality.IMAGE,), cost=1.4,
    params={
        "variant": Categorical(("randaugment", "trivialaugment", "augmix"), "randaugment"),
        "operations": Int(1, 3, 2),
        "magnitude": Int(1, LARGEST, 9),
    },
    reference="RandAugment, arXiv:1909.13719 (2019); TrivialAugment, arXiv:2103.10158; AugMix, arXiv:1912.02781",
)
def apply(plan: TrainPlan, *, variant: str, operations: int, magnitude: int) -> TrainPlan:
    values: dict[str, ParameterValue] = {"variant": variant, "operations": operations, "magnitude": magnitude}
    return plan.extended("batch_steps", Component(f"{__name__}:distorted", values))


def distorted(*, variant: str, operations: int, magnitude: int) -> Step:
    strength = magnitude / LARGEST

    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        x = inputs["image"]
        if variant == "augmix":
            return {**inputs, "image": _mixed(x, operations, strength, rng)}, y
        if variant == "trivialaugment":
            return {**inputs, "image": _one_each(x, ALL, strength * rng.random(len(x)), rng)}, y
        for _ in range(operations):
            x = _one_each(x, ALL, np.full(len(x), strength), rng)
        return {**inputs, "image": x}, y

    return step


def _one_each(
    x: Pictures, names: tuple[str, ...], strengths: NDArray[np.float64], rng: np.random.Generator,
    chosen: NDArray[np.bool_] | None = None,
) -> Pictures:
    """Each picture (of the chosen ones) through an operation drawn for it, at its strength with a random sign."""
    drawn = rng.integers(0, len(names), len(x))
    signed = (strengths * rng.choice((-1.0, 1.0), len(x))).astype(np.float32)
    out = x.copy()
    for i, name in enumerate(names):
        rows = np.flatnonzero(drawn == i if chosen is None else (drawn == i) & chosen)
        if len(rows) and name != "identity":
            out[rows] = OPERATIONS[name](x[rows], signed[rows])
    return out


def _mixed(x: Pictures, operations: int, strength: float, rng: np.random.Generator) -> Pictures:
    n = len(x)
    shares = rng.dirichlet(np.ones(CHAINS), n).astype(np.float32)
    kept = rng.beta(1.0, 1.0, n).astype(np.float32)[:, None, None, None]
    mixed = np.zeros(x.shape, np.float32)
    for chain in range(CHAINS):
        length = rng.integers(1, operations + 1, n)
        made = x
        for place in range(operations):
            # The paper draws each strength below the largest.
            made = _one_each(made, COLOURLESS, strength * rng.uniform(0.1, 1.0, n), rng, chosen=place < length)
        mixed += shares[:, chain, None, None, None] * made
    return _bytes(kept * x + (1 - kept) * mixed)


# --- the operations ----------------------------------------------------------------------------


def _bytes(x: NDArray[Any]) -> Pictures:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _moved(x: Pictures, a: Any, b: Any, c: Any, d: Any, down: Any = 0.0, right: Any = 0.0) -> Pictures:
    n = len(x)
    matrix = np.stack([np.broadcast_to(v, n) for v in (a, b, c, d)], axis=1).reshape(n, 2, 2)
    shift = np.stack([np.broadcast_to(v, n) for v in (down, right)], axis=1)
    return geometry.mapped(x, matrix, shift)


def _rotate(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    angle = np.deg2rad(FULL["rotate"] * s)
    return _moved(x, np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))


def _shear_across(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _moved(x, 1.0, 0.0, FULL["shear"] * s, 1.0)


def _shear_down(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _moved(x, 1.0, FULL["shear"] * s, 0.0, 1.0)


def _shift_across(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _moved(x, 1.0, 0.0, 0.0, 1.0, right=FULL["shift"] * s * x.shape[2])


def _shift_down(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _moved(x, 1.0, 0.0, 0.0, 1.0, down=FULL["shift"] * s * x.shape[1])


def _away_from(x: Pictures, centre: NDArray[Any], s: NDArray[np.float32]) -> Pictures:
    """Between the centre (factor 0) and the picture (1), or beyond it."""
    factor = (1.0 + FULL["colour"] * s)[:, None, None, None]
    return _bytes(centre + (x - centre) * factor)


def _grey(x: Pictures) -> NDArray[np.float32]:
    return x.mean(axis=3, keepdims=True, dtype=np.float32)


def _brightness(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _away_from(x, np.zeros(1, np.float32), s)


def _contrast(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _away_from(x, _grey(x).mean(axis=(1, 2, 3), keepdims=True), s)


def _colour(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    return _away_from(x, _grey(x), s)


def _sharpness(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    """Away from a smoothed copy: the mean of 3 × 3 places with five times the weight of the middle, borders as they are."""
    values = x.astype(np.float32)
    smooth = values.copy()
    inside = sum(
        values[:, 1 + i : values.shape[1] - 1 + i, 1 + j : values.shape[2] - 1 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)
    )
    smooth[:, 1:-1, 1:-1] = (inside + 4 * values[:, 1:-1, 1:-1]) / 13
    return _away_from(x, smooth, s)


def _posterize(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    bits = np.rint(FULL["bits"] * np.abs(s)).astype(np.uint8)[:, None, None, None]
    return (x >> bits) << bits


def _solarize(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    threshold = (256 * (1 - np.abs(s)))[:, None, None, None]
    return np.where(x >= threshold, 255 - x, x)


def _autocontrast(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    low, high = (f(axis=(1, 2), keepdims=True).astype(np.float32) for f in (x.min, x.max))
    spread = np.where(high > low, high - low, 255.0)
    return _bytes((x - np.where(high > low, low, 0.0)) * (255.0 / spread))


def _equalize(x: Pictures, s: NDArray[np.float32]) -> Pictures:
    """Each channel's values by their rank: the histogram's cumulative sum becomes a straight line."""
    n, h, w, channels = x.shape
    flat = np.moveaxis(x, 3, 1).reshape(n * channels, h * w)
    place = np.arange(len(flat))[:, None] * 256 + flat
    counts = np.bincount(place.ravel(), minlength=256 * len(flat)).reshape(-1, 256)
    below = counts.cumsum(axis=1)
    least = np.take_along_axis(below, flat.min(axis=1)[:, None].astype(np.intp), axis=1)
    spread = h * w - least
    table = np.where(spread > 0, np.rint((below - least) * 255 / np.maximum(spread, 1)), np.arange(256))
    made = np.take_along_axis(np.clip(table, 0, 255).astype(np.uint8), flat.astype(np.intp), axis=1)
    return np.moveaxis(made.reshape(n, channels, h, w), 1, 3)


OPERATIONS: dict[str, Operation] = {
    "autocontrast": _autocontrast, "equalize": _equalize, "rotate": _rotate, "shear-across": _shear_across,
    "shear-down": _shear_down, "shift-across": _shift_across, "shift-down": _shift_down, "posterize": _posterize,
    "solarize": _solarize, "brightness": _brightness, "contrast": _contrast, "colour": _colour, "sharpness": _sharpness,
}
ALL = ("identity", *OPERATIONS)
COLOURLESS = (
    "autocontrast", "equalize", "posterize", "solarize", "rotate", "shear-across", "shear-down", "shift-across",
    "shift-down",
)
"""AugMix's: those that don't overlap with the corruptions that robustness is measured by."""
