"""Pictures for prediction: a file, a folder, a zip, a CSV of paths, .npz or idx, decoded as training decodes them.

Transparent pictures are laid on white, 16-bit ones scaled to 8, EXIF orientation is applied, of moving ones the first frame
is taken; resizing is Pillow's bilinear.
"""

from __future__ import annotations

import csv
import gzip
import io
import posixpath
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from automl_client import errors

PICTURES_IN_A_BLOCK = 256
MAX_FAULTS = 20
MAX_PIXELS = 50_000_000

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
)
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations in which width and height change places."""
_ORIENTATION = 0x0112
_MAX_FILE_BYTES = 64 << 20

# What Pillow's readers raise on damaged files.
_DAMAGE = (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, MemoryError)

Size = tuple[int, int, int]
"""Height, width, channels."""
Named = tuple[list[str], NDArray[np.uint8]]
"""What each picture is called, and uint8 [n, h, w, ch]."""


def blocks(path: Path, size: Size) -> Iterator[Named]:
    """The pictures, fitted to the model's size, in blocks: in the order of their names, or of the array or CSV.

    Raises `InvalidData` naming each picture that can't be read (up to 20), and what holds none.
    """
    if not path.exists():
        raise errors.InvalidData.at(str(path), "there is no such file or folder.", "FILE_NOT_FOUND")
    if path.is_dir():
        return _of_folder(path, size)
    name = path.name.lower()
    if name.endswith(_SUFFIXES):
        return _decoded(str(path), [(path.name, path.read_bytes)], size)
    if name.endswith(".npz"):
        return _of_array(path, _npz(path), size)
    if "idx" in name or "ubyte" in name:
        return _of_array(path, _idx(path), size)
    if name.endswith((".csv", ".tsv")):
        return _of_manifest(path, size)
    if zipfile.is_zipfile(path):
        return _of_zip(path, size)
    raise errors.InvalidData.at(
        str(path), "is none of what a model of pictures takes: a picture, a folder or zip of pictures, a CSV of paths, .npz "
        "or idx.", "UNREADABLE",
    )


# --- where they lie -------------------------------------------------------------------------------------------------------


def _of_folder(path: Path, size: Size) -> Iterator[Named]:
    files = sorted(
        file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and _is_picture(file.name)
    )
    return _decoded(str(path), [(name, (path / name).read_bytes) for name in files], size)


def _of_zip(path: Path, size: Size) -> Iterator[Named]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(info.filename for info in archive.infolist() if not info.is_dir() and _is_picture(info.filename))

        def reader(name: str) -> Callable[[], bytes]:
            def read() -> bytes:
                if archive.getinfo(name).file_size > _MAX_FILE_BYTES:
                    raise ValueError(f"claims more than {_MAX_FILE_BYTES:,} bytes")
                try:
                    return archive.read(name)
                except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
                    raise ValueError(str(error)) from error

            return read

        yield from _decoded(str(path), [(name, reader(name)) for name in names], size)


def _is_picture(name: str) -> bool:
    base = posixpath.basename(name)
    return base.lower().endswith(_SUFFIXES) and not base.startswith(".") and "__MACOSX" not in name


def _of_manifest(path: Path, size: Size) -> Iterator[Named]:
    """A CSV with a column of paths, relative to its folder; one prediction a row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",") if row]
    width = max(map(len, rows), default=0)
    hits = {
        column: sum(column < len(row) and (path.parent / row[column].strip()).is_file() for row in rows)
        for column in range(width)
    }
    best = max(hits, key=lambda column: hits[column], default=0)
    if not hits or hits[best] == 0:
        raise errors.InvalidData.at(str(path), "no column names pictures beside this file.", "PICTURES_MISSING")
    # The first line is a header when it names no picture and the others do.
    if not (path.parent / rows[0][best].strip()).is_file():
        rows = rows[1:]
    names = [row[best].strip() if best < len(row) else "" for row in rows]
    return _decoded(str(path), [(name, (path.parent / name).read_bytes) for name in names], size)


# --- arrays ---------------------------------------------------------------------------------------------------------------


def _npz(path: Path) -> NDArray[np.uint8]:
    """The array of pictures in an .npz: x, images, image or data, or that of the test part."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            there = {name.lower(): name for name in arrays.files}
            wanted = [f"{stem}{part}" for part in ("", "_test") for stem in ("x", "images", "image", "data")]
            name = next((there[one] for one in wanted if one in there), None)
            if name is None:
                raise errors.InvalidData.at(
                    str(path), f"expected an array x or images (or x_test); there are {', '.join(arrays.files)}.",
                    "ARRAYS_MISSING",
                )
            return _as_bytes(path, name, arrays[name])
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise errors.InvalidData.at(str(path), f"is no readable .npz: {error}.", "UNREADABLE") from error


def _as_bytes(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 [n, h, w] or [n, h, w, 1 or 3]: channels last, floats and wider ranges scaled as training scales them."""
    place = f"{path}, {name}"
    if array.ndim == 4 and array.shape[1] in (1, 3, 4) and array.shape[3] not in (1, 3, 4):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        raise errors.InvalidData.at(place, f"expected pictures [n, h, w] or [n, h, w, 1 or 3], got {list(array.shape)}.")
    if array.dtype.kind not in "uifb":
        raise errors.InvalidData.at(place, f"expected numbers, got {array.dtype}.")
    if array.ndim == 4 and array.shape[3] == 4:
        array = array[..., :3]
    if array.dtype == np.uint8:
        return array
    if not np.isfinite(array).all():
        raise errors.InvalidData.at(place, "has values that are not finite.")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 65535:
        raise errors.InvalidData.at(place, f"expected values in [0, 1], [0, 255] or [0, 65535], got [{low:g}, {high:g}].")
    scale = 255.0 if high <= 1 else 1.0 if high <= 255 else 255.0 / 65535.0
    return np.asarray(np.rint(array * scale), np.uint8)


