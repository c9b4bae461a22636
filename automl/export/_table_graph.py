"""`preprocess.json` for tables as TensorFlow operations: the preprocessing inside a SavedModel.

The meaning is `automl.data.encoder`'s; what is written there for one cell is done here for a column's tensor. A golden
suite and random rows show that the two agree. TensorFlow is imported at module level, so the catalogue's discovery leaves
this module out (its name begins with an underscore).

What TensorFlow's operations do differently, and what is done about it: `tf.minimum` and `tf.maximum` don't promise to
keep NaN, so NaN is put back; regular expressions are RE2's, where `\\w` is ASCII, so Unicode's classes are named; groups
can't be captured, so each field of a date is cut out by a replacement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from automl.spec import Internal

_TIME = r"(?:(?:[Tt]| +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?)? *(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_YEAR_FIRST = r"^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + _TIME + "$"
_YEAR_LAST = r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + _TIME + "$"
_NOT_A_TOKEN = r"[^\pL\pN]+"  # Python's \w is letters, numbers of every kind, and the underscore
_NAN = tf.constant(math.nan, tf.float32)


class TableGraph(tf.Module):
    """From raw columns, one tensor [b] each, to the model's inputs. Holds the lookup tables as resources of a
    SavedModel."""

    def __init__(self, preprocess: Mapping[str, Any]):
        super().__init__()
        # Lists and dicts assigned to a module are wrapped for tracking, which turns nested JSON into something else.
        self._preprocess = Untracked(preprocess)
        self.tables = {}
        for index, column in enumerate(preprocess["columns"]):
            if column["kind"] == "categorical" and column["vocabulary"]:
                self.tables[str(index)] = table(column["vocabulary"], range(2, 2 + len(column["vocabulary"])), default=1)
            elif column["kind"] == "text" and column["tokens"]:
                self.tables[str(index)] = table(column["tokens"], range(len(column["tokens"])), default=-1)

    def encode(self, columns: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """`columns` in the order of the document: float32 [b] with NaN for numeric ones, string [b] for the others.
        Returns "numeric" float32 [b, d′] and "categorical" int32 [b, c], each if the document has such columns."""
        document = self._preprocess.value
        numeric: list[tf.Tensor] = []
        categorical: list[tf.Tensor] = []
        for index, (column, values) in enumerate(zip(document["columns"], columns)):
            if column["kind"] == "numeric":
                numeric.append(tf.where(tf.math.is_finite(values), values, _NAN)[:, None])
                continue
            text = tf.strings.strip(values)
            missing = _among(text, document["missing"])
            match column["kind"]:
                case "boolean":
                    value = tf.where(_among(text, column["true"]), 1.0, tf.where(_among(text, column["false"]), 0.0, _NAN))
                    numeric.append(tf.where(missing, _NAN, value)[:, None])
                case "categorical":
                    known = self.tables.get(str(index))
                    codes = tf.ones_like(missing, tf.int32) if known is None else known.lookup(text)
                    categorical.append(tf.where(missing, 0, codes))
                case "date":
                    numeric.append(_date(text, missing, column["format"], column["features"]))
                case "text":
                    numeric.append(self._text(text, missing, index, column))
                case other:
                    raise Internal(f"preprocess.json: column {column['name']!r} has the unknown kind {other!r}")
        inputs = {}
        if numeric:
            inputs["numeric"] = _operations(tf.concat(numeric, axis=1), document["operations"])
        if categorical:
            inputs["categorical"] = tf.stack(categorical, axis=1)
        return inputs

    def _text(self, text: tf.Tensor, missing: tf.Tensor, index: int, column: Mapping[str, Any]) -> tf.Tensor:
        """float32 [b, tokens]: count × idf, each row of length 1 or 0."""
        rows, width = tf.shape(text)[0], len(column["tokens"])
        if not width:
            return tf.zeros((rows, 0), tf.float32)
        lower = tf.strings.lower(tf.where(missing, "", text), encoding="utf-8")
        tokens = tf.strings.split(tf.strings.regex_replace(lower, _NOT_A_TOKEN, " "))
        found = self.tables[str(index)].lookup(tokens.flat_values)
        known = found >= 0
        places = tf.boolean_mask(tf.cast(tokens.value_rowids(), tf.int32) * width + found, known)
        counts = tf.reshape(tf.math.bincount(places, minlength=rows * width, maxlength=rows * width), (rows, width))
        weighted = tf.cast(counts, tf.float32) * tf.constant(column["idf"], tf.float32)
        norm = tf.sqrt(tf.reduce_sum(tf.square(weighted), axis=1, keepdims=True))
        return tf.math.divide_no_nan(weighted, norm)


class Untracked:
    """Keeps a plain value from `tf.Module`'s wrapping of containers."""

    def __init__(self, value: Mapping[str, Any]):
        self.value = value


