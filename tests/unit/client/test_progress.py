"""The fold of a job's events to what a watcher sees."""

from __future__ import annotations

from automl_client import converters, progress, types
from tests.unit.client import fake_server


def folded() -> tuple[progress.JobProgress, list[str]]:
    seen = progress.JobProgress()
    lines = [seen.apply(converters.event(event)) for event in fake_server.successful_events()]
    return seen, [line for line in lines if line]


def test_the_state_after_all_events():
    seen, _ = folded()
    assert seen.state is types.JobState.SUCCEEDED
    assert (seen.task, seen.task_inferred, seen.metric) == ("tabular-classification", True, "accuracy")
    assert seen.outcomes == {"COMPLETED": 1}
    assert (seen.best_trial, seen.best_value, seen.best_size_bytes) == ("t1", 0.91, 480)
    assert seen.refused == [types.Refused("tflite", "int8", "accuracy fell by 0.2")]
    assert [finding.check for finding in seen.findings] == ["imbalance"]
    assert seen.last == 10


def test_the_lines_tell_the_story():
    _, lines = folded()
    assert lines == [
        "The job runs.",
        "Preparing the data",
        "Task: tabular-classification (inferred from the data), metric accuracy. Rows: 70 train, 15 validation, 15 test."
        "\nWarning about the data: 9 of 10 are yes.",
        "Trial t1 (mlp, portfolio) completed, accuracy 0.9100",
        "Best so far is trial t1: accuracy 0.9100.",
        "Not returned, tflite:int8: accuracy fell by 0.2",
        "The job succeeded.",
    ]


def test_a_second_attempt_keeps_what_the_first_reached():
    seen, _ = folded()
    started = fake_server.controller_event(
        11,
        "trial-started",
        trial="t1",
        attempt=2,
        recipe=fake_server.RECIPE,
        fidelity={"epochs": 3},
        origin="portfolio",
        slot=0,
    )
    seen.apply(converters.event(started))
    assert seen.outcomes == {"RUNNING": 1}
    assert seen.leaders(5)[0].value == 0.91


def test_leaders_come_best_first_also_for_errors():
    seen = progress.JobProgress(metric="rmse")
    for place, rmse in enumerate((3.0, 1.0, 2.0), 1):
        for kind, payload in (
            ("trial-started", {"recipe": fake_server.RECIPE, "fidelity": {"epochs": 1}, "origin": "tpe", "slot": 0}),
            ("trial-measured", {"measurement": {"epoch": 1, "validation": {"rmse": rmse}, "score": -rmse}}),
        ):
            seen.apply(converters.event(fake_server.controller_event(place, kind, trial=f"t{place}", attempt=1, **payload)))
    assert [(trial.id, trial.value) for trial in seen.leaders(2)] == [("t2", 1.0), ("t3", 2.0)]


def test_a_lost_trial_says_why():
    seen = progress.JobProgress()
    for event in fake_server.successful_events()[:5]:
        seen.apply(converters.event(event))
    ended = fake_server.controller_event(
        6, "trial-ended", trial="t1", attempt=1, outcome="NAN", message="the loss became NaN", wall_s=1.0, step_s=0.5
    )
    assert "the loss became NaN" in seen.apply(converters.event(ended))


def test_events_of_trials_that_began_before_are_harmless():
    seen = progress.JobProgress(last=5)
    for event in fake_server.successful_events()[4:]:
        seen.apply(converters.event(event))
    assert seen.state is types.JobState.SUCCEEDED
