"""Looks for the learning rate before training: short steps at rising rates, whose losses say where it is stable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl.training.batches import Batch
from automl.training.engine import Engine

CHUNK = 10
"""Steps in one call; between calls it is seen whether the loss has run away."""


class RateSearch(Protocol):
    """Which rates are tried, and what is made of their losses."""

    def schedule(self, rate: float) -> Any:
        """A Keras schedule: the rate of each step, around the one that the optimizer would have."""

    def rates(self, rate: float) -> NDArray[np.float64]:
        """The same as numbers, one for each step."""

    def over(self, losses: NDArray[np.float64]) -> bool:
        """Whether the losses so far say enough."""

    def pick(self, rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
        """The peak rate for the training; None when the losses don't tell."""


def search(
    finder: RateSearch, rate: float, core: Any, engine: Callable[[Any], Engine], batches: Iterable[Batch],
    go_on: Callable[[], bool] = lambda: True,
) -> float | None:
    """Runs the steps and returns the rate found, with every variable of the core as it was before.

    `engine` makes an engine for a schedule, with an optimizer of its own. `batches` are as many as it takes. `go_on` is
    asked between calls; when it says no, there is no rate.
    """
    before = [np.array(np.asarray(v.value)) for v in core.variables]
    rates = finder.rates(rate)
    losses = np.zeros(0)
    try:
        steps, source = engine(finder.schedule(rate)), iter(batches)
        first = True
        while len(losses) < len(rates) and not finder.over(losses):
            if not go_on():
                return None
            chunk = list(_taken(source, min(CHUNK, len(rates) - len(losses))))
            if first:
                steps.trace(None, chunk[0])
                first = False
            losses = np.concatenate([losses, steps.run_batches(Batch.stack(chunk))])
    finally:
        for variable, value in zip(core.variables, before, strict=True):
            variable.assign(value)
    return finder.pick(rates[: len(losses)], losses)


def _taken(source: Iterator[Batch], count: int) -> Iterator[Batch]:
    for _ in range(count):
        yield next(source)
