"""The derived space: what is in it and why the rest isn't, and the way from values to recipes and back."""

from __future__ import annotations

import random

import pytest

from automl.catalog import architectures, compose, space, techniques
from automl.catalog.domains import Categorical
from automl.spec import Choice, InvalidInput, Profile, SearchSettings

TABLE = Profile(
    modality="table", task="tabular-classification", rows=5000, numeric=5, categorical=2, cardinality_max=9, classes=2,
    class_min=1000, imbalance=2.0, outputs=2,
)
PICTURES = Profile(
    modality="image", task="image-classification", rows=5000, classes=5, class_min=900, outputs=5, image_shape=(32, 32, 3)
)
TEXTS = Profile(
    modality="text", task="text-classification", rows=600, classes=3, class_min=60, outputs=3, length=12, vocabulary=50
)
SERIES = Profile(
    modality="series", task="timeseries-classification", rows=600, classes=3, class_min=60, outputs=3, length=40, channels=2
)


def derive(profile=TABLE, formats=(), **settings):
    return space.derive(profile.task, profile, SearchSettings(**settings), frozenset(formats))


def dimension(derived, name):
    return next(d for d in derived.dimensions if d.name == name)


def test_the_default_holds_every_slots_default_and_the_switches_that_start_on():
    derived = derive()
    recipe = derived.recipe(derived.default(), seed=1)
    assert recipe.architecture.id == "mlp"
    assert {c.id for c in recipe.techniques} == {
        "standardization", "he", "relu", "adamw", "warmup-cosine", "cross-entropy", "early-stopping",
    }
    pictures = derive(PICTURES)
    assert pictures.recipe(pictures.default(), 1).has("batch-norm")


def test_what_does_not_apply_is_left_out_with_its_reason():
    excluded = derive().excluded
    assert "applies to image" in excluded["flip"]
    assert "applies to regression" in excluded["mse"]
    assert "imbalance" in derive(TABLE.changed(imbalance=1.0)).excluded["class-weighting"]


def test_forbidden_techniques_are_never_proposed():
    derived = derive(forbid=("mixup", "adamw", "tabm", "ft-transformer", "boosted-trees", "linear"))
    assert not {"mixup", "adamw"} & set(derived.techniques)
    assert derived.excluded["adamw"] == "forbidden by the user"
    rng = random.Random(0)
    for _ in range(50):
        recipe = derived.recipe(derived.sample(rng), 1)
        assert recipe.architecture.id == "mlp"
        assert not recipe.has("adamw")


def test_allowed_techniques_join_the_defaults_alone():
    derived = derive(allow=("dropout", "mlp"))
    assert set(derived.techniques) == {
        "standardization", "he", "relu", "adamw", "warmup-cosine", "cross-entropy", "early-stopping", "dropout",
    }
    assert dimension(derived, "architecture").domain.values == ("mlp",)


def test_forced_techniques_are_in_every_recipe():
    derived = derive(force=("focal", "dropout", "tabm"))
    rng = random.Random(0)
    for _ in range(50):
        recipe = derived.recipe(derived.sample(rng), 1)
        assert recipe.has("focal")
        assert recipe.has("dropout")
        assert recipe.architecture.id == "tabm"
    assert "the user forces focal" in derived.excluded["cross-entropy"]


def test_a_forced_technique_pushes_out_what_excludes_it():
    assert "excluded by the forced selu" in derive(force=("selu",)).excluded["batch-norm"]
    assert "weight-decay" not in derive(force=("adamw",)).techniques
    assert "excluded by the forced stochastic-depth" in derive(force=("stochastic-depth",)).excluded["tabm"]
    assert "excluded by the forced tabm" in derive(force=("tabm",)).excluded["stochastic-depth"]


@pytest.mark.parametrize(
    ("settings", "reason", "words"),
    [
        ({"force": ("mixup",), "forbid": ("mixup",)}, "CONTRADICTION", "forced and forbidden"),
        ({"force": ("flip",)}, "NOT_APPLICABLE", "applies to image"),
        ({"force": ("adam", "adamw")}, "CONFLICT", "one place"),
        ({"force": ("selu", "batch-norm")}, "CONFLICT", "normalises by itself"),
        ({"force": ("dropuot",)}, "UNKNOWN_ID", "did you mean dropout"),
        ({"forbid": tuple(a.id for a in architectures)}, "EMPTY_SPACE", "no architecture is left"),
        ({"forbid": tuple(t.id for t in techniques if t.slot == "optimizer")}, "EMPTY_SPACE", "optimizer"),
    ],
)
def test_contradictions_are_named(settings, reason, words):
    with pytest.raises(InvalidInput) as caught:
        derive(**settings)
    assert any(v.reason == reason and words in v.message for v in caught.value.violations)


