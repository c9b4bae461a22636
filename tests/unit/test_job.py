"""The controller on a virtual clock: budget, restarts, commands, every outcome."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl import job as controller
from automl.search.control import Control
from automl.spec import Constraints, Event, InvalidData, Outcome, Recipe, SearchSettings, Trial
from automl.spec.event import DataPrepared, JobFinished, Noted, SpaceDerived, TrialEnded, TrialStarted
from automl.training.result import TrainResult
from tests.unit.search.fakes import Theatre, World, fold, spec, table_space


def ended(events: list[Event]) -> Counter[str]:
    return Counter(e.payload.trial for e in events if isinstance(e.payload, TrialEnded))


def last(events: list[Event]) -> JobFinished:
    assert isinstance(events[-1].payload, JobFinished)
    return events[-1].payload


def test_a_job_runs_to_its_end_and_says_each_step(tmp_path: Path) -> None:
    stage = Theatre(tmp_path)
    events = stage.run()
    state = fold(events)
    assert stage.code == 0
    assert last(events).state == "SUCCEEDED"
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    kinds = {type(e.payload) for e in events}
    assert {DataPrepared, SpaceDerived, TrialStarted, JobFinished} <= kinds
    assert state.best is not None
    assert last(events).test == 0.88
    assert last(events).goodput is not None
    assert last(events).goodput > 0.5
    assert (tmp_path / "report.html").read_text() == "<html></html>"
    assert (tmp_path / "recipe.json").is_file()
    assert stage.executor.closed


@pytest.mark.parametrize("wall_s", [40.0, 90.0, 300.0, 1200.0])
@pytest.mark.parametrize("strategy", ["auto", "random", "asha"])
def test_the_budget_is_kept_and_used(tmp_path: Path, wall_s: float, strategy: str) -> None:
    stage = Theatre(
        tmp_path, spec=spec(wall_s=wall_s, search=SearchSettings(strategy=strategy), max_trials=24),
        world=World(epoch_s=lambda work: 0.4),
    )
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    assert last(events).wall_s <= wall_s


def test_slow_epochs_are_planned_for(tmp_path: Path) -> None:
    """A minute an epoch, ten minutes: few trainings, whose schedules complete."""
    stage = Theatre(
        tmp_path, spec=spec(wall_s=600.0, search=SearchSettings(strategy="auto")),
        world=World(epoch_s=lambda work: 60.0, setup_s=5.0),
    )
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    assert last(events).wall_s <= 600
    full = [t for t in fold(events).trials.values() if t.origin == "portfolio" and t.outcome == Outcome.COMPLETED]
    assert full, "no training was carried to the end of its schedule"
    assert all(t.measurements[-1].epoch == t.recipe.epochs for t in full)
    assert all(t.recipe.epochs >= 4 for t in full)


def test_the_first_usable_model_comes_early(tmp_path: Path) -> None:
    stage = Theatre(
        tmp_path, spec=spec(wall_s=200.0, search=SearchSettings(strategy="auto")), world=World(epoch_s=lambda work: 0.3)
    )
    events = stage.run()
    first = next(e for e in events if e.payload.kind == "best-changed")
    assert first.time - events[0].time <= 20.0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("strategy", [
    "auto", "asha",
    *(pytest.param(n, marks=pytest.mark.slow) for n in ("random", "hyperband", "rl-ppo", "rl-rainbow", "mcts-alphazero")),
])
def test_killed_anywhere_it_goes_on_without_losing_or_doubling_a_trial(
    tmp_path_factory: pytest.TempPathFactory, strategy: str, data: st.DataObject
) -> None:
    stage = Theatre(
        tmp_path_factory.mktemp("job"),
        spec=spec(wall_s=60.0, search=SearchSettings(strategy=strategy), max_trials=8),
        world=World(epoch_s=lambda work: 0.6, fails=lambda work: Outcome.NAN if work.trial == "t0003" else None),
    )
    events: list[Event] = []
    for _ in range(data.draw(st.integers(1, 3))):
        before = ended(events)
        events = stage.run(events, stop_after=data.draw(st.integers(0, 60)))
        assert before <= ended(events)
        if stage.code != -9:
            break
    events = stage.run(events)
    assert stage.code == 0
    assert last(events).state == "SUCCEEDED"
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    assert max(ended(events).values()) == 1
    state = fold(events)
    assert all(t.outcome is not None for t in state.trials.values())
    searched = [t for t in state.trials.values() if t.origin not in ("probe", "final")]
    assert len(searched) <= 8


def at(seconds: float, command: dict[str, object]):  # type: ignore[no-untyped-def]
    done: list[bool] = []

    def act(now: float, control: Control) -> None:
        if not done and now - 1_000.0 >= seconds:
            done.append(True)
            control.take(command)

    return act


def test_cancel_ends_everything_at_once(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, on_time=at(30.0, {"command": "cancel"}))
    events = stage.run()
    assert last(events).state == "CANCELLED"
    assert last(events).wall_s < 32
    assert all(t.outcome is not None for t in fold(events).trials.values())
    assert stage.executor.closed


def test_finish_delivers_the_best_so_far(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, on_time=at(30.0, {"command": "finish"}))
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    assert last(events).wall_s < 60
    assert fold(events).artifacts


def test_cancel_during_a_long_step(tmp_path: Path) -> None:
    stage = Theatre(tmp_path)

    def cancel(event: Event, control: Control) -> None:
        if event.payload.kind == "phase-started" and event.payload.phase == "VERIFYING":
            control.take({"command": "cancel"})

    stage.on_event = cancel
    assert last(stage.run()).state == "CANCELLED"


def test_slots_may_change(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, slots=1, on_time=at(20.0, {"command": "slots", "slots": 3}))
    stage.run()
    assert stage.executor.most_at_once == 3


def test_no_slots_for_a_while(tmp_path: Path) -> None:
    commands = [at(20.0, {"command": "slots", "slots": 0}), at(24.0, {"command": "slots", "slots": 2})]

    def act(now: float, control: Control) -> None:
        for command in commands:
            command(now, control)

    stage = Theatre(tmp_path, on_time=act)
    assert last(stage.run()).state == "SUCCEEDED"


@pytest.mark.parametrize("outcome", [Outcome.NAN, Outcome.ERROR, Outcome.TIMED_OUT, Outcome.UNCONVERTIBLE])
def test_a_failed_trial_is_classified_and_the_search_goes_on(tmp_path: Path, outcome: Outcome) -> None:
    stage = Theatre(tmp_path, world=World(fails=lambda work: outcome if work.trial in ("t0002", "t0004") else None))
    events = stage.run()
    state = fold(events)
    assert state.trials["t0002"].outcome == outcome
    assert state.trials["t0002"].message == f"planted {outcome}"
    assert last(events).state == "SUCCEEDED"
    assert state.best is not None
    assert state.best.trial not in ("t0002", "t0004")


def test_a_lost_worker_is_replaced_twice(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, world=World(fails=lambda work: Outcome.LOST if work.trial == "t0002" else None))
    state = fold(stage.run())
    assert state.trials["t0002"].outcome == Outcome.LOST
    assert [w.attempt for w in stage.executor.started if w.trial == "t0002"] == [1, 2, 3]


def test_a_worker_lost_once_costs_nothing_but_time(tmp_path: Path) -> None:
    fails = lambda work: Outcome.LOST if work.trial == "t0002" and work.attempt == 1 else None
    state = fold(Theatre(tmp_path, world=World(fails=fails)).run())
    assert state.trials["t0002"].outcome == Outcome.COMPLETED
    assert state.trials["t0002"].attempt == 2


def test_a_worker_lost_after_slots_were_taken_away_waits_for_one(tmp_path: Path) -> None:
    stage = Theatre(
        tmp_path, on_time=at(1.4, {"command": "slots", "slots": 1}), world=World(
            epoch_s=lambda work: 3.0 if work.trial == "t0001" else 0.5,
            fails=lambda work: Outcome.LOST if work.trial == "t0002" and work.attempt == 1 else None,
        ),
    )
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    state = fold(events)
    assert (state.trials["t0002"].outcome, state.trials["t0002"].attempt) == (Outcome.COMPLETED, 2)
    ended = next(n for n, e in enumerate(events) if e.payload.kind == "trial-ended" and e.payload.trial == "t0001")
    again = next(n for n, e in enumerate(events) if e.payload.kind == "trial-started" and e.payload.attempt == 2)
    assert ended < again


def test_out_of_memory_is_tried_once_more_with_half_the_batch(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, world=World(fails=lambda work: Outcome.OOM if work.trial == "t0002" else None))
    state = fold(stage.run())
    assert state.trials["t0002"].outcome == Outcome.OOM
    assert [w.batch_scale for w in stage.executor.started if w.trial == "t0002"] == [1.0, 0.5]


def test_nothing_usable_is_a_failure_that_says_what_was_lost(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(max_trials=4), world=World(fails=lambda work: Outcome.NAN))
    finished = last(stage.run())
    assert finished.state == "FAILED"
    assert finished.reason == "NO_USABLE_TRIAL"
    assert "4 NAN" in finished.message
    assert "learning rate" in finished.message


def test_a_model_that_turns_out_too_large_is_not_delivered(tmp_path: Path) -> None:
    stage = Theatre(
        tmp_path, spec=spec(constraints=Constraints(max_parameters=60_000), max_trials=6),
        world=World(parameters=lambda recipe: 70_000),
    )
    events = stage.run()
    assert last(events).reason == "NO_USABLE_TRIAL"
    assert {t.outcome for t in fold(events).trials.values()} == {Outcome.OVERSIZE}


def test_an_impossible_limit_is_answered_before_training(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(constraints=Constraints(max_parameters=3)))
    events = stage.run()
    assert last(events).reason == "INFEASIBLE"
    assert not fold(events).trials
    assert "smallest has about" in last(events).message


def test_architectures_shrink_to_the_limit(tmp_path: Path) -> None:
    from automl.search.budget import parameters
    from tests.unit.search.fakes import TABLE

    stage = Theatre(
        tmp_path, spec=spec(constraints=Constraints(max_parameters=6_000), max_trials=8),
        world=World(parameters=lambda recipe: 5_000),
    )
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    sizes = [parameters(t.recipe, TABLE) for t in fold(events).trials.values()]
    assert all(size is not None and size <= 6_000 for size in sizes)


def test_a_family_whose_networks_turn_out_heavier_becomes_smaller(tmp_path: Path) -> None:
    from automl.search.budget import parameters
    from tests.unit.search.fakes import TABLE

    stage = Theatre(
        tmp_path, spec=spec(constraints=Constraints(max_parameters=6_000), max_trials=12),
        world=World(parameters=lambda recipe: int(1.1 * (parameters(recipe, TABLE) or 0))),
    )
    events = stage.run()
    assert last(events).state == "SUCCEEDED"
    trials = [t for t in fold(events).trials.values() if t.parameters is not None]
    refused = {t.recipe.architecture.id: t.id for t in reversed(trials) if t.outcome == Outcome.OVERSIZE}
    assert refused
    later = [t for t in trials if t.recipe.architecture.id in refused and t.id > refused[t.recipe.architecture.id]]
    assert later
    assert all(t.outcome != Outcome.OVERSIZE for t in later)


def test_unusable_data_fail_with_the_place_and_the_reason(tmp_path: Path) -> None:
    def broken() -> None:
        raise InvalidData.at("d.csv, row 7", "expected 3 cells, got 2", reason="RAGGED_ROW")

    finished = last(Theatre(tmp_path, prepare=broken).run())
    assert (finished.state, finished.reason) == ("FAILED", "RAGGED_ROW")
    assert "row 7" in finished.message


def test_a_defect_of_ours_hides_its_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    finished = last(Theatre(tmp_path, prepare=broken).run())
    assert (finished.state, finished.reason) == ("FAILED", "INTERNAL")
    assert "secret" not in finished.message
    assert "ZeroDivisionError" in caplog.text
    id = finished.message.split("log is ")[1].split(";")[0]
    assert id in caplog.text


def test_the_selection_says_how_many_were_compared(tmp_path: Path) -> None:
    alone = SearchSettings(strategy="random", forbid=("bagging",))
    events = Theatre(tmp_path, spec=spec(wall_s=600.0, max_trials=10, search=alone)).run()
    notes = [e.payload.message for e in events if isinstance(e.payload, Noted)]
    assert any("candidates were compared" in note for note in notes)
    assert any("trained anew on training and validation rows" in note for note in notes)


def test_the_last_event_is_said_once(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(max_trials=3))
    events = stage.run()
    assert stage.run(events) == events


def test_fixed_runs_the_given_recipe_and_no_other(tmp_path: Path) -> None:
    space = table_space()
    recipe = space.recipe(space.default(), 77)
    stage = Theatre(tmp_path, spec=spec(search=SearchSettings(strategy="fixed", recipes=(recipe,))))
    events = stage.run()
    assert [t.recipe for t in fold(events).trials.values()] == [recipe]
    assert last(events).recipe == recipe


# --- where no file of the chosen model can be delivered -----------------------------------------------------------------


def many(recipe: Recipe) -> int:
    """Weights that tell the trials' recipes from each other."""
    return 10_000 + int(recipe.identity[:4], 16)


