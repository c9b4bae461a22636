"""`preprocess.json` for tables in NumPy: raw text columns in, what a model takes out.

The document travels in every artifact; its meaning is laid down by the engine's own encoder, and one suite of golden files
holds both to the same numbers. This one is the client's: it needs NumPy alone, works column by column on text as a CSV holds
it, and treats what it doesn't know as missing or unseen, never as an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import errors

VERSION = 1
BLANKS = " \t\n\r\x0b\x0c"

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TOKEN = re.compile(r"[^\W_]+")
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_CLOCK = r"(?:(?:[Tt]| +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?)? *(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_DATES = {
    "iso": (re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + _CLOCK), (0, 1, 2)),
    "dmy": (re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + _CLOCK), (2, 1, 0)),
    "mdy": (re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + _CLOCK), (2, 0, 1)),
}
"""Format → its pattern, and the places of year, month and day among the pattern's groups."""

Document = Mapping[str, Any]
Inputs = dict[str, NDArray[Any]]


class Encoder:
    """A fitted `preprocess.json`. Raises `InvalidInput` for a document of another version or modality."""

    def __init__(self, document: Document):
        if document.get("version") != VERSION or document.get("modality") != "table":
            raise errors.InvalidInput.at(
                "preprocess.json",
                f"expected version {VERSION} of a table, got version {document.get('version')!r} of "
                f"{document.get('modality')!r}. A newer automl may know it.",
            )
        self._columns: list[Document] = list(document["columns"])
        self._missing = frozenset(document["missing"])
        self._operations: list[Document] = list(document["operations"])
        self._has_numeric = bool(document["numeric"])
        self._has_categorical = bool(document["categorical"])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the raw columns that are needed."""
        return tuple(str(column["name"]) for column in self._columns)

    def encode(self, raw: Mapping[str, Sequence[Any]]) -> Inputs:
        """Raw columns (name → values: text, numbers, None) as "numeric" float32 [n, d] without NaN and "categorical"
        int32 [n, c]; other columns are ignored. Raises `InvalidData` naming every column that is lacking."""
        lacking = [name for name in self.columns if name not in raw]
        if lacking:
            why = "the model needs this column, and it is lacking."
            faults = [errors.Violation(f"column {name!r}", why, "COLUMN_MISSING") for name in lacking]
            raise errors.InvalidData("\n".join(map(str, faults)), faults)
        numeric: list[NDArray[Any]] = []
        categorical: list[NDArray[Any]] = []
        for column in self._columns:
            texts = [text_of(value) for value in raw[str(column["name"])]]
            (categorical if column["kind"] == "categorical" else numeric).append(self._values(column, texts))
        inputs: Inputs = {}
        if self._has_numeric:
            inputs["numeric"] = apply_operations(np.concatenate(numeric, axis=1), self._operations)
        if self._has_categorical:
            inputs["categorical"] = np.stack(categorical, axis=1)
        return inputs

    def _values(self, column: Document, texts: list[str]) -> NDArray[Any]:
        """float32 [n, features], of a categorical column int32 [n]."""
        match column["kind"]:
            case "numeric":
                return np.array([[number_of(text, self._missing)] for text in texts], np.float32)
            case "boolean":
                table = dict.fromkeys(column["false"], 0.0) | dict.fromkeys(column["true"], 1.0)
                table |= dict.fromkeys(self._missing, math.nan)
                return np.array([[table.get(text, math.nan)] for text in texts], np.float32)
            case "categorical":
                codes = {value: code for code, value in enumerate(column["vocabulary"], 2)} | dict.fromkeys(self._missing, 0)
                return np.array([codes.get(text, 1) for text in texts], np.int32)
            case "date":
                return self._dates(texts, str(column["format"]), list(column["features"]))
            case "text":
                return self._text(texts, list(column["tokens"]), column["idf"])
            case other:
                raise errors.InvalidInput.at(f"preprocess.json, column {column['name']!r}", f"unknown kind {other!r}.")

    def _dates(self, texts: list[str], order: str, features: list[str]) -> NDArray[np.float32]:
        out = np.full((len(texts), len(features)), math.nan, np.float32)
        for row, text in enumerate(texts):
            moment = None if text in self._missing else moment_of(text, order)
            if moment is not None:
                known = _date_features(*moment)
                out[row] = [known[feature] for feature in features]
        return out

    def _text(self, texts: list[str], tokens: list[str], idf: Sequence[float]) -> NDArray[np.float32]:
        places = {token: place for place, token in enumerate(tokens)}
        out = np.zeros((len(texts), len(tokens)), np.float32)
        for row, text in enumerate(texts):
            if text in self._missing:
                continue
            for token in _TOKEN.findall(text.lower()):
                place = places.get(token)
                if place is not None:
                    out[row, place] += 1
        out *= np.asarray(idf, np.float32)
        norms = np.sqrt(np.sum(np.square(out), axis=1, keepdims=True))
        return np.asarray(out / np.where(norms > 0, norms, 1), np.float32)


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


def apply_operations(raw: NDArray[Any], operations: Sequence[Document]) -> NDArray[np.float32]:
    """The numeric matrix [n, d] after the operations: float32 [n, d + indicators], side by side for each branch."""
    if len(operations) == 1 and operations[0]["op"] == "branches":
        return np.concatenate([apply_operations(raw, branch) for branch in operations[0]["branches"]], axis=1)
    x = np.array(raw, np.float32)
    indicators: list[NDArray[np.float32]] = []
    for operation in operations:
        match operation["op"]:
            case "indicators":
                indicators.append(np.isnan(raw[:, operation["columns"]]).astype(np.float32))
            case "affine":
                x = (x - np.asarray(operation["shift"], np.float32)) * np.asarray(operation["scale"], np.float32)
            case "smooth-clip":
                x = np.asarray(x / np.sqrt(1 + np.square(x / np.float32(operation["limit"]))), np.float32)
            case "clip":
                x = np.clip(x, np.float32(operation["low"]), np.float32(operation["high"]))
            case "signed-log":
                chosen = operation["columns"]
                x[:, chosen] = np.sign(x[:, chosen]) * np.log1p(np.abs(x[:, chosen]))
            case "interpolate":
                values = operation["values"]
                shared = not values or not isinstance(values[0], list)
                for place, knots in enumerate(operation["knots"]):
                    if knots:
                        x[:, place] = np.interp(x[:, place], knots, values if shared else values[place])
            case "impute":
                x = np.where(np.isnan(x), np.asarray(operation["values"], np.float32), x)
            case other:
                raise errors.InvalidInput.at(
                    "preprocess.json", f"unknown operation {other!r}. A newer automl may know it."
                )
    return np.concatenate([x, *indicators], axis=1)


def number_of(text: str, missing: frozenset[str]) -> float:
    """NaN for stripped text that is `missing`, spells no number, or one that isn't finite as float32."""
    if text in missing or _NUMBER.fullmatch(text) is None:
        return math.nan
    value = float(text)
    return value if abs(value) <= _FLOAT32_MAX else math.nan


def moment_of(text: str, order: str) -> tuple[int, int, int, int] | None:
    """Year, month, day and second of the day of stripped text; None for text that is no such date."""
    pattern, places = _DATES[order]
    match = pattern.fullmatch(text)
    if match is None:
        return None
    year, month, day = (int(match.group(place + 1)) for place in places)
    hour, minute, second = (int(group or 0) for group in match.group(4, 5, 6))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and second <= 60):
        return None
    return year, month, day, hour * 3600 + minute * 60 + second


def _date_features(year: int, month: int, day: int, seconds: int) -> dict[str, float]:
    # Days from 1970-01-01 in the Gregorian calendar, also for year 0 and 31 February, which `datetime` refuses
    # (Howard Hinnant, "chrono-compatible low-level date algorithms").
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    month_angle = 2 * math.pi * (month - 1) / 12
    weekday_angle = 2 * math.pi * ((days + 3) % 7) / 7
    return {
        "days": days + seconds / 86400,
        "year": year,
        "month_sin": math.sin(month_angle),
        "month_cos": math.cos(month_angle),
        "weekday_sin": math.sin(weekday_angle),
        "weekday_cos": math.cos(weekday_angle),
        "hour": seconds / 3600,
    }
