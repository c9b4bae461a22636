"""What is kept of a model makes every artifact again, on rows that were kept with it."""

from __future__ import annotations

import json
import pathlib
import shutil
import zipfile

import numpy as np
import pytest

from automl.data import miniature
from automl.execution import again, children
from automl.export import candidate, kit
from automl.spec import Internal
from tests.unit.export import planted


@pytest.mark.parametrize("name", ["table", "pictures", "texts"])
def test_a_miniature_has_the_first_rows_of_each_part(
    name: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    whole = request.getfixturevalue(name).data
    small = miniature.write(whole, tmp_path / "small", miniature.Rows(train=40, validation=5, test=30))
    assert small.meta.parts == {"train": 40, "validation": 5, "test": 30}
    for part, count in small.meta.parts.items():
        for key, value in small.inputs(part).items():
            np.testing.assert_array_equal(value, whole.inputs(part)[key][:count])
        np.testing.assert_array_equal(small.target(part), whole.target(part)[:count])
        if name != "pictures":
            expected = whole.raw(part, limit=count)
            for column, values in small.raw(part).items():
                np.testing.assert_array_equal(np.array(values), np.array(expected[column]))


def test_a_miniature_leaves_texts_behind_that_no_row_has(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    small = miniature.write(texts.data, tmp_path / "small", miniature.Rows(train=3, validation=1, test=2))
    kept = bytes(np.load(small.path / "raw_values.npy")).decode()
    for message in texts.data.raw("train")["message"][10:20]:
        assert message not in kept


@pytest.fixture
def kept(table: planted.Planted, tmp_path: pathlib.Path) -> pathlib.Path:
    kit.pack(table.candidate, table.data, tmp_path / kit.FILENAME, metric="accuracy", tolerance=0.05)
    return tmp_path / kit.FILENAME


def test_another_artifact_is_verified_on_the_kept_rows(
    kept: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "run_in_child", planted.run_here)
    request = {
        "kit": str(kept), "out": str(tmp_path / "out"), "format": "tflite", "precision": "int8", "max_size_bytes": None,
        "tolerance": None,
    }
    said = again.make(request)
    proof = said["artifact"]["verification"]
    assert (proof["part"], proof["rows"], proof["metric"], proof["tolerance"]) == ("test", 200, "accuracy", 0.05)
    assert pathlib.Path(said["path"]).stat().st_size == said["artifact"]["size_bytes"]
    whole = said["artifact"]["size_bytes"]

    fitting = again.make({**request, "precision": "", "max_size_bytes": whole + 10})
    assert fitting["artifact"]["precision"] in ("dynamic", "int8")  # the first, from the most exact on, that fits
    assert fitting["artifact"]["size_bytes"] <= whole + 10

    none = again.make({**request, "precision": "", "max_size_bytes": 100})
    assert [one["precision"] for one in none["refused"]] == ["float32", "float16", "dynamic", "int8"]
    assert "at most 100 bytes were asked for" in none["refused"][0]["reason"]


def test_what_was_trained_for_integers_is_kept(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    """A later export would else be quantised after training, from weights that weren't."""
    shutil.copytree(table.candidate, tmp_path / "trained")
    for batch, content in ((None, b"of any number"), (1, b"of one row")):
        (tmp_path / "trained" / candidate.trained_file("int8", batch)).write_bytes(content)
    (tmp_path / "trained" / "converted-int8-any-0.tflite").write_bytes(b"can be made again")
    kit.pack(tmp_path / "trained", table.data, tmp_path / "model.kit.zip", metric="accuracy", tolerance=0.05)
    kit.unpack(tmp_path / "model.kit.zip", tmp_path / "kept")
    kept = candidate.Candidate(tmp_path / "kept" / "candidate")
    for batch, content in ((None, b"of any number"), (1, b"of one row")):
        found = kept.trained_for("int8", batch)
        assert found is not None
        assert found.read_bytes() == content
    assert not list(kept.path.glob("converted*"))


def test_a_damaged_kit_is_told(kept: pathlib.Path, tmp_path: pathlib.Path) -> None:
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(Internal, match="the model's kit can't be read"):
        kit.unpack(kept, tmp_path / "folder")


def test_the_kit_holds_what_its_docstring_says(kept: pathlib.Path) -> None:
    with zipfile.ZipFile(kept) as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read("delivery.json")) == {"metric": "accuracy", "tolerance": 0.05}
    assert {"candidate/model.keras", "candidate/preprocess.json", "data/meta.json", "data/test/target.npy"} <= names
