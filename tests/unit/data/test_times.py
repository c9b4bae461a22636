"""Splits by time: the newest rows are tested on, nothing learns from what came after it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.catalog import entries
from automl.data import prepare, split, times
from automl.data.source import Source
from automl.data.table import TextColumn
from automl.search import bagging
from automl.spec import Constraints, InvalidData, SearchSettings
from tests.unit.data import planting


def column(values):
    return TextColumn.of("when", pa.array(values, pa.string()))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=200), st.integers(1, 80))
def test_the_newest_are_chosen_and_ties_stay_together(moments, size):
    moments = np.array(moments, float)
    chosen = split.newest(moments, size)
    if len(np.unique(moments)) == 1:
        assert not chosen.any()
        return
    assert moments[chosen].min() > moments[~chosen].max()
    border = (moments == moments[chosen].min()).sum()
    # One more or one less moment would not be nearer to what was asked for, but for the one at least that each side has.
    if chosen.sum() > size:
        assert chosen.sum() - border / 2 <= size or chosen.sum() == border
    if chosen.sum() < size and len(np.unique(moments[~chosen])) > 1:
        following = (moments == moments[~chosen].max()).sum()
        assert chosen.sum() + following / 2 > size


def test_parts_follow_each_other_in_time_with_the_usual_sizes():
    moments = np.random.default_rng(0).permutation(1000).astype(float)
    parts = split.divide(
        np.full(1000, -1, np.int8), np.zeros(1000, np.int64), test_fraction=None, separate_test=False,
        rng=np.random.default_rng(0), times=moments,
    )
    assert np.bincount(parts).tolist() == [722, 128, 150]
    assert sorted(moments[parts == split.TEST]) == list(range(850, 1000))
    assert sorted(moments[parts == split.VALIDATION]) == list(range(722, 850))


@pytest.mark.parametrize(
    ("texts", "kind", "order"),
    [
        (["2023-12-31", "2024-01-01 08:00", "2024-01-01 08:00:01"], "date", "iso"),
        (["31.12.2023", "01.01.2024", "02.02.2024"], "date", "dmy"),
        (["1/13/2023", "12/1/2023", "1/2/2024"], "date", "mdy"),
        (["-5", "7", "1e3"], "numeric", ""),
    ],
)
def test_dates_and_numbers_grow_with_time(texts, kind, order):
    told = times.form(column(texts))
    assert (told["kind"], told["format"]) == (kind, order)
    assert (np.diff(times.read(column(texts), "d.csv").keys) > 0).all()


def test_rows_without_a_time_are_all_named():
    with pytest.raises(InvalidData) as caught:
        times.read(column(["2024-01-01", "", "2024-01-02", "soon", "2024-13-01", "2024-01-05"]), "d.csv")
    assert [v.field for v in caught.value.violations] == [f"d.csv, row {r}, column 'when'" for r in (2, 4, 5)]
    assert "expected a date to order the rows by, got 'soon'" in str(caught.value)
    with pytest.raises(InvalidData, match=r"and 10 more rows, 30 of 60 in all"):
        times.read(column(["1", "x"] * 30), "d.csv")


def prepared(tmp_path, columns, task="tabular-classification", test=None, **settings):
    made = [None if c is None else planting.source(tmp_path, "d.csv", planting.csv(c)) for c in (columns, test)]
    settings = {"target": "label", "time_column": "when", **settings}
    return prepare.prepare(planting.spec(**settings), task, made[0], made[1], tmp_path / "out")


def dated(rows=300):
    """A table whose days lie in another order than its rows, three rows a day."""
    days = np.random.default_rng(1).permutation(rows) // 3
    return {**planting.table(rows), "when": [f"2024-{1 + d // 28:02}-{1 + d % 28:02}" for d in days.tolist()]}, days


def test_a_table_split_by_time(tmp_path):
    columns, days = dated()
    data = prepared(tmp_path, columns)
    of = {part: days[data.rows(part)] for part in ("train", "validation", "test")}
    assert of["train"].max() < of["validation"].min()
    assert of["validation"].max() < of["test"].min()
    assert data.meta.parts == {"train": 216, "validation": 39, "test": 45}
    assert "when" not in {c["name"] for c in data.meta.preprocess["columns"]}
    said = next(f.message for f in data.meta.findings if f.check == "split-by-time")
    assert "train 2024-01-01 to" in said
    assert said.endswith("to 2024-04-16.")
    # Shuffled within the part, so that its first rows are a fair sample.
    assert (np.diff(of["train"]) < 0).any()


def test_no_folds_are_dealt_of_rows_in_order(tmp_path):
    data = prepared(tmp_path, dated()[0])
    assert data.meta.profile.temporal
    for id in ("bagging", "greedy-ensemble"):
        assert "follow each other in time" in entries.techniques[id].reason_against(data.meta.profile)
    assert bagging.most(data.meta.profile, SearchSettings(), Constraints()) == 0
    with pytest.raises(ValueError, match="have no folds"):
        data.inputs("fold:0/5")


def test_separate_test_data_need_no_time_and_a_split_column_wins(tmp_path):
    columns, days = dated()
    data = prepared(tmp_path, columns, test=planting.table(60, seed=5))
    assert data.meta.parts["test"] == 60
    assert days[data.rows("train")].max() < days[data.rows("validation")].min()
    columns["part"] = ["test" if i < 60 else "train" for i in range(300)]
    data = prepared(tmp_path, columns, split_column="part")
    assert set(data.rows("test").tolist()) == set(range(60))
    assert days[data.rows("train")].max() < days[data.rows("validation")].min()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"time_column": "gone"}, "COLUMN_MISSING"), ({"group_column": "color"}, "CONTRADICTION"),
        ({"time_column": "label"}, "CONTRADICTION"), ({"time_column": "same"}, "TIME_UNREADABLE"),
    ],
)
def test_what_can_not_order_the_rows_is_refused(tmp_path, settings, reason):
    with pytest.raises(InvalidData) as caught:
        prepared(tmp_path, dated()[0], **settings)
    assert reason in {v.reason for v in caught.value.violations}


def test_two_moments_are_too_few_for_three_parts(tmp_path):
    columns = {**planting.table(100), "when": [2023 + i % 2 for i in range(100)]}
    with pytest.raises(InvalidData, match="at least three different times"):
        prepared(tmp_path, columns)


def test_texts_split_by_time(tmp_path):
    columns, days = dated()
    data = prepared(tmp_path, columns, "text-classification")
    assert days[data.rows("train")].max() < days[data.rows("validation")].min()
    assert days[data.rows("validation")].max() < days[data.rows("test")].min()


def test_a_manifest_of_pictures_split_by_time(tmp_path):
    years = np.random.default_rng(3).permutation(40)
    rows = "".join(f"img/{i}.png,{'ab'[i % 2]},{1980 + y}\n" for i, y in enumerate(years))
    files = [(f"img/{i}.png", planting.picture((i, 0, 0))) for i in range(40)]
    content = planting.archive([*files, ("list.csv", b"path,label,taken\n" + rows.encode())])
    data = prepare.prepare(
        planting.spec(time_column="taken"), "image-classification", planting.source(tmp_path, "p.zip", content), None,
        tmp_path / "out",
    )
    assert years[data.rows("train")].max() < years[data.rows("validation")].min()
    assert years[data.rows("validation")].max() < years[data.rows("test")].min()


def test_a_series_stands_at_its_latest_step(tmp_path):
    """Series of four days each that begin on different days: read in long form, ordered by the same column."""
    begins = np.random.default_rng(4).permutation(60)
    rng = np.random.default_rng(5)
    lines = ["id,when,a,label"]
    for i, begin in enumerate(begins.tolist()):
        for step in (2, 0, 3, 1):
            lines.append(f"s{i:02},{begin + step},{rng.normal() + 10 * step:.3f},{'xy'[i % 2]}")
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    data = prepare.prepare(
        planting.spec(target="label", group_column="id", time_column="when"), "timeseries-classification",
        Source(path, "x.csv"), None, tmp_path / "out",
    )
    assert data.meta.preprocess["source"]["time"]["name"] == "when"
    assert begins[data.rows("train")].max() < begins[data.rows("validation")].min()
    assert begins[data.rows("validation")].max() < begins[data.rows("test")].min()
    assert (np.diff(data.raw("train")["series"][:, :, 0], axis=1) > 5).all()
