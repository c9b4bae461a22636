"""`preprocess.json` means what `automl.data.encoder` says: golden files, values worked out by hand, properties."""

from __future__ import annotations

import datetime
import importlib.util
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.catalog import Component, TrainPlan
from automl.data import columns, encoder
from automl.spec import InvalidData, InvalidInput

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "preprocess"
CASES = sorted(GOLDEN.glob("*.json"))


def make_module():
    found = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def preprocess(*descriptions):
    return columns.document(
        list(descriptions),
        task="tabular-classification",
        kind="classification",
        target="t",
        classes=("a", "b"),
        metric="accuracy",
    )


NUMBERS = preprocess({"name": "a", "kind": "numeric"}, {"name": "b", "kind": "numeric"})


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_golden_files_are_what_the_encoder_gives(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    fitted = encoder.TableEncoder.from_dict(case["preprocess"])
    for found, expected in (
        (encoder.raw_inputs(case["preprocess"], case["raw"]), case["matrices"]),
        (fitted.encode(case["raw"]), case["expected"]),
    ):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], np.array(values, float), rtol=1e-6, atol=1e-6)
    assert fitted.to_dict() == case["preprocess"]


def test_the_golden_files_are_those_that_their_maker_writes():
    cases = {name: rest for name, *rest in make_module().cases()}
    assert sorted(cases) == [path.stem for path in CASES]
    for path in CASES:
        _, document, raw = cases[path.stem]
        written = json.loads(path.read_text(encoding="utf-8"))
        assert (written["preprocess"], written["raw"]) == (document, raw)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("5.", 5),
        ("+1e2", 100),
        ("1_000", math.nan),
        ("inf", math.nan),
        ("1e39", math.nan),
        ("0x1", math.nan),
        ("", math.nan),
        ("?", math.nan),
        ("1,5", math.nan),
        ("١", math.nan),
    ],
)
def test_numbers(text, value):
    np.testing.assert_equal(encoder.numeric_values([text])[0], np.float32(value))


@pytest.mark.parametrize(
    ("text", "order", "days"),
    [
        ("1970-01-01", "iso", 0),
        ("1970-01-02 12:00", "iso", 1.5),
        ("2000-03-01", "iso", 11017),
        ("01.03.2000", "dmy", 11017),
        ("3/1/2000", "mdy", 11017),
        ("1969-12-31", "iso", -1),
        ("2023-02-31", "iso", 19419),
        ("2023-13-01", "iso", math.nan),
        ("1/3/2000", "iso", math.nan),
        ("2000-03-01", "dmy", math.nan),
    ],
)
def test_days_of_a_date(text, order, days):
    np.testing.assert_equal(encoder.date_values([text], order, ["days"])[0, 0], np.float32(days))


@given(st.datetimes(min_value=datetime.datetime(1, 1, 1)))
def test_dates_agree_with_the_standard_library(moment):
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    found = encoder.date_values([text], "iso", encoder.DATE_FEATURES)[0]
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    days = (moment.date() - datetime.date(1970, 1, 1)).days + seconds / 86400
    angle, week = 2 * math.pi * (moment.month - 1) / 12, 2 * math.pi * moment.weekday() / 7
    expected = [days, moment.year, math.sin(angle), math.cos(angle), math.sin(week), math.cos(week), seconds / 3600]
    np.testing.assert_allclose(found, np.array(expected, np.float32), atol=1e-6)


def test_a_texts_row_has_the_norm_one_and_its_proportions_are_count_times_idf():
    row = encoder.text_values(["Good good BAD unknown"], ["bad", "good"], [2.0, 1.5])[0]
    np.testing.assert_allclose(row, np.array([2.0, 3.0]) / math.sqrt(13), rtol=1e-6)
    assert not encoder.text_values(["nothing known", "", "NA"], ["bad", "good"], [2.0, 1.5]).any()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (3.0, "3"),
        (2.5, "2.5"),
        (True, "true"),
        (7, "7"),
        (" a\t", "a"),
        (b" b ", "b"),
        (np.float32(4), "4"),
        (np.int64(5), "5"),
        (np.bool_(False), "false"),
    ],
)
def test_values_that_are_no_text_become_a_cells_text(value, text):
    assert encoder.text_of(value) == text


def test_operations_worked_out_by_hand():
    x = np.array([[1.0, -3.0], [np.nan, 3.0]], np.float32)
    out = encoder.apply_operations(
        x,
        [
            {"op": "indicators", "columns": [0, 1]},
            {"op": "affine", "shift": [0.0, 1.0], "scale": [2.0, 1.0]},
            {"op": "clip", "low": -2.0, "high": 2.0},
            {"op": "impute", "values": [9.0, 0.0]},
        ],
    )
    assert out.tolist() == [[2.0, -2.0, 0.0, 0.0], [9.0, 2.0, 1.0, 0.0]]
    assert encoder.apply_operations(np.array([[3.0]], np.float32), [{"op": "smooth-clip", "limit": 4.0}])[
        0, 0
    ] == pytest.approx(2.4)
    log = encoder.apply_operations(np.array([[-math.e + 1, 5.0]], np.float32), [{"op": "signed-log", "columns": [0]}])
    np.testing.assert_allclose(log, [[-1.0, 5.0]], rtol=1e-6)


