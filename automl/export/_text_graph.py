"""`preprocess.json` for texts as TensorFlow operations: the tokenisation inside a SavedModel.

The meaning is `automl.data.text_encoder`'s; a golden suite and odd Unicode show that the two agree. Letters that Unicode
has assigned only lately (2021 and later) may differ, since Python and TensorFlow bring tables of their own. Regular
expressions are RE2's: where Python finds tokens, here everything else is replaced by blanks and the text is split at
them. TensorFlow is imported at module level, so the catalogue's discovery leaves this module out (its name begins with an
underscore).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from automl.data import text_encoder as meaning
from automl.export._table_graph import Untracked, table

_CLASS = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in meaning.SINGLE)
_SINGLE = f"([{_CLASS}])"
_NO_TOKEN = rf"[^\pL\pN{_CLASS}]+"
_ACCENTS = rf"[\x{{{meaning.ACCENTS[0]:x}}}-\x{{{meaning.ACCENTS[1]:x}}}]+"


class TextGraph(tf.Module):
    """From texts, one tensor [b] of strings for each column, to "tokens" and "ngrams". Holds the lookup tables as resources
    of a SavedModel."""

    def __init__(self, preprocess: Mapping[str, Any]):
        super().__init__()
        self._document = Untracked(preprocess)
        words = list(preprocess["vocabulary"])
        self.words = table(words, range(meaning.FIRST, meaning.FIRST + len(words)), default=meaning.UNKNOWN)
        grams = preprocess.get("ngrams")
        self.grams = table(grams["vocabulary"], range(1, 1 + len(grams["vocabulary"])), default=0) if grams else None

    def encode(self, columns: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """`columns` in the order of the document. int32 [b, length] and [b, k]."""
        document = self._document.value
        sizes = document["inputs"]
        words = [self._words(column) for column in columns]
        coded: list[Any] = []
        for place, own in enumerate(words):
            if place:
                boundary = tf.fill((own.nrows(), 1), tf.constant(meaning.BOUNDARY))
                coded.append(tf.RaggedTensor.from_tensor(boundary, ragged_rank=1))
            coded.append(own.with_flat_values(self._codes(own.flat_values)))
        inputs = {"tokens": _filled(coded[0] if len(coded) == 1 else tf.concat(coded, axis=1), sizes["tokens"])}
        if self.grams is not None:
            every = words[0] if len(words) == 1 else tf.concat(words, axis=1)
            inputs["ngrams"] = _filled(self._ngrams(every, document["ngrams"]), sizes["ngrams"])
        return inputs

    def _words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The tokens of each text, [b, (tokens)]."""
        texts = tf.strings.lower(tf.strings.strip(texts), encoding="utf-8")
        texts = tf.strings.regex_replace(texts, _ACCENTS, "")
        texts = tf.strings.regex_replace(texts, _SINGLE, r" \1 ")
        return tf.strings.split(tf.strings.regex_replace(texts, _NO_TOKEN, " ")).with_row_splits_dtype(tf.int64)

    def _codes(self, words: tf.Tensor) -> tf.Tensor:
        found = self.words.lookup(words)
        shapes = self.words.lookup(tf.strings.regex_replace(words, r"\p{Nd}", "0"))
        return tf.where(found == meaning.UNKNOWN, shapes, found)

    def _ngrams(self, words: tf.RaggedTensor, grams: Mapping[str, Any]) -> tf.RaggedTensor:
        """The codes of the known n-grams of each text, [b, (n-grams)]."""
        assert self.grams is not None
        flat = words.flat_values
        beginning = tf.strings.substr(flat, 0, meaning.RUN, unit="UTF8_CHAR")
        run = tf.where(tf.strings.regex_full_match(flat, _SINGLE), "", beginning)
        marked = tf.where(run == "", "", tf.strings.join(["<", run, ">"]))
        characters = tf.strings.unicode_split(marked, "UTF-8")
        pieces = tf.strings.ngrams(characters, tuple(range(int(grams["low"]), int(grams["high"]) + 1)), separator="")
        codes = pieces.with_flat_values(self.grams.lookup(pieces.flat_values))
        # [words, (n-grams)] → [b, (n-grams)]: a text's n-grams stand one behind the other already.
        ends = tf.gather(codes.row_splits, words.row_splits)
        whole = tf.RaggedTensor.from_row_splits(codes.flat_values, ends)
        return tf.ragged.boolean_mask(whole, whole > 0)


def _filled(codes: tf.RaggedTensor, width: int) -> tf.Tensor:
    """int32 [b, width], cut at the end or filled up with 0."""
    return codes.to_tensor(default_value=0, shape=(None, int(width)))
