"""Two cells with free wiring, as in DARTS: a normal one, and one that halves the resolution.

A cell reads the outputs of the two cells before it. Each of its `NODES` nodes is the sum of two operations on any two of
the cell's inputs and earlier nodes; the output are all nodes side by side. Operations are depthwise-separable and dilated
convolutions, pools, a shortcut, squeeze-and-excitation, and nothing. In the reduction cell what reads the cell's inputs has
a stride of 2. The network is a stem and `cells` cells, of which those after a third and after two thirds are reductions and
double the channels.

The space is huge (about 6·10¹⁹ pairs of cells), and the usual cells of published searches are points of it. Its cells have
many small operations, for which a CPU pays more than their multiplications say: look at the latency. Separable and dilated
convolutions are one depthwise and one pointwise convolution each, with activation behind the normalisation (DARTS has two
such pairs, with the activation in front), which halves the cost. A node of two `none` gets a shortcut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from automl.architectures import _assembly, _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, architecture
from automl.catalog.blueprint import Blueprint, Drawing, Edge, Weighed
from automl.catalog.genotypes import Choices, Decision, Genotypes
from automl.catalog.relaxation import CLOSEST, Relaxation, Strengths, Weights
from automl.spec import Profile

OPERATIONS = ("none", "skip", "max3", "avg3", "sep3", "sep5", "dil3", "dil5", "se")
NODES = 4
CELLS = ("normal", "reduce")
ROWS = tuple((node, source) for node in range(NODES) for source in range(node + 2))
"""Every edge that a cell may have, as (node, what it reads): the rows of a relaxed cell's weights."""
EXCITATION = 0.25
"""Units of the gates' hidden layer, as a share of the channels."""


def decisions() -> tuple[Decision, ...]:
    """For each cell, node and edge: the operation, and where it reads: 0 and 1 are the cell's inputs (the cell before the
    last one, and the last one), 2 … its nodes."""
    found = []
    for cell in CELLS:
        usual = ("sep3", "skip") if cell == "normal" else ("max3", "sep3")
        for node in range(NODES):
            for edge in range(2):
                sources = tuple(str(s) for s in range(node + 2))
                found.append(Decision(f"{cell}-{node + 2}{'ab'[edge]}", OPERATIONS, usual[edge]))
                found.append(Decision(f"{cell}-{node + 2}{'ab'[edge]}-from", sources, str(edge)))
    return tuple(found)


def nodes_of(choices: Choices, cell: int) -> list[list[tuple[str, int]]]:
    """(operation, source) of each edge, by node, of the normal (0) or the reduction cell (1)."""
    part = choices[cell * 4 * NODES : (cell + 1) * 4 * NODES]
    edges = [(part[i], int(part[i + 1])) for i in range(0, len(part), 2)]
    return [edges[2 * n : 2 * n + 2] for n in range(NODES)]


def canonical(choices: Choices) -> Choices:
    """The edges of each node by their sources, which differ; `none` reads the first that is left; no node of two `none`."""
    found: list[str] = []
    for cell in range(len(CELLS)):
        for node, (first, second) in enumerate(nodes_of(choices, cell)):
            if first[0] == second[0] == "none":
                second = ("skip", second[1])
            if first[0] == "none":
                first, second = second, first
            if second[0] == "none" or first[1] == second[1]:
                second = (second[0], min(s for s in range(node + 2) if s != first[1]))
            low, high = sorted((first, second), key=lambda edge: edge[1])
            found += [low[0], str(low[1]), high[0], str(high[1])]
    return tuple(found)


GENOTYPES = Genotypes(decisions(), canonical)


