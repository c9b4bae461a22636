"""Series: the `.ts` reader and its faults, tables in wide and long form, inspection, preparation."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from automl.catalog import validation
from automl.data import inspection, prepare, readers, series, source, ts_files
from automl.data.series import Series
from automl.spec import DataSettings, InvalidData, JobSpec, Modality

HEADER = "@problemName x\n@classLabel true a b\n@data\n"
TASK = "timeseries-classification"


def ts(text, filename="x.ts"):
    return ts_files.read(text.encode(), filename)


def ts_file(path, lengths, channels=2, classes="ab", seed=0, groups=None):
    """A data set that can be learnt: the classes differ in their level."""
    rng = np.random.default_rng(seed)
    lines = [f"@classLabel true {' '.join(classes)}", "@data"]
    for i, length in enumerate(lengths):
        label = i % len(classes)
        values = rng.normal(size=(channels, length)).round(3) + label
        lines.append(":".join(",".join(map(str, v)) for v in values) + f":{classes[label]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def prepared(tmp_path, path, test=None, out="prepared", **settings):
    spec = JobSpec(dataset="d", data=DataSettings(**settings))
    test_source = None if test is None else source.Source(test)
    return prepare.prepare(spec, TASK, source.Source(path), test_source, tmp_path / out)


# --- .ts files ---------------------------------------------------------------------------------


def test_a_ts_file():
    found = ts(
        "# about\n\n@problemName x\n@timeStamps false\n@missing true\n@univariate false\n@dimensions 2\n@equalLength false\n"
        "@classLabel true a b\n@data\n1,2.5,?:-1,?,?:a\n# between\n.5:1e3: b \n"
    )
    assert (found.format, found.channels, found.labels.name) == ("ts", ("dim_0", "dim_1"), "label")
    np.testing.assert_array_equal(found.values[0], np.array([[1, -1], [2.5, np.nan]], np.float32))
    np.testing.assert_array_equal(found.values[1], [[0.5, 1000]])
    assert [found.labels.texts[c] for c in found.labels.codes] == ["a", "b"]


def test_it_is_known_by_its_content_packed_or_under_another_name(tmp_path):
    contents = {"x.txt": HEADER + "1,2:a\n", "x.data": "\ufeff# c\n" + HEADER + "1,2:a\n", "y.ts": HEADER + "1:a\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name == "x.txt" else content.encode())
        assert isinstance(readers.read(source.Source(tmp_path / name)), Series)
    (tmp_path / "table.csv").write_text("@handle,b\n1,2\n3,4\n")
    assert not isinstance(readers.read(source.Source(tmp_path / "table.csv")), Series)


@pytest.mark.parametrize(("text", "told"), [
    ("", "is empty"),
    ("a,b\n1,2\n", "line 1: expected a header line that begins with @"),
    ("@problemName x\n@relation y\n", "line 2: unknown header @relation.*ARFF"),
    ("@univariate perhaps\n@data\n", "line 1: @univariate is true or false, got 'perhaps'"),
    ("@dimensions two\n@data\n", "line 1: @dimensions is a whole number"),
    ("@dimensions 2\n@dimensions 2\n@data\n", "line 2: @dimensions stands here a second time"),
    ("@classLabel true\n@data\n", "line 1: @classLabel true must be followed by"),
    ("@classLabel 1 2\n@data\n", "line 1: @classLabel is true"),
    ("@timeStamps true\n@classLabel true a b\n@data\n", "line 1: time stamps"),
    ("@targetLabel true\n@data\n", "line 1: @targetLabel"),
    ("@classLabel true a b\n", "no line @data"),
    ("@data\n1,2:a\n", "no @classLabel"),
    ("@univariate true\n@dimensions 2\n@classLabel true a\n@data\n", "@univariate true and @dimensions 2"),
    (HEADER, "no series"),
    (HEADER + "1,2:c\n", "line 4: the label 'c' is none of the declared classes \\(a, b\\)"),
    (HEADER + "1,2\n", "line 4: has no label"),
    (HEADER + "1,2:a\n1,2:3,4:b\n", "line 5: expected 1 dimensions, got 2"),
    (HEADER + "1,2:3:b\n", "line 4: dimension 2 has 1 values and dimension 1 has 2"),
    (HEADER + "1,2:a\n\n1,two:b\n", "line 6: dimension 1, value 2: expected a number, got 'two'"),
    (HEADER + "1,,2:a\n", "line 4: dimension 1, value 2: is empty"),
    (HEADER + "1,1e39:a\n", "line 4: dimension 1, value 2: 1e39 isn't finite"),
    ("@equalLength true\n" + HEADER + "1,2:a\n1:b\n", "line 6: the header promises series of 2 steps, this one has 1"),
    ("@seriesLength 3\n" + HEADER + "1,2:a\n", "line 5: the header promises series of 3 steps"),
])
def test_faults_name_their_line(text, told):
    with pytest.raises(InvalidData, match=told):
        ts(text)


def test_every_fault_is_told_up_to_twenty():
    with pytest.raises(InvalidData) as caught:
        ts(HEADER + "x:a\n1:c\n" * 30)
    assert len(caught.value.violations) == 20
    with pytest.raises(InvalidData, match="line 2: byte 0xff is not UTF-8"):
        ts_files.read(b"@problemName x\n\xff\n", "x.ts")


def test_inspection(tmp_path):
    info = inspection.inspect(source.Source(ts_file(tmp_path / "x.ts", [3, 5, 4, 6])))
    assert (info.modality, info.format, info.rows) == (Modality.SERIES, "ts", 4)
    assert [(c.name, c.distinct) for c in info.columns] == [("label", 2)]
    assert "3 to 6 steps" in info.findings[0].message
    assert "2 channels" in info.findings[0].message
    assert validation.infer_task(info, None) == TASK
    assert validation.violations(JobSpec(dataset="d"), info) == []
    (tmp_path / "new.ts").write_text("@classLabel false\n@data\n1,2\n3,4\n")
    unlabelled = inspection.inspect(source.Source(tmp_path / "new.ts"))
    assert validation.infer_task(unlabelled, None) is None


# --- preparation -------------------------------------------------------------------------------


def test_series_of_different_lengths(tmp_path):
    lengths = [4, 5, 6, 7, 8] * 8
    found = prepared(tmp_path, ts_file(tmp_path / "x.ts", lengths))
    assert found.meta.parts["train"] + found.meta.parts["validation"] + found.meta.parts["test"] == 40
    assert (found.meta.modality, found.meta.classes, found.meta.target) == (Modality.SERIES, ("a", "b"), "label")
    assert (found.meta.profile.length, found.meta.profile.channels) == (8, 2)
    for part in ("train", "validation", "test"):
        x, raw, rows = found.inputs(part)["series"], found.raw(part)["series"], found.rows(part)
        assert x.shape[1:] == (8, 3)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x[..., 2].sum(axis=1), [lengths[r] for r in rows])
        np.testing.assert_array_equal(np.isnan(raw).all(axis=2).sum(axis=1), raw.shape[1] - x[..., 2].sum(axis=1))
    train = found.inputs("train")["series"]
    inside = train[train[..., 2] > 0][:, :2]
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=0), 1, atol=1e-5)
    assert len(found.raw("test", limit=2)["series"]) == 2


def test_series_of_one_length_have_no_mask_and_tiny_sets_are_divided(tmp_path):
    found = prepared(tmp_path, ts_file(tmp_path / "x.ts", [6] * 27, channels=1, classes="abc"))
    assert not found.meta.preprocess["ragged"]
    assert found.inputs("train")["series"].shape[1:] == (6, 1)
    assert min(found.meta.parts.values()) >= 4
    for part in ("train", "validation"):
        assert set(found.target(part)) == {0, 1, 2}


def test_separate_test_series_longer_ones_and_what_is_missing(tmp_path):
    path = ts_file(tmp_path / "train.ts", [5] * 20)
    text = path.read_text().splitlines()
    text[2] = "?,1,?,2,3:1,2,3,4,5:a"
    text[3] = "?,?:?,?:b"
    path.write_text("\n".join(text))
    found = prepared(tmp_path, path, ts_file(tmp_path / "test.ts", [5, 9, 4], seed=1))
    assert found.meta.parts["test"] == 3
    told = {f.check: f.message for f in found.meta.findings}
    assert "1 of 3 test series are longer" in told["series-cut"]
    assert "2 of 190 values are missing" in told["missing-values"]
    assert "1 of 20 series have no value" in told["empty-series"]
    assert np.isfinite(found.inputs("train+validation")["series"]).all()


def test_long_series_are_resampled(tmp_path):
    found = prepared(tmp_path, ts_file(tmp_path / "x.ts", [600, 1024] * 6, channels=1))
    assert found.inputs("train")["series"].shape[1:] == (512, 2)
    assert "1,024 steps" in next(f.message for f in found.meta.findings if f.check == "series-resampled")


@pytest.mark.parametrize(("lines", "told"), [
    (["@classLabel false", "@data"] + ["1,2"] * 12, "has no labels"),
    (["@classLabel true a b", "@data"] + [f"1,{i}:a" for i in range(12)], "single class|one class|nothing to learn"),
    (["@classLabel true a b", "@data"] + ["1,2:a", "1,3:b"] * 2, "usable rows; at least 10"),
])
def test_what_cannot_be_learnt_is_refused(tmp_path, lines, told):
    (tmp_path / "x.ts").write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidData, match=told):
        prepared(tmp_path, tmp_path / "x.ts")


def test_settings_that_do_not_fit_are_refused(tmp_path):
    path = ts_file(tmp_path / "x.ts", [5] * 20)
    other = ts_file(tmp_path / "other.ts", [5] * 4, channels=1)
    with pytest.raises(InvalidData, match="has 1 channels, the training data have 2"):
        prepared(tmp_path, path, other)
    with pytest.raises(InvalidData, match="its labels are called 'label'"):
        prepared(tmp_path, path, target="species")
    with pytest.raises(InvalidData, match="no column 'who'"):
        prepared(tmp_path, path, group_column="who")
    (tmp_path / "t.csv").write_text("a,b,label\n" + "1,2,x\n" * 20)
    with pytest.raises(InvalidData, match="expected data of the form ts, got csv"):
        prepared(tmp_path, path, tmp_path / "t.csv")


def test_identical_series_stay_together(tmp_path):
    path = ts_file(tmp_path / "x.ts", [5] * 30)
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text, *text[2:17]]) + "\n")
    found = prepared(tmp_path, path)
    rows = {part: {r % 30 for r in found.rows(part)} for part in ("train", "validation", "test")}
    assert not rows["train"] & rows["validation"]
    assert not (rows["train"] | rows["validation"]) & rows["test"]
    assert "repeat another one" in next(f.message for f in found.meta.findings if f.check == "duplicate-rows")


# --- tables ------------------------------------------------------------------------------------


def wide(path, rows=24, steps=6, people=None):
    rng = np.random.default_rng(3)
    names = [f"t{i}" for i in range(steps)]
    lines = [",".join(["name", *names, "who", "label"])]
    for i in range(rows):
        values = rng.normal(size=steps).round(3) + i % 2
        lines.append(",".join([f"no. {i} of all", *map(str, values), f"p{i // 4}", "xy"[i % 2]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_with_a_row_for_each_series(tmp_path):
    found = prepared(tmp_path, wide(tmp_path / "x.csv"), target="label", ignore=("who",))
    assert found.meta.preprocess["source"] == {"form": "wide", "columns": [f"t{i}" for i in range(6)]}
    assert found.inputs("train")["series"].shape[1:] == (6, 1)
    told = {f.check: f.message for f in found.meta.findings}
    assert "6 columns of numbers are its steps, 't0' to 't5'" in told["series-form"]
    assert "'name'" in told["ignored-columns"]


def test_a_group_column_keeps_wide_rows_together(tmp_path):
    """Labels change within a person's rows, so these aren't one series."""
    found = prepared(tmp_path, wide(tmp_path / "x.csv", rows=60), target="label", group_column="who")
    assert found.meta.preprocess["source"]["form"] == "wide"
    people = {part: {r // 4 for r in found.rows(part)} for part in ("train", "validation", "test")}
    assert not people["train"] & people["validation"]
    assert not (people["train"] | people["validation"]) & people["test"]


def test_missing_cells_and_words_in_a_wide_table(tmp_path):
    path = wide(tmp_path / "x.csv", rows=60)
    text = path.read_text().splitlines()
    first, second = text[1].split(","), text[2].split(",")
    first[5:7] = ["", "?"]
    second[1] = "broken"
    path.write_text("\n".join([text[0], ",".join(first), ",".join(second), *text[3:]]) + "\n")
    found = prepared(tmp_path, path, target="label", ignore=("who",))
    assert found.meta.preprocess["ragged"]
    told = {f.check: f for f in found.meta.findings}
    assert told["unparsed-values"].rows == (2,)
    assert "'broken'" in told["unparsed-values"].message


def long(path, times, lengths=(4, 5, 3), label=lambda i, step: "xy"[i % 2]):
    rng = np.random.default_rng(4)
    rows = []
    for i in range(24):
        for step in range(lengths[i % len(lengths)]):
            rows.append((f"s{i:02}", times(step), *(rng.normal(size=2).round(3) + step), label(i, step)))
    order = rng.permutation(len(rows))
    path.write_text("id,when,a,b,label\n" + "".join(",".join(map(str, rows[r])) + "\n" for r in order))
    return {r: rows[r] for r in range(len(rows))}


@pytest.mark.parametrize(("times", "name", "kind"), [
    (lambda step: f"2024-01-0{step + 1} 10:00", "when", "date"), (lambda step: 10 * step, "time", "numeric"),
])
def test_a_table_with_a_row_for_each_step(tmp_path, times, name, kind):
    path = tmp_path / "x.csv"
    long(path, times)
    path.write_text(path.read_text().replace("when", name, 1))
    found = prepared(tmp_path, path, target="label", group_column="id")
    form = found.meta.preprocess["source"]
    assert (form["form"], form["series"], form["columns"]) == ("long", "id", ["a", "b"])
    assert (form["time"]["name"], form["time"]["kind"]) == (name, kind)
    assert sum(found.meta.parts.values()) == 24
    assert found.inputs("train")["series"].shape[1:] == (5, 3)
    # Values rise by about one a step: they are in order, whatever order the file has.
    raw = found.raw("train")["series"]
    assert (np.nanmean(raw[:, 1] - raw[:, 0]) > 0.5) & (np.nanmean(raw[:, 2] - raw[:, 1]) > 0.5)
    assert "One row is one step" in next(f.message for f in found.meta.findings if f.check == "series-form")


def test_a_long_test_table_is_read_as_the_training_table_was(tmp_path):
    long(tmp_path / "x.csv", lambda step: step)
    long(tmp_path / "test.csv", lambda step: step, lengths=(2,))
    found = prepared(tmp_path, tmp_path / "x.csv", tmp_path / "test.csv", target="label", group_column="id")
    assert found.meta.parts["test"] == 24
    (tmp_path / "bad.csv").write_text((tmp_path / "test.csv").read_text().replace("id,when,a,b", "id,when,a,c"))
    with pytest.raises(InvalidData, match="lacks the column 'b'"):
        prepared(tmp_path, tmp_path / "x.csv", tmp_path / "bad.csv", "other", target="label", group_column="id")


def test_tables_that_hold_no_series_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,label\n" + "1,x\n2,y\n" * 12)
    with pytest.raises(InvalidData, match=r"1 columns of numbers beside the target.*group column"):
        prepared(tmp_path, path, target="label")
    long(path, lambda step: step)
    path.write_text(path.read_text() + ",3,1,2,x\n")
    with pytest.raises(InvalidData, match=r"row \d+, column 'id': is empty"):
        prepared(tmp_path, path, target="label", group_column="id")


def test_trimmed_ends_at_the_last_value():
    values = np.array([[np.nan, 1], [np.nan, np.nan], [2, np.nan], [np.nan, np.nan]])
    assert series.trimmed(values).shape == (3, 2)
    assert series.trimmed(np.full((3, 2), np.nan)).shape == (0, 2)
