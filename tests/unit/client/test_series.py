"""The client's series: golden files, `.ts` files with and without labels, tables in wide and long form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from automl_client import errors, forms, series

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "preprocess" / "series").glob("*.json"))


def document(channels=2, steps=3, **changes):
    return {
        "version": 1, "modality": "series", "missing": ["", "?"], "channels": [f"dim_{i}" for i in range(channels)],
        "length": steps, "ragged": True, "shift": [0.0] * channels, "scale": [1.0] * channels, "clip": 100.0,
        "source": {"form": "ts"}, "inputs": {"steps": steps, "channels": channels + 1}, **changes,
    }


def blocks(preprocess, path):
    found = list(forms.of(preprocess).blocks(path, None))
    names = [name for block_names, _ in found for name in block_names]
    return names, np.concatenate([inputs["series"] for _, inputs in found])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    found = series.Encoder(case["preprocess"]).encode([np.array(one, float) for one in case["raw"]])["series"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(case["expected"]), atol=1e-6)


LABELLED = "# a comment\n@problemName x\n@classLabel true a b\n@data\n1,2:3,4:a\n5,?,7:8,9,NaN:b\n"


@pytest.mark.parametrize("content", [
    LABELLED, LABELLED.replace("true a b", "false").replace(":a\n", "\n").replace(":b\n", "\n"),
    LABELLED.replace("@classLabel true a b\n", ""), "\ufeff" + LABELLED.replace("\n", "\r\n"),
])
def test_a_ts_file_is_read_with_labels_or_without(tmp_path, content):
    path = tmp_path / "new.ts"
    path.write_bytes(content.encode())
    first, second = series.read_ts(path, 2)
    np.testing.assert_array_equal(first, [[1, 3], [2, 4]])
    np.testing.assert_array_equal(second, [[5, 8], [np.nan, 9], [7, np.nan]])
    (tmp_path / "new.ts.gz").write_bytes(gzip.compress(content.encode()))
    assert len(series.read_ts(tmp_path / "new.ts.gz", 2)) == 2


@pytest.mark.parametrize(("content", "told"), [
    ("", "is empty"),
    ("a,b\n1,2\n", "line 1: expected a header"),
    ("@problemName x\n@nonsense\n", "line 2: expected a header"),
    ("@classLabel false\n", "no line @data"),
    ("@timeStamps true\n@data\n", "time stamps"),
    ("@classLabel false\n@data\n", "no series"),
    ("@classLabel false\n@data\n1,2\n1,2\n", "line 3: its series have 1 channels, the model takes 2"),
    ("@classLabel false\n@data\n1,2:3,4\n1,2\n", "line 4: expected 2 dimensions, got 1"),
    ("@classLabel false\n@data\n1,2:3\n", "line 3: dimension 2 has 1 values and dimension 1 has 2"),
    ("@classLabel false\n@data\n1,2:3,x\n", "line 3: dimension 2, value 2: expected a number, got 'x'"),
    ("@classLabel false\n@data\n1,inf:3,4\n", "line 3: dimension 1, value 2"),
])
def test_faults_name_their_line(tmp_path, content, told):
    path = tmp_path / "bad.ts"
    path.write_text(content)
    with pytest.raises(errors.InvalidData, match=told):
        series.read_ts(path, 2)


def test_a_table_in_wide_form(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("id,t1,t0,t2,label\n1,2,1,3,x\n2,?,4,,y\n")
    names, found = blocks(document(1, source={"form": "wide", "columns": ["t0", "t1", "t2"]}), path)
    assert names == []
    np.testing.assert_array_equal(found[:, :, 0], [[1, 2, 3], [4, 0, 0]])
    np.testing.assert_array_equal(found[:, :, 1], [[1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize("time", [
    None, {"name": "t", "kind": "numeric", "format": ""}, {"name": "t", "kind": "date", "format": "iso"},
])
def test_a_table_in_long_form_is_put_in_order(tmp_path, time):
    times = ["2024-01-31", "2024-02-01", "2023-12-31 23:00"] if time and time["kind"] == "date" else ["10", "11", "9"]
    path = tmp_path / "long.csv"
    path.write_text("who,t,a,b\n" + "".join(
        f"{who},{t},{a},{b}\n" for who, t, a, b in zip("yxyy", [times[0], times[0], times[1], times[2]], "1234", "5678")
    ))
    source = {"form": "long", "series": "who", "time": time, "columns": ["a", "b"]}
    names, found = blocks(document(source=source), path)
    assert names == ["y", "x"]
    np.testing.assert_array_equal(found[0, :, 0], [4, 1, 3] if time else [1, 3, 4])
    np.testing.assert_array_equal(found[1], [[2, 6, 1], [0, 0, 0], [0, 0, 0]])
    assert forms.of(document(source=source)).heading == "series"


def test_rows_of_no_series_or_no_time_are_refused(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("who,t,a,b\nx,1,1,1\n,2,1,1\n")
    source = {"form": "long", "series": "who", "time": None, "columns": ["a", "b"]}
    with pytest.raises(errors.InvalidData, match="row 2, column 'who'"):
        blocks(document(source=source), path)
    path.write_text("who,t,a,b\nx,1,1,1\nx,soon,1,1\n")
    source["time"] = {"name": "t", "kind": "numeric", "format": ""}
    with pytest.raises(errors.InvalidData, match=r"row 2, column 't'.*'soon'"):
        blocks(document(source=source), path)


def test_series_in_memory(tmp_path):
    form = forms.of(document(1))
    expected = form.encoded([np.array([[1.0], [2.0]]), [3.0]])["series"]
    np.testing.assert_array_equal(expected[:, :, 0], [[1, 2, 0], [3, 0, 0]])
    np.testing.assert_array_equal(form.encoded(np.array([[[1.0], [2.0], [np.nan]]]))["series"], expected[:1])
    written = form.written([np.array([[1.0], [np.nan], [2.5]])], tmp_path)
    np.testing.assert_array_equal(series.read_ts(written, 1)[0], [[1], [np.nan], [2.5]])
    for wrong in ({"a": [1]}, np.zeros(3), [np.zeros((2, 2))], [["x"]]):
        with pytest.raises(errors.InvalidInput, match="give arrays"):
            form.encoded(wrong)
