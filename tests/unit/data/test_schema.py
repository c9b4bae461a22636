"""Column kinds, inspected tables, findings that need no target, Parquet."""

from __future__ import annotations

import datetime
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import inspection, schema
from automl.data.__main__ import main
from automl.data.table import TextColumn
from automl.spec import ColumnKind, DatasetInfo, InvalidData
from tests.unit.data import planting

RNG = np.random.default_rng(0)
WORDS = ["alpha", "beta", "gamma", "delta"]


def column(values, name="c"):
    return schema._column(TextColumn.of(name, pa.array(["" if v is None else str(v) for v in values], pa.string())), None)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1.5", "2", "-3e2", ""], "numeric"),
        (["3", "1", "2"] * 10, "numeric"),
        (["1"] * 96 + ["2", "3", "4", "many"], "numeric"),
        ([" ", "20.5", "30.1", "18"] * 5, "numeric"),
        (["0", "1", "1", ""], "boolean"),
        (["1.0", "0.0"], "boolean"),
        (["Yes", "no", "NO", "?"], "boolean"),
        (["True", "False"], "boolean"),
        (["1", "2", "2"], "numeric"),
        (["male", "female"], "categorical"),
        (["01234", "99999", "00501"] * 9, "categorical"),
        ([None, None], "constant"),
        (["x", "x", "x"], "constant"),
        (["x", "x", None], "categorical"),
        (["7", "7", ""], "numeric"),
        (["2020-01-01", "2020-02-01", ""], "date"),
        (["2020-01-01 10:00:00"] * 2 + ["2020-01-02T11:30"], "date"),
        (["31.12.2020", "1.2.2021"], "date"),
        (["12/31/2020", "1/2/2021"], "date"),
        (range(1, 101), "id"),
        (np.random.default_rng(1).permutation(100), "numeric"),
        ([f"user-{i}" for i in range(100)], "id"),
        ([f"user-{i % 50}" for i in range(100)], "categorical"),
        ([f"the quick brown fox number {i}" for i in range(100)], "text"),
        (["a long sentence of very many words which comes again"] * 60 + ["another one"] * 40, "categorical"),
        (RNG.normal(size=100).tolist(), "numeric"),
    ],
)
def test_kinds(values, kind):
    assert column(values).kind == kind


def test_numbers_that_are_called_id_are_ids():
    values = np.random.default_rng(1).permutation(1000)[:100]
    assert [column(values, name).kind for name in ("id", "customer_id", "CustomerID", "userId", "humid", "paid")] == [
        "id",
        "id",
        "id",
        "id",
        "numeric",
        "numeric",
    ]


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["2020-12-31", "2021-01-01"], "iso"),
        (["31.12.2020", "1.2.2021"], "dmy"),
        (["12/31/2020", "1/2/2021"], "mdy"),
        (["1/2/2021", "3/4/2021"], "mdy"),
        (["1.2.2021", "3.4.2021"], "dmy"),
        (["31/12/2021", "3/4/2021"], "dmy"),
    ],
)
def test_the_order_of_a_dates_fields(values, order):
    assert column(values).order == order


def test_the_user_overrides_kinds_by_name(tmp_path):
    from automl.data import readers

    table = readers.read(planting.source(tmp_path, "t.csv", "a,b\n1,x\n2,y\n3,x\n"))
    kinds = schema.infer(table, {"a": ColumnKind.CATEGORICAL, "b": ColumnKind.DATE})
    assert (kinds["a"].kind, kinds["b"].kind, kinds["b"].rows_unparsed) == ("categorical", "date", 3)


def test_what_a_column_says_of_itself():
    info = column(["3", "1", "?", "3", "2.5", "x"] + ["1"] * 30).info()
    assert (info.kind, info.rows_missing, info.distinct, info.minimum, info.maximum, info.integer) == (
        "numeric",
        1,
        4,
        1.0,
        3.0,
        False,
    )
    assert info.top[:2] == (("1", 31), ("3", 2))
    assert info.examples == ("3", "1", "2.5", "x")
    assert column(range(2000)).info().top == ()


@pytest.mark.parametrize(
    ("values", "true", "false"),
    [
        (["Yes", "no"], ["Yes"], ["no"]),
        (["0", "1"], ["1", "1.0"], ["0", "0.0"]),
        (["b", "a"], ["b"], ["a"]),
        (["TRUE", "False"], ["TRUE"], ["False"]),
    ],
)
def test_the_words_of_a_boolean(values, true, false):
    assert schema.boolean_words(column(values).text) == (true, false)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=30))
def test_any_column_has_a_kind_and_can_be_told(values):
    found = column(values)
    info = found.info()
    assert info.rows_missing + sum(n for _, n in info.top) == len(values)
    assert (
        DatasetInfo.from_dict(
            DatasetInfo(modality="table", format="csv", rows=len(values), columns=(info,)).to_dict()
        ).columns[0]
        == info
    )


# --- inspection --------------------------------------------------------------------------------


def findings(tmp_path, columns):
    info = inspection.inspect(planting.source(tmp_path, "t.csv", planting.csv(columns)))
    return {f.check: f for f in info.findings}, info


