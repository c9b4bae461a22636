"""Texts for prediction: their encoding by `preprocess.json`, and files of texts in a folder, zip or tar.

The meaning of the document is laid down by the engine's own encoder, and one suite of golden files holds both to the same
codes. This one is the client's: it needs NumPy alone.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors

TEXTS_IN_A_BLOCK = 1024

_UNKNOWN, _BOUNDARY, _FIRST = 1, 2, 3
_RUN = 64
"""Characters of a run that count for its n-grams."""
_SINGLE_RANGES = (
    (0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7E), (0xA1, 0xA9), (0xAB, 0xAC), (0xAE, 0xB1),
    (0xB4, 0xB4), (0xB6, 0xB8), (0xBB, 0xBB), (0xBF, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7), (0x2010, 0x2027),
    (0x2030, 0x205E), (0x20A0, 0x20CF), (0x2190, 0x2BFF), (0x3001, 0x3003), (0x3008, 0x3020), (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65), (0x1F000, 0x1FAFF),
    (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
)
"""Symbols, kana and ideographs: each is a token of its own."""
_CLASS = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in _SINGLE_RANGES)
_TOKEN = re.compile(f"[{_CLASS}]|[^\\W_{_CLASS}]+")
_SINGLE = re.compile(f"[{_CLASS}]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_DIGIT = re.compile(r"\d")

_SUFFIXES = (".txt", ".text")
_READ_ME = ("readme", "license", "licence", "copying", "changes", "about")
_MAX_FILE_BYTES = 1 << 20


class TextEncoder:
    """A `preprocess.json` of texts. Raises `InvalidInput` for a document of another version or modality."""

    def __init__(self, document: encoder.Document):
        if document.get("version") != encoder.VERSION or document.get("modality") != "text":
            raise errors.InvalidInput.at(
                "preprocess.json",
                f"expected version {encoder.VERSION} of texts, got version {document.get('version')!r} of "
                f"{document.get('modality')!r}. A newer automl may know it.",
            )
        self.columns: tuple[str, ...] = tuple(str(column["name"]) for column in document["columns"])
        self._sizes: Mapping[str, int] = document["inputs"]
        self._words = {word: code for code, word in enumerate(document["vocabulary"], _FIRST)}
        grams = document.get("ngrams") or {}
        self._grams = {gram: code for code, gram in enumerate(grams.get("vocabulary", ()), 1)}
        self._lengths = range(int(grams["low"]), int(grams["high"]) + 1) if grams else range(0)
        self._seen: dict[str, tuple[int, list[int]]] = {}

    def encode(self, raw: Mapping[str, Sequence[Any]]) -> encoder.Inputs:
        """Columns of texts as "tokens" int32 [n, length] and "ngrams" int32 [n, k]; other columns are ignored. Raises
        `InvalidData` naming every column that is lacking."""
        lacking = [name for name in self.columns if name not in raw]
        if lacking:
            why = "the model needs this column, and it is lacking."
            faults = [errors.Violation(f"column {name!r}", why, "COLUMN_MISSING") for name in lacking]
            raise errors.InvalidData("\n".join(map(str, faults)), faults)
        count = len(raw[self.columns[0]])
        inputs = {
            name: np.zeros((count, int(self._sizes[name])), np.int32) for name in ("tokens", "ngrams") if name in self._sizes
        }
        for row, cells in enumerate(zip(*(raw[name] for name in self.columns), strict=True)):
            tokens, grams = self._codes([encoder.text_of(cell) for cell in cells])
            _fill(inputs["tokens"][row], tokens)
            if "ngrams" in inputs:
                _fill(inputs["ngrams"][row], grams)
        return inputs

    def _codes(self, texts: Sequence[str]) -> tuple[list[int], list[int]]:
        tokens: list[int] = []
        grams: list[int] = []
        for place, text in enumerate(texts):
            if place:
                tokens.append(_BOUNDARY)
            for word in _TOKEN.findall(_ACCENTS.sub("", text.lower())):
                if word not in self._seen:
                    self._seen[word] = self._of_word(word)
                code, own = self._seen[word]
                tokens.append(code)
                grams += own
        return tokens, grams

    def _of_word(self, word: str) -> tuple[int, list[int]]:
        code = self._words.get(word) or self._words.get(_DIGIT.sub("0", word), _UNKNOWN)
        if _SINGLE.match(word):
            return code, []
        marked = f"<{word[:_RUN]}>"
        pieces = (marked[at : at + n] for n in self._lengths for at in range(len(marked) - n + 1))
        return code, [self._grams[piece] for piece in pieces if piece in self._grams]


def _fill(row: NDArray[np.int32], codes: list[int]) -> None:
    kept = codes[: len(row)]
    row[: len(kept)] = kept


# --- files of texts -------------------------------------------------------------------------------------------------------


def are_files(path: Path) -> bool:
    """Whether the path is a folder, or a zip or tar that holds files of texts."""
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(_is_text(name) for name in archive.namelist())
    return tarfile.is_tarfile(path)


def file_blocks(path: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The names of the files of texts under a folder or in an archive, and what they hold, in blocks in the names' order.

    Raises `InvalidData` naming files that are too large, and where there is none.
    """
    names: list[str] = []
    texts: list[str] = []
    for name, content in _files(path):
        names.append(name)
        texts.append(_decoded(content))
        if len(names) == TEXTS_IN_A_BLOCK:
            yield tuple(names), texts
            names, texts = [], []
    if names:
        yield tuple(names), texts


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    found = False
    for name, content in _of_folder(path) if path.is_dir() else _of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path):
        if len(content) > _MAX_FILE_BYTES:
            raise errors.InvalidData.at(f"{path}, {name}", f"is larger than the {_MAX_FILE_BYTES:,} bytes that are taken.")
        found = True
        yield name, content
    if not found:
        raise errors.InvalidData.at(str(path), "holds no .txt files.", "NO_ROWS")


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and not file.is_symlink())
    for name in sorted(filter(_is_text, names)):
        with (path / name).open("rb") as file:
            yield name, file.read(_MAX_FILE_BYTES + 1)


def _of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(info.filename for info in archive.infolist() if not info.is_dir() and _is_text(info.filename)):
            try:
                with archive.open(name) as file:
                    yield name, file.read(_MAX_FILE_BYTES + 1)
            except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
                raise errors.InvalidData.at(f"{path}, {name}", f"is damaged: {error}.", "ARCHIVE_DAMAGED") from error


def _of_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read in the archive's order, since a packed one can't be read from the middle, and given in the names' order."""
    held: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                file = archive.extractfile(member) if member.isreg() and _is_text(name) else None
                if file is not None:
                    held[name] = file.read(_MAX_FILE_BYTES + 1)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise errors.InvalidData.at(str(path), f"is damaged: {error}.", "ARCHIVE_DAMAGED") from error
    yield from sorted(held.items())


def _is_text(name: str) -> bool:
    parts = name.split("/")
    stem, suffix = posixpath.splitext(parts[-1].lower())
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return suffix in _SUFFIXES and not hidden and stem.partition(".")[0] not in _READ_ME


def _decoded(content: bytes) -> str:
    """UTF-8, else Latin-1, as training reads files of texts."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")

