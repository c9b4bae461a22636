"""The TensorFlow graph of preprocess.json means what the NumPy encoder means, cell by cell."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

from automl.data import encoder
from automl.export.raw import tables
from tests.unit.export import planted

GOLDEN = sorted((pathlib.Path(__file__).parents[2] / "golden" / "preprocess").glob("*.json"))

DATES = [
    "2024-02-29", "1970-01-01", "1969-12-31", "2000-1-1", "0000-01-01", "2023/07/09", "2023.7.9",
    "2024-12-31T23:59:59", "2024-12-31 5:07",
    "2024-06-01 12:34:56.789", "2024-06-01T12:34:56Z", "2024-06-01T12:34+02:00", "2024-06-01   08:09", "2024-13-01",
    "2024-00-10",
    "2024-01-32", "2024-02-31", "2024-01-01 25:00", "2024-01-01 24:00", "24-01-01", "2024-01-01x", "today", "", "?",
    "  2024-05-06  ",
    "01-02-2024", "31/12/1999 6:00", "12/31/1999", "9999-12-31",
]
TEXTS = [
    "good bad", "Good, GOOD; bad!", "", "NA", "good_bad", "ÜBER über", "gut123 123", "日本語 good", "ΣΊΣΥΦΟΣ σίσυφος",
    "a²b ½", "  good\tslow\n",
    "none of them", "good" * 3, "Ⅷ good",
]
BOOLEANS = ["yes", "no", "Yes", "", "?", " yes ", "maybe"]


def document(columns: list[dict[str, Any]], operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": 1, "modality": "table", "missing": list(encoder.MISSING), "columns": columns,
        "numeric": [name for column in columns for name in encoder.feature_names(column)],
        "categorical": [c["name"] for c in columns if c["kind"] == "categorical"], "operations": operations,
    }


def encoded(preprocess: dict[str, Any], raw: dict[str, list[str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """By the graph, and by the encoder."""
    import tensorflow as tf

    from automl.export import _table_graph

    graph = _table_graph.TableGraph(preprocess)
    columns = []
    for column in preprocess["columns"]:
        texts = [encoder.text_of(value) for value in raw[column["name"]]]
        if column["kind"] == "numeric":
            columns.append(tf.constant(encoder.numeric_values(texts, preprocess["missing"])))
        else:
            columns.append(
                tf.constant([value if isinstance(value, str) else encoder.text_of(value) for value in raw[column["name"]]])
            )
    found = {
        name: tensor.numpy() for name, tensor in tf.function(
            graph.encode, autograph=False, reduce_retracing=True
        )(columns).items()
    }
    return found, encoder.TableEncoder.from_dict(preprocess).encode(raw)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=4e-6, err_msg=name)


@pytest.mark.parametrize("order", encoder.DATE_FORMATS)
def test_dates(order: str) -> None:
    columns = [{"name": "d", "kind": "date", "format": order, "features": list(encoder.DATE_FEATURES)}]
    assert_same(*encoded(document(columns, []), {"d": DATES}))


def test_texts_with_letters_of_all_scripts() -> None:
    tokens = ["good", "bad", "über", "123", "日本語", "σίσυφος", "a²b", "½", "ⅷ", "slow"]
    columns = [{"name": "t", "kind": "text", "tokens": tokens, "idf": [1.0 + 0.1 * i for i in range(len(tokens))]}]
    assert_same(*encoded(document(columns, []), {"t": TEXTS}))


def test_booleans_and_categories_with_blanks_missing_and_unseen_values() -> None:
    columns = [
        {"name": "b", "kind": "boolean", "true": ["yes"], "false": ["no"]},
        {"name": "c", "kind": "categorical", "vocabulary": ["yes", "maybe", "Yes"]},
        {"name": "empty", "kind": "categorical", "vocabulary": []},
    ]
    assert_same(*encoded(document(columns, []), {"b": BOOLEANS, "c": BOOLEANS, "empty": BOOLEANS}))


def test_operations_with_missing_and_extreme_numbers() -> None:
    rng = np.random.default_rng(11)
    values = [*rng.normal(0, 3, 60).astype(np.float32), 0.0, -0.0, 1.0, 2.0, 3e38, -3e38, math.nan, 5.0]
    raw = {name: [encoder.text_of(float(v)) for v in rng.permutation(values)] for name in "abcd"}
    operations: list[dict[str, Any]] = [
        {"op": "indicators", "columns": [0, 2]}, {"op": "signed-log", "columns": [1, 3]},
        {"op": "interpolate", "knots": [[-1.0, 0.0, 0.0, 2.0], [], [1.0], [-2.0, 1.0, 1.0, 1.0]],
         "values": [[0.0, 1.0, 5.0, 9.0], [], [4.0], [1.0, 2.0, 3.0, 7.0]]},
        {"op": "indicators", "columns": [3]}, {"op": "affine", "shift": [0.5, 0.1, 0.0, 1.0], "scale": [2.0, 0.5, 1.0, 3.0]},
        {"op": "smooth-clip", "limit": 3.0}, {"op": "clip", "low": -2.5, "high": 2.0},
        {"op": "impute", "values": [0.1, 0.2, 0.3, 0.4]},
    ]
    columns = [{"name": name, "kind": "numeric"} for name in "abcd"]
    found, expected = encoded(document(columns, operations), raw)
    assert expected["numeric"].shape[1] == 7
    assert_same(found, expected)


def test_interpolation_with_one_list_of_values_for_all_columns() -> None:
    raw = {"a": ["-3", "0", "0.5", "7", ""], "b": ["1", "2", "3", "4", "5"]}
    operations = [{"op": "interpolate", "knots": [[0.0, 1.0, 4.0], [2.0, 2.0, 3.0]], "values": [-1.0, 0.0, 1.0]}]
    assert_same(*encoded(document([{"name": n, "kind": "numeric"} for n in "ab"], operations), raw))


def test_a_whole_table(table: planted.Planted) -> None:
    preprocess = json.loads((table.candidate / "preprocess.json").read_text())
    raw = planted.table_columns(np.random.default_rng(3), 300)
    assert_same(*encoded(preprocess, raw))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_suite(path: pathlib.Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    found, expected = encoded(case["preprocess"], case["raw"])
    assert_same(found, expected)


def test_input_names_are_arguments_that_tensorflow_takes() -> None:
    names = ["age", "Age", "hours-per-week", "hours_per_week", "self", "class", "1st", "Größe (m)", "", "_x", "age_2"]
    made = tables.input_names({"columns": [{"name": name} for name in names]})
    assert made == [
        "age", "Age_2", "hours_per_week", "hours_per_week_2", "self_column", "class_column", "column_1st",
        "Gr__e__m_", "column_",
        "column__x", "age_2_2",
    ]
