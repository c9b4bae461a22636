"""Operations chosen by what the supernet would miss (Wang et al., Rethinking Architecture Selection in Differentiable NAS,
arXiv:2108.04392).

How much an edge's weights prefer an operation isn't how much the network gains by it: shortcuts weigh much and bring little,
and operations that bring much may weigh little. So the edges are decided one after the other: each operation of an edge is
taken out, the others stay as they are, and the loss on rows for the architecture says what is missed. The operation that is
missed most stays alone, and the network's weights learn on before the next edge is decided. `nothing` can't be missed; it
stays where the network is better off without any of the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from automl.spec.model import Json

Edge = tuple[str, int]
"""(group, row)"""
Loss = Callable[[Edge, int | None], float]
"""The loss without an operation of an edge, or without the whole edge (None), as the supernet is now."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """Of one edge."""

    edge: Edge
    missed: tuple[float, ...]
    """For each operation the loss without it, less the least of these; all else as it was."""
    kept: int


@dataclasses.dataclass
class Selection:
    """The edges' decisions so far, in the order in which they fall."""

    order: tuple[Edge, ...]
    made: list[Decision] = dataclasses.field(default_factory=list)
    strengths: dict[Edge, float] = dataclasses.field(default_factory=dict)
    """What the whole edge is missed, relative to those into the same node; known in the end."""

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[int]], seed: int) -> Self:
        edges = [(group, row) for group, nodes in groups.items() for row in range(len(nodes))]
        shuffled = np.random.default_rng([seed, 13]).permutation(len(edges))
        return cls(tuple(edges[i] for i in shuffled))

    @property
    def left(self) -> int:
        return len(self.order) - len(self.made)

    def decide(self, loss: Loss, intact: float, operations: int, nothing: int) -> Decision:
        """Decides the next edge. `intact` is the loss with all of its operations: what `nothing` is missed."""
        edge = self.order[len(self.made)]
        without = np.array([intact if o == nothing else loss(edge, o) for o in range(operations)])
        missed = without - without.min()
        decision = Decision(edge, tuple(float(m) for m in missed), int(missed.argmax()))
        self.made.append(decision)
        return decision

    def weigh(self, groups: Mapping[str, Sequence[int]], loss: Loss) -> None:
        """Finds out, when all are decided, how much each edge is missed: shares of those that lead to the same node."""
        without = {edge: loss(edge, None) for edge in self.order}
        for group, nodes in groups.items():
            for node in set(nodes):
                rows = [row for row, to in enumerate(nodes) if to == node]
                losses = np.array([without[group, row] for row in rows])
                missed = losses - losses.min() + 1e-6
                self.strengths |= {(group, row): float(m) for row, m in zip(rows, missed / missed.sum())}

    def merged(
        self, shares: Mapping[str, NDArray[np.float64]], strengths: Mapping[str, NDArray[np.float64]]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Weights and strengths as a `Relaxation` decodes them: of decided edges what is missed, 1 for the most missed."""
        found = {group: rows.copy() for group, rows in shares.items()}, {g: s.copy() for g, s in strengths.items()}
        for decision in self.made:
            group, row = decision.edge
            if (most := max(decision.missed)) > 0:
                found[0][group][row] = np.array(decision.missed) / most
        for (group, row), strength in self.strengths.items():
            found[1][group][row] = strength
        return found

    def state(self) -> Json:
        return {
            "made": [[*d.edge, list(d.missed), d.kept] for d in self.made],
            "strengths": [[*edge, strength] for edge, strength in self.strengths.items()],
        }

    def restore(self, state: Any) -> None:
        self.made = [Decision((g, int(r)), tuple(missed), int(kept)) for g, r, missed, kept in state["made"]]
        self.strengths = {(g, int(r)): float(s) for g, r, s in state["strengths"]}
