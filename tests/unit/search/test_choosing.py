"""When the default strategy searches genotypes: for limits that hand-made families have no room in, and never else."""

from __future__ import annotations

import dataclasses

import pytest

from automl.catalog import space
from automl.catalog.domains import Categorical
from automl.catalog.space import Space
from automl.search import choosing
from automl.spec import Constraints, FormatRequest, SearchSettings
from tests.unit.search.fakes import PICTURES

HAND = space.derive(PICTURES.task, PICTURES, SearchSettings())
GENOTYPES = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution"))
INT8 = (FormatRequest(format="tflite", precision="int8"),)


def only(family: str) -> Space:
    """Hand-made families narrowed to one."""
    changed = [
        dataclasses.replace(d, domain=Categorical((family,), family)) if d.name == "architecture" else d
        for d in HAND.dimensions
    ]
    return dataclasses.replace(HAND, dimensions=tuple(changed))


@pytest.mark.parametrize("limits", [
    Constraints(), Constraints(max_size_bytes=100_000), Constraints(max_memory_bytes=2**20), Constraints(max_latency_ms=1.0),
    Constraints(max_parameters=20_000),
])
def test_ordinary_limits_change_nothing(limits):
    assert choosing.choose(HAND, GENOTYPES, limits, INT8).strategy == "auto"


def test_limits_that_only_genotypes_meet_are_searched_by_genotype():
    hand = only("vit")
    weights = Constraints(max_parameters=2_500)
    found = choosing.choose(hand, GENOTYPES, weights, INT8)
    assert found.strategy == "evolution"
    assert "drawn by hand, no model of the space fits" in found.reason


def test_memory_that_is_tight_is_searched_by_genotype():
    found = choosing.choose(HAND, GENOTYPES, Constraints(max_memory_bytes=30_000), INT8)
    assert found.strategy == "evolution"
    assert found.reason.startswith("30,000 bytes of memory")


def test_what_nothing_meets_stays_as_it_is():
    assert choosing.choose(HAND, GENOTYPES, Constraints(max_memory_bytes=10), INT8).strategy == "auto"
    assert choosing.choose(HAND, GENOTYPES, Constraints(max_parameters=1), INT8).strategy == "auto"


def test_without_genotypes_there_is_no_choice():
    assert choosing.choose(HAND, HAND, Constraints(max_memory_bytes=30_000), INT8).strategy == "auto"
    assert choosing.choose(HAND, None, Constraints(), INT8).strategy == "auto"