def _idx(path: Path) -> NDArray[np.uint8]:
    """The pictures in an IDX file (Yann LeCun, "The MNIST database of handwritten digits"), also gzipped."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError) as error:
        raise errors.InvalidData.at(str(path), f"the gzip data are damaged: {error}.", "UNREADABLE") from error
    rank = data[3] if len(data) > 3 else 0
    if data[:3] != b"\0\0\x08" or rank not in (3, 4) or len(data) < 4 + 4 * rank:
        raise errors.InvalidData.at(str(path), "is no IDX file of pictures in bytes.", "UNREADABLE")
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    there = len(data) - 4 - 4 * rank
    if int(np.prod(shape, dtype=object)) != there:
        raise errors.InvalidData.at(str(path), f"declares {list(shape)} values, and holds {there:,} bytes.", "UNREADABLE")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _of_array(path: Path, array: NDArray[np.uint8], size: Size) -> Iterator[Named]:
    for start in range(0, len(array), PICTURES_IN_A_BLOCK):
        block = array[start : start + PICTURES_IN_A_BLOCK]
        yield [f"{path.name}[{start + place}]" for place in range(len(block))], fit_array(block, size)


def fit_array(array: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """uint8 [n, h, w] or [n, h, w, ch] at the model's size: uint8 [n, *size]."""
    channels = array.shape[3] if array.ndim == 4 else 1
    if array.shape[1:3] == size[:2] and channels <= size[2]:
        flat = array.reshape(len(array), *size[:2], channels)
        return np.ascontiguousarray(np.broadcast_to(flat, (len(array), *size)))
    pictures = array[..., 0] if array.ndim == 4 and channels == 1 else array
    return np.stack([_fit(Image.fromarray(picture), size) for picture in pictures])


# --- decoding -------------------------------------------------------------------------------------------------------------


def _decoded(place: str, files: list[tuple[str, Callable[[], bytes]]], size: Size) -> Iterator[Named]:
    if not files:
        raise errors.InvalidData.at(place, "there are no pictures in it.", "PICTURES_MISSING")
    for start in range(0, len(files), PICTURES_IN_A_BLOCK):
        names, made, faults = [], [], []
        for name, read in files[start : start + PICTURES_IN_A_BLOCK]:
            try:
                made.append(decode(read(), size))
                names.append(name)
            except _DAMAGE as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                faults.append(errors.Violation(f"{place}, {name}", f"can't be read: {reason}.", "PICTURE_UNREADABLE"))
                if len(faults) == MAX_FAULTS:
                    break
        if faults:
            raise errors.InvalidData("\n".join(map(str, faults)), faults)
        yield names, np.stack(made)


def decode(data: bytes, size: Size) -> NDArray[np.uint8]:
    """An encoded picture as uint8 [h, w, ch]. Raises what Pillow raises for damaged data, `ValueError` beyond the cap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise ValueError(f"more than {MAX_PIXELS:,} pixels") from error
        except OSError as error:
            raise ValueError(f"not a readable picture ({', '.join(_FORMATS)} are taken)") from error
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"{picture.width:,} x {picture.height:,} pixels; at most {MAX_PIXELS:,} are taken")
        if picture.format == "JPEG" and _orientation(picture) not in _TURNED:
            # As training does: the decoder leaves out detail far below the final size.
            picture.draft(None, (4 * size[1], 4 * size[0]))
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _fit(upright, size)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        # Damaged EXIF data say nothing about the picture itself.
        return 1


def _fit(picture: Image.Image, size: Size) -> NDArray[np.uint8]:
    """In 8 bits, with 1 or 3 channels, at the given height and width."""
    height, width, channels = size
    if picture.mode.startswith("I;16") or picture.mode == "I":
        values = np.asarray(picture).astype(np.int64)
        deep = values.max(initial=0) > 255
        picture = Image.fromarray(np.clip(values // 257 if deep else values, 0, 255).astype(np.uint8))
    elif picture.mode == "F":
        floats = np.nan_to_num(np.asarray(picture), nan=0.0, posinf=255.0, neginf=0.0)
        picture = Image.fromarray(np.clip(floats * (255 if floats.max(initial=0) <= 1 else 1), 0, 255).astype(np.uint8))
    elif picture.mode in _TRANSPARENT or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(size)
