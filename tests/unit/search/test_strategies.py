"""Every strategy that can be asked for is a technique of the catalogue, and the other way round."""

from __future__ import annotations

import pytest

from automl.catalog import space, techniques
from automl.search import strategies
from automl.spec import InvalidInput, SearchSettings
from tests.unit.search.fakes import TABLE


def test_the_catalogue_names_each_strategy_with_its_option() -> None:
    listed = {
        word.rstrip(",") for t in techniques if t.stage == "search" and "--strategy" in t.options
        for word in [t.options.split("--strategy ")[1].split()[0]]
    }
    assert listed == strategies.STRATEGIES.keys() - {"auto", "fixed"}


def test_a_strategy_is_no_part_of_a_recipe() -> None:
    assert not {t.id for t in techniques if t.stage == "search"} & set(
        space.derive("tabular-classification", TABLE, SearchSettings()).techniques
    )
    with pytest.raises(InvalidInput, match=r"hyperband.*--strategy hyperband"):
        space.derive("tabular-classification", TABLE, SearchSettings(force=("hyperband",)))
