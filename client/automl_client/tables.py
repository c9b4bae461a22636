"""Tables for prediction, read without pandas and block by block: CSV and TSV (also .gz), and Parquet where pyarrow is.

The model says which columns it needs, and that settles what training had to guess: the delimiter and the header are those
with which its columns are found.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from automl_client import errors

ROWS_IN_A_BLOCK = 4096
MAX_FAULTS = 20
"""Faults named in one error."""

_DELIMITERS = ("\t", ";", "|", ",")
_FIELD_BYTES = 1 << 20
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_NUMBERED = re.compile(r"column_[0-9]+\Z")

Block = dict[str, list[str]]
"""Column → its cells as text; all of one length."""


def blocks(path: Path, columns: Sequence[str], has_header: bool | None = None) -> Iterator[Block]:
    """The needed columns of a table, in blocks of rows in the file's order.

    `has_header`: None to find out by the names of the model's columns. Raises `InvalidData` naming file, row (from 1 at the
    first data row) and column.
    """
    if not path.is_file():
        raise errors.InvalidData.at(str(path), "there is no such file." if not path.exists() else "a table is a file.")
    if path.stat().st_size == 0:
        raise errors.InvalidData.at(str(path), "the file is empty.", "EMPTY")
    with path.open("rb") as file:
        start = file.read(4)
    if path.name.lower().removesuffix(".gz").endswith((".tfrecord", ".tfrecords")):
        raise errors.InvalidData.at(str(path), "is TFRecord, taken to learn from only. Give CSV, TSV or Parquet.")
    if start == b"PAR1":
        return _parquet_blocks(path, columns)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise errors.InvalidData.at(str(path), "is UTF-16 text; save it as UTF-8.", "ENCODING")
    return _text_blocks(path, columns, has_header)


def _text_blocks(path: Path, columns: Sequence[str], has_header: bool | None) -> Iterator[Block]:
    # The default of 128 KiB is less than what training takes.
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_BYTES))
    delimiter = _delimiter(path, columns)
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        row = 0
        try:
            first = next(filter(None, reader), None)
            if first is None:
                raise errors.InvalidData.at(str(path), "the file is empty.", "EMPTY")
            header = _has_header(path, first, columns) if has_header is None else has_header
            names = _names(first) if header else [f"column_{place}" for place in range(1, len(first) + 1)]
            places = _places(path, names, columns, header)
            block: Block = {name: [] for name in columns}
            faults: list[errors.Violation] = []
            pending = iter(()) if header else iter([first])
            held = 0
            for cells in _chained(pending, reader):
                row += 1
                if len(cells) != len(names):
                    faults.append(_ragged(path, row, len(names), len(cells)))
                    if len(faults) == MAX_FAULTS:
                        break
                    continue
                for name, place in places.items():
                    block[name].append(cells[place])
                held += 1
                if held == ROWS_IN_A_BLOCK and not faults:
                    yield block
                    block, held = {name: [] for name in columns}, 0
        except csv.Error as error:
            raise errors.InvalidData.at(f"{path}, row {row + 1}", f"can't be read: {error}.", "UNREADABLE") from error
        except UnicodeDecodeError as error:
            raise errors.InvalidData.at(
                f"{path}, after row {row}", f"byte 0x{error.object[error.start]:02x} is not UTF-8. Save the file as UTF-8.",
                "ENCODING",
            ) from error
        except (EOFError, gzip.BadGzipFile) as error:
            raise errors.InvalidData.at(f"{path}, after row {row}", f"the gzip data are damaged: {error}.") from error
    if faults:
        raise errors.InvalidData("\n".join(map(str, faults)), faults)
    if row == 0:
        raise errors.InvalidData.at(str(path), "has a header but no data rows.", "NO_ROWS")
    if held:
        yield block


def _chained(first: Iterator[list[str]], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    """Rows without the empty lines, which training leaves out too."""
    yield from first
    yield from filter(None, rest)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    # newline="" leaves line ends inside quoted cells as they are.
    with (
        gzip.open(path, "rb") if packed else path.open("rb") as binary,
        io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text,
    ):
        yield text


def _delimiter(path: Path, columns: Sequence[str]) -> str:
    """The delimiter that finds most of the model's columns in the first line, else the one that parts most lines alike."""
    if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")):
        return "\t"
    lines = _first_lines(path)
    if not lines:
        return ","
    needed = set(columns)

    def score(delimiter: str) -> tuple[int, float]:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            # A field beyond the limit, to be reported with its row: the lines as they are show the columns well enough.
            rows = [line.rstrip("\r\n").split(delimiter) for line in lines]
        lengths = [len(row) for row in rows]
        most = max(set(lengths), key=lengths.count)
        alike = lengths.count(most) / len(lengths) if most > 1 else 0.0
        return len(needed & set(_names(rows[0]))), alike

    return max(reversed(_DELIMITERS), key=score)


