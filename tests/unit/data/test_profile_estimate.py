"""The profile that is estimated from an inspection, against the one that the preparation of the same data counts.

It stands among the tests of the data, since the real profile needs the preparation.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from automl.catalog import entries, estimate
from automl.data import inspection, prepare
from automl.spec import ColumnInfo, ColumnKind, DatasetInfo, Modality, Profile
from tests.unit.data import planting
from tests.unit.data.test_texts import table as table_of_texts

CLASSES, NUMBER = "tabular-classification", "tabular-regression"


def both(tmp_path, content, task, name="d.csv", test=None, **settings) -> tuple[Profile, Profile]:
    """(estimated, real)."""
    source = planting.source(tmp_path, name, content)
    test_source = None if test is None else planting.source(tmp_path, f"test-{name}", test)
    spec = planting.spec(**settings)
    info = inspection.inspect(source)
    guess = estimate.profile(info, entries.tasks[task], spec.data, separate_test=test is not None)
    return guess, prepare.prepare(spec, task, source, test_source, tmp_path / "out").meta.profile


def agree(guess: Profile, real: Profile, *exactly: str, rows: float = 0.01) -> None:
    """The facts by which techniques decide: kinds exactly, counts of rows nearly."""
    for name in ("modality", "task", "kind", "classes", "outputs", *exactly):
        assert getattr(guess, name) == getattr(real, name), name
    assert guess.rows == pytest.approx(real.rows, rel=rows, abs=1)
    assert guess.class_min == pytest.approx(real.class_min, rel=0.05, abs=1)
    assert guess.imbalance == pytest.approx(real.imbalance, rel=0.1)


def rare(rows: int, classes: dict[str, float], seed: int = 0) -> str:
    """A table with known shares of classes, gaps in two columns, an id, a constant and a category of rare values."""
    rng = random.Random(seed)
    labels = [label for label, share in classes.items() for _ in range(round(share * rows))]
    rng.shuffle(labels)
    return planting.csv({
        "key_id": [f"r{i:06d}" for i in range(len(labels))],
        "a": ["" if i % 10 == 0 else f"{rng.gauss(0, 1):.4f}" for i in range(len(labels))],
        "b": [f"{rng.gauss(0, 1):.4f}" for _ in labels],
        "town": ["" if i % 5 == 0 else rng.choice(["Rome", "Oslo", "Bonn"]) for i in range(len(labels))],
        "same": ["x"] * len(labels),
        "label": labels,
    })


@pytest.mark.parametrize("rows", [60, 300, 4_000])
def test_a_table_of_known_kinds(tmp_path, rows):
    guess, real = both(tmp_path, rare(rows, {"u": 0.6, "v": 0.3, "w": 0.1}), CLASSES, target="label")
    agree(guess, real, "numeric", "categorical", "cardinality_max", "sample_bytes")
    assert guess.missing_fraction == pytest.approx(real.missing_fraction, abs=0.05 if rows < 1_000 else 0.01)
    assert guess.missing_fraction == pytest.approx((0.1 + 0.2) / 3, abs=0.001)


def test_dates_booleans_and_words_become_several_columns(tmp_path):
    content = planting.csv(planting.table(1000))
    guess, real = both(tmp_path, content, CLASSES, target="label", ignore=("remark",))
    agree(guess, real, "numeric", "categorical", "cardinality_max", "sample_bytes")
    assert guess.missing_fraction == pytest.approx(real.missing_fraction, abs=0.01)
    (tmp_path / "words").mkdir()
    guess, real = both(tmp_path / "words", content, CLASSES, target="label")
    assert real.numeric <= guess.numeric <= 10 * real.numeric, "by order of magnitude"


def test_a_class_of_one_row_and_rows_without_a_target_are_no_part_of_it(tmp_path):
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] + [""] * 9
    table = {"x": [f"{i * 7 % 101}.5" for i in range(100)], "label": labels}
    guess, real = both(tmp_path, planting.csv(table), CLASSES, target="label")
    agree(guess, real, "numeric")
    assert guess.classes == 2


def test_more_classes_than_an_inspection_lists(tmp_path):
    rng = random.Random(3)
    labels = [f"c{i % 70:02d}" for i in range(2_100)]
    table = {"x": [f"{rng.random():.5f}" for _ in labels], "label": labels}
    guess, real = both(tmp_path, planting.csv(table), CLASSES, target="label")
    agree(guess, real)
    assert guess.classes == 70


def test_numbers_to_predict(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2))
    table = {"p": x[:, 0].round(4), "q": x[:, 1].round(4), "y": (x.sum(1) * 3).round(4)}
    guess, real = both(tmp_path, planting.csv(table), NUMBER, target="y")
    agree(guess, real, "numeric", "categorical", "sample_bytes", "class_min", "imbalance")
    assert guess.target_min == pytest.approx(float(min(table["y"])))


def test_named_parts_and_separate_test_data_change_the_training_part(tmp_path):
    content = rare(400, {"u": 0.5, "v": 0.5})
    lines = content.splitlines()
    part = ["part", *(["train"] * 250 + ["val"] * 50 + ["test"] * 100)]
    split = "\n".join(f"{line},{p}" for line, p in zip(lines, part)) + "\n"
    guess, real = both(tmp_path, split, CLASSES, target="label", split_column="part")
    agree(guess, real, "numeric", "categorical")
    assert guess.rows == real.rows == 250
    (tmp_path / "again").mkdir()
    agree(*both(tmp_path / "again", content, CLASSES, target="label", test=rare(50, {"u": 0.5, "v": 0.5}, seed=1)))


def test_overridden_kinds_ignored_columns_and_a_test_fraction_count(tmp_path):
    guess, real = both(
        tmp_path, rare(300, {"u": 0.5, "v": 0.5}), CLASSES, target="label", ignore=("a",),
        kinds={"b": ColumnKind.CATEGORICAL, "town": ColumnKind.CATEGORICAL}, test_fraction=0.4,
    )
    assert (guess.numeric, guess.rows) == (real.numeric, real.rows)


def test_pictures(tmp_path):
    guess, real = both(tmp_path, planting.archive(planting.class_folders(40)), "image-classification", "p.zip")
    agree(guess, real, "image_shape", "sample_bytes", rows=0.05)


def test_pictures_in_named_folders(tmp_path):
    files = [f for root in ("train/", "val/", "test/") for f in planting.class_folders(12, root=root)]
    guess, real = both(tmp_path, planting.archive(files), "image-classification", "p.zip")
    agree(guess, real, "image_shape", rows=0.05)


def test_texts(tmp_path):
    guess, real = both(tmp_path, table_of_texts(90), "text-classification", target="label")
    agree(guess, real, "length")
    assert real.vocabulary / 10 <= guess.vocabulary <= 10 * real.vocabulary


def test_series_in_a_table_of_steps(tmp_path):
    rows = [(s, t, f"{np.sin(t * (1 + s % 2)) + s / 100:.4f}", "ab"[s % 2]) for s in range(40) for t in range(25)]
    names = ("which", "when", "value", "label")
    table = {name: [str(row[i]) for row in rows] for i, name in enumerate(names)}
    guess, real = both(
        tmp_path, planting.csv(table), "timeseries-classification", target="label", group_column="which", ignore=("when",)
    )
    agree(guess, real, "length", "channels", rows=0.1)


def test_series_of_a_file_of_their_own(tmp_path):
    def series(s: int) -> str:
        channels = [",".join(f"{np.sin(t * k * (1 + s % 2)) + s:.3f}" for t in range(20 + s % 5)) for k in (1, 2)]
        return ":".join([*channels, "ab"[s % 2]])

    head = "problemName P,timeStamps false,univariate false,dimensions 2,equalLength false,classLabel true a b,data"
    content = "\n".join([*(f"@{fact}" for fact in head.split(",")), *map(series, range(60)), ""])
    guess, real = both(tmp_path, content, "timeseries-classification", name="s.ts")
    agree(guess, real, "length", "channels")
    assert (guess.length, guess.channels) == (24, 2)


def test_an_inspection_without_counts_makes_even_classes():
    columns = (
        ColumnInfo(name="x", kind=ColumnKind.NUMERIC, rows_missing=0, distinct=100),
        ColumnInfo(name="y", kind=ColumnKind.CATEGORICAL, rows_missing=0, distinct=4),
    )
    info = DatasetInfo(modality=Modality.TABLE, format="csv", rows=100, columns=columns)
    guess = estimate.profile(info, entries.tasks[CLASSES], planting.spec(target="y").data)
    assert (guess.classes, guess.imbalance, guess.numeric) == (4, 1.0, 1)
    assert (guess.rows, guess.class_min) == (50, 12)  # 25 to test (30, at most a quarter), 25 to validate (a third)
