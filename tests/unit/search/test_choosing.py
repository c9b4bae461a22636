"""When the default strategy searches genotypes: for limits that hand-made families have no room in, and never else."""

from __future__ import annotations

import dataclasses

import pytest

from automl.catalog import space
from automl.catalog.domains import Categorical
from automl.catalog.space import Space
from automl.search import choosing, sizing
from automl.search.budget import parameters
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


def by_weights(ms_each: dict[bool, float | None], asked: list[Space]):
    """A limit of 1 ms, foreseen as a network has weights: `ms_each` thousand, of genotypes (True) and of others."""
    def latency(space: Space) -> sizing.Limits:
        asked.append(space)

        def foreseen(recipe):
            each = ms_each["genotype" in recipe.architecture.params]
            return None if each is None else each * parameters(recipe, PICTURES) / 1000

        return sizing.Limits(latency_ms=1.0, foreseen_ms=foreseen)

    return latency


@pytest.mark.parametrize(("ms_each", "strategy", "reason"), [
    ({False: 0.001, True: 0.001}, "auto", "no limit asks for less"),
    ({False: 100.0, True: 0.001}, "evolution", "no architecture drawn by hand is foreseen to take at most 1 ms"),
    ({False: 100.0, True: 100.0}, "auto", "no limit asks for less"),
    # A device that isn't at hand: of families drawn by hand nothing is foreseen.
    ({False: None, True: 0.001}, "auto", "no limit asks for less"),
    ({False: None, True: 0.2}, "evolution", "1 ms are less than usual networks take on the device"),
])
def test_latency_that_only_genotypes_are_foreseen_to_meet_is_searched_by_genotype(ms_each, strategy, reason):
    asked: list[Space] = []
    limits = Constraints(max_latency_ms=1.0)
    found = choosing.choose(HAND, GENOTYPES, limits, INT8, by_weights(ms_each, asked))
    assert (found.strategy, found.reason.startswith(reason)) == (strategy, True)
    # What genotypes take is timed only where the answer turns on it.
    assert (GENOTYPES in asked) == (ms_each[False] != 0.001)


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
