"""The meaning of `preprocess.json` for texts: raw text → tokens, and n-grams of their characters.

`{"version": 1, "modality": "text", …, "columns": [{"name", "kind": "text"}, …], "vocabulary": […], "ngrams": {"low": 3,
"high": 5, "vocabulary": […]} or null, "inputs": {"tokens": length, "vocabulary": codes, "ngrams": k, "ngram_vocabulary":
codes}}`. The last two sizes are absent where there are no n-grams.

1. *Text.* A cell is text, stripped of ASCII blanks (numbers and None as in `automl.data.encoder.text_of`). No word means
   "missing" here: "NA" is a text, and only an empty cell is none. The text is lower-cased (Unicode's full mapping, as
   Python does it), and combining accents (U+0300–U+036F) are removed.
2. *Tokens.* A character of `SINGLE` (symbols, and ideographs and kana, which are written without blanks) is a token of its
   own; else a token is a run of letters and digits (Python `[^\\W_]`, RE2 `[\\pL\\pN]`). Everything else parts tokens.
3. *Codes.* 0 fills up, 1 is an unknown token, 2 stands between columns, 3 + index in `vocabulary` else. An unknown token
   with digits is looked up once more with each digit (category Nd) as 0: "2026" and "1999" may meet as "0000".
   "tokens", int32 [n, length], has the columns' codes one behind the other, cut at the end.
4. *N-grams.* `<` + run + `>` gives its substrings of `low` to `high` characters (code points), shorter ones first, then
   from left to right; of a run longer than `RUN` characters its beginning alone counts. Those of `SINGLE` have none.
   "ngrams", int32 [n, k], has the codes (1 + index in their vocabulary) of the known ones in the order of the text; the
   others are left out, 0 fills up.

This module loads NumPy alone. The client's encoder and the graph inside a SavedModel follow it, held by one golden suite.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.data import encoder
from automl.spec import sizes
from automl.spec.errors import InvalidData, InvalidInput, Violation
from automl.spec.model import Json

UNKNOWN, BOUNDARY, FIRST = 1, 2, 3
RUN = 64
ACCENTS = (0x300, 0x36F)
SINGLE = (
    # Symbols: ASCII but for the underscore, Latin-1, punctuation, currencies, arrows to pictographs, full-width forms.
    (0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7E), (0xA1, 0xA9), (0xAB, 0xAC), (0xAE, 0xB1),
    (0xB4, 0xB4), (0xB6, 0xB8), (0xBB, 0xBB), (0xBF, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7), (0x2010, 0x2027),
    (0x2030, 0x205E), (0x20A0, 0x20CF), (0x2190, 0x2BFF), (0x3001, 0x3003), (0x3008, 0x3020), (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65), (0x1F000, 0x1FAFF),
    # Scripts without blanks between words: kana and ideographs.
    (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
)
"""First and last code point of ranges whose characters are tokens of their own."""

_CLASS = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in SINGLE)
_TOKEN = re.compile(f"[{_CLASS}]|[^\\W_{_CLASS}]+")
_SINGLE = re.compile(f"[{_CLASS}]")
_ACCENT = re.compile(f"[{chr(ACCENTS[0])}-{chr(ACCENTS[1])}]+")
_DIGIT = re.compile(r"\d")

MODALITY = "text"


def words_of(text: str) -> list[str]:
    """The tokens of a text, in order."""
    return _TOKEN.findall(_ACCENT.sub("", text.lower()))


def shape_of(word: str) -> str:
    """The token with each digit as 0."""
    return _DIGIT.sub("0", word)


def ngrams_of(word: str, low: int, high: int) -> list[str]:
    """The substrings of `<word>` of `low` to `high` characters, shorter ones first."""
    if _SINGLE.match(word):
        return []
    text = f"<{word[:RUN]}>"
    return [text[i : i + n] for n in range(low, high + 1) for i in range(len(text) - n + 1)]


class TextEncoder:
    """A fitted `preprocess.json` of texts. Raises `InvalidInput` for another version or modality."""

    def __init__(self, document: Mapping[str, Json]):
        if document.get("version") != encoder.VERSION or document.get("modality") != MODALITY:
            raise InvalidInput.at(
                "preprocess",
                f"expected version {encoder.VERSION} of texts, "
                f"got version {document.get('version')!r} of {document.get('modality')!r}",
            )
        self._document = dict(document)
        self.columns = tuple(str(column["name"]) for column in document["columns"])
        self._codes = {word: i for i, word in enumerate(document["vocabulary"], FIRST)}
        grams = document.get("ngrams")
        self._span = (int(grams["low"]), int(grams["high"])) if grams else None
        self._grams = {gram: i for i, gram in enumerate(grams["vocabulary"], 1)} if grams else {}
        self._known: dict[str, tuple[int, NDArray[np.int32]]] = {}
        """Word → its code and those of its n-grams: texts repeat their words."""

    @property
    def widths(self) -> dict[str, int]:
        """Length of each input of the model."""
        sizes = self._document["inputs"]
        return {name: int(sizes[name]) for name in ("tokens", "ngrams") if name in sizes}

    def encode(self, raw: encoder.Raw) -> encoder.Inputs:
        """Raw columns (name → n texts) as "tokens" int32 [n, length] and "ngrams" int32 [n, k].

        Raises `InvalidData` naming every column that is lacking or has another length than the first.
        """
        faults = [Violation(field=n, message="the column is lacking", reason="COLUMN_MISSING") for n in self.columns
                  if n not in raw]
        lengths = {name: len(raw[name]) for name in self.columns if name in raw}
        rows = next(iter(lengths.values()), 0)
        faults += [
            Violation(field=name, message=f"expected {rows} values as in the first column, got {n}", reason="LENGTH")
            for name, n in lengths.items() if n != rows
        ]
        if faults:
            raise InvalidData(faults)
        return self.rows(zip(*([encoder.text_of(v) for v in raw[name]] for name in self.columns)), rows)

    def rows(self, texts: Iterable[Sequence[str]], count: int) -> encoder.Inputs:
        """The same from rows of stripped texts, one for each column."""
        inputs = {name: np.zeros((count, width), np.int32) for name, width in self.widths.items()}
        for row, cells in enumerate(texts):
            codes: list[int] = []
            grams: list[NDArray[np.int32]] = []
            for place, text in enumerate(cells):
                if place:
                    codes.append(BOUNDARY)
                for word in words_of(text):
                    code, own = self._of_word(word)
                    codes.append(code)
                    grams.append(own)
            _fill(inputs["tokens"][row], np.array(codes, np.int32))
            if "ngrams" in inputs and grams:
                _fill(inputs["ngrams"][row], np.concatenate(grams))
        return inputs

    def _of_word(self, word: str) -> tuple[int, NDArray[np.int32]]:
        found = self._known.get(word)
        if found is None:
            code = self._codes.get(word) or self._codes.get(shape_of(word), UNKNOWN)
            grams = [self._grams[g] for g in ngrams_of(word, *self._span) if g in self._grams] if self._span else []
            found = self._known[word] = (code, np.array(grams, np.int32))
        return found

    def transform(self, inputs: Mapping[str, NDArray[Any]]) -> encoder.Inputs:
        """The prepared data's arrays as the model takes them: as they are. Raises `InvalidInput` for other widths."""
        faults = [
            Violation(field=name, reason="WRONG_SHAPE",
                      message=f"expected [n, {width}], got {list(np.shape(inputs.get(name, ())))}")
            for name, width in self.widths.items()
            if name not in inputs or inputs[name].ndim != 2 or inputs[name].shape[1] != width
        ]
        if faults:
            raise InvalidInput(faults)
        return {name: np.asarray(inputs[name], np.int32) for name in self.widths}

    def to_dict(self) -> dict[str, Json]:
        """The whole `preprocess.json`."""
        return dict(self._document)


