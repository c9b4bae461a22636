"""The clock: predictions of speed, plans that fit, reserves."""

from __future__ import annotations

import dataclasses

import pytest

from automl.search.budget import Budget, Outlook, Speed, Speeds, planned, reserve_shares
from automl.spec import Fidelity, Measurement, Outcome, Recipe, Trial
from tests.unit.search.fakes import TABLE, VirtualClock, table_space

SPACE = table_space()
RECIPE = SPACE.recipe(SPACE.default() | {"epochs": 30}, 0)


def trial(recipe: Recipe, epoch_s: float, setup_s: float = 2.0, epochs: int = 4, fraction: float = 1.0) -> Trial:
    found = tuple(
        Measurement(
            epoch=n, train_loss=None, validation={}, score=0.5, elapsed_s=setup_s + n * epoch_s, step_s=n * epoch_s
        )
        for n in range(1, epochs + 1)
    )
    return Trial(
        id=recipe.identity[:8] + str(fraction), recipe=recipe, origin="x",
        fidelity=Fidelity(epochs=epochs, data_fraction=fraction), measurements=found, outcome=Outcome.COMPLETED,
        wall_s=setup_s + epochs * epoch_s + 1.0,
    )


def test_a_measured_recipe_is_predicted_as_it_was() -> None:
    speeds = Speeds(TABLE, 2_000)
    speeds.observe(trial(RECIPE, epoch_s=3.0))
    found = speeds.predict(RECIPE.model_copy(update={"epochs": 99, "seed": 3}))
    assert found.measured
    assert found.epoch_s == pytest.approx(3.0)
    assert found.setup_s == pytest.approx(3.0)


def test_a_sliver_is_scaled_to_all_rows() -> None:
    speeds = Speeds(TABLE, 3_000)
    speeds.observe(trial(RECIPE, epoch_s=2.0, fraction=0.1))
    # 1,000 rows and a thousand rows' worth of evaluation took 2 s: 10,000 and the same take 11 s.
    assert speeds.predict(RECIPE).epoch_s == pytest.approx(11.0)


def test_all_rows_say_more_than_a_sliver() -> None:
    speeds = Speeds(TABLE, 3_000)
    speeds.observe(trial(RECIPE, epoch_s=5.0))
    speeds.observe(trial(RECIPE, epoch_s=2.0, fraction=0.1))
    assert speeds.predict(RECIPE).epoch_s == pytest.approx(5.0)


def test_what_ran_on_several_slots_tells_of_one_and_of_as_many() -> None:
    speeds = Speeds(TABLE, 2_000)
    speeds.observe(trial(RECIPE, epoch_s=3.0).model_copy(update={"slots": 2}))
    assert speeds.predict(RECIPE, 2).epoch_s == pytest.approx(3.0)
    assert speeds.predict(RECIPE, 2).epoch_s < speeds.predict(RECIPE).epoch_s < 2 * 3.0
    assert speeds.predict(RECIPE, 2).setup_s == speeds.predict(RECIPE).setup_s


def test_after_a_restart_with_fewer_slots_the_latest_attempt_tells() -> None:
    """Four epochs on two slots, then on one, on which each takes twice as long."""
    before, after = trial(RECIPE, epoch_s=3.0), trial(RECIPE, epoch_s=6.0, setup_s=4.0, epochs=2)
    again = tuple(m.model_copy(update={"epoch": m.epoch + 4}) for m in after.measurements)
    for count in (1, 2):
        speeds = Speeds(TABLE, 2_000)
        both = before.model_copy(update={"outcome": None, "measurements": (*before.measurements, *again[:count])})
        speeds.observe(both)
        assert speeds.predict(RECIPE).epoch_s == pytest.approx(6.0)
        assert speeds.predict(RECIPE).setup_s == pytest.approx(5.0)


