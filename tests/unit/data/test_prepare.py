"""Prepared data sets: what is written, what is reported, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import pathlib

import numpy as np
import pytest

from automl.catalog import TrainPlan
from automl.data import encoder, picture_preparation, prepare, table_preparation
from automl.data.encoder import TableEncoder
from automl.data.prepared import PreparedDataset
from automl.data.source import Source
from automl.spec import ColumnKind, Internal, InvalidData, InvalidInput, Unavailable
from tests.unit.data import planting

CLASSES, NUMBER, PICTURES = "tabular-classification", "tabular-regression", "image-classification"


def prepared(tmp_path, columns, task=CLASSES, test=None, out="out", **settings):
    def made(content, name):
        return planting.source(tmp_path, name, planting.csv(content) if isinstance(content, dict) else content)

    return prepare.prepare(
        planting.spec(**{"target": "label", **settings}),
        task,
        made(columns, "d.csv"),
        None if test is None else made(test, "t.csv"),
        tmp_path / out,
    )


def found(data):
    return {f.check: f for f in data.meta.findings}


def reasons(caught):
    return [v.reason for v in caught.value.violations]


# --- tables ------------------------------------------------------------------------------------


def test_a_prepared_table(tmp_path):
    data = prepared(tmp_path, planting.table(1000))
    meta = data.meta
    assert (meta.kind, meta.modality, meta.target, meta.classes) == ("classification", "table", "label", ("no", "yes"))
    assert meta.parts == {"train": 722, "validation": 128, "test": 150}
    assert [c["name"] for c in meta.preprocess["columns"]] == ["x", "color", "paid", "since", "remark"]
    assert meta.preprocess["categorical"] == ["color"]
    assert meta.preprocess["metric"] == "roc-auc"
    assert meta.preprocess["output"] == "probabilities"
    profile = meta.profile
    assert (profile.rows, profile.classes, profile.outputs, profile.categorical, profile.cardinality_max) == (
        722,
        2,
        2,
        1,
        5,
    )
    assert profile.numeric == len(meta.preprocess["numeric"]) == data.inputs("train")["numeric"].shape[1]
    assert 0 < profile.missing_fraction < 0.1
    columns = data.inputs("train")["numeric"].T
    assert profile.numeric_values == tuple(len(set(x[~np.isnan(x)].tolist())) for x in columns)
    for part, rows in meta.parts.items():
        inputs = data.inputs(part)
        assert (inputs["numeric"].dtype, inputs["categorical"].dtype, data.target(part).dtype) == (
            np.float32,
            np.int32,
            np.int32,
        )
        assert len(inputs["numeric"]) == len(inputs["categorical"]) == len(data.target(part)) == len(data.rows(part)) == rows
        assert isinstance(inputs["numeric"].base, np.memmap | np.ndarray)
    assert len(data.target("train+validation")) == 850
    np.testing.assert_array_equal(data.target("train+validation")[722:], data.target("validation"))
    together = np.concatenate([data.rows(p) for p in meta.parts])
    assert sorted(together.tolist()) == list(range(1000))


def test_rows_are_the_sources_rows(tmp_path):
    columns = planting.table(200)
    data = prepared(tmp_path, columns)
    for part in ("train", "validation", "test"):
        raw, rows = data.raw(part), data.rows(part)
        assert raw["color"] == [columns["color"][r] or "" for r in rows]
        expected = np.array([np.nan if columns["x"][r] is None else columns["x"][r] for r in rows], np.float32)
        np.testing.assert_array_equal(np.array(raw["x"], np.float32), expected)
        assert [data.meta.classes[y] for y in data.target(part)] == [columns["label"][r] for r in rows]
    assert data.raw("test", limit=3)["since"] == data.raw("test")["since"][:3]


def test_raw_rows_encode_to_the_prepared_matrices(tmp_path):
    data = prepared(tmp_path, planting.table(400), test=planting.table(60, seed=1))
    for part in ("validation", "test"):
        inputs = encoder.raw_inputs(data.meta.preprocess, data.raw(part))
        np.testing.assert_array_equal(inputs["numeric"], data.inputs(part)["numeric"])
        np.testing.assert_array_equal(inputs["categorical"], data.inputs(part)["categorical"])
    fitted = TableEncoder.fit(data, TrainPlan())
    np.testing.assert_array_equal(
        fitted.encode(data.raw("test"))["numeric"], fitted.transform(data.inputs("test"))["numeric"]
    )
    assert data.encoder(list(fitted.operations)).to_dict() == fitted.to_dict()


def test_vocabularies_are_those_of_the_training_rows(tmp_path):
    columns = planting.table(600)
    columns["color"] = ["rare" if i == 0 else f"c{i % 4}" for i in range(600)]
    data = prepared(tmp_path, columns)
    vocabulary = next(c for c in data.meta.preprocess["columns"] if c["name"] == "color")["vocabulary"]
    assert vocabulary == ["c0", "c1", "c2", "c3"]
    codes = np.concatenate([data.inputs(p)["categorical"][:, 0] for p in data.meta.parts])
    assert (codes == 1).sum() == 1


def test_regression_keeps_the_targets_unit(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    columns = {"x": x, "z": rng.normal(size=500), "label": 1000 + 50 * x + rng.normal(size=500) * 30}
    data = prepared(tmp_path, columns, NUMBER)
    y = data.target("train")
    meta = data.meta
    assert (meta.kind, meta.classes, y.dtype, meta.profile.outputs) == ("regression", (), np.float32, 1)
    assert meta.target_mean == pytest.approx(y.mean(), rel=1e-5)
    assert meta.target_std == pytest.approx(y.std(), rel=1e-4)
    assert (meta.target_min, meta.target_max) == (y.min(), y.max())
    assert meta.preprocess["metric"] == "r2"


def test_the_same_data_are_opened_and_others_made_anew(tmp_path):
    columns = planting.table(100)
    first = prepared(tmp_path, columns)
    stamp = (first.path / "meta.json").stat().st_mtime_ns
    assert (prepared(tmp_path, columns).path / "meta.json").stat().st_mtime_ns == stamp
    other = prepared(tmp_path, columns, seed=1)
    assert other.meta.key != first.meta.key
    assert PreparedDataset.open(tmp_path / "out").meta.key == other.meta.key
    assert prepared(tmp_path, columns, out="two").meta.key == first.meta.key


def test_the_seed_settles_every_byte(tmp_path):
    one, two = (prepared(tmp_path, planting.table(200), out=name) for name in ("one", "two"))
    for path in sorted(one.path.rglob("*.*")):
        assert path.read_bytes() == (two.path / path.relative_to(one.path)).read_bytes()


def test_nothing_is_left_behind_by_a_failure(tmp_path, monkeypatch):
    with pytest.raises(InvalidData):
        prepared(tmp_path, planting.table(100), target="none")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(table_preparation, "_write", full)
    with pytest.raises(Unavailable, match="Make room"):
        prepared(tmp_path, planting.table(100))
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == []


def test_what_is_no_prepared_data_set_is_said(tmp_path):
    with pytest.raises(Internal, match="no prepared data set"):
        PreparedDataset.open(tmp_path)
    data = prepared(tmp_path, planting.table(100))
    (data.path / "target.npy").write_bytes(b"broken")
    with pytest.raises(Internal, match=r"target\.npy"):
        PreparedDataset.open(data.path).target("train")
    with pytest.raises(ValueError, match="expected train"):
        data.inputs("all")


# --- what is done about faults in the data -------------------------------------------------------


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    columns = planting.table(300)
    columns["label"] = [None if i in (4, 9) else v for i, v in enumerate(columns["label"])]
    data = prepared(tmp_path, columns)
    assert found(data)["missing-target"].rows == (5, 10)
    assert sum(data.meta.parts.values()) == 298


def test_a_copy_of_the_target_is_left_out_and_others_only_named(tmp_path):
    columns = planting.table(400)
    rng = np.random.default_rng(0)
    columns["copy"] = ["alive" if v == "yes" else "dead" for v in columns["label"]]
    columns["nearly"] = [("p" if v == "yes" else "q") if rng.random() < 0.98 else "p" for v in columns["label"]]
    columns["gap"] = ["m" if v == "yes" else None for v in columns["label"]]
    data = prepared(tmp_path, columns)
    names = {c["name"] for c in data.meta.preprocess["columns"]}
    assert "copy" not in names
    assert {"nearly", "gap"} <= names
    leaks = [f for f in data.meta.findings if f.check == "target-leak"]
    assert {f.columns for f in leaks} == {("copy",), ("nearly", "gap")}
    assert "left out of the features" in next(f for f in leaks if f.columns == ("copy",)).message


def test_a_linear_copy_of_a_number_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.normal(size=300).round(4)
    columns = {"a": rng.normal(size=300), "pounds": 2.2046 * y + 3, "close": y + rng.normal(size=300) * 0.01, "label": y}
    data = prepared(tmp_path, columns, NUMBER)
    assert [c["name"] for c in data.meta.preprocess["columns"]] == ["a", "close"]


def test_a_copy_is_kept_where_nothing_else_is_there(tmp_path):
    data = prepared(tmp_path, {"a": list(range(100)) * 3, "label": list(range(100)) * 3}, NUMBER)
    assert "kept" in found(data)["target-leak"].message


def test_honest_columns_are_no_leaks(tmp_path):
    assert "target-leak" not in found(prepared(tmp_path, planting.table(500)))


def test_a_class_with_one_row_is_left_out_and_rare_ones_named(tmp_path):
    columns = planting.table(300)
    columns["label"][7] = "once"
    columns["label"][8:13] = ["rare"] * 5
    data = prepared(tmp_path, columns)
    assert data.meta.classes == ("no", "rare", "yes")
    assert sum("once" in f.message or "rare" in f.message for f in data.meta.findings if f.check == "rare-class") == 2
    assert all((data.target(part) == 1).any() for part in ("train", "validation", "test"))


def test_imbalance_is_said_with_its_figures(tmp_path):
    columns = planting.table(500)
    columns["label"] = ["rare" if i % 25 == 0 else "usual" for i in range(500)]
    data = prepared(tmp_path, columns)
    assert "1 to 24.0" in found(data)["imbalance"].message
    assert data.meta.profile.imbalance == pytest.approx(24, rel=0.1)
    assert data.meta.profile.class_min == (data.target("train") == 0).sum()


def test_a_separate_test_file(tmp_path):
    columns, test = planting.table(400), planting.table(100, seed=5)
    test["label"] = [v + "." for v in test["label"]]
    test["label"][0] = "unheard"
    for name, values in columns.items():
        test[name][1] = f"{values[3]}." if name == "label" else values[3]
    test["color"] = ["violet" if i % 3 == 0 and i != 1 else v for i, v in enumerate(test["color"])]
    data = prepared(tmp_path, columns, test=test)
    assert data.meta.parts == {"train": 340, "validation": 60, "test": 99}
    assert {"label-spelling", "unseen-labels", "train-test-overlap", "unseen-categories"} <= set(found(data))
    assert found(data)["unseen-labels"].rows == (1,)
    assert found(data)["train-test-overlap"].rows == (2,)
    assert sorted(data.rows("test").tolist()) == list(range(1, 100))
    assert 1 in data.inputs("test")["categorical"]


def test_a_test_file_of_a_table_without_header_has_none_either(tmp_path):
    rows = [f"{i % 7},{'ab'[i % 2]},{'xy'[(i // 2) % 2]}" for i in range(100)]
    data = prepared(tmp_path, "\n".join(rows), test="k,a,x\nl,b,y\n" * 5, target="column_3")
    assert data.meta.parts["test"] == 10


def test_a_split_column(tmp_path):
    columns = planting.table(300)
    columns["part"] = ["Train" if i < 200 else "dev" if i < 240 else "TEST" for i in range(300)]
    data = prepared(tmp_path, columns, split_column="part")
    assert data.meta.parts == {"train": 200, "validation": 40, "test": 60}
    assert set(data.rows("test").tolist()) == set(range(240, 300))
    assert "part" not in {c["name"] for c in data.meta.preprocess["columns"]}
    columns["part"][10] = "later"
    with pytest.raises(InvalidData, match=r"row 11, column 'part'.*'later'"):
        prepared(tmp_path, columns, split_column="part")


def test_labels_that_no_training_row_has_leave_the_other_parts(tmp_path):
    columns = planting.table(300)
    columns["part"] = ["train" if i < 200 else "test" for i in range(300)]
    columns["label"][250:253] = ["new"] * 3
    data = prepared(tmp_path, columns, split_column="part")
    assert data.meta.classes == ("no", "yes")
    assert data.meta.parts["test"] == 97
    assert "3 test rows" in found(data)["unseen-labels"].message


def test_a_group_stays_in_one_part(tmp_path):
    columns = planting.table(300)
    columns["person"] = [f"p{i // 5}" for i in range(300)]
    data = prepared(tmp_path, columns, group_column="person")
    parts = {part: {r // 5 for r in data.rows(part).tolist()} for part in data.meta.parts}
    assert not parts["train"] & parts["validation"]
    assert not (parts["train"] | parts["validation"]) & parts["test"]
    assert "person" not in {c["name"] for c in data.meta.preprocess["columns"]}


def test_copies_of_a_row_stay_in_one_part(tmp_path):
    columns = {name: values + values[:30] for name, values in planting.table(300).items()}
    data = prepared(tmp_path, columns)
    part_of = {row: part for part in data.meta.parts for row in data.rows(part).tolist()}
    assert all(part_of[i] == part_of[300 + i] for i in range(30))
    assert "30 of 330" in found(data)["duplicate-rows"].message
    assert "train-test-overlap" not in found(data)


def test_kinds_and_ignored_columns_are_the_users(tmp_path):
    columns = planting.table(200)
    columns["size"] = [i % 4 for i in range(200)]
    data = prepared(
        tmp_path, columns, kinds={"size": ColumnKind.CATEGORICAL, "code": ColumnKind.TEXT}, ignore=("x", "since")
    )
    kinds = {c["name"]: c["kind"] for c in data.meta.preprocess["columns"]}
    assert kinds["size"] == "categorical"
    assert not {"x", "since"} & set(kinds)


def test_one_changed_byte_is_another_identity_and_the_same_bytes_are_the_same(tmp_path):
    text = planting.csv(planting.table(60))
    place = next(i for i, letter in enumerate(text) if letter.isdigit() and i > 40)
    other = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    first, again, changed = (
        prepared(tmp_path, content, out=out).meta for content, out in ((text, "a"), (text, "b"), (other, "c"))
    )
    assert first.content == hashlib.sha256(text.encode()).hexdigest()
    assert (again.content, again.key) == (first.content, first.key)
    assert changed.content != first.content
    assert changed.key != first.key
    assert prepared(tmp_path, text, out="d", test_fraction=0.3).meta.key != first.key


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"target": "gone", "ignore": ("a", "b"), "split_column": "c"}, ["COLUMN_MISSING"] * 4),
        ({"target": None}, ["TARGET_MISSING"]),
        ({"ignore": ("label",)}, ["CONTRADICTION"]),
        ({"kinds": {"color": "numeric", "remark": "date"}}, ["WRONG_KIND"] * 2),
        ({"ignore": ("x", "color", "paid", "since", "remark")}, ["NO_FEATURES"]),
    ],
)
def test_settings_that_do_not_fit_are_all_named(tmp_path, settings, expected):
    with pytest.raises(InvalidData) as caught:
        prepared(tmp_path, planting.table(50), **settings)
    assert reasons(caught) == expected


@pytest.mark.parametrize(
    ("labels", "task", "reason"),
    [
        (["yes"] * 50, CLASSES, "ONE_CLASS"),
        ([None] * 50, CLASSES, "ONE_CLASS"),
        ([f"n{i}" for i in range(50)], CLASSES, "ONE_CLASS"),
        (["yes", "no"] * 4 + [None] * 42, CLASSES, "TOO_FEW_ROWS"),
        (["red", "blue"] * 25, NUMBER, "TARGET_NOT_NUMERIC"),
        ([7] * 50, NUMBER, "ONE_CLASS"),
    ],
)
def test_targets_that_teach_nothing_are_refused(tmp_path, labels, task, reason):
    with pytest.raises(InvalidData) as caught:
        prepared(tmp_path, {**planting.table(50), "label": labels}, task)
    assert reasons(caught) == [reason]
    assert "d.csv" in caught.value.violations[0].field


def test_too_many_classes_are_refused(tmp_path):
    values = [i % 1500 for i in range(3000)]
    with pytest.raises(InvalidData, match="regression"):
        prepared(tmp_path, {"x": np.arange(3000) % 7, "label": values})


def test_test_data_that_lack_columns_or_are_of_another_form(tmp_path):
    test = planting.table(50)
    del test["x"], test["label"]
    with pytest.raises(InvalidData, match="'x', 'label'"):
        prepared(tmp_path, planting.table(50), test=test)
    with pytest.raises(InvalidData, match=r"t\.csv: tabular-classification takes"):
        prepared(tmp_path, planting.table(50), test=planting.archive(planting.class_folders()))
    with pytest.raises(InvalidData, match=r"d\.csv: image-classification takes"):
        prepared(tmp_path, planting.table(50), PICTURES)
    with pytest.raises(InvalidInput, match="task"):
        prepared(tmp_path, planting.table(50), "tabular-clasification")
    with pytest.raises(InvalidData, match="no such file"):
        prepare.prepare(planting.spec(target="y"), CLASSES, Source(tmp_path / "none"), None, tmp_path / "out")


# --- pictures ----------------------------------------------------------------------------------


def pictures(tmp_path, content, test=None, out="out", **settings):
    return prepare.prepare(
        planting.spec(**settings),
        PICTURES,
        planting.source(tmp_path, "p.zip", content),
        None if test is None else planting.source(tmp_path, "t.zip", test),
        tmp_path / out,
    )


def test_prepared_pictures(tmp_path):
    data = pictures(tmp_path, planting.archive(planting.class_folders(40)))
    meta = data.meta
    assert (meta.modality, meta.target, meta.classes) == ("image", "label", ("cat", "dog"))
    assert sum(meta.parts.values()) == 80
    assert (meta.profile.image_shape, meta.profile.sample_bytes) == ((10, 12, 3), 360)
    assert meta.preprocess["inputs"] == {"image": [10, 12, 3]}
    for part, rows in meta.parts.items():
        image, y = data.inputs(part)["image"], data.target(part)
        assert (image.shape, image.dtype, len(y)) == ((rows, 10, 12, 3), np.uint8, rows)
        # The second channel holds the class, the first the number in its folder.
        assert (image[:, 0, 0, 1] == 100 * y).all()
        assert (image[:, 0, 0, 2] == data.rows(part) % 40).all()
    assert sorted(p.name for p in data.path.iterdir()) == ["image.npy", "meta.json", "rows.npy", "target.npy", "test"]


def test_parts_of_folders_are_kept_and_pictures_shared_between_them_reported(tmp_path):
    files = [f for root in ("train/", "val/", "test/") for f in planting.class_folders(12, root=root)]
    data = pictures(tmp_path, planting.archive(files))
    assert data.meta.parts == {"train": 24, "validation": 24, "test": 24}
    assert "24 of 24 test pictures" in found(data)["train-test-overlap"].message
    assert "24 of 48 pictures" in found(data)["duplicate-rows"].message


def test_pictures_that_can_not_be_read_are_left_out(tmp_path):
    files = planting.class_folders(25)
    files[3] = (files[3][0], files[3][1][:40])
    data = pictures(tmp_path, planting.archive(files))
    assert sum(data.meta.parts.values()) == 49
    assert 3 not in np.concatenate([data.rows(p) for p in data.meta.parts])
    assert found(data)["unreadable-pictures"].rows == (4,)
    with pytest.raises(InvalidData, match="can't be read"):
        pictures(tmp_path, planting.archive([(name, b"x") for name, _ in files]))


def test_colour_pictures_that_are_grey_keep_one_channel(tmp_path):
    files = [(f"{c}/{i}.png", planting.picture((i, i, i))) for c in "ab" for i in range(20)]
    data = pictures(tmp_path, planting.archive(files))
    assert data.inputs("train")["image"].shape[1:] == (10, 12, 1)
    assert "one channel" in found(data)["picture-modes"].message


def test_identical_pictures_stay_in_one_part(tmp_path):
    files = planting.class_folders(40)
    files += [(name.replace("/", "/again-"), content) for name, content in files]
    data = pictures(tmp_path, planting.archive(files))
    assert "train-test-overlap" not in found(data)


def test_separate_test_pictures_take_the_size_of_the_data(tmp_path):
    test = [(f"{c}/{i}.png", planting.picture((i, 50, 0), (40, 30))) for c in ("cat", "dog", "cow") for i in range(5)]
    data = pictures(tmp_path, planting.archive(planting.class_folders(30)), planting.archive(test))
    assert data.inputs("test")["image"].shape == (10, 10, 12, 3)
    assert "5 of 15 test rows" in found(data)["unseen-labels"].message


def test_a_manifests_columns_split_and_group(tmp_path):
    rows = "".join(f"img/{i}.png,{'ab'[i % 2]},{'test' if i >= 30 else 'train'},g{i // 2}\n" for i in range(40))
    files = [(f"img/{i}.png", planting.picture((i, 0, 0))) for i in range(40)]
    content = planting.archive([*files, ("list.csv", b"path,label,part,person\n" + rows.encode())])
    data = pictures(tmp_path, content, split_column="part", group_column="person")
    assert data.meta.parts["test"] == 10
    groups = {part: {r // 2 for r in data.rows(part).tolist()} for part in ("train", "validation")}
    assert not groups["train"] & groups["validation"]
    assert pictures(tmp_path, content, target="label", out="two").meta.classes == ("a", "b")
    with pytest.raises(InvalidData, match="no column 'none'"):
        pictures(tmp_path, content, split_column="none", out="three")


def test_arrays_are_written_as_they_are(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 5), np.uint8)
    y = np.arange(60) % 3
    data = pictures(tmp_path, planting.npz(x_train=x[:45], y_train=y[:45], x_test=x[45:], y_test=y[45:]))
    assert data.meta.classes == ("0", "1", "2")
    for part in data.meta.parts:
        rows = data.rows(part)
        np.testing.assert_array_equal(data.inputs(part)["image"][..., 0], x[rows])
        np.testing.assert_array_equal(data.target(part), y[rows])


def test_large_pictures_are_shrunk_to_the_side_that_is_trained_on(tmp_path):
    x = np.zeros((40, 200, 100, 3), np.uint8)
    x[:, :100, :, 0] = np.arange(0, 200, 5)[:, None, None]
    data = pictures(tmp_path, planting.npz(x=x, y=np.arange(40) % 2))
    image = data.inputs("test")["image"]
    assert image.shape[1:] == (96, 48, 3)
    assert (image[:, 0, 0, 0] == 5 * data.rows("test")).all()


def test_the_blocks_in_which_pictures_are_copied_do_not_show(tmp_path, monkeypatch):
    content = planting.archive(planting.class_folders(40))
    whole = pictures(tmp_path, content, out="one")
    monkeypatch.setattr(picture_preparation, "_BLOCK", 7)
    np.testing.assert_array_equal(
        pictures(tmp_path, content, out="two").inputs("train")["image"], whole.inputs("train")["image"]
    )
    assert pathlib.Path(whole.path).exists()


def test_what_an_older_release_prepared_is_made_anew(tmp_path):
    data = prepared(tmp_path, planting.table(100))
    (data.path / "meta.json").write_text('{"layout": "of old"}')
    assert prepared(tmp_path, planting.table(100)).meta.key == data.meta.key
