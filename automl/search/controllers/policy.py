"""What the three controllers have in common: how they are asked, and what they are told."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from automl.search.controllers.decisions import Decisions, Position


@dataclasses.dataclass(frozen=True)
class Episode:
    """Decisions that were made, trained, and measured."""

    key: str
    """The recipe's identity."""
    end: Position
    worth: float
    """In [-1, 1]: its standing among all that is known now, so it changes as others come."""


class Policy(abc.ABC):
    """Proposes finished positions and learns what they were worth. A proposal changes nothing that is learned."""

    def __init__(self, decisions: Decisions, seed: int):
        self.decisions = decisions
        self.seed = seed

    @abc.abstractmethod
    def candidates(self, rng: np.random.Generator, tried: Callable[[Position], bool]) -> Iterator[Position]:
        """Finished positions without end, the most wanted first; later ones stray farther. They may be `tried` ones, which
        aren't wanted."""

    def began(self, key: str, end: Position) -> None:  # noqa: B027 — not every controller keeps what it thought then.
        """A training has begun: what has to be remembered of the moment is remembered."""

    @abc.abstractmethod
    def learn(self, episodes: Sequence[Episode], rng: np.random.Generator) -> None:
        """Learns from all that is known, in the order in which it came."""
