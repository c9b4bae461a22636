"""A supernet: one network that holds every architecture of a space, trained in the place of them all.

Its training is a process on a slot, as a trial's is; what comes of it are architectures, which then train as ordinary
trials.
"""

from __future__ import annotations

from automl.spec.model import Frozen
from automl.spec.recipe import Choice, ParameterValue, Recipe
from automl.spec.trial import Measurement, Outcome

EXPECTED, LIMIT = "expected-", "limit-"
"""Watched values of these names, followed by a unit: what the choices are expected to cost, and what is allowed."""
COSTS = {
    "ms": "latency of one example in milliseconds", "bytes": "size of the int8 file in bytes", "parameters": "weights",
}
"""By unit."""


class Found(Frozen):
    """An architecture that a supernet's search ended with."""

    architecture: Choice
    expected: float | None = None
    """What the supernet foresees of the job's score (larger is better); None where it foresees nothing."""
    note: str = ""
    """Where it comes from, as a phrase."""


class Supernet(Frozen):
    """One supernet as the store and the report know it."""

    id: str
    method: str
    """Id of the strategy: "darts", "proxylessnas", "once-for-all"."""
    recipe: Recipe
    """How it is trained, and its architecture with the parameters that aren't searched; the genotype in it means nothing."""
    settings: dict[str, ParameterValue] = {}
    """Of the method."""
    seconds: float
    """Of a slot that it may take in all."""
    attempt: int = 1
    outcome: Outcome | None = None
    message: str = ""
    """Why it ended, where it ended early."""
    measurements: tuple[Measurement, ...] = ()
    """One for each round; `validation` holds what the method watches ("entropy", …) beside the job's metric."""
    found: tuple[Found, ...] = ()
    wall_s: float = 0.0
    step_s: float = 0.0