def test_operations_leave_their_input_as_it_is():
    x = np.array([[1.0, np.nan]], np.float32)
    before = x.copy()
    encoder.apply_operations(x, [{"op": "signed-log", "columns": [0, 1]}, {"op": "impute", "values": [1, 2]}])
    np.testing.assert_array_equal(x, before)


def test_every_wrong_operation_is_named_at_once():
    with pytest.raises(InvalidInput) as caught:
        encoder.TableEncoder(
            NUMBERS,
            [
                {"op": "cube"},
                {"op": "affine", "shift": [0.0], "scale": [1.0, math.inf]},
                {"op": "indicators", "columns": [2]},
                {"op": "interpolate", "knots": [[2.0, 1.0], []], "values": [0.0, 1.0]},
            ],
        )
    assert len(caught.value.violations) == 5


def test_fit_marks_incomplete_columns_first_and_imputes_medians_last():
    x = np.array([[1.0, 10.0], [np.nan, 20.0], [5.0, 40.0]], np.float32)
    plan = TrainPlan(features=(Component("tests.unit.data.test_encoder:shift_by_minimum"),))
    fitted = encoder.TableEncoder.fit((NUMBERS, {"numeric": x}, np.array([0, 1, 0])), plan)
    assert [o["op"] for o in fitted.operations] == ["indicators", "affine", "affine", "impute"]
    assert fitted.operations[0]["columns"] == [0]
    # The second component sees what the first one left.
    assert fitted.operations[2]["shift"] == [0.0, 0.0]
    assert fitted.operations[-1]["values"] == [2.0, 10.0]
    out = fitted.transform({"numeric": x})
    assert out["numeric"].dtype == np.float32
    assert out["numeric"].tolist() == [[0.0, 0.0, 0.0], [2.0, 10.0, 1.0], [4.0, 30.0, 0.0]]
    assert fitted.to_dict()["inputs"] == {"numeric": 3} == fitted.widths


def shift_by_minimum(x, y):
    """A component of two operations, as a technique would bring it."""
    shift = {"op": "affine", "shift": np.nanmin(x, axis=0), "scale": np.ones(x.shape[1])}
    return [shift, {"op": "affine", "shift": np.zeros(x.shape[1]), "scale": np.ones(x.shape[1])}]


def test_without_columns_of_a_kind_the_input_is_absent():
    only = preprocess({"name": "c", "kind": "categorical", "vocabulary": ["x"]})
    fitted = encoder.TableEncoder.fit((only, {"categorical": np.array([[2]], np.int32)}, np.array([0])), TrainPlan())
    assert fitted.encode({"c": ["x", "y", ""]})["categorical"].tolist() == [[2], [1], [0]]
    assert fitted.widths == {"categorical": 1}


def test_wrong_shapes_and_lacking_columns_are_named():
    fitted = encoder.TableEncoder(NUMBERS, [])
    with pytest.raises(InvalidInput, match=r"expected \[n, 2\], got \[4, 3\]"):
        fitted.transform({"numeric": np.zeros((4, 3), np.float32)})
    with pytest.raises(InvalidData, match="b: the column is lacking"):
        fitted.encode({"a": ["1"]})
    with pytest.raises(InvalidData, match="expected 1 values"):
        fitted.encode({"a": ["1"], "b": ["1", "2"]})
    with pytest.raises(InvalidInput, match="version"):
        encoder.TableEncoder.from_dict({"version": 2, "modality": "table"})


@given(
    st.lists(
        st.tuples(*[st.one_of(st.none(), st.floats(width=32, allow_nan=False, allow_infinity=False))] * 2),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_the_numbers_the_model_gets_no_nan(rows):
    x = np.array([[math.nan if v is None else v for v in row] for row in rows], np.float32)
    fitted = encoder.TableEncoder.fit((NUMBERS, {"numeric": x}, np.zeros(len(x), np.int64)), TrainPlan())
    assert np.isfinite(fitted.transform({"numeric": np.vstack([x, [[math.nan] * 2]])})["numeric"]).all()
    again = encoder.TableEncoder.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(again.transform({"numeric": x})["numeric"], fitted.transform({"numeric": x})["numeric"])


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_can_be_encoded(texts):
    document = preprocess(
        {"name": "n", "kind": "numeric"},
        {"name": "c", "kind": "categorical", "vocabulary": ["a"]},
        {"name": "b", "kind": "boolean", "true": ["y"], "false": ["n"]},
        {"name": "d", "kind": "date", "format": "iso", "features": list(encoder.DATE_FEATURES)},
        {"name": "t", "kind": "text", "tokens": ["a", "0"], "idf": [1.0, 2.0]},
    )
    inputs = encoder.raw_inputs(document, dict.fromkeys("ncbdt", texts))
    assert inputs["numeric"].shape == (len(texts), 11)
    assert set(np.unique(inputs["categorical"])) <= {0, 1, 2}


def test_workers_open_prepared_data_without_the_readers_libraries():
    code = "import sys, automl.data.prepared, automl.data.encoder; print(sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("pandas", "pyarrow", "PIL", "tensorflow", "keras", "sklearn"):
        assert f"'{heavy}'" not in loaded


def test_medians_of_huge_numbers_are_finite():
    x = np.array([[3.4e38, 1.0], [3.4e38, np.nan]], np.float32)
    fitted = encoder.TableEncoder.fit((NUMBERS, {"numeric": x}, np.array([0, 1])), TrainPlan())
    assert fitted.operations[-1]["values"][0] == pytest.approx(3.4e38, rel=1e-6)
