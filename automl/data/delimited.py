"""CSV and TSV: the delimiter and the header are found by looking, every cell is read as text, every faulty row is named.

Cells are text in UTF-8, quoted by `"` where needed (RFC 4180). Without a header the columns are `column_1`, `column_2`, …
"""

from __future__ import annotations

import codecs
import collections
import csv
import io
import itertools
import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from automl.data import encoder
from automl.data.limits import LIMITS, MIB, Limits
from automl.data.table import Table, TextColumn, column_names
from automl.spec.errors import InvalidData, Violation

DELIMITERS = ("\t", ";", "|", ",")
_SAMPLE_BYTES = 256 * 1024
_SAMPLE_ROWS = 200
_NUMBER_LIKE = re.compile(rf"{encoder.NUMBER.pattern}|[0-9]{{4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}.*")


def read(data: bytes, filename: str, has_header: bool | None = None, limits: Limits = LIMITS) -> Table:
    """Reads a delimited table. Raises `InvalidData` naming file, row (from 1 at the first data row) and column of faults."""
    data = _text_bytes(data, filename)
    sample = _sample(data)
    delimiter = _delimiter(sample, filename)
    quoting = _quoting(sample, delimiter)
    head = _rows(sample, delimiter, quoting)
    if not head:
        raise InvalidData.at(filename, "is empty.", "Give a table with a header and data rows.", "EMPTY")
    if len(head[0]) > limits.table_columns:
        raise InvalidData.at(
            filename, f"has {len(head[0]):,} columns; at most {limits.table_columns:,} are taken", reason="TOO_MANY_COLUMNS"
        )
    header = _looks_like_header(head) if has_header is None else has_header
    names = column_names(head[0] if header else [""] * len(head[0]), filename, limits)
    _check_encoding(data, filename, delimiter, names, header)
    cells = _parse(data, filename, delimiter, quoting, names, header)
    if cells.num_rows == 0:
        raise InvalidData.at(filename, "has a header but no data rows.", "Give at least a few dozen rows.", "NO_ROWS")
    if cells.num_rows > limits.table_rows:
        raise InvalidData.at(
            filename, f"has {cells.num_rows:,} rows; at most {limits.table_rows:,} are taken", reason="TOO_MANY_ROWS"
        )
    columns = {name: TextColumn.of(name, cells.column(i)) for i, name in enumerate(names)}
    _check_fields(columns, filename, limits)
    return Table(filename, "tsv" if delimiter == "\t" else "csv", columns, cells.num_rows, header)


def _text_bytes(data: bytes, filename: str) -> bytes:
    """The bytes without a UTF-8 mark; what isn't text in UTF-8 by its first bytes is refused."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise InvalidData.at(filename, "is UTF-16 or UTF-32 text; UTF-8 is expected.", "Save it as UTF-8.", "ENCODING")
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise InvalidData.at(filename, "is empty.", "Give a table with a header and data rows.", "EMPTY")
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise InvalidData.at(
            f"{filename}, line {line}", "contains a NUL byte, so this is no text.",
            "Give CSV, TSV or Parquet; text as UTF-8.", "NUL_BYTE",
        )
    # Arrow takes a header without a line's end for a broken block.
    return data if data.endswith((b"\n", b"\r")) else data + b"\n"


def _sample(data: bytes) -> list[str]:
    """The first lines, whole ones unless the file is one line."""
    start = data[:_SAMPLE_BYTES]
    if len(data) > _SAMPLE_BYTES and (end := max(start.rfind(b"\n"), start.rfind(b"\r"))) > 0:
        start = start[:end]
    lines = start.decode("utf-8", errors="replace").splitlines(keepends=True)
    return [line for line in lines[: 4 * _SAMPLE_ROWS] if line.strip()]


def _rows(lines: list[str], delimiter: str, quoting: bool) -> list[list[str]]:
    reader = csv.reader(
        lines, delimiter=delimiter, doublequote=True, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    )
    try:
        return [row for row in itertools.islice(reader, _SAMPLE_ROWS) if row]
    except csv.Error:
        # A field longer than the csv module takes: the lines as they are show the columns well enough.
        return [line.rstrip("\r\n").split(delimiter) for line in lines[:_SAMPLE_ROWS]]


def _delimiter(lines: list[str], filename: str) -> str:
    """The delimiter that parts most rows alike. A tab wins over a semicolon, that over a bar, that over a comma, since
    commas stand inside numbers and texts."""
    if filename.lower().removesuffix(".gz").endswith((".tsv", ".tab")):
        return "\t"
    best, best_share = ",", 0.0
    for delimiter in DELIMITERS:
        rows = _rows(lines, delimiter, _quoting(lines, delimiter))
        lengths = collections.Counter(map(len, rows))
        # A single line of many fields must not hide behind empty last rows.
        length, count = max(lengths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        share = count / max(1, len(rows))
        if length > 1 and share > best_share + 0.02:
            best, best_share = delimiter, share
    return best


def _quoting(lines: list[str], delimiter: str) -> bool:
    """Whether `"` quotes. In tab-separated text it is often a plain character: then lines have an odd number of them."""
    return delimiter != "\t" or all(line.count('"') % 2 == 0 for line in lines)


def _looks_like_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns.

    Names are no numbers and no dates, differ from each other, and don't come again as a value of their column. When the
    first row passes and some column holds only numbers below it, that settles it.
    """
    first = [cell.strip() for cell in rows[0]]
    rest = rows[1:]
    if any(_NUMBER_LIKE.fullmatch(cell) for cell in first) or any(len(cell) > 200 for cell in first):
        return False
    named = [cell for cell in first if cell]
    if not named:
        return False
    for i, cell in enumerate(first):
        below = [row[i].strip() for row in rest if i < len(row)]
        present = [b for b in below if b not in encoder.MISSING]
        if cell not in encoder.MISSING and present and all(_NUMBER_LIKE.fullmatch(b) for b in present):
            return True
    if len(set(named)) < len(named):
        return False
    return not any(cell and any(i < len(row) and row[i].strip() == cell for row in rest) for i, cell in enumerate(first))


