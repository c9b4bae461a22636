"""Progressive shrinking, the teacher, scores, and networks cut out without training."""

from __future__ import annotations

import dataclasses
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from automl.architectures import model
from automl.catalog import compose
from automl.catalog.footprint import footprint
from automl.nas import carving, elastic, once_for_all
from automl.nas.process import quick_graphs
from automl.nas.subnetworks import Sub
from tests.unit.nas.parts import ground

quick_graphs()
SETTINGS = {"kernel": 5, "expansion": 4, "depth": 2, "stages": 2}


pytestmark = pytest.mark.xdist_group("once-for-all")
"""One supernet for all tests, which it takes long to trace, in the order in which it learns."""


@pytest.fixture(scope="module")
def method() -> once_for_all.OnceForAll:
    made = once_for_all.OnceForAll(ground("once-for-all", "nas-mobile", {"width": 16}, SETTINGS))
    made.trace()
    return made


def test_dimensions_open_one_after_the_other_and_nothing_is_traced_again(method):
    built = method.traces
    largest = method.space.largest()
    assert method._drawn(0.1, random.Random(1)) == largest
    assert not method.taught
    seen: dict[str, set] = {}
    for progress in (0.38, 0.45, 0.55, 0.62, 0.8):
        subs = [method._drawn(progress, random.Random(n)) for n in range(60)]
        seen[str(progress)] = {
            name for name, values in {
                "kernel": {b[0] for s in subs for row in s.blocks for b in row},
                "depth": {d for s in subs for d in s.depths},
                "expansion": {b[1] for s in subs for row in s.blocks for b in row}, "width": {s.width for s in subs},
                "resolution": {s.resolution for s in subs},
            }.items() if len(values) > 1
        }
    order = once_for_all.DIMENSIONS
    assert [seen[p] for p in seen] == [set(order[: n + 1]) for n in range(5)]
    assert method.taught
    for n in range(20):
        method.step(0.66 + 0.01 * n)
    method.step(0.9)
    assert len(method.scored) == 1
    assert method.traces == built == 3


def test_a_step_is_descent_on_the_mean_of_labels_and_the_teachers_outputs(method):
    """The loss of a step with a share of the teacher against the formula, from outputs of the graph itself."""
    batch, sub = method._next(), method.space.smallest()
    image = tf.constant(batch.inputs["image"])
    small = method.look(image, tf.constant(method.space.table(sub)))
    kept = [np.asarray(v.value) for v in method.core.trainable_variables]
    for v, t in zip(method.core.trainable_variables, method.teacher):
        v.assign(t.value)
    large = tf.nn.softmax(method.look(image, tf.constant(method.largest)))
    for v, before in zip(method.core.trainable_variables, kept):
        v.assign(before)
    expected = float(method.loss(0.5 * batch.target + 0.5 * large, small))
    assert float(method.train(batch, sub, 0.5)) == pytest.approx(expected, rel=1e-4)


def test_networks_are_cut_out_with_statistics_of_their_own(method, tmp_path):
    method.leave(tmp_path)
    arrays, known = once_for_all.read(tmp_path)
    sub = method.space.smallest()
    given = method.ground
    recipe = given.recipe.model_copy(update={"architecture": sub.choice})
    plan = compose.plan_of(recipe, given.meta.profile)
    core = carving.cut(recipe, plan, given.meta.profile, known["preprocess"], given.samples.shown, arrays)
    for layer in core.layers:
        for n, weights in enumerate(layer.get_weights()):
            [expected] = elastic.sliced(layer.name, [method.core.get_layer(layer.name).get_weights()[n]], [weights.shape])
            np.testing.assert_array_equal(weights, expected)
    images = given.samples.inputs["image"][:256]
    carving.recalibrated(core, images, rows=256)
    stem = keras.Model(core.input, core.get_layer("stem").output)({"image": images})
    norm = core.get_layer("stem_norm")
    halves = [np.asarray(stem)[:128], np.asarray(stem)[128:]]
    np.testing.assert_allclose(norm.moving_mean, np.mean([h.mean((0, 1, 2)) for h in halves], 0), atol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, np.mean([h.var((0, 1, 2)) for h in halves], 0), rtol=1e-3)
    assert norm.momentum == 0.9
    by_batch = method.look(tf.constant(images), tf.constant(method.space.table(sub)))
    alone = core({"image": images}, training=False)
    assert np.abs(np.asarray(by_batch) - np.asarray(alone)).mean() < 0.1 * np.abs(np.asarray(by_batch)).mean() + 0.05


def test_state_survives_a_restart(method):
    method._drawn(0.8, random.Random(1))  # late enough that the largest has become the teacher
    again = once_for_all.OnceForAll(method.ground)
    for mine, theirs in zip(again.variables, method.variables, strict=True):
        mine.assign(theirs.value)
    again.restore(method.state())
    sub = method.space.smallest()
    assert again.score(sub) == method.score(sub)
    assert again.taught
    assert again.scored == method.scored


def test_what_is_found_meets_the_limits_of_the_job(method, monkeypatch):
    """Scores that grow with the multiplications: without limits the largest is best, under them the largest within."""
    rng = random.Random(4)
    subs = [s for s in (method.space.sample(rng) for _ in range(60)) if method.space.fits(s)][:30]
    scored = [{"architecture": s.choice.to_dict(), "score": method.space.network(s).macs / 1e6} for s in subs]
    monkeypatch.setattr(method, "scored", scored)
    monkeypatch.setattr(method, "taught", True)
    outputs, whole = method.ground.outputs, method.space.network(method.space.largest())

    def networks():
        return [method.space.network(Sub.of(f.architecture, method.space.stages)) for f in method.found()]

    free = networks()
    assert free[0].macs > 0.9 * whole.macs
    costs = footprint(whole, outputs)
    limits = {"bytes": (0.6 * costs.int8_bytes, "int8_bytes"), "parameters": (0.4 * costs.parameters, "parameters")}
    for unit, (limit, name) in limits.items():
        settings = {**method.ground.settings, f"max-{unit}": limit}
        monkeypatch.setattr(method, "ground", dataclasses.replace(method.ground, settings=settings))
        taken = [getattr(footprint(net, outputs), name) for net in networks()]
        assert max(taken) <= limit
        assert taken[0] > 0.6 * limit
        assert "within the limits" in method.found()[0].note
    board = {"max-ms": 1e-9, "latency-device": "nucleo-f746zg", "latency-precision": "int8", "latency-cache": "unused"}
    settings = {**method.ground.settings, **board}
    monkeypatch.setattr(method, "ground", dataclasses.replace(method.ground, settings=settings))
    assert method.found() == []
    assert "no network" in method.remark()


def test_the_shape_of_a_core_built_for_the_largest_is_that_of_its_blueprint(method):
    given = method.ground
    recipe = given.recipe.model_copy(update={"architecture": method.space.largest().choice})
    core = model.build_core(recipe, given.plan, given.meta.profile, given.samples.preprocess, given.samples.shown)
    assert core.count_params() == method.core.count_params()
