"""Proximal policy optimisation (Schulman et al., arXiv:1707.06347) of an autoregressive policy over decisions.

One network reads a position and gives a probability for each option of the next decision (others are masked) and an
estimate of the position's worth. A finished position is worth what its training showed; nothing is earned on the way, so
the advantages of its decisions are

    A_t = Σ_k (γλ)^k δ_{t+k},   δ_t = γ V(s_{t+1}) - V(s_t),   the last δ = worth - V(s_T)       (γ = 1)

and each update, after each training that ends, takes a few steps up

    mean min(ρ A, clip(ρ, 1 - ε, 1 + ε) A) - c_v (V - (A + V_before))² / 2 + c_e H

over the latest `WINDOW` trainings, ρ being a decision's probability now over that when the training began: the clip holds a
decision where it is once the reuse of a training has moved it far enough. H is the entropy of the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from automl.search.controllers.decisions import Decisions, Position
from automl.search.controllers.network import Adam, Array, Chain, Dense, Tanh, masked_softmax
from automl.search.controllers.policy import Episode, Policy

HIDDEN = 64
WINDOW, PASSES = 24, 4
"""Trainings that an update learns from, and how often."""
RATE = 4e-3
LAMBDA = 0.95
CLIP = 0.2
VALUE, ENTROPY = 0.5, 0.02
HEAT = 0.1
"""Each candidate that was not enough raises the temperature by as much."""


class Ppo(Policy):
    """See the module's docstring."""

    def __init__(self, decisions: Decisions, seed: int):
        super().__init__(decisions, seed)
        rng = np.random.default_rng(seed)
        # The last layer begins near 0: all options are about equally likely at first.
        self.network = Chain(
            Dense(decisions.features, HIDDEN, rng, gain=4.0), Tanh(), Dense(HIDDEN, HIDDEN, rng), Tanh(),
            Dense(HIDDEN, decisions.columns + 1, rng, gain=0.01),
        )
        self.optimizer = Adam(self.network.weights, self.network.gradients, RATE, longest=0.5)
        self.behaviour: dict[str, Array] = {}
        """Log-probability of each decision when its training began, by the recipe's identity."""

    def probabilities(self, positions: Sequence[Position], temperature: float = 1.0) -> Array:
        """Of the options of each position's next decision, [positions, widest]."""
        columns, valid = self.decisions.choices(positions)
        out = self.network.forward(self.decisions.rows(positions))
        return masked_softmax(np.take_along_axis(out, columns, axis=1) / temperature, valid)

    def candidates(self, rng: np.random.Generator, tried: Callable[[Position], bool]) -> Iterator[Position]:
        temperature = 1.0
        while True:
            position = self.decisions.begin()
            while not self.decisions.over(position):
                (chances,) = self.probabilities([position], temperature)
                position = self.decisions.after(position, drawn(chances, rng))
            yield position
            temperature += HEAT

    def began(self, key: str, end: Position) -> None:
        if key not in self.behaviour and (steps := self.decisions.steps(end)):
            positions, taken = zip(*steps)
            chances = self.probabilities(positions)
            self.behaviour[key] = np.log(chances[np.arange(len(taken)), list(taken)])

    def learn(self, episodes: Sequence[Episode], rng: np.random.Generator) -> None:
        window = [e for e in episodes[-WINDOW:] if e.key in self.behaviour]
        if len(window) < 2:
            return
        steps = [self.decisions.steps(e.end) for e in window]
        positions = [position for own in steps for position, _ in own]
        taken = np.array([option for own in steps for _, option in own])
        before = np.concatenate([self.behaviour[e.key] for e in window])
        rows = self.decisions.rows(positions)
        columns, valid = self.decisions.choices(positions)
        values = self.network.forward(rows)[:, -1]
        ends = np.cumsum([len(own) for own in steps])
        advantages = np.concatenate([
            generalised_advantages(values[end - len(own) : end], e.worth, LAMBDA)
            for e, own, end in zip(window, steps, ends)
        ])
        returns = advantages + values
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-6)
        for _ in range(PASSES):
            out = self.network.forward(rows)
            d = np.zeros_like(out)
            logits = np.take_along_axis(out, columns, axis=1)
            _, by_logits = clipped_loss(logits, valid, taken, before, advantages)
            np.put_along_axis(d, np.where(valid, columns, self.decisions.columns), by_logits, axis=1)
            d[:, -1] = VALUE * (out[:, -1] - returns) / len(rows)
            self.network.backward(d)
            self.optimizer.step()


def generalised_advantages(values: Array, worth: float, decay: float) -> Array:
    """Of each decision of an episode that earns `worth` at its end (Schulman et al., arXiv:1506.02438), undiscounted."""
    differences = np.append(values[1:], worth) - values
    found = np.zeros_like(differences)
    ahead = 0.0
    for n in range(len(values) - 1, -1, -1):
        ahead = differences[n] + decay * ahead
        found[n] = ahead
    return found


def clipped_loss(
    logits: Array, valid: Array, taken: Array, before: Array, advantages: Array, clip: float = CLIP, entropy: float = ENTROPY
) -> tuple[float, Array]:
    """Minus the clipped objective and the entropy's bonus, averaged over rows, and its derivative by the logits.

    `logits`, `valid` [rows, options]; `taken` [rows] option; `before` [rows] log-probability that it had; `advantages`
    [rows]."""
    count = len(logits)
    chances = masked_softmax(logits, valid)
    rows = np.arange(count)
    logs = np.log(np.where(valid, np.maximum(chances, 1e-12), 1.0))
    ratio = np.exp(logs[rows, taken] - before)
    free, held = ratio * advantages, np.clip(ratio, 1 - clip, 1 + clip) * advantages
    spread = -(chances * logs).sum(axis=1)
    loss = -(np.minimum(free, held) + entropy * spread).mean()
    # Where the clipped term is the smaller one it is constant.
    by_log = np.where(free <= held, free, 0.0)
    one_hot = np.zeros_like(chances)
    one_hot[rows, taken] = 1.0
    d = -by_log[:, None] * (one_hot - chances) + entropy * chances * (logs + spread[:, None])
    return float(loss), np.where(valid, d / count, 0.0)


def drawn(chances: Array, rng: np.random.Generator) -> int:
    """An index with these probabilities."""
    total = np.cumsum(chances.astype(np.float64))
    return int(min(np.searchsorted(total, rng.random() * total[-1], side="right"), np.flatnonzero(chances)[-1]))