def table(keys: Sequence[str], values: Sequence[int], default: int) -> tf.lookup.StaticHashTable:
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(list(keys)), tf.constant(list(values), tf.int32))
    return tf.lookup.StaticHashTable(pairs, default)


def _among(text: tf.Tensor, values: Sequence[str]) -> tf.Tensor:
    """bool [b]: the text equals one of a few values."""
    if not len(values):
        return tf.zeros_like(text, tf.bool)
    return tf.reduce_any(tf.equal(text[:, None], tf.constant(list(values))[None, :]), axis=1)


def _date(text: tf.Tensor, missing: tf.Tensor, order: str, features: Sequence[str]) -> tf.Tensor:
    """float32 [b, features], rows of NaN where the text is no date."""
    pattern = _YEAR_FIRST if order == "iso" else _YEAR_LAST
    matched = tf.logical_and(tf.strings.regex_full_match(text, pattern), tf.logical_not(missing))
    # What is no date is replaced by one, so that the arithmetic is defined; its row becomes NaN at the end.
    text = tf.where(matched, text, "1970-01-01" if order == "iso" else "01-01-1970")

    def field(group: int) -> tf.Tensor:
        digits = tf.strings.regex_replace(text, pattern, rf"\{group}")
        return tf.strings.to_number(tf.where(digits == "", "0", digits), tf.int64)

    first, second, third = field(1), field(2), field(3)
    year, month, day = {"iso": (first, second, third), "dmy": (third, second, first), "mdy": (third, first, second)}[order]
    hour, minute, second_ = field(4), field(5), field(6)
    valid = matched
    for value, low, high in ((month, 1, 12), (day, 1, 31), (hour, 0, 24), (minute, 0, 59), (second_, 0, 60)):
        valid = tf.logical_and(valid, tf.logical_and(value >= low, value <= high))
    days = _days_from_civil(year, month, day)
    seconds = hour * 3600 + minute * 60 + second_
    weekday = tf.math.floormod(days + 3, 7)

    def turn(count: tf.Tensor, of: int) -> tf.Tensor:
        return 2 * math.pi * tf.cast(count, tf.float64) / of

    made = {
        "days": lambda: tf.cast(days, tf.float64) + tf.cast(seconds, tf.float64) / 86400,
        "year": lambda: tf.cast(year, tf.float64),
        "month_sin": lambda: tf.sin(turn(month - 1, 12)), "month_cos": lambda: tf.cos(turn(month - 1, 12)),
        "weekday_sin": lambda: tf.sin(turn(weekday, 7)), "weekday_cos": lambda: tf.cos(turn(weekday, 7)),
        "hour": lambda: tf.cast(seconds, tf.float64) / 3600,
    }
    values = tf.cast(tf.stack([made[feature]() for feature in features], axis=1), tf.float32)
    return tf.where(valid[:, None], values, _NAN)


