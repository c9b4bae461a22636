"""Rainbow (Hessel et al., arXiv:1710.02298), deep Q-learning six times improved, over decisions.

    distributional   the network gives a distribution of the return for each option (C51), trained by cross-entropy
    dueling          logits = V + A - mean A, with streams of their own for the position and the options
    noisy            layers with learned noise explore; each candidate is the greedy way under a noise of its own
    double           the newest weights choose the option, those of a while ago say what it is worth
    n-step           a decision's target is what is known `N_STEPS` decisions later, or at the end
    prioritised      transitions are drawn by how much they surprised

A training's worth is earned at its end, undiscounted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from automl.search.controllers.decisions import Decisions, Position
from automl.search.controllers.distribution import projected
from automl.search.controllers.network import Adam, Array, Chain, Dense, Layer, Noisy, Relu, copied, masked_softmax
from automl.search.controllers.policy import Episode, Policy
from automl.search.controllers.replay import Priorities

HIDDEN = 64
ATOMS = 21
N_STEPS = 3
BATCH, STEPS = 32, 8
"""Of the steps after each training that ends."""
RATE = 1e-3
SYNC = 40
"""Steps between two looks of the target at the newest weights."""
BETA = 0.6
SIGMA = 0.5
HEAT = 0.1
"""Each candidate that was not enough makes the noise louder by as much."""


class Streams(Layer):
    """The network: positions → logits of the return's distribution, [rows, widest, atoms]."""

    def __init__(self, decisions: Decisions, rng: np.random.Generator):
        super().__init__()
        self.widest = decisions.widest
        self.body = Chain(Dense(decisions.features, HIDDEN, rng, gain=4.0), Relu())
        self.value = Chain(Noisy(HIDDEN, HIDDEN, rng, SIGMA), Relu(), Noisy(HIDDEN, ATOMS, rng, SIGMA))
        self.advantage = Chain(Noisy(HIDDEN, HIDDEN, rng, SIGMA), Relu(), Noisy(HIDDEN, ATOMS * self.widest, rng, SIGMA))
        parts = (self.body, self.value, self.advantage)
        self.weights = [w for part in parts for w in part.weights]
        self.gradients = [g for part in parts for g in part.gradients]
        self.noisy = [layer for part in parts for layer in part.layers if isinstance(layer, Noisy)]

    def draw(self, rng: np.random.Generator, louder: float = 1.0) -> None:
        for layer in self.noisy:
            layer.draw(rng, louder)

    def still(self) -> None:
        for layer in self.noisy:
            layer.still()

    def logits(self, rows: Array, valid: Array) -> Array:
        hidden = self.body.forward(rows)
        value = self.value.forward(hidden)[:, None, :]
        advantage = self.advantage.forward(hidden).reshape(len(rows), self.widest, -1)
        return dueling(value, advantage, valid)

    def backward_logits(self, d: Array, valid: Array) -> None:
        d = d * valid[:, :, None]
        total = d.sum(axis=1)
        by_advantage = (d - total[:, None, :] / valid.sum(axis=1)[:, None, None]) * valid[:, :, None]
        by_hidden = self.value.backward(total)
        by_hidden = by_hidden + self.advantage.backward(by_advantage.reshape(len(d), -1))
        self.body.backward(by_hidden)


