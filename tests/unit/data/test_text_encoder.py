"""Tokens and n-grams: what they mean, worked out by hand, and how they are fitted."""

from __future__ import annotations

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from automl.data import text_encoder
from automl.spec import InvalidData, InvalidInput

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "preprocess"
CASES = sorted((GOLDEN / "texts").glob("*.json"))


def make_module():
    found = importlib.util.spec_from_file_location("golden_make_texts", GOLDEN / "make_texts.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_files_are_what_the_encoder_gives(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    found = text_encoder.TextEncoder(case["preprocess"]).encode(case["raw"])
    assert {name: values.tolist() for name, values in found.items()} == case["expected"]


def test_the_golden_suite_is_what_its_maker_writes():
    made = make_module()
    for name, *rest in made.cases():
        assert json.loads((GOLDEN / "texts" / f"{name}.json").read_text(encoding="utf-8")) == made.case(name, *rest)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good, BAD", ["good", ",", "bad"]),
        ("snake_case  x", ["snake", "case", "x"]),
        ("don't pay £5!!", ["don", "'", "t", "pay", "£", "5", "!", "!"]),
        ("Cafe\u0301", ["cafe"]),
        ("ΟΔΟΣ", ["οδος"]),
        ("東京 Tōkyō", ["東", "京", "tōkyō"]),
        ("x²①", ["x²", "①"]),
        ("", []),
        (" \t\n", []),
        ("Straße 2026", ["straße", "2026"]),
        ("😀👍", ["😀", "👍"]),
    ],
)
def test_words(text, words):
    assert text_encoder.words_of(text) == words


def test_ngrams_are_substrings_of_the_marked_word_shorter_ones_first():
    assert text_encoder.ngrams_of("cat", 3, 4) == ["<ca", "cat", "at>", "<cat", "cat>"]
    assert text_encoder.ngrams_of("a", 3, 5) == ["<a>"]
    assert text_encoder.ngrams_of("!", 3, 5) == []
    assert text_encoder.ngrams_of("a" * 200, 5, 5) == text_encoder.ngrams_of("a" * 64, 5, 5)


def document(**changes):
    return {
        "version": 1, "modality": "text", "columns": [{"name": "t", "kind": "text"}], "vocabulary": ["cat", "000"],
        "ngrams": {"low": 3, "high": 3, "vocabulary": ["<ca", "at>"]},
        "inputs": {"tokens": 4, "vocabulary": 5, "ngrams": 3, "ngram_vocabulary": 3}, **changes,
    }


def test_codes_by_hand():
    fitted = text_encoder.TextEncoder(document())
    found = fitted.encode({"t": ["Cat 007 dog", None, "cat cat cat cat cat"]})
    # 3 cat, 4 any three digits, 1 unknown; of "cat" the n-grams 1 and 2 are known.
    np.testing.assert_array_equal(found["tokens"], [[3, 4, 1, 0], [0, 0, 0, 0], [3, 3, 3, 3]])
    np.testing.assert_array_equal(found["ngrams"], [[1, 2, 0], [0, 0, 0], [1, 2, 1]])
    assert {v.dtype for v in found.values()} == {np.dtype(np.int32)}
    assert fitted.widths == {"tokens": 4, "ngrams": 3}


def test_columns_are_joined_with_a_code_between_them():
    two = document(columns=[{"name": "a", "kind": "text"}, {"name": "b", "kind": "text"}])
    found = text_encoder.TextEncoder(two).encode({"b": ["cat", ""], "a": ["007", "cat"]})
    np.testing.assert_array_equal(found["tokens"], [[4, 2, 3, 0], [3, 2, 0, 0]])


def test_other_documents_and_lacking_columns_are_refused():
    for changes in ({"version": 2}, {"modality": "table"}):
        with pytest.raises(InvalidInput, match="texts"):
            text_encoder.TextEncoder(document(**changes))
    with pytest.raises(InvalidData) as caught:
        text_encoder.TextEncoder(document()).encode({"x": ["a"]})
    assert caught.value.violations[0].field == "t"
    with pytest.raises(InvalidInput) as wrong:
        text_encoder.TextEncoder(document()).transform({"tokens": np.zeros((2, 9), np.int32)})
    assert {v.field for v in wrong.value.violations} == {"tokens", "ngrams"}


# --- fitting -----------------------------------------------------------------------------------


def fit(*texts, **options):
    return text_encoder.fit([(text,) for text in texts], ["t"], **options)


def test_words_of_two_texts_make_the_vocabulary_the_frequent_first():
    made = fit("the cat", "the dog", "the cat sat", "cat cat cat", "bird bird bird")
    assert made["vocabulary"] == ["cat", "the"]
    assert made["inputs"]["vocabulary"] == 5
    assert made["columns"] == [{"name": "t", "kind": "text"}]


def test_rare_numbers_meet_in_their_shape():
    made = fit("call 0711 now", "call 0712 now", "call 0713 now", "x 5", "y 66")
    assert made["vocabulary"] == ["0000", "call", "now"]


def test_lengths_take_nearly_all_texts_whole_and_are_bounded():
    short = ["one two three"] * 50
    assert fit(*short)["inputs"]["tokens"] == 8
    assert fit(*short, "word " * 5_000)["inputs"]["tokens"] == 8
    assert fit(*["word " * 5_000] * 20)["inputs"]["tokens"] == text_encoder.LENGTH
    assert fit(*["word " * 5_000] * 20, bytes_a_row=800)["inputs"]["tokens"] == 104


def test_ngrams_are_left_out_of_long_texts():
    assert fit(*["some words here"] * 9)["ngrams"]["vocabulary"]
    long = fit(*[" ".join(f"word{i} etwas" for i in range(400))] * 9)
    assert long["ngrams"] is None
    assert "ngrams" not in long["inputs"]


def test_texts_without_a_common_word_are_refused():
    with pytest.raises(InvalidData, match="no word"):
        fit("a", "b", "c")
