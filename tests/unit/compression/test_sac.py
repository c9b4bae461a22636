"""Soft actor-critic: written-out gradients against differences, and problems whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from automl.compression import sac


def numerical(loss, weight: np.ndarray, places: int, rng: np.random.Generator) -> list[tuple[int, float]]:
    found = []
    for place in rng.integers(0, weight.size, places):
        old = weight.flat[place]
        weight.flat[place] = old + 1e-6
        above = loss()
        weight.flat[place] = old - 1e-6
        below = loss()
        weight.flat[place] = old
        found.append((int(place), (above - below) / 2e-6))
    return found


def test_a_networks_gradients_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    network = sac.Network(5, 3, rng)
    x, slope = rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    values = network.forward(x)
    gradients, by_input = network.backward(values, slope)
    for weight, gradient in zip(network.weights, gradients):
        for place, expected in numerical(lambda: float((network(x) * slope).sum()), weight, 6, rng):
            assert gradient.flat[place] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    for place, expected in numerical(lambda: float((network(x) * slope).sum()), x, 6, rng):
        assert by_input.flat[place] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_actors_gradient_is_that_of_differences() -> None:
    """Of α log π − Q with Q = a · c, at fixed noise."""
    rng = np.random.default_rng(1)
    agent = sac.Agent(4, 2, seed=3)
    state, worth, alpha = rng.normal(size=(6, 4)), rng.normal(size=(6, 2)), 0.3
    actor = agent._actor
    drawn = agent.draw(state)

    def loss() -> float:
        mean, log_std = np.split(actor(state), 2, axis=1)
        u = mean + np.exp(log_std) * drawn.noise
        action = np.tanh(u)
        density = -0.5 * drawn.noise**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - action**2 + 1e-6)
        return float((alpha * density.sum(axis=1) - (action * worth).sum(axis=1)).mean())

    gradients, _ = actor.backward(drawn.values, agent.actor_gradient(drawn, worth, alpha))
    for weight, gradient in zip(actor.weights, gradients):
        for place, expected in numerical(loss, weight, 6, rng):
            assert gradient.flat[place] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_drawn_actions_have_the_density_that_is_said() -> None:
    """In one dimension ∫ π(a) da = 1: the mean of 1/π over draws is the interval's length."""
    agent = sac.Agent(1, 1, seed=0)
    drawn = agent.draw(np.zeros((40_000, 1)))
    inner = np.abs(drawn.action[:, 0]) < 0.9
    assert np.mean(inner * np.exp(-drawn.log_probability)) == pytest.approx(1.8, rel=0.03)


def test_it_finds_the_action_that_each_state_wants() -> None:
    agent = sac.Agent(1, 1, seed=0, entropy=-2.0)
    rng = np.random.default_rng(0)
    for i in range(500):
        state = rng.choice([-1.0, 1.0], 1)
        action = agent.act(state) if i > 50 else agent.explore()
        agent.remember(state, action, -float((action[0] - 0.6 * state[0]) ** 2), state, True)
        if i > 20:
            agent.learn(2)
    assert agent.act(np.array([1.0]), greedy=True)[0] == pytest.approx(0.6, abs=0.15)
    assert agent.act(np.array([-1.0]), greedy=True)[0] == pytest.approx(-0.6, abs=0.15)