def _days_from_civil(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days since 1970-01-01, int64 [b] (Howard Hinnant's `days_from_civil`)."""
    shifted = year - tf.cast(month <= 2, tf.int64)
    era = shifted // 400
    year_of_era = shifted - era * 400
    from_march = month + tf.where(month > 2, tf.constant(-3, tf.int64), tf.constant(9, tf.int64))
    day_of_year = (153 * from_march + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def _operations(x: tf.Tensor, operations: Sequence[Mapping[str, Any]]) -> tf.Tensor:
    """The numeric matrix [b, d] after the fitted operations: float32 [b, d + indicators], side by side for each branch."""
    if len(operations) == 1 and operations[0]["op"] == "branches":
        return tf.concat([_operations(x, branch) for branch in operations[0]["branches"]], axis=1)
    raw, appended = x, []
    for operation in operations:
        if operation["op"] == "indicators":
            appended.append(tf.cast(tf.math.is_nan(tf.gather(raw, operation["columns"], axis=1)), tf.float32))
        else:
            x = _operation(x, operation)
    return tf.concat([x, *appended], axis=1) if appended else x


def _operation(x: tf.Tensor, operation: Mapping[str, Any]) -> tf.Tensor:
    match operation["op"]:
        case "affine":
            return (x - tf.constant(operation["shift"], tf.float32)) * tf.constant(operation["scale"], tf.float32)
        case "smooth-clip":
            return x / tf.sqrt(1.0 + tf.square(x / float(operation["limit"])))
        case "clip":
            return tf.where(tf.math.is_nan(x), x, tf.clip_by_value(x, float(operation["low"]), float(operation["high"])))
        case "signed-log":
            chosen = np.zeros(x.shape[1], bool)
            chosen[list(operation["columns"])] = True
            return tf.where(chosen, tf.sign(x) * tf.math.log1p(tf.abs(x)), x)
        case "interpolate":
            return _interpolate(x, operation["knots"], operation["values"])
        case "impute":
            return tf.where(tf.math.is_nan(x), tf.constant(operation["values"], tf.float32), x)
        case other:
            raise Internal(f"preprocess.json: the unknown operation {other!r}")


def _interpolate(x: tf.Tensor, knots: Sequence[Sequence[float]], values: Sequence[Any]) -> tf.Tensor:
    """Piecewise linear in each column with knots, constant outside; in float64 as `np.interp`, with its choice at equal
    knots.

    Columns with the same number of knots are searched together, so the graph doesn't grow with the columns.
    """
    shared = not len(values) or not isinstance(values[0], list | tuple)
    of_length: dict[int, list[int]] = {}
    for i, own in enumerate(knots):
        if len(own):
            of_length.setdefault(len(own), []).append(i)
    columns = tf.unstack(x, axis=1)
    for length, members in of_length.items():
        points = tf.constant([knots[i] for i in members], tf.float64)  # [m, k]
        heights = tf.constant([values if shared else values[i] for i in members], tf.float64)
        given = tf.cast(tf.stack([columns[i] for i in members]), tf.float64)  # [m, b]
        if length == 1:
            # `np.interp` with a single knot gives its value for NaN too.
            found = tf.broadcast_to(heights, tf.shape(given))
        else:
            left = tf.clip_by_value(tf.searchsorted(points, given, side="right") - 1, 0, length - 2)
            x0, x1 = tf.gather(points, left, batch_dims=1), tf.gather(points, left + 1, batch_dims=1)
            y0, y1 = tf.gather(heights, left, batch_dims=1), tf.gather(heights, left + 1, batch_dims=1)
            found = y0 + tf.math.divide_no_nan(y1 - y0, x1 - x0) * (given - x0)
            found = tf.where(given < points[:, :1], heights[:, :1], found)
            found = tf.where(given >= points[:, -1:], heights[:, -1:], found)
            found = tf.where(tf.math.is_nan(given), given, found)
        for row, i in enumerate(members):
            columns[i] = tf.cast(found[row], tf.float32)
    return tf.stack(columns, axis=1)
