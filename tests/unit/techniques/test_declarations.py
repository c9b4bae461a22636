"""What every declared technique, family and task owes its reader and the search, driven from the registries."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from automl.catalog import TrainPlan, architectures, compose, slots, tasks, techniques
from automl.spec import Choice, Profile, Recipe

TECHNIQUES = list(techniques)
ENTRIES = TECHNIQUES + list(architectures)
PARAMETERS = [(entry, name) for entry in ENTRIES for name in entry.params]
CHOSEN = [t for t in TECHNIQUES if t.searched]
"""Those that stand in recipes; of the others the service does some in every job, and settings of jobs turn on the rest."""
OF_RECIPES = [(entry, name) for entry, name in PARAMETERS if entry in CHOSEN or entry in list(architectures)]
FEW = Profile(modality="table", task="tabular-regression", rows=300, numeric=5)
PROFILES = {
    "table-classes": Profile(
        modality="table", task="tabular-classification", rows=4000, numeric=5, categorical=3, cardinality_max=30, classes=3,
        class_min=200, imbalance=8.0, outputs=3,
    ),
    "table-two-classes": Profile(
        modality="table", task="tabular-classification", rows=4000, numeric=5, classes=2, class_min=200, imbalance=8.0,
        outputs=2,
    ),
    "table-numbers": Profile(
        modality="table", task="tabular-regression", rows=4000, numeric=5, categorical=3, target_min=0.0
    ),
    "pictures": Profile(
        modality="image", task="image-classification", rows=4000, classes=4, class_min=200, imbalance=8.0, outputs=4,
        image_shape=(16, 16, 3),
    ),
    "texts": Profile(
        modality="text", task="text-classification", rows=4000, classes=4, class_min=200, imbalance=8.0, outputs=4,
        length=64, vocabulary=900, ngrams=2000,
    ),
    "series": Profile(
        modality="series", task="timeseries-classification", rows=400, classes=4, class_min=40, imbalance=2.0, outputs=4,
        length=60, channels=3,
    ),
}


def by_id(entry) -> str:
    return entry.id


@pytest.mark.parametrize("entry", ENTRIES, ids=by_id)
def test_an_essay_says_what_why_when_not_and_how(entry):
    assert len(entry.doc) > 300
    assert 10 < len(entry.summary) < 140
    assert not entry.summary.endswith(".")


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_a_techniques_essay_has_its_four_parts(technique):
    for part in ("What it changes:", "Why it may", "When it", "How:"):
        assert part in re.sub(r"\s+", " ", technique.doc), part


@pytest.mark.parametrize("entry", ENTRIES, ids=by_id)
def test_a_source_is_named(entry):
    assert re.search(r"\d{4}", entry.reference), "a paper, book or standard with its year or number"


@pytest.mark.parametrize("entry", ENTRIES + list(tasks), ids=by_id)
def test_ids_are_lower_case_words_with_hyphens(entry):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id)


@pytest.mark.parametrize("technique", CHOSEN, ids=by_id)
def test_apply_takes_exactly_the_declared_parameters(technique):
    taken = [p for p in inspect.signature(technique.apply).parameters if p != "plan"]
    assert taken == list(technique.params)


@pytest.mark.parametrize("family", list(architectures), ids=by_id)
def test_build_and_size_take_the_declared_parameters(family):
    sample = {name: domain.default for name, domain in family.params.items()}
    inspect.signature(family.build).bind({}, None, **sample)
    if family.size is not None:
        for profile in PROFILES.values():
            assert profile.modality not in family.modalities or family.size(profile, **sample) > 0


@pytest.mark.parametrize(("entry", "name"), PARAMETERS, ids=lambda v: v if isinstance(v, str) else v.id)
def test_defaults_lie_in_their_domain_and_bad_values_do_not(entry, name):
    domain = entry.params[name]
    assert domain.check(domain.default) is None
    assert domain.bad_values()
    for bad in domain.bad_values():
        assert domain.check(bad) is not None, bad


@pytest.mark.parametrize(("entry", "name"), OF_RECIPES, ids=lambda v: v if isinstance(v, str) else v.id)
def test_a_recipe_with_a_bad_value_is_refused_by_name(entry, name):
    is_family = entry in list(architectures)
    bad = Choice.model_construct(id=entry.id, params={name: entry.params[name].bad_values()[0]})
    family, chosen = (bad, ()) if is_family else (Choice(id="mlp"), (bad,))
    recipe = Recipe.model_construct(task="tabular-classification", architecture=family, techniques=chosen)
    found = [v for v in compose.violations(recipe) if v.reason == "OUT_OF_RANGE"]
    assert [v.field.endswith(f"{entry.id}.{name}") for v in found] == [True]


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_what_a_technique_names_exists(technique):
    known = {e.id for e in ENTRIES}
    assert set(technique.conflicts) | set(technique.requires) <= known
    assert technique.id not in technique.conflicts
    assert technique.stage in slots.STAGES
    assert technique.cost > 0


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_a_technique_changes_the_plan_and_leaves_the_old_one_alone(technique):
    defaults = {name: domain.default for name, domain in technique.params.items()}
    before = TrainPlan()
    after = technique.apply(before, **defaults)
    assert before == TrainPlan()
    assert after == technique.apply(before, **defaults), "the same again"
    # Only what is written explicitly as the plan's own default may leave it as it is.
    assert after != before or technique.id in {"cross-entropy", "residual"} or not technique.searched


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_every_component_that_a_technique_names_can_be_found(technique):
    import importlib

    plan = technique.apply(TrainPlan(), **{name: domain.default for name, domain in technique.params.items()})
    for value in vars(plan).values():
        for component in value if isinstance(value, tuple) else (value,):
            if hasattr(component, "factory"):
                module, _, name = component.factory.partition(":")
                assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_a_recipe_with_it_survives_json(technique):
    params = {name: domain.default for name, domain in technique.params.items()}
    recipe = Recipe(
        task="tabular-classification", architecture=Choice(id="mlp"), techniques=(Choice(id=technique.id, params=params),)
    )
    again = Recipe.from_dict(json.loads(recipe.canonical_json()))
    assert again == recipe
    assert again.identity == recipe.identity


@pytest.mark.parametrize("name", PROFILES)
def test_every_slot_that_must_be_filled_has_exactly_one_default(name):
    for slot in slots.SLOTS.values():
        members = compose.slot_members(slot.name, PROFILES[name])
        defaults = [t.id for t in members if t.is_default(PROFILES[name])]
        assert len(defaults) == 1 if members and not slot.optional else len(defaults) <= 1


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_id)
def test_every_technique_applies_to_some_data(technique):
    assert any(technique.reason_against(profile) is None for profile in (*PROFILES.values(), FEW))


def test_at_least_thirty_techniques_over_ten_stages():
    assert len(TECHNIQUES) >= 35
    assert {t.stage for t in TECHNIQUES} >= {
        "data", "init", "activation", "norm", "optimizer", "schedule", "gradient", "averaging", "regularizer", "loss",
    }
