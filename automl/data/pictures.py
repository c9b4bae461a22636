"""Pictures in memory or in files, behind one interface: labels, parts, sizes, and decoding to one size and mode.

Formats are those of `FORMATS`, whatever a file's name says. Transparent pictures are laid on white, 16-bit ones are
scaled to 8, of moving ones the first frame is taken, EXIF orientation is applied. Resizing is bilinear (Pillow's, which
averages when it shrinks) to one fixed height and width, so the aspect of a picture that differs from most is bent.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from automl.data.limits import LIMITS, Limits
from automl.data.source import Container, Entry, chunks_of
from automl.data.table import TextColumn
from automl.spec.dataset import Finding, Severity
from automl.spec.errors import InvalidData, Violation

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})

T = TypeVar("T")
Size = tuple[int, int, int]
"""Height, width, channels (1 grey, 3 colour)."""


class Pictures(Protocol):
    """A set of pictures with what is known of each. All sequences have one item a picture."""

    filename: str
    format: str
    labels: list[str] | None
    """Stripped text; "" where a label is missing."""
    parts: list[str]
    """"train", "validation", "test", or "" where the data name none."""
    columns: Mapping[str, TextColumn]
    """More columns that a manifest brings."""
    findings: tuple[Finding, ...]

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call the picture in a message."""

    def sizes(self) -> tuple[NDArray[np.int64], dict[int, str]]:
        """[n, 3] height, width and channels as headers tell them, and why some pictures have no readable one."""

    def decode(self, indices: NDArray[np.int64], size: Size, out: NDArray[np.uint8]) -> dict[int, str]:
        """Writes the pictures to `out` [len(indices), h, w, ch]; returns the reason for each index that can't be decoded."""


@dataclasses.dataclass
class ArrayPictures:
    """Pictures that came as arrays: uint8 [n, h, w] or [n, h, w, ch] with 1 or 3 channels, all of one size."""

    filename: str
    format: str
    images: NDArray[np.uint8]
    labels: list[str] | None
    parts: list[str]
    columns: Mapping[str, TextColumn] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"picture {index + 1}"

    def sizes(self) -> tuple[NDArray[np.int64], dict[int, str]]:
        _, h, w, *ch = self.images.shape
        return np.tile(np.array([h, w, ch[0] if ch else 1], np.int64), (len(self.images), 1)), {}

    def decode(self, indices: NDArray[np.int64], size: Size, out: NDArray[np.uint8]) -> dict[int, str]:
        h, w, ch = size
        own = self.images.shape[3] if self.images.ndim == 4 else 1
        if (h, w) == self.images.shape[1:3] and ch >= own:
            for start in range(0, len(indices), 4096):
                block = self.images[indices[start : start + 4096]]
                out[start : start + len(block)] = block.reshape(len(block), h, w, own)
            return {}
        for place, index in enumerate(indices):
            picture = Image.fromarray(self.images[index].reshape(self.images.shape[1:3] + ((own,) if own > 1 else ())))
            out[place] = _fit(picture, size)
        return {}


@dataclasses.dataclass
class FilePictures:
    """Pictures in the files of a container."""

    filename: str
    format: str
    container: Container
    files: list[Entry]
    labels: list[str] | None
    parts: list[str]
    columns: Mapping[str, TextColumn] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    limits: Limits = LIMITS

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].name

    def sizes(self) -> tuple[NDArray[np.int64], dict[int, str]]:
        sizes = np.zeros((len(self.files), 3), np.int64)
        bad: dict[int, str] = {}

        def look(index: int) -> Size | str:
            try:
                with open_picture(self._bytes(index), self.limits) as picture:
                    return size_of(picture)
            except _Unreadable as fault:
                return str(fault)

        for index, size in enumerate(_parallel(look, range(len(self.files)))):
            if isinstance(size, str):
                bad[index] = size
            else:
                sizes[index] = size
        return sizes, bad

    def decode(self, indices: NDArray[np.int64], size: Size, out: NDArray[np.uint8]) -> dict[int, str]:
        bad: dict[int, str] = {}

        def decode(place: int) -> str | None:
            try:
                with open_picture(self._bytes(int(indices[place])), self.limits) as picture:
                    out[place] = to_array(picture, size)
            except _Unreadable as fault:
                return str(fault)
            return None

        for place, fault in enumerate(_parallel(decode, range(len(indices)))):
            if fault is not None:
                bad[int(indices[place])] = fault
        return bad

    def _bytes(self, index: int) -> bytes:
        try:
            return self.container.read(self.files[index], self.limits.picture_bytes)
        except InvalidData as fault:
            if any(v.reason == "TOO_LARGE" and v.field == self.filename for v in fault.violations):
                raise
            raise _Unreadable("; ".join(v.message for v in fault.violations)) from fault


class _Unreadable(Exception):
    """A picture that can't be read; the message is the reason."""


