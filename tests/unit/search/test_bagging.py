"""Which models go into an ensemble, and how many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from automl.search import bagging
from automl.search.budget import Speed
from automl.spec import Choice, Recipe
from automl.tasks import metrics

RNG = np.random.default_rng(1)


def noisy(y: np.ndarray, deviation: float, bias: float = 0.0) -> np.ndarray:
    return (y + bias + RNG.normal(scale=deviation, size=len(y)))[:, None].astype(np.float32)


def test_the_greedy_choice_is_the_best_addition_at_each_step() -> None:
    y = RNG.normal(size=80).astype(np.float32)
    models = [noisy(y, s) for s in (0.5, 0.6, 0.7, 1.5)]
    found = bagging.greedy(models, y, "r2", "tabular-regression", 4)
    assert found[0] == 0
    for step in range(1, 4):
        tried = [
            metrics.evaluate("tabular-regression", y, np.mean([models[i] for i in (*found[:step], extra)], axis=0))["r2"]
            for extra in range(4)
        ]
        assert found[step] == int(np.argmax(tried))


def test_models_that_err_to_different_sides_are_chosen_over_twins_of_the_best() -> None:
    y = RNG.normal(size=200).astype(np.float32)
    found = bagging.greedy(
        [noisy(y, 0.1, bias=0.4), noisy(y, 0.1, bias=0.45), noisy(y, 0.1, bias=-0.5)], y, "rmse", "tabular-regression", 2
    )
    assert found == [0, 2]


def test_equal_accuracies_are_decided_by_the_log_loss() -> None:
    y = np.array([0, 1, 0, 1])

    def sure(p: float) -> np.ndarray:
        return np.where(np.arange(2)[None, :] == y[:, None], p, 1 - p).astype(np.float32)

    assert bagging.greedy([sure(0.6), sure(0.7), sure(0.99)], y, "accuracy", "tabular-classification", 2) == [2, 2]


def test_of_few_rows_a_lucky_model_does_not_take_all_seats() -> None:
    """Two models of the same strength, one of which happens to be right once more; a mean errs by the mean of both."""
    y, rows = np.zeros(60, np.float32), np.arange(60)
    models = [wrong[:, None].astype(np.float32) for wrong in (rows < 12, (rows >= 20) & (rows < 33))]
    given = (models, y, "mae", "tabular-regression", 5)
    assert bagging.greedy(*given) == [0] * 5
    assert sorted(set(bagging.voted(*given))) == [0, 1]


def test_of_many_rows_the_choice_is_the_greedy_one() -> None:
    y = RNG.normal(size=bagging.FEW_ROWS).astype(np.float32)
    models = [noisy(y, s) for s in (0.5, 0.6)]
    given = (models, y, "r2", "tabular-regression", 3)
    assert bagging.voted(*given) == bagging.greedy(*given)


RECIPE = Recipe(task="tabular-regression", architecture=Choice(id="mlp"), epochs=10)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_the_expected_time_is_at_least_that_of_any_schedule(slots: int) -> None:
    speeds = {5: Speed(1.0, 1.0, True), 10: Speed(2.0, 2.0, True), 20: Speed(1.0, 0.1, True)}
    recipes = [RECIPE.model_copy(update={"epochs": e}) for e in (5, 10, 20, 5)]
    each = [speeds[r.epochs].total_s(r.epochs) for r in recipes]
    best = min(
        max(sum(t for t, s in zip(each, places) if s == slot) for slot in range(slots))
        for places in itertools.product(range(slots), repeat=len(each))
    )
    found = bagging.duration_s(recipes, lambda r: speeds[r.epochs], 1.0, slots)
    assert best <= found <= 1.1 * sum(each) / slots + max(each)


def test_as_many_members_as_fit_and_none_for_one() -> None:
    assert bagging.affordable(8, lambda n: 2.0 * n, 9.0) == 4
    assert bagging.affordable(8, lambda n: 2.0 * n, 3.9) == 0
    assert bagging.affordable(8, lambda n: 2.0 * n, 100.0) == 8


def test_of_models_alike_to_a_hundredth_the_first_is_taken() -> None:
    """The ranking has put the smaller one first; a log-loss of 1e-6 instead of 1e-3 is no reason for the larger."""
    y = np.array([0, 1, 0, 1])

    def sure(p: float) -> np.ndarray:
        return np.where(np.arange(2)[None, :] == y[:, None], p, 1 - p).astype(np.float32)

    assert bagging.greedy([sure(0.999), sure(0.999999)], y, "accuracy", "tabular-classification", 2) == [0, 0]
