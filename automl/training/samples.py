"""From prepared data to the arrays that a training runs on: rows and resolution of the fidelity, encoding, resampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan
from automl.data.encoder import TableEncoder
from automl.data.prepared import PreparedDataset, validated_on
from automl.spec import Fidelity, Modality
from automl.tasks import head

Inputs = dict[str, NDArray[Any]]

SAMPLE_ROWS = 4096
"""Rows that an architecture gets to look at (bins, pixel statistics)."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """All that a training reads."""

    inputs: Inputs
    """Encoded training inputs; pictures may be memory-mapped."""
    target: NDArray[Any]
    """int32 [n] classes, or float32 [n, 1] standardised numbers."""
    classes: int
    """0 for regression."""
    validation_inputs: Inputs
    validation_target: NDArray[Any]
    """int32 [m] classes, or float32 [m] in the target's own unit: what metrics take."""
    preprocess: dict[str, Any]
    """The fitted preprocess.json, with the resolution of this training."""
    soft: NDArray[np.float32] | None = None
    """Of classes, the probabilities [n, classes] that are learned in the place of the labels."""

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.inputs.values())

    @property
    def shown(self) -> Inputs:
        """Some training inputs, as architectures and pixel scaling take them. Rows are shuffled already when prepared."""
        return {name: np.asarray(array[:SAMPLE_ROWS]) for name, array in self.inputs.items()}


def load(
    prepared: PreparedDataset, plan: TrainPlan, part: str, fidelity: Fidelity, seed: int,
    preprocess: Mapping[str, Any] | None = None,
) -> Samples:
    """Reads and encodes. The encoder is fitted on the whole part whatever the fidelity, so that rungs of one trial see the
    same columns; `preprocess` (of an earlier training) is taken instead of fitting one."""
    meta = prepared.meta
    inputs, target = dict(prepared.inputs(part)), prepared.target(part)
    held = validated_on(part)
    validation = dict(prepared.inputs(held))
    rng = np.random.default_rng([seed, 0])
    rows = None
    if fidelity.data_fraction < 1:
        strata = target if meta.kind == "classification" else None
        rows = subset(len(target), fidelity.data_fraction, rng, strata)
        inputs, target = {name: array[rows] for name, array in inputs.items()}, target[rows]
    if meta.modality == Modality.IMAGE:
        fitted = dict(preprocess or meta.preprocess)
        if fidelity.resolution != 1.0:
            height, width = (max(1, round(int(meta.preprocess[s]) * fidelity.resolution)) for s in ("height", "width"))
            fitted |= {"height": height, "width": width}
            size = (height, width)
            inputs, validation = {"image": resized(inputs["image"], size)}, {"image": resized(validation["image"], size)}
    elif meta.modality in (Modality.TEXT, Modality.SERIES):
        fitted = dict(preprocess or meta.preprocess)  # fitted when prepared, on the training rows
    else:
        encoder = TableEncoder.fit(prepared, plan, part=part) if preprocess is None else TableEncoder.from_dict(preprocess)
        fitted = encoder.to_dict()
        inputs, validation = encoder.transform(inputs), encoder.transform(validation)
    target = np.asarray(target) if meta.kind == "classification" else head.standardised(target, meta)
    if plan.resampling is not None:
        inputs, target = plan.resampling.make(inputs, target, np.random.default_rng([seed, 1]))
    return Samples(
        inputs, target, len(meta.classes), validation, np.asarray(prepared.target(held)), fitted
    )


def taught(samples: Samples, teacher: NDArray[np.float32], weight: float, meta: Any) -> Samples:
    """The samples with targets that are the teacher's outputs by `weight`, and the truth by the rest.

    `teacher` is what the other model gives for the same rows: probabilities [n, classes], or numbers [n, 1] in the target's
    unit. The cross-entropy is linear in its target, so this is Hinton's sum of two losses at temperature 1.
    """
    if len(teacher) != samples.rows:
        raise ValueError(f"the teacher gave outputs for {len(teacher)} rows, and {samples.rows} are trained on")
    if samples.classes:
        truth = np.zeros((samples.rows, samples.classes), np.float32)
        truth[np.arange(samples.rows), samples.target] = 1.0
        return dataclasses.replace(samples, soft=np.asarray(weight * teacher + (1 - weight) * truth, np.float32))
    mixed = weight * head.standardised(teacher[:, 0], meta) + (1 - weight) * samples.target
    return dataclasses.replace(samples, target=np.asarray(mixed, np.float32))


def subset(
    rows: int, fraction: float, rng: np.random.Generator, strata: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Row numbers, ascending, of a share of the rows: at least 2, in proportion in each stratum, and nested (a smaller
    share is part of a larger one with the same generator state)."""
    order = rng.permutation(rows)
    if strata is None:
        rank = np.empty(rows)
        rank[order] = np.arange(rows)
    else:
        rank = np.empty(rows)
        for value in np.unique(strata):
            members = order[np.asarray(strata)[order] == value]
            # Spread each stratum evenly over [0, 1): a prefix then holds each in proportion, the first member of each early.
            rank[members] = np.arange(len(members)) / len(members)
    chosen = np.argsort(rank, kind="stable")[: max(2, round(rows * fraction))]
    return np.sort(chosen)


def resized(images: NDArray[np.uint8], size: tuple[int, int], chunk: int = 2048) -> NDArray[np.uint8]:
    """Pictures [n, h, w, ch] at another size: each new pixel is the mean of the area that it covers (for smaller ones), or
    linear between the nearest (for larger)."""
    down, across = _weights(images.shape[1], size[0]), _weights(images.shape[2], size[1])
    out = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for start in range(0, len(images), chunk):
        block = np.asarray(images[start : start + chunk], np.float32)
        block = np.einsum("yh,nhwc->nywc", down, block, optimize=True)
        block = np.einsum("xw,nywc->nyxc", across, block, optimize=True)
        out[start : start + chunk] = np.clip(np.rint(block), 0, 255)
    return out


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """[new, old] with rows that sum to 1: a triangle filter as wide as a new pixel (at least an old one), at half-pixel
    centres."""
    width = max(1.0, old / new)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(old)[None, :] - centres[:, None]) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