def _first_lines(path: Path) -> list[str]:
    """Up to 50 lines with something in them; fewer when the file is damaged there, which reading the rows will report."""
    lines: list[str] = []
    with _opened(path) as file:
        while len(lines) < 50:
            try:
                line = file.readline(_FIELD_BYTES)
            except (UnicodeDecodeError, EOFError, gzip.BadGzipFile):
                break
            if not line:
                break
            if line.strip():
                lines.append(line)
    return lines


def _names(cells: Sequence[str]) -> list[str]:
    """Names of columns as training has them: blanks collapsed, an empty one is called by its place."""
    return [_SPACES.sub(" ", cell).strip() or f"column_{place}" for place, cell in enumerate(cells, 1)]


def _has_header(path: Path, first: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether the first line holds the model's columns. Raises `InvalidData` where it can't be told."""
    found = set(_names(first)) & set(columns)
    # Empty cells are named by their place; a first data row must not pass for a header because of one.
    written = {cell.strip() for cell in first}
    if any(name in written for name in found):
        return True
    if all(_NUMBERED.match(name) for name in columns):
        return False
    raise errors.InvalidData.at(
        f"{path}, header",
        f"none of the model's columns is in the first line. The model takes {_listed(columns)}; the line has "
        f"{_listed(first)}. Add a header line with those names.",
        "HEADER_MISSING",
    )


def _places(path: Path, names: Sequence[str], columns: Sequence[str], header: bool) -> dict[str, int]:
    """Where each needed column stands. Raises `InvalidData` naming all that are lacking or stand there twice."""
    faults = []
    for name in columns:
        count = names.count(name)
        if count == 0:
            faults.append(
                errors.Violation(
                    f"{path}, column {name!r}",
                    "the model needs this column, and it is lacking."
                    + ("" if header else f" The file has no header and {len(names)} columns."),
                    "COLUMN_MISSING",
                )
            )
        elif count > 1:
            faults.append(
                errors.Violation(f"{path}, column {name!r}", f"stands in the header {count} times.", "DUPLICATE_COLUMN")
            )
    if faults:
        raise errors.InvalidData("\n".join(map(str, faults)), faults)
    return {name: names.index(name) for name in columns}


def _ragged(path: Path, row: int, expected: int, got: int) -> errors.Violation:
    which = f"column {expected + 1} and those behind it are too many" if got > expected else f"column {got + 1} is lacking"
    return errors.Violation(
        f"{path}, row {row}", f"expected {expected} values as in the first line, got {got}: {which}.", "RAGGED_ROW"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:10]) + (", …" if len(names) > 10 else "")


def _parquet_blocks(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    """Through pyarrow, which only the server part brings. Raises `Unavailable` without it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise errors.Unavailable(
            f"{path} is a Parquet file, and reading it needs pyarrow: pip install pyarrow, or give the table as CSV."
        )
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise errors.InvalidData.at(str(path), f"is no readable Parquet file: {error}.", "UNREADABLE") from error
    names = _names(list(file.schema_arrow.names))
    places = _places(path, names, columns, header=True)
    if file.metadata.num_rows == 0:
        raise errors.InvalidData.at(str(path), "has no rows.", "NO_ROWS")
    for batch in file.iter_batches(batch_size=ROWS_IN_A_BLOCK):
        yield {name: [_cell(value) for value in batch.column(place).to_pylist()] for name, place in places.items()}


def _cell(value: object) -> str:
    """A value of Parquet as training reads it: text as in a CSV, moments in ISO 8601 without zone and fractions."""
    from datetime import datetime

    from automl_client import encoder

    return value.strftime("%Y-%m-%dT%H:%M:%S") if isinstance(value, datetime) else encoder.text_of(value)
