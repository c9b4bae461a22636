"""Binary gates over the paths of a decision, and the two-path rule by which their logits learn (ProxylessNAS, §3.2).

Each row of logits α has probabilities p = softmax α over the columns that it may choose. A step of α draws two columns of
each row by p and takes the others for absent: with p̃ = softmax of the two logits, one of the two is taken by p̃. What the
loss says of the gates, ∂L/∂g, becomes

    ∂L/∂α_i = Σ_j ∂L/∂g_j p̃_j (δ_ij − p̃_i) = p̃_i (∂L/∂g_i − Σ_j p̃_j ∂L/∂g_j)

and after the step both logits are shifted alike, so that the two have the same share as before together: the probabilities
of the columns that weren't drawn stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def shares(logits: NDArray[np.floating], allowed: NDArray[np.bool_]) -> Matrix:
    """Probabilities [rows, columns] over the `allowed` columns; each row allows one at least."""
    masked = np.where(allowed, np.asarray(logits, np.float64), -np.inf)
    grown = np.exp(masked - masked.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def drawn(p: Matrix, rng: np.random.Generator) -> NDArray[np.int32]:
    """A column for each row, by its probabilities [rows]."""
    return np.array([rng.choice(len(row), p=row) for row in p], np.int32)


def pairs(p: Matrix, rng: np.random.Generator) -> NDArray[np.int32]:
    """Two columns for each row [rows, 2], drawn by the probabilities without putting back; the first is the one that is
    taken, by the share of the two. A row of one column has it twice."""
    found = np.zeros((len(p), 2), np.int32)
    for row, chances in enumerate(p):
        if np.count_nonzero(chances) < 2:
            found[row] = int(np.argmax(chances))
            continue
        two = rng.choice(len(chances), size=2, replace=False, p=chances)
        found[row] = two if rng.random() < chances[two[0]] / chances[two].sum() else two[::-1]
    return found


def of_pairs(values: NDArray[np.floating], two: NDArray[np.int32]) -> Matrix:
    """[rows, columns] → [rows, 2]"""
    return np.take_along_axis(np.asarray(values, np.float64), two.astype(np.int64), axis=1)


def gradient(of_gates: NDArray[np.floating], within: Matrix) -> Matrix:
    """∂L/∂α of the two columns from ∂L/∂g, both [rows, 2]; `within` are their shares of each other, p̃."""
    return np.asarray(within * (of_gates - (within * of_gates).sum(axis=1, keepdims=True)), np.float64)


def spread(values: Matrix, two: NDArray[np.int32], columns: int) -> Matrix:
    """[rows, 2] → [rows, columns], 0 elsewhere; rows of one column have nothing to learn and get 0."""
    found = np.zeros((len(two), columns))
    np.put_along_axis(found, two.astype(np.int64), values, axis=1)
    found[two[:, 0] == two[:, 1]] = 0.0
    return found


def rescaled(after: NDArray[np.floating], before: NDArray[np.floating], two: NDArray[np.int32]) -> Matrix:
    """Logits after a step [rows, columns], those of the pairs shifted so that each pair weighs what it did before."""
    def weight(logits: NDArray[np.floating]) -> Matrix:
        picked = of_pairs(logits, two)
        return np.asarray(np.logaddexp(picked[:, :1], picked[:, 1:]))

    made = np.array(after, np.float64)
    np.put_along_axis(made, two.astype(np.int64), of_pairs(after, two) - weight(after) + weight(before), axis=1)
    return made
