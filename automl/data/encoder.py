"""The meaning of `preprocess.json` for tables: raw text → raw matrices → what the model takes.

Two steps, both described by the one JSON document that travels in every artifact:

1. *Raw inputs.* Each cell is text, stripped of ASCII blanks; one that stands in `missing` is missing. By the column's kind:

   - `numeric`: a decimal number (`NUMBER`) that is finite as float32, else missing.
   - `boolean`: 1 when it stands in `true`, 0 when in `false`, else missing.
   - `categorical`: 0 missing, 2 + index in `vocabulary`, 1 for anything else.
   - `date`: `format` names the order of the fields ("iso" year-month-day, "dmy", "mdy"); the year has four digits, the
     fields are parted by `-`, `/` or `.`, and `T` or blanks and `HH:MM[:SS[.fraction]]` may follow, and a time zone.
     Fractions of seconds and the zone are ignored. Months 1–12, days 1–31 (31 February is 3 March), else missing.
     `days` counts from 1970-01-01 with the time of day as its fraction; `year`; `month_sin`, `month_cos` of
     2π(month − 1)/12; `weekday_sin`, `weekday_cos` of 2π·weekday/7, Monday 0; `hour` with minutes and seconds as its
     fraction.
   - `text`: lower-cased runs of letters and digits (`TOKEN`); the count of each of `tokens` × its `idf`, the row divided
     by its Euclidean norm. Zeros when no token is there, and when the cell is missing.

   The result is "numeric" float32 [n, d], NaN where missing, and "categorical" int32 [n, c]: what a prepared data set holds.

2. *Operations* run in order on the numeric matrix. They touch its first d columns; `indicators` appends 0/1 columns behind.

   - `indicators` {columns}: 1 where the raw column was missing.
   - `affine` {shift [d], scale [d]}: (x − shift) · scale.
   - `smooth-clip` {limit}: x / sqrt(1 + (x / limit)²).
   - `clip` {low, high}.
   - `signed-log` {columns}: sign(x) · ln(1 + |x|) of these columns.
   - `interpolate` {knots [d][k], values [k] or [d][k]}: piecewise linear, constant outside. Knots ascend; of equal ones
     the last counts for x on them. A column without knots stays as it is.
   - `impute` {values [d]}: replaces NaN; stands last.

   An ensemble whose members were fitted on different rows has the single operation `branches` {branches}: lists of the
   operations above, each applied to the raw matrix; their results stand side by side.

This module loads NumPy alone, so that workers and clients' tests stay light.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.spec.errors import InvalidData, InvalidInput, Violation
from automl.spec.model import Json

if TYPE_CHECKING:
    from automl.catalog.plan import TrainPlan
    from automl.data.prepared import PreparedDataset

VERSION = 1
BLANKS = " \t\n\r\x0b\x0c"
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
TOKEN = re.compile(r"[^\W_]+")
DATE_FEATURES = ("days", "year", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour")
OPERATIONS = ("indicators", "affine", "smooth-clip", "clip", "signed-log", "interpolate", "impute")
BRANCHES = "branches"

Inputs = dict[str, NDArray[Any]]
Raw = Mapping[str, Sequence[Any]]

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_TIME = r"(?:(?:[Tt]| +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?)? *(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + _TIME)
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + _TIME)
DATE_FORMATS = ("iso", "dmy", "mdy")


# --- one cell ----------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """A raw value as the text that a CSV's cell would hold: stripped; None and NaN are "", whole floats lose their ".0"."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip(BLANKS)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip(BLANKS)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value).strip(BLANKS)


def number_of(text: str) -> float:
    """The number that stripped text spells, NaN when it spells none or one that is not finite as float32."""
    if NUMBER.fullmatch(text) is None:
        return math.nan
    value = float(text)
    return value if abs(value) <= _FLOAT32_MAX else math.nan


