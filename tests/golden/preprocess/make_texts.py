"""Writes the golden suite of `preprocess.json` for texts into `texts/`: raw rows, the document, and the codes that every
encoder must make of them: `automl.data.text_encoder`, the client's, and the graph inside a SavedModel.

The expected codes come from the first one; those that can be worked out by hand are so in
`tests/unit/data/test_text_encoder.py`. Run `python tests/golden/preprocess/make_texts.py` after a deliberate change of
meaning, and raise `encoder.VERSION` with it. A file holds {"about", "preprocess", "raw": column → texts, "expected"}.
"""

from __future__ import annotations

import json
import pathlib

from automl.data import encoder, text_encoder

HERE = pathlib.Path(__file__).parent / "texts"


def document(columns, vocabulary, grams=(), *, length=12, k=16, low=3, high=5):
    sizes = {"tokens": length, "vocabulary": 3 + len(vocabulary)}
    if grams:
        sizes |= {"ngrams": k, "ngram_vocabulary": 1 + len(grams)}
    return {
        "version": encoder.VERSION, "modality": "text", "task": "text-classification", "kind": "classification",
        "target": "label", "classes": ["no", "yes"], "metric": "roc-auc", "output": "probabilities",
        "columns": [{"name": name, "kind": "text"} for name in columns], "vocabulary": list(vocabulary),
        "ngrams": {"low": low, "high": high, "vocabulary": list(grams)} if grams else None, "inputs": sizes,
    }


def cases():
    words = ["good", "bad", "not", "0000", "00", "!", "'", "£", "caf", "café", "cafe", "straße", "ss", "x", "na", "-"]
    yield (
        "words",
        "runs of letters and digits, symbols, case, digits as a shape, empty cells, words that mean missing elsewhere",
        document(["text"], words, length=8),
        {
            "text": [
                "Good, BAD", "not_good not  bad", "", " ", "NA", "2026 1999 07 x7 0000", "£500!!", "don't", "x-x/x",
                "CAFÉ Cafe\u0301 cafe", "STRASSE Straße", "\t bad\n", "a b c d e f g h i good", "!!!", "___", "None", "?",
                "\u0661\u0662\u0663\u0664 ⅷ ²", "good\u00a0bad\u3000not\u200bx",
            ]
        },
    )
    yield (
        "scripts",
        "ideographs and kana alone, other scripts in runs, accents that combine, final sigma, emoji",
        document(
            ["text"],
            ["東", "京", "の", "カ", "タ", "привет", "οδος", "οδοσ", "i", "你", "好", "😀", "naive", "한국어", "कम"],
            ["<пр", "рив", "вет", "ет>", "<οδο", "дос", "한국어", "<한국", "국어>", "<na", "nai", "ive>"], length=10,
        ),
        {
            "text": [
                "東京の夏", "カタログ x", "ПРИВЕТ, мир", "ΟΔΟΣ ΟΔΟΣΑ οδος", "İI ı i", "你好，世界。",
                "😀😀 👍🏽", "nai\u0308ve naïve",
                "한국어 국어", "कम कमल की", "𠮷野家", "🇩🇪", "שלום", "Ǆ ǅ", "\ufeffgood", "ﬁ ﬀ", "\U0001d400\U0001d401",
            ]
        },
    )
    yield (
        "ngrams",
        "substrings of marked runs: their order, short and very long runs, no n-grams of symbols, unknown ones left out",
        document(
            ["text"], ["good", "go"],
            [
                "<go", "goo", "ood", "od>", "<goo", "good", "ood>", "<good", "good>", "go>", "<go>", "<a>", "aaa", "aaaaa",
                "<x1",
            ],
            k=12,
        ),
        {
            "text": [
                "good", "Good go", "a", "go! go?", "bad", "", "a" * 200, "a" * 63, "a" * 64 + "go", "a" * 62 + "go",
                "x1 x12", "goods goody", "good good good",
            ]
        },
    )
    yield (
        "columns",
        "several columns: the code between them, a cut at the end, empty ones, no n-gram across",
        document(["title", "body"], ["good", "news", "today"], ["<ne", "ws>", "s>t", "<to", "day"], length=6, k=4),
        {
            "title": ["Good", "", "news", "", "good news today good news today", "news", "one two three four five"],
            "body": ["news", "today", "", "", "good", "today today news", "six"],
            "unused": ["1", "2", "3", "4", "5", "6", "7"],
        },
    )


def case(name, about, preprocess, raw):
    """One golden file's content."""
    encoded = text_encoder.TextEncoder(preprocess).encode(raw)
    return {
        "about": about, "preprocess": preprocess, "raw": raw, "expected": {n: v.tolist() for n, v in encoded.items()},
    }


if __name__ == "__main__":
    for name, *rest in cases():
        content = json.dumps(case(name, *rest), ensure_ascii=False)
        (HERE / f"{name}.json").write_text(content + "\n", encoding="utf-8")
