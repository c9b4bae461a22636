"""Labels of rows: from columns, folders, arrays and lines, in the words of the model."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from PIL import Image

from automl_client import errors, labelled
from tests.unit.client import tiny_artifacts

TABLE = {**tiny_artifacts.PREPROCESS, "classes": ["<=50K", ">50K"], "target": "y"}


def write(path, text):
    path.write_text(text)
    return path


def test_a_tables_labels_in_whatever_words_training_takes_for_them(tmp_path):
    data = write(tmp_path / "d.csv", "a,b,y\n1,2,<=50K\n3,4, >50K. \n5,6,>50k\n7,8,?\n9,1,rich\n9,1,rich\n")
    found = labelled.read(data, TABLE)
    assert found.y.tolist() == [0, 1, 1]
    assert found.places.tolist() == [0, 1, 2]
    assert found.unlabelled == 1
    assert found.strange == {"rich": 2}
    np.testing.assert_array_equal(found.inputs["numeric"][:, 0], [1, 3, 5])


def test_numbers_leave_out_what_is_none(tmp_path):
    data = write(tmp_path / "d.csv", "a,b,price\n1,2,3.5\n3,4,\n5,6,much\n7,8,-1e2\n")
    found = labelled.read(data, {**TABLE, "classes": [], "target": "y"}, target="price")
    assert found.y.tolist() == [3.5, -100.0]
    assert found.unlabelled == 2


def test_labels_of_another_target_are_refused(tmp_path):
    data = write(tmp_path / "d.csv", "a,b,y\n1,2,cat\n3,4,dog\n")
    with pytest.raises(errors.InvalidData, match=r"label of this model \('<=50K', '>50K'\): it has 'cat', 'dog'"):
        labelled.read(data, TABLE)


def test_a_table_without_the_target_names_the_column(tmp_path):
    with pytest.raises(errors.InvalidData, match="column 'y'"):
        labelled.read(write(tmp_path / "d.csv", "a,b\n1,2\n"), TABLE)


@pytest.fixture
def pictures(tmp_path):
    for place, (name, value) in enumerate((("dark/1.png", 0), ("light/2.png", 250), ("light/3.png", 240))):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((1, 3), value, np.uint8)).save(tmp_path / "set" / name)
        assert place < 3
    return tmp_path / "set"


def test_folders_name_the_classes_of_pictures(pictures):
    found = labelled.read(pictures, tiny_artifacts.PICTURES)
    assert found.y.tolist() == [0, 1, 1]
    assert found.inputs["image"][:, 0, 0, 0].tolist() == [0, 250, 240]


@pytest.mark.parametrize("header", ["path,label\n", ""])
def test_a_csv_of_paths_has_a_column_of_labels(pictures, header):
    data = write(pictures / "list.csv", header + "light/3.png,light\ndark/1.png,dark\n")
    assert labelled.read(data, tiny_artifacts.PICTURES).y.tolist() == [1, 0]


@pytest.mark.parametrize("names", [("x", "y"), ("x_test", "y_test")])
def test_arrays_hold_pictures_and_labels(tmp_path, names):
    np.savez(tmp_path / "d.npz", **{names[0]: np.zeros((2, 1, 3), np.uint8), names[1]: np.array([1, 0])})
    found = labelled.read(tmp_path / "d.npz", {**tiny_artifacts.PICTURES, "classes": ["0", "1"]})
    assert found.y.tolist() == [1, 0]


def test_idx_has_its_labels_in_the_file_beside(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + np.array([2, 1, 3], ">u4").tobytes() + bytes(6))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x01\x00"))
    found = labelled.read(tmp_path / "t10k-images-idx3-ubyte", {**tiny_artifacts.PICTURES, "classes": ["0", "1"]})
    assert found.y.tolist() == [1, 0]


SERIES = {
    "version": 1, "modality": "series", "channels": ["x"], "length": 2, "ragged": False, "shift": [0.0], "scale": [1.0],
    "clip": 10.0, "missing": [""], "inputs": {"steps": 2, "channels": 1}, "classes": ["up", "down"], "target": "move",
}


def test_the_last_field_of_a_line_is_a_series_label(tmp_path):
    data = write(tmp_path / "d.ts", "@univariate true\n@classLabel true up down\n@data\n1,2:up\n2,1:down\n")
    assert labelled.read(data, {**SERIES, "source": {"form": "ts"}}).y.tolist() == [0, 1]


def test_a_series_in_rows_has_one_label(tmp_path):
    document = {**SERIES, "source": {"form": "long", "series": "run", "time": None, "columns": ["x"]}}
    rows = "run,x,move\nb,1,up\na,2,down\nb,2,up\na,1,down\n"
    assert labelled.read(write(tmp_path / "d.csv", rows), document).y.tolist() == [0, 1]
    with pytest.raises(errors.InvalidData, match="'a' has two labels: 'down' and 'up'"):
        labelled.read(write(tmp_path / "d.csv", rows + "a,1,up\n"), document)