def open_picture(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """Opens a picture by its header. Raises `_Unreadable` for other formats than `FORMATS` and for too many pixels."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as fault:
        raise _Unreadable(f"more than {limits.picture_pixels:,} pixels") from fault
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as fault:
        # Pillow's readers raise all of these on damaged headers.
        reason = f"not a readable picture ({', '.join(FORMATS)} are taken)" if data else "empty file"
        raise _Unreadable(reason) from fault
    if picture.width * picture.height > limits.picture_pixels:
        picture.close()
        raise _Unreadable(f"{picture.width:,} × {picture.height:,} pixels; at most {limits.picture_pixels:,} are taken")
    if min(picture.size) < 1:
        picture.close()
        raise _Unreadable("has no pixels")
    return picture


def is_picture(data: bytes, limits: Limits = LIMITS) -> bool:
    """Whether bytes begin as a picture does."""
    try:
        open_picture(data, limits).close()
    except _Unreadable:
        return False
    return True


def size_of(picture: Image.Image) -> Size:
    """Height, width and channels of an opened picture, as seen upright."""
    width, height = picture.size
    if _orientation(picture) in _TURNED:
        width, height = height, width
    return height, width, 1 if picture.mode in _GREY_MODES else 3


def to_array(picture: Image.Image, size: Size) -> NDArray[np.uint8]:
    """An opened picture, decoded, upright, as uint8 [h, w, ch]. Raises `_Unreadable` when its data are damaged."""
    h, w, _ = size
    try:
        if picture.format == "JPEG" and _orientation(picture) not in _TURNED:
            # Lets the decoder leave out detail far below the final resolution: large photographs decode much faster.
            picture.draft(None, (4 * w, 4 * h))
        picture.load()
        return _fit(ImageOps.exif_transpose(picture), size)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as fault:
        raise _Unreadable(f"its data are damaged or cut short ({str(fault)[:80]})") from fault


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError):
        # Damaged EXIF data say nothing about the picture, which may still be sound.
        return 1


def _fit(picture: Image.Image, size: Size) -> NDArray[np.uint8]:
    """The picture in 8 bits with 1 or 3 channels at the given height and width."""
    h, w, ch = size
    if picture.mode.startswith("I;16") or picture.mode == "I":
        values = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray(np.clip(values // 257 if values.max(initial=0) > 255 else values, 0, 255).astype(np.uint8))
    elif picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture), nan=0.0, posinf=255.0, neginf=0.0)
        picture = Image.fromarray(np.clip(values * (255 if values.max(initial=0) <= 1 else 1), 0, 255).astype(np.uint8))
    elif picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque)
    picture = picture.convert("L" if ch == 1 else "RGB")
    if picture.size != (w, h):
        picture = picture.resize((w, h), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(h, w, ch)


def common_size(sizes: NDArray[np.int64], side: int = LIMITS.picture_side) -> Size:
    """Height, width and channels to train on, from [n, 3] sizes of sound pictures.

    The most frequent size, or the median one when no size covers half of the pictures; shrunk so that its longer side is at
    most `side`. One channel when all are grey.
    """
    shapes, counts = np.unique(sizes[:, :2], axis=0, return_counts=True)
    most = int(counts.argmax())
    if counts[most] * 2 >= len(sizes):
        h, w = (int(v) for v in shapes[most])
    else:
        h, w = (int(v) for v in np.median(sizes[:, :2], axis=0))
    factor = min(1.0, side / max(h, w))
    return max(1, round(h * factor)), max(1, round(w * factor)), 1 if (sizes[:, 2] == 1).all() else 3


def unreadable(pictures: Pictures, bad: Mapping[int, str], limits: Limits = LIMITS) -> list[Finding]:
    """The finding for skipped pictures. Raises `InvalidData` with the list when they are too many, or none is left."""
    if not bad:
        return []
    listed = [f"{pictures.name(i)}: {reason}" for i, reason in sorted(bad.items())[: limits.listed]]
    more = "" if len(bad) <= limits.listed else f" and {len(bad) - limits.listed:,} more"
    if len(bad) == len(pictures) or len(bad) > max(1.0, limits.bad_fraction * len(pictures)):
        head = Violation(
            field=pictures.filename, reason="PICTURES_UNREADABLE",
            message=f"{len(bad):,} of {len(pictures):,} pictures can't be read; "
                    f"at most {limits.bad_fraction:.0%} may be skipped.",
            remedy="Repair or remove them.",
        )
        places = [
            Violation(field=f"{pictures.filename}, {pictures.name(i)}", message=reason, reason="PICTURE_UNREADABLE")
            for i, reason in sorted(bad.items())[: limits.listed]
        ]
        raise InvalidData([head, *places])
    return [Finding(
        check="unreadable-pictures", severity=Severity.WARNING, rows=tuple(i + 1 for i in sorted(bad)[:20]),
        message=f"{len(bad):,} of {len(pictures):,} pictures can't be read and are left out: {'; '.join(listed)}{more}.",
    )]


def _parallel(function: Callable[[int], T], places: range) -> Iterator[T]:
    """The function's results in order. Pillow decodes outside Python's lock, so threads help; batches bound what is held."""
    threads = min(4, os.cpu_count() or 1)
    if len(places) < 32 or threads == 1:
        yield from map(function, places)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for batch in chunks_of(chunks_of(places, 64), 4 * threads):
            for results in pool.map(lambda block: [function(place) for place in block], batch):
                yield from results
