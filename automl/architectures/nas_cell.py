"""A small cell that is repeated: NAS-Bench-201's space, every cell of which can be written in six words.

A cell has four nodes. The first is its input, each later one is the sum of what comes from the nodes before it, the last is
the output; on each of the six edges stands one operation: nothing, a shortcut, a 1×1 or a 3×3 convolution, or a mean over
3×3 places. The space has 15,625 cells, few enough to be understood, and many of them train well: the first choice to see
what a search is worth.

Around the cells stands a skeleton. `pooled` is that of fast networks (ResNet-9, see `convnet`): each stage is a convolution
that doubles the channels and a max-pooling, and the first and the last stage have `cells` equal cells behind it; with its
default, a residual block, it is that network. `residual` is the published one: stages of `cells` cells, between which a
residual block halves the resolution and doubles the channels. Most of its work is done at full resolution by few channels:
on 6,120 coloured pictures of 32 × 32 and for an equal time on a CPU it ended four points below.

Other than in the original an operation's activation stands behind its normalisation, not in front of the convolution, so
that a runtime computes the three in one pass. Edges that nothing flows through, or from which nothing reaches the output,
are written `none`; a cell through which nothing flows at all gets a shortcut, since it can't be trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automl.architectures import _assembly, _pictures
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.catalog.blueprint import Blueprint, Drawing, Edge, Weighed
from automl.catalog.genotypes import Choices, Decision, Genotypes
from automl.catalog.relaxation import Relaxation, Strengths, Weights, likeliest
from automl.spec import Profile

OPERATIONS = ("none", "skip", "conv1", "conv3", "avg3")
NODES = 4
EDGES = tuple((source, target) for target in range(1, NODES) for source in range(target))
"""(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3): in the order of the choices."""
SHORTCUT = EDGES.index((0, NODES - 1))
GROUP = "cell"
"""All cells are alike, so there is one matrix of weights."""


def living(choices: Choices) -> Choices:
    """The cell with `none` on every edge that isn't on a way from the input to the output."""
    open_edges = {edge for edge, operation in zip(EDGES, choices) if operation != "none"}
    fed, needed = {0}, {NODES - 1}
    for source, target in EDGES:
        if (source, target) in open_edges and source in fed:
            fed.add(target)
    for source, target in reversed(EDGES):
        if (source, target) in open_edges and target in needed:
            needed.add(source)
    alive = {(s, t) for s, t in open_edges if s in fed and t in needed}
    found = [operation if edge in alive else "none" for edge, operation in zip(EDGES, choices)]
    if not alive:
        found[SHORTCUT] = "skip"
    return tuple(found)


RESIDUAL = {(0, 1): "conv3", (1, 3): "conv3", (0, 3): "skip"}
"""The residual block of two convolutions, as a cell."""
GENOTYPES = Genotypes(
    tuple(Decision(f"{source}-{target}", OPERATIONS, RESIDUAL.get((source, target), "none")) for source, target in EDGES),
    living,
)


Lay = Callable[[Blueprint, int, int, str], int | None]
"""(net, input's place, edge, name) → the place of what stands on the edge; None for nothing."""


def network(
    shape: tuple[int, int, int], *, genotype: str, width: int, cells: int, stages: int, reduction: str
) -> Blueprint:
    """The parts up to the features, for pictures of that shape."""
    choices = tuple(genotype.split("."))

    def chosen(net: Blueprint, x: int, edge: int, name: str) -> int | None:
        return None if choices[edge] == "none" else _operation(net, x, choices[edge], name=name)

    return _stacked(shape, chosen, width=width, cells=cells, stages=stages, reduction=reduction)


def relaxed(
    shape: tuple[int, int, int], *, partial: int, width: int, cells: int, stages: int, reduction: str
) -> Blueprint:
    """The network whose edges hold every operation (see `automl.catalog.relaxation`)."""
    flowing = [operation for operation in OPERATIONS if operation != "none"]

    def mixed(net: Blueprint, x: int, edge: int, name: str) -> int:
        front = net.front(x, partial, name=f"{name}_front")
        given = [_operation(net, front, operation, name=f"{name}_{operation}") for operation in flowing]
        columns = [OPERATIONS.index(operation) for operation in flowing]
        if partial > 1:
            given, columns = [*given, x], [*columns, len(OPERATIONS)]
        return net.mixture(given, Weighed(GROUP, edge, tuple(columns), bypass=partial > 1), name=name)

    return _stacked(shape, mixed, width=width, cells=cells, stages=stages, reduction=reduction)


