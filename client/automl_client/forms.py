"""What a model takes, by the modality of its `preprocess.json`: how rows are read from a file or from memory and encoded.

`of(document)` gives the form of a model; `predictor` knows no modality itself. A further one is a class here and a line in
`FORMS`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors, pictures, series, tables, texts

Rows = Mapping[str, Sequence[Any]] | Sequence[Any] | NDArray[Any]
SERIES_IN_A_BLOCK = 1024

Block = tuple[tuple[str, ...], encoder.Inputs]
"""What rows are called (empty where they have no names), and the model's inputs."""


class Form(Protocol):
    """How one model's rows come in."""

    heading: str
    """Of the column that names rows in a file of predictions, where rows have names."""
    columns: tuple[str, ...]
    """Columns that a table must have; empty where no table is taken."""

    def __init__(self, document: Mapping[str, Any]): ...

    def blocks(self, path: Path, has_header: bool | None) -> Iterator[Block]:
        """The rows of a file, in blocks, encoded. Raises `InvalidData` naming the place of every fault."""

    def encoded(self, rows: Rows) -> encoder.Inputs:
        """Rows in memory. Raises `InvalidInput` for rows of another kind, `InvalidData` for faults in them."""

    def plain(self, path: Path, folder: Path, has_header: bool | None) -> Path:
        """A file that the child, which runs what needs TensorFlow, can't misread: `path` itself, or one in `folder`."""

    def written(self, rows: Rows, folder: Path) -> Path:
        """Rows in memory as a file in `folder`, for the child. Raises as `encoded` does."""


class TableForm:
    """Columns of a table."""

    heading = ""

    def __init__(self, document: Mapping[str, Any]):
        self._encoder = self._encoder_of(document)
        self.columns = self._encoder.columns

    def _encoder_of(self, document: Mapping[str, Any]) -> encoder.Encoder | texts.TextEncoder:
        return encoder.Encoder(document)

    def blocks(self, path: Path, has_header: bool | None) -> Iterator[Block]:
        for block in tables.blocks(path, self.columns, has_header):
            yield (), self._encoder.encode(block)

    def encoded(self, rows: Rows) -> encoder.Inputs:
        return self._encoder.encode(self._given(rows))

    def plain(self, path: Path, folder: Path, has_header: bool | None) -> Path:
        """The model's columns alone, with a header."""
        plain = folder / "rows.csv"
        with plain.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for block in tables.blocks(path, self.columns, has_header):
                writer.writerows(zip(*block.values(), strict=True))
        return plain

    def written(self, rows: Rows, folder: Path) -> Path:
        data, columns = folder / "rows.csv", self._given(rows)
        with data.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([encoder.text_of(value) for value in row] for row in zip(*columns.values(), strict=True))
        return data

    def _given(self, rows: Rows) -> Mapping[str, Sequence[Any]]:
        if isinstance(rows, np.ndarray):
            raise errors.InvalidInput.at("rows", f"this model takes a table with the columns {', '.join(self.columns)}.")
        return columns_of(rows)


class TextForm(TableForm):
    """Columns of text in a table; or files of texts, for a model of one column."""

    heading = "file"

    def _encoder_of(self, document: Mapping[str, Any]) -> texts.TextEncoder:
        return texts.TextEncoder(document)

    def blocks(self, path: Path, has_header: bool | None) -> Iterator[Block]:
        if not texts.are_files(path):
            yield from super().blocks(path, has_header)
            return
        self._check_files(path)
        for names, held in texts.file_blocks(path):
            yield names, self._encoder.encode({self.columns[0]: held})

    def plain(self, path: Path, folder: Path, has_header: bool | None) -> Path:
        if not texts.are_files(path):
            return super().plain(path, folder, has_header)
        self._check_files(path)
        return path

    def _given(self, rows: Rows) -> Mapping[str, Sequence[Any]]:
        """Of a model of one column plain texts are taken too."""
        if isinstance(rows, Mapping | np.ndarray) or len(self.columns) > 1:
            return super()._given(rows)
        plain = [row for row in rows if isinstance(row, str)]
        return {self.columns[0]: plain} if len(plain) == len(rows) else super()._given(rows)

    def _check_files(self, path: Path) -> None:
        if len(self.columns) > 1:
            raise errors.InvalidData.at(
                str(path), f"holds files of texts, but this model takes a table with the columns {', '.join(self.columns)}."
            )


