"""Planted drift and planted wrong labels are found and named; sound data are left in peace."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets

from automl.data import drift, label_noise, prepare
from tests.unit.data import planting

RNG = np.random.default_rng(0)


def table(tmp_path, columns, task="tabular-classification", test=None, **settings):
    made = prepare.prepare(
        planting.spec(**{"target": "label", **settings}), task, planting.source(tmp_path, "d.csv", planting.csv(columns)),
        None if test is None else planting.source(tmp_path, "t.csv", planting.csv(test)), tmp_path / "out",
    )
    return made, *([f for f in made.meta.findings if f.check == check] for check in ("drift", "label-noise"))


def rows(n: int, seed: int, **changed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    made = {
        "age": np.round(x + changed.get("shift", 0.0), 3).tolist(),
        "income": [
            None if m else round(v, 3) for v, m in zip(rng.normal(size=n), rng.random(n) < changed.get("gaps", 0.02))
        ],
        "town": rng.choice(["york", "bath", "hull"], n, p=changed.get("towns", (0.5, 0.3, 0.2))).tolist(),
        "label": np.where(x + rng.normal(size=n) > changed.get("bar", 0.0), "yes", "no").tolist(),
    }
    return made


@pytest.mark.parametrize(("change", "column"), [
    ({"shift": 1.0, "bar": 1.0}, "age"), ({"gaps": 0.4}, "income"), ({"towns": (0.1, 0.3, 0.6)}, "town"),
    ({"bar": 1.0}, "label"),
])
def test_planted_drift_is_found_and_its_column_named(change, column, tmp_path):
    _, found, _ = table(tmp_path, rows(800, 1), test=rows(400, 2, **change))
    (finding,) = found
    assert finding.columns[0] == column
    assert column in finding.message
    assert finding.message.startswith("Test rows")


def test_drift_between_named_parts_is_told_for_each(tmp_path):
    first, late = rows(600, 1), rows(300, 2, shift=2.0, bar=2.0)
    columns = {name: [*first[name], *late[name]] for name in first}
    columns["part"] = ["train"] * 600 + ["validation"] * 150 + ["test"] * 150
    _, found, _ = table(tmp_path, columns, split_column="part")
    assert {f.message.split()[0] for f in found} == {"Validation", "Test"}


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_one_distribution_do_not_drift(seed, tmp_path):
    _, found, _ = table(tmp_path, rows(600, seed), test=rows(300, seed + 100))
    assert found == []


def test_a_moved_target_of_numbers_is_found(tmp_path):
    columns = {"x": RNG.normal(size=500).round(3).tolist(), "label": RNG.normal(size=500).round(4).tolist()}
    test = {"x": RNG.normal(size=200).round(3).tolist(), "label": (3 + RNG.normal(size=200)).round(4).tolist()}
    _, found, _ = table(tmp_path, columns, "tabular-regression", test=test)
    (finding,) = found
    assert finding.columns == ("label",)


def test_sizes_and_chances_are_scipys():
    a, b = RNG.integers(0, 4, 300), RNG.integers(0, 3, 200)
    counts = np.stack([np.bincount(v, minlength=4) for v in (a, b)])
    assert drift._shares_p(a, b) == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert drift._variation(a, b) == pytest.approx(np.maximum(shares[0] - shares[1], 0).sum())


# --- labels ------------------------------------------------------------------------------------


def flipped(y: np.ndarray, share: float, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    places = rng.choice(len(y), round(share * len(y)), replace=False)
    new = y.copy()
    new[places] = (y[places] + rng.integers(1, classes, len(places))) % classes
    return new, places


@pytest.mark.parametrize("name", ["load_digits", "load_wine", "load_breast_cancer"])
def test_wrong_labels_in_real_data_are_found(name):
    x, y = getattr(datasets, name)(return_X_y=True)
    classes = int(y.max()) + 1
    noisy, places = flipped(y, 0.04, classes)
    suspects, other = label_noise.suspicious(x.astype(np.float32), noisy.astype(np.int32), classes)
    hits = np.isin(suspects, places)
    assert hits.mean() >= 0.7  # most suspects are planted
    assert hits.sum() >= 0.35 * len(places)  # and a good part of what was planted is found
    np.testing.assert_array_equal(other[suspects[hits]], y[suspects[hits]])  # with the right class named


@pytest.mark.parametrize("name", ["load_digits", "load_wine", "load_breast_cancer", "load_iris"])
def test_few_rows_of_sound_data_are_suspected(name):
    x, y = getattr(datasets, name)(return_X_y=True)
    suspects, _ = label_noise.suspicious(x.astype(np.float32), y.astype(np.int32), int(y.max()) + 1)
    assert len(suspects) <= 0.01 * len(y)


def test_classes_that_overlap_raise_no_suspicion():
    x = RNG.normal(size=(600, 3)).astype(np.float32)
    y = (x[:, 0] + RNG.normal(size=600) > 0).astype(np.int32)
    assert len(label_noise.suspicious(x, y, 2)[0]) == 0


def test_rows_are_named_by_their_place_in_the_file(tmp_path):
    n = 400
    x = RNG.uniform(-1, 1, n)
    label = np.where(x > 0, "up", "down").tolist()
    wrong = [i for i in range(0, n, 40) if abs(x[i]) > 0.3]
    for i in wrong:
        label[i] = "down" if label[i] == "up" else "up"
    noise = RNG.normal(size=(n, 2)).round(3)
    columns = {"x": x.round(4).tolist(), "a": noise[:, 0].tolist(), "b": noise[:, 1].tolist(), "label": label}
    made, _, found = table(tmp_path, columns)
    (finding,) = found
    planted = {w + 1 for w in wrong} & set((made.rows("train") + 1).tolist())
    assert set(finding.rows) <= planted
    assert len(finding.rows) >= 0.7 * len(planted)
    assert "rather" in finding.message


def test_wrong_labels_of_pictures_and_other_light_are_found(tmp_path):
    rng = np.random.default_rng(1)
    y = np.arange(240) % 2
    x = rng.integers(0, 60, (240, 12, 12), np.uint8)
    for i in range(240):
        (x[i, 3:6] if y[i] else x[i, :, 3:6])[:] += 150
    x[200:] = np.clip(x[200:].astype(int) + 45, 0, 255)
    wrong = y.copy()
    wrong[[7, 50]] = 1 - wrong[[7, 50]]
    content = planting.npz(x_train=x[:200], y_train=wrong[:200], x_test=x[200:], y_test=y[200:])
    made = prepare.prepare(
        planting.spec(), "image-classification", planting.source(tmp_path, "p.npz", content), None, tmp_path / "out"
    )
    found = {f.check: f for f in made.meta.findings}
    assert set(found["label-noise"].rows) == {8, 51} & set((made.rows("train") + 1).tolist())
    assert found["drift"].columns[0] == "brightness"


def test_small_pictures_are_means_of_fields():
    x = RNG.integers(0, 256, (3, 20, 30, 2), np.uint8)
    found = label_noise.small(x, side=10).reshape(3, 10, 10, 2)
    np.testing.assert_allclose(found, x.reshape(3, 10, 2, 10, 3, 2).mean(axis=(2, 4)), rtol=1e-5)
    assert label_noise.small(x[:, :4, :5], side=10).shape == (3, 4 * 5 * 2)
