"""Raw rows, one module for each modality of `preprocess.json`: how they are read, encoded, sampled, described and
preprocessed inside a SavedModel. What handles artifacts asks `of(preprocess)` and knows no modality itself.

A module has these functions. `preprocess` is the document; raw columns are lists or arrays by column name.

    read(data, preprocess, path) -> Rows           the rows of a file without labels, for `automl predict`
    prepared(preprocess, inputs) -> inputs          a prepared part's arrays as the model's inputs
    encode(preprocess, columns) -> inputs           raw columns as the model's inputs
    typed(preprocess, columns) -> columns           raw columns as `Rows` has them, in the types of the SavedModel's inputs
    has_raw(preprocess) -> bool                     whether prepared data keep raw rows (`PreparedDataset.raw`), or the
                                                    prepared inputs are raw themselves
    samples(prepared, count) -> rows, inputs        the first validation rows as samples.json holds them (dicts), and the
                                                    same as prepared inputs; pictures and series may be made coarser
    graph(preprocess, model) -> tf.Module           with `.signature`, tensor specs, and `.encode(tensors) -> inputs`
    columns_of(preprocess) -> dict                  signature's input → raw column
    card_inputs(preprocess, format) -> lines        of the model card: inputs
    card_names(preprocess) -> names                 the encoded inputs
    card_preprocessing(preprocess, format) -> lines what happens before the model
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from automl.spec import InvalidInput

MODULES = {"table": "tables", "image": "pictures", "text": "texts", "series": "series"}


@dataclasses.dataclass(frozen=True)
class Rows:
    """Raw data to predict."""

    count: int
    columns: dict[str, Any]
    """Lists or arrays of `count` rows, by column."""
    names: tuple[str, ...] = ()
    """What to call each row in front of its prediction…"""
    heading: str = ""
    """… and what these names are ("file"); both empty for rows that have none."""

    def batch(self, start: int, size: int) -> dict[str, Any]:
        return {name: values[start : start + size] for name, values in self.columns.items()}


def of(preprocess: Mapping[str, Any]) -> Any:
    """The module for a document. Raises `InvalidInput` for a modality that this version doesn't know."""
    modality = str(preprocess.get("modality"))
    if modality not in MODULES:
        raise InvalidInput.at("preprocess.json", f"is of the modality {modality!r}, which this version doesn't know.")
    return importlib.import_module(f"{__name__}.{MODULES[modality]}")


def cell(text: str) -> str:
    """Text from the user's data inside Markdown: one line, nothing that opens a table cell, code, link or tag."""
    flat = " ".join(text.split())
    for character in "\\`|<>[]*_#":
        flat = flat.replace(character, "\\" + character if character != "<" else "&lt;")
    return flat if len(flat) <= 80 else flat[:79] + "…"
