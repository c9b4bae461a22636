"""A space as a row of decisions: the same assignments as the space's own, and what a network sees of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from automl.catalog import space as spaces
from automl.search.controllers.decisions import IDLE, Decisions
from automl.search.genotypes import architectures_alone
from automl.search.sampler import narrowed
from automl.spec import SearchSettings
from tests.unit.search.fakes import PICTURES, TABLE, table_space

SPACES = {
    "genotypes": architectures_alone(spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="rl-ppo"))),
    "recipes": spaces.derive("tabular-classification", TABLE, SearchSettings()),
    "few": narrowed(table_space(), 12),
}


def drawn(decisions: Decisions, rng: random.Random) -> tuple[int, ...]:
    position = decisions.begin()
    while not decisions.over(position):
        position = decisions.after(position, rng.randrange(int(decisions.counts[len(position)])))
    return position


@pytest.mark.parametrize("name", SPACES)
def test_any_way_to_an_end_is_an_assignment_and_the_way_back(name: str) -> None:
    decisions, rng = Decisions(SPACES[name]), random.Random(4)
    for _ in range(60):
        assignment = decisions.assignment(drawn(decisions, rng))
        again = decisions.position(assignment)
        assert decisions.assignment(again) == assignment
        acting = {d.name for d in decisions.space.active(assignment)}
        for decided, option in zip(decisions.names, again):
            assert (option != IDLE) == (decided in acting)
            if option != IDLE:
                assert decisions.values[decisions.names.index(decided)][option] == assignment[decided]


def test_decisions_of_other_families_are_not_asked() -> None:
    decisions = Decisions(SPACES["genotypes"])
    family = decisions.values[0].index("nas-cell")
    steps = decisions.steps(drawn(decisions, random.Random(1)) if family is None else decisions.after((), family))
    assert [option for _, option in steps] == [family]
    position = decisions.after((), family)
    asked = []
    while not decisions.over(position):
        asked.append(decisions.names[len(position)])
        position = decisions.after(position, 0)
    assert len(asked) == 10
    assert all(name.startswith("nas-cell.") for name in asked)


def test_continuous_dimensions_are_offered_in_a_few_values_and_read_as_the_nearest() -> None:
    decisions = Decisions(SPACES["few"])
    place = decisions.names.index("adamw.learning_rate")
    offered = decisions.values[place]
    assert len(offered) == 4
    assert list(offered) == sorted(offered)
    between = 0.7 * offered[1] + 0.3 * offered[2]
    position = decisions.position(decisions.space.default() | {"adamw.learning_rate": between})
    assert offered[position[place]] == offered[1]


def test_a_row_holds_what_was_decided_and_what_is_next() -> None:
    decisions = Decisions(SPACES["genotypes"])
    begin, position = decisions.begin(), decisions.after((), decisions.values[0].index("nas-cell"))
    rows = decisions.rows([begin, position, drawn(decisions, random.Random(2))])
    assert rows.shape == (3, decisions.columns + len(decisions))
    assert np.flatnonzero(rows[0]).tolist() == [decisions.columns]
    assert np.flatnonzero(rows[1]).tolist() == [decisions.values[0].index("nas-cell"), decisions.columns + len(position)]
    assert not rows[2, decisions.columns :].any()
    columns, valid = decisions.choices([begin, position])
    assert valid.sum(axis=1).tolist() == [3, 5]
    assert columns[1, :5].tolist() == list(range(decisions.offsets[1], decisions.offsets[2]))
