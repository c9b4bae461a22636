"""Signal augmentation: training series get noise, other amplitudes, another pace, and lose a span of time or channels.

What it changes: in each batch, in this order: the pace of each series varies smoothly (`warp`), each channel is multiplied
by a factor of its own (`scaling`), every value gets Gaussian noise (`jitter`), one span of time of up to the share
`time_mask` becomes the mean, and each channel does so with probability `channel_mask`, but never all of them. The last two
are SpecAugment's masks, which suit spectrograms, whose channels are frequencies. Why it may help: sensors differ in noise
and gain, people in pace, and nothing of that changes the class; a few dozen series aren't learnt by heart so soon. When it
hurts: where amplitude, pace or a short event is the class. Targets stay; lengths do too.

How: the pace is exp(`warp` · z) in each of four equal parts of the series, z ~ N(0, 1), scaled so that first and last step
stay where they are; values between steps are interpolated. Factors are 1 + `scaling` · z, noise is `jitter` · z (series are
standardised). Steps beyond a series' end, and the channel that says so, are left alone. Evaluation and the exported model
see series as they are.
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
PACES = 4
"""Parts of a series with a pace of their own."""


@technique(
    id="signal-augment",
    stage="data",
    modalities=(Modality.SERIES,),
    params={
        "jitter": Float(0.0, 0.3, 0.05), "scaling": Float(0.0, 0.4, 0.1), "warp": Float(0.0, 0.5, 0.1),
        "time_mask": Float(0.0, 0.4, 0.1), "channel_mask": Float(0.0, 0.3, 0.0),
    },
    reference="arXiv:1706.00527 (jitter, scaling, time warp); arXiv:1904.08779 (SpecAugment)",
    cost=1.2,
)
def apply(
    plan: TrainPlan, *, jitter: float, scaling: float, warp: float, time_mask: float, channel_mask: float
) -> TrainPlan:
    settings = {
        "jitter": jitter, "scaling": scaling, "warp": warp, "time_mask": time_mask, "channel_mask": channel_mask,
    }
    return plan.extended("batch_steps", Component(f"{__name__}:disturb", settings))


def disturb(*, jitter: float, scaling: float, warp: float, time_mask: float, channel_mask: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        given = np.asarray(inputs["series"], np.float32)
        masked = has_mask(given)
        values = given[..., :-1] if masked else given
        b, steps, channels = values.shape
        lengths = given[..., -1].sum(axis=1).astype(np.int64) if masked else np.full(b, steps)
        if warp > 0:
            values = warped(values, lengths, warp, rng)
        if scaling > 0:
            values = values * (1 + np.float32(scaling) * rng.standard_normal((b, 1, channels), np.float32))
        if jitter > 0:
            values = values + np.float32(jitter) * rng.standard_normal(values.shape, np.float32)
        hidden = np.arange(steps) >= lengths[:, None]
        if time_mask > 0:
            hidden = hidden | spans(lengths, steps, time_mask, rng)
        values = np.where(hidden[..., None], np.float32(0), values)
        if channel_mask > 0 and channels > 1:
            lost = rng.random((b, channels)) < channel_mask
            lost[np.arange(b), rng.integers(0, channels, b)] = False
            values = np.where(lost[:, None, :], np.float32(0), values)
        out = np.concatenate([values, given[..., -1:]], axis=2) if masked else values
        return {**inputs, "series": np.asarray(out, np.float32)}, y

    return step


def has_mask(series: NDArray[np.float32]) -> bool:
    """Whether the last channel says which steps are there: ones, then zeros, in every series, and more channels than that.

    Standardised values are never all exactly 1 and 0.
    """
    if series.shape[2] < 2:
        return False
    last = series[..., -1]
    return bool(((last == 0) | (last == 1)).all() and (last[:, 0] == 1).any() and (np.diff(last, axis=1) <= 0).all())


def warped(
    values: NDArray[np.float32], lengths: NDArray[np.int64], size: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """[b, steps, channels], each series read at another pace in each of its parts."""
    b, steps, _ = values.shape
    pace = np.exp(size * rng.standard_normal((b, PACES)))
    knots = np.concatenate([np.zeros((b, 1)), np.cumsum(pace, axis=1)], axis=1)
    knots *= PACES / knots[:, -1:]
    last = np.maximum(lengths - 1, 0)[:, None]
    # Where each step lies among the parts, and where the warped series is read there.
    place = np.arange(steps)[None, :] / np.maximum(last, 1) * PACES
    part = np.clip(place.astype(np.int64), 0, PACES - 1)
    low, high = np.take_along_axis(knots, part, 1), np.take_along_axis(knots, part + 1, 1)
    read = np.clip((low + (high - low) * (place - part)) / PACES * last, 0, last)
    before = read.astype(np.int64)
    after = np.minimum(before + 1, last)
    share = (read - before).astype(np.float32)[..., None]
    first = np.take_along_axis(values, before[..., None], 1)
    second = np.take_along_axis(values, after[..., None], 1)
    return np.asarray(first * (1 - share) + second * share, np.float32)


def spans(lengths: NDArray[np.int64], steps: int, most: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """[b, steps]: one span in each series, of a length uniform up to the share `most` of it, anywhere inside."""
    width = np.floor(rng.random(len(lengths)) * (most * lengths + 1)).astype(np.int64)
    start = np.floor(rng.random(len(lengths)) * (lengths - width + 1)).astype(np.int64)
    places = np.arange(steps)
    return (places >= start[:, None]) & (places < (start + width)[:, None])
