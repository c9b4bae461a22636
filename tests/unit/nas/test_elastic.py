"""Networks inside a largest one: the same outputs as a network of their own with slices of the weights, and one graph."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tensorflow as tf

from automl.architectures import model, nas_mobile
from automl.nas import elastic, subnetworks
from tests.unit.nas.parts import ground

SPACE = subnetworks.Space((8, 8, 1), 2, (3, 5), (1, 2), (2, 4), (8, 16), (0.5, 0.75, 1.0))


def built(sub: subnetworks.Sub):
    given = ground("once-for-all", "nas-mobile", dict(sub.choice.params), {})
    return given, model.build_core(
        given.recipe, given.plan, given.meta.profile, given.samples.preprocess, given.samples.shown
    )


def test_every_smaller_network_computes_what_one_of_its_own_with_slices_of_the_weights_does():
    given, core = built(SPACE.largest())
    network = elastic.Elastic(core, SPACE.network(SPACE.largest()), SPACE.strides())
    outputs = tf.function(network.outputs, autograph=False)
    images = tf.constant(given.samples.inputs["image"][:16])
    rng = random.Random(3)
    for sub in (SPACE.largest(), SPACE.smallest(), *(SPACE.sample(rng) for _ in range(3))):
        assert SPACE.fits(sub)
        _, alone = built(sub)
        for layer in alone.layers:
            if layer.weights:
                weights, shapes = core.get_layer(layer.name).get_weights(), [w.shape for w in layer.weights]
                layer.set_weights(elastic.sliced(layer.name, weights, shapes))
        cut = outputs(images, tf.constant(SPACE.table(sub)))
        np.testing.assert_allclose(cut, alone({"image": images}, training=True), atol=1e-4)
    assert outputs.experimental_get_tracing_count() == 1


def test_slices_are_the_centre_of_a_kernel_and_the_first_channels():
    kernel = np.arange(5 * 5 * 4 * 6).reshape(5, 5, 4, 6)
    [cut] = elastic.sliced("x", [kernel], [(3, 3, 2, 4)])
    np.testing.assert_array_equal(cut, kernel[1:4, 1:4, :2, :4])
    [vector] = elastic.sliced("x", [np.arange(6)], [(4,)])
    np.testing.assert_array_equal(vector, np.arange(4))


def test_what_is_not_cut_out_gets_no_gradient():
    given, core = built(SPACE.largest())
    network = elastic.Elastic(core, SPACE.network(SPACE.largest()), SPACE.strides())
    kernel = core.get_layer("block_1_1_depthwise").trainable_variables[0].value
    with tf.GradientTape() as tape:
        out = network.outputs(tf.constant(given.samples.inputs["image"][:8]), tf.constant(SPACE.table(SPACE.smallest())))
        loss = tf.reduce_sum(out**2)
    gradient = tf.convert_to_tensor(tape.gradient(loss, kernel)).numpy()
    channels = SPACE.network(SPACE.smallest()).parts
    kept = next(p.channels for p in channels if p.name == "block_1_1_depthwise")
    assert kept < gradient.shape[2]
    assert (gradient[1:4, 1:4, :kept] != 0).any()
    gradient[1:4, 1:4, :kept] = 0
    assert not gradient.any()


def test_a_network_that_is_no_part_of_the_largest_is_refused():
    large = nas_mobile.network(SPACE.shape, genotype=SPACE.smallest().genotype, width=8, resolution=1.0)
    small = SPACE.network(SPACE.largest())
    with pytest.raises(elastic.NotElastic):
        elastic.table(large, small)
    given = ground("once-for-all", "nas-mobile", dict(SPACE.largest().choice.params), {})
    plan = given.plan.replace(norm=given.plan.norm.__class__("automl.techniques.norm.layers:layer_layer", {}))
    core = model.build_core(given.recipe, plan, given.meta.profile, given.samples.preprocess, given.samples.shown)
    with pytest.raises(elastic.NotElastic, match="batch-norm"):
        elastic.Elastic(core, SPACE.network(SPACE.largest()), SPACE.strides())


def test_sampled_networks_are_canonical_genotypes_and_read_back():
    rng = random.Random(0)
    for _ in range(50):
        sub = SPACE.mutated(SPACE.crossed(SPACE.sample(rng), SPACE.sample(rng), rng), rng)
        assert nas_mobile.GENOTYPES.check(sub.genotype) is None
        again = subnetworks.Sub.of(sub.choice, SPACE.stages)
        assert (again.genotype, again.choice) == (sub.genotype, sub.choice)


def test_the_predictor_learns_a_sum_of_decisions_and_leaves_out_in_closed_form():
    rng, noise = random.Random(1), np.random.default_rng(1)
    subs = [SPACE.sample(rng) for _ in range(60)]
    truth = noise.normal(size=len(SPACE.features(subs[0])))
    scores = [float(SPACE.features(sub) @ truth) for sub in subs]
    predict = subnetworks.Predictor(SPACE, subs[:50], scores[:50])
    foreseen = [predict(sub) for sub in subs[50:]]
    assert np.corrcoef(foreseen, scores[50:])[0, 1] > 0.95
    small = subnetworks.Predictor(SPACE, subs[:12], scores[:12])
    x = np.array([SPACE.features(sub) for sub in subs[:12]])
    x = x - x.mean(axis=0)
    y = np.array(scores[:12]) - np.mean(scores[:12])
    # The same ridge with an unpunished mean, refitted without each row (centred as the whole).
    design = np.hstack([np.ones((12, 1)), x])
    penalty = np.diag([1e-9] + [subnetworks.PENALTY] * x.shape[1])
    for n in range(12):
        kept = np.arange(12) != n
        fit = np.linalg.solve(design[kept].T @ design[kept] + penalty, design[kept].T @ y[kept])
        assert small.left_out()[n] == pytest.approx(design[n] @ fit + np.mean(scores[:12]), abs=1e-5)


def test_evolution_finds_the_best_that_a_limit_allows():
    """Worth is the number of multiplications: the best under a limit is what lies closest below it."""
    def macs(sub: subnetworks.Sub) -> int:
        return SPACE.network(sub).macs

    limit = 0.4 * macs(SPACE.largest())
    found = subnetworks.evolved(SPACE, macs, lambda sub: macs(sub) <= limit, random.Random(0))
    assert 0.93 * limit < macs(found[0]) <= limit
    assert subnetworks.evolved(SPACE, macs, lambda sub: False, random.Random(0)) == []
