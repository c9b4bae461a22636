"""Weights on grids of fewer bits, a number of bits for each layer: `round_off`, the function of a child process.

TFLite's runtime computes with 8 bits, so 4 bits make neither the file smaller nor the model faster there. What fewer bits do
is the download: in a kernel on a grid of b bits only 2ᵇ − 1 of the 256 values of a byte occur, the same ones in each channel
(int8's scale is the channel's largest weight, which is on the grid, so the integers are round(127 · k / (2ᵇ⁻¹ − 1))), and
compression needs about b bits for each.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.compression import finetuning, magnitude
from automl.export import candidate as candidates
from automl.spec import AutoMLError

TECHNIQUE = "mixed-bit"
CHOICES = (8, 6, 5, 4, 3, 2)
"""Bits that a layer may get, the most first."""
UNITS = 20_000
"""Steps of size in which the allotment counts."""
ROWS = 512
"""Training rows that judge a choice."""
KERNELS = magnitude.PRUNED_LAYERS | {"DepthwiseConv1D", "DepthwiseConv2D"}

Bits = dict[str, int]
"""By the layer's name."""


class NoTime(AutoMLError):
    """The sensitivity analysis was not done in its time."""

    reason = "NO_TIME"


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What each layer costs at each number of bits."""

    sizes: Mapping[str, int]
    """Weights of each layer's kernel."""
    losses: Mapping[str, Mapping[int, float]]
    """Increase of the loss when this layer alone has so few bits."""

    def total_bits(self, bits: Mapping[str, int]) -> int:
        return sum(self.sizes[name] * b for name, b in bits.items())


def round_off(request: dict[str, Any]) -> dict[str, Any]:
    """Puts a candidate's kernels on grids and writes the candidate.

    `request`: candidate, prepared, out, metric, time_s, settings ("budget": mean bits for a weight; "how": "sensitivity" or
    "uniform"). Returns "settings" and "notes". Raises `NoTime` or `magnitude.NothingToPrune`.
    """
    end = time.monotonic() + float(request["time_s"])
    source = candidates.Candidate(Path(request["candidate"]))
    budget, how = float(request["settings"]["budget"]), str(request["settings"]["how"])

    from automl.data.prepared import PreparedDataset

    prepared = PreparedDataset.open(Path(request["prepared"]))
    model = source.model
    magnitude.check_worth(model)
    kernels = {layer.name: layer for layer in model._flatten_layers() if type(layer).__name__ in KERNELS}
    original = {name: layer.get_weights() for name, layer in kernels.items()}
    judge = judge_of(source, prepared)

    def applied(bits: Mapping[str, int]) -> float:
        """The loss with these bits; the kernels stay so."""
        for name, layer in kernels.items():
            weights = original[name]
            layer.set_weights([rounded(weights[0], bits.get(name, 8), channel(layer)), *weights[1:]])
        return judge()

    def hurry() -> None:
        if time.monotonic() > end:
            raise NoTime("the layers' sensitivities could not be measured in the time that was left")

    if how == "uniform":
        chosen = dict.fromkeys(kernels, uniform_bits(budget))
    else:
        found = sensitivity({name: w[0] for name, w in original.items()}, applied, hurry)
        chosen = refined(found, allotted(found, budget), budget, applied, hurry)
    loss = applied(chosen)
    mean = sum(original[n][0].size * b for n, b in chosen.items()) / sum(w[0].size for w in original.values())
    params = {"budget": budget, "how": how}
    finetuning.rewritten(
        Path(request["out"]), model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared
    )
    counts = {b: sum(c == b for c in chosen.values()) for b in CHOICES}
    said = ", ".join(f"{n} with {b}" for b, n in counts.items() if n)
    return {"settings": params, "notes": [
        f"Mixed bits: {mean:.2f} bits a weight on average, layers {said}; the loss on {ROWS} training rows is {loss:.4f}."
    ]}


def rounded(kernel: NDArray[Any], bits: int, axis: int = -1) -> NDArray[np.float32]:
    """The nearest points of a symmetric grid of 2^bits − 1 steps for each channel (along `axis`)."""
    levels = 2 ** (bits - 1) - 1
    others = tuple(i for i in range(kernel.ndim) if i != axis % kernel.ndim)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    step = np.where(largest > 0, largest / levels, 1.0)
    return np.asarray(np.rint(kernel / step) * step, np.float32)


