"""IDX files, the form of MNIST and its kin: a magic number, big-endian sizes, then bytes; often gzipped.

Files of pictures have `images` and files of labels `labels` in their name; what stands before says the part: `train-…`,
`t10k-…` or `test-…`, `validation-…`. Format: Yann LeCun, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from automl.data import source as sources
from automl.data.limits import LIMITS, Limits
from automl.data.pictures import ArrayPictures
from automl.data.source import Container, Entry
from automl.spec.errors import InvalidData, Violation

PARTS = (("t10k", "test"), ("test", "test"), ("valid", "validation"), ("val", "validation"), ("train", "train"))


def is_idx(entry: Entry) -> bool:
    """Whether a file is one by its name."""
    name = entry.name.rsplit("/", 1)[-1].lower()
    return ("images" in name or "labels" in name) and ("idx" in name or "ubyte" in name)


def read(container: Container, limits: Limits = LIMITS) -> ArrayPictures:
    """Reads pictures and labels of every part. Raises `InvalidData` naming files without their counterpart, damaged ones and
    those that differ in length or size."""
    files: dict[str, dict[str, Entry]] = {}
    faults: list[Violation] = []
    for entry in filter(is_idx, container.entries):
        name = entry.name.rsplit("/", 1)[-1].lower()
        part = next((part for word, part in PARTS if word in name), "")
        what = "images" if "images" in name else "labels"
        place = files.setdefault(part, {})
        if what in place:
            faults.append(_fault(container, entry, f"{what} of this part are also in {place[what].name}"))
        place.setdefault(what, entry)
    for place in files.values():
        for what, other in (("images", "labels"), ("labels", "images")):
            if what not in place:
                faults.append(_fault(container, place[other], f"the file of its {what} is lacking"))
    if faults:
        raise InvalidData(faults)
    order = sorted(files, key=lambda part: ("train", "", "validation", "test").index(part))
    images: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    parts: list[str] = []
    for part in order:
        pictures = _array(container, files[part]["images"], limits)
        classes = _array(container, files[part]["labels"], limits)
        if pictures.ndim not in (3, 4) or classes.ndim != 1:
            faults.append(_fault(
                container, files[part]["images"], f"expected pictures [n, h, w], got {list(pictures.shape)}"
            ))
        elif len(pictures) != len(classes):
            faults.append(_fault(
                container, files[part]["labels"], f"{len(classes):,} labels, but {len(pictures):,} pictures"
            ))
        elif images and images[0].shape[1:] != pictures.shape[1:]:
            faults.append(_fault(
                container, files[part]["images"],
                f"pictures of {list(pictures.shape[1:])}, but the first part's are {list(images[0].shape[1:])}",
            ))
        images.append(pictures)
        labels += np.char.mod("%d", classes).tolist() if classes.ndim == 1 else []
        parts += [part if len(order) > 1 else ""] * len(pictures)
    if faults:
        raise InvalidData(faults)
    return ArrayPictures(
        container.filename, "idx", images[0] if len(images) == 1 else np.concatenate(images), labels, parts
    )


def _array(container: Container, entry: Entry, limits: Limits) -> NDArray[np.uint8]:
    """The bytes of one file as uint8 in its shape; sizes in its header must fit the bytes that are there."""
    place = f"{container.filename}, {entry.name}"
    data = container.read(entry, limits.array_bytes)
    if data.startswith(sources.GZIP):
        data = sources.unpack_gzip(data, limits.array_bytes, place)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != 0x08:
        raise InvalidData.at(place, "is no IDX file of unsigned bytes", reason="UNREADABLE")
    rank = data[3]
    start = 4 + 4 * rank
    shape = struct.unpack(f">{rank}I", data[4:start]) if len(data) >= start else ()
    declared = int(np.prod(shape, dtype=object)) if shape else -1
    if declared != len(data) - start:
        raise InvalidData.at(
            place, f"declares {list(shape)} values, but holds {max(0, len(data) - start):,} bytes", reason="UNREADABLE"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _fault(container: Container, entry: Entry, message: str) -> Violation:
    return Violation(field=f"{container.filename}, {entry.name}", message=message, reason="UNREADABLE")