def date_of(text: str, order: str) -> tuple[int, int, int, int, int, int] | None:
    """(year, month, day, hour, minute, second) of stripped text in that order of fields, None when it is no such date."""
    match = (_YEAR_FIRST if order == "iso" else _YEAR_LAST).fullmatch(text)
    if match is None:
        return None
    first, second, third = (int(g) for g in match.group(1, 2, 3))
    year, month, day = {"iso": (first, second, third), "dmy": (third, second, first), "mdy": (third, first, second)}[order]
    hour, minute, seconds = (int(g or 0) for g in match.group(4, 5, 6))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and seconds <= 60):
        return None
    return year, month, day, hour, minute, seconds


def tokens_of(text: str) -> list[str]:
    """Lower-cased runs of letters and digits, in order."""
    return TOKEN.findall(text.lower())


# --- one column --------------------------------------------------------------------------------


def numeric_values(texts: Sequence[str], missing: Iterable[str] = MISSING) -> NDArray[np.float32]:
    """Stripped texts as float32 [n], NaN where missing."""
    absent = frozenset(missing)
    return np.array([math.nan if t in absent else number_of(t) for t in texts], np.float32)


def boolean_values(texts: Sequence[str], true: Iterable[str], false: Iterable[str],
                   missing: Iterable[str] = MISSING) -> NDArray[np.float32]:
    """Stripped texts as 1, 0 or NaN, float32 [n]."""
    table: dict[str, float] = dict.fromkeys(missing, math.nan)
    table = {**dict.fromkeys(false, 0.0), **dict.fromkeys(true, 1.0), **table}
    return np.array([table.get(t, math.nan) for t in texts], np.float32)


def category_codes(texts: Sequence[str], vocabulary: Sequence[str], missing: Iterable[str] = MISSING) -> NDArray[np.int32]:
    """Stripped texts as codes, int32 [n]: 0 missing, 1 unknown, 2 + index in the vocabulary."""
    table = {**{v: i + 2 for i, v in enumerate(vocabulary)}, **dict.fromkeys(missing, 0)}
    return np.array([table.get(t, 1) for t in texts], np.int32)


def date_values(texts: Sequence[str], order: str, features: Sequence[str],
                missing: Iterable[str] = MISSING) -> NDArray[np.float32]:
    """Stripped texts as the named features of their dates, float32 [n, features], rows of NaN where missing."""
    absent = frozenset(missing)
    out = np.full((len(texts), len(features)), math.nan, np.float32)
    found = [(i, parts) for i, t in enumerate(texts) if t not in absent and (parts := date_of(t, order)) is not None]
    if not found:
        return out
    fields = np.array([parts for _, parts in found], np.int64)
    year, month, day, hour, minute, second = fields.T
    days = _days_from_civil(year, month, day)
    seconds = hour * 3600 + minute * 60 + second
    weekday = (days + 3) % 7
    values = {
        "days": days + seconds / 86400, "year": year,
        "month_sin": np.sin(2 * np.pi * (month - 1) / 12), "month_cos": np.cos(2 * np.pi * (month - 1) / 12),
        "weekday_sin": np.sin(2 * np.pi * weekday / 7), "weekday_cos": np.cos(2 * np.pi * weekday / 7),
        "hour": seconds / 3600,
    }
    out[[i for i, _ in found]] = np.stack([values[f] for f in features], axis=1)
    return out


