"""Edges decided by what the supernet would miss."""

from __future__ import annotations

import numpy as np
import pytest

from automl.architectures import nas_cell
from automl.catalog import entries
from automl.nas import darts, perturbation, process
from tests.unit.nas.parts import ground

process.quick_graphs()

GROUPS = {"cell": (1, 2, 2), "other": (1,)}
SETTINGS = {"order": 1, "partial": 1, "guard": "none", "selection": "perturbation"}
SMALL = {"width": 8, "cells": 1, "stages": 1, "reduction": "residual"}


class Additive:
    """A network whose loss falls by each operation's worth."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self.worth = {(g, row): rng.normal(size=4) for g, nodes in GROUPS.items() for row in range(len(nodes))}
        for values in self.worth.values():
            values[0] = 0.0  # nothing

    @property
    def intact(self) -> float:
        return 5.0 - sum(float(w.sum()) for w in self.worth.values())

    def loss(self, edge: perturbation.Edge, operation: int | None) -> float:
        values = self.worth[edge]
        return self.intact + float(values.sum() if operation is None else values[operation])


@pytest.mark.parametrize("seed", range(5))
def test_each_edge_keeps_what_is_worth_most_and_nothing_where_all_do_harm(seed: int):
    net, selection = Additive(seed), perturbation.Selection.of(GROUPS, seed)
    if seed == 4:
        net.worth["cell", 1] = np.array([0.0, -1.0, -2.0, -0.5])
    while selection.left:
        decision = selection.decide(net.loss, net.intact, 4, 0)
        worth = net.worth[decision.edge]
        assert decision.kept == int(np.argmax(worth))
        np.testing.assert_allclose(decision.missed, worth - worth.min(), atol=1e-9)
    assert sorted(d.edge for d in selection.made) == sorted(net.worth)
    if seed == 4:
        assert next(d.kept for d in selection.made if d.edge == ("cell", 1)) == 0


def test_edges_into_a_node_share_their_strength_by_what_they_are_missed():
    net, selection = Additive(1), perturbation.Selection.of(GROUPS, 1)
    while selection.left:
        selection.decide(net.loss, net.intact, 4, 0)
    selection.weigh(GROUPS, net.loss)
    shares = {g: np.full((len(nodes), 4), 0.25) for g, nodes in GROUPS.items()}
    merged, strengths = selection.merged(shares, {g: np.ones(len(nodes)) for g, nodes in GROUPS.items()})
    assert strengths["cell"][0] == strengths["other"][0] == pytest.approx(1.0)
    assert strengths["cell"][1:].sum() == pytest.approx(1.0)
    heavier = int(np.argmax([net.worth["cell", row].sum() for row in (1, 2)]))
    assert int(np.argmax(strengths["cell"][1:])) == heavier
    for (group, row), worth in net.worth.items():
        np.testing.assert_allclose(merged[group][row], (worth - worth.min()) / np.ptp(worth))


def test_what_was_decided_is_found_again_and_what_was_not_keeps_its_weights():
    net, selection = Additive(2), perturbation.Selection.of(GROUPS, 2)
    selection.decide(net.loss, net.intact, 4, 0)
    again = perturbation.Selection.of(GROUPS, 2)
    again.restore(selection.state())
    assert again == selection
    shares = {g: np.full((len(nodes), 4), 0.25) for g, nodes in GROUPS.items()}
    merged, _ = again.merged(shares, {g: np.ones(len(nodes)) for g, nodes in GROUPS.items()})
    same = [(merged[g][row] == 0.25).all() for g, nodes in GROUPS.items() for row in range(len(nodes))]
    assert same.count(False) == 1
    assert again.order[1] != selection.made[0].edge


def test_a_search_decides_all_edges_goes_on_from_a_checkpoint_and_traces_nothing_again():
    given = ground("darts", "nas-cell", SMALL, SETTINGS)
    method, steps = darts.Darts(given), 80
    method.trace()
    built = method.traces
    kept = None
    for n in range(steps):
        if n == 65:
            assert 0 < len(method.selection.made) < 6
            kept = [np.array(np.asarray(v.value)) for v in method.variables], method.state()
        method.step(n / steps)
    assert method.traces == built
    assert method.measured()[0]["decided"] == 6
    one_hot = np.asarray(method._weights()["weights-cell"])[:, :5]
    kept_operations = {d.edge[1]: d.kept for d in method.selection.made}
    nothing = nas_cell.OPERATIONS.index("none")
    for row, operation in kept_operations.items():
        np.testing.assert_array_equal(one_hot[row], np.eye(5)[operation] * (operation != nothing))
    best = method.found()[0].architecture.params["genotype"]
    raw = tuple(nas_cell.OPERATIONS[kept_operations[row]] for row in range(6))
    assert best == ".".join(nas_cell.living(raw))
    assert entries.architectures["nas-cell"].genotypes.check(best) is None

    assert kept is not None
    other = darts.Darts(given)
    for variable, value in zip(other.variables, kept[0]):
        variable.assign(value)
    other.restore(kept[1])
    for n in range(65, steps):
        other.step(n / steps)
    assert [(d.edge, d.kept) for d in other.selection.made] == [(d.edge, d.kept) for d in method.selection.made]


def test_a_collapse_brings_the_decisions_forward():
    method = darts.Darts(ground("darts", "nas-cell", SMALL, SETTINGS | {"guard": "skips"}))
    method.alphas["cell"].assign(np.eye(5)[[nas_cell.OPERATIONS.index("skip")] * 6] * 9.0)
    method.step(0.3)
    method.measured()
    assert method.collapsed is not None
    assert method.over() == ""
    for progress in np.linspace(0.31, 0.66, 8):
        method.step(float(progress))
    assert method.selection.left == 0
    assert "shortcut" in method.over()
    assert "couldn't spare" in method.found()[0].note
