"""Genotypes: texts and values, canonical forms, and their decisions as dimensions of a search."""

from __future__ import annotations

import itertools
import random

import pytest

from automl.architectures import nas_cell
from automl.catalog import architectures, domains, entries, formats, space
from automl.spec import Choice, InvalidInput, Profile, Recipe, SearchSettings
from automl.spec.genotype import Genotype

PICTURES = Profile(
    modality="image", task="image-classification", rows=5000, classes=5, class_min=900, outputs=5, image_shape=(32, 32, 3)
)
TABLE = Profile(
    modality="table", task="tabular-classification", rows=5000, numeric=5, categorical=2, cardinality_max=9,
    cardinalities=(9, 4), classes=2, class_min=1000, outputs=2,
)
SERIES = Profile(
    modality="series", task="timeseries-classification", rows=300, length=40, channels=2, classes=2, class_min=100,
    outputs=2,
)
TEXTS = Profile(
    modality="text", task="text-classification", rows=3000, length=60, vocabulary=900, classes=2, class_min=1000, outputs=2,
)
FAMILIES = [a.id for a in architectures if a.genotypes is not None]
DATA = {family: next(p for p in (PICTURES, TABLE, SERIES) if p.modality in architectures[family].modalities)
        for family in FAMILIES}


def derive(profile=PICTURES, **settings):
    return space.derive(profile.task, profile, SearchSettings(**settings))


def test_a_genotype_prints_parses_compares_and_hashes():
    cell = Genotype(space="nas-cell", choices=("conv3", "none", "skip"))
    assert str(cell) == "nas-cell:conv3.none.skip"
    assert Genotype.parse(str(cell)) == cell
    assert len({cell, Genotype.parse(str(cell))}) == 1
    assert cell.identity == Genotype.from_dict(cell.to_dict()).identity
    assert cell.identity != cell.changed(space="nas-darts").identity
    assert Genotype.of(Choice(id="nas-cell", params={"genotype": "conv3.none.skip", "width": 8})) == cell
    assert Genotype.of(Choice(id="convnet", params={"width": 8})) is None
    with pytest.raises(ValueError, match="expected a genotype"):
        Genotype.parse("conv3.none")


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_and_neighbours_are_canonical_and_canonical_forms_stay(family):
    domain, rng = architectures[family].genotypes, random.Random(0)
    value = domain.default
    for _ in range(200):
        drawn, neighbour = domain.sample(rng), domains.neighbour(domain, value, rng)
        assert domain.check(drawn) is None
        assert domain.check(neighbour) is None
        assert neighbour != value
        assert domain.text(tuple(neighbour.split("."))) == neighbour
        value = neighbour


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_no_genotype_is_refused_with_what_was_expected(family):
    domain = architectures[family].genotypes
    for bad in domain.bad_values():
        assert f"{len(domain.decisions)} decisions" in domain.check(bad)


def test_cells_with_dead_edges_are_written_as_the_living_rest():
    # The 2nd node is fed and read by nobody; the 3rd is read but not fed.
    assert nas_cell.living(("conv3", "none", "none", "skip", "none", "conv1")) == (
        "none", "none", "none", "skip", "none", "none"
    )
    # Nothing flows at all.
    assert nas_cell.living(("conv3",) + ("none",) * 5) == ("none", "none", "none", "skip", "none", "none")
    alive = ("none", "conv3", "none", "none", "none", "avg3")
    assert nas_cell.living(alive) == alive


def test_all_cells_are_counted_alive():
    """By another way: an edge lives when a walk of open edges from the input to the output passes it."""
    walks = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    for open_edges in itertools.product([False, True], repeat=6):
        choices = tuple("conv1" if o else "none" for o in open_edges)
        there = {e for e, o in zip(nas_cell.EDGES, open_edges) if o}
        alive = {e for walk in walks if set(walk) <= there for e in walk}
        expected = {e for e, c in zip(nas_cell.EDGES, nas_cell.living(choices)) if c != "none"}
        assert expected == (alive or {(0, 3)})


def test_evolution_searches_genotypes_and_the_others_families_drawn_by_hand():
    found = derive(strategy="evolution")
    families = next(d.domain.values for d in found.dimensions if d.name == "architecture")
    assert set(families) == {f for f in FAMILIES if "image" in architectures[f].modalities}
    assert found.by_genotype
    assert "searches genotypes" in found.excluded["convnet"]
    by_hand = derive()
    assert "strategy evolution" in by_hand.excluded["nas-cell"]
    assert not by_hand.by_genotype