def _stacked(
    shape: tuple[int, int, int], lay: Lay, *, width: int, cells: int, stages: int, reduction: str
) -> Blueprint:
    net, x = _pictures.begin(shape, width)
    if reduction == "pooled":
        stages = _pictures.stages_within(min(shape[:2]), stages)
        for stage in range(1, stages + 1):
            # Normalised and activated behind the pool, as in `convnet`: a quarter of the work, and the same result for
            # rising activations with a positive scale.
            x = net.conv(x, width * 2**stage, 3, name=f"reduce_{stage}", deferred=True)
            x = net.pool("max-pool", x, 2, strides=2, name=f"reduce_{stage}_pool")
            x = net.norm(x, name=f"reduce_{stage}_finish")
            for cell in range(cells if stage in (1, stages) else 0):
                x = _cell(net, x, lay, name=f"cell_{stage}_{cell + 1}")
        return _pictures.end(net, x)
    stages = _pictures.stages_of(min(shape[:2]), stages)
    for stage in range(stages):
        if stage:
            depth = stage * (cells + 1) / (stages * cells + stages - 1)
            x = _halved(net, x, width * 2**stage, name=f"reduce_{stage}", depth=depth)
        for cell in range(cells):
            x = _cell(net, x, lay, name=f"cell_{stage + 1}_{cell + 1}")
    return _pictures.end(net, x)


def _cell(net: Blueprint, x: int, lay: Lay, *, name: str) -> int:
    nodes: dict[int, int] = {0: x}
    for target in range(1, NODES):
        given = []
        for edge, (source, end) in enumerate(EDGES):
            if end == target and source in nodes:
                laid = lay(net, nodes[source], edge, f"{name}_{source}_{target}")
                given += [] if laid is None else [laid]
        if given:
            nodes[target] = net.add(given, name=f"{name}_{target}")
    return nodes[NODES - 1]


def _operation(net: Blueprint, x: int, operation: str, *, name: str) -> int:
    if operation == "skip":
        return x
    if operation == "avg3":
        return net.pool("average-pool", x, 3, name=name)
    return net.conv(x, net[x].channels, 1 if operation == "conv1" else 3, name=name)


def _halved(net: Blueprint, x: int, filters: int, *, name: str, depth: float) -> int:
    branch = net.conv(x, filters, 3, strides=2, name=f"{name}_a")
    branch = net.conv(branch, filters, 3, name=f"{name}_b", activation="")
    shortcut = net.conv(x, filters, 1, strides=2, name=f"{name}_shortcut", activation="")
    return net.add((shortcut, branch), name=name, depth=depth, activation="plan")


def decoded(weights: Weights, strengths: Strengths) -> list[str]:
    """The likeliest operation of each edge, and what comes next. Every edge counts by itself: the space decides by `none`,
    not by strengths, which ones there are."""
    choices = likeliest(list(weights[GROUP]), most=16)
    return list(dict.fromkeys(GENOTYPES.text(tuple(OPERATIONS[i] for i in chosen)) for chosen in choices))


def blueprint(profile: Profile, **params: Any) -> Blueprint:
    return network(_pictures.profile_shape(profile), **params)


def drawings(*, genotype: str, cells: int, stages: int, **_: Any) -> tuple[Drawing, ...]:
    edges = tuple(
        Edge(source, target, operation)
        for (source, target), operation in zip(EDGES, genotype.split(".")) if operation != "none"
    )
    title = f"the cell, {cells} times in each of {stages} stages"
    return (Drawing(title, ("input", *(f"{n}" for n in range(1, NODES - 1)), "output"), edges),)


@architecture(
    id="nas-cell",
    modalities=("image",),
    params={
        "genotype": GENOTYPES,
        "width": Categorical((8, 12, 16, 24, 32), 16),
        "cells": Int(1, 3, 1),
        "stages": Int(1, 4, 3),
        "reduction": Categorical(("pooled", "residual"), "pooled"),
    },
    reference="Dong, Yang: NAS-Bench-201, arXiv:2001.00326 (2020)",
    cost=2.0,
    blueprint=blueprint,
    drawings=drawings,
    relaxation=Relaxation(OPERATIONS, {GROUP: tuple(target for _, target in EDGES)}, relaxed, decoded, {"width": 8}),
)
def build(inputs: dict[str, Any], builder: Builder, **params: Any) -> Any:
    return _assembly.assemble(network(_pictures.input_shape(inputs), **params), inputs, builder)
