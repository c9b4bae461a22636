"""TFLite's metadata as a flatbuffer, by the schema of tflite-support (`metadata_schema.fbs`, identifier "M001").

Only what this project has to say is written: numbers of fields and enumerations are those of the schema.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

NAME = "TFLITE_METADATA"
"""Under which a model holds it."""
IDENTIFIER = b"M001"
VERSION = "1.0.0"
"""Of the schema that a reader must know at least."""
DESCRIPTIONS, AXIS_LABELS = 1, 2
"""AssociatedFileType."""
_FEATURE, _IMAGE = 1, 2
"""ContentProperties."""
_NORMALIZATION = 1
"""ProcessUnitOptions."""
_COLOUR_SPACE = {1: 2, 3: 1}
"""Channels → ColorSpaceType: GRAYSCALE, RGB; others are UNKNOWN."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file in the archive behind the model."""

    name: str
    description: str
    type: int


@dataclasses.dataclass(frozen=True)
class Picture:
    width: int
    height: int
    colours: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    name: str
    description: str
    picture: Picture | None = None
    """None for plain numbers."""
    mean: Sequence[float] = ()
    deviation: Sequence[float] = ()
    """The model takes (x - mean) / deviation of raw values; empty: nothing is said."""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    files: Sequence[File] = ()


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    description: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    files: Sequence[File] = ()


def encoded(model: Model) -> bytes:
    """The flatbuffer."""
    import flatbuffers

    writer = _Writer(flatbuffers.Builder(1024))
    graph = writer.table({
        2: writer.vector([writer.tensor(one) for one in model.inputs]),
        3: writer.vector([writer.tensor(one) for one in model.outputs]),
    })
    root = writer.table({
        0: writer.text(model.name), 1: writer.text(model.description), 3: writer.vector([graph]),
        6: writer.files(model.files), 7: writer.text(VERSION),
    })
    writer.builder.Finish(root, file_identifier=IDENTIFIER)
    return bytes(writer.builder.Output())


Field = Callable[[int], None]
"""Puts a value into the field of that number of the table that is being written."""


class _Writer:
    """Tables whose parts are written before them, as flatbuffers want it. A field is what `text`, `vector` and the like
    give; None is left out."""

    def __init__(self, builder: Any):
        self.builder = builder

    def table(self, fields: dict[int, Field | None]) -> int:
        builder = self.builder
        builder.StartObject(max(fields) + 1)
        for number, put in fields.items():
            if put is not None:
                put(number)
        return int(builder.EndObject())

    def offset(self, place: int) -> Field:
        return lambda number: self.builder.PrependUOffsetTRelativeSlot(number, place, 0)

    def text(self, value: str) -> Field | None:
        return self.offset(self.builder.CreateString(value)) if value else None

    def byte(self, value: int) -> Field:
        return lambda number: self.builder.PrependInt8Slot(number, value, 0)

    def uint8(self, value: int) -> Field:
        return lambda number: self.builder.PrependUint8Slot(number, value, 0)

    def uint32(self, value: int) -> Field:
        return lambda number: self.builder.PrependUint32Slot(number, value, 0)

    def vector(self, places: Sequence[int]) -> Field | None:
        """Of tables."""
        if not places:
            return None
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return self.offset(self.builder.EndVector())

    def floats(self, values: Sequence[float]) -> Field | None:
        if not values:
            return None
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return self.offset(self.builder.EndVector())

    def files(self, files: Sequence[File]) -> Field | None:
        return self.vector([
            self.table({0: self.text(one.name), 1: self.text(one.description), 2: self.byte(one.type)}) for one in files
        ])

    def tensor(self, tensor: Tensor) -> int:
        normalization = None
        if tensor.mean:
            options = self.table({0: self.floats(tensor.mean), 1: self.floats(tensor.deviation)})
            unit = self.table({0: self.uint8(_NORMALIZATION), 1: self.offset(options)})
            normalization = self.vector([unit])
        stats = None
        if tensor.low:
            stats = self.offset(self.table({0: self.floats(tensor.high), 1: self.floats(tensor.low)}))
        return self.table({
            0: self.text(tensor.name), 1: self.text(tensor.description), 3: self.offset(self._content(tensor)),
            4: normalization, 5: stats, 6: self.files(tensor.files),
        })

    def _content(self, tensor: Tensor) -> int:
        if tensor.picture is None:
            self.builder.StartObject(0)
            return self.table({0: self.uint8(_FEATURE), 1: self.offset(int(self.builder.EndObject()))})
        size = self.table({0: self.uint32(tensor.picture.width), 1: self.uint32(tensor.picture.height)})
        properties = self.table({
            0: self.byte(_COLOUR_SPACE.get(tensor.picture.colours, 0)), 1: self.offset(size),
        })
        return self.table({0: self.uint8(_IMAGE), 1: self.offset(properties)})