def test_every_contradiction_is_said_at_once():
    with pytest.raises(InvalidInput) as caught:
        derive(force=("flip", "adam", "adamw", "nonsense", "dropout"), forbid=("dropout",))
    assert {v.reason for v in caught.value.violations} >= {"UNKNOWN_ID", "CONTRADICTION", "NOT_APPLICABLE", "CONFLICT"}


def test_formats_leave_out_what_they_can_not_hold():
    def apply(plan):
        """A technique that TFLite can't hold."""
        return plan

    from automl.catalog import technique

    technique(id="odd-one", stage="activation", slot="activation", unsupported_formats={"tflite": "no kernel"})(apply)
    try:
        assert "odd-one" in derive().techniques
        assert derive(formats=("tflite:int8",)).excluded["odd-one"] == "can't be given as tflite:int8: no kernel"
        assert "odd-one" in derive(formats=("saved-model",)).techniques
    finally:
        techniques.remove("odd-one")


def test_parents_stand_before_their_children():
    for profile in (TABLE, PICTURES):
        seen = set()
        for d in derive(profile).dimensions:
            assert d.parent is None or d.parent in seen
            seen.add(d.name)


def test_children_are_there_only_with_their_parent():
    derived = derive()
    values = derived.complete({"slot:optimizer": "sgd"})
    assert "sgd.learning_rate" in values
    assert not any(name.startswith("adamw.") for name in values)
    assert {d.name for d in derived.active(values)} == set(values)


def test_repair_turns_off_the_switch_rather_than_the_slot():
    free = derive()
    repaired = free.repair({**free.default(), "use:weight-decay": True})
    assert repaired["use:weight-decay"] is False
    assert repaired["slot:optimizer"] == "adamw"
    kept = free.repair({**free.default(), "use:weight-decay": True, "slot:optimizer": "sgd"})
    assert kept["use:weight-decay"] is True


def test_repair_lets_one_of_two_slots_go_back_to_its_default():
    free = derive()
    repaired = free.repair({**free.default(), "slot:activation": "selu", "slot:norm": "batch-norm"})
    assert {repaired["slot:activation"], repaired["slot:norm"]} in ({"selu", "none"}, {"relu", "batch-norm"})


def test_a_mutant_is_a_near_valid_neighbour():
    derived, rng = derive(), random.Random(0)
    start = derived.default()
    changed = [derived.mutate(start, rng) for _ in range(50)]
    assert all(derived.repair(m) == m for m in changed)
    assert sum(m != start for m in changed) > 40
    shared = [len(set(m.items()) & set(start.items())) / len(start) for m in changed]
    assert min(shared) > 0.6


def test_random_recipes_lean_to_the_defaults():
    """Half of all switches at once would be an unlikely heap; the default of a slot is drawn most."""
    derived, rng = derive(PICTURES), random.Random(0)
    recipes = [derived.recipe(derived.sample(rng), 1) for _ in range(600)]
    assert sum(r.has("adamw") for r in recipes) > 200
    assert sum(r.has("rotation") for r in recipes) < 180
    assert {t for r in recipes for t in (c.id for c in r.techniques)} == set(derived.techniques), "but all are drawn"


def test_an_assignment_of_a_foreign_recipe_takes_defaults_for_what_the_space_lacks():
    derived = derive(forbid=("focal",))
    foreign = derive().recipe({**derive().default(), "slot:loss": "focal", "batch_size": 64}, 3)
    values = derived.assignment(foreign)
    assert values["slot:loss"] == "cross-entropy"
    assert values["batch_size"] == 64


@pytest.mark.parametrize("rows", [10, 60, 300, 5_000, 80_000, 3_000_000])
def test_batch_sizes_suit_the_rows(rows):
    sizes = space.batch_sizes(TABLE.changed(rows=rows))
    assert isinstance(sizes, Categorical)
    assert all(16 <= s <= max(16, rows) for s in sizes.values)
    assert sizes.default in sizes.values


def test_violations_of_a_recipe_are_all_named():
    derived = derive()
    recipe = derived.recipe(derived.default(), 1)
    techniques_ = [c for c in recipe.techniques if c.id not in ("he", "cross-entropy")]
    broken = recipe.changed(techniques=[
        *techniques_, Choice(id="sgd"), Choice(id="flip"), Choice(id="weight-decay"), Choice(id="nonsense"),
        Choice(id="dropout", params={"rate": 3.0, "depth": 1}),
    ], architecture=Choice(id="mlp", params={"width": 7}))
    found = {v.reason for v in compose.violations(broken, TABLE)}
    assert found == {
        "SLOT_TAKEN_TWICE", "SLOT_EMPTY", "NOT_APPLICABLE", "CONFLICT", "UNKNOWN_ID", "OUT_OF_RANGE", "UNKNOWN_PARAMETER",
    }
    with pytest.raises(InvalidInput):
        compose.plan_of(broken, TABLE)


