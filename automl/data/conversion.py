"""Writes a data set as TFRecord, for programs that read `tf.train.Example`: a table's rows, or pictures with their labels.

Numbers become int64 where a column is whole, else float (float32); other cells text, and a missing one no feature. Pictures
become `image/encoded` (files as they are, arrays as PNG), their label and other columns text, and the part that their
folder names `part`. `automl.data.examples` reads all of it back.
"""

from __future__ import annotations

import gzip
import io
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from automl.data import readers, schema, tfrecords
from automl.data.limits import LIMITS
from automl.data.pictures import ArrayPictures, FilePictures
from automl.data.series import Series
from automl.data.source import Source
from automl.data.table import Table
from automl.data.tfrecords import Example, Feature
from automl.spec.dataset import ColumnKind
from automl.spec.errors import InvalidData

PICTURE = "image/encoded"
_WHOLE = 2**53
"""Whole numbers beyond this aren't told apart by a double."""


def convert(source: Source, out: pathlib.Path) -> int:
    """Writes the examples, gzipped where `out` ends in .gz, and returns their number. The file appears whole or not at all.

    Raises `InvalidData` for data that can't be read, and for series.
    """
    data = readers.read(source)
    try:
        if isinstance(data, Series):
            raise InvalidData.at(source.filename, "holds series; tables and pictures can be written as TFRecord",
                                 reason="WRONG_MODALITY")
        examples = _rows(data) if isinstance(data, Table) else _pictures(data)
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                if out.name.lower().endswith(".gz"):
                    # No time stamp: the same data give the same bytes.
                    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
                        count = tfrecords.write(packed, examples)
                else:
                    count = tfrecords.write(file, examples)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    finally:
        if isinstance(data, FilePictures):
            data.container.close()
    return count


def _rows(table: Table) -> Iterator[Example]:
    """A table's rows. Each different value of a column is made into a feature once."""
    columns = []
    for name, column in schema.infer(table).items():
        numbers = column.text.numbers
        features: list[Feature | None]
        if column.kind == ColumnKind.NUMERIC:
            present = numbers[~np.isnan(numbers)]
            whole = bool((present == np.rint(present)).all() and (np.abs(present) < _WHOLE).all())
            features = [
                None if np.isnan(v) else Feature("int64", [int(v)]) if whole else Feature("float", [float(v)])
                for v in numbers.tolist()
            ]
        else:
            features = [_text(value) for value in column.text.texts]
        columns.append((name, features, column.text.codes.tolist()))
    for row in range(table.rows):
        made = {name: features[codes[row]] for name, features, codes in columns}
        yield {name: feature for name, feature in made.items() if feature is not None}


def _pictures(data: ArrayPictures | FilePictures) -> Iterator[Example]:
    columns = {name: (column.texts, column.codes) for name, column in data.columns.items()}
    for i in range(len(data)):
        made = {name: _text(texts[codes[i]]) for name, (texts, codes) in columns.items()}
        if data.labels is not None:
            made.setdefault("label", _text(data.labels[i]))
        made.setdefault("part", _text(data.parts[i]))
        made[PICTURE] = Feature("bytes", [_encoded(data, i)])
        yield {name: feature for name, feature in made.items() if feature is not None}


def _encoded(data: ArrayPictures | FilePictures, i: int) -> bytes:
    if isinstance(data, FilePictures):
        return data.container.read(data.files[i], LIMITS.picture_bytes)
    picture = data.images[i]
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture).save(file, "PNG")
    return file.getvalue()


def _text(value: str) -> Feature | None:
    values: Sequence[bytes] = [value.encode()]
    return Feature("bytes", values) if value else None
