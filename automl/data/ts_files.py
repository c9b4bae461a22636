"""The `.ts` form of sktime and of the UCR/UEA archive (www.timeseriesclassification.com).

    # comments
    @problemName Vowels
    @timeStamps false
    @univariate false
    @dimensions 2
    @equalLength false
    @classLabel true a e i
    @data
    1.86,1.89,?,1.72:-0.2,-0.19,-0.21,-0.2:a

A line is a series: its dimensions parted by ":", their values by ",", the label last. `?` and `NaN` are missing values.
Dimensions of one series have the same number of values; series may differ. Of the header only `@classLabel` and `@data`
are needed; what else it says is checked. Every fault is reported with its line. """

from __future__ import annotations

import codecs
import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from automl.data import encoder, series
from automl.data.limits import LIMITS, Limits
from automl.data.series import Series
from automl.data.table import TextColumn
from automl.spec.errors import InvalidData, Violation

_FLAGS = ("timestamps", "missing", "univariate", "equallength")
_NUMBERS = ("dimensions", "dimension", "serieslength")
_KEYWORDS = ("problemname", *_FLAGS, *_NUMBERS, "classlabel", "targetlabel", "data")
_MISSING = ("?", "nan")
_SHOWN = ("@problemName", "@timeStamps", "@missing", "@univariate", "@dimensions", "@equalLength", "@seriesLength",
          "@classLabel", "@data")


def is_ts(content: bytes, filename: str) -> bool:
    """Whether the first line that is no comment begins a header, or the file is called so."""
    if filename.lower().removesuffix(".gz").endswith(".ts"):
        return True
    for line in content[: 1 << 20].removeprefix(codecs.BOM_UTF8).splitlines():
        text = line.strip()
        if text and not text.startswith(b"#"):
            word = text.split(maxsplit=1)[0].decode("ascii", errors="replace").lower()
            return word.removeprefix("@") in _KEYWORDS and word.startswith("@")
    return False


def read(content: bytes, filename: str, limits: Limits = LIMITS) -> Series:
    """Raises `InvalidData` with every fault and its line."""
    return _Reader(filename, limits).read(content)


