"""Schedules fitted to the clock: positions never jump or fall, and the end comes with the last epoch."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.training.pacing import Pace

STEPS = 10


def trained(pace: Pace, epoch_s: list[float], most: int) -> tuple[list[int], float, int]:
    """The schedule's position at each step, the time at the end, and the epochs."""
    positions, now = [], 0.0
    pace.begin(0, 0, now)
    for epoch in range(1, most + 1):
        positions += [pace.position(epoch, done) for done in range(STEPS)]
        now += epoch_s[epoch - 1]
        pace.after(epoch, now)
        if epoch >= pace.epochs:
            break
    return positions, now, epoch


def test_as_foreseen_each_step_is_the_recipes_own() -> None:
    positions, _, epochs = trained(Pace(100.0, math.inf, 12, STEPS), [5.0] * 12, 12)
    assert epochs == 12
    assert positions == list(range(12 * STEPS))


@pytest.mark.parametrize(("epoch_s", "epochs"), [(5.0, 20), (10.0, 10), (30.0, 3), (200.0, 2)])
def test_slower_epochs_are_fewer_and_the_schedule_ends_all_the_same(epoch_s: float, epochs: int) -> None:
    pace = Pace(100.0, math.inf, 20, STEPS)
    positions, now, done = trained(pace, [epoch_s] * 20, 20)
    assert done == epochs
    assert pace.done == 20 * STEPS
    assert now <= max(100.0, 2 * epoch_s)
    assert positions[-1] > 0.85 * 20 * STEPS


def test_a_machine_that_recovers_gives_its_epochs_back() -> None:
    slow, recovered = ([15.0] * 2 + [later] * 18 for later in (15.0, 6.0))
    assert trained(Pace(120.0, math.inf, 20, STEPS), slow, 20)[2] == 8
    assert trained(Pace(120.0, math.inf, 20, STEPS), recovered, 20)[2] == 17


def test_where_another_epoch_would_be_lost_it_isnt_begun() -> None:
    assert trained(Pace(10.0, 25.0, 20, STEPS), [20.0] * 20, 20)[2] == 1


@given(
    st.lists(st.floats(0.5, 30.0), min_size=30, max_size=30), st.floats(5.0, 400.0), st.integers(1, 30),
)
def test_positions_rise_evenly_to_the_end(epoch_s: list[float], ends: float, most: int) -> None:
    pace = Pace(ends, math.inf, most, STEPS)
    positions, now, epochs = trained(pace, epoch_s, most)
    assert positions == sorted(positions)
    assert pace.done == most * STEPS
    # No step is more than the rest of the schedule in one epoch's parts (and half a step for rounding, twice).
    left = [most * STEPS - positions[n * STEPS] for n in range(epochs)]
    assert all(b - a <= left[n // STEPS] / STEPS + 1 for n, (a, b) in enumerate(itertools.pairwise(positions)))
    # The last epoch was begun while there was time, or the one before was.
    assert epochs < 3 or now - epoch_s[epochs - 1] - epoch_s[epochs - 2] < ends


def test_a_checkpoint_is_gone_on_from() -> None:
    whole, resumed = (Pace(100.0, math.inf, 10, STEPS) for _ in range(2))
    whole.begin(0, 0, 0.0)
    for epoch in (1, 2, 3):
        whole.after(epoch, 20.0 * epoch)
    resumed.begin(3, whole.done, 60.0)
    assert resumed.position(4, 0) == whole.position(4, 0) == whole.done
    # By what its first steps take it knows at once that two epochs are left, and not seven.
    resumed.begin(3, whole.done, 60.0, 20.0)
    assert resumed.epochs == whole.epochs == 5
    assert [resumed.position(5, done) for done in range(STEPS)] == [whole.position(5, done) for done in range(STEPS)]


def test_one_epoch_is_a_whole_schedule_where_first_steps_tell_that_there_is_no_room_for_more() -> None:
    pace = Pace(10.0, 15.0, 20, STEPS)
    pace.begin(0, 0, 0.0, 9.0)
    assert [pace.position(1, done) for done in (0, 5)] == [0, 100]
    pace.after(1, 9.0)
    assert (pace.epochs, pace.done) == (1, 20 * STEPS)


def test_nothing_is_trained_behind_the_end_of_a_schedule() -> None:
    pace = Pace(100.0, math.inf, 20, STEPS)
    pace.begin(7, 20 * STEPS, 0.0, 1.0)
    assert pace.epochs == 7