def _fill(row: NDArray[np.int32], codes: NDArray[np.int32]) -> None:
    n = min(len(row), len(codes))
    row[:n] = codes[:n]


# --- fitting -----------------------------------------------------------------------------------

VOCABULARY = 20_000
NGRAM_VOCABULARY = 30_000
LOW, HIGH = 3, 5
LENGTH = sizes.TEXT_LENGTH
"""Most tokens of a text; longer ones are cut."""
NGRAMS = 1024
"""Most n-grams of a text. Where the usual text has more, words say enough and none are used."""
COVERED = 98
"""Percent of the training texts that are taken whole."""
_LEAST = 2
"""Rows that a token must come in: the rarer ones show what an unknown token is like."""
_LEAST_GRAM = 2
"""Words of training rows that an n-gram must come in."""


def fit(texts: Sequence[Sequence[str]], names: Sequence[str], *, bytes_a_row: float = 8192.0) -> dict[str, Json]:
    """The fitted part of `preprocess.json` ("columns", "vocabulary", "ngrams", "inputs") from training rows of stripped
    texts, one for each of the named columns. `bytes_a_row` is the room for one encoded row.

    Raises `InvalidData` where no token comes in two rows.
    """
    documents = [[words_of(text) for text in row] for row in texts]
    frequency: collections.Counter[str] = collections.Counter()
    for row in documents:
        frequency.update({word for words in row for word in words})
    kept = {word: n for word, n in frequency.items() if n >= _LEAST}
    shapes: collections.Counter[str] = collections.Counter()
    for word, n in frequency.items():
        if word not in kept and _DIGIT.search(word):
            shapes[shape_of(word)] += n
    for shape, n in shapes.items():
        if shape in kept or n >= _LEAST:
            kept[shape] = kept.get(shape, 0) + n
    if not kept:
        raise InvalidData.at(
            ", ".join(names), "no word comes in two of the training texts: there is nothing to learn from.",
            "Give more texts, or other columns (--kind COLUMN=text).", "NO_FEATURES",
        )
    vocabulary = sorted(kept, key=lambda word: (-kept[word], word))[:VOCABULARY]
    boundaries = len(names) - 1
    lengths = [boundaries + sum(map(len, row)) for row in documents]
    room = max(16, int(bytes_a_row // 8))
    length = _rounded(min(LENGTH, room, float(np.percentile(lengths, COVERED))))
    document: dict[str, Json] = {
        "columns": [{"name": name, "kind": "text"} for name in names], "vocabulary": vocabulary, "ngrams": None,
        "inputs": {"tokens": length, "vocabulary": FIRST + len(vocabulary)},
    }
    grams: collections.Counter[str] = collections.Counter()
    for word, n in frequency.items():
        for gram in set(ngrams_of(word, LOW, HIGH)):
            grams[gram] += n
    chosen = sorted((g for g, n in grams.items() if n >= _LEAST_GRAM), key=lambda g: (-grams[g], g))[:NGRAM_VOCABULARY]
    known = set(chosen)
    held = {word: sum(g in known for g in ngrams_of(word, LOW, HIGH)) for word in frequency}
    counts = [sum(held[word] for words in row for word in words) for row in documents]
    if chosen and np.median(counts) <= min(NGRAMS, room):
        width = _rounded(min(NGRAMS, room, float(np.percentile(counts, COVERED))))
        document["ngrams"] = {"low": LOW, "high": HIGH, "vocabulary": chosen}
        document["inputs"] |= {"ngrams": width, "ngram_vocabulary": 1 + len(chosen)}
    return document


def _rounded(length: float) -> int:
    """Up to a multiple of 8, at least 8."""
    return max(8, -(-int(np.ceil(length)) // 8) * 8)
