"""Raw rows of tables: columns of text and numbers. See the package for the functions."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw
from automl.spec import InvalidData, Violation

if TYPE_CHECKING:
    import numpy as np


def input_names(preprocess: Mapping[str, Any]) -> list[str]:
    """The signature's input for each column of a preprocess.json, in the columns' order.

    A column's own name if it is an ASCII identifier; else with other characters as underscores, "column_" in front of
    what doesn't begin with a letter, and a number behind names that would occur twice. TensorFlow takes "self" and
    Python's keywords for no names, and doesn't tell capitals apart.
    """
    names: list[str] = []
    taken: set[str] = set()
    for column in preprocess["columns"]:
        name = re.sub(r"[^A-Za-z0-9_]", "_", str(column["name"]))
        if not re.match(r"[A-Za-z]", name):
            name = f"column_{name}"
        if keyword.iskeyword(name) or name.lower() == "self":
            name += "_column"
        unique, number = name, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        names.append(unique)
    return names


def read(data: Path, preprocess: Mapping[str, Any]) -> raw.Rows:
    """Raises `InvalidData` naming the columns that are lacking."""
    from automl.data import readers, source, table

    found = readers.read(source.Source(data))
    if not isinstance(found, table.Table):
        raise InvalidData.at(data.name, "is no table, but the model takes the rows of one", reason="WRONG_MODALITY")
    wanted = [str(column["name"]) for column in preprocess["columns"]]
    if lacking := [name for name in wanted if name not in found.columns]:
        raise InvalidData(
            Violation(field=f"{data.name}, column {n!r}", message="is lacking", reason="COLUMN_MISSING") for n in lacking
        )
    columns: dict[str, Any] = {}
    for name in wanted:
        texts = found.columns[name].texts
        columns[name] = [texts[code] for code in found.columns[name].codes.tolist()]
    return raw.Rows(found.rows, columns)


def prepared(preprocess: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    from automl.data.encoder import TableEncoder

    return dict(TableEncoder.from_dict(preprocess).transform(dict(inputs)))


def encode(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Raises `InvalidData` naming columns that are lacking."""
    from automl.data.encoder import TableEncoder

    return dict(TableEncoder.from_dict(preprocess).encode(dict(columns)))


def typed(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Texts of numeric columns become numbers, by the rules of preprocess.json."""
    from automl.data import encoder

    numeric = {column["name"] for column in preprocess["columns"] if column["kind"] == "numeric"}
    return {
        name: encoder.numeric_values(values, preprocess["missing"]) if name in numeric else values
        for name, values in columns.items()
    }


def has_raw(preprocess: Mapping[str, Any]) -> bool:
    return True


def samples(prepared: Any, count: int) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Dicts from column to value (null: a missing number, "": a missing text)."""
    columns = prepared.raw("validation", limit=count)
    rows = [{name: _plain(values[i]) for name, values in columns.items()} for i in range(count)]
    return rows, {name: value[:count] for name, value in prepared.inputs("validation").items()}


def _plain(value: Any) -> Any:
    """A raw value as JSON has it; a number of 32 bits in as few digits as tell it from others."""
    if isinstance(value, str):
        return value
    number = float(str(value))
    return None if math.isnan(number) else number


def graph(preprocess: Mapping[str, Any], model: Any) -> Any:
    import tensorflow as tf

    from automl.export import _table_graph

    module = _table_graph.TableGraph(preprocess)
    module.signature = [
        tf.TensorSpec((None,), tf.float32 if column["kind"] == "numeric" else tf.string, name=name)
        for name, column in zip(input_names(preprocess), preprocess["columns"])
    ]
    return module


def columns_of(preprocess: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(column["name"]) for name, column in zip(input_names(preprocess), preprocess["columns"])}


def card_inputs(preprocess: Mapping[str, Any], format: str) -> list[str]:
    if format == "saved-model":
        lines = [
            "Inputs of the signature `serving_default`, one for each column, all of shape [batch]:",
            "",
            "| input | column | kind | type | missing |",
            "|---|---|---|---|---|",
        ]
        for input_name, column in zip(input_names(preprocess), preprocess["columns"]):
            type, missing = ("float32", "NaN") if column["kind"] == "numeric" else ("string", "empty text")
            name = raw.cell(column["name"])
            lines.append(f"| `{input_name}` | {name} | {column['kind']} | {type} | {missing} |")
        return lines
    sizes = preprocess["inputs"]
    lines = ["Encoded inputs, from raw columns by `preprocess.json`:", ""]
    if sizes.get("numeric"):
        lines.append(f"- `numeric`: float32 [batch, {sizes['numeric']}]")
    if sizes.get("categorical"):
        codes = "0 missing, 1 unseen, 2 + index in the vocabulary"
        lines.append(f"- `categorical`: int32 [batch, {sizes['categorical']}]: {codes}")
    return lines


def card_names(preprocess: Mapping[str, Any]) -> list[str]:
    return [name for name in ("categorical", "numeric") if preprocess["inputs"].get(name)]


def card_preprocessing(preprocess: Mapping[str, Any], format: str) -> list[str]:
    outside = "the caller's, by `preprocess.json` (`automl predict` does it)"
    inside = "inside the file" if format == "saved-model" else outside
    kinds: dict[str, int] = {}
    for column in preprocess["columns"]:
        kinds[column["kind"]] = kinds.get(column["kind"], 0) + 1
    steps = _steps(preprocess.get("operations", ())) or "none"
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    missing = ", ".join(f"`{raw.cell(m)}`" for m in preprocess.get("missing", ()) if m)
    return [
        f"Columns: {counted}. Encoding is {inside}. Operations on the numeric matrix, in order: {steps}.",
        f"Values that count as missing: empty, {missing}." if missing else "Empty values count as missing.",
    ]


def _steps(operations: Sequence[Mapping[str, Any]]) -> str:
    """The operations' names in order; of an ensemble's branches those of each, once where they are alike."""
    if len(operations) == 1 and operations[0]["op"] == "branches":
        each = list(dict.fromkeys(_steps(branch) for branch in operations[0]["branches"]))
        return f"for {len(operations[0]['branches'])} networks side by side: " + "; or ".join(each)
    return ", ".join(step["op"] for step in operations)