def test_an_inspected_table(tmp_path):
    found, info = findings(tmp_path, planting.table())
    kinds = {c.name: c.kind.value for c in info.columns}
    assert kinds == {
        "x": "numeric",
        "color": "categorical",
        "paid": "boolean",
        "since": "date",
        "remark": "text",
        "code": "id",
        "same": "constant",
        "label": "boolean",
    }
    assert set(found) == {"missing-values", "constant-column", "id-like-column"}
    assert found["missing-values"].columns == ("x", "color")
    assert "x 6.0%" in found["missing-values"].message


def test_planted_faults_are_found(tmp_path):
    n = 100
    found, _ = findings(
        tmp_path,
        {
            "a": [*range(90), *["bad"] * 2, *range(8)],
            "gone": [None] * n,
            "half": [None] * 60 + ["x", "y"] * 20,
            "comma": [f'"{i},5"' for i in range(n)],
        },
    )
    assert found["unparsed-values"].rows == (91, 92)
    assert found["empty-column"].columns == ("gone",)
    assert found["missing-values"].severity == "warning"
    assert found["decimal-comma"].columns == ("comma",)
    repeated, _ = findings(tmp_path, {"id": range(30), "a": [1, 2, 3] * 10, "b": ["x", "y", "z"] * 10})
    assert "27 of 30" in repeated["duplicate-rows"].message


def test_the_command_prints_the_inspection(tmp_path, capsys):
    path = tmp_path / "stored"
    path.write_text("1,a\n2,b\n3,a\n")
    assert main(["inspect", str(path), "--filename", "d.csv"]) == 0
    assert DatasetInfo.from_dict(json.loads(capsys.readouterr().out)).has_header is False
    assert main(["inspect", str(path), "--filename", "d.csv", "--has-header", "true"]) == 0
    assert DatasetInfo.from_dict(json.loads(capsys.readouterr().out)).rows == 2
    path.write_text("a,b\n1\n")
    assert main(["inspect", str(path), "--filename", "d.csv"]) == 2
    violation = json.loads(capsys.readouterr().out)["violations"][0]
    assert (violation["field"], violation["reason"]) == ("d.csv, row 1", "RAGGED_ROW")


def test_the_command_as_a_process(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "automl.data", "inspect", str(tmp_path / "none"), "--filename", "d.csv"],
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (2, "")
    assert json.loads(ended.stdout)["violations"][0]["message"] == "there is no such file"
    assert str(tmp_path) not in ended.stdout


# --- Parquet -----------------------------------------------------------------------------------


def parquet(table):
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_parquet_means_the_same_as_csv(tmp_path):
    day = datetime.datetime(2020, 1, 2, 3, 4, 5)
    typed = pa.table(
        {
            "i": [1, 2, None],
            "f": [1.0, 2.5, float("nan")],
            "b": [True, False, None],
            "s": [" x ", "y", None],
            "t": [day, day, None],
            "d": [day.date(), day.date(), None],
            "c": pa.array(["p", "q", "p"]).dictionary_encode(),
        }
    )
    text = (
        "i,f,b,s,t,d,c\n1,1,true,x,2020-01-02T03:04:05,2020-01-02,p\n"
        "2,2.5,false,y,2020-01-02T03:04:05,2020-01-02,q\n,,,,,,p\n"
    )
    one = inspection.inspect(planting.source(tmp_path, "t.parquet", parquet(typed)))
    other = inspection.inspect(planting.source(tmp_path, "t.csv", text))
    assert one.columns == other.columns
    assert one.format == "parquet"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"a": [[1], [2]], "b": [1, 2]}), "COLUMN_TYPE"),
        (pa.table({"a": [b"x"]}), "COLUMN_TYPE"),
        (pa.table({"a": pa.array([], pa.int64())}), "NO_ROWS"),
    ],
)
def test_parquet_faults(tmp_path, table, reason):
    with pytest.raises(InvalidData) as caught:
        inspection.inspect(planting.source(tmp_path, "t.parquet", parquet(table)))
    assert caught.value.violations[0].reason == reason


def test_damaged_parquet_is_named(tmp_path):
    content = parquet(pa.table({"a": list(range(1000))}))
    for broken in (b"PAR1", content[:-10], content[:50] + b"\xff" * 40 + content[90:]):
        with pytest.raises(InvalidData, match=r"t\.parquet"):
            inspection.inspect(planting.source(tmp_path, "t.parquet", broken))


def test_wide_tables_are_told_briefly(tmp_path):
    info = inspection.inspect(planting.source(tmp_path, "t.csv", planting.csv({f"c{i}": range(60) for i in range(101)})))
    assert {len(c.top) for c in info.columns if c.kind == "numeric"} <= {10}


def test_parquet_that_declares_more_cells_than_are_taken(tmp_path, monkeypatch):
    from automl.data import parquet as reader
    from automl.data.limits import Limits

    with pytest.raises(InvalidData, match="cells; at most 5 are taken"):
        reader.read(parquet(pa.table({"a": [1, 2, 3], "b": [1, 2, 3]})), "t.parquet", Limits(table_cells=5))
