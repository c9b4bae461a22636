"""Differentiable search: the mixture is what its formula says, and learns which operation the data need."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.architectures import nas_cell, nas_darts
from automl.catalog import entries
from automl.layers import relaxed
from automl.nas import darts, process
from tests.unit.nas.parts import ground

process.quick_graphs()

SETTINGS = {"order": 1, "partial": 1, "guard": "none", "selection": "magnitude"}
SMALL = {"width": 8, "cells": 1, "stages": 1, "reduction": "residual"}


def test_a_mixture_is_the_weighed_sum_of_its_inputs():
    rng = np.random.default_rng(0)
    matrix, *xs = rng.random((3, 5)), *rng.normal(size=(2, 2, 4, 4, 6))
    made = relaxed.Mixture(1, (0, 3))([keras.ops.array(v, "float32") for v in (matrix, *xs)])
    np.testing.assert_allclose(made, matrix[1, 0] * xs[0] + matrix[1, 3] * xs[1], rtol=1e-4, atol=1e-6)


def test_partial_channels_pass_the_others_by_and_deal_all_out_in_turn():
    rng = np.random.default_rng(0)
    matrix, whole = rng.random((1, 3)), rng.normal(size=(2, 4, 4, 6))
    fronts = rng.normal(size=(2, 2, 4, 4, 3))
    front = relaxed.FrontChannels(2)(keras.ops.array(whole, "float32"))
    np.testing.assert_allclose(front, whole[..., :3], rtol=1e-6)
    given = [keras.ops.array(v, "float32") for v in (matrix, *fronts, whole)]
    made = np.asarray(relaxed.Mixture(0, (0, 1, 2), bypass=True)(given))
    mixed = matrix[0, 0] * fronts[0] + matrix[0, 1] * fronts[1]
    passed = matrix[0, 2] * whole[..., 3:]
    expected = np.stack([mixed, passed], axis=-1).reshape(2, 4, 4, 6)  # m0 p0 m1 p1 m2 p2
    np.testing.assert_allclose(made, expected, rtol=1e-5)


@pytest.mark.parametrize("layer", [relaxed.FrontChannels(2), relaxed.Mixture(1, (0, 3), True)])
def test_relaxed_layers_are_rebuilt_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


def test_weights_of_one_operation_each_make_the_network_of_that_genotype():
    """The relaxed network whose rows are one-hot computes what the genotype's own network does, with the same kernels."""
    given = ground("darts", "nas-cell", SMALL, SETTINGS)
    method = darts.Darts(given)
    choices = ("conv3", "none", "avg3", "skip", "conv1", "conv3")
    one_hot = np.zeros((6, 6), np.float32)
    for edge, operation in enumerate(choices):
        one_hot[edge, nas_cell.OPERATIONS.index(operation)] = 1.0
    alone = discrete(given, ".".join(choices))
    theirs = {layer.name: layer for layer in method.core.layers}
    for layer in alone.layers:
        if layer.weights:
            edge = next((n for n, (s, t) in enumerate(nas_cell.EDGES) if layer.name.startswith(f"cell_1_1_{s}_{t}")), None)
            name = layer.name
            if edge is not None:
                head = f"cell_1_1_{nas_cell.EDGES[edge][0]}_{nas_cell.EDGES[edge][1]}"
                name = name.replace(head, f"{head}_{choices[edge]}")
            layer.set_weights(theirs[name].get_weights())
    images = given.samples.inputs["image"][:16]
    mixed = method.core({"image": images, "weights-cell": one_hot}, training=True)
    np.testing.assert_allclose(mixed, alone({"image": images}, training=True), atol=2e-4)


def discrete(given, genotype: str) -> keras.Model:
    from automl.architectures import _assembly, model
    from automl.architectures.builder import Builder
    from automl.catalog import Component
    from automl.tasks import head

    plan = given.plan.replace(norm=Component("automl.nas.darts:scaleless"))
    profile = given.meta.profile
    builder = Builder(
        plan, profile, seed=1, preprocess=given.samples.preprocess, sample=given.samples.shown
    )
    inputs = model.input_tensors(profile, given.samples.preprocess)
    features = _assembly.assemble(nas_cell.network((8, 8, 1), genotype=genotype, **SMALL), inputs, builder)
    return keras.Model(inputs, head.logits(features, 2, initializer="glorot_uniform", regularizer=None))


