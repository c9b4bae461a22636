"""Resampling and weighting of classes."""

from __future__ import annotations

import numpy as np
import pytest

from automl.catalog import techniques
from automl.spec import Profile
from automl.techniques.data import class_weighting, oversampling, undersampling

COUNTS = [900, 90, 10]


def profile(**fields) -> Profile:
    return Profile(modality="table", task="tabular-classification", rows=900, numeric=2, classes=2, **fields)


def _table(seed: int = 0):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], COUNTS).astype(np.int32)
    numeric = (rng.normal(size=(1000, 3)) + 10 * y[:, None]).astype(np.float32)
    categorical = (rng.integers(2, 5, (1000, 2)) + 10 * y[:, None]).astype(np.int32)
    return {"numeric": numeric, "categorical": categorical}, y


@pytest.mark.parametrize("method", ["random", "smote"])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_rare_classes_reach_the_ratio_and_no_row_is_lost(method, ratio):
    x, y = _table()
    grown, labels = oversampling.resample(x, y, np.random.default_rng(1), method=method, ratio=ratio)
    np.testing.assert_array_equal(np.bincount(labels), np.maximum(COUNTS, int(ratio * 900)))
    for name in x:
        np.testing.assert_array_equal(grown[name][:1000], x[name])
        assert grown[name].dtype == x[name].dtype
        assert len(grown[name]) == len(labels)


def test_random_oversampling_repeats_rows_of_the_class():
    x, y = _table()
    grown, labels = oversampling.resample(x, y, np.random.default_rng(1), method="random", ratio=0.5)
    originals = {row.tobytes() for row in x["numeric"][y == 2]}
    assert {row.tobytes() for row in grown["numeric"][1000:][labels[1000:] == 2]} <= originals


def test_smote_rows_lie_between_a_row_and_one_of_its_five_nearest_of_the_class():
    x, y = _table()
    grown, labels = oversampling.resample(x, y, np.random.default_rng(1), method="smote", ratio=0.5)
    own = x["numeric"][y == 1]
    distances = np.linalg.norm(own[:, None] - own[None], axis=2)
    nearest = np.argsort(distances, axis=1)[:, 1:6]
    for row in grown["numeric"][1000:][labels[1000:] == 1][:40]:
        on_segment = [
            abs(np.linalg.norm(row - own[i]) + np.linalg.norm(row - own[j]) - distances[i, j]) < 1e-4
            for i in range(len(own)) for j in nearest[i]
        ]
        assert any(on_segment)
    codes = grown["categorical"][1000:][labels[1000:] == 1]
    assert set(np.unique(codes)) <= set(np.unique(x["categorical"][y == 1]))


def test_smote_repeats_a_class_of_one_row_and_pictures():
    x = {"numeric": np.arange(8, dtype=np.float32)[:, None]}
    y = np.array([0] * 7 + [1])
    grown, labels = oversampling.resample(x, y, np.random.default_rng(0), method="smote", ratio=1.0)
    np.testing.assert_array_equal(grown["numeric"][labels == 1], np.full((7, 1), 7.0))
    images = {"image": np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1)}
    grown, labels = oversampling.resample(images, y, np.random.default_rng(0), method="smote", ratio=1.0)
    assert (grown["image"][labels == 1] == 7).all()


def test_oversampling_raises_the_minoritys_recall():
    """On two overlapping normal classes, 1 : 30, judged by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [3000, 100])
    x = {"numeric": (rng.normal(size=(3100, 2)) + 1.2 * y[:, None]).astype(np.float32)}
    fresh = rng.normal(size=(2000, 2)) + 1.2

    def recall(inputs, labels) -> float:
        return float(LogisticRegression().fit(inputs["numeric"], labels).predict(fresh).mean())

    plain = recall(x, y)
    for method in ("random", "smote"):
        assert recall(*oversampling.resample(x, y, rng, method=method, ratio=1.0)) > plain + 0.3


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, [10, 10, 10]), (3.0, [30, 30, 10]), (50.0, [500, 90, 10])])
def test_undersampling_leaves_no_class_above_the_ratio(ratio, expected):
    x, y = _table()
    kept, labels = undersampling.resample(x, y, np.random.default_rng(1), ratio=ratio)
    np.testing.assert_array_equal(np.bincount(labels), expected)
    rows = {row.tobytes() for row in x["numeric"]}
    assert len({row.tobytes() for row in kept["numeric"]} & rows) == sum(expected)
    np.testing.assert_array_equal(np.rint(kept["numeric"].mean(1) / 10), labels, err_msg="labels stay with their rows")


@pytest.mark.parametrize("method", ["inverse", "effective"])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_class_weights_have_mean_1_over_the_rows_and_grow_with_rarity(method, strength):
    weights = class_weighting.weights(np.array(COUNTS), method=method, strength=strength)
    assert (weights * COUNTS).sum() / 1000 == pytest.approx(1, rel=1e-5)
    assert weights[2] > weights[1] > weights[0] > 0


def test_inverse_weights_count_classes_alike():
    weights = class_weighting.weights(np.array(COUNTS), method="inverse", strength=1.0)
    np.testing.assert_allclose(weights * COUNTS, 1000 / 3, rtol=1e-5)


def test_effective_weights_equal_the_papers_formula():
    """Cui et al. (2019): E_n = (1 − βⁿ) / (1 − β), weights ∝ 1 / E_n."""
    n = np.array(COUNTS)
    effective = (1 - 0.999**n) / (1 - 0.999)
    weights = class_weighting.weights(n, method="effective", strength=1.0)
    np.testing.assert_allclose(weights / weights[0], effective[0] / effective, rtol=1e-4)


def test_a_class_without_rows_weighs_nothing():
    weights = class_weighting.weights(np.array([5, 0, 5]), method="inverse", strength=1.0)
    np.testing.assert_allclose(weights, [1, 0, 1])


@pytest.mark.parametrize("id", ["oversampling", "undersampling", "class-weighting"])
def test_balanced_data_need_none_of_it(id):
    data = profile(class_min=50, imbalance=1.0)
    assert "imbalance" in techniques[id].reason_against(data)
    assert techniques[id].reason_against(data.changed(imbalance=9.0, class_min=60)) is None


def test_undersampling_keeps_away_from_small_classes():
    data = profile(class_min=20, imbalance=40.0)
    assert "20 rows" in techniques["undersampling"].reason_against(data)
