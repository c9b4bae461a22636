"""Parquet: every column becomes text as a CSV would hold it, so that both forms mean the same from here on."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from automl.data.limits import LIMITS, Limits
from automl.data.table import Table, TextColumn, column_names
from automl.spec.errors import InvalidData, Violation

MAGIC = b"PAR1"


def read(data: bytes, filename: str, limits: Limits = LIMITS) -> Table:
    """Reads a Parquet file. Raises `InvalidData` naming columns of types that a table can't hold (lists, bytes, maps)."""
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        facts = file.metadata
        declared = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
        faults = [
            Violation(field=filename, message=f"declares {got:,} {what}; at most {most:,} are taken", reason="TOO_LARGE")
            for what, got, most in (
                ("rows", facts.num_rows, limits.table_rows), ("columns", facts.num_columns, limits.table_columns),
                ("bytes", declared, limits.table_bytes), ("cells", facts.num_rows * facts.num_columns, limits.table_cells),
            )
            if got > most or got < 0
        ]
        if faults:
            raise InvalidData(faults)
        schema = file.schema_arrow
        names = column_names(list(schema.names), filename, limits)
        faults = [
            Violation(
                field=f"{filename}, column {name!r}", message=f"the type {field.type} can't be used.", reason="COLUMN_TYPE",
                remedy="Give numbers, text, booleans, dates, or leave the column out.",
            )
            for name, field in zip(names, schema) if not _is_plain(field.type)
        ]
        if faults:
            raise InvalidData(faults[: limits.listed])
        if facts.num_rows == 0:
            raise InvalidData.at(filename, "has no rows.", "Give at least a few dozen rows.", "NO_ROWS")
        table = file.read()
        columns = {name: TextColumn.of(name, _as_text(table.column(i))) for i, name in enumerate(names)}
    except (pa.ArrowException, OSError, ValueError) as fault:
        message = str(fault).partition("\n")[0]
        raise InvalidData.at(filename, f"is no readable Parquet file ({message})", reason="UNREADABLE") from fault
    return Table(filename, "parquet", columns, table.num_rows, True)


def _is_plain(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _is_plain(type_.value_type)
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string,
        pa.types.is_string_view, pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp, pa.types.is_null,
    )
    return not isinstance(type_, pa.BaseExtensionType) and any(test(type_) for test in tests)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells as text: whole floats without ".0", times as ISO 8601 without a zone, NaN and null empty."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.cast(type_.value_type)
        type_ = column.type
    if pa.types.is_floating(type_):
        doubles = column.cast(pa.float64())
        doubles = pc.if_else(pc.is_nan(doubles), None, doubles)
        text = doubles.cast(pa.string())
        return pc.replace_substring_regex(text, r"\.0$", "")
    if pa.types.is_timestamp(type_):
        return pc.strftime(column.cast(pa.timestamp("s"), safe=False), format="%Y-%m-%dT%H:%M:%S")
    return column.cast(pa.string())
