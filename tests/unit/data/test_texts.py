"""Texts, from tables and from folders, to a prepared data set."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest

from automl.catalog import validation
from automl.data import inspection, text_encoder
from automl.data.prepare import prepare
from automl.data.source import Source
from automl.spec import InvalidData, Modality
from tests.unit.data import planting

HAM = ["see you at noon then", "ok, I will be late today", "did you eat already? call mum", "meet at the usual place"]
SPAM = ["WINNER! claim your prize now", "free entry, text WIN to 80085 now", "urgent! you won a phone", "cash prize waits"]


def rows(count: int = 60) -> list[tuple[str, str]]:
    """(text, label), all different."""
    return [
        (f"{(SPAM if i % 3 == 0 else HAM)[i % 4]} {i}", "spam" if i % 3 == 0 else "ham") for i in range(count)
    ]


def table(count: int = 60, **more) -> str:
    texts, labels = zip(*rows(count))
    quoted = [f'"{text}"' for text in texts]
    return planting.csv({"message": quoted, "label": labels, **more})


def folder(root: str = "", count: int = 60) -> list[tuple[str, bytes]]:
    return [(f"{root}{label}/{i:03}.txt", text.encode()) for i, (text, label) in enumerate(rows(count))]


def tar(files: list[tuple[str, bytes]], packed: bool = True) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(made.getvalue()) if packed else made.getvalue()


def prepared(tmp_path, name, content, *, test=None, **data):
    source = planting.source(tmp_path, name, content)
    test_source = None if test is None else planting.source(tmp_path, f"test-{name}", test)
    return prepare(planting.spec(**data), "text-classification", source, test_source, tmp_path / "prepared")


def reasons(call) -> dict[str, str]:
    with pytest.raises(InvalidData) as caught:
        call()
    return {v.reason: str(v) for v in caught.value.violations}


def test_a_table_of_texts(tmp_path):
    data = prepared(tmp_path, "sms.csv", table(), target="label")
    meta = data.meta
    assert meta.modality == Modality.TEXT
    assert meta.classes == ("ham", "spam")
    assert sum(meta.parts.values()) == 60
    assert meta.preprocess["columns"] == [{"name": "message", "kind": "text"}]
    assert meta.profile.length == meta.preprocess["inputs"]["tokens"]
    assert meta.profile.vocabulary == 3 + len(meta.preprocess["vocabulary"])
    assert meta.profile.ngrams == 1 + len(meta.preprocess["ngrams"]["vocabulary"])
    encoder = text_encoder.TextEncoder(meta.preprocess)
    for part in ("train", "validation", "test"):
        raw = data.raw(part)
        for name, values in encoder.encode(raw).items():
            np.testing.assert_array_equal(values, data.inputs(part)[name])
        texts = [rows()[i] for i in data.rows(part).tolist()]
        assert raw["message"] == [text for text, _ in texts]
        assert [meta.classes[i] for i in data.target(part)] == [label for _, label in texts]


def test_the_vocabulary_is_of_the_training_rows(tmp_path):
    data = prepared(tmp_path, "sms.csv", table(), target="label")
    words = {word for text in data.raw("train")["message"] for word in text_encoder.words_of(text)}
    shapes = {text_encoder.shape_of(word) for word in words}
    assert set(data.meta.preprocess["vocabulary"]) <= words | shapes


def test_words_that_mean_missing_in_tables_are_texts_here(tmp_path):
    content = table() + '"NA",ham\n"None",spam\n"?",ham\n'
    data = prepared(tmp_path, "sms.csv", content, target="label")
    assert sum(data.meta.parts.values()) == 63
    everything = [text for part in ("train", "validation", "test") for text in data.raw(part)["message"]]
    assert {"NA", "None", "?"} <= set(everything)


def test_rows_without_a_text_are_left_out_and_reported(tmp_path):
    data = prepared(tmp_path, "sms.csv", table() + ",ham\n,spam\n", target="label")
    assert sum(data.meta.parts.values()) == 60
    (finding,) = [f for f in data.meta.findings if f.check == "empty-texts"]
    assert finding.rows == (61, 62)


def test_several_columns_are_joined_and_others_left_out(tmp_path):
    titles = [f"a title of three or more words {i}" for i in range(60)]
    content = table(title=titles, number=list(range(0, 600, 10)))
    data = prepared(tmp_path, "news.csv", content, target="label")
    assert [c["name"] for c in data.meta.preprocess["columns"]] == ["message", "title"]
    assert (data.inputs("train")["tokens"] == text_encoder.BOUNDARY).sum(axis=1).tolist() == [1] * data.meta.parts["train"]
    (finding,) = [f for f in data.meta.findings if f.check == "columns-without-text"]
    assert finding.columns == ("number",)


def test_separate_test_data(tmp_path):
    data = prepared(tmp_path, "sms.csv", table(), test=table(12), target="label")
    assert data.meta.parts["test"] == 12
    assert any(f.check == "train-test-overlap" for f in data.meta.findings)


@pytest.mark.parametrize("packed", [True, False])
def test_folders_of_texts_in_a_tar(tmp_path, packed):
    content = tar([*folder("review/txt/"), ("review/README.txt", b"read me")], packed)
    source = planting.source(tmp_path, "review.tar.gz", content)
    info = inspection.inspect(source)
    assert (info.format, info.rows, info.modality) == ("text-folder", 60, Modality.TABLE)
    assert [c.name for c in info.columns] == ["text", "label"]
    assert info.own_target == "label"
    assert validation.infer_task(info, None) == "text-classification"
    data = prepare(planting.spec(), "text-classification", source, None, tmp_path / "prepared")
    assert data.meta.target == "label"
    assert data.meta.classes == ("ham", "spam")


def test_parts_that_folders_name(tmp_path):
    files = [*folder("train/", 40), *folder("test/", 20)]
    for label in ("ham", "spam"):
        (tmp_path / "set" / "train" / label).mkdir(parents=True)
        (tmp_path / "set" / "test" / label).mkdir(parents=True)
    for name, content in files:
        (tmp_path / "set" / name).write_bytes(content)
    source = Source(tmp_path / "set")
    info = inspection.inspect(source)
    assert info.parts == (("train", 40), ("test", 20))
    data = prepare(planting.spec(), "text-classification", source, None, tmp_path / "prepared")
    assert data.meta.parts["test"] == 20
    assert data.meta.parts["train"] + data.meta.parts["validation"] == 40


def test_separate_test_data_take_the_place_of_parts(tmp_path):
    content = planting.archive([*folder("train/", 40), *folder("test/", 20)])
    data = prepared(tmp_path, "set.zip", content, test=planting.archive(folder("", 8)))
    assert data.meta.parts["test"] == 8
    assert sum(data.meta.parts.values()) == 68


def test_texts_that_are_not_utf8_are_told(tmp_path):
    files = [*folder(), ("ham/latin.txt", "f\xfcr dich".encode("latin-1"))]
    info = inspection.inspect(planting.source(tmp_path, "x.zip", planting.archive(files)))
    (finding,) = [f for f in info.findings if f.check == "text-encoding"]
    assert "ham/latin.txt" in finding.message


def test_wrong_data_are_refused_with_what_to_do(tmp_path):
    numbers = planting.csv({"x": range(100, 160), "y": [f"c{i % 2}" for i in range(60)]})
    (said,) = reasons(lambda: prepared(tmp_path, "t.csv", numbers, target="y")).items()
    assert said[0] == "NO_TEXT"
    assert "--kind COLUMN=text" in said[1]
    one = planting.archive([(f"ham/{i}.txt", b"a text") for i in range(20)])
    assert "ONE_CLASS" in reasons(lambda: prepared(tmp_path, "t.zip", one))
    loose = planting.archive([*((f"{i}.txt", b"a text") for i in range(20)), ("notes/a.md", b"x"), ("notes/b.md", b"x")])
    assert reasons(lambda: prepared(tmp_path, "t.zip", loose)).keys() & {"NO_LABELS", "UNKNOWN_FORM"}
    labels = ["ham"] * 60
    same = planting.csv({"message": [f'"{t}"' for t, _ in rows()], "label": labels})
    assert "ONE_CLASS" in reasons(lambda: prepared(tmp_path, "t.csv", same, target="label"))
    pictures = planting.archive(planting.class_folders())
    assert "WRONG_MODALITY" in reasons(lambda: prepared(tmp_path, "t.zip", pictures))
    empty = planting.csv({"message": [""] * 60, "label": [label for _, label in rows()]})
    assert reasons(lambda: prepared(tmp_path, "t.csv", empty, target="label", kinds={"message": "text"})).keys() == {
        "EMPTY_TEXTS"
    }


def test_short_texts_are_texts_when_the_user_says_so(tmp_path):
    words = ["red", "green", "blue", "black"]
    content = planting.csv({"word": [words[i % 4] for i in range(60)], "y": [f"c{i % 2}" for i in range(60)]})
    data = prepared(tmp_path, "t.csv", content, target="y", kinds={"word": "text"})
    assert sorted(data.meta.preprocess["vocabulary"]) == sorted(words)


def test_a_hostile_tar_is_refused(tmp_path):
    for name in ("../../evil/ham/1.txt", "/etc/ham/1.txt"):
        assert "ARCHIVE_ENTRY" in reasons(lambda n=name: prepared(tmp_path, "t.tar", tar([*folder(), (n, b"x")], False)))
    cut = tar(folder())[:-40]
    assert "ARCHIVE_DAMAGED" in reasons(lambda: prepared(tmp_path, "t.tgz", cut))