@dataclasses.dataclass
class _Reader:
    filename: str
    limits: Limits

    def __post_init__(self) -> None:
        self.faults: list[Violation] = []
        self.header: dict[str, str] = {}
        self.dimensions: int | None = None
        self.length: int | None = None
        self.values: list[NDArray[np.float32]] = []
        self.labels: list[str] = []
        self.cells = 0

    def read(self, content: bytes) -> Series:
        lines = iter(enumerate(self._text(content).splitlines(), 1))
        in_data = False
        for number, line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if not text.startswith("@"):
                self._fault(number, f"expected a header line that begins with @, or @data, got {text[:60]!r}.", "BAD_HEADER",
                            "Give the header of the .ts form: " + ", ".join(_SHOWN) + ".")
                break
            if self._header_line(number, text):
                in_data = True
                break
        if not in_data and not self.faults:
            self._fault(None, "has no line @data, after which the series stand.", "BAD_HEADER")
        self._stop_on_faults()
        self._check_header()
        self._stop_on_faults()
        classes = self._classes()
        for number, line in lines:
            text = line.strip()
            if text and not text.startswith("#"):
                self._case(number, text, classes)
            if len(self.faults) >= self.limits.listed:
                break
        self._stop_on_faults()
        if not self.values:
            raise InvalidData.at(self.filename, "has no series behind @data.", "Give a few dozen at least.", "NO_ROWS")
        labels = None if classes is None else TextColumn.of(series.LABEL, pa.array(self.labels, pa.string()))
        channels = tuple(f"dim_{i}" for i in range(self.dimensions or 1))
        return Series(self.filename, "ts", self.values, channels, labels)

    # --- the header ----------------------------------------------------------------------------

    def _text(self, content: bytes) -> str:
        content = content.removeprefix(codecs.BOM_UTF8)
        if not content.strip():
            raise InvalidData.at(self.filename, "is empty.", "Give a .ts file with a header and series.", "EMPTY")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as fault:
            line = content.count(b"\n", 0, fault.start) + 1
            raise InvalidData.at(
                f"{self.filename}, line {line}", f"byte 0x{content[fault.start]:02x} is not UTF-8: this is no text.",
                "Give the series as text in the .ts form.", "ENCODING",
            ) from fault

    def _header_line(self, number: int, text: str) -> bool:
        """Takes one line in; True for @data."""
        word, _, rest = text[1:].partition(" ")
        name, rest = word.strip().lower(), rest.strip()
        if name == "data":
            return True
        if name not in _KEYWORDS:
            arff = " This looks like ARFF; save it as .ts or CSV." if name in ("relation", "attribute") else ""
            self._fault(number, f"unknown header @{word[:40]}; known are {', '.join(_SHOWN)}.{arff}", "BAD_HEADER")
        elif name in self.header:
            self._fault(number, f"@{word} stands here a second time.", "BAD_HEADER")
        elif name in _FLAGS and rest.lower() not in ("true", "false"):
            self._fault(number, f"@{word} is true or false, got {rest[:40]!r}.", "BAD_HEADER")
        elif name in _NUMBERS and not (rest.isdecimal() and int(rest) > 0):
            self._fault(number, f"@{word} is a whole number above 0, got {rest[:40]!r}.", "BAD_HEADER")
        elif name in ("classlabel", "targetlabel") and rest.split(" ")[0].lower() not in ("true", "false"):
            self._fault(number, f"@{word} is true, followed by the classes, or false; got {rest[:40]!r}.", "BAD_HEADER")
        elif name == "classlabel" and rest.lower() == "true":
            self._fault(number, f"@{word} true must be followed by the names of the classes.", "BAD_HEADER")
        elif name == "timestamps" and rest.lower() == "true":
            self._fault(number, "time stamps beside the values aren't taken: series are read as equally spaced.",
                        "TIME_STAMPS", "Give the values alone, with @timeStamps false; or a CSV in long form with times.")
        elif name == "targetlabel" and rest.lower() != "false":
            self._fault(number, "@targetLabel true gives numbers to predict, and series are classified here.",
                        "TARGET_NOT_CLASSES", "Give classes with @classLabel true.")
        self.header.setdefault(name, rest)
        return False

    def _check_header(self) -> None:
        declared = self.header.get("dimensions", self.header.get("dimension"))
        self.dimensions = int(declared) if declared is not None else None
        univariate = self.header.get("univariate", "").lower()
        if univariate == "true" and self.dimensions not in (None, 1):
            self._fault(None, f"the header says @univariate true and @dimensions {self.dimensions}.", "BAD_HEADER")
        if univariate == "true":
            self.dimensions = 1
        length = self.header.get("serieslength")
        if length is not None and self.header.get("equallength", "true").lower() == "true":
            self.length = int(length)
        if "classlabel" not in self.header:
            self._fault(None, "the header has no @classLabel: whether the lines end in a label must be said.", "BAD_HEADER",
                        "Add @classLabel true with the classes' names, or @classLabel false.")

    def _classes(self) -> frozenset[str] | None:
        """The declared classes; None for a file without labels."""
        first, *names = self.header["classlabel"].split()
        return frozenset(names) if first.lower() == "true" else None

    # --- one series ----------------------------------------------------------------------------

    def _case(self, number: int, text: str, classes: frozenset[str] | None) -> None:
        fields = text.split(":")
        if classes is not None:
            label = fields.pop().strip()
            if label not in classes:
                if not fields:
                    self._fault(number, "has no label: the class stands last, behind a colon.", "LABEL_MISSING")
                else:
                    named = ", ".join(sorted(classes)[:10]) + (", …" if len(classes) > 10 else "")
                    self._fault(number, f"the label {label[:60]!r} is none of the declared classes ({named}).",
                                "UNKNOWN_LABEL")
                return
            self.labels.append(label)
        if self.dimensions is None:
            self.dimensions = max(1, len(fields))
        if len(fields) != self.dimensions:
            self._fault(number, f"expected {self.dimensions} dimensions, got {len(fields)}.", "RAGGED_DIMENSIONS")
            return
        rows = [self._values(number, place, field) for place, field in enumerate(fields, 1)]
        if any(row is None for row in rows):
            return
        lengths = [len(row) for row in rows if row is not None]
        for place, length in enumerate(lengths, 1):
            if length != lengths[0]:
                self._fault(
                    number, f"dimension {place} has {length} values and dimension 1 has {lengths[0]}: the dimensions of a "
                    "series must be of one length.", "RAGGED_DIMENSIONS", "Fill up with ? what wasn't measured.",
                )
                return
        if self.length is None and self.header.get("equallength", "").lower() == "true":
            self.length = lengths[0]
        if self.length is not None and lengths[0] != self.length:
            self._fault(number, f"the header promises series of {self.length} steps, this one has {lengths[0]}.",
                        "RAGGED_SERIES", "Say @equalLength false, without @seriesLength.")
            return
        self.cells += sum(lengths)
        if self.cells > self.limits.table_cells:
            raise InvalidData.at(
                self.filename, f"has more than {self.limits.table_cells:,} values, which is the most that is taken",
                reason="TOO_LARGE",
            )
        self.values.append(series.trimmed(np.stack([row for row in rows if row is not None], axis=1)))

    def _values(self, number: int, place: int, field: str) -> NDArray[np.float64] | None:
        """One dimension's numbers, NaN where missing; None when there is a fault, which is then noted."""
        cells = field.split(",")
        try:
            values = np.array(cells, np.float64)
        except ValueError:
            values = np.full(len(cells), np.nan)
            for i, cell in enumerate(map(str.strip, cells)):
                if cell.lower() in _MISSING:
                    continue
                if not encoder.NUMBER.fullmatch(cell):
                    where = f"dimension {place}, value {i + 1}"
                    told = "is empty" if not cell else f"expected a number, got {cell[:60]!r}"
                    self._fault(number, f"{where}: {told}.", "NOT_A_NUMBER", "Write ? for a missing value.")
                    return None
                values[i] = float(cell)
        too_large = np.abs(values) > np.finfo(np.float32).max
        if too_large.any():
            i = int(too_large.argmax())
            self._fault(number, f"dimension {place}, value {i + 1}: {cells[i].strip()[:60]} isn't finite as float32.",
                        "NOT_A_NUMBER")
            return None
        return values

    # --- faults --------------------------------------------------------------------------------

    def _fault(self, line: int | None, message: str, reason: str, remedy: str = "") -> None:
        place = self.filename if line is None else f"{self.filename}, line {line}"
        self.faults.append(Violation(field=place, message=message, reason=reason, remedy=remedy))

    def _stop_on_faults(self) -> None:
        if self.faults:
            raise InvalidData(self.faults[: self.limits.listed])