def test_what_must_not_be_late_counts_on_less_until_several_slots_were_tried() -> None:
    speeds = Speeds(TABLE, 2_000)
    speeds.observe(trial(RECIPE, epoch_s=3.0))
    assert speeds.predict(RECIPE, 2).epoch_s < speeds.predict(RECIPE, 2, surely=True).epoch_s < 3.0
    assert speeds.predict(RECIPE, 1, surely=True).epoch_s == pytest.approx(3.0)
    speeds.observe(trial(RECIPE, epoch_s=2.0).model_copy(update={"slots": 2, "id": "wide"}))
    assert speeds.predict(RECIPE, 2, surely=True) == speeds.predict(RECIPE, 2)


def test_a_wider_model_is_predicted_to_be_slower() -> None:
    speeds = Speeds(TABLE, 2_000)
    narrow = SPACE.recipe(SPACE.default() | {"architecture": "mlp", "mlp.width": 64}, 0)
    wide = SPACE.recipe(SPACE.default() | {"architecture": "mlp", "mlp.width": 512}, 0)
    speeds.observe(trial(narrow, epoch_s=1.0))
    assert speeds.predict(wide).epoch_s > 1.0


@pytest.mark.parametrize(("left_s", "epochs"), [(1000.0, 30), (100.0, 17), (60.0, 9), (20.0, None), (0.0, None)])
def test_a_plan_fills_what_is_left_and_its_schedule_completes(left_s: float, epochs: int | None) -> None:
    outlook = Outlook(left_s, 500.0, 2, 0, lambda recipe: Speed(5.0, 5.0, True))
    found = planned(RECIPE, Fidelity(epochs=30), outlook)
    if epochs is None:
        assert found is None
    else:
        assert found is not None
        assert (found[0].epochs, found[1].epochs) == (epochs, epochs)


def test_a_rung_is_not_cut_short() -> None:
    outlook = Outlook(30.0, 500.0, 2, 0, lambda recipe: Speed(5.0, 5.0, True))
    assert planned(RECIPE, Fidelity(epochs=10), outlook) is None


def test_a_guess_does_not_keep_a_trial_from_being_tried() -> None:
    outlook = Outlook(60.0, 60.0, 2, 0, lambda recipe: Speed(5.0, 10.0, False))
    assert planned(RECIPE, Fidelity(epochs=10), outlook) is not None


def test_the_reserve_is_kept_out_of_the_search() -> None:
    clock = VirtualClock()
    budget = Budget(clock, remaining_s=100.0, total_s=100.0)
    budget.reserve("deliver", 30.0)
    budget.reserve("final", 10.0)
    assert budget.search_remaining_s() == pytest.approx(58.0)
    assert budget.step_deadline("final") == pytest.approx(clock.now() + 68.0)
    clock.seconds += 50
    budget.reserve("final", 0.0)
    assert budget.search_remaining_s() == pytest.approx(18.0)


def test_a_short_budget_is_not_all_reserve() -> None:
    shares = reserve_shares(60.0, {"deliver": 50.0, "compress": 50.0})
    assert sum(shares.values()) == pytest.approx(30.0)
    assert reserve_shares(600.0, {"deliver": 50.0}) == {"deliver": 50.0}


def test_idle_machines_need_less_of_the_estimates() -> None:
    def busy(outside_s: float) -> float:
        speeds = Speeds(TABLE, 2_000)
        for n in range(4):
            ended = trial(RECIPE.model_copy(update={"seed": n}), epoch_s=1.0)
            speeds.observe(ended.model_copy(update={"id": f"t{n}", "wall_s": 4.0 + outside_s, "step_s": 4.0}))
        return speeds.busy(0.6)

    assert busy(0.5) == 0.3
    assert busy(2.0) == pytest.approx(0.48)
    assert busy(20.0) == 0.7
    assert Speeds(TABLE, 2_000).busy(0.6) == 0.6


def test_outlook_is_a_value() -> None:
    outlook = Outlook(10.0, 20.0, 2, 0, lambda recipe: Speed(1.0, 1.0, True))
    assert dataclasses.replace(outlook, remaining_s=5.0).fits(RECIPE, 3)
    assert not outlook.fits(RECIPE, 30)
