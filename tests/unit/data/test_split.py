"""Parts: sizes, strata, groups; labels: order and spelling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import labels, split


@pytest.mark.parametrize(
    ("rows", "fraction", "size"),
    [
        (1000, None, 150),
        (100, None, 25),
        (40, None, 10),
        (10_000, None, 1_500),
        (12_000, None, 1_500),
        (18_000, None, 1_800),
        (1_000_000, None, 10_000),
        (1000, 0.3, 300),
        (10, 0.99, 8),
        (10, 0.001, 1),
    ],
)
def test_rows_to_test(rows, fraction, size):
    assert split.rows_to_test(rows, fraction) == size


@pytest.mark.parametrize(
    ("rows", "size"), [(850, 128), (11_000, 1500), (30_000, 3000), (1_000_000, 10_000), (90, 30), (30, 10)]
)
def test_rows_to_validate(rows, size):
    assert split.rows_to_validate(rows) == size


def whole(rows):
    return np.full(rows, -1, np.int8)


@given(st.lists(st.integers(0, 4), min_size=20, max_size=300), st.integers(0, 5))
def test_every_row_has_one_part_and_shares_are_kept(strata, seed):
    strata = np.array(strata)
    parts = split.divide(
        whole(len(strata)), strata, test_fraction=None, separate_test=False, rng=np.random.default_rng(seed)
    )
    assert set(np.unique(parts)) <= {0, 1, 2}
    wanted = split.rows_to_test(len(strata))
    assert abs(int((parts == split.TEST).sum()) - wanted) <= 5
    for stratum, count in zip(*np.unique(strata, return_counts=True)):
        inside = parts[strata == stratum]
        assert (inside == split.TRAIN).any()
        if count >= 8:
            assert {0, 1, 2} <= set(inside.tolist())


def test_the_seed_settles_the_split():
    strata = np.random.default_rng(0).integers(0, 3, 500)

    def divided(seed):
        return split.divide(whole(500), strata, test_fraction=None, separate_test=False, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(divided(1), divided(1))
    assert (divided(1) != divided(2)).any()


@given(st.lists(st.integers(0, 60), min_size=30, max_size=300))
def test_groups_stay_together(groups):
    groups = np.array(groups)
    strata = groups % 2
    parts = split.divide(
        whole(len(groups)), strata, test_fraction=None, separate_test=False, rng=np.random.default_rng(0), groups=groups
    )
    for group in np.unique(groups):
        assert len(np.unique(parts[groups == group])) == 1


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([0, 2], [0, 1, 2]),
        ([0, 1], [0, 1, 2]),
        ([0], [0, 1, 2]),
    ],
)
def test_parts_of_the_data_stay_and_lacking_ones_are_cut_from_training(named, left):
    given_parts = np.repeat(np.array(named, np.int8), 100)
    parts = split.divide(
        given_parts,
        np.zeros(len(given_parts), np.int64),
        test_fraction=None,
        separate_test=False,
        rng=np.random.default_rng(0),
    )
    assert np.unique(parts).tolist() == left
    for part in (split.VALIDATION, split.TEST):
        if part in named:
            np.testing.assert_array_equal(parts == part, given_parts == part)


def test_with_separate_test_data_none_is_cut():
    parts = split.divide(
        whole(100), np.zeros(100, np.int64), test_fraction=None, separate_test=True, rng=np.random.default_rng(0)
    )
    assert np.bincount(parts).tolist() == [70, 30]


def test_numbers_are_stratified_by_quantiles():
    strata = split.strata_of_numbers(np.arange(1000.0))
    assert np.bincount(strata).tolist() == [100] * 10
    assert len(np.unique(split.strata_of_numbers(np.zeros(50)))) == 1


@pytest.mark.parametrize(
    ("given_labels", "expected"),
    [
        (["10", "9", "2"], ["2", "9", "10"]),
        (["b", "a"], ["a", "b"]),
        (["class 10", "class 2"], ["class 2", "class 10"]),
        (["1.5", "-2", "1e1"], ["-2", "1.5", "1e1"]),
        (["a", "a", "B"], ["B", "a"]),
        (["1", "a", ""], ["", "1", "a"]),
    ],
)
def test_labels_are_sorted_with_numbers_as_numbers(given_labels, expected):
    assert labels.ordered(given_labels) == expected


@given(st.lists(st.text(max_size=5), max_size=20))
def test_any_labels_have_one_order(texts):
    assert labels.ordered(texts) == labels.ordered(list(reversed(texts)))
    assert sorted(set(texts)) == sorted(labels.ordered(texts))


@pytest.mark.parametrize(
    ("strange", "known", "expected"),
    [
        (["<=50K.", ">50K."], ["<=50K", ">50K"], {"<=50K.": "<=50K", ">50K.": ">50K"}),
        (["1.0"], ["0", "1"], {"1.0": "1"}),
        (["YES"], ["yes", "no"], {"YES": "yes"}),
        (["Yes"], ["yes", "YES"], {}),
        (["new"], ["old"], {}),
    ],
)
def test_labels_spelt_differently_are_matched_where_one_fits(strange, known, expected):
    assert labels.matched(strange, known) == expected


@given(
    st.integers(2, 9),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60),
    st.booleans(),
)
def test_folds_keep_groups_together_and_are_even(count, rows, grouped):
    strata = np.array([stratum for stratum, _ in rows])
    groups = np.array([group for _, group in rows]) if grouped else None
    found = split.folds(strata, count, groups)
    assert np.array_equal(found, split.folds(strata, count, groups))
    assert found.min() >= -1
    assert found.max() < count
    if groups is None:
        for stratum in np.unique(strata):
            dealt = found[strata == stratum]
            assert (dealt == -1).all() if len(dealt) == 1 else (dealt >= 0).all()
        sizes = np.bincount(found[found >= 0], minlength=count)
        assert sizes.max() - sizes.min() <= 1
    else:
        for group in np.unique(groups):
            assert len(set(found[groups == group].tolist())) == 1


def test_every_fold_has_every_stratum_where_there_are_enough():
    strata = np.repeat([0, 1], [90, 10])
    found = split.folds(strata, 5)
    for fold in range(5):
        assert np.bincount(strata[found == fold]).tolist() == [18, 2]
