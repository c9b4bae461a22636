"""Recipes from derived spaces: hundreds become plans without Keras, and some of every kind are built and take a step."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl.catalog import compose, entries, space
from automl.spec import Profile, Recipe, SearchSettings


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any data the product may meet."""
    classes = draw(st.sampled_from([0, 2, 3, 150]))
    rows = draw(st.integers(10, 2_000_000))
    rarest = draw(st.integers(1, max(1, rows // max(classes, 1)))) if classes else 0
    common: dict[str, Any] = {
        "rows": rows, "classes": classes, "class_min": rarest, "outputs": classes or 1,
        "imbalance": rows / classes / rarest if classes else 1.0,
    }
    if classes and draw(st.booleans()):
        length, vocabulary = draw(st.integers(8, 1024)), draw(st.integers(4, 20_003))
        grams = draw(st.sampled_from([0, 2, 20_001]))
        return Profile(
            modality="text", task="text-classification", length=length, vocabulary=vocabulary, ngrams=grams, **common
        )
    if classes and draw(st.booleans()):
        length, channels = draw(st.integers(1, 512)), draw(st.integers(1, 40))
        return Profile(modality="series", task="timeseries-classification", length=length, channels=channels, **common)
    if classes and draw(st.booleans()):
        side, channels = draw(st.integers(4, 256)), draw(st.sampled_from([1, 3, 4]))
        return Profile(modality="image", task="image-classification", image_shape=(side, side, channels), **common)
    if classes and draw(st.booleans()):
        length = draw(st.integers(1, 2000))
        if draw(st.booleans()):
            vocabulary = draw(st.integers(3, 50_000))
            return Profile(modality="text", task="text-classification", length=length, vocabulary=vocabulary, **common)
        return Profile(
            modality="series", task="timeseries-classification", length=length, channels=draw(st.integers(1, 60)), **common
        )
    numeric = draw(st.integers(0, 300))
    categorical = draw(st.integers(0 if numeric else 1, 60))
    task = "tabular-classification" if classes else "tabular-regression"
    return Profile(modality="table", task=task, numeric=numeric, categorical=categorical, **common)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(profiles(), st.integers(0, 2**32))
def test_any_sample_or_mutant_is_a_recipe_that_composes(profile, seed):
    derived = space.derive(profile.task, profile, SearchSettings())
    rng = random.Random(seed)
    values = derived.sample(rng)
    for _ in range(3):
        recipe = derived.recipe(values, seed)
        assert compose.violations(recipe, profile) == []
        compose.plan_of(recipe, profile)
        assert Recipe.from_dict(recipe.to_dict()) == recipe
        assert derived.assignment(recipe) == values
        assert derived.recipe(derived.assignment(recipe), seed) == recipe
        family = entries.architectures[recipe.architecture.id]
        if family.size is not None:
            assert family.size(profile, **recipe.architecture.params) > 0
        values = derived.mutate(values, rng, changes=3)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(profiles(), st.integers(0, 2**32), st.data())
def test_what_a_user_forbids_and_forces_is_kept(profile, seed, data):
    derived = space.derive(profile.task, profile, SearchSettings())
    switches = sorted(d.name[4:] for d in derived.dimensions if d.name.startswith("use:"))
    forced = data.draw(st.sampled_from(switches))
    forbidden = data.draw(st.sampled_from([s for s in switches if s != forced]))
    narrowed = space.derive(profile.task, profile, SearchSettings(force=(forced,), forbid=(forbidden,)))
    recipe = narrowed.recipe(narrowed.sample(random.Random(seed)), 0)
    assert recipe.has(forced)
    assert not recipe.has(forbidden)


# --- built and trained -------------------------------------------------------------------------

BUILT = {
    "two classes": Profile(
        modality="table", task="tabular-classification", rows=600, numeric=4, categorical=2, classes=2, class_min=60,
        imbalance=9.0, outputs=2,
    ),
    "numbers": Profile(modality="table", task="tabular-regression", rows=600, numeric=4, categorical=2),
    "pictures": Profile(
        modality="image", task="image-classification", rows=600, classes=3, class_min=60, imbalance=8.0, outputs=3,
        image_shape=(12, 12, 3),
    ),
    "texts": Profile(
        modality="text", task="text-classification", rows=600, classes=3, class_min=60, imbalance=8.0, outputs=3, length=12,
        vocabulary=50, ngrams=40,
    ),
    "series": Profile(
        modality="series", task="timeseries-classification", rows=600, classes=3, class_min=60, imbalance=8.0, outputs=3,
        length=20, channels=2,
    ),
}
PREPROCESS = {
    "table": {"inputs": {"numeric": 4, "categorical": 2}, "cardinalities": [4, 40]},
    "image": {"height": 12, "width": 12, "channels": 3},
    "text": {"inputs": {"tokens": 12, "vocabulary": 50, "ngrams": 16, "ngram_vocabulary": 40}},
    "series": {"inputs": {"steps": 20, "channels": 3}, "ragged": True},
}
ROWS, BATCH = 120, 40
SMALL = {
    "width": 8, "members": 4, "depth": 2, "blocks": 1, "stages": 2, "expansion": 2, "bins": 8, "frequencies": 8,
    "filters": 8, "dilations": 2, "features_each": 1, "modules": 3, "kernel": 10, "units": 8,
}


def small(recipe: Recipe) -> Recipe:
    """The recipe with its family's parameters as small as they go, so that a test takes a second. A flat family stays flat:
    it has no techniques of hidden layers."""
    domains = entries.architectures[recipe.architecture.id].params
    params = dict(recipe.architecture.params)
    for name, value in SMALL.items():
        if name in domains and not compose.is_flat(recipe.architecture):
            params[name] = value if domains[name].check(value) is None else domains[name].values[0]
    return recipe.changed(architecture={"id": recipe.architecture.id, "params": params})


def data(profile: Profile) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    if profile.modality == "image":
        x = {"image": rng.integers(0, 256, (ROWS, *profile.image_shape), np.uint8)}
    elif profile.modality == "text":
        lengths = rng.integers(0, 13, (ROWS, 1))
        x = {
            name: np.where(np.arange(steps) < lengths, rng.integers(1, count, (ROWS, steps)), 0).astype(np.int32)
            for name, steps, count in (("tokens", 12, 50), ("ngrams", 16, 40))
        }
    elif profile.modality == "series":
        there = np.arange(20) < rng.integers(1, 21, (ROWS, 1))
        x = {"series": (np.dstack([rng.normal(size=(ROWS, 20, 2)), np.ones((ROWS, 20, 1))]) * there[..., None])
             .astype(np.float32)}
    else:
        numeric = rng.normal(size=(ROWS, 4)).astype(np.float32)
        x = {"numeric": numeric, "categorical": np.stack([rng.integers(0, n, ROWS) for n in (4, 40)], 1).astype(np.int32)}
    if not profile.classes:
        return x, rng.normal(size=(ROWS, 1)).astype(np.float32)
    y = rng.integers(0, profile.classes, ROWS)
    y[: ROWS // 2] = 0
    return x, y


def steps(recipe: Recipe, profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """The losses of the first steps, and the change of the weights by them: on the trainer's batches, by its engine."""
    import keras
    import tensorflow as tf

    from automl.architectures import model
    from automl.training.backend_tensorflow import TensorFlowEngine
    from automl.training.batches import Batches
    from automl.training.samples import Samples

    keras.utils.set_random_seed(1)
    plan = compose.plan_of(recipe, profile)
    x, y = data(profile)
    core = model.build_core(recipe, plan, profile, PREPROCESS[profile.modality], x)
    if plan.resampling is not None:
        x, y = plan.resampling.make(x, y, np.random.default_rng(1))
    batches = Batches(Samples(x, y, profile.classes, {}, y, {}), plan, BATCH, recipe.seed)
    # Which rates let a training diverge is for the search to find out. At a hundredth of the rate a number that isn't finite
    # is a fault.
    rate = plan.learning_rate / 100
    if plan.schedule is not None:
        made = plan.schedule.make(peak=rate, steps=30, steps_per_epoch=3)
        rate = rate if isinstance(made, keras.callbacks.Callback) else made
    optimizer = plan.optimizer.make(learning_rate=rate, **plan.optimizer_options)
    for wrapper in plan.optimizer_wrappers:
        optimizer = wrapper.make(optimizer)
    optimizer.build(core.trainable_variables)
    units = {"mean": 0.0, "std": 1.0} if plan.loss_in_units and not profile.classes else {}
    engine = TensorFlowEngine(
        core, optimizer, plan.loss.make(**units), [term.make() for term in plan.activity],
        None if plan.perturbation is None else plan.perturbation.make(),
    )
    before = np.concatenate([w.ravel() for w in core.get_weights()])
    # Two updates: the first may be the one at which a warm-up's rate is still 0.
    count = 2 * int(plan.optimizer_options.get("gradient_accumulation_steps") or 1)
    stream = itertools.chain.from_iterable(batches.stream(epoch) for epoch in itertools.count(1))
    losses = []
    for batch in itertools.islice(stream, count):
        # The engine's own step, outside of its graph: tracing one takes longer than all the rest, and that graphs
        # do what steps do is shown elsewhere (tests/unit/training).
        inputs = {name: tf.constant(array) for name, array in batch.inputs.items()}
        weight = None if batch.weight is None else tf.constant(batch.weight)
        losses.append(float(engine._step(inputs, tf.constant(batch.target), weight)))
    return np.array(losses), np.concatenate([w.ravel() for w in core.get_weights()]) - before


def sampled(name: str, seed: int) -> Recipe:
    """The `seed`-th recipe of a space, as small as its family goes."""
    profile = BUILT[name]
    # What isn't trained by steps has tests of its own (tests/unit/training/test_boosting.py).
    otherwise = tuple(family.id for family in entries.architectures if family.fitted_by)
    derived = space.derive(profile.task, profile, SearchSettings(forbid=otherwise))
    return small(derived.recipe(derived.sample(random.Random(f"{name}:{seed}")), seed))


def fault(name: str, seed: int) -> str | None:
    """What is wrong with building and training it; None when nothing is."""
    recipe = sampled(name, seed)
    losses, change = steps(recipe, BUILT[name])
    if not np.isfinite(losses).all() or not np.isfinite(change).all():
        return f"losses {losses}, weights {np.isfinite(change).mean():.0%} finite"
    return None if np.abs(change).max() > 0 else "no weight has moved"


IN_EVERY_RUN, SHARD, SHARDS = 4, 50, 40
"""Seeds from 0; the slow shards go on from there: 40 of 50 recipes are 2,000 for each task."""


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("seed", range(IN_EVERY_RUN))
def test_a_random_recipe_is_built_and_learns(name, seed):
    assert fault(name, seed) is None, sampled(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_thousands_of_random_recipes_are_built_and_learn(name, shard):
    """Every fault of a shard is told with its seed: `fault(name, seed)` has it again."""
    import keras

    first = IN_EVERY_RUN + shard * SHARD
    found = {}
    for seed in range(first, first + SHARD):
        keras.backend.clear_session(free_memory=True)
        try:
            wrong = fault(name, seed)
        except Exception as error:  # noqa: BLE001 — one recipe's failure must not hide the others'.
            wrong = f"{type(error).__name__}: {str(error)[:300]}"
        if wrong is not None:
            found[seed] = wrong
    assert not found
