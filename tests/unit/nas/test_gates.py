"""Binary gates: the gradient of the two-path rule, and probabilities that a step leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from automl.nas import gates

RNG = np.random.default_rng(0)
ALLOWED = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0]], bool)


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_the_gradient_is_that_of_the_two_paths_shares():
    """With ∂L/∂g for ∂L/∂p̃, as the paper has it: the derivative of Σ_j ∂L/∂g_j p̃_j(α), by differences."""
    logits, of_gates = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))
    within = np.array([softmax(row) for row in logits])
    found = gates.gradient(of_gates, within)
    for row, column in np.ndindex(5, 2):
        moved = [logits[row].copy(), logits[row].copy()]
        moved[0][column] += 1e-5
        moved[1][column] -= 1e-5
        up, down = (of_gates[row] @ softmax(m) for m in moved)
        assert found[row, column] == pytest.approx((up - down) / 2e-5, abs=1e-8)
    # And by the sum that is published, Σ_j ∂L/∂g_j p̃_j (δ_ij − p̃_i).
    for i in range(2):
        published = sum(of_gates[:, j] * within[:, j] * ((i == j) - within[:, i]) for j in range(2))
        np.testing.assert_allclose(found[:, i], published)


def test_a_step_leaves_the_probabilities_of_the_other_paths_alone():
    logits = RNG.normal(size=(3, 4))
    before = gates.shares(logits, ALLOWED)
    two = np.array([[2, 0], [1, 2], [0, 0]], np.int32)
    moved = logits + gates.spread(RNG.normal(size=(3, 2)), two, 4)
    assert moved[2, 0] == logits[2, 0]
    after = gates.shares(gates.rescaled(moved, logits, two), ALLOWED)
    np.testing.assert_allclose(after[0, [1, 3]], before[0, [1, 3]], rtol=1e-12)
    np.testing.assert_allclose(after[0, [0, 2]].sum(), before[0, [0, 2]].sum(), rtol=1e-12)
    assert abs(after[0, 0] - before[0, 0]) > 1e-3
    np.testing.assert_allclose(after[2], before[2])
    # The two stand to each other as the step put them.
    np.testing.assert_allclose(after[0, 0] / after[0, 2], np.exp(moved[0, 0] - moved[0, 2]))


def test_paths_are_drawn_by_their_probabilities_and_pairs_without_putting_back():
    p = gates.shares(np.log([[0.5, 0.3, 0.2, 1e-9], [1.0, 0.25, 0.75, 1.0], [1.0, 1.0, 1.0, 1.0]]), ALLOWED)
    rng = np.random.default_rng(3)
    ones = np.array([gates.drawn(p, rng) for _ in range(3_000)])
    assert np.mean(ones[:, 0] == 0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(ones[:, 1] == 2) == pytest.approx(0.75, abs=0.03)
    twos = np.array([gates.pairs(p, rng) for _ in range(3_000)])
    assert (twos[:, :2, 0] != twos[:, :2, 1]).all()
    assert (twos[:, 2] == 0).all()
    assert set(twos[:, 1].ravel()) == {1, 2}
    assert np.mean(twos[:, 1, 0] == 2) == pytest.approx(0.75, abs=0.03)  # which is taken
    # P{0, 1} = p0 p1 / (1 − p0) + p1 p0 / (1 − p1)
    both = np.mean([set(t) == {0, 1} for t in twos[:, 0]])
    assert both == pytest.approx(0.5 * 0.3 / 0.5 + 0.3 * 0.5 / 0.7, abs=0.03)
