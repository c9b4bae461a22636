"""Series for prediction: `.ts` files, with labels or without, and tables in the form that the model learnt from; and
`preprocess.json` of series in NumPy.

The document's meaning is laid down by the engine's `automl.data.series_encoder`; golden files hold both to the same numbers.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors, tables

MAX_FAULTS = 20

_FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
_KEYWORDS = (*_FLAGS, "problemname", "dimensions", "dimension", "serieslength", "data")
_DAY_WEIGHTS = (32_140_800, 2_678_400, 86_400, 1)
"""Of year, month, day and second, with months of 31 days: the order is what counts."""

Values = NDArray[np.float64]
"""One series, [steps, channels], NaN where a value is missing."""


def numbers(texts: Sequence[str], missing: frozenset[str]) -> Values:
    """Cells of a table, NaN for what is missing or no number."""
    return np.array([encoder.number_of(encoder.text_of(text), missing) for text in texts], np.float64)


def long_rows(
    path: Path, source: Mapping[str, Any], missing: frozenset[str], has_header: bool | None
) -> tuple[list[str], list[Values]]:
    """Names and values of the series in a table with a row for each step, by first appearance. Raises `InvalidData` naming
    the rows that belong to no series or no time."""
    time = source.get("time")
    needed = [str(source["series"]), *([str(time["name"])] if time else []), *map(str, source["columns"])]
    ids: list[str] = []
    times: list[str] = []
    parts: list[Values] = []
    for block in tables.blocks(path, needed, has_header):
        ids += [encoder.text_of(text) for text in block[needed[0]]]
        if time:
            times += [encoder.text_of(text) for text in block[str(time["name"])]]
        parts.append(np.stack([numbers(block[name], missing) for name in source["columns"]], axis=1))
    if bad := [row for row, text in enumerate(ids, 1) if text in missing]:
        why = "is empty: it must say to which series the row belongs."
        raise _faults((f"{path}, row {row}, column {source['series']!r}", why, "SERIES_MISSING") for row in bad)
    matrix = np.concatenate(parts)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows.setdefault(name, []).append(row)
    keys = _keys(path, times, time) if time else None
    ordered = [sorted(chosen, key=keys.__getitem__) if keys is not None else chosen for chosen in rows.values()]
    return list(rows), [matrix[chosen] for chosen in ordered]


def _keys(path: Path, texts: list[str], time: Mapping[str, Any]) -> list[float]:
    """Numbers in the order of times."""
    if time["kind"] == "numeric":
        keys = [encoder.number_of(text, _NOTHING) for text in texts]
    else:
        moments = [encoder.moment_of(text, str(time["format"])) for text in texts]
        keys = [
            math.nan if m is None else float(sum(a * b for a, b in zip(m, _DAY_WEIGHTS, strict=True))) for m in moments
        ]
    if bad := [row for row, key in enumerate(keys) if math.isnan(key)]:
        raise _faults(
            (f"{path}, row {row + 1}, column {time['name']!r}", "expected a time to order the steps by, got "
             f"{texts[row][:60]!r}.", "TIME_UNREADABLE") for row in bad
        )
    return keys


# --- the encoder ----------------------------------------------------------------------------------------------------------


class Encoder:
    """A `preprocess.json` of series. Raises `InvalidInput` for a document of another version or modality."""

    def __init__(self, document: Mapping[str, Any]):
        if document.get("version") != encoder.VERSION or document.get("modality") != "series":
            raise errors.InvalidInput.at(
                "preprocess.json",
                f"expected version {encoder.VERSION} of series, got version {document.get('version')!r} of "
                f"{document.get('modality')!r}. A newer automl may know it.",
            )
        self.channels = len(document["channels"])
        self._length, self._steps = int(document["length"]), int(document["inputs"]["steps"])
        self._ragged = bool(document["ragged"])
        self._shift = np.asarray(document["shift"], np.float32)
        self._scale = np.asarray(document["scale"], np.float32)
        self._clip = np.float32(document["clip"])

    def encode(self, values: Iterable[NDArray[Any]]) -> encoder.Inputs:
        """"series" float32 [n, steps, channels], with a mask as last channel where lengths differ."""
        made = [self._one(np.asarray(one, np.float32)) for one in values]
        return {"series": np.stack(made) if made else np.zeros((0, self._steps, self.channels + self._ragged), np.float32)}

    def _one(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        there = np.flatnonzero(~np.isnan(values).all(axis=1))
        x = values[: there[-1] + 1 if len(there) else 0].astype(np.float64)
        if not self._ragged and len(x) < self._length:
            x = np.pad(x, ((0, self._length - len(x)), (0, 0)), constant_values=np.nan)
        for channel in range(self.channels):
            known = np.flatnonzero(~np.isnan(x[:, channel]))
            gaps = np.flatnonzero(np.isnan(x[:, channel]))
            x[gaps, channel] = np.interp(gaps, known, x[known, channel]) if len(known) else self._shift[channel]
        if self._length > self._steps and len(x):
            x = _resampled(x, max(1, (2 * len(x) * self._steps + self._length) // (2 * self._length)))
        x = x[: self._steps]
        scaled = np.clip((x.astype(np.float32) - self._shift) * self._scale, -self._clip, self._clip)
        out = np.zeros((self._steps, self.channels + self._ragged), np.float32)
        out[: len(x), : self.channels] = scaled
        out[: len(x), self.channels :] = 1.0
        return out


def _resampled(x: Values, steps: int) -> Values:
    """The means over `steps` equal shares of the steps of x [n, channels]."""
    whole = np.vstack([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    edges = np.arange(steps + 1) * (len(x) / steps)
    # Between two steps the integral grows linearly.
    integral = np.stack([np.interp(edges, np.arange(len(x) + 1), whole[:, c]) for c in range(x.shape[1])], axis=1)
    return np.asarray(np.diff(integral, axis=0) * (steps / len(x)))


# --- .ts files ------------------------------------------------------------------------------------------------------------


def is_ts(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".ts")


def read_ts(path: Path, channels: int) -> list[Values]:
    """The series of a `.ts` file, in order; labels at the ends of the lines are passed over. Raises `InvalidData` naming the
    lines that are at fault."""
    lines = iter(enumerate(_lines(path), 1))
    flags = _header(path, lines)
    faults: list[tuple[str, str, str]] = []
    found: list[Values] = []
    for number, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        fields = text.split(":")
        labelled = flags.get("classlabel", flags.get("targetlabel"))
        if labelled == "true" or (labelled is None and len(fields) == channels + 1):
            fields.pop()
        if not found and not faults and len(fields) != channels:
            raise errors.InvalidData.at(
                f"{path}, line {number}", f"its series have {len(fields)} channels, the model takes {channels}.",
                "WRONG_SHAPE",
            )
        fault, one = _case(fields, channels)
        if fault:
            faults.append((f"{path}, line {number}", *fault))
            if len(faults) == MAX_FAULTS:
                break
        else:
            found.append(one)
    if faults:
        raise _faults(faults)
    if not found:
        raise errors.InvalidData.at(str(path), "has no series behind @data.", "NO_ROWS")
    return found


def ts_labels(path: Path) -> list[str]:
    """The label of each series, in order. Raises `InvalidData` for a file whose header says that there are none."""
    lines = iter(enumerate(_lines(path), 1))
    flags = _header(path, lines)
    if flags.get("classlabel", flags.get("targetlabel")) == "false":
        raise errors.InvalidData.at(str(path), "its header says @classLabel false: there are no labels.", "LABELS_MISSING")
    return [text.rpartition(":")[2].strip() for _, line in lines if (text := line.strip()) and not text.startswith("#")]


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise errors.InvalidData.at(str(path), "there is no such file.", "FILE_NOT_FOUND")
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        text = content.decode("utf-8-sig")
    except (EOFError, OSError) as error:
        raise errors.InvalidData.at(str(path), f"the gzip data are damaged: {error}.") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.InvalidData.at(
            f"{path}, line {line}", "is not UTF-8; this model takes .ts files of text.", "ENCODING"
        ) from error
    if not text.strip():
        raise errors.InvalidData.at(str(path), "the file is empty.", "EMPTY")
    return text.splitlines()


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> dict[str, str]:
    """The flags ("true", "false") of a header, up to @data."""
    flags: dict[str, str] = {}
    for number, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        word, _, rest = text.partition(" ")
        name = word[1:].lower()
        if not word.startswith("@") or name not in _KEYWORDS:
            raise errors.InvalidData.at(
                f"{path}, line {number}", f"expected a header of a .ts file (@classLabel …, @data), got {text[:60]!r}.",
                "BAD_HEADER",
            )
        if name == "data":
            return flags
        if name in _FLAGS:
            flags[name] = rest.split()[0].lower() if rest.split() else ""
        if flags.get("timestamps") == "true":
            raise errors.InvalidData.at(f"{path}, line {number}", "time stamps aren't taken.", "TIME_STAMPS")
    raise errors.InvalidData.at(str(path), "has no line @data, after which the series stand.", "BAD_HEADER")


def _case(fields: list[str], channels: int) -> tuple[tuple[str, str] | None, Values]:
    """(message and reason of a fault, or None; values [steps, channels])."""
    nothing = np.zeros((0, channels))
    if len(fields) != channels:
        return (f"expected {channels} dimensions, got {len(fields)}.", "RAGGED_DIMENSIONS"), nothing
    columns = []
    for place, field in enumerate(fields, 1):
        cells = [cell.strip() for cell in field.split(",")]
        if len(cells) != len(fields[0].split(",")):
            first = len(fields[0].split(","))
            message = f"dimension {place} has {len(cells)} values and dimension 1 has {first}."
            return (message, "RAGGED_DIMENSIONS"), nothing
        try:
            quick = np.array(cells, np.float64)
        except ValueError:
            quick = None
        if quick is not None and (np.abs(quick) <= _LARGEST).all():
            columns.append(quick.tolist())
            continue
        numbers = [encoder.number_of(cell, _NOTHING) for cell in cells]
        for at, (cell, value) in enumerate(zip(cells, numbers, strict=True), 1):
            if math.isnan(value) and cell.lower() not in ("?", "nan"):
                return (f"dimension {place}, value {at}: expected a number, got {cell[:60]!r}.", "NOT_A_NUMBER"), nothing
        columns.append(numbers)
    return None, np.array(columns, np.float64).T


_NOTHING: frozenset[str] = frozenset()
_LARGEST = float(np.finfo(np.float32).max)


def _faults(found: Iterable[tuple[str, str, str]]) -> errors.InvalidData:
    violations = [errors.Violation(*one) for one in found][:MAX_FAULTS]
    return errors.InvalidData("\n".join(map(str, violations)), violations)