class Rainbow(Policy):
    """See the module's docstring."""

    def __init__(self, decisions: Decisions, seed: int):
        super().__init__(decisions, seed)
        rng = np.random.default_rng(seed)
        self.support = np.linspace(-1.0, 1.0, ATOMS).astype(np.float32)
        self.online, self.target = Streams(decisions, rng), Streams(decisions, rng)
        copied(self.online.weights, self.target.weights)
        self.optimizer = Adam(self.online.weights, self.online.gradients, RATE)
        self.priorities = Priorities()
        self._transitions: list[tuple[Position, int, Position, int]] = []
        """(position, option, position n decisions later, number of the episode)."""
        self._known: set[str] = set()
        self._steps = 0

    def distributions(self, network: Streams, positions: Sequence[Position]) -> tuple[Array, Array]:
        """(probabilities [positions, widest, atoms], valid [positions, widest])."""
        _, valid = self.decisions.choices(positions)
        return softmax(network.logits(self.decisions.rows(positions), valid)), valid

    def greedy(self, network: Streams, positions: Sequence[Position]) -> Array:
        """The option of the largest mean return at each position."""
        chances, valid = self.distributions(network, positions)
        return np.where(valid, chances @ self.support, -np.inf).argmax(axis=1)

    def candidates(self, rng: np.random.Generator, tried: Callable[[Position], bool]) -> Iterator[Position]:
        louder = 1.0
        while True:
            self.online.draw(rng, louder)
            louder += HEAT
            position = self.decisions.begin()
            while not self.decisions.over(position):
                position = self.decisions.after(position, int(self.greedy(self.online, [position])[0]))
            self.online.still()
            yield position

    def learn(self, episodes: Sequence[Episode], rng: np.random.Generator) -> None:
        for number, episode in enumerate(episodes):
            if episode.key not in self._known:
                self._known.add(episode.key)
                ways = [*self.decisions.steps(episode.end), (episode.end, 0)]
                found = [
                    (position, option, ways[min(n + N_STEPS, len(ways) - 1)][0], number)
                    for n, (position, option) in enumerate(ways[:-1])
                ]
                self._transitions += found
                self.priorities.extend(len(found))
        if not self._transitions:
            return
        worth = np.array([e.worth for e in episodes], np.float32)
        for _ in range(STEPS):
            items, weights = self.priorities.draw(BATCH, BETA, rng)
            self._step([self._transitions[i] for i in items], items, weights, worth, rng)
        self.online.still()

    def _step(
        self, batch: Sequence[tuple[Position, int, Position, int]], items: Array, weights: Array, worth: Array,
        rng: np.random.Generator,
    ) -> None:
        wanted = self._targets([later for _, _, later, _ in batch], worth[[number for *_, number in batch]], rng)
        positions = [position for position, *_ in batch]
        taken = np.array([option for _, option, *_ in batch])
        self.online.draw(rng)
        _, valid = self.decisions.choices(positions)
        logits = self.online.logits(self.decisions.rows(positions), valid)
        chances = softmax(logits)
        rows = np.arange(len(batch))
        surprises = -(wanted * np.log(np.maximum(chances[rows, taken], 1e-9))).sum(axis=1)
        entropies = -(wanted * np.log(np.maximum(wanted, 1e-9))).sum(axis=1)
        d = np.zeros_like(logits)
        d[rows, taken] = (weights[:, None] * (chances[rows, taken] - wanted) / len(batch)).astype(logits.dtype)
        self.online.backward_logits(d, valid)
        self.optimizer.step()
        self.priorities.update(items, np.maximum(surprises - entropies, 0.0))
        self._steps += 1
        if self._steps % SYNC == 0:
            copied(self.online.weights, self.target.weights)

    def _targets(self, later: Sequence[Position], worth: Array, rng: np.random.Generator) -> Array:
        """Distributions of the return [rows, atoms]: of the worth where the episode is over, else of the best option."""
        over = np.array([self.decisions.over(position) for position in later])
        values = np.where(over[:, None], worth[:, None], self.support)
        chances = np.full(values.shape, 1 / ATOMS, np.float32)
        if not over.all():
            going = [position for position, done in zip(later, over) if not done]
            self.online.draw(rng)
            best = self.greedy(self.online, going)
            self.target.draw(rng)
            all_options, _ = self.distributions(self.target, going)
            chances[~over] = all_options[np.arange(len(going)), best]
        return projected(values, chances, self.support)


def dueling(value: Array, advantage: Array, valid: Array) -> Array:
    """V + A - mean A, the mean over options that are there. [rows, 1, atoms], [rows, options, atoms], [rows, options]."""
    there = valid[:, :, None]
    mean = (advantage * there).sum(axis=1, keepdims=True) / there.sum(axis=1, keepdims=True)
    return np.asarray(value + (advantage - mean) * there)


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    return masked_softmax(logits, np.ones(logits.shape, bool))
