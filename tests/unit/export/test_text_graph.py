"""The tokenisation inside a SavedModel is that of `automl.data.text_encoder`: golden files, and odd Unicode."""

from __future__ import annotations

import json
import pathlib
import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from automl.data import text_encoder
from automl.export import _text_graph

GOLDEN = sorted((pathlib.Path(__file__).parents[2] / "golden" / "preprocess" / "texts").glob("*.json"))


def encoded(preprocess, raw):
    """What the graph makes of raw columns, and what it must make of them."""
    graph = _text_graph.TextGraph(preprocess)
    names = [column["name"] for column in preprocess["columns"]]
    specs = [tf.TensorSpec((None,), tf.string) for _ in names]
    function = tf.function(lambda *columns: graph.encode(columns), input_signature=specs, autograph=False)
    found = function(*(tf.constant(raw[name]) for name in names))
    return {name: value.numpy() for name, value in found.items()}, text_encoder.TextEncoder(preprocess).encode(raw)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.int32
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_suite(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    found, expected = encoded(case["preprocess"], case["raw"])
    assert_same(found, expected)
    assert_same(found, {name: np.array(rows, np.int32) for name, rows in case["expected"].items()})


UNICODE_14 = {0x2C2F, 0xA7C0, 0xA7D0, 0xA7D6, 0xA7D8, *range(0x10570, 0x10596)}
"""Capital letters that came in 2021 (Glagolitic, medieval Latin, Vithkuqi): TensorFlow doesn't know their small ones yet."""


def assigned() -> list[str]:
    """Every character that Unicode has assigned, as far as both know it, but for surrogates and NUL, which ends strings in
    NumPy."""
    codes = (c for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co"))
    return [chr(c) for c in codes if c not in UNICODE_14]


def documents_of(characters: list[str]):
    """A document in whose vocabulary every third of the tokens stands."""
    words = sorted({word for c in characters for word in text_encoder.words_of(f"a{c}b {c}")})
    grams = sorted({g for word in words for g in text_encoder.ngrams_of(word, 3, 5)})
    return {
        "version": 1, "modality": "text", "columns": [{"name": "t", "kind": "text"}], "vocabulary": words[::3],
        "ngrams": {"low": 3, "high": 5, "vocabulary": grams[::3]},
        "inputs": {"tokens": 6, "vocabulary": 3 + len(words[::3]), "ngrams": 8, "ngram_vocabulary": 1 + len(grams[::3])},
    }


def test_every_assigned_character_is_taken_alike():
    characters = assigned()
    # A tenth is enough of the many ideographs, of which each counts by its range.
    characters = [c for i, c in enumerate(characters) if ord(c) < 0x3000 or i % 10 == 0 or 0xF000 < ord(c) < 0x20000]
    assert_same(*encoded(documents_of(characters), {"t": [f"a{c}b {c}" for c in characters]}))


def test_random_texts_of_odd_characters_are_taken_alike():
    rng = random.Random(5)
    pool = ["Σ", "ς", "σ", "İ", "ı", "ß", "ẞ", "ǅ", "\u0345", "\u0301", "\u00ad", "\u200d", "_", "'", ".", " ", "\u00a0",
            "A", "b", "9", "٣", "漢", "か", "😀", "\u2028", "\x85", "\x1c", "ﬁ", "Ω", "K", "한", "\ufe0f", "ª", "²", "①",
            "々"]
    texts = ["".join(rng.choices(pool, k=rng.randint(0, 12))) for _ in range(3_000)]
    assert_same(*encoded(documents_of(pool + texts), {"t": texts}))
