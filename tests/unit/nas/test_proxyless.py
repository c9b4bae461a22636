"""Paths one at a time: each computes what its own network does, learns alone, is chosen by what it is worth and costs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from automl.architectures import model, nas_mobile
from automl.execution.executor import Work
from automl.nas import elastic, expected, gates, paths, process, proxyless
from automl.nas.method import entropy
from automl.spec import Fidelity, Outcome, Recipe
from tests.unit.nas.parts import Session, ground

process.quick_graphs()
SETTINGS = {"kernel": 5, "expansion": 4, "depth": 2, "stages": 2, "weight": 5.0, "seconds": 100.0}
PATHS = nas_mobile.PATHS

pytestmark = pytest.mark.xdist_group("proxyless")
"""One supernet for most tests, which it takes long to trace, in the order in which it learns."""


def given(**settings):
    return ground("proxylessnas", "nas-mobile", {"width": 8}, SETTINGS | settings)


@pytest.fixture(scope="module")
def method() -> proxyless.Proxyless:
    made = proxyless.Proxyless(given())
    made.trace()
    rng = np.random.default_rng(4)
    for bank in made.paths.banks.values():  # as if it had learned: at first paths beside a shortcut are all nothing
        bank.weights.assign_add(0.1 * rng.normal(size=bank.weights.shape))
    return made


def values(variable) -> np.ndarray:
    """A copy."""
    return np.array(np.asarray(variable))


def columns(*options: str) -> np.ndarray:
    """Of the blocks 1-1, 1-2, 2-1 and 2-2; the others are left out."""
    found = np.zeros(len(nas_mobile.GENOTYPES.decisions), np.int32)
    found[[0, 1, 3, 4]] = [PATHS.index(o) for o in options]
    return found


def test_blocks_hold_every_path_up_to_the_settings_and_the_first_of_a_stage_cannot_be_left_out(method):
    allowed = {row: {PATHS[c] for c in np.flatnonzero(method.allowed[row])} for row in range(len(method.allowed))}
    every = {"k3e2", "k3e4", "k5e2", "k5e4"}
    assert allowed[0] == allowed[3] == every
    assert allowed[1] == allowed[4] == every | {"skip"}
    assert all(allowed[row] == {"skip"} for row in (2, 5, *range(6, 12)))
    assert {len(bank.forms) for bank in method.paths.banks.values()} == {1, 2}  # a block, and a shortcut where it may be


@pytest.mark.parametrize("options", [
    ("k3e2", "k5e4", "k5e2", "skip"), ("k5e4", "skip", "k3e4", "k3e2"), ("k3e4", "k3e2", "k5e4", "k5e2"),
])
def test_a_path_computes_what_a_network_of_its_own_with_the_same_weights_does(method, options):
    start = method.ground
    genotype = method._genotype(columns(*options))
    params = {**start.recipe.architecture.params, "genotype": genotype}
    recipe = Recipe.from_dict({**start.recipe.to_dict(), "architecture": {"id": "nas-mobile", "params": params}})
    alone = model.build_core(recipe, start.plan, start.meta.profile, start.samples.preprocess, start.samples.shown)
    rng, net, drawn = np.random.default_rng(7), method.paths.net, columns(*options)
    for layer in alone.layers:
        if layer.weights and not layer.name.startswith("block"):
            layer.set_weights(method.core.get_layer(layer.name).get_weights())
    given_weights = []
    for d in method.paths.decisions:
        segment = 0.3 * rng.normal(size=method.paths.banks[d.place].sizes[sorted(d.branches).index(drawn[d.row])])
        given_weights.append(tf.constant(segment, tf.float32))
        for part in (net[place] for place in d.branches[drawn[d.row]]):
            name = part.name.replace(f"_{PATHS[drawn[d.row]]}", "")
            for layer in (name, f"{name}_norm"):
                for v in alone.get_layer(layer).trainable_variables if part.kind != "add" else ():
                    v.assign(segment[: np.prod(v.shape)].reshape(v.shape))
                    segment = segment[np.prod(v.shape) :]
        assert segment.size == 0
    images, shared = start.samples.inputs["image"][:16], [v.value for v in method.paths.shared]
    found = method.paths.one(tf.constant(images), tf.constant(drawn), given_weights, shared)
    np.testing.assert_allclose(found, alone({"image": images}, training=True), rtol=1e-3, atol=1e-3)


def test_paths_beside_a_shortcut_begin_as_nothing(method):
    fresh, image = proxyless.Proxyless(method.ground), tf.constant(method.ground.samples.inputs["image"][:4])
    left_out, there = (tf.constant(columns("k3e2", second, "k3e4", second)) for second in ("skip", "k5e4"))
    shared = [v.value for v in fresh.paths.shared]
    outputs = [fresh.paths.one(image, drawn, fresh.paths.segments(drawn), shared) for drawn in (left_out, there)]
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_the_gates_gradient_is_what_the_loss_says_of_each_paths_output(method):
    """Against differences: the first path's output a little more, the second one's a little."""
    batch = method._next(1)
    image, y = tf.constant(batch.inputs["image"]), tf.constant(batch.target)
    two = np.stack([columns("k3e2", "k5e4", "k3e4", "skip"), columns("k5e2", "skip", "k5e4", "k3e2")], axis=1)
    taken = np.tile(np.array([1.0, 0.0], np.float32), (len(two), 1))
    gradient = np.asarray(method.judge(image, y, tf.constant(two), tf.constant(taken))[0])
    for row, path in ((0, 0), (0, 1), (1, 1), (4, 0), (4, 1)):
        found = []
        for step in (1e-2, -1e-2):
            moved = taken.copy()
            moved[row, path] += step
            found.append(float(method.judge(image, y, tf.constant(two), tf.constant(moved))[1]))
        assert gradient[row, path] == pytest.approx((found[0] - found[1]) / 2e-2, abs=5e-3, rel=0.05)
    assert not gradient[[2, 5, 6, 7, 8, 9, 10, 11]].any()
    method.halves.restart()


def test_a_step_of_the_weights_moves_one_path_of_each_block_and_nothing_of_the_others(method):
    batch, drawn = method._next(0), columns("k5e2", "skip", "k3e4", "k5e4")
    before = {place: values(bank.weights.value) for place, bank in method.paths.banks.items()}
    kept = np.asarray(method.alphas.value)
    # Momentum from other steps mustn't move them either.
    for bank in method.paths.banks.values():
        bank.velocity.assign(np.ones(bank.velocity.shape))
    method.teach(tf.constant(batch.inputs["image"]), tf.constant(batch.target), tf.constant(drawn))
    for place, bank in method.paths.banks.items():
        moved = np.asarray(bank.weights.value) != before[place]
        start, end = map(int, bank.bounds(tf.constant(drawn)[bank.decision.row]))
        assert not moved[:start].any()
        assert not moved[end:].any()
        assert moved[start:end].sum() >= 0.99 * (end - start)
        bank.velocity.assign(np.zeros(bank.velocity.shape))
    assert sum(map(bool, (b.sizes[b.columns.index(0)] == 0 for b in method.paths.banks.values() if 0 in b.columns))) == 2
    assert (np.asarray(method.alphas.value) == kept).all()
    method.halves.restart()


def test_a_step_of_the_preferences_moves_two_of_each_block_and_no_weight(method):
    held, two = method._next(1), gates.pairs(method.shares(), np.random.default_rng(5))
    before, p = [values(v.value) for v in method.paths.shared], method.shares()
    segments = [values(b.weights.value) for b in method.paths.banks.values()]
    method.choose(held, two)
    after = method.shares()
    for row in (0, 1, 3, 4):
        others = [c for c in range(len(PATHS)) if c not in two[row]]
        np.testing.assert_allclose(after[row, others], p[row, others], atol=1e-6)
        assert abs(after[row, two[row, 0]] - p[row, two[row, 0]]) > 1e-5
    assert all((np.asarray(v.value) == b).all() for v, b in zip(method.paths.shared, before))
    assert all((np.asarray(b.weights.value) == s).all() for b, s in zip(method.paths.banks.values(), segments))
    method.halves.restart()


def test_of_equally_good_paths_the_cheaper_one_wins_where_there_is_a_limit(method, monkeypatch):
    """The gates say nothing: what is left is the cost, below its limit too. Without a weight nothing moves."""
    held, none = method._next(1), np.zeros((len(method.allowed), 2), np.float32)
    monkeypatch.setattr(method, "judge", lambda *given: (none, 0.7, 0.5))
    kept = [values(v.value) for v in (method.alphas, *method.architect.variables)]
    base, table = expected.priced(method._laid_down, method.allowed, lambda net: float(net.macs))
    cheapest = np.where(method.allowed, table, np.inf).argmin(axis=1)
    rng = np.random.default_rng(6)
    for weight, limit in ((5.0, 0.01 * base), (5.0, 100 * base), (0.0, 0.01 * base)):
        for v, value in zip((method.alphas, *method.architect.variables), kept):
            v.assign(np.zeros(value.shape))
        monkeypatch.setattr(method, "weight", weight)
        monkeypatch.setattr(method, "costs", [expected.Expected("ms", limit, "table", base, table)])
        method.architect.learning_rate.assign(0.1)
        start = method.costs[0].of(method.shares())
        for _ in range(80):
            method.choose(held, gates.pairs(method.shares(), rng))
        end = method.costs[0].of(method.shares())
        if weight:
            assert end < 0.8 * start
            np.testing.assert_array_equal(method.shares().argmax(axis=1), cheapest)
        else:
            assert end == pytest.approx(start)
    for v, value in zip((method.alphas, *method.architect.variables), kept):
        v.assign(value)
    method.judgements = []
    method.halves.restart()


def test_a_search_learns_traces_nothing_again_and_goes_on_from_a_checkpoint_as_if_unbroken(method):
    built, steps = method.traces, 60
    method.steps = 0
    method.costs = [expected.Expected(
        "bytes", 9_000.0, "", *expected.priced(method._laid_down, method.allowed, lambda net: float(net.parameters))
    )]
    begun = entropy(method.shares(), method.allowed)
    for n in range(steps - 10):
        method.step(n / steps)
    method.measured()
    state, kept = method.state(), [values(v.value) for v in method.variables]
    for n in range(steps - 10, steps):
        method.step(n / steps)
    measured, score = method.measured()
    assert method.traces == built == 4
    assert measured["entropy-blocks"] < begun
    assert measured["limit-bytes"] == 9_000
    assert measured["expected-bytes"] > 0
    assert score > 0.5
    found = method.found()
    assert found
    assert all(nas_mobile.GENOTYPES.check(f.architecture.params["genotype"]) is None for f in found)
    assert found[0].architecture.params["width"] == 8

    again = proxyless.Proxyless(method.ground)
    for v, value in zip(again.variables, kept, strict=True):
        v.assign(value)
    again.restore(state)
    again.trace()
    for n in range(steps - 10, steps):
        again.step(n / steps)
    for mine, theirs in zip(again.variables, method.variables):
        np.testing.assert_allclose(mine.value, theirs.value, atol=1e-5, err_msg=mine.name)
    assert again.measured()[0] == pytest.approx(measured, abs=1e-4)
    assert again.remark() == method.remark()


def test_the_remark_speaks_of_the_network_that_was_found_and_of_steps_that_were_too_few(method, monkeypatch):
    alone = np.eye(len(PATHS))[columns("k3e2", "skip", "k5e2", "skip")]
    priced = expected.priced(method._laid_down, method.allowed, lambda net: float(net.parameters))
    monkeypatch.setattr(method, "costs", [expected.Expected("bytes", 9_000.0, "", *priced)])
    monkeypatch.setattr(method, "steps", 12)
    kept, value = values(method.alphas.value), method.costs[0].of(alone)
    method.alphas.assign(8 * alone)
    said = method.remark()
    assert "taught in about 2 of 12 steps: what the blocks prefer is mostly chance and cost" in said
    assert f"{value:,.4g} of the best genotype, within the 9,000 that was aimed at" in said
    monkeypatch.setattr(method, "steps", 500)
    assert "mostly chance" not in method.remark()
    method.alphas.assign(kept)


def test_nothing_is_found_while_the_blocks_are_undecided(method):
    kept = values(method.alphas.value)
    method.alphas.assign(np.zeros(kept.shape))
    assert method.found() == []
    assert "hadn't decided" in method.remark()
    method.alphas.assign(kept)


def test_a_network_whose_layers_cannot_be_run_by_hand_is_refused():
    start = given()
    plan = start.plan.replace(norm=start.plan.norm.__class__("automl.techniques.norm.layers:layer_layer", {}))
    with pytest.raises(elastic.NotElastic, match="batch-norm"):
        proxyless.Proxyless(proxyless.Ground(start.recipe, plan, start.meta, start.samples, start.settings))


def test_decisions_are_read_off_the_mixtures_of_a_blueprint():
    net = nas_mobile.relaxed((8, 8, 1), width=8, resolution=1.0, kernel=3, expansion=2, depth=2, stages=2)
    found = paths.decisions(net)  # the first blocks of the stages have one path: nothing to decide
    assert [(d.row, sorted(d.branches)) for d in found] == [(1, [0, 1]), (4, [0, 1])]
    for decision in found:
        assert decision.branches[0] == ()
        names = [net[place].name for place in decision.branches[1]]
        assert [n.rpartition("_")[2] for n in names] == ["expand", "depthwise", "project", "k3e2"]


@pytest.mark.slow
def test_a_killed_process_ends_with_what_an_unbroken_one_finds(tmp_path, monkeypatch):
    start = given(kernel=3)
    monkeypatch.setattr(process, "_method", lambda work: proxyless.Proxyless(start))
    monkeypatch.setattr(process, "CHECKPOINT_S", 0.0)

    def run(folder, session):
        work = Work(
            trial="s01", recipe=start.recipe, fidelity=Fidelity(epochs=1), prepared=folder, metric="accuracy",
            workdir=folder,
            settings={"method": "proxylessnas", "seconds": 1000.0, "steps": 2 * process.ROUNDS},
        )
        return process.search(work, session, 1)

    whole = Session()
    run(tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Session(killed_after=12))
    again = Session()
    assert run(tmp_path / "killed", again).outcome == Outcome.COMPLETED
    assert [m.epoch for m in again.rounds] == list(range(13, process.ROUNDS + 1))
    for mine, theirs in zip(again.rounds, whole.rounds[12:]):
        assert mine.validation == pytest.approx(theirs.validation, abs=1e-4)
    assert process.read(tmp_path / "killed") == process.read(tmp_path / "whole") != []
