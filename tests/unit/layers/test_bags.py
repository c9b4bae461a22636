"""Bags of codes with fixed weights, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from automl.layers import bags


def test_repeats_become_zeros() -> None:
    codes = np.array([[3, 0, 3, 7, 3, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], np.int32)
    given = np.asarray(bags.DistinctCodes()(codes))
    assert given.dtype == np.int32
    assert [sorted(set(row) - {0}) for row in given.tolist()] == [[3, 7], [1], []]
    assert (given > 0).sum(axis=1).tolist() == [2, 1, 0]


def filled(one_sum: bool) -> bags.LinearBags:
    layer = bags.LinearBags([4, 3], 2, one_sum=one_sum)
    layer.build([(None, 3), (None, 2)])
    sums = 1 if one_sum else 2
    table = 128 + np.arange(4 * sums).reshape(4, sums)
    table[0] = 128  # no code: no weight
    layer.tables[0].assign(table.astype(np.uint8))
    layer.tables[1].assign(np.array([[128] * sums, [28] * sums, [228] * sums], np.uint8))
    layer.rarities[0].assign(np.array([[0], [16], [48], [64]], np.uint8))
    layer.rarities[1].assign(np.array([[0], [32], [32]], np.uint8))
    layer.scales[0].assign(np.full(sums, 0.5, np.float32))
    layer.scales[1].assign(np.full(sums, 0.1, np.float32))
    layer.offset.assign([0.25, -0.25])
    return layer


def test_outputs_are_normalised_sums_of_weights() -> None:
    codes = [np.array([[2, 3, 0], [0, 0, 0]], np.int32), np.array([[1, 0], [0, 2]], np.int32)]
    given = np.asarray(filled(False)(codes))
    # Of the first kind codes 2 and 3 with rarities 3 and 4 (length 5), weights (4, 5) and (6, 7) times 0.5; of the
    # second one code of rarity 2, whose weights are -100 and 100 times 0.1.
    first = [0.5 * (4 + 6) / 5 - 10 / 2 + 0.25, 0.5 * (5 + 7) / 5 - 10 / 2 - 0.25]
    np.testing.assert_allclose(given, [first, [10 / 2 + 0.25, 10 / 2 - 0.25]], rtol=1e-6)


def test_one_sum_is_the_log_odds_of_the_second_class() -> None:
    codes = [np.array([[2, 3, 0]], np.int32), np.array([[0, 0]], np.int32)]
    given = np.asarray(filled(True)(codes))
    total = 0.5 * (2 + 3) / 5
    np.testing.assert_allclose(given, [[0.25 - total / 2, -0.25 + total / 2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "outputs", "one_sum"), [([], 2, False), ([1], 2, False), ([3], 0, False), ([3], 3, True)]
)
def test_impossible_sizes_are_refused(counts: list[int], outputs: int, one_sum: bool) -> None:
    with pytest.raises(ValueError, match=r"expected|one sum"):
        bags.LinearBags(counts, outputs, one_sum=one_sum)
