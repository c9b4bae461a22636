"""Raw rows of texts: columns of text, or files of texts. See the package for the functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw
from automl.export.raw import tables
from automl.spec import InvalidData

if TYPE_CHECKING:
    import numpy as np


def read(data: Path, preprocess: Mapping[str, Any]) -> raw.Rows:
    """A table with the model's columns; or, for a model of one column, a folder, zip or tar of `.txt` files, one row each.

    Raises `InvalidData` naming the columns that are lacking.
    """
    from automl.data import source, text_files

    given = source.Source(data)
    container = source.container(given)
    if container is None:
        return tables.read(data, preprocess)
    try:
        if not any(text_files.is_text(entry) for entry in container.entries):
            return tables.read(data, preprocess)
        names = [str(column["name"]) for column in preprocess["columns"]]
        if len(names) > 1:
            raise InvalidData.at(
                data.name, f"holds files of texts, but the model takes a table with the columns {', '.join(names)}",
                reason="WRONG_FORM",
            )
        files = [entry for entry in container.entries if text_files.is_text(entry)]
        texts, _ = text_files.decoded(container, files)
        return raw.Rows(len(files), {names[0]: texts}, tuple(entry.name for entry in files), "file")
    finally:
        container.close()


def prepared(preprocess: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    from automl.data.text_encoder import TextEncoder

    return dict(TextEncoder(preprocess).transform(inputs))


def encode(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Raises `InvalidData` naming columns that are lacking."""
    from automl.data.text_encoder import TextEncoder

    return dict(TextEncoder(preprocess).encode(columns))


def typed(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return dict(columns)


def has_raw(preprocess: Mapping[str, Any]) -> bool:
    return True


def samples(prepared: Any, count: int) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Dicts from column to text."""
    columns = prepared.raw("validation", limit=count)
    rows = [{name: str(values[i]) for name, values in columns.items()} for i in range(count)]
    return rows, {name: value[:count] for name, value in prepared.inputs("validation").items()}


def graph(preprocess: Mapping[str, Any], model: Any) -> Any:
    import tensorflow as tf

    from automl.export import _text_graph

    module = _text_graph.TextGraph(preprocess)
    module.signature = [tf.TensorSpec((None,), tf.string, name=name) for name in tables.input_names(preprocess)]
    return module


columns_of = tables.columns_of


def card_inputs(preprocess: Mapping[str, Any], format: str) -> list[str]:
    if format == "saved-model":
        return [
            "Inputs of the signature `serving_default`, one for each column of text: string [batch], UTF-8, empty where "
            "there is none:",
            "",
            *(f"- `{name}`: {raw.cell(column['name'])}"
              for name, column in zip(tables.input_names(preprocess), preprocess["columns"])),
        ]
    sizes = preprocess["inputs"]
    codes = "0 fills up, 1 unknown, 2 between columns, 3 + index in the vocabulary"
    lines = [
        "Encoded inputs, from texts by `preprocess.json`:", "", f"- `tokens`: int32 [batch, {sizes['tokens']}]: {codes}",
    ]
    if "ngrams" in sizes:
        lines.append(f"- `ngrams`: int32 [batch, {sizes['ngrams']}]: 0 fills up, 1 + index in the vocabulary of n-grams")
    return lines


def card_names(preprocess: Mapping[str, Any]) -> list[str]:
    return [name for name in ("ngrams", "tokens") if name in preprocess["inputs"]]


def card_preprocessing(preprocess: Mapping[str, Any], format: str) -> list[str]:
    where = "inside the file" if format == "saved-model" else "the caller's, by `preprocess.json` (`automl predict` does it)"
    sizes, grams = preprocess["inputs"], preprocess.get("ngrams")
    columns = ", ".join(f"`{raw.cell(column['name'])}`" for column in preprocess["columns"])
    lines = [
        f"Texts: {columns}, lower-cased and cut into words and symbols, {sizes['tokens']} at most; a vocabulary of "
        f"{len(preprocess['vocabulary']):,}. Encoding is {where}.",
    ]
    if grams:
        lines.append(
            f"Of each word the n-grams of {grams['low']} to {grams['high']} characters, of which "
            f"{len(grams['vocabulary']):,} are known; {sizes['ngrams']} at most."
        )
    return lines
