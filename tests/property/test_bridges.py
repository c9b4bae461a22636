"""Recipes from derived spaces, built and rebuilt in tf_keras: the twin of each gives the same outputs on rows of data."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from automl.catalog import compose, entries, space
from automl.compression import bridge
from automl.spec import Recipe, SearchSettings
from tests.property.test_recipes import BUILT, PREPROCESS, data, small
from tests.unit.compression.test_bridge import Target

bridge.load()

import keras  # noqa: E402 — behind `load`, which keeps the order of imports

ROWS, SHAKES = 16, 8
HALF = 2e-3
"""Where the network computes with numbers of 16 bits: half a step of theirs."""


def sampled(name: str, seed: int, family: str = "") -> Recipe:
    """The `seed`-th recipe of a space, or of one family in it, as small as its family goes."""
    profile = BUILT[name]
    forced = (family,) if family else ()
    derived = space.derive(profile.task, profile, SearchSettings(force=forced))
    recipe = derived.recipe(derived.sample(random.Random(f"bridge:{name}:{family}:{seed}")), seed)
    return small(recipe)


def inference_model(recipe: Recipe, name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The recipe's network as it leaves training, every weight moved from where it starts, and rows for it."""
    from automl.architectures import model as architectures
    from automl.tasks import head

    profile = BUILT[name]
    plan = compose.plan_of(recipe, profile)
    x, _ = data(profile)
    core = architectures.build_core(recipe, plan, profile, PREPROCESS[profile.modality], x)
    rows = {k: v[:ROWS] for k, v in x.items()}
    for seed in range(SHAKES):
        shake(core, seed)
        for last in (layer for layer in core.layers if layer.name == head.LOCATION):
            # Large sums drive a softmax to its ends, where all rows are equal.
            last.set_weights([weight * 0.1**seed for weight in last.get_weights()])
        model = head.inference_model(core, Target(profile.kind))
        # A network whose units are all at rest answers the same whatever its weights are, and shows nothing.
        if np.ptp(np.asarray(model(rows, training=False)), axis=0).max() > 0:
            return model, rows
    raise AssertionError(f"{SHAKES} draws of the weights gave outputs that are the same on all rows: {recipe}")


def shake(core: Any, seed: int) -> None:
    """Moves every weight, so that one that isn't carried over shows: biases and moving means off 0, variances off 1, whole
    numbers anew, in trees so that each asks a question."""
    rng = np.random.default_rng(seed)
    for layer in core.layers:
        if type(layer).__name__ == "DecisionTrees":
            plant(layer, rng)
        elif layer.weights:
            layer.set_weights([moved(value, rng) for value in layer.get_weights()])


def moved(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another weight of the same kind."""
    if not np.issubdtype(value.dtype, np.floating):
        return rng.integers(0, 100, value.shape).astype(value.dtype)
    noise = rng.uniform(0.2, 1.0, value.shape) * (0.05 + 0.1 * float(np.abs(value).mean()))
    # What isn't negative anywhere may be a variance or a scale: these stay so.
    positive = bool((value >= 0).all()) and bool(value.any())
    sign = 1.0 if positive else rng.choice((-1.0, 1.0), value.shape)
    return (value + sign * noise).astype(value.dtype)


def plant(trees: Any, rng: np.random.Generator) -> None:
    """Gives each tree one split and two leaves."""
    column, threshold, node, offset = trees.get_weights()
    node = rng.integers(0, 100, node.shape).astype(node.dtype)
    node[: trees.trees] = rng.integers(0, trees.splits, trees.trees) - trees.base
    column = rng.integers(0, trees.columns, column.shape).astype(column.dtype)
    threshold = rng.integers(-4096, 4096, threshold.shape).astype(threshold.dtype)
    trees.set_weights([column, threshold, node, moved(offset, rng)])


def fault(name: str, seed: int, family: str = "") -> str | None:
    """What is wrong with the twin; None when nothing is."""
    recipe = sampled(name, seed, family)
    model, rows = inference_model(recipe, name)
    outputs = np.asarray(model(rows, training=False))
    if not np.isfinite(outputs).all():
        return f"{np.isfinite(outputs).mean():.0%} of the outputs are finite"
    half = any(layer.compute_dtype != "float32" for layer in model.layers if layer.weights)
    try:
        made = bridge.build(model, rows, tolerance=HALF if half else bridge.TOLERANCE)
    except bridge.Unconvertible as error:
        return str(error)
    there, here = made.twin.count_params(), model.count_params()
    return None if there == here else f"{there} weights of {here}"


GENOTYPES = [
    (name, family.id) for family in entries.architectures if family.genotypes is not None
    for name in BUILT if BUILT[name].modality in family.modalities
]
FAMILIES = [
    (name, family.id) for family in entries.architectures for name in BUILT
    if BUILT[name].modality in family.modalities and family.reason_against(BUILT[name]) is None
]
IN_EVERY_RUN, SHARD, SHARDS = 2, 25, 4
"""Seeds from 0; the slow shards go on from there: 4 of 25 recipes for each task, and 10 of each family."""


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("seed", range(IN_EVERY_RUN))
def test_a_random_recipe_has_an_equal_twin(name: str, seed: int) -> None:
    assert fault(name, seed) is None, sampled(name, seed)


@pytest.mark.parametrize(("name", "family"), GENOTYPES)
def test_a_random_genotype_has_an_equal_twin(name: str, family: str) -> None:
    assert fault(name, 0, family) is None, sampled(name, 0, family)


def faults(name: str, seeds: range, family: str = "") -> dict[int, str]:
    """By seed, what is wrong: one recipe's failure must not hide the others'."""
    found = {}
    for seed in seeds:
        keras.backend.clear_session(free_memory=True)
        try:
            wrong = fault(name, seed, family)
        except Exception as error:  # noqa: BLE001 — told with its seed.
            wrong = f"{type(error).__name__}: {str(error)[:300]}"
        if wrong is not None:
            found[seed] = wrong
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_hundreds_of_random_recipes_have_equal_twins(name: str, shard: int) -> None:
    first = IN_EVERY_RUN + shard * SHARD
    assert not faults(name, range(first, first + SHARD))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_random_recipes_of_each_family_have_equal_twins(name: str, family: str) -> None:
    assert not faults(name, range(1, 11), family)
