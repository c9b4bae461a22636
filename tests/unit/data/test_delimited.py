"""CSV and TSV: what is recognised, and that every fault names its place."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import delimited
from automl.data.limits import Limits
from automl.spec import InvalidData


def read(text, header=None, name="d.csv"):
    return delimited.read(text if isinstance(text, bytes) else text.encode(), name, header)


def cells(table):
    return [[column.texts[c] for c in column.codes] for column in table.columns.values()]


@pytest.mark.parametrize(("delimiter", "form"), [(",", "csv"), (";", "csv"), ("|", "csv"), ("\t", "tsv")])
def test_the_delimiter_is_found(delimiter, form):
    text = "".join(delimiter.join(row) + "\n" for row in [["a", "b", "c"], ["1", "x", "2"], ["3", "y", "4"]])
    table = read(text)
    assert (table.format, list(table.columns), table.rows) == (form, ["a", "b", "c"], 2)


def test_decimal_commas_do_not_part_semicolon_tables():
    assert list(read("a;b\n" + "1,5;2,5\n" * 20).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n3,4\n", True),
        ("1,2\n3,4\n", False),
        ("39, State-gov, <=50K\n50, Self-emp, <=50K\n38, Private, >50K\n", False),
        ("name,town\nJan,Bonn\nAnna,Köln\n", True),
        ("ham,hello there\nspam,win now\nham,see you\n", False),
        ("date,v\n2020-01-01,3\n2020-01-02,4\n", True),
        ("2020-01-01,3\n2020-01-02,4\n", False),
        ("x\n1\n2\n", True),
    ],
)
def test_the_header_is_recognised(text, header):
    table = read(text)
    assert table.has_header == header
    if not header:
        assert next(iter(table.columns)) == "column_1"


def test_the_users_word_on_the_header_wins():
    assert read("1,2\n3,4\n", True).rows == 1
    assert list(read("a,b\nc,d\n", False).columns) == ["column_1", "column_2"]


def test_blanks_are_stripped_marks_and_line_ends_understood():
    assert cells(read(b"\xef\xbb\xbfa , b\r\n 1,\tx \r\n2, y\r\n")) == [["1", "2"], ["x", "y"]]
    assert cells(read("a,b\r1,2\r3,4\r")) == [["1", "3"], ["2", "4"]]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_ends():
    table = read('"a ""x""",b\n1,"y, z"\n2,"two\nlines"\n3,"q""q"\n')
    assert list(table.columns) == ['a "x"', "b"]
    assert cells(table)[1] == ["y, z", "two\nlines", 'q"q']


def test_tabs_part_text_with_loose_quotes():
    table = read('ham\tsay "hi\nspam\t"win" now\nham\tok\n', name="SMSSpamCollection")
    assert cells(table) == [["ham", "spam", "ham"], ['say "hi', '"win" now', "ok"]]


def test_unnamed_columns_are_named_by_their_place():
    assert list(read(",a,b\n0,x,1\n1,y,2\n").columns) == ["column_1", "a", "b"]


@pytest.mark.parametrize(
    ("content", "reason", "place"),
    [
        (b"", "EMPTY", "d.csv"),
        (b" \n\n", "EMPTY", "d.csv"),
        (b"a,b\n", "NO_ROWS", "d.csv"),
        (b"a,b", "NO_ROWS", "d.csv"),
        (b"a,b\n1,2\n3,\0\n", "NUL_BYTE", "line 3"),
        ("a,b\n1,2\n".encode("utf-16"), "ENCODING", "d.csv"),
        (b"a,town\n1,x\n2,K\xf6ln\n", "ENCODING", "row 2, column 'town'"),
        (b"stra\xdfe,b\n1,2\n", "ENCODING", "header"),
        (b"a,b,a\n1,2,3\n", "DUPLICATE_COLUMN", "column 3"),
        (b'a,b\n1,"x\n2,3\n4,5\n', "OPEN_QUOTE", "row 1"),
        (b"a,b\n1,x\n2," + b"y" * 2**21 + b"\n", "FIELD_TOO_LONG", "row 2, column 'b'"),
        (",".join(f"c{i}" for i in range(20_000)).encode() + b"\n", "TOO_MANY_COLUMNS", "d.csv"),
        (b"a" * 600 + b",b\n1,2\n", "NAME_TOO_LONG", "column 1"),
    ],
)
def test_faults_name_their_place(content, reason, place):
    with pytest.raises(InvalidData) as caught:
        read(content, True)
    assert caught.value.violations[0].reason == reason
    assert place in caught.value.violations[0].field


def test_every_ragged_row_is_named_up_to_twenty():
    text = "a,b,c\n1,2,3\n1,2\n4,5,6\n1,2,3,4\n" + "7,8,9\n" * 5 + "1\n" * 30
    with pytest.raises(InvalidData) as caught:
        read(text)
    violations = caught.value.violations
    assert [v.field for v in violations[:3]] == ["d.csv, row 2", "d.csv, row 4", "d.csv, row 10"]
    assert "expected 3 values as in the first row, got 2: column 3" in violations[0].message
    assert "column 4 and those behind it are too many" in violations[1].message
    assert len(violations) == 21
    assert "12 more" in violations[-1].message


def test_ragged_rows_are_counted_by_rows_without_a_header_too():
    with pytest.raises(InvalidData, match=r"d\.csv, row 2"):
        read("1,2\n3\n4,5\n", False)


def test_faults_of_encoding_are_found_behind_the_first_block():
    data = b"a,b\n" + b"1,x\n" * 2_000_000 + b"2,\xff\n"
    with pytest.raises(InvalidData, match="row 2000001, column 'b'"):
        read(data, True)


def test_too_many_rows_are_refused():
    with pytest.raises(InvalidData, match="at most 3 are taken"):
        delimited.read(b"a,b\n" + b"1,2\n" * 4, "d.csv", True, Limits(table_rows=3))


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=8),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=10,
    )
)
def test_what_the_csv_module_writes_is_read_back(rows):
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["one", "two", "three"])
    writer.writerows(rows)
    table = read(file.getvalue(), True)
    blanks = " \t\n\r\x0b\x0c"
    assert cells(table) == [[row[i].strip(blanks) for row in rows] for i in range(3)]
