"""Tables for prediction: headers and delimiters found by the model's columns, and every fault with its place."""

from __future__ import annotations

import gzip
import re

import pytest

from automl_client import errors, tables

COLUMNS = ("age", "job")


def read(path, columns=COLUMNS, header=None):
    made = {name: [] for name in columns}
    for block in tables.blocks(path, columns, header):
        for name, cells in block.items():
            made[name] += cells
    return made


def write(tmp_path, content, name="new.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


EXPECTED = {"age": ["39", "50"], "job": ["clerk", "a,b"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.csv", 'age,x,job\n39,1,clerk\n50,2,"a,b"\n'),
        ("reordered.csv", 'job,age\nclerk,39\n"a,b",50\n'),
        ("windows.csv", '\ufeffage,job\r\n39,clerk\r\n50,"a,b"\r\n'),
        ("semicolons.csv", "age;job\n39;clerk\n50;a,b\n"),
        ("bars.txt", "age|job\n39|clerk\n50|a,b\n"),
        ("tabs.csv", "age\tjob\n39\tclerk\n50\ta,b\n"),
        ("new.tsv", "age\tjob\n39\tclerk\n50\ta,b\n"),
        ("blank-lines.csv", 'age,job\n\n39,clerk\n\n50,"a,b"\n\n'),
        ("no-line-end.csv", 'age,job\n39,clerk\n50,"a,b"'),
        ("spaces-in-header.csv", ' age ,"job"\n39,clerk\n50,"a,b"\n'),
    ],
)
def test_forms_of_the_same_table(tmp_path, name, content):
    assert read(write(tmp_path, content, name)) == EXPECTED


def test_gzipped(tmp_path):
    assert read(write(tmp_path, gzip.compress(b'age,job\n39,clerk\n50,"a,b"\n', mtime=0), "new.csv.gz")) == EXPECTED


def test_parquet(tmp_path):
    import datetime

    import pyarrow
    from pyarrow import parquet

    moments = [datetime.datetime(2020, 1, 2, 3, 4, 5, 600), None]
    table = pyarrow.table({"job": ["clerk", None], "age": [39.0, 50.5], "at": moments, "on": [moments[0].date(), None]})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", ("age", "job", "at", "on")) == {
        "age": ["39", "50.5"],
        "job": ["clerk", ""],
        "at": ["2020-01-02T03:04:05", ""],
        "on": ["2020-01-02", ""],
    }


def test_parquet_without_pyarrow_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.Unavailable, match="pyarrow"):
        read(write(tmp_path, b"PAR1...", "x.parquet"))


def test_a_model_of_a_file_without_header_reads_such_files(tmp_path):
    path = write(tmp_path, "39, clerk\n50, farmer\n")
    assert read(path, ("column_1", "column_2")) == {"column_1": ["39", "50"], "column_2": [" clerk", " farmer"]}
    named = write(tmp_path, "column_2,column_1\nclerk,39\n")
    assert read(named, ("column_1", "column_2")) == {"column_1": ["39"], "column_2": ["clerk"]}


def test_a_data_row_with_empty_cells_is_no_header(tmp_path):
    assert read(write(tmp_path, ",clerk\n50,x\n"), ("column_1", "column_2"))["column_1"] == ["", "50"]


def test_the_caller_may_know_better_about_the_header(tmp_path):
    path = write(tmp_path, "column_1,column_2\n1,2\n")
    assert read(path, ("column_1",), header=False)["column_1"] == ["column_1", "1"]


def test_blocks_are_bounded_and_keep_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_IN_A_BLOCK", 4)
    path = write(tmp_path, "age,job\n" + "".join(f"{i},x\n" for i in range(10)))
    blocks = list(tables.blocks(path, COLUMNS))
    assert [len(block["age"]) for block in blocks] == [4, 4, 2]
    assert [cell for block in blocks for cell in block["age"]] == [str(i) for i in range(10)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("age,job\n", "no data rows"),
        ("39,clerk\n50,farmer\n", "none of the model's columns"),
        ("age,x\n1,2\n", "column 'job'"),
        ("age,job,age\n1,2,3\n", "2 times"),
        ("age,job\n1,2\n1,2,3\n4\n", "row 2: expected 2 values as in the first line, got 3"),
        ("age,job\n1,2\n1,2,3\n4\n", "row 3: expected 2 values as in the first line, got 1"),
        (b"age,job\n1,\xff\n", "0xff is not UTF-8"),
        ("age,job\n1,x\n".encode("utf-16"), "UTF-16"),
        (gzip.compress(b"age,job\n1,x\n" * 99, mtime=0)[:-20], "gzip"),
        (b'age,job\n1,"' + b"x" * (2 << 20) + b'"\n', "row 1: can't be read"),
    ],
)
def test_faults_name_their_place(tmp_path, content, words):
    with pytest.raises(errors.InvalidData, match=re.escape(words)) as caught:
        read(write(tmp_path, content))
    assert "new.csv" in str(caught.value)


def test_at_most_twenty_faults_are_listed(tmp_path):
    with pytest.raises(errors.InvalidData) as caught:
        read(write(tmp_path, "age,job\n" + "1\n" * 100))
    assert len(caught.value.violations) == 20


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_what_is_no_file(tmp_path, name):
    with pytest.raises(errors.InvalidData):
        read(tmp_path / name)


def test_names_are_those_that_training_makes():
    from automl.data import table

    raw = ["a", "", " b\t c ", "d\x00e"]
    assert tables._names(raw) == table.column_names(raw, "x.csv")
