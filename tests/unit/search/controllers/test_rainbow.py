"""Rainbow's parts: projection by hand, prioritised replay by count, dueling streams, n-step and double targets."""

from __future__ import annotations

import numpy as np
import pytest

from automl.search.controllers import rainbow
from automl.search.controllers.decisions import Decisions
from automl.search.controllers.distribution import projected
from automl.search.controllers.policy import Episode
from automl.search.controllers.replay import Priorities
from tests.unit.search.controllers.test_decisions import SPACES
from tests.unit.search.controllers.test_networks import numeric

DECISIONS = Decisions(SPACES["genotypes"])


def test_projection_by_hand() -> None:
    support = np.array([-1.0, 0.0, 1.0])
    values = np.array([[0.25, 0.25, 0.25], [-1.0, 0.0, 1.0], [5.0, -5.0, -0.5]])
    chances = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    expected = [[0, 0.75, 0.25], [0.2, 0.3, 0.5], [0.3 + 0.25, 0.25, 0.2]]
    assert projected(values, chances, support) == pytest.approx(np.array(expected))


def test_projection_keeps_mass_and_means_inside_the_support() -> None:
    rng = np.random.default_rng(1)
    support = np.linspace(-1, 1, 21)
    values = rng.uniform(-1, 1, size=(50, 21))
    chances = rng.dirichlet(np.ones(21), size=50)
    found = projected(values, chances, support)
    assert found.sum(axis=1) == pytest.approx(np.ones(50))
    assert found @ support == pytest.approx((values * chances).sum(axis=1))


def test_prioritised_draws_by_count() -> None:
    priorities = Priorities(alpha=0.5, floor=0.0)
    priorities.extend(4)
    assert priorities.probabilities() == pytest.approx(np.full(4, 0.25))
    priorities.update(np.arange(4), np.array([1.0, 4.0, 9.0, 16.0]))  # roots 1, 2, 3, 4
    assert priorities.probabilities() == pytest.approx(np.array([0.1, 0.2, 0.3, 0.4]))
    rng = np.random.default_rng(2)
    counts = np.zeros(4)
    for _ in range(500):
        items, weights = priorities.draw(20, 1.0, rng)
        counts += np.bincount(items, minlength=4)
        # (n P)^-1 is 2.5, 1.25, 0.83, 0.625: over the largest that was drawn.
        expected = np.array([2.5, 1.25, 1 / 1.2, 0.625])[items]
        assert weights == pytest.approx(expected / expected.max())
    assert counts / counts.sum() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.01)
    priorities.extend(1)
    assert priorities.probabilities()[-1] == pytest.approx(4 / 14)


def test_dueling_streams_by_hand() -> None:
    value = np.array([[[10.0]]])
    advantage = np.array([[[1.0], [3.0], [99.0]]])
    found = rainbow.dueling(value, advantage, np.array([[True, True, False]]))
    assert found[0, :2, 0] == pytest.approx([9.0, 11.0])


def test_the_streams_derivatives_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    streams = rainbow.Streams(Decisions(SPACES["few"]), rng)
    decisions = Decisions(SPACES["few"])
    positions = [decisions.begin(), decisions.after((), 0)]
    rows = decisions.rows(positions).astype(float)
    _, valid = decisions.choices(positions)
    streams.draw(rng)
    wanted = rng.normal(size=(2, decisions.widest, rainbow.ATOMS)) * valid[:, :, None]
    streams.logits(rows, valid)
    streams.backward_logits(wanted, valid)
    last = streams.advantage.layers[-1]
    for weight, gradient in ((streams.value.layers[-1].weights[2], streams.value.layers[-1].gradients[2]),
                             (last.weights[3], last.gradients[3])):
        # float32 weights: a coarse step over a function that is linear in these biases.
        expected = numeric(lambda: float((streams.logits(rows, valid).astype(float) * wanted).sum()), weight, step=0.25)
        assert gradient == pytest.approx(expected, abs=2e-3)


def test_transitions_reach_n_decisions_ahead_or_the_end() -> None:
    policy = rainbow.Rainbow(DECISIONS, 3)
    position = DECISIONS.after((), DECISIONS.values[0].index("nas-cell"))
    while not DECISIONS.over(position):
        position = DECISIONS.after(position, 1)
    policy.learn([Episode("a", position, 0.5)], np.random.default_rng(0))
    ways = [p for p, _ in DECISIONS.steps(position)]
    assert len(ways) == 11
    assert [later for _, _, later, _ in policy._transitions] == [*ways[3:], position, position, position]


def test_what_is_over_is_worth_what_it_earned() -> None:
    policy = rainbow.Rainbow(DECISIONS, 3)
    end = DECISIONS.position(DECISIONS.space.default())
    found = policy._targets([end], np.array([0.05], np.float32), np.random.default_rng(0))
    # 0.05 lies half way between 0.0 and 0.1.
    expected = np.zeros(21)
    expected[10] = expected[11] = 0.5
    assert found[0] == pytest.approx(expected, abs=1e-5)


def test_newest_weights_choose_and_older_ones_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = rainbow.Rainbow(DECISIONS, 3)
    asked = []

    def distributions(network, positions):
        asked.append("online" if network is policy.online else "target")
        _, valid = DECISIONS.choices(positions)
        found = np.zeros((len(positions), DECISIONS.widest, rainbow.ATOMS), np.float32)
        found[:, :, 0] = 1.0
        found[:, 1, :] = 0.0
        # The newest weights think option 1 the best, the older ones that it is worth 0.5.
        found[:, 1, 20 if asked[-1] == "online" else 15] = 1.0
        return found, valid

    monkeypatch.setattr(policy, "distributions", distributions)
    found = policy._targets([DECISIONS.begin()], np.zeros(1, np.float32), np.random.default_rng(0))
    assert asked == ["online", "target"]
    assert found[0].argmax() == 15
    assert found[0, 15] == pytest.approx(1.0)
