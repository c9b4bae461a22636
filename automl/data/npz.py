"""NumPy's `.npz` with pictures and labels, under the names that people use. Pickled objects are refused.

Arrays: `x` and `y`, or `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test` (also `x_val`, `y_val`, and the
same with `images_` and `labels_`). Pictures are [n, h, w], [n, h, w, ch] or [n, ch, h, w] with 1, 3 or 4 channels; floats
lie in [0, 1] or [0, 255]. Labels are whole numbers or text, [n] or [n, 1], or one-hot rows [n, classes].
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from automl.data.encoder import BLANKS
from automl.data.limits import LIMITS, Limits
from automl.data.pictures import ArrayPictures
from automl.data.source import Container, Entry
from automl.spec.errors import InvalidData, Violation

_IMAGES, _LABELS = ("x", "images", "image", "data"), ("y", "labels", "label", "target")
_PARTS = {"": "", "train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


def is_npz(container: Container) -> bool:
    """Whether all files in a zip are arrays."""
    return bool(container.entries) and all(e.suffix == ".npy" for e in container.entries)


def read(container: Container, limits: Limits = LIMITS) -> ArrayPictures:
    """Reads pictures and labels of every part. Raises `InvalidData` naming arrays that are lacking, pickled or don't fit."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in container.entries:
        name = entry.name.removesuffix(".npy").lower()
        stem, _, part = name.partition("_")
        if part in _PARTS and stem in _IMAGES + _LABELS:
            found.setdefault(_PARTS[part], {})["images" if stem in _IMAGES else "labels"] = entry
    names = ", ".join(e.name.removesuffix(".npy") for e in container.entries[:20])
    faults: list[Violation] = []
    if not found or ("" in found and len(found) > 1):
        faults.append(Violation(
            field=container.filename, reason="ARRAYS_MISSING",
            message=f"expected arrays x and y, images and labels, or x_train, y_train, x_test, y_test; got {names}",
        ))
    for part, pair in found.items():
        for what in ("images", "labels"):
            if what not in pair:
                faults.append(Violation(
                    field=container.filename, reason="ARRAYS_MISSING",
                    message=f"the {what}{' of part ' + part if part else ''} are lacking; there are {names}",
                ))
    if faults:
        raise InvalidData(faults)
    images: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    parts: list[str] = []
    for part in sorted(found, key=lambda part: ("train", "", "validation", "test").index(part)):
        pictures = _pictures(_array(container, found[part]["images"], limits), container, found[part]["images"])
        classes = _labels(_array(container, found[part]["labels"], limits), container, found[part]["labels"])
        if len(pictures) != len(classes):
            faults.append(_fault(
                container, found[part]["labels"], f"{len(classes):,} labels, but {len(pictures):,} pictures"
            ))
        if images and pictures.shape[1:] != images[0].shape[1:]:
            faults.append(_fault(
                container, found[part]["images"],
                f"pictures of {list(pictures.shape[1:])}, but the first part's are {list(images[0].shape[1:])}",
            ))
        images.append(pictures)
        labels += classes
        parts += [part] * len(pictures)
    if faults:
        raise InvalidData(faults)
    if len(labels) > limits.pictures:
        raise InvalidData.at(
            container.filename, f"{len(labels):,} pictures; at most {limits.pictures:,} are taken", reason="TOO_LARGE"
        )
    return ArrayPictures(container.filename, "npz", images[0] if len(images) == 1 else np.concatenate(images), labels, parts)


def _array(container: Container, entry: Entry, limits: Limits) -> NDArray[Any]:
    """One array. Its header is compared with the bytes that are there before anything of its size is allocated."""
    place = f"{container.filename}, {entry.name}"
    data = container.read(entry, limits.array_bytes)
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        shape, fortran, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    except (ValueError, EOFError, TypeError, SyntaxError) as fault:
        raise InvalidData.at(place, f"is no NumPy array ({str(fault)[:80]})", reason="UNREADABLE") from fault
    if dtype.hasobject:
        raise InvalidData.at(
            place, "holds pickled Python objects, which are programs.", "Save numbers or fixed-width text.", "PICKLED"
        )
    count = int(np.prod(shape, dtype=object)) if shape else 1
    there = len(data) - file.tell()
    if count < 0 or count * dtype.itemsize != there:
        raise InvalidData.at(
            place, f"declares {list(shape)} of {dtype}, {count * dtype.itemsize:,} bytes, but holds {there:,}",
            reason="UNREADABLE",
        )
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def _pictures(array: NDArray[Any], container: Container, entry: Entry) -> NDArray[np.uint8]:
    shape = list(array.shape)
    if array.ndim == 4 and array.shape[1] in (1, 3, 4) and array.shape[3] not in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        raise InvalidData(_fault(container, entry, f"expected pictures [n, h, w] or [n, h, w, 1 or 3], got {shape}"))
    if array.dtype.kind not in "uifb":
        raise InvalidData(_fault(container, entry, f"expected numbers, got {array.dtype}"))
    if array.ndim == 4 and array.shape[3] == 4:
        array = array[..., :3]
    if array.dtype == np.uint8:
        return array
    if not np.isfinite(array).all():
        raise InvalidData(_fault(container, entry, "has values that are not finite"))
    low, high = float(array.min()), float(array.max())
    scale = 255.0 if high <= 1 else 1.0 if high <= 255 else 255.0 / 65535.0
    if low < 0 or high > 65535:
        raise InvalidData(_fault(
            container, entry, f"expected values in [0, 1], [0, 255] or [0, 65535], got [{low:g}, {high:g}]"
        ))
    return np.asarray(np.rint(array * scale), np.uint8)


def _labels(array: NDArray[Any], container: Container, entry: Entry) -> list[str]:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "uifb" and (array.sum(axis=1) == 1).all() and (array.max(axis=1) == 1).all():
        array = array.argmax(axis=1)
    if array.ndim != 1 or array.dtype.kind not in "uibUSf":
        raise InvalidData(_fault(container, entry, f"expected labels [n] of whole numbers or text, got {list(array.shape)}"))
    if array.dtype.kind == "S":
        return [v.decode("utf-8", errors="replace").strip(BLANKS) for v in array.tolist()]
    if array.dtype.kind == "f":
        if not np.all(array == np.rint(array)):
            raise InvalidData(_fault(container, entry, "expected whole numbers as labels, got fractions"))
        array = array.astype(np.int64)
    return [str(v).strip(BLANKS) for v in array.tolist()]


def _fault(container: Container, entry: Entry, message: str) -> Violation:
    return Violation(field=f"{container.filename}, {entry.name}", message=message, reason="UNREADABLE")
