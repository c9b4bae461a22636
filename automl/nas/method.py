"""What every training of a supernet has in common: the contract between a method and the process that runs it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan
from automl.spec import Found, Recipe
from automl.spec.model import Json
from automl.spec.recipe import ParameterValue
from automl.training.batches import Batch, Batches
from automl.training.samples import Samples


@dataclasses.dataclass(frozen=True)
class Ground:
    """What a method is made on."""

    recipe: Recipe
    plan: TrainPlan
    meta: Any
    """`automl.data.prepared.PreparedMeta`"""
    samples: Samples
    settings: Mapping[str, ParameterValue]
    """Every parameter of the method's declaration."""
    metric: str = "accuracy"
    """Id of the job's."""

    @property
    def outputs(self) -> int:
        return int(self.meta.profile.outputs)


class Method(Protocol):
    """Trains a supernet, step by step."""

    variables: list[Any]
    """Keras variables: all that changes, so that a checkpoint holds it."""

    def trace(self) -> None:
        """Builds the graphs of the steps, so that no later call does; changes nothing."""

    def step(self, progress: float) -> float:
        """One step; `progress` goes from 0 to 1 over the whole search. Returns the loss of the weights."""

    def measured(self) -> tuple[dict[str, float], float]:
        """At the end of a round: what the method watches, by name, and a score (larger is better)."""

    def over(self) -> str:
        """Why the search ends after this round, as a phrase; empty while it goes on."""

    def found(self) -> list[Found]:
        """The architectures that it stands for now, best first; none while it can't tell."""

    def remark(self) -> str:
        """What people should know of what was found, or wasn't, as a phrase; may be empty."""

    def state(self) -> Json:
        """What a checkpoint holds beside the variables."""

    def restore(self, state: Json) -> None: ...

    def leave(self, folder: Path) -> None:
        """Writes what others need of the supernet, beside the checkpoint; perhaps nothing."""


class Halves:
    """The training rows in two, 0 for the weights and 1 for the architecture, as batches of one size without end."""

    def __init__(self, ground: Ground, most: int):
        """`most` rows a batch. Rows are shuffled already."""
        self._ground = ground
        middle = ground.samples.rows // 2
        self.parts = _part(ground.samples, slice(None, middle)), _part(ground.samples, slice(middle, None))
        self.size = min(most, *(part.rows for part in self.parts))
        self._streams: list[Iterator[Batch]] = []

    def next(self, half: int, steps: int) -> Batch:
        """The next batch. `steps` were taken so far: they count for the first batch, and the first since `restart`."""
        self._streams = self._streams or [self.stream(n, n, steps) for n in range(len(self.parts))]
        return next(self._streams[half])

    def restart(self) -> None:
        """Forgets the place in the rows: the next call of `next` says it."""
        self._streams = []

    def stream(self, half: int, seed: int, steps: int = 0) -> Iterator[Batch]:
        """Batches of one half beside the others; `seed` is added to the recipe's."""
        return endless(self.parts[half], self._ground.plan, self.size, self._ground.recipe.seed + seed, steps)


def _part(samples: Samples, rows: slice) -> Samples:
    soft = None if samples.soft is None else samples.soft[rows]
    inputs = {name: array[rows] for name, array in samples.inputs.items()}
    return dataclasses.replace(samples, inputs=inputs, target=samples.target[rows], soft=soft)


def endless(samples: Samples, plan: TrainPlan, batch_size: int, seed: int, begin: int = 0) -> Iterator[Batch]:
    """Batches without end, all of one size; `begin` are steps that were taken before."""
    batches = Batches(samples, plan, batch_size, seed)
    first, left_out = divmod(begin, batches.steps)
    stream = itertools.chain.from_iterable(batches.stream(epoch) for epoch in itertools.count(first + 1))
    return itertools.islice(stream, left_out, None)


def right(y: Any, outputs: Any) -> Any:
    """Share of rows whose class is right, as a tensor."""
    import tensorflow as tf

    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(outputs, -1), tf.argmax(y, -1)), tf.float32))


def cosine(progress: float, last: float = 0.02) -> float:
    """The share of the peak rate, from 1 down to `last`."""
    return float(last + (1 - last) * 0.5 * (1 + np.cos(np.pi * min(1.0, max(0.0, progress)))))


def entropy(shares: NDArray[np.float64], allowed: NDArray[np.bool_] | None = None) -> float:
    """Of decisions' shares [decisions, choices], the mean over those that have a choice, each as a share of that of chance:
    1 undecided, 0 decided. 0 where nothing is to be chosen; `allowed` is all by default."""
    counts = np.full(len(shares), shares.shape[1]) if allowed is None else allowed.sum(axis=1)
    undecided = counts > 1
    if not undecided.any():
        return 0.0
    terms = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=1)[undecided]
    return float((terms / np.log(counts[undecided])).mean())