def _parse(data: bytes, filename: str, delimiter: str, quoting: bool, names: list[str], header: bool) -> pa.Table:
    """All cells as text, columns named by their place. Raises `InvalidData` with every ragged row."""
    # Names by place: Arrow must not trip over a user's names.
    places = [str(i) for i in range(len(names))]

    def attempt(threads: bool, bad: list[pa.csv.InvalidRow], block_size: int) -> pa.Table:
        def skip(row: pa.csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        return pa.csv.read_csv(
            pa.py_buffer(data),
            read_options=pa.csv.ReadOptions(
                column_names=places, skip_rows_after_names=int(header), use_threads=threads, block_size=block_size,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoting else False, invalid_row_handler=skip,
                newlines_in_values=quoting and _has_newlines(data),
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )

    bad: list[pa.csv.InvalidRow] = []
    size = min(max(MIB, len(data) // 8), 64 * MIB)
    try:
        try:
            cells = attempt(True, bad, size)
        except pa.ArrowInvalid as fault:
            if "straddling" not in str(fault):
                raise
            # A row longer than a block. Read as one block, so that the field that is too long can be named.
            bad.clear()
            size = len(data) + 1
            cells = attempt(True, bad, size)
        if bad:
            # Arrow numbers the rows only when it reads them in one thread.
            bad.clear()
            attempt(False, bad, size)
    except pa.ArrowInvalid as fault:
        if "Empty CSV" in str(fault):
            raise InvalidData.at(
                filename, "has a header but no data rows.", "Give at least a few dozen rows.", "NO_ROWS"
            ) from fault
        raise InvalidData.at(
            filename, f"can't be read as a table: {str(fault).partition(chr(10))[0]}.",
            "A quote that is opened and never closed, or a field of more than 1 MB, are usual causes.", "UNREADABLE",
        ) from fault
    if bad:
        raise InvalidData(_ragged(bad, filename, header))
    if quoting and data.count(b'"') % 2 and any(
        "\n" in (cells.column(i)[cells.num_rows - 1].as_py() or "") for i in range(cells.num_columns) if cells.num_rows
    ):
        raise InvalidData.at(
            f"{filename}, row {cells.num_rows}", 'a quote (") is opened and never closed.',
            "Close it, or double it inside a field.", "OPEN_QUOTE",
        )
    return cells


def _has_newlines(data: bytes) -> bool:
    """Whether quotes could hold line breaks: only then must Arrow read the blocks one after the other."""
    return data.find(b'"') >= 0


def _ragged(bad: list[pa.csv.InvalidRow], filename: str, header: bool, limits: Limits = LIMITS) -> list[Violation]:
    found = []
    for row in bad[: limits.listed]:
        place = filename if row.number is None else f"{filename}, row {row.number - int(header)}"
        which = (
            f"column {row.expected_columns + 1} and those behind it are too many"
            if row.actual_columns > row.expected_columns
            else f"column {row.actual_columns + 1} and those behind it are lacking"
        )
        text = " ".join(row.text.split())[:60]
        found.append(Violation(
            field=place, reason="RAGGED_ROW",
            message=f"expected {row.expected_columns} values as in the first row, "
                    f"got {row.actual_columns}: {which} ({text!r})",
        ))
    if len(bad) > limits.listed:
        found.append(Violation(field=filename, message=f"{len(bad) - limits.listed:,} more such rows", reason="RAGGED_ROW"))
    return found


def _check_encoding(data: bytes, filename: str, delimiter: str, names: list[str], header: bool) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    start = 0
    try:
        for start in range(0, len(data), 4 * MIB):
            decoder.decode(view[start : start + 4 * MIB], final=start + 4 * MIB >= len(data))
    except UnicodeDecodeError as fault:
        # The decoder counts from the bytes that it still held back.
        at = start - (len(fault.object) - len(view[start : start + 4 * MIB])) + fault.start
        row = data.count(b"\n", 0, at) + 1 - int(header)
        line = data[data.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", errors="replace")
        place = len(next(csv.reader(io.StringIO(line), delimiter=delimiter), [""])) - 1
        column = names[min(max(0, place), len(names) - 1)]
        raise InvalidData.at(
            f"{filename}, " + (f"row {row}, column {column!r}" if row > 0 else "header"),
            f"byte 0x{data[at]:02x} is not UTF-8.", "Save the file as UTF-8 (it may be Windows-1252 or Latin-1).",
            "ENCODING",
        ) from fault


def _check_fields(columns: dict[str, TextColumn], filename: str, limits: Limits) -> None:
    faults = []
    for column in columns.values():
        lengths = pc.binary_length(column.values)
        longest = pc.max(lengths).as_py() or 0
        if longest > limits.field_bytes:
            code = pc.index(lengths, longest).as_py()
            row = int((column.codes == code).argmax()) + 1
            faults.append(Violation(
                field=f"{filename}, row {row}, column {column.name!r}", reason="FIELD_TOO_LONG",
                message=f"a value of {longest:,} bytes; at most {limits.field_bytes:,} are taken",
            ))
    if faults:
        raise InvalidData(faults[: limits.listed])