def test_where_the_ensembles_files_are_too_large_the_winner_is_delivered_alone(tmp_path: Path) -> None:
    limits = Constraints(max_size_bytes=10_000_000)
    events = Theatre(
        tmp_path, spec=spec(wall_s=300.0, max_trials=6, constraints=limits),
        refuses=lambda recipe, result: "too large" if recipe.members else "",
    ).run()
    state = fold(events)
    assert last(events).state == "SUCCEEDED"
    assert state.ensemble is not None
    recipe = last(events).recipe
    assert recipe is not None
    assert not recipe.members
    assert state.artifacts
    assert not state.refused  # which it was, of the ensemble
    assert sum("tried in its place" in note.message for note in state.notes) == 1
    # What it scored in the search is what is said of it.
    best = max(t.score or 0.0 for t in state.trials.values() if t.origin != "final")
    assert last(events).validation == pytest.approx(best)


def test_others_are_tried_by_their_scores_and_the_last_is_the_smallest(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def refuses(recipe: Recipe, result: TrainResult) -> str:
        asked.append((recipe.architecture.id, result.parameters))
        return "too large"

    events = Theatre(
        tmp_path, spec=spec(wall_s=600.0, max_trials=20, search=SearchSettings(strategy="random", forbid=("bagging",))),
        world=World(parameters=many), refuses=refuses,
    ).run()
    assert (last(events).state, last(events).reason) == ("FAILED", "NO_ARTIFACT")
    known = {t.parameters: t.score for t in fold(events).trials.values() if t.usable and t.origin != "final"}
    assert 2 < len(asked) <= controller.INSTEAD + 1
    for n, (family, weights) in enumerate(asked[1:], 1):
        assert all(weights < before for other, before in asked[:n] if other == family)
    scores = [known[weights] for _, weights in asked[1:-1]]
    assert scores == sorted(scores, reverse=True)
    assert asked[-1][1] == min(known)
    assert len(fold(events).refused) == 1


def test_a_recipe_that_the_user_gave_has_no_substitute(tmp_path: Path) -> None:
    space = table_space()
    search = SearchSettings(strategy="fixed", recipes=(space.recipe(space.default(), 77),))
    events = Theatre(tmp_path, spec=spec(search=search), refuses=lambda recipe, result: "too large").run()
    assert last(events).reason == "NO_ARTIFACT"
    assert not any("in its place" in note.message for note in fold(events).notes)


def test_without_time_nothing_else_is_tried(tmp_path: Path) -> None:
    asked: list[str] = []

    def refuses(recipe: Recipe, result: TrainResult) -> str:
        asked.append(recipe.identity)
        return "too large"

    stage = Theatre(tmp_path, spec=spec(wall_s=60.0), refuses=refuses, deliver_s=60.0)
    assert last(stage.run()).state == "FAILED"
    assert len(asked) == 1


def test_the_smallest_is_tried_even_where_that_ends_a_little_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(folder: str) -> tuple[list[int], list[Event]]:
        asked: list[int] = []

        def refuses(recipe: Recipe, result: TrainResult) -> str:
            asked.append(result.parameters)
            return "too slow"

        stage = Theatre(
            tmp_path / folder, spec=spec(wall_s=60.0), world=World(parameters=many), refuses=refuses, deliver_s=35.0
        )
        return asked, stage.run()

    asked, events = tried("late")
    known = [t.parameters for t in fold(events).trials.values() if t.usable and t.origin != "final"]
    assert asked[1:] == [min(known)]
    assert last(events).wall_s < 1.1 * 60
    monkeypatch.setattr(controller, "LATE_TRY", 0.0)
    assert len(tried("in-time")[0]) == 1


# --- the ensemble at the end -----------------------------------------------------------------------------


def finals(events: list[Event]) -> list[Trial]:
    return [t for t in fold(events).trials.values() if t.origin == "final"]


def test_the_final_fit_is_an_ensemble_over_folds(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(wall_s=300.0, max_trials=10))
    events = stage.run()
    members = finals(events)
    assert 2 <= len(members) <= 8
    assert len({m.recipe.fold for m in members}) == len({m.recipe.seed for m in members}) == len(members)
    assert {w.part for w in stage.executor.started if w.trial in {m.id for m in members}} == {m.recipe.part for m in members}
    delivered = last(events).recipe
    assert delivered is not None
    assert delivered.single == tuple(m.recipe for m in members)
    assert last(events).wall_s <= 300
    assert stage.executor.most_at_once == 2


def test_a_killed_ensemble_goes_on_with_the_members_that_are_left(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(wall_s=300.0, max_trials=10))
    whole = stage.run()
    planned = next(n for n, e in enumerate(whole) if e.payload.kind == "ensemble-planned")
    for place in range(planned + 1, len(whole), 7):
        again = Theatre(tmp_path, spec=stage.spec, clock=stage.clock, deadline=stage.deadline)
        events = again.run(whole[:place])
        assert last(events).state == "SUCCEEDED"
        assert fold(events).ensemble == fold(whole).ensemble
        counts = Counter(t.recipe.identity for t in finals(events))
        assert set(counts.values()) == {1}


def test_an_ensemble_can_be_trained_again_from_its_recipe(tmp_path: Path) -> None:
    first = last(Theatre(tmp_path / "a", spec=spec(wall_s=300.0, max_trials=6)).run())
    assert first.recipe is not None
    assert first.recipe.members
    again = SearchSettings(strategy="fixed", recipes=(first.recipe,))
    events = Theatre(tmp_path / "b", spec=spec(wall_s=300.0, search=again)).run()
    assert last(events).state == "SUCCEEDED"
    assert last(events).recipe == first.recipe
    assert [t.recipe for t in fold(events).trials.values()] == list(first.recipe.single)


@pytest.mark.parametrize(
    "changes",
    [
        {"search": SearchSettings(strategy="random", forbid=("bagging",))},
        {"search": SearchSettings(strategy="random", allow=("mlp", "adamw"))},
        {"constraints": Constraints(max_latency_ms=1.0)},
        {"constraints": Constraints(max_parameters=60_000)},
    ],
)
def test_one_network_is_delivered_where_more_are_not_wanted_or_too_large(tmp_path: Path, changes: dict[str, object]) -> None:
    events = Theatre(tmp_path, spec=spec(wall_s=300.0, max_trials=6, **changes)).run()
    recipe = last(events).recipe
    assert recipe is not None
    assert not recipe.members


def test_a_limit_of_size_holds_for_all_members_together(tmp_path: Path) -> None:
    stage = Theatre(tmp_path, spec=spec(wall_s=300.0, max_trials=6, constraints=Constraints(max_parameters=200_000)))
    recipe = last(stage.run()).recipe
    assert recipe is not None
    assert len(recipe.single) == 3  # of 50,000 parameters each, within 0.8 of the limit


@pytest.mark.parametrize("changes", [{"blend_fails": True}, {"blend_gain": -1.0}])
def test_the_winner_is_delivered_when_the_ensemble_fails_or_is_worse(tmp_path: Path, changes: dict[str, object]) -> None:
    events = Theatre(tmp_path, spec=spec(wall_s=300.0, max_trials=6), **changes).run()
    assert last(events).state == "SUCCEEDED"
    recipe = last(events).recipe
    assert recipe is not None
    assert not recipe.members
    assert any(e.payload.severity == "warning" for e in events if isinstance(e.payload, Noted))


def test_a_family_that_cannot_be_given_in_a_format_is_left_out_from_the_start(tmp_path: Path) -> None:
    """Also after a restart, when nothing is tried again; what no family can be given in is said at once."""
    wish = spec(search=SearchSettings(strategy="random"), max_trials=6)
    answers = {"mlp": {"tflite:float32": "the converter crashed"}, "tabm": {"tflite:float32": ""}}
    stage = Theatre(tmp_path, spec=wish, conversions=answers)
    events = stage.run(stop_after=12)
    [space] = [e.payload for e in events if isinstance(e.payload, SpaceDerived)]
    assert space.excluded["mlp"] == "can't be given as tflite:float32: the converter crashed"
    stage.conversions = {}
    events = stage.run(events)
    started = [e.payload for e in events if isinstance(e.payload, TrialStarted)]
    assert started
    assert all(trial.recipe.architecture.id != "mlp" for trial in started)


def test_what_no_family_can_be_given_in_is_said_before_the_search(tmp_path: Path) -> None:
    answers = {"mlp": {"tflite:float32": "no such kernel"}, "tabm": {"tflite:float32": "no such kernel"}}
    events = Theatre(tmp_path, conversions=answers).run()
    notes = [e.payload.message for e in events if isinstance(e.payload, Noted)]
    assert "tflite:float32 won't be delivered: no such kernel." in notes
    assert last(events).state == "SUCCEEDED"
