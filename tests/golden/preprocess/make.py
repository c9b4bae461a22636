"""Writes the golden suite of `preprocess.json`: raw rows, the document, and what every encoder must make of them.

Three encoders are held to these files: `automl.data.encoder`, the client's, and the graph inside a SavedModel. The expected
numbers come from the first one; those that can be worked out by hand are so in `tests/unit/data/test_encoder.py`. Run
`python tests/golden/preprocess/make.py` after a deliberate change of meaning, and raise `encoder.VERSION` with it.

A file holds {"about", "preprocess", "raw": column → cells as text, "matrices": the raw matrices (null is missing),
"expected": the model's inputs}.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np

from automl.data import columns, encoder

HERE = pathlib.Path(__file__).parent


def document(descriptions, operations, classes=("no", "yes")):
    preprocess = columns.document(
        descriptions,
        task="tabular-classification",
        kind="classification",
        target="target",
        classes=classes,
        metric="roc-auc",
    )
    return encoder.TableEncoder(preprocess, operations).to_dict()


def cases():
    yield (
        "numbers",
        "what is a number, and what is missing",
        document(
            [{"name": "a", "kind": "numeric"}],
            [{"op": "indicators", "columns": [0]}, {"op": "impute", "values": [-7.5]}],
        ),
        {
            "a": [
                "1",
                " 2.5 ",
                "-3",
                "+4",
                "5.",
                ".5",
                "1e3",
                "1E-2",
                "-0",
                "1_000",
                "1,5",
                "inf",
                "-Infinity",
                "1e39",
                "3.4e38",
                "1e400",
                "0x10",
                "",
                " ",
                "NA",
                "N/A",
                "NaN",
                "nan",
                "null",
                "None",
                "?",
                "none",
                "12 34",
                "\t8\n",
                "16777217",
                "0.1",
            ]
        },
    )
    yield (
        "categories",
        "codes of known, unknown and missing values",
        document(
            [
                {"name": "job", "kind": "categorical", "vocabulary": ["clerk", "farmer", "Zoë", "a b", "1"]},
                {"name": "empty", "kind": "categorical", "vocabulary": []},
            ],
            [],
        ),
        {
            "job": ["clerk", " farmer ", "Farmer", "Zoë", "a b", "a  b", "1", "1.0", "", "?", "None", "unheard of"],
            "empty": ["x", "", "NA", "y", "x", "x", "x", "x", "x", "x", "x", "null"],
        },
    )
    yield (
        "booleans",
        "two words, anything else is missing",
        document(
            [
                {"name": "paid", "kind": "boolean", "true": ["yes", "Yes"], "false": ["no"]},
                {"name": "flag", "kind": "boolean", "true": ["1", "1.0"], "false": ["0", "0.0"]},
            ],
            [{"op": "indicators", "columns": [1, 0]}, {"op": "impute", "values": [0.25, 0.75]}],
        ),
        {
            "paid": ["yes", "Yes", "YES", "no", " no", "", "?", "maybe"],
            "flag": ["1", "0", "1.0", "0.0", "2", "", "true", "01"],
        },
    )
    names = list(encoder.DATE_FEATURES)
    yield (
        "dates",
        "orders of the fields, times, leap years, impossible dates",
        document(
            [
                {"name": "iso", "kind": "date", "format": "iso", "features": names},
                {"name": "dmy", "kind": "date", "format": "dmy", "features": ["days", "month_cos", "hour"]},
                {"name": "mdy", "kind": "date", "format": "mdy", "features": ["weekday_sin", "days"]},
            ],
            [{"op": "indicators", "columns": [0, 7]}, {"op": "impute", "values": [0.0] * 12}],
        ),
        {
            "iso": [
                "1970-01-01",
                "2000-02-29",
                "1900-3-1",
                "2024-12-31T23:59:59",
                "2024-12-31 06:30",
                "2024/01/15",
                "2024.01.15",
                "2023-02-31",
                "2023-13-01",
                "2023-00-10",
                "2023-01-32",
                "23-01-01",
                "2024-05-06T07:08:09.123Z",
                "2024-05-06 07:08+02:00",
                "0001-01-01",
                "",
                "?",
                "yesterday",
            ],
            "dmy": [
                "1.1.1970",
                "29/02/2000",
                "01-03-1900",
                "31.12.2024 23:59",
                "31.12.2024",
                "5/6/2024",
                "05.06.2024",
                "31/02/2023",
                "1/13/2023",
                "0/1/2023",
                "32.1.2023",
                "2024-01-05",
                "6/5/2024 7:08",
                "6.5.24",
                "1/1/0001",
                "",
                "None",
                "1.1.1970 00:00:30",
            ],
            "mdy": [
                "1/1/1970",
                "02/29/2000",
                "3-1-1900",
                "12/31/2024",
                "12.31.2024 12:00",
                "6/5/2024",
                "06/05/2024",
                "2/31/2023",
                "13/1/2023",
                "1/0/2023",
                "1/32/2023",
                "2024-01-05",
                "5/6/2024 7:08:09",
                "5/6/24",
                "1/1/0001",
                "",
                "NA",
                "1/1/1970 24:00",
            ],
        },
    )
    yield (
        "texts",
        "tokens, counts, idf, norm",
        document(
            [
                {
                    "name": "remark",
                    "kind": "text",
                    "tokens": ["good", "bad", "été", "42", "x"],
                    "idf": [1.2, 3.4, 2.0, 1.0, 0.5],
                },
                {"name": "other", "kind": "text", "tokens": ["only"], "idf": [2.5]},
            ],
            [{"op": "impute", "values": [0.0] * 6}],
        ),
        {
            "remark": [
                "Good, BAD",
                "good good bad",
                "good_bad x",
                "goodbad",
                "ÉTÉ été",
                "42 042 4 2",
                "",
                "NA",
                "n/a good",
                "!!!",
                "x-x/x",
                "bad\nbad",
                "good'bad",
            ],
            "other": ["only", "ONLY only", "", "none", "lonely", "only.", "?", "None", "only?", "a", "b", "only only", "c"],
        },
    )
    yield (
        "operations",
        "every operation, in an order that uses the ones before it",
        document(
            [{"name": n, "kind": "numeric"} for n in "abc"],
            [
                {"op": "indicators", "columns": [2]},
                {"op": "signed-log", "columns": [1]},
                {"op": "affine", "shift": [1.0, 0.5, -2.0], "scale": [2.0, 0.25, 1.0]},
                {"op": "smooth-clip", "limit": 3.0},
                {
                    "op": "interpolate",
                    "knots": [[-2.0, 0.0, 2.0], [], [0.0, 1.0, 1.0, 2.0]],
                    "values": [[-1.0, 0.5, 1.0], [], [0.0, 0.25, 0.75, 1.0]],
                },
                {"op": "clip", "low": -0.9, "high": 0.95},
                {"op": "impute", "values": [0.1, 0.2, 0.3]},
            ],
        ),
        {
            "a": ["-100", "0", "1", "1.5", "2.5", "100", "", "0.25"],
            "b": ["-1000", "-1", "0", "0.5", "20", "1e30", "?", "-1e-3"],
            "c": ["-2", "-1", "-1.5", "0", "", "NA", "-2.5", "1000"],
        },
    )
    yield (
        "shared-values",
        "interpolation with one list of values for all columns, and no missing value",
        document(
            [{"name": n, "kind": "numeric"} for n in "ab"],
            [
                {"op": "interpolate", "knots": [[0.0, 1.0, 4.0], [-1.0, 0.0, 8.0]], "values": [-1.0, 0.0, 1.0]},
                {"op": "impute", "values": [0.0, 0.0]},
            ],
        ),
        {"a": ["-1", "0", "0.5", "1", "2.5", "4", "9"], "b": ["-2", "-1", "-0.5", "0", "4", "8", "9"]},
    )
    yield (
        "mixed",
        "all kinds side by side: the order of the columns in both matrices",
        document(
            [
                {"name": "job", "kind": "categorical", "vocabulary": ["clerk", "farmer"]},
                {"name": "age", "kind": "numeric"},
                {"name": "remark", "kind": "text", "tokens": ["bad", "good"], "idf": [1.5, 1.25]},
                {"name": "town", "kind": "categorical", "vocabulary": ["Köln", "München"]},
                {"name": "paid", "kind": "boolean", "true": ["yes"], "false": ["no"]},
                {"name": "since", "kind": "date", "format": "iso", "features": ["year", "month_sin"]},
            ],
            [
                {"op": "indicators", "columns": [0, 3]},
                {"op": "affine", "shift": [40.0, 0.0, 0.0, 0.5, 2000.0, 0.0], "scale": [0.1, 1.0, 1.0, 2.0, 0.05, 1.0]},
                {"op": "clip", "low": -5.0, "high": 5.0},
                {"op": "impute", "values": [0.0, 0.0, 0.0, 0.0, 0.5, 0.0]},
            ],
        ),
        {
            "since": ["2001-04-05", "", "1999-12-31", "2030-07-01"],
            "age": ["41", "?", "1000", " 12 "],
            "job": ["clerk", "baker", "", "farmer"],
            "town": ["München", "Köln", "Bonn", "NA"],
            "remark": ["good", "bad, really bad", "", "good bad"],
            "paid": ["yes", "", "no", "perhaps"],
            "unused": ["1", "2", "3", "4"],
        },
    )
    yield (
        "branches",
        "an ensemble's preprocessing: each member's operations on the same raw matrix, side by side",
        document(
            [{"name": "a", "kind": "numeric"}, {"name": "b", "kind": "numeric"}],
            [{"op": "branches", "branches": [
                [{"op": "indicators", "columns": [1]}, {"op": "affine", "shift": [1.0, 2.0], "scale": [2.0, 0.5]},
                 {"op": "impute", "values": [0.25, -0.25]}],
                [{"op": "indicators", "columns": [0, 1]},
                 {"op": "interpolate", "knots": [[0.0, 2.0], []], "values": [0.0, 1.0]},
                 {"op": "impute", "values": [7.0, 8.0]}],
                [{"op": "clip", "low": 0.0, "high": 3.0}, {"op": "impute", "values": [0.0, 0.0]}],
            ]}],
        ),
        {"a": ["1", "", "2.5", "-4"], "b": ["?", "", "4", "100"]},
    )


def plain(inputs):
    """Matrices as lists; float32 in the shortest decimal that reads back the same, NaN as null."""
    return {
        name: [
            [None if v != v else (int(v) if values.dtype.kind == "i" else float(str(np.float32(v)))) for v in row]
            for row in values
        ]
        for name, values in inputs.items()
    }


def case(name, about, preprocess, raw):
    """One golden file's content."""
    return {
        "about": about,
        "preprocess": preprocess,
        "raw": raw,
        "matrices": plain(encoder.raw_inputs(preprocess, raw)),
        "expected": plain(encoder.TableEncoder.from_dict(preprocess).encode(raw)),
    }


if __name__ == "__main__":
    for name, *rest in cases():
        content = json.dumps(case(name, *rest), ensure_ascii=False, indent=1)
        (HERE / f"{name}.json").write_text(content + "\n", encoding="utf-8")