def sensitivity(
    kernels: Mapping[str, NDArray[Any]], applied: Callable[[Bits], float], between: Callable[[], None] = lambda: None
) -> Sensitivity:
    """Measures each layer alone at each number of bits."""
    base = applied({})
    losses: dict[str, dict[int, float]] = {}
    for name in kernels:
        losses[name] = {8: 0.0}
        for bits in CHOICES[1:]:
            between()
            losses[name][bits] = applied({name: bits}) - base
    return Sensitivity({name: kernel.size for name, kernel in kernels.items()}, losses)


def allotted(found: Sensitivity, budget: float) -> Bits:
    """Bits for each layer, `budget` of them on average at most, with the least sum of the layers' losses: a knapsack with
    one choice of each layer, solved by dynamic programming over the bits that are spent."""
    total = sum(found.sizes.values())
    most = budget * total
    unit = max(math.gcd(*found.sizes.values()), -(-CHOICES[0] * total // UNITS))
    room = int(most // unit)
    least = np.full(room + 1, np.inf)
    least[0] = 0.0
    taken: list[NDArray[np.int64]] = []
    for name, size in found.sizes.items():
        following, choice = np.full(room + 1, np.inf), np.zeros(room + 1, np.int64)
        for place, bits in enumerate(CHOICES):
            spent = -(-size * bits // unit)
            if spent > room:
                continue
            cost = np.full(room + 1, np.inf)
            cost[spent:] = least[: room + 1 - spent] + found.losses[name][bits]
            better = cost < following
            following[better], choice[better] = cost[better], place
        least = following
        taken.append(choice)
    uniform = dict.fromkeys(found.sizes, uniform_bits(budget))
    at = int(np.argmin(least))
    # Rounded up to units, a choice that just fits may be missed: equal bits for all are one.
    if not np.isfinite(least[at]) or sum(found.losses[n][b] for n, b in uniform.items()) < least[at]:
        return uniform
    bits_of: Bits = {}
    for (name, size), choice in zip(reversed(list(found.sizes.items())), reversed(taken)):
        bits_of[name] = CHOICES[int(choice[at])]
        at -= -(-size * bits_of[name] // unit)
    return bits_of


def uniform_bits(budget: float) -> int:
    """The most bits within the budget for all layers alike."""
    return max(b for b in CHOICES if b <= max(budget, CHOICES[-1]))


def refined(
    found: Sensitivity, bits: Bits, budget: float, applied: Callable[[Bits], float],
    between: Callable[[], None] = lambda: None, rounds: int = 2,
) -> Bits:
    """Improves a choice by what it really costs, all layers together: one layer up and another down, while that helps."""
    best, loss, most = dict(bits), applied(bits), budget * sum(found.sizes.values())
    for _ in range(rounds):
        before = loss
        for up in sorted(best, key=lambda name: -found.losses[name][best[name]]):
            better = _step(best[up], -1)
            for down in [None, *sorted(best, key=lambda name: found.losses[name][_step(best[name], 1)])[:4]]:
                trial = {**best, up: better}
                if down is not None and down != up:
                    trial[down] = _step(best[down], 1)
                if trial == best or found.total_bits(trial) > most:
                    continue
                between()
                if (value := applied(trial)) < loss:
                    best, loss = trial, value
                    break
        if loss >= before:
            break
    return best


def _step(bits: int, down: int) -> int:
    place = CHOICES.index(bits) + down
    return CHOICES[min(max(0, place), len(CHOICES) - 1)]


def channel(layer: Any) -> int:
    """The axis of a kernel along which TFLite has a scale for each channel."""
    return -2 if type(layer).__name__.startswith("Depthwise") else -1


def judge_of(source: candidates.Candidate, prepared: Any) -> Callable[[], float]:
    """The model's loss on some training rows: cross-entropy, or squares over the target's variance."""
    import tensorflow as tf

    from automl.export import inference

    meta, model = prepared.meta, source.model
    rows: Sequence[int] | slice = slice(0, ROWS)  # Rows are shuffled when they are prepared.
    x = source.encode({name: np.asarray(v[rows]) for name, v in prepared.inputs("train").items()})
    y = np.asarray(prepared.target("train")[rows])

    given = {name: tf.constant(value) for name, value in x.items()}
    # Hundreds of times on the same rows: `predict` would take a hundred times as long for getting ready as for computing.
    forward = tf.function(lambda rows: model(inference.arranged(model, rows), training=False), autograph=False)

    def loss() -> float:
        output = np.asarray(forward(given), np.float64)
        if meta.kind == "classification":
            return float(-np.log(np.maximum(output[np.arange(len(y)), y], 1e-7)).mean())
        return float(np.mean(np.square((output[:, 0] - y) / float(meta.target_std or 1.0))))

    return loss
