"""Batches as NumPy arrays, the same under every backend: order of the rows, targets, steps on each batch, weights.

Everything random is drawn from a generator of (seed, epoch), so an epoch that is repeated after a crash is the same epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan
from automl.training.samples import Inputs, Samples

FEW_STEPS = 10
"""With fewer full batches an epoch the rest of the rows is not left out, but filled up to one more."""
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Batch:
    """One step's data, or with a leading axis those of several."""

    inputs: Inputs
    target: NDArray[np.float32]
    """[b, classes] or [b, 1]."""
    weight: NDArray[np.float32] | None
    """[b]; None where all weigh 1."""

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in self.inputs.values()) + self.target.nbytes

    @staticmethod
    def stack(batches: list[Batch]) -> Batch:
        """Batches of equal shape along a new first axis."""
        first = batches[0]
        return Batch(
            {name: np.stack([b.inputs[name] for b in batches]) for name in first.inputs},
            np.stack([b.target for b in batches]),
            None if first.weight is None else np.stack([b.weight for b in batches if b.weight is not None]),
        )


class Batches:
    """The training rows of a plan, epoch by epoch."""

    def __init__(self, samples: Samples, plan: TrainPlan, batch_size: int, seed: int):
        self.samples = samples
        self.batch_size = min(batch_size, samples.rows)
        self._seed = seed
        self._target_steps = [component.make() for component in plan.target_steps]
        self._batch_steps = [component.make() for component in plan.batch_steps]
        self._class_weights: NDArray[np.float32] | None = None
        if plan.class_weights is not None and samples.classes:
            counts = np.bincount(samples.target, minlength=samples.classes)
            self._class_weights = np.asarray(plan.class_weights.make(counts), np.float32)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        full, rest = divmod(self.samples.rows, self.batch_size)
        return full + (1 if rest and full < FEW_STEPS else 0)

    @property
    def per_batch(self) -> bool:
        """Batches are changed one by one, so they have to be made one by one."""
        return bool(self._batch_steps)

    def rows(self, epoch: int) -> NDArray[np.int32]:
        """Row numbers of an epoch's batches, [steps, batch]."""
        rng = np.random.default_rng([self._seed, 2, epoch])
        order = rng.permutation(self.samples.rows)
        wanted = self.steps * self.batch_size
        if wanted > len(order):
            order = np.concatenate([order, rng.permutation(self.samples.rows)[: wanted - len(order)]])
        return order[:wanted].astype(np.int32).reshape(self.steps, self.batch_size)

    def whole(self, epoch: int) -> Batch:
        """All rows at once, for an epoch that gathers its batches by row number. Only where not `per_batch`."""
        target = self._targets(slice(None), np.random.default_rng([self._seed, 3, epoch]))
        return Batch(self.samples.inputs, target, self._weights(target))

    @property
    def whole_is_constant(self) -> bool:
        """`whole` is the same in each epoch."""
        return not self._target_steps

    def stream(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches, one by one."""
        rng = np.random.default_rng([self._seed, 3, epoch])
        for rows in self.rows(epoch):
            # Rows in ascending order read memory-mapped pictures from front to back; their order in a batch means nothing.
            rows = np.sort(rows)
            inputs = {name: array[rows] for name, array in self.samples.inputs.items()}
            target = self._targets(rows, rng)
            for step in self._batch_steps:
                inputs, target = step(inputs, target, rng)
            yield Batch(inputs, np.asarray(target, np.float32), self._weights(target))

    def inputs(self, epoch: int) -> Iterator[Inputs]:
        """Batches of plain training inputs, for statistics."""
        for rows in self.rows(epoch):
            yield {name: array[np.sort(rows)] for name, array in self.samples.inputs.items()}

    def _targets(self, rows: NDArray[np.int32] | slice, rng: np.random.Generator) -> NDArray[np.float32]:
        samples = self.samples
        if not samples.classes:
            return np.asarray(samples.target[rows], np.float32)
        soft = one_hot(samples.target[rows], samples.classes) if samples.soft is None else samples.soft[rows]
        for step in self._target_steps:
            soft = step(soft, rng)
        return np.asarray(soft, np.float32)

    def _weights(self, target: NDArray[Any]) -> NDArray[np.float32] | None:
        """Of soft targets the mean of their classes' weights."""
        return None if self._class_weights is None else np.asarray(target @ self._class_weights, np.float32)


def one_hot(labels: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """[n] → float32 [n, classes]."""
    out = np.zeros((len(labels), classes), np.float32)
    out[np.arange(len(labels)), labels] = 1.0
    return out


@contextlib.contextmanager
def prefetched(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Items made ahead by a thread, up to `depth` of them; with 0 by the caller. What making raises is raised to the caller;
    the thread ends with the context."""
    if depth == 0:
        yield iter(items)
        return
    ready: queue.Queue[Callable[[], T] | None] = queue.Queue(depth)
    over = threading.Event()

    def put(item: Callable[[], T] | None) -> bool:
        while not over.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(lambda item=item: item):  # type: ignore[misc]
                    return
        except BaseException as error:  # noqa: BLE001 — raised again where the items are taken.
            failure = error

            def fail() -> T:
                raise failure

            put(fail)
        put(None)

    def take() -> Iterator[T]:
        while (item := ready.get()) is not None:
            yield item()

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        over.set()
        thread.join()