def _days_from_civil(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant's `days_from_civil`; years ≥ 0)."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    return np.asarray(days, np.int64)


def text_values(texts: Sequence[str], tokens: Sequence[str], idf: Sequence[float],
                missing: Iterable[str] = MISSING) -> NDArray[np.float32]:
    """Stripped texts as L2-normalised count × idf of the tokens, float32 [n, tokens]."""
    absent = frozenset(missing)
    index = {token: i for i, token in enumerate(tokens)}
    out = np.zeros((len(texts), len(tokens)), np.float32)
    for row, text in enumerate(texts):
        if text not in absent:
            for token in tokens_of(text):
                if (column := index.get(token)) is not None:
                    out[row, column] += 1
    out *= np.asarray(idf, np.float32)
    norm = np.sqrt(np.sum(out * out, axis=1, keepdims=True))
    return np.asarray(out / np.where(norm > 0, norm, 1), np.float32)


def feature_names(column: Mapping[str, Json]) -> list[str]:
    """Names of the numeric columns that a column of `preprocess.json` turns into; none for a categorical one."""
    match column["kind"]:
        case "numeric" | "boolean":
            return [str(column["name"])]
        case "date":
            return [f"{column['name']}:{f}" for f in column["features"]]
        case "text":
            return [f"{column['name']}:{t}" for t in column["tokens"]]
        case _:
            return []


def column_values(column: Mapping[str, Json], texts: Sequence[str], missing: Iterable[str]) -> NDArray[Any]:
    """One column's stripped texts by its description: float32 [n, features], or int32 [n] codes of a categorical one."""
    match column["kind"]:
        case "numeric":
            return numeric_values(texts, missing)[:, None]
        case "boolean":
            return boolean_values(texts, column["true"], column["false"], missing)[:, None]
        case "categorical":
            return category_codes(texts, column["vocabulary"], missing)
        case "date":
            return date_values(texts, column["format"], column["features"], missing)
        case "text":
            return text_values(texts, column["tokens"], column["idf"], missing)
        case other:
            raise InvalidInput.at(f"preprocess.columns[{column['name']}]", f"unknown kind {other!r}")


def raw_inputs(preprocess: Mapping[str, Json], raw: Raw) -> Inputs:
    """Raw columns (name → n values: text, numbers, None) as the matrices that a prepared data set holds.

    Columns that `preprocess` doesn't name are ignored. Raises `InvalidData` naming every column that is lacking or has
    another length than the first.
    """
    columns = preprocess["columns"]
    faults = [
        Violation(field=c["name"], message="the column is lacking", reason="COLUMN_MISSING")
        for c in columns if c["name"] not in raw
    ]
    lengths = {c["name"]: len(raw[c["name"]]) for c in columns if c["name"] in raw}
    rows = next(iter(lengths.values()), 0)
    faults += [
        Violation(field=name, message=f"expected {rows} values as in the first column, got {n}", reason="LENGTH")
        for name, n in lengths.items() if n != rows
    ]
    if faults:
        raise InvalidData(faults)
    missing = preprocess["missing"]
    numeric: list[NDArray[Any]] = []
    categorical: list[NDArray[Any]] = []
    for column in columns:
        values = column_values(column, [text_of(v) for v in raw[column["name"]]], missing)
        (categorical if column["kind"] == "categorical" else numeric).append(values)
    inputs: Inputs = {}
    if preprocess["numeric"]:
        inputs["numeric"] = np.concatenate(numeric, axis=1)
    if preprocess["categorical"]:
        inputs["categorical"] = np.stack(categorical, axis=1)
    return inputs


# --- operations --------------------------------------------------------------------------------


def apply_operations(x: NDArray[np.float32], operations: Sequence[Mapping[str, Json]]) -> NDArray[np.float32]:
    """The numeric matrix [n, d] after the operations, float32 [n, d + indicators], side by side for each branch."""
    if branches := branches_of(operations):
        return np.concatenate([apply_operations(x, branch) for branch in branches], axis=1)
    raw, appended = x, []
    x = np.array(x, np.float32)
    for operation in operations:
        if operation["op"] == "indicators":
            appended.append(np.isnan(raw[:, operation["columns"]]).astype(np.float32))
        else:
            x = _apply(x, operation)
    return np.concatenate([x, *appended], axis=1) if appended else x


def branches_of(operations: Sequence[Mapping[str, Json]]) -> list[list[dict[str, Json]]]:
    """The lists of operations of an ensemble's preprocessing; empty for plain operations."""
    return list(operations[0]["branches"]) if len(operations) == 1 and operations[0].get("op") == BRANCHES else []


def _apply(x: NDArray[np.float32], operation: Mapping[str, Json]) -> NDArray[np.float32]:
    match operation["op"]:
        case "affine":
            return (x - np.asarray(operation["shift"], np.float32)) * np.asarray(operation["scale"], np.float32)
        case "smooth-clip":
            limit = np.float32(operation["limit"])
            return np.asarray(x / np.sqrt(1 + np.square(x / limit)), np.float32)
        case "clip":
            return np.clip(x, np.float32(operation["low"]), np.float32(operation["high"]))
        case "signed-log":
            columns = operation["columns"]
            x[:, columns] = np.sign(x[:, columns]) * np.log1p(np.abs(x[:, columns]))
            return x
        case "interpolate":
            values = operation["values"]
            shared = not values or not isinstance(values[0], list | tuple | np.ndarray)
            for i, knots in enumerate(operation["knots"]):
                if len(knots):
                    # np.interp gives NaN for NaN, and of equal knots takes the last.
                    x[:, i] = np.interp(x[:, i], knots, values if shared else values[i])
            return x
        case "impute":
            return np.where(np.isnan(x), np.asarray(operation["values"], np.float32), x)
        case other:
            raise InvalidInput.at("preprocess.operations", f"unknown operation {other!r}; there are {', '.join(OPERATIONS)}")


def operation_faults(operations: Sequence[Mapping[str, Json]], d: int) -> list[Violation]:
    """Everything wrong with operations on d numeric columns: unknown names, wrong lengths, numbers that are not finite."""
    found: list[Violation] = []
    if branches := branches_of(operations):
        return [fault for branch in branches for fault in operation_faults(branch, d)]

    def fault(i: int, message: str) -> None:
        found.append(Violation(field=f"preprocess.operations[{i}]", message=message, reason="INVALID_OPERATION"))

    for i, operation in enumerate(operations):
        op = operation.get("op")
        needed = {"affine": ("shift", "scale"), "impute": ("values",), "interpolate": ("knots",)}.get(str(op), ())
        if op not in OPERATIONS:
            fault(i, f"unknown operation {op!r}; there are {', '.join(OPERATIONS)}")
            continue
        for key in needed:
            if len(operation.get(key, ())) != d:
                fault(i, f"{op} needs {d} {key}, one for each numeric column, got {len(operation.get(key, ()))}")
            elif key != "knots" and not np.all(np.isfinite(np.asarray(operation[key], np.float64))):
                fault(i, f"{op} has {key} that are not finite")
        if op in ("indicators", "signed-log") and not all(0 <= c < d for c in operation.get("columns", ())):
            fault(i, f"{op} names columns outside 0…{d - 1}")
        if op == "interpolate" and any(np.any(np.diff(np.asarray(k, np.float64)) < 0) for k in operation.get("knots", ())):
            fault(i, "the knots of a column must ascend")
    return found


class TableEncoder:
    """A fitted `preprocess.json`: from the matrices of a prepared data set, or from raw columns, to the model's inputs."""

    def __init__(self, preprocess: Mapping[str, Json], operations: Sequence[Mapping[str, Json]]):
        """`preprocess` is the unfitted document (`PreparedMeta.preprocess`), `operations` the fitted numeric operations.

        Raises `InvalidInput` with every operation that doesn't fit the columns.
        """
        self._preprocess = dict(preprocess)
        self._d = len(preprocess["numeric"])
        self._c = len(preprocess["categorical"])
        plain = [_plain(operation) for operation in operations]
        if faults := operation_faults(plain, self._d):
            raise InvalidInput(faults)
        self.operations: tuple[dict[str, Json], ...] = tuple(plain)

    @classmethod
    def fit(
        cls,
        data: PreparedDataset | tuple[Mapping[str, Json], Mapping[str, NDArray[Any]], NDArray[Any]],
        plan: TrainPlan,
        *,
        part: str = "train",
    ) -> TableEncoder:
        """Fits the plan's `features` on the rows of one part.

        `data` is a prepared data set, or (preprocess, inputs, y). Missing indicators of the columns that have missing
        values in these rows come first, then what each component says (fitted on what the ones before it left), and
        last the medians that replace NaN. For regression the components see standardised targets.
        """
        if isinstance(data, tuple):
            preprocess, inputs, y = data
        else:
            preprocess, inputs, y = data.meta.preprocess, data.inputs(part), data.target(part)
            if data.meta.kind == "regression":
                y = (y - np.float32(data.meta.target_mean or 0.0)) / np.float32(data.meta.target_std or 1.0)
        d = len(preprocess["numeric"])
        if not d:
            return cls(preprocess, ())
        x = np.array(inputs["numeric"], np.float32)
        incomplete = np.flatnonzero(np.isnan(x).any(axis=0)).tolist()
        operations: list[dict[str, Json]] = [{"op": "indicators", "columns": incomplete}] if incomplete else []
        for component in plan.features:
            fitted = [_plain(operation) for operation in component.make(x, y)]
            # The indicators of all incomplete columns are there already; a component may add others.
            fitted = [o for o in fitted if o["op"] != "indicators" or (set(o["columns"]) - set(incomplete))]
            if faults := operation_faults(fitted, d):
                raise InvalidInput(faults)
            operations += fitted
            x = apply_operations(x, [o for o in fitted if o["op"] != "indicators"])
        operations.append({"op": "impute", "values": _medians(x).tolist()})
        return cls(preprocess, operations)

    @property
    def widths(self) -> dict[str, int]:
        """Columns of each input of the model; inputs without columns are absent."""
        numeric = sum(
            self._d + sum(len(o["columns"]) for o in branch if o["op"] == "indicators")
            for branch in branches_of(self.operations) or [list(self.operations)]
        )
        return {name: n for name, n in (("numeric", self._d and numeric), ("categorical", self._c)) if n}

    def transform(self, inputs: Mapping[str, NDArray[Any]]) -> Inputs:
        """The prepared data's matrices as the model's inputs: "numeric" float32 [n, d′] without NaN, "categorical" int32.

        Raises `InvalidInput` when a matrix has another number of columns than the encoder was fitted on.
        """
        faults = [
            Violation(
                field=name, reason="WRONG_SHAPE",
                message=f"expected [n, {width}], got {list(np.shape(inputs.get(name, ())))}",
            )
            for name, width in (("numeric", self._d), ("categorical", self._c))
            if width and (name not in inputs or inputs[name].ndim != 2 or inputs[name].shape[1] != width)
        ]
        if faults:
            raise InvalidInput(faults)
        out: Inputs = {}
        if self._d:
            out["numeric"] = apply_operations(inputs["numeric"], self.operations)
        if self._c:
            out["categorical"] = np.asarray(inputs["categorical"], np.int32)
        return out

    def encode(self, raw: Raw) -> Inputs:
        """Raw columns (name → values) as the model's inputs. Raises `InvalidData` naming the columns that are lacking."""
        return self.transform(raw_inputs(self._preprocess, raw))

    def to_dict(self) -> dict[str, Json]:
        """The whole `preprocess.json`."""
        return {**self._preprocess, "operations": [dict(o) for o in self.operations], "inputs": self.widths}

    @classmethod
    def from_dict(cls, document: Mapping[str, Json]) -> TableEncoder:
        """The encoder that `to_dict` wrote. Raises `InvalidInput` for another version or modality."""
        if document.get("version") != VERSION or document.get("modality") != "table":
            raise InvalidInput.at(
                "preprocess",
                f"expected version {VERSION} of a table, "
                f"got version {document.get('version')!r} of {document.get('modality')!r}",
            )
        unfitted = {k: v for k, v in document.items() if k not in ("operations", "inputs")}
        return cls(unfitted, document["operations"])


def _medians(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Median of each column's present values, 0 for a column without any."""
    present = ~np.isnan(x)
    # As doubles: the mean of the two middle values may exceed float32 on the way.
    return np.array(
        [np.median(x[present[:, i], i].astype(np.float64)) if present[:, i].any() else 0.0 for i in range(x.shape[1])]
    )


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars inside an operation as plain JSON values."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
