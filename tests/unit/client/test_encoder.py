"""The client's encoder against the golden files, and against the engine's on what they don't hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import encoder as engine
from automl_client import encoder, errors

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "preprocess").glob("*.json"))


def document(columns, operations=(), **changes):
    numeric = [name for column in columns for name in engine.feature_names(column)]
    categorical = [column["name"] for column in columns if column["kind"] == "categorical"]
    return {
        "version": 1,
        "modality": "table",
        "missing": list(engine.MISSING),
        "columns": columns,
        "numeric": numeric,
        "categorical": categorical,
        "operations": list(operations),
        **changes,
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    types = {"numeric": np.float32, "categorical": np.int32}
    expected = {
        name: np.array([[math.nan if v is None else v for v in row] for row in rows], types[name])
        for name, rows in case["expected"].items()
    }
    assert_same(encoder.Encoder(case["preprocess"]).encode(case["raw"]), expected)


COLUMNS = [
    {"name": "n", "kind": "numeric"},
    {"name": "c", "kind": "categorical", "vocabulary": ["a", "b", "1"]},
    {"name": "b", "kind": "boolean", "true": ["yes"], "false": ["no"]},
    {"name": "d", "kind": "date", "format": "iso", "features": list(engine.DATE_FEATURES)},
    {"name": "e", "kind": "date", "format": "dmy", "features": ["days", "hour"]},
    {"name": "t", "kind": "text", "tokens": ["good", "bad", "é"], "idf": [1.5, 2.0, 3.0]},
]
WIDTH = 1 + 1 + 7 + 2 + 3
OPERATIONS = [
    {"op": "indicators", "columns": [0, 1]},
    {"op": "signed-log", "columns": [0]},
    {"op": "affine", "shift": [0.5] * WIDTH, "scale": [2.0] * WIDTH},
    {"op": "smooth-clip", "limit": 3.0},
    {
        "op": "interpolate",
        "knots": [[-1.0, 0.0, 0.0, 1.0]] + [[]] * (WIDTH - 1),
        "values": [[0.0, 0.1, 0.5, 1.0]] + [[]] * (WIDTH - 1),
    },
    {"op": "clip", "low": -2.0, "high": 2.0},
    {"op": "impute", "values": [0.25] * WIDTH},
]
TEXT = st.one_of(
    st.text(max_size=8),
    st.floats().map(str),
    st.integers(-(10**6), 10**6).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.dates().map(lambda day: f"{day:%d.%m.%Y}"),
    st.sampled_from(["yes", "no", "a", "?", "NaN", "good bad good", "É bad", "0000-02-31", "1_0"]),
)


@given(rows=st.lists(st.lists(TEXT, min_size=6, max_size=6), min_size=1, max_size=8))
def test_any_text_is_encoded_as_the_engine_encodes_it(rows):
    raw = {column["name"]: list(cells) for column, cells in zip(COLUMNS, zip(*rows, strict=True), strict=True)}
    made = document(COLUMNS, OPERATIONS)
    expected = engine.TableEncoder.from_dict(made).encode(raw)
    assert_same(encoder.Encoder(made).encode(raw), expected)


@pytest.mark.parametrize(
    "value",
    [None, math.nan, 1, 1.0, 1.5, True, False, np.float32(2), np.int64(3), np.bool_(True), b" x ", " y ", 1e20, 10**18],
)
def test_values_become_the_text_that_the_engine_makes_of_them(value):
    assert encoder.text_of(value) == engine.text_of(value)


def test_unknown_and_missing_values_are_no_error():
    inputs = encoder.Encoder(document(COLUMNS[:2], [{"op": "impute", "values": [9.0]}])).encode(
        {"n": [None, "x"], "c": ["new", ""]}
    )
    assert inputs["numeric"].tolist() == [[9.0], [9.0]]
    assert inputs["categorical"].tolist() == [[1], [0]]


def test_every_lacking_column_is_named():
    with pytest.raises(errors.InvalidData) as caught:
        encoder.Encoder(document(COLUMNS[:3])).encode({"c": ["a"], "more": [1]})
    assert [violation.field for violation in caught.value.violations] == ["column 'n'", "column 'b'"]


@pytest.mark.parametrize("changes", [{"version": 2}, {"modality": "image"}])
def test_documents_of_another_kind_are_refused(changes):
    with pytest.raises(errors.InvalidInput, match="expected version 1 of a table"):
        encoder.Encoder(document(COLUMNS, **changes))


def test_operations_of_a_newer_version_are_refused():
    with pytest.raises(errors.InvalidInput, match="'twist'"):
        encoder.Encoder(document(COLUMNS[:1], [{"op": "twist"}])).encode({"n": ["1"]})


def test_numbers_alone_make_no_categorical_input():
    assert set(encoder.Encoder(document(COLUMNS[:1])).encode({"n": ["1"]})) == {"numeric"}
    assert set(encoder.Encoder(document(COLUMNS[1:2])).encode({"c": ["a"]})) == {"categorical"}
