"""Soft actor-critic (Haarnoja et al., arXiv:1801.01290, with the temperature of arXiv:1812.05905) in NumPy.

For small problems: states are vectors of some ten numbers, actions lie in [−1, 1]ᵏ, episodes have as many steps as a network
has layers. Networks of two layers of 64 units, whose gradients are written out here, learn that in milliseconds a step,
without a graph to trace.

    actor     u = μ(s) + σ(s)·ε,  a = tanh u;  minimises  E[α log π(a|s) − min(Q₁, Q₂)(s, a)]
    critics   minimise  (Q(s, a) − y)²,  y = r + (1 − done)·(min Q̄(s′, a′) − α log π(a′|s′));  Q̄ follows Q by `FOLLOW`
    α         so that the entropy is that of `entropy` for each part of the action
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNITS = 64
FOLLOW = 0.02
RATE = 2e-3
BATCH = 64
LEAST_LOG_STD, MOST_LOG_STD = -4.0, 1.0
_EDGE = 1e-6


class Network:
    """A perceptron with two hidden layers of rectified units, and Adam."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, rate: float = RATE):
        widths = [inputs, UNITS, UNITS, outputs]
        self.weights: list[Array] = []
        for n, m in itertools.pairwise(widths):
            self.weights += [rng.normal(0, np.sqrt(2 / n), (n, m)), np.zeros(m)]
        self.weights[-2] *= 0.1  # The first outputs are nearly 0, whatever the input.
        self._rate, self._steps = rate, 0
        self._first = [np.zeros_like(w) for w in self.weights]
        self._second = [np.zeros_like(w) for w in self.weights]

    def __call__(self, x: Array) -> Array:
        return self.forward(x)[-1]

    def forward(self, x: Array) -> list[Array]:
        """The input, each hidden layer's output, and the output; of a batch [n, inputs]."""
        found = [x]
        for i in range(0, len(self.weights), 2):
            x = x @ self.weights[i] + self.weights[i + 1]
            if i < len(self.weights) - 2:
                x = np.maximum(x, 0)
            found.append(x)
        return found

    def backward(self, values: list[Array], slope: Array) -> tuple[list[Array], Array]:
        """Gradients of the weights and of the input, from what `forward` gave and the gradient of the output."""
        gradients: list[Array] = []
        for i in range(len(self.weights) - 2, -1, -2):
            before = values[i // 2]
            gradients = [before.T @ slope, slope.sum(axis=0), *gradients]
            slope = slope @ self.weights[i].T
            if i:
                slope = slope * (before > 0)
        return gradients, slope

    def step(self, gradients: list[Array]) -> None:
        self._steps += 1
        correction = np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for weight, gradient, first, second in zip(self.weights, gradients, self._first, self._second):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            weight -= self._rate * correction * first / (np.sqrt(second) + 1e-8)

    def follow(self, other: Network, share: float = FOLLOW) -> None:
        """Moves each weight by a share of the way to the other's."""
        for weight, towards in zip(self.weights, other.weights):
            weight += share * (towards - weight)


@dataclasses.dataclass(frozen=True)
class Sample:
    """Actions drawn from the policy, and how likely they were."""

    action: Array
    log_probability: Array
    """[n]."""
    noise: Array
    std: Array
    free: Array
    """Where σ isn't at its bounds."""
    values: list[Array]
    """What the actor's `forward` gave."""


class Agent:
    """Learns from transitions. `entropy` is that of each part of an action in the long run; lower explores less."""

    def __init__(self, states: int, actions: int, seed: int, entropy: float = -1.0):
        self._rng = np.random.default_rng(seed)
        self._actions = actions
        self._actor = Network(states, 2 * actions, self._rng)
        self._critics = [Network(states + actions, 1, self._rng) for _ in range(2)]
        self._targets = [Network(states + actions, 1, self._rng) for _ in range(2)]
        for target, critic in zip(self._targets, self._critics):
            target.follow(critic, 1.0)
        self._log_alpha = np.log(0.1)
        self._entropy = entropy * actions
        self._memory: list[tuple[Array, Array, float, Array, float]] = []

    def act(self, state: Array, *, greedy: bool = False) -> Array:
        """An action for one state."""
        if greedy:
            return np.asarray(np.tanh(self._actor(state[None])[0, : self._actions]))
        return np.asarray(self.draw(state[None]).action[0])

    def explore(self) -> Array:
        """An action drawn evenly, before anything was learned."""
        return self._rng.uniform(-1, 1, self._actions)

    def remember(self, state: Array, action: Array, reward: float, following: Array, done: bool) -> None:
        self._memory.append((state, action, reward, following, float(done)))

    def learn(self, steps: int) -> None:
        """So many steps on batches from all that is remembered."""
        for _ in range(steps):
            chosen = self._rng.integers(0, len(self._memory), min(BATCH, len(self._memory)))
            state, action, reward, following, done = (np.array(part) for part in zip(*(self._memory[i] for i in chosen)))
            self._learn(state, action, reward, following, done)

    def draw(self, state: Array) -> Sample:
        values = self._actor.forward(state)
        mean, raw = np.split(values[-1], 2, axis=1)
        log_std = np.clip(raw, LEAST_LOG_STD, MOST_LOG_STD)
        std, noise = np.exp(log_std), self._rng.normal(size=mean.shape)
        action = np.tanh(mean + std * noise)
        density = -0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - action**2 + _EDGE)
        return Sample(action, density.sum(axis=1), noise, std, log_std == raw, values)

    def actor_gradient(self, drawn: Sample, slope: Array, alpha: float) -> Array:
        """Of the mean of α log π − Q by the actor's outputs [n, 2k]; `slope` is dQ/da [n, k]."""
        n = len(slope)
        squeezed = 1 - drawn.action**2
        through = squeezed * (alpha * 2 * drawn.action / (squeezed + _EDGE) - slope) / n
        by_log_std = through * drawn.std * drawn.noise - alpha / n
        return np.concatenate([through, by_log_std * drawn.free], axis=1)

    def _learn(self, state: Array, action: Array, reward: Array, following: Array, done: Array) -> None:
        alpha = float(np.exp(self._log_alpha))
        after = self.draw(following)
        best = np.minimum(*(t(np.concatenate([following, after.action], axis=1))[:, 0] for t in self._targets))
        wanted = reward + (1 - done) * (best - alpha * after.log_probability)
        for critic in self._critics:
            values = critic.forward(np.concatenate([state, action], axis=1))
            gradients, _ = critic.backward(values, 2 * (values[-1] - wanted[:, None]) / len(state))
            critic.step(gradients)

        drawn = self.draw(state)
        given = np.concatenate([state, drawn.action], axis=1)
        worths, slopes = [], []
        for critic in self._critics:
            values = critic.forward(given)
            worths.append(values[-1])
            slopes.append(critic.backward(values, np.ones_like(values[-1]))[1][:, state.shape[1] :])
        slope = np.where(worths[0] <= worths[1], *slopes)
        gradients, _ = self._actor.backward(drawn.values, self.actor_gradient(drawn, slope, alpha))
        self._actor.step(gradients)

        self._log_alpha -= RATE * float(-(drawn.log_probability + self._entropy).mean())
        for target, critic in zip(self._targets, self._critics):
            target.follow(critic)
