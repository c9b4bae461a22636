"""The recipes that searches begin with."""

from __future__ import annotations

import pytest

from automl.catalog import entries
from automl.catalog import space as spaces
from automl.catalog.compose import violations
from automl.catalog.domains import Categorical, Float, Int
from automl.search import portfolio
from automl.spec import Profile, SearchSettings
from tests.unit.search.fakes import NUMBERS, PICTURES, TABLE

PROFILES = [TABLE, NUMBERS, PICTURES]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.task)
def test_every_start_can_be_built(profile: Profile) -> None:
    space = spaces.derive(profile.task, profile, SearchSettings())
    found = portfolio.starts(space, 1)
    assert len(found) >= 4
    for start in found:
        assert not violations(start.recipe, profile), start.name
        assert space.recipe(space.assignment(start.recipe), start.recipe.seed) == start.recipe
    assert len({s.recipe.identity for s in found}) == len(found)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.task)
def test_the_starts_keep_to_what_the_user_forbids(profile: Profile) -> None:
    settings = SearchSettings(forbid=("adamw", "dropout", "label-smoothing"))
    for start in portfolio.starts(spaces.derive(profile.task, profile, settings), 1):
        assert not {"adamw", "dropout", "label-smoothing"} & {c.id for c in start.recipe.techniques}


@pytest.mark.parametrize("name", sorted(portfolio.PORTFOLIOS))
def test_entries_name_what_is_there(name: str) -> None:
    """A misspelt id or parameter would be dropped in silence when the entry is adapted."""
    for entry in portfolio.PORTFOLIOS[name]:
        family = entries.architectures[entry.architecture]
        for key, value in entry.params.items():
            assert family.params[key].check(value) is None, (entry.name, key)
        for id, params in entry.techniques.items():
            for key, value in params.items():
                assert entries.techniques[id].params[key].check(value) is None, (entry.name, id, key)
    ranks = [entry.short_clock for entry in portfolio.PORTFOLIOS[name]]
    assert len(set(ranks)) == len(ranks)


def test_mirrors_are_for_coloured_pictures() -> None:
    def flipped(profile: Profile) -> bool:
        starts = portfolio.starts(spaces.derive(profile.task, profile, SearchSettings()), 1)
        return starts[0].recipe.has("flip")

    assert flipped(PICTURES)
    assert not flipped(PICTURES.changed(image_shape=(28, 28, 1)))


@pytest.mark.parametrize(("rows", "batch"), [(1_000, 32), (4_999, 32), (5_000, 64), (24_999, 64), (25_000, 128)])
def test_few_pictures_come_in_small_batches(rows: int, batch: int) -> None:
    profile = PICTURES.model_copy(update={"rows": rows, "class_min": rows // 10})
    space = spaces.derive(profile.task, profile, SearchSettings())
    named = [start for start in portfolio.starts(space, 0) if start.name != portfolio.DEFAULT]
    assert {start.recipe.batch_size for start in named} == {batch}


def test_values_move_to_the_nearest_that_is_allowed() -> None:
    assert portfolio.moved(Float(0.0, 0.3, 0.1), 0.5) == 0.3
    assert portfolio.moved(Int(2, 10, 4, step=2), 7.2) in (6, 8)
    assert portfolio.moved(Categorical((16, 32, 64), 16), 40) == 32
    assert portfolio.moved(Categorical(("a", "b"), "a"), "c") == "a"
