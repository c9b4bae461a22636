"""What a cell is worth without training it: a Gaussian process fitted once to the trained genotypes.

The kernel compares cells by what stands on their edges and by their ways from input to output:

    k(a, b) = s² exp(-Σ_e w_e [a_e ≠ b_e] - v Σ_p |f_p(a) - f_p(b)|)

with f_p the number of ways with p convolutions of 3×3. Weights, scale and noise are those of the largest marginal
likelihood; the noise is at least that of an accuracy on `ROWS` pictures. `surrogate.json` holds the fit; a prediction is
the process's mean, the same on every machine.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures.nas_cell import EDGES, NODES

FILE = Path(__file__).parent / "surrogate.json"
ROWS = 2_000
"""Pictures that the cells were validated on."""
Array = NDArray[Any]


class Surrogate:
    """`Surrogate.load()("conv3.none.…")` → accuracy."""

    def __init__(self, genotypes: Sequence[str], logs: Array, mean: float, alphas: Array, quality: dict[str, float]):
        self.genotypes = list(genotypes)
        self.logs = logs
        """Logarithms of the edges' weights (6), of the ways' (1), of scale s and noise."""
        self.mean = mean
        self.alphas = alphas
        self.quality = quality
        """Of predictions of each cell from the others: R², Kendall's τ, root mean square."""

    def __call__(self, genotype: str) -> float:
        return float(self.predict([genotype])[0])

    def predict(self, genotypes: Sequence[str]) -> Array:
        return self.mean + kernel(genotypes, self.genotypes, self.logs) @ self.alphas

    @classmethod
    def fit(cls, scores: dict[str, float]) -> Surrogate:
        from scipy import optimize, stats

        genotypes, y = list(scores), np.array(list(scores.values()))
        mean = float(y.mean())
        edges, ways = _differences(genotypes, genotypes)

        def matrix(logs: Array) -> Array:
            scaled = np.exp(-np.tensordot(np.exp(logs[:6]), edges, 1) - np.exp(logs[6]) * ways)
            return np.exp(2 * logs[7]) * scaled + np.exp(2 * logs[8]) * np.eye(len(y))

        def surprise(logs: Array) -> float:
            """Minus the logarithm of the marginal likelihood, with a weak prior that keeps weights near 1/4."""
            lower = np.linalg.cholesky(matrix(logs) + 1e-10 * np.eye(len(y)))
            whitened = np.linalg.solve(lower, y - mean)
            prior = 0.5 * float(((logs[:7] - np.log(0.25)) ** 2).sum())
            return float(0.5 * whitened @ whitened + np.log(np.diag(lower)).sum()) + prior

        start = np.log(np.array([0.25] * 7 + [y.std(), 0.5 * y.std()]))
        floor = np.log(np.sqrt(mean * (1 - mean) / ROWS))
        bounds = [(None, None)] * 8 + [(floor, None)]
        logs = optimize.minimize(surprise, start, method="L-BFGS-B", bounds=bounds).x
        inverse = np.linalg.inv(matrix(logs))
        alphas = inverse @ (y - mean)
        left_out = y - alphas / np.diag(inverse)
        quality = {
            "cells": len(y), "r2": float(1 - ((y - left_out) ** 2).sum() / ((y - mean) ** 2).sum()),
            "kendall_tau": float(stats.kendalltau(y, left_out).statistic),
            "rmse": float(np.sqrt(((y - left_out) ** 2).mean())), "noise": float(np.exp(logs[8])),
        }
        return cls(genotypes, logs, mean, alphas, quality)

    def save(self, path: Path = FILE) -> None:
        held = {
            "quality": self.quality, "mean": self.mean, "logs": self.logs.tolist(),
            "cells": dict(zip(self.genotypes, self.alphas.tolist())),
        }
        path.write_text(json.dumps(held, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path = FILE) -> Surrogate:
        held = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            list(held["cells"]), np.array(held["logs"]), held["mean"], np.array(list(held["cells"].values())),
            held["quality"]
        )


def kernel(ones: Sequence[str], others: Sequence[str], logs: Array) -> Array:
    """[ones, others], without noise."""
    edges, ways = _differences(ones, others)
    scaled = np.exp(-np.tensordot(np.exp(logs[:6]), edges, 1) - np.exp(logs[6]) * ways)
    return np.asarray(np.exp(2 * logs[7]) * scaled)


def _differences(ones: Sequence[str], others: Sequence[str]) -> tuple[Array, Array]:
    """Whether each edge differs, [6, ones, others], and the distance of the counts of ways, [ones, others]."""
    a, b = (np.array([g.split(".") for g in some]) for some in (ones, others))
    edges = np.stack([a[:, None, e] != b[None, :, e] for e in range(len(EDGES))]).astype(float)
    f, g = (np.array([ways(text) for text in some], float) for some in (ones, others))
    return edges, np.abs(f[:, None, :] - g[None, :, :]).sum(axis=-1)


def ways(genotype: str) -> list[int]:
    """Ways from the input to the output with 0, 1, 2, 3 convolutions of 3×3."""
    on = dict(zip(EDGES, genotype.split(".")))
    found = [0] * NODES
    inner = range(1, NODES - 1)
    for count in range(NODES - 1):
        for between in itertools.combinations(inner, count):
            edges = [on[edge] for edge in itertools.pairwise((0, *between, NODES - 1))]
            if "none" not in edges:
                found[edges.count("conv3")] += 1
    return found
