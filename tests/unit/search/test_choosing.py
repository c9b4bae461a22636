"""When the default strategy searches genotypes: for limits that hand-made families have no room in, and never else."""

from __future__ import annotations

import dataclasses

import pytest

from automl.catalog import space
from automl.catalog.domains import Categorical
from automl.catalog.space import Space
from automl.search import choosing, sizing
from automl.spec import Constraints, FormatRequest, Modality, Outcome, SearchSettings
from tests.unit.search.fakes import PICTURES, Meta, Theatre, World, fold, spec

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


def test_a_job_with_little_memory_says_what_it_chose_and_narrows_what_it_trains(tmp_path):
    stage = Theatre(
        tmp_path, spec=spec(
            wall_s=600.0, max_trials=3, task="image-classification", search=SearchSettings(),
            constraints=Constraints(max_memory_bytes=30_000),
        ),
        meta=Meta(task="image-classification", modality=Modality.IMAGE, profile=PICTURES), seed=7,
        world=World(epoch_s=lambda work: 2.0),
    )
    state = fold(stage.run())
    assert state.strategy.strategy == state.space.strategy == "evolution"
    assert state.finished.state == "SUCCEEDED"
    # The probe trains the default as narrow as the first trial: that isn't a trial of it.
    first = next(t for t in state.trials.values() if t.origin == "evolution")
    assert first.outcome != Outcome.OVERSIZE
    for trial in state.trials.values():
        if trial.outcome != Outcome.OVERSIZE:
            share = sizing.Limits(memory_bytes=30_000).share(trial.recipe, PICTURES)
            assert share is not None
            assert share <= 1