def test_the_search_prefers_convolutions_where_places_have_to_be_combined_and_traces_nothing_again():
    method = darts.Darts(ground("darts", "nas-cell", SMALL, SETTINGS | {"guard": "eigenvalue"}))
    method.trace()
    built = method.traces
    steps = 90
    first = None
    for n in range(steps):
        method.step(n / steps)
        if (n + 1) % 30 == 0:
            values, _ = method.measured()
            first = first or values
    assert method.traces == built == 5
    assert first is not None
    assert values["entropy-cell"] < first["entropy-cell"]
    assert values["accuracy"] > 0.75
    assert np.isfinite(values["eigenvalue"])
    best = method.found()[0].architecture.params["genotype"]
    shares = method.mixture()[0]["cell"].sum(axis=0)
    ranked = dict(zip(nas_cell.OPERATIONS, shares))
    assert ranked["conv3"] == max(ranked.values())
    assert best.count("conv3") > best.count("skip")
    assert entries.architectures["nas-cell"].genotypes.check(best) is None


@pytest.mark.parametrize(("family", "params", "partial"), [
    ("nas-cell", SMALL, 2),
    pytest.param("nas-darts", {"width": 4, "cells": 2}, 1, marks=pytest.mark.slow),
    pytest.param("nas-darts", {"width": 4, "cells": 2}, 2, marks=pytest.mark.slow),
])
def test_second_order_steps_move_the_architecture_once_the_weights_have_learned(family: str, params: dict, partial: int):
    method = darts.Darts(ground("darts", family, params, SETTINGS | {"order": 2, "partial": partial}))
    before = [np.asarray(v.value) for v in method.architecture]
    method.step(0.1)
    assert all((np.asarray(v.value) == b).all() for v, b in zip(method.architecture, before))
    method.step(0.5)
    assert all(not np.allclose(np.asarray(v.value), b) for v, b in zip(method.architecture, before))
    assert len(method.betas) == (len(method.alphas) if partial > 1 else 0)
    for text in method.relaxation.decoded(*method.mixture()):
        assert entries.architectures[family].genotypes.check(text) is None


@pytest.mark.parametrize("partial", [1, 2])
def test_every_edge_of_the_larger_space_holds_every_operation(partial: int):
    relaxation = entries.architectures["nas-darts"].relaxation
    assert relaxation is not None
    net = relaxation.network((16, 16, 3), partial=partial, width=8, cells=3)
    mixtures = [part for part in net.parts if part.kind == "mixture"]
    assert len(mixtures) == 3 * len(nas_darts.ROWS)
    assert {(m.weighed.group, m.weighed.row) for m in mixtures if m.weighed} == {
        (cell, row) for cell in nas_darts.CELLS for row in range(len(nas_darts.ROWS))
    }
    for mixture in mixtures:
        assert mixture.weighed is not None
        assert len(mixture.inputs) == len(mixture.weighed.columns) == len(nas_darts.OPERATIONS) - 1 + (partial > 1)
        shapes = {net[x].shape for x in mixture.inputs[: len(nas_darts.OPERATIONS) - 1]}
        assert shapes == {(*mixture.shape[:2], mixture.channels // partial)}


def test_strengths_sum_to_one_over_the_edges_into_a_node():
    method = darts.Darts(ground("darts", "nas-cell", SMALL, SETTINGS | {"partial": 2}))
    method.betas["cell"].assign([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])
    strengths = method.mixture()[1]["cell"]
    assert strengths[0] == pytest.approx(1.0)
    assert strengths[1:3].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(strengths[3:], np.exp([0.5, 0, 3]) / np.exp([0.5, 0, 3]).sum(), rtol=1e-6)
    given = np.asarray(method._weights()["weights-cell"])
    np.testing.assert_allclose(given[:, -1], strengths, rtol=1e-5)
    np.testing.assert_allclose(given[:, :-1].sum(axis=1), strengths, rtol=1e-5)


def test_darts_genotypes_keep_the_two_heaviest_edges_of_each_node():
    rng = np.random.default_rng(1)
    weights = {cell: rng.dirichlet(np.ones(9), size=len(nas_darts.ROWS)) for cell in nas_darts.CELLS}
    strengths = {cell: np.ones(len(nas_darts.ROWS)) for cell in nas_darts.CELLS}
    choices = tuple(nas_darts.decoded(weights, strengths)[0].split("."))
    for cell, name in enumerate(nas_darts.CELLS):
        for node, edges in enumerate(nas_darts.nodes_of(choices, cell)):
            rows = [n for n, (to, _) in enumerate(nas_darts.ROWS) if to == node]
            flowing = weights[name][rows][:, 1:]  # but for none
            heaviest = sorted(np.argsort(-flowing.max(axis=1))[:2])
            assert sorted(source for _, source in edges) == heaviest
            for operation, source in edges:
                assert operation == nas_darts.OPERATIONS[1 + int(flowing[source].argmax())]