# --- what only a user asks for, and parameters that are set --------------------------------------


def test_what_is_for_a_request_is_proposed_when_named_alone():
    assert "on request only (force or allow it): of two classes" in derive().excluded["binary-cross-entropy"]
    assert "binary-cross-entropy" in derive(force=("binary-cross-entropy",)).techniques
    assert "binary-cross-entropy" in derive(allow=("binary-cross-entropy",)).techniques


def test_a_parameter_that_is_set_has_one_value():
    derived = derive(
        force=("dropout",), parameters={"dropout.rate": "0.35", "mlp.width": "64", "mlp.residual": "true", "mlp.depth": "3"}
    )
    rng = random.Random(0)
    for values in (derived.default(), *(derived.sample(rng) for _ in range(30))):
        recipe = derived.recipe(values, 1)
        assert recipe.params_of("dropout") == {"rate": 0.35}
        if recipe.architecture.id == "mlp":
            held = recipe.architecture.params
            assert (held["width"], held["residual"], held["depth"]) == (64, True, 3)
            assert compose.violations(recipe, TABLE) == []
    mutated = derived.mutate(derived.default(), rng, changes=5)
    assert mutated["dropout.rate"] == 0.35


def test_a_text_stays_as_it_is_set():
    formula = "-y * log(p) + 0.1 * square(z)"
    derived = derive(force=("custom-loss",), parameters={"custom-loss.expression": formula})
    assert derived.recipe(derived.sample(random.Random(0)), 1).params_of("custom-loss") == {"expression": formula}
    assert dimension(derive(force=("custom-loss",)), "custom-loss.expression").domain.values == ("square(y - p)",)


@pytest.mark.parametrize(
    ("parameters", "reason", "words"),
    [
        ({"dropuot.rate": "0.3"}, "UNKNOWN_ID", "did you mean dropout"),
        ({"dropout": "0.3"}, "UNKNOWN_PARAMETER", "dropout has no such parameter; there are: rate"),
        ({"dropout.share": "0.3"}, "UNKNOWN_PARAMETER", "there are: rate"),
        ({"dropout.rate": "much"}, "OUT_OF_RANGE", "expected a number in"),
        ({"dropout.rate": "7"}, "OUT_OF_RANGE", "expected a number in"),
        ({"mlp.depth": "2.5"}, "OUT_OF_RANGE", "expected a whole number"),
        ({"mlp.residual": "True"}, "OUT_OF_RANGE", "expected one of {false, true}"),
        ({"custom-loss.expression": "y"}, "OUT_OF_RANGE", "lacks one of them"),
        ({"custom-loss.expression": "open(y) - p"}, "OUT_OF_RANGE", "unknown function 'open'"),
        ({"custom-loss.expression": "y - p"}, "NOT_APPLICABLE", "on request only"),
        ({"flip.probability": "0.5"}, "UNKNOWN_PARAMETER", "flip has no such parameter"),
    ],
)
def test_wrong_settings_are_named(parameters, reason, words):
    with pytest.raises(InvalidInput) as caught:
        derive(parameters=parameters)
    (found,) = caught.value.violations
    assert (found.reason, found.field) == (reason, f"search.parameters[{next(iter(parameters))}]")
    assert words in found.message


@pytest.mark.parametrize("family", [a.id for a in architectures])
def test_any_family_alone_leaves_a_space_without_the_parts_that_it_lacks(family):
    profile = next(p for p in (TABLE, PICTURES, TEXTS, SERIES) if architectures[family].reason_against(p) is None)
    derived = derive(profile, force=(family,))
    recipe = derived.recipe(derived.sample(random.Random(1)), 0)
    assert recipe.architecture.id == family
    assert compose.violations(recipe, profile) == []
    for id in derived.techniques:
        assert techniques[id].part is None or techniques[id].part in architectures[family].uses


def test_without_a_hidden_layer_nothing_is_spent_on_its_activation():
    profile = Profile(
        modality="text", task="text-classification", rows=5_000, classes=3, class_min=900, outputs=3, length=24,
        vocabulary=4_000, ngrams=9_000,
    )
    derived = space.derive(profile.task, profile, SearchSettings())
    shapes = [d for d in derived.dimensions if d.name in ("slot:activation", "slot:norm")]
    assert len(shapes) == 2
    for depth, acts in ((0, False), (1, True)):
        values = derived.complete({"architecture": "text-bag", "text-bag.depth": depth})
        assert [d.name in values for d in shapes] == [acts] * 2
        recipe = derived.recipe(values, 0)
        assert compose.violations(recipe, profile) == []
        assert any(techniques[choice.id].slot == "activation" for choice in recipe.techniques) is acts
        assert derived.assignment(recipe) == values
    # Of other families, which have hidden layers always, the condition says nothing.
    assert all(d.acts(derived.complete({"architecture": "tcn"})) for d in shapes)