@pytest.mark.parametrize(("profile", "family", "strong"), [
    (TABLE, "nas-mlp", "boosted-trees"), (SERIES, "nas-sequence", "rocket"), (TEXTS, "nas-sequence", "text-linear"),
])
def test_tables_texts_and_series_have_one_space_each_which_the_default_strategy_leaves_alone(profile, family, strong):
    for strategy in ("evolution", "rl-ppo", "rl-rainbow", "mcts-alphazero"):
        found = derive(profile, strategy=strategy)
        assert next(d for d in found.dimensions).domain.values == (family,)
        assert found.by_genotype
    for strategy in ("auto", "tpe", "asha"):
        by_hand = derive(profile, strategy=strategy)
        assert strong in next(d for d in by_hand.dimensions).domain.values
        assert "strategy evolution" in by_hand.excluded[family]
    with pytest.raises(InvalidInput, match="searches nas-cell, nas-darts"):
        derive(profile, strategy="darts")


def test_who_is_forced_or_allowed_is_searched_by_any_strategy():
    assert next(d for d in derive(force=("nas-cell",), strategy="tpe").dimensions).domain.values == ("nas-cell",)
    mixed = derive(allow=("nas-cell", "convnet"), strategy="evolution")
    assert next(d for d in mixed.dimensions).domain.values == ("convnet", "nas-cell")
    assert not mixed.by_genotype


@pytest.mark.parametrize("family", FAMILIES)
def test_each_decision_is_a_dimension_and_the_recipe_has_one_text(family):
    derived, rng = derive(DATA[family], force=(family,)), random.Random(1)
    decisions = architectures[family].genotypes.decisions
    names = [d.name for d in derived.dimensions if d.name.startswith(f"{family}.genotype/")]
    assert names == [f"{family}.genotype/{d.name}" for d in decisions]
    for _ in range(30):
        values = derived.sample(rng)
        recipe = derived.recipe(values, 3)
        assert architectures[family].genotypes.check(recipe.architecture.params["genotype"]) is None
        assert derived.assignment(recipe) == values
        assert Recipe.from_dict(recipe.to_dict()).identity == recipe.identity
        child = derived.recipe(derived.mutate(values, rng), 3)
        assert entries.architectures[family].size(DATA[family], **child.architecture.params) > 0


def test_a_genotype_that_the_user_sets_is_the_only_one():
    text = "conv3.none.none.skip.conv1.none"
    derived = derive(force=("nas-cell",), parameters={"nas-cell.genotype": text})
    for seed in range(5):
        assert derived.recipe(derived.sample(random.Random(seed)), 0).architecture.params["genotype"] == text
    with pytest.raises(InvalidInput, match="which is written"):
        derive(force=("nas-cell",), parameters={"nas-cell.genotype": "conv3.none.none.skip.none.none"})


@pytest.mark.parametrize(("profile", "asked", "gone", "stays"), [
    (TEXTS, {"tflite:int8", "saved-model"}, "gru", "lstm"), (SERIES, {"microcontroller:int8"}, "lstm", "gru"),
])
def test_options_that_a_format_refuses_are_left_out_where_it_is_asked_for(profile, asked, gone, stays):
    def options(wanted):
        found = space.derive(profile.task, profile, SearchSettings(strategy="evolution"), frozenset(wanted))
        names = {v for d in found.dimensions if d.name.startswith("nas-sequence.genotype/") for v in d.domain.values}
        return names, found

    narrow, derived = options(asked)
    assert gone not in narrow
    assert stays in narrow
    assert min(asked - {"saved-model"}) in derived.excluded[f"nas-sequence.genotype: {gone}"]
    assert {gone, stays} <= options({"tflite:float32"})[0]
    rng = random.Random(3)
    for _ in range(30):
        recipe = derived.recipe(derived.mutate(derived.sample(rng), rng), 1)
        assert gone not in recipe.architecture.params["genotype"].split(".")


@pytest.mark.parametrize("family", FAMILIES)
def test_no_default_is_refused_and_refused_options_are_options(family):
    genotypes = architectures[family].genotypes
    for refusal in genotypes.refusals:
        assert all(refusal.option in d.options and refusal.option != d.default for d in genotypes.decisions)
        assert refusal.formats <= {f"{f.id}:{p}" for f in formats for p in f.precisions}