class PictureForm:
    """Pictures: uint8 [n, h, w] or [n, h, w, channels] of any size, or files of them."""

    heading = "file"
    columns: tuple[str, ...] = ()

    def __init__(self, document: Mapping[str, Any]):
        self.size: pictures.Size = (int(document["height"]), int(document["width"]), int(document["channels"]))

    def blocks(self, path: Path, has_header: bool | None) -> Iterator[Block]:
        for names, images in pictures.blocks(path, self.size):
            yield tuple(names), {"image": images}

    def encoded(self, rows: Rows) -> encoder.Inputs:
        if not isinstance(rows, np.ndarray):
            raise errors.InvalidInput.at("rows", "this model takes pictures: give uint8 [n, height, width, channels].")
        if rows.dtype != np.uint8 or rows.ndim not in (3, 4):
            raise errors.InvalidInput.at(
                "rows", f"expected uint8 [n, height, width, channels], got {rows.dtype} {list(rows.shape)}."
            )
        return {"image": pictures.fit_array(rows, self.size)}

    def plain(self, path: Path, folder: Path, has_header: bool | None) -> Path:
        return path

    def written(self, rows: Rows, folder: Path) -> Path:
        data = folder / "pictures.npz"
        np.savez(data, x=self.encoded(rows)["image"])
        return data


class SeriesForm:
    """Series: files, a list of arrays [steps, channels], or one array [n, steps, channels] (NaN behind a series' end)."""

    def __init__(self, document: Mapping[str, Any]):
        self._encoder = series.Encoder(document)
        self._source: Mapping[str, Any] = document["source"]
        self._missing = frozenset(document["missing"])
        self._long = self._source["form"] == "long"
        self.heading = "series" if self._long else ""
        ids = [str(self._source["series"])] if self._long else []
        time = self._source.get("time")
        self.columns: tuple[str, ...] = (*ids, *([str(time["name"])] if time else []), *self._source.get("columns", ()))

    def blocks(self, path: Path, has_header: bool | None) -> Iterator[Block]:
        if not self.columns or series.is_ts(path):
            yield from self._encoded_blocks((), series.read_ts(path, self._encoder.channels))
        elif self._long:
            yield from self._encoded_blocks(*series.long_rows(path, self._source, self._missing, has_header))
        else:
            for block in tables.blocks(path, self.columns, has_header):
                matrix = np.stack([series.numbers(block[name], self._missing) for name in self.columns], axis=1)
                yield (), self._encoder.encode(row[:, None] for row in matrix)

    def encoded(self, rows: Rows) -> encoder.Inputs:
        return self._encoder.encode(self._given(rows))

    def plain(self, path: Path, folder: Path, has_header: bool | None) -> Path:
        """Of a table the model's columns alone, with a header; a `.ts` file as it is."""
        if not self.columns or series.is_ts(path):
            return path
        plain = folder / "rows.csv"
        with plain.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for block in tables.blocks(path, self.columns, has_header):
                writer.writerows(zip(*block.values(), strict=True))
        return plain

    def written(self, rows: Rows, folder: Path) -> Path:
        data = folder / "rows.ts"
        with data.open("w", encoding="utf-8") as file:
            file.write("@classLabel false\n@data\n")
            for one in self._given(rows):
                fields = (",".join("?" if math.isnan(v) else repr(float(v)) for v in channel) for channel in one.T)
                file.write(":".join(fields) + "\n")
        return data

    def _given(self, rows: Rows) -> list[series.Values]:
        wanted = f"give arrays [steps, {self._encoder.channels}], or one array [n, steps, {self._encoder.channels}]"
        if isinstance(rows, Mapping) or (isinstance(rows, np.ndarray) and rows.ndim not in (2, 3)):
            raise errors.InvalidInput.at("rows", f"this model takes series: {wanted}.")
        found: list[series.Values] = []
        for place, row in enumerate(rows):
            try:
                one = np.asarray(row, np.float64)
            except (TypeError, ValueError) as error:
                raise errors.InvalidInput.at(f"rows[{place}]", f"holds what is no number: {wanted}.") from error
            # Of a single channel the steps alone are enough.
            one = one[:, None] if one.ndim == 1 and self._encoder.channels == 1 else one
            if one.ndim != 2 or one.shape[1] != self._encoder.channels or not len(one):
                raise errors.InvalidInput.at(f"rows[{place}]", f"{wanted}; got {list(one.shape)}.")
            found.append(one)
        return found

    def _encoded_blocks(self, names: Sequence[str], values: Sequence[series.Values]) -> Iterator[Block]:
        for at in range(0, len(values), SERIES_IN_A_BLOCK):
            chosen = slice(at, at + SERIES_IN_A_BLOCK)
            yield tuple(names[chosen]), self._encoder.encode(values[chosen])


FORMS: Mapping[str, Callable[[Mapping[str, Any]], Form]] = {
    "table": TableForm, "image": PictureForm, "text": TextForm, "series": SeriesForm,
}


def columns_of(rows: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """Columns as they are; rows (name → value) as columns, None for what a row lacks."""
    if isinstance(rows, Mapping):
        return rows
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}


def of(document: Mapping[str, Any]) -> Form:
    """The form of a model whose document's modality is in `FORMS`."""
    return FORMS[str(document["modality"])](document)
