"""TFRecord files and the `tf.train.Example` messages in them, read and written without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of these 8 bytes, the data, and the masked CRC-32C of the
data; masked is rotated right by 15 bits plus a constant (www.tensorflow.org/tutorials/load_data/tfrecord). Files may be
gzipped as a whole.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, unknown_fields

from automl.data.limits import LIMITS, Limits
from automl.spec.errors import InvalidData, Violation

SUFFIXES = (".tfrecord", ".tfrecords", ".tfrec")
_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")
Value = Sequence[bytes] | Sequence[int] | Sequence[float]


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One feature of an example. `kind`: "bytes", "float" or "int64"."""

    kind: str
    values: Value


Example = Mapping[str, Feature]


class Writable(Protocol):
    """What bytes are written to: a file, or one that packs them."""

    def write(self, data: bytes, /) -> int: ...


def is_name(filename: str) -> bool:
    """Whether a file is called so: `x.tfrecord`, also `.gz`, or a shard, `x.tfrecord-00000-of-00010`."""
    name = filename.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) or any(f"{suffix}-" in name.rsplit("/", 1)[-1] for suffix in SUFFIXES)


def is_tfrecord(content: bytes, filename: str) -> bool:
    """Whether the bytes begin with a record's length and its checksum, or the file is called so."""
    if len(content) >= _HEAD.size:
        _, crc = _HEAD.unpack_from(content)
        if crc == masked(content[:8]):
            return True
    return is_name(filename)


def masked(data: bytes) -> int:
    """The masked CRC-32C."""
    crc = google_crc32c.value(data)
    return int(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def read(content: bytes, filename: str, limits: Limits = LIMITS) -> list[Example]:
    """The examples of a file, in order. Raises `InvalidData` naming every damaged record, counted from 1."""
    faults: list[Violation] = []
    found: list[Example] = []
    place = 0

    def fault(number: int, text: str) -> None:
        faults.append(Violation(field=f"{filename}, record {number}", message=text, reason="RECORD_DAMAGED"))

    for number in itertools.count(1):
        if place == len(content) or len(faults) >= limits.listed:
            break
        if number > limits.table_rows:
            raise InvalidData.at(filename, f"more than {limits.table_rows:,} records", reason="TOO_LARGE")
        left = len(content) - place
        if left < _HEAD.size + _CRC.size:
            fault(number, f"is cut short at byte {place:,}: {left} bytes are left")
            break
        length, crc = _HEAD.unpack_from(content, place)
        if crc != masked(content[place : place + 8]):
            # Nothing tells where the next record begins.
            fault(number, f"the checksum of its length, at byte {place:,}, is wrong; what follows can't be read")
            break
        begin = place + _HEAD.size
        if length > len(content) - begin - _CRC.size:
            fault(number, f"is cut short: {length:,} bytes are announced at byte {place:,}, and the file ends before")
            break
        data = content[begin : begin + length]
        if _CRC.unpack_from(content, begin + length)[0] != masked(data):
            fault(number, f"the checksum of its {length:,} bytes, at byte {begin:,}, is wrong")
        else:
            try:
                found.append(example(data))
            except ValueError as error:
                fault(number, str(error))
        place = begin + length + _CRC.size
    if faults:
        raise InvalidData(faults)
    return found


def example(data: bytes) -> Example:
    """The features of a serialised `tf.train.Example`; empty ones count as absent. Raises `ValueError` saying what it is."""
    parsed = _message()()
    try:
        parsed.ParseFromString(data)
    except message.DecodeError as error:
        raise ValueError("is no tf.train.Example") from error
    if len(unknown_fields.UnknownFieldSet(parsed)):
        raise ValueError("is no plain tf.train.Example (a SequenceExample?)")
    found = {}
    for name, feature in parsed.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind is not None and len(values := getattr(feature, kind).value):
            found[name] = Feature(kind.removesuffix("_list"), list(values))
    return found


def write(file: Writable, examples: Iterable[Example]) -> int:
    """Writes the examples as records and returns their number."""
    count = 0
    for one in examples:
        made = _message()()
        for name, feature in one.items():
            getattr(made.features.feature[name], f"{feature.kind}_list").value.extend(feature.values)
        data = made.SerializeToString(deterministic=True)
        head = struct.pack("<Q", len(data))
        file.write(head + _CRC.pack(masked(head)) + data + _CRC.pack(masked(data)))
        count += 1
    return count


@functools.cache
def _message() -> Any:
    """The class of `tf.train.Example`, described here in a pool of its own, so that it never meets TensorFlow's."""
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="automl.example", syntax="proto3")

    def add(parent: Any, name: str, *fields: tuple[str, Any, bool]) -> Any:
        """A message with fields numbered from 1: (name, type or a message's name, repeated)."""
        made = parent.add(name=name)
        for number, (label, of, repeated) in enumerate(fields, 1):
            kind: dict[str, Any] = {"type": of}
            if isinstance(of, str):
                kind = {"type": types.TYPE_MESSAGE, "type_name": f".{file.package}.{of}"}
            made.field.add(
                name=label, number=number, label=types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL, **kind
            )
        return made

    add(file.message_type, "BytesList", ("value", types.TYPE_BYTES, True))
    add(file.message_type, "FloatList", ("value", types.TYPE_FLOAT, True))
    add(file.message_type, "Int64List", ("value", types.TYPE_INT64, True))
    feature = add(
        file.message_type, "Feature", ("bytes_list", "BytesList", False), ("float_list", "FloatList", False),
        ("int64_list", "Int64List", False),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = add(file.message_type, "Features", ("feature", "Features.FeatureEntry", True))
    entry = add(features.nested_type, "FeatureEntry", ("key", types.TYPE_STRING, False), ("value", "Feature", False))
    entry.options.map_entry = True
    add(file.message_type, "Example", ("features", "Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("automl.example.Example"))
