"""Divides rows into train, validation and test: stratified, seeded, with groups kept together; or one after another by time.

Sizes: test 15 %, from 10,000 rows on 1,500 rows or 10 % (at most 10,000 rows), unless a fraction is given; validation as
much of what is left, and for small data about 30 rows where a third of the rest allows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from automl.spec.sizes import rows_to_test, rows_to_validate

TRAIN, VALIDATION, TEST = 0, 1, 2
NAMES = ("train", "validation", "test")


def strata_of_numbers(values: NDArray[np.float64], bins: int = 10) -> NDArray[np.int64]:
    """For numbers [n] the quantile bin of each, so that parts have alike distributions."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def held_out(
    strata: NDArray[np.int64], size: int, rng: np.random.Generator, groups: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Chooses about `size` of n rows, with the strata's shares kept; True for the chosen ones.

    A stratum of two or more units always keeps one outside, and from three on gives one. `groups` [n] numbers the rows
    that must stay together; without it each row is a unit of its own. A group counts for the stratum of most of its rows.
    """
    n = len(strata)
    if groups is None:
        unit_of, sizes, unit_strata = np.arange(n), np.ones(n, np.int64), strata
    else:
        _, unit_of = np.unique(groups, return_inverse=True)
        sizes = np.bincount(unit_of)
        votes = np.zeros((len(sizes), int(strata.max()) + 1), np.int64)
        np.add.at(votes, (unit_of, strata), 1)
        unit_strata = votes.argmax(axis=1)
    chosen = np.zeros(len(sizes), bool)
    share = size / max(1, n)
    # What rounding leaves over or takes is carried to the next stratum, so that many small ones still add up to `size`.
    carried = 0.0
    for stratum in np.unique(unit_strata):
        units = rng.permutation(np.flatnonzero(unit_strata == stratum))
        wanted = share * sizes[units].sum() + carried
        before = np.cumsum(sizes[units]) - sizes[units]
        # A unit is taken when at least half of it lies within the wanted rows.
        taken = before + sizes[units] / 2 <= wanted
        if len(units) >= 3:
            taken[0] = True
        if len(units) and taken.all():
            taken[-1] = False
        chosen[units[taken]] = True
        carried = wanted - float(sizes[units][taken].sum())
    return chosen[unit_of]


def folds(strata: NDArray[np.int64], count: int, groups: NDArray[np.int64] | None = None) -> NDArray[np.int16]:
    """The fold, 0 … `count` − 1, of each of n rows, with the strata's shares kept; -1 for rows that no fold holds out.

    `groups` [n] numbers the rows that must stay together. A stratum of a single unit is never held out: a class would be
    unknown to the training. Rows are dealt out in order, so equal data give equal folds.
    """
    if groups is None:
        unit_of, unit_strata, sizes = np.arange(len(strata)), strata, np.ones(len(strata), np.int64)
    else:
        _, first, unit_of = np.unique(groups, return_index=True, return_inverse=True)
        unit_strata, sizes = strata[first], np.bincount(unit_of)
    dealt = np.full(len(sizes), -1, np.int16)
    filled = np.zeros(count, np.int64)
    for stratum in np.unique(unit_strata):
        units = np.flatnonzero(unit_strata == stratum)
        if len(units) < 2:
            continue
        # The largest units first, each round to the emptiest folds, so that uneven groups still make even folds.
        for start in range(0, len(units), count):
            some = units[np.argsort(-sizes[units], kind="stable")][start : start + count]
            emptiest = np.argsort(filled, kind="stable")[: len(some)]
            dealt[some] = emptiest
            filled[emptiest] += sizes[some]
    return dealt[unit_of]


def newest(times: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Chooses about `size` of n rows, the newest ones; True for the chosen. `times` [n] grow; equal ones stay together.

    At least one moment is chosen and one is left, where there are two; of a single moment nothing is chosen.
    """
    _, unit_of, counts = np.unique(-times, return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts
    # As in `held_out`: a moment is taken when at least half of it lies within the wanted rows.
    taken = before + counts / 2 <= size
    taken[0], taken[-1] = True, False
    return taken[unit_of]


def divide(
    parts: NDArray[np.int8], strata: NDArray[np.int64], *, test_fraction: float | None, separate_test: bool,
    rng: np.random.Generator, groups: NDArray[np.int64] | None = None, times: NDArray[np.float64] | None = None,
) -> NDArray[np.int8]:
    """Completes the parts of n rows: int8 [n] of TRAIN, VALIDATION, TEST.

    `parts` holds -1 for rows of no named part, else what the data say. Parts that the data bring stay as they are; the
    lacking ones are cut from the rows without a part, and from the training rows when all have one. With `separate_test`
    no test rows are cut. With `times` [n] the newest rows are cut, whatever their strata and groups.
    """
    parts = parts.copy()
    named = set(np.unique(parts[parts >= 0]).tolist())
    pool = np.flatnonzero((parts == TRAIN) | (parts < 0))
    parts[pool] = TRAIN

    def cut(part: int, size: int) -> None:
        rows = np.flatnonzero(parts == TRAIN)
        if times is not None:
            parts[rows[newest(times[rows], size)]] = part
            return
        inside = None if groups is None else groups[rows]
        parts[rows[held_out(strata[rows], size, rng, inside)]] = part

    if TEST not in named and not separate_test:
        cut(TEST, rows_to_test(len(pool), test_fraction))
    if VALIDATION not in named:
        cut(VALIDATION, rows_to_validate(int((parts == TRAIN).sum())))
    return parts
