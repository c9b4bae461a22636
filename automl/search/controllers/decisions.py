"""A space as a game for one: its free dimensions are decided one after the other, each among a few options.

A dimension that is continuous or has many values is offered in a few. A position is what was decided so far: one option
number for each decision in order, `IDLE` for those that earlier ones leave nothing to act on; it is over when it has as
many entries as there are decisions. Which options are there at a position follows from the space alone; positions that
compute the same are told apart, but what is trained is written canonically, and that is what is learned from.

For a network a position is a row of zeros and ones: the options taken, and the decision that is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from automl.catalog.domains import Categorical, Domain, Int
from automl.catalog.space import Assignment, Space
from automl.search.controllers.network import Array
from automl.search.grid import POINTS, points
from automl.search.sampler import values_of
from automl.spec.recipe import ParameterValue

IDLE = -1
Position = tuple[int, ...]


class Decisions:
    """The decisions of a space, in the order of its dimensions: parents first."""

    def __init__(self, space: Space):
        self.space = space
        offered = {d.name: options(d.domain) for d in space.dimensions}
        conditions = _conditions(space, offered)
        self.names = tuple(
            name for name, values in offered.items() if len(values) > 1 and conditions[name] is not None
        )
        self.values = tuple(offered[name] for name in self.names)
        self.counts = np.array([len(values) for values in self.values])
        """Options of each decision."""
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.widest = int(self.counts.max(initial=1))
        place = {name: n for n, name in enumerate(self.names)}
        self._conditions = tuple(
            tuple((place[other], among, wanted) for other, among, wanted in conditions[name] or ()) for name in self.names
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def columns(self) -> int:
        """All options of all decisions."""
        return int(self.offsets[-1])

    @property
    def features(self) -> int:
        """Width of a position's row."""
        return self.columns + len(self)

    def begin(self) -> Position:
        """The position before the first decision."""
        return self.skipped(())

    def after(self, position: Position, option: int) -> Position:
        """The next position at which there is something to decide, or the end."""
        return self.skipped((*position, option))

    def over(self, position: Position) -> bool:
        return len(position) == len(self)

    def skipped(self, position: Position) -> Position:
        while len(position) < len(self) and not self._acts(len(position), position):
            position = (*position, IDLE)
        return position

    def _acts(self, decision: int, position: Position) -> bool:
        return all((position[at] in among) is wanted for at, among, wanted in self._conditions[decision])

    def steps(self, end: Position) -> list[tuple[Position, int]]:
        """The positions on the way to an end, each with the option that was taken."""
        return [(end[:n], option) for n, option in enumerate(end) if option != IDLE]

    def assignment(self, end: Position) -> Assignment:
        """The repaired assignment that a finished position means."""
        chosen = {name: values[n] for name, values, n in zip(self.names, self.values, end) if n != IDLE}
        return self.space.repair(self.space.complete(chosen))

    def position(self, assignment: Assignment) -> Position:
        """The finished position nearest to an assignment: the nearest option where a number isn't among them, the first
        where nearness means nothing."""
        found = self.begin()
        while not self.over(found):
            found = self.after(found, _nearest(self.values[len(found)], assignment.get(self.names[len(found)])))
        return found

    def rows(self, positions: Sequence[Position]) -> Array:
        """Positions for a network: [positions, features]."""
        found = np.zeros((len(positions), self.features), np.float32)
        for row, position in zip(found, positions):
            for decision, option in enumerate(position):
                if option != IDLE:
                    row[self.offsets[decision] + option] = 1.0
            if len(position) < len(self):
                row[self.columns + len(position)] = 1.0
        return found

    def choices(self, positions: Sequence[Position]) -> tuple[Array, Array]:
        """For each position that isn't over: the columns of its options, int [positions, widest], and which of them are
        there, bool."""
        decisions = np.array([len(p) for p in positions])
        steps = np.arange(self.widest)
        valid = steps < self.counts[decisions][:, None]
        return np.where(valid, self.offsets[decisions][:, None] + steps, 0), valid


def options(domain: Domain) -> tuple[ParameterValue, ...]:
    """The values that are offered of a domain."""
    if isinstance(domain, Categorical):
        return domain.values
    count = values_of(domain)
    if isinstance(domain, Int) and count is not None and count <= POINTS:
        return tuple(range(domain.low, domain.high + 1, domain.step))
    return points(domain).values


Condition = tuple[str, frozenset[int], bool]
"""A decision, options of it, and whether it has to have one of them, or mustn't."""


def _conditions(
    space: Space, offered: Mapping[str, tuple[ParameterValue, ...]]
) -> dict[str, tuple[Condition, ...] | None]:
    """When each dimension acts, in terms of those that are decided; None: never."""
    found: dict[str, tuple[Condition, ...] | None] = {}
    for d in space.dimensions:
        asked = [(d.parent, frozenset(d.parent_values), True)] if d.parent is not None else []
        asked += [(name, frozenset((value,)), False) for name, value in d.idle]
        left = [_left(offered[name], found[name], name, among, wanted) for name, among, wanted in asked]
        found[d.name] = None if None in left else tuple(one for conditions in left for one in conditions or ())
    return found


def _left(
    values: tuple[ParameterValue, ...], above: tuple[Condition, ...] | None, name: str, among: frozenset[ParameterValue],
    wanted: bool,
) -> tuple[Condition, ...] | None:
    """What of a condition is left to ask when the dimension `name` acts under the conditions `above`; None: it never
    holds."""
    if above is not None and len(values) > 1:
        return ((name, frozenset(n for n, v in enumerate(values) if v in among), wanted),)
    has = above is not None and values[0] in among
    if wanted:
        return above if has else None
    # With the value at times only, it would be idle at times only: deciding it all the same does no harm.
    return None if has and not above else ()


def _nearest(values: Sequence[ParameterValue], wanted: ParameterValue | None) -> int:
    for n, value in enumerate(values):
        if value == wanted and type(value) is type(wanted):
            return n
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        numbers = [(abs(v - wanted), n) for n, v in enumerate(values) if isinstance(v, int | float)]
        if numbers:
            return min(numbers)[1]
    return 0
