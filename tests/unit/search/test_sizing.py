"""Limits of size before training, for networks whose file is foreseen."""

from __future__ import annotations

import pytest

from automl.catalog import architectures, space
from automl.catalog.footprint import footprint
from automl.search import sizing
from automl.spec import Choice, Constraints, FormatRequest, Infeasible, Recipe, SearchSettings
from tests.unit.search.fakes import PICTURES

SPACE = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution"))
INT8 = (FormatRequest(format="tflite", precision="int8"),)
FLOAT = (FormatRequest(format="tflite", precision="float32"),)


def recipe(family: str, **params) -> Recipe:
    made = SPACE.recipe(SPACE.complete({"architecture": family}), 0)
    whole = {**made.architecture.params, **params}
    return made.model_copy(update={"architecture": Choice(id=family, params=whole)})


def file_bytes(made: Recipe) -> int:
    family = architectures[made.architecture.id]
    return footprint(family.blueprint(PICTURES, **made.architecture.params), PICTURES.outputs).int8_bytes


def sized(made: Recipe, limits: Constraints, formats=INT8) -> Recipe | None:
    limit = sizing.limit_parameters(limits, formats)
    return sizing.within(SPACE, made, limit, sizing.limit_file_bytes(limits, formats))


def test_a_file_of_many_small_operations_is_judged_by_its_bytes():
    """By its weights alone it would be let through, and refused when it is written."""
    wide = recipe("nas-darts", width=16, cells=3)
    limits = Constraints(max_size_bytes=60_000)
    assert sizing.parameters(wide, PICTURES) < sizing.limit_parameters(limits, INT8)
    assert file_bytes(wide) > 60_000
    found = sized(wide, limits)
    assert found is not None
    assert file_bytes(found) + sizing.COMPANION_BYTES <= 60_000
    assert found.architecture.params["genotype"] == wide.architecture.params["genotype"]


def test_what_fits_stays_as_it_is_and_what_never_can_is_named():
    small = recipe("nas-cell", width=8, cells=1)
    assert sized(small, Constraints(max_size_bytes=200_000)) is small
    assert sized(recipe("nas-darts", width=16, cells=8), Constraints(max_size_bytes=9_000)) is None
    with pytest.raises(Infeasible, match="no model of the space fits into 2500 bytes"):
        sizing.check_feasible(SPACE, Constraints(max_size_bytes=2_500), INT8)


def test_without_an_8_bit_file_weights_alone_count():
    wide = recipe("nas-darts", width=16, cells=3)
    assert sizing.limit_file_bytes(Constraints(max_size_bytes=60_000), FLOAT) is None
    assert sizing.limit_file_bytes(Constraints(max_parameters=10), INT8) is None
    enough = Constraints(max_size_bytes=sizing.OVERHEAD_BYTES + 4 * sizing.parameters(wide, PICTURES) + 4)
    assert sized(wide, enough, FLOAT) is wide


def test_heft_is_the_tighter_of_both_shares():
    made = recipe("nas-cell", width=16)
    weights, content = sizing.parameters(made, PICTURES), file_bytes(made)
    assert sizing.heft(made, PICTURES, 1_000, None) == weights
    assert sizing.heft(made, PICTURES, 1_000, content) == max(weights, 1_000)
    assert sizing.heft(made, PICTURES, 10 * weights, content // 2) >= 20 * weights
