"""A space of genotypes as one network: every edge holds all operations, mixed by weights that can be learned.

An architecture declares its `Relaxation` beside its genotypes. The weights are inputs of the network, one matrix for each
kind of cell: a row for each edge, a column for each operation and a last one for what passes the operations by. So the
network is traced once, whatever the weights are; who searches keeps them, and reads the genotypes off them in the end.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from automl.catalog.blueprint import Blueprint
from automl.spec.recipe import ParameterValue

Weights = Mapping[str, NDArray[np.float64]]
"""Group → probabilities of the operations [edges, operations], rows sum to 1."""
Strengths = Mapping[str, NDArray[np.float64]]
"""Group → how much each edge counts among those that lead to the same node [edges]."""
CLOSEST = 0.05
"""A probability below which an operation isn't taken for a runner-up."""


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """See the module's docstring."""

    operations: tuple[str, ...]
    """The columns."""
    groups: Mapping[str, tuple[int, ...]]
    """Group → for each of its edges the node that it leads to."""
    network: Callable[..., Blueprint]
    """`network(shape, partial=K, **params)`: the parts up to the features, each edge a `mixture`; its operations see 1/K of
    the channels. `params` are the architecture's own but for the genotype."""
    decoded: Callable[[Weights, Strengths], list[str]]
    """The genotypes that the weights stand for, the likeliest first; canonical, without repetition."""
    searched_with: Mapping[str, ParameterValue]
    """Parameters of the network that is searched: smaller than what is trained of its genotypes, as usual."""
    skip: str = "skip"
    """The operation that a collapsed search prefers. Where the network has no mixture for a row, it stands for that."""
    nothing: str = "none"


def likeliest(rows: Sequence[NDArray[np.float64]], most: int) -> list[tuple[int, ...]]:
    """The `most` likeliest choices of one column for each row, by the product of the probabilities, best first; only of
    columns that aren't far behind the best of their row."""
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for row in rows:
        kept = [i for i in np.argsort(-row, kind="stable") if row[i] >= CLOSEST or i == int(np.argmax(row))]
        grown = [
            (log + float(np.log(max(row[i], 1e-30))), (*chosen, int(i)))
            for (log, chosen), i in itertools.product(beams, kept)
        ]
        beams = sorted(grown, key=lambda beam: -beam[0])[:most]
    return [chosen for _, chosen in beams]
