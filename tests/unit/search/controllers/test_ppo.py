"""PPO's parts: advantages by hand, the clipped objective and its derivative."""

from __future__ import annotations

import numpy as np
import pytest

from automl.search.controllers.ppo import clipped_loss, drawn, generalised_advantages
from tests.unit.search.controllers.test_networks import numeric


def test_advantages_by_hand() -> None:
    """Values 0.1, 0.4, -0.2, worth 1: the differences are 0.3, -0.6 and 1.2."""
    found = generalised_advantages(np.array([0.1, 0.4, -0.2]), 1.0, 0.5)
    assert found == pytest.approx([0.3 + 0.5 * (-0.6 + 0.5 * 1.2), -0.6 + 0.5 * 1.2, 1.2])


def test_with_full_trace_an_advantage_is_the_worth_less_the_value() -> None:
    values = np.array([0.1, 0.4, -0.2, 0.9])
    assert generalised_advantages(values, 0.7, 1.0) == pytest.approx(0.7 - values)


def test_the_clipped_objective_by_hand() -> None:
    """Two equally likely options; the first was taken with probability 1/2, 1/4 and 1."""
    logits, valid, taken = np.zeros((3, 2)), np.ones((3, 2), bool), np.zeros(3, int)
    before = np.log([0.5, 0.25, 1.0])
    loss, _ = clipped_loss(logits, valid, taken, before, np.array([1.0, 1.0, -1.0]), clip=0.2, entropy=0.0)
    # ρ = 1, 2, 0.5: min(1, 1), min(2, 1.2), min(-0.5, -0.8).
    assert loss == pytest.approx(-(1.0 + 1.2 - 0.8) / 3)
    more, _ = clipped_loss(logits, valid, taken, before, np.array([1.0, 1.0, -1.0]), clip=0.2, entropy=0.1)
    assert more == pytest.approx(loss - 0.1 * np.log(2))


def test_its_derivative_is_that_of_finite_differences_and_0_where_clipped() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(40, 4))
    valid = np.arange(4) < rng.integers(2, 5, size=40)[:, None]
    taken = np.array([rng.integers(row.sum()) for row in valid])
    before = np.log(rng.uniform(0.1, 0.9, size=40))
    advantages = rng.normal(size=40)

    def loss() -> float:
        return clipped_loss(logits, valid, taken, before, advantages)[0]

    d = clipped_loss(logits, valid, taken, before, advantages)[1]
    assert d == pytest.approx(numeric(loss, logits), abs=1e-6)
    assert not d[~valid].any()
    far = np.array([[9.0, 0.0]])
    assert not clipped_loss(far, valid[:1, :2], np.array([0]), np.log([0.5]), np.ones(1), entropy=0.0)[1].any()


def test_options_are_drawn_by_their_chances() -> None:
    rng = np.random.default_rng(0)
    found = np.bincount([drawn(np.array([0.2, 0.0, 0.5, 0.3, 0.0], np.float32), rng) for _ in range(20_000)], minlength=5)
    assert found / 20_000 == pytest.approx([0.2, 0, 0.5, 0.3, 0], abs=0.015)
