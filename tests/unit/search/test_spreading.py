"""Trainings on the cores of several slots, in whole jobs: where the clock is short, and for the final fit."""

from __future__ import annotations

from pathlib import Path

from automl.spec import Event, Modality, SearchSettings
from automl.spec.event import TrialStarted
from tests.unit.search.fakes import PICTURES, Meta, Theatre, World, fold, spec


def stage(tmp_path: Path, wall_s: float, settings: SearchSettings | None = None, **more) -> Theatre:
    search = settings or SearchSettings(strategy="auto")
    return Theatre(
        tmp_path, spec=spec(wall_s=wall_s, task="image-classification", search=search),
        meta=Meta(task="image-classification", modality=Modality.IMAGE, profile=PICTURES), seed=7,
        world=World(epoch_s=lambda work: 8.0), **more,
    )


def begun(events: list[Event]) -> list[TrialStarted]:
    return [e.payload for e in events if isinstance(e.payload, TrialStarted)]


def test_under_a_short_clock_one_training_has_all_slots(tmp_path: Path) -> None:
    theatre = stage(tmp_path, 200.0)
    state = fold(theatre.run())
    first = next(t for t in state.trials.values() if t.origin == "portfolio")
    assert first.slots == 2
    assert first.usable
    # While it ran nothing else did.
    works = {w.trial: w for executor in theatre.executors for w in executor.started}
    assert works[first.id].slots == 2


def test_parameters_of_a_family_drawn_by_hand_are_taken_by_the_default_strategy(tmp_path: Path) -> None:
    settings = SearchSettings(strategy="auto", parameters={"convnet.width": "16"})
    widths = {
        one.recipe.architecture.params["width"] for one in begun(stage(tmp_path, 200.0, settings).run())
        if one.recipe.architecture.id == "convnet"
    }
    assert widths == {16}


def test_where_there_is_time_trainings_run_side_by_side(tmp_path: Path) -> None:
    events = stage(tmp_path, 3600.0).run()
    assert {one.slots for one in begun(events) if one.origin == "portfolio"} == {1}


def test_trainings_of_a_search_of_genotypes_have_all_slots_one_after_the_other(tmp_path: Path) -> None:
    theatre = stage(tmp_path, 250.0, SearchSettings(strategy="evolution"))
    state = fold(theatre.run())
    own = [t for t in state.trials.values() if t.origin == "evolution"]
    last = max(own, key=lambda t: t.fidelity.epochs)
    assert {t.slots for t in own} == {2}
    assert last.fidelity.epochs == last.recipe.epochs
    assert last.usable
    assert len(own) > 1


def test_the_final_fit_has_all_slots(tmp_path: Path) -> None:
    last = [one for one in begun(stage(tmp_path, 3600.0, slots=3).run()) if one.origin == "final"]
    assert [one.slots for one in last] == [3]


def test_a_restarted_job_gives_a_training_its_slots_again(tmp_path: Path) -> None:
    theatre = stage(tmp_path, 200.0)
    killed = theatre.run(stop_after=next(n for n, e in enumerate(stage(tmp_path / "whole", 200.0).run()) if wide(e)) + 2)
    state = fold(killed)
    running = next(t for t in state.trials.values() if t.outcome is None)
    assert running.slots == 2
    events = theatre.run(past=killed)
    again = [one for one in begun(events) if one.trial == running.id]
    assert [(one.attempt, one.slots) for one in again] == [(1, 2), (2, 2)]


def wide(event: Event) -> bool:
    return isinstance(event.payload, TrialStarted) and event.payload.slots > 1
