"""When a running trial is stopped, and when it isn't."""

from __future__ import annotations

from automl.search.prune import hopeless, mistimed
from automl.spec import Fidelity, Measurement, Outcome, Trial
from tests.unit.search.fakes import table_space

SPACE = table_space()


def trial(id: str, scores: list[float], epochs: int = 10, done: bool = True) -> Trial:
    recipe = SPACE.recipe(SPACE.default(), 1).model_copy(update={"epochs": epochs})
    return Trial(
        id=id, recipe=recipe, fidelity=Fidelity(epochs=epochs), origin="x", score=max(scores),
        outcome=Outcome.COMPLETED if done else None, best_epoch=1,
        measurements=tuple(
            Measurement(epoch=n + 1, train_loss=None, validation={}, score=s, elapsed_s=n + 1.0, step_s=1.0)
            for n, s in enumerate(scores)
        ),
    )


RISING = [0.5, 0.6, 0.7, 0.75, 0.8, 0.82, 0.84, 0.85, 0.86, 0.87]
OTHERS = [trial(f"o{n}", [s + n / 100 for s in RISING]) for n in range(5)]


def test_what_lies_below_the_median_and_does_not_rise_is_stopped() -> None:
    reason = hopeless(trial("x", [0.4, 0.5, 0.51, 0.51, 0.51], done=False), OTHERS)
    assert reason is not None
    assert "50%" in reason


def test_a_good_one_goes_on() -> None:
    assert hopeless(trial("x", [s + 0.05 for s in RISING[:5]], done=False), OTHERS) is None


def test_nothing_is_stopped_early_or_without_peers() -> None:
    assert hopeless(trial("x", [0.1, 0.1], done=False), OTHERS) is None
    assert hopeless(trial("x", [0.1] * 5, done=False), OTHERS[:3]) is None


def test_a_slow_starter_whose_curve_still_rises_goes_on() -> None:
    assert hopeless(trial("x", [0.2, 0.3, 0.4, 0.5, 0.6], done=False), OTHERS) is None


def test_trials_of_other_lengths_are_compared_at_the_same_share_of_their_schedules() -> None:
    longer = [trial(f"l{n}", [s for s in RISING for _ in range(4)], epochs=40) for n in range(5)]
    # After 4 of 10 epochs 0.75 is what the others have after 16 of 40; after 4 of 40 they had 0.5.
    assert hopeless(trial("x", [0.5, 0.6, 0.7, 0.75], done=False), longer) is None
    assert hopeless(trial("x", [0.3, 0.5, 0.5, 0.5], done=False), longer) is not None


def test_failures_and_probes_are_no_peers() -> None:
    probes = [t.model_copy(update={"origin": "probe"}) for t in OTHERS]
    failed = [t.model_copy(update={"outcome": Outcome.NAN}) for t in OTHERS]
    assert hopeless(trial("x", [0.1] * 5, done=False), [*probes, *failed]) is None


def test_a_schedule_that_cannot_complete_is_seen_after_the_first_epoch() -> None:
    assert mistimed(trial("x", [0.3], epochs=30, done=False), epoch_s=10.0, available_s=100.0)
    assert not mistimed(trial("x", [0.3], epochs=12, done=False), epoch_s=10.0, available_s=100.0)
    assert not mistimed(trial("x", [0.3] * 6, epochs=30, done=False), epoch_s=10.0, available_s=100.0)
