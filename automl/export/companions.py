"""The small files that travel inside every artifact, and how they are put there.

A `.tflite` file gets them as a zip archive appended to its end: TFLite runtimes read the flatbuffer from the front by its
own offsets and ignore what follows, zip readers find their directory from the end. A `.keras` file and a zipped
SavedModel are zip archives already and get them as further members. An `.onnx` file has the archive in its last field
(`onnx_file.appendix`). So one reader, `read`, serves all.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from automl.spec import Modality

PREPROCESS = "preprocess.json"
RECIPE = "recipe.json"
LABELS = "labels.txt"
CARD = "model_card.md"
SAMPLES = "samples.json"
NAMES = (PREPROCESS, RECIPE, LABELS, CARD, SAMPLES)
CARD_BYTES, CARD_FROM = 1_500, 150_000
"""Of the model card, compressed; and the limit of size from which it travels in the file: below, weights are better."""

MAX_MEMBER_BYTES = 64 * 2**20
"""A companion larger than this isn't read: they are kilobytes, and a zip may claim anything."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def traveling(max_size_bytes: int | None) -> tuple[str, ...]:
    """What travels in a file under that limit of its size."""
    return tuple(name for name in NAMES if name != CARD or max_size_bytes is None or max_size_bytes >= CARD_FROM)


def expected_bytes(max_size_bytes: int, modality: str = "") -> int:
    """What that takes, about. Of pictures little is to be known; tables with many columns or categories have more."""
    return (2_400 if modality == Modality.IMAGE else 3_000) + (CARD_BYTES if CARD in traveling(max_size_bytes) else 0)


def collected(folder: Path) -> dict[str, bytes]:
    """Of the folder's files those that travel."""
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).is_file()}


def append(archive: Path, members: Mapping[str, bytes], *, compressed: bool = True) -> None:
    """Appends members to a file: as further members of a zip archive, else as a new archive behind the file's bytes.

    The members' order and dates are fixed, so equal contents make equal files.
    """
    with zipfile.ZipFile(archive, "a", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(members):
            target.writestr(entry(name, compressed=compressed), members[name])


def entry(name: str, *, compressed: bool = True) -> zipfile.ZipInfo:
    """A member's header without the time of day or the writer's file mode."""
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info


def read(artifact: Path | bytes) -> dict[str, bytes]:
    """The companions in an artifact, by name; those that it lacks are absent.

    Raises `zipfile.BadZipFile` for a file without an archive or with a damaged one, `ValueError` for an outsized member.
    """
    source = io.BytesIO(artifact) if isinstance(artifact, bytes) else artifact
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            if info.filename in NAMES:
                if info.file_size > MAX_MEMBER_BYTES:
                    raise ValueError(f"{info.filename} claims {info.file_size} bytes; at most {MAX_MEMBER_BYTES} are read")
                found[info.filename] = archive.read(info)
    return found


def digests(artifact: Path) -> dict[str, str]:
    """SHA-256 of each companion in an artifact, by its name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(read(artifact).items())}


def labels(classes: tuple[str, ...]) -> bytes:
    """One class a line, in the order of the outputs; line breaks inside a name become blanks. Empty for numbers."""
    return "".join(" ".join(name.splitlines()) + "\n" for name in classes).encode()
