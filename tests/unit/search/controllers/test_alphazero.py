"""The tree search: PUCT by hand, visits that follow worth, what was tried is closed, and training on visits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from automl.catalog import space as spaces
from automl.search.controllers.alphazero import AlphaZero, Node, by_value, puct
from automl.search.controllers.decisions import Decisions
from automl.search.controllers.policy import Episode
from automl.search.genotypes import architectures_alone
from automl.spec import SearchSettings
from tests.unit.search.controllers.test_networks import numeric
from tests.unit.search.fakes import PICTURES

SETTINGS = SearchSettings(
    strategy="mcts-alphazero", force=("nas-cell",),
    parameters={
        "nas-cell.width": "8", "nas-cell.genotype": "conv3.none.none.skip.conv3.none", "nas-cell.reduction": "residual",
    },
)
FEW = Decisions(architectures_alone(spaces.derive(PICTURES.task, PICTURES, SETTINGS)))
"""Twelve ends: three numbers of cells, four of stages."""


def test_puct_by_hand() -> None:
    found = puct(np.array([3.0, 0.0]), np.array([4.0, 0.0]), np.array([0.25, 0.75]), -0.5, 2.0)
    # Q = 3/4 and, unvisited, the position's own; √(1 + 4).
    assert found == pytest.approx([0.75 + 2 * 0.25 * 5**0.5 / 5, -0.5 + 2 * 0.75 * 5**0.5])


def test_visits_gather_where_worth_is() -> None:
    """The network's word is replaced by a planted worth of ends: many cells, many stages."""
    policy = AlphaZero(FEW, 1)

    def node(position):
        value = (position[0] * 4 + position[1]) / 11 * 2 - 1 if FEW.over(position) else 0.0
        count = 0 if FEW.over(position) else int(FEW.counts[len(position)])
        return Node(position, np.full(count, 1 / max(1, count)), value)

    policy.node = node
    root = policy.node(FEW.begin())
    policy.grow(root, 200, lambda end: False)
    assert root.visits.argmax() == 2
    assert root.visits[2] > 100
    assert root.children[2].visits.argmax() == 3
    # Backed up is what was found below: Q lies between the option's best and worst end.
    assert 5 / 11 < (root.total[2] / root.visits[2] + 1) / 2 <= 1.0


def test_every_end_is_proposed_once_and_then_none() -> None:
    policy, tried = AlphaZero(FEW, 1), set()
    for end in policy.candidates(np.random.default_rng(0), tried.__contains__):
        assert end not in tried
        tried.add(end)
    assert tried == set(itertools.product(range(3), range(4)))


def test_the_network_learns_the_searchs_visits_and_the_worth() -> None:
    policy, rng = AlphaZero(FEW, 1), np.random.default_rng(0)
    wanted = {(0, 0): 0.8, (1, 2): -0.6}
    for key, end in enumerate(wanted):
        policy.visits[str(key)] = np.zeros((2, FEW.widest), np.float32)
        policy.visits[str(key)][[0, 1], list(end)] = 1.0
    for _ in range(80):
        policy.learn([Episode(str(key), end, worth) for key, (end, worth) in enumerate(wanted.items())], rng)
    for end, worth in wanted.items():
        assert policy._judged(end)[1] == pytest.approx(worth, abs=0.1)
        assert policy._judged(end[:1])[0][end[1]] > 0.9
    # The first decision went either way.
    assert policy._judged(())[0][:2] == pytest.approx([0.5, 0.5], abs=0.15)


def test_the_values_derivative() -> None:
    raw, worth = np.array([0.3, -1.2]), np.array([0.9, 0.1])
    expected = numeric(lambda: float(((np.tanh(raw) - worth) ** 2).mean()), raw)
    assert by_value(raw, worth) == pytest.approx(expected, abs=1e-8)