def reductions(cells: int) -> set[int]:
    """Which cells halve the resolution, counted from 0."""
    return {cells // 3, 2 * cells // 3} if cells >= 3 else {cells - 1}


Node = Callable[[Blueprint, list[int], int, bool, str], int]
"""(net, places of the cell's states so far, node, whether its cell is a reduction, the cell's name) → the node's place."""


def network(shape: tuple[int, int, int], *, genotype: str, width: int, cells: int) -> Blueprint:
    """The parts up to the features, for pictures of that shape."""
    choices = tuple(genotype.split("."))

    def node_of(net: Blueprint, states: list[int], n: int, reduce: bool, name: str) -> int:
        given = [
            operation(net, states[s], op, strides=2 if reduce and s < 2 else 1, name=f"{name}_{n + 2}_{s}")
            for op, s in nodes_of(choices, int(reduce))[n] if op != "none"
        ]
        return net.add(given, name=f"{name}_{n + 2}")

    return _stacked(shape, node_of, width=width, cells=cells)


def relaxed(shape: tuple[int, int, int], *, partial: int, width: int, cells: int) -> Blueprint:
    """The network in which every node reads all states before it by every operation (see `automl.catalog.relaxation`)."""
    flowing = [op for op in OPERATIONS if op != "none"]

    def node_of(net: Blueprint, states: list[int], n: int, reduce: bool, name: str) -> int:
        mixed = []
        for s, state in enumerate(states):
            edge, strides = f"{name}_{n + 2}_{s}", 2 if reduce and s < 2 else 1
            front = net.front(state, partial, name=f"{edge}_front")
            given = [operation(net, front, op, strides=strides, name=f"{edge}_{op}") for op in flowing]
            columns = [OPERATIONS.index(op) for op in flowing]
            if partial > 1:
                passed = net.pool("max-pool", state, 2, strides=2, name=f"{edge}_by") if strides > 1 else state
                given, columns = [*given, passed], [*columns, len(OPERATIONS)]
            row = ROWS.index((n, s))
            weighed = Weighed(CELLS[int(reduce)], row, tuple(columns), bypass=partial > 1)
            mixed.append(net.mixture(given, weighed, name=edge))
        return net.add(mixed, name=f"{name}_{n + 2}")

    return _stacked(shape, node_of, width=width, cells=cells)


def decoded(weights: Weights, strengths: Strengths) -> list[str]:
    """For each node the two edges whose best operation (but for `none`) weighs most, times the edge's strength; then what
    comes of the next best operation on one of these edges, the closest calls first."""
    best: list[str] = []
    others: list[tuple[float, int, str]] = []
    for cell in CELLS:
        shares = weights[cell] * strengths[cell][:, None]
        shares[:, OPERATIONS.index("none")] = 0.0
        for n in range(NODES):
            rows = [row for row, (node, _) in enumerate(ROWS) if node == n]
            kept = sorted(sorted(rows, key=lambda row: -float(shares[row].max()))[:2])
            for row in kept:
                first, second = np.argsort(-shares[row], kind="stable")[:2]
                others.append((float(shares[row][second] / shares[row][first]), len(best), OPERATIONS[second]))
                best += [OPERATIONS[first], str(ROWS[row][1])]
    texts = [GENOTYPES.text(tuple(best))]
    for closeness, place, op in sorted(others, reverse=True):
        if closeness >= CLOSEST:
            texts.append(GENOTYPES.text((*best[:place], op, *best[place + 1 :])))
    return list(dict.fromkeys(texts))


def _stacked(shape: tuple[int, int, int], node_of: Node, *, width: int, cells: int) -> Blueprint:
    net, x = _pictures.begin(shape, 3 * width)
    before, last, channels = x, x, width
    for i in range(cells):
        reduce = i in reductions(cells) and min(net[last].shape[:2]) >= 4
        channels *= 2 if reduce else 1
        cell = _cell(net, before, last, node_of, channels, reduce=reduce, name=f"cell_{i + 1}")
        before, last = last, cell
    return _pictures.end(net, last)


def _cell(
    net: Blueprint, before: int, last: int, node_of: Node, channels: int, *, reduce: bool, name: str
) -> int:
    """A cell on the outputs of the two before it."""
    # The cell before the last may have twice the resolution.
    strides = 2 if net[before].shape[0] > net[last].shape[0] else 1
    states = [
        net.conv(before, channels, 1, strides=strides, name=f"{name}_in_0"), net.conv(last, channels, 1, name=f"{name}_in_1")
    ]
    for n in range(NODES):
        states.append(node_of(net, states, n, reduce, name))
    return net.concatenate(states[2:], name=f"{name}_out")


def operation(net: Blueprint, x: int, op: str, *, strides: int, name: str) -> int:
    """One of `OPERATIONS`, but for `none`; channels stay."""
    channels = net[x].channels
    if op in ("max3", "avg3"):
        return net.pool("max-pool" if op == "max3" else "average-pool", x, 3, strides=strides, name=name)
    if op in ("skip", "se"):
        if strides > 1:
            x = net.conv(x, channels, 1, strides=strides, name=f"{name}_thin")
        return net.gates(x, EXCITATION, name=name) if op == "se" else x
    kernel = int(op[-1])
    if op.startswith("sep"):
        x = net.depthwise(x, kernel, strides=strides, name=f"{name}_depth", normalize=False, bias=False, activation="")
        return net.conv(x, channels, 1, name=f"{name}_point")
    # Keras takes no stride beside a dilation; a stride of the pointwise convolution skips the same places.
    x = net.depthwise(x, kernel, dilation=2, name=f"{name}_depth", normalize=False, bias=False, activation="")
    return net.conv(x, channels, 1, strides=strides, name=f"{name}_point")


def blueprint(profile: Profile, **params: Any) -> Blueprint:
    return network(_pictures.profile_shape(profile), **params)


def drawings(*, genotype: str, cells: int, **_: Any) -> tuple[Drawing, ...]:
    choices = tuple(genotype.split("."))
    found = []
    for cell, name in enumerate(CELLS):
        edges = [
            Edge(source, node + 2, op)
            for node, given in enumerate(nodes_of(choices, cell)) for op, source in given if op != "none"
        ]
        edges += [Edge(node + 2, NODES + 2) for node in range(NODES)]
        labels = ("before", "last", *(str(n) for n in range(NODES)), "output")
        times = len(reductions(cells)) if cell else cells - len(reductions(cells))
        found.append(Drawing(f"{name} cell, {times} of {cells}", labels, tuple(edges)))
    return tuple(found)


@architecture(
    id="nas-darts",
    modalities=("image",),
    params={
        "genotype": GENOTYPES,
        "width": Categorical((4, 8, 12, 16, 24), 8),
        "cells": Categorical((2, 3, 4, 5, 6, 8), 3),
    },
    reference="Liu et al.: DARTS, arXiv:1806.09055 (2018)",
    cost=4.0,
    blueprint=blueprint,
    drawings=drawings,
    relaxation=Relaxation(
        OPERATIONS, {cell: tuple(node for node, _ in ROWS) for cell in CELLS}, relaxed, decoded, {"width": 8, "cells": 3}
    ),
)
def build(inputs: dict[str, Any], builder: Builder, **params: Any) -> Any:
    return _assembly.assemble(network(_pictures.input_shape(inputs), **params), inputs, builder)
