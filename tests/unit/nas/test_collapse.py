"""Guards of differentiable searches: what ends one, why, and which round counts then."""

from __future__ import annotations

from automl.nas.collapse import DISTANCE, SETTLED, WINDOW, Round, judged

ENOUGH = SETTLED + WINDOW + DISTANCE


def flat(count: int, eigenvalue: float = 0.1) -> list[Round]:
    return [Round(1, eigenvalue)] * count


def test_a_third_shortcut_ends_the_search_and_the_round_before_counts():
    rounds = [*flat(3), Round(2, 0.1), Round(3, 0.1)]
    found = judged(rounds, "both")
    assert found is not None
    assert found.back_to == 3
    assert "3 edges" in found.why
    assert judged(rounds, "eigenvalue") is None
    assert judged(rounds[:-1], "both") is None


def test_a_curvature_that_has_more_than_doubled_ends_the_search():
    rounds = [*flat(ENOUGH - WINDOW), *flat(WINDOW, 0.21)]
    found = judged(rounds, "both")
    assert found is not None
    assert found.back_to == len(rounds) - 1 - DISTANCE
    assert "from 0.1 to 0.21" in found.why
    assert judged([*flat(ENOUGH - WINDOW), *flat(WINDOW, 0.19)], "both") is None
    assert judged(rounds, "skips") is None


def test_growth_of_the_first_rounds_says_nothing():
    assert judged([*flat(ENOUGH - 1 - WINDOW), *flat(WINDOW, 9.0)], "both") is None


def test_nothing_is_judged_where_nothing_is_watched():
    assert judged([Round(9, 0.1), Round(9, 99.0)] * 20, "none") is None
    assert judged([], "both") is None
