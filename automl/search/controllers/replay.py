"""Prioritised replay (Schaul et al., arXiv:1511.05952): what surprised most is learned from most often.

Item i is drawn with probability p_i^α / Σ p^α; a step by it is weighted with (n P_i)^-β over the largest weight, since it is
drawn more often than it occurs. New items come with the largest priority so far. A few thousand items: a cumulative sum does
for the tree that millions would need.
"""

from __future__ import annotations

import numpy as np

from automl.search.controllers.network import Array


class Priorities:
    """Of items 0, 1, 2, …"""

    def __init__(self, alpha: float = 0.5, floor: float = 1e-3):
        self.alpha = alpha
        self.floor = floor
        self._raised = np.zeros(0)

    def __len__(self) -> int:
        return len(self._raised)

    def extend(self, count: int) -> None:
        """Takes in new items."""
        newest = self._raised.max() if len(self._raised) else 1.0
        self._raised = np.concatenate([self._raised, np.full(count, newest)])

    def probabilities(self) -> Array:
        return np.asarray(self._raised / self._raised.sum())

    def draw(self, count: int, beta: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """(items, weights), each [count]."""
        chances = self.probabilities()
        # One draw from each equal part of the whole: the same chances, less spread.
        total = np.cumsum(chances)
        at = (np.arange(count) + rng.random(count)) / count * total[-1]
        items = np.minimum(np.searchsorted(total, at, side="right"), len(chances) - 1)
        weights = (len(chances) * chances[items]) ** -beta
        return items, weights / weights.max()

    def update(self, items: Array, surprises: Array) -> None:
        """Sets the priorities of items to what a step by them showed."""
        self._raised[items] = (np.abs(surprises) + self.floor) ** self.alpha
