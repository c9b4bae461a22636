"""Pictures to predict, without labels: a file, a folder, a zip, a CSV of paths, `.npz`, or IDX.

The readers in `automl.data` want labels; here there are none, and every picture is one row, in order: of names, of the
array, or of the CSV. Decoding and fitting to the model's size are theirs (`automl.data.pictures`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.spec import InvalidData, Violation

if TYPE_CHECKING:
    import numpy as np

    from automl.data.pictures import Pictures

_ARRAYS = ("x", "images", "image", "data", "x_test", "images_test")


def read(data: Path, size: tuple[int, int, int]) -> tuple[tuple[str, ...], np.ndarray]:
    """The pictures' names, and uint8 [n, h, w, ch] at `size`. Raises `InvalidData` naming each that can't be read."""
    import numpy as np

    found = _find(data)
    decoded = np.zeros((len(found), *size), np.uint8)
    if bad := found.decode(np.arange(len(found)), size, decoded):
        raise InvalidData(
            Violation(field=found.name(i), message=why, reason="PICTURE_UNREADABLE") for i, why in sorted(bad.items())
        )
    return tuple(found.name(i) for i in range(len(found))), decoded


def _find(path: Path) -> Pictures:
    from automl.data import picture_files, pictures, source

    data = source.Source(path)
    if path.is_dir():
        folder = source.Folder(data)
        return _files(data.filename, folder, [entry for entry in folder.entries if picture_files.is_picture(entry)])
    head = data.head(4)
    if path.suffix.lower() in pictures.SUFFIXES:
        return _files(data.filename, *_beside(path, [path.name]))
    if path.suffix.lower() == ".npz":
        return _array(path, _npz(path))
    if path.suffix.lower() in (".csv", ".tsv"):
        return _files(data.filename, *_beside(path, _paths(path)))
    if source.is_zip(head):
        archive = source.Zip(data)
        return _files(data.filename, archive, [entry for entry in archive.entries if picture_files.is_picture(entry)])
    return _array(path, _idx(path))


def _files(filename: str, container: Any, entries: list[Any]) -> Pictures:
    from automl.data import pictures

    if not entries:
        raise InvalidData.at(filename, "holds no pictures", reason="EMPTY")
    return pictures.FilePictures(filename, "", container, entries, None, [""] * len(entries))


class _Named:
    """Files that were named one by one, as a container (`automl.data.source.Container`)."""

    def __init__(self, root: Path, names: list[str]):
        from automl.data import source

        self.filename = root.name
        self.entries = tuple(source.Entry(name, i) for i, name in enumerate(names))
        self.ignored = 0
        self._root = root

    def read(self, entry: Any, limit: int) -> bytes:
        path = self._root / entry.name
        try:
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise InvalidData.at(entry.name, f"can't be read: {error.strerror}", reason="FILE_UNREADABLE") from error
        if len(data) > limit:
            raise InvalidData.at(entry.name, f"has more than {limit:,} bytes", reason="TOO_LARGE")
        return data

    def close(self) -> None:
        """Nothing is held open."""


def _beside(path: Path, names: list[str]) -> tuple[Any, list[Any]]:
    """Files of those names in the folder of `path`."""
    named = _Named(path.parent, names)
    return named, list(named.entries)


def _paths(path: Path) -> list[str]:
    """The column of a CSV that names files beside it, one for each row."""
    import posixpath

    from automl.data import readers, source, table

    found = readers.read(source.Source(path))
    assert isinstance(found, table.Table)
    best: tuple[int, list[str]] = (0, [])
    for column in found.columns.values():
        names = [posixpath.normpath(text.replace("\\", "/")) if text else "" for text in column.texts]
        hits = sum((path.parent / name).is_file() for name in names if name)
        if hits > best[0]:
            best = hits, [names[code] for code in column.codes.tolist()]
    if not best[0]:
        raise InvalidData.at(path.name, "no column names pictures beside this file", reason="PICTURES_MISSING")
    return best[1]


def _array(path: Path, array: np.ndarray) -> Pictures:
    """Pictures of an array; values that are no bytes are scaled as training scales them."""
    import numpy as np

    from automl.data import pictures

    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        message = f"expected pictures [n, h, w] or [n, h, w, 1 or 3], got {list(array.shape)}"
        raise InvalidData.at(path.name, message, reason="WRONG_SHAPE")
    if array.dtype.kind not in "uifb" or not np.isfinite(array).all() or array.min() < 0 or array.max() > 65535:
        raise InvalidData.at(path.name, "expected numbers in [0, 1], [0, 255] or [0, 65535]", reason="WRONG_VALUES")
    if array.dtype != np.uint8:
        high = float(array.max())
        array = np.rint(array * (255.0 if high <= 1 else 1.0 if high <= 255 else 255.0 / 65535.0)).astype(np.uint8)
    return pictures.ArrayPictures(path.name, "", array, None, [""] * len(array))


def _npz(path: Path) -> np.ndarray:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            there = {name.lower(): name for name in arrays.files}
            name = next((there[wanted] for wanted in _ARRAYS if wanted in there), None)
            if name is None:
                message = f"expected an array x or images; there are {', '.join(there)}"
                raise InvalidData.at(path.name, message, reason="ARRAYS_MISSING")
            return np.asarray(arrays[name])
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidData.at(path.name, f"is no readable .npz: {error}", reason="UNREADABLE") from error


def _idx(path: Path) -> np.ndarray:
    """An IDX file of bytes (as MNIST has them), also gzipped."""
    import gzip
    import struct

    import numpy as np

    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError) as error:
        raise InvalidData.at(path.name, f"the gzip data are damaged: {error}", reason="UNREADABLE") from error
    rank = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    if rank not in (3, 4) or len(data) < 4 + 4 * rank:
        forms = "a picture, a folder or zip of pictures, a CSV of paths, .npz or IDX"
        raise InvalidData.at(path.name, f"is none of what a model of pictures takes: {forms}", reason="UNKNOWN_FORM")
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    if math.prod(shape) != len(data) - 4 - 4 * rank:
        raise InvalidData.at(path.name, f"declares {list(shape)} values and holds {len(data):,} bytes", reason="UNREADABLE")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
