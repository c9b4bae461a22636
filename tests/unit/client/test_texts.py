"""The client's encoding of texts against the golden files and the engine's, and files of texts."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data import text_encoder as engine
from automl_client import errors, forms, texts

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "preprocess" / "texts").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    found = texts.TextEncoder(case["preprocess"]).encode(case["raw"])
    assert {name: values.tolist() for name, values in found.items()} == case["expected"]
    assert {values.dtype for values in found.values()} == {np.dtype(np.int32)}


def document(columns=("t",), **changes):
    words = ["good", "bad", "a", "0", "00", "é", "ß", "!", "_", "1", "ab"]
    return {
        "version": 1, "modality": "text", "columns": [{"name": name, "kind": "text"} for name in columns],
        "vocabulary": words, "ngrams": {"low": 2, "high": 4, "vocabulary": ["<a", "a>", "<go", "oo", "ood>", "b>", "<é"]},
        "inputs": {"tokens": 6, "vocabulary": 14, "ngrams": 5, "ngram_vocabulary": 8}, **changes,
    }


CELL = st.one_of(st.text(max_size=12), st.none(), st.floats(), st.sampled_from(["good bad", "GOOD! é ß", "12 3 007", "NA"]))


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_any_text_is_encoded_as_the_engine_encodes_it(rows):
    made = document(("t", "u"))
    raw = {"t": [first for first, _ in rows], "u": [second for _, second in rows]}
    found, expected = texts.TextEncoder(made).encode(raw), engine.TextEncoder(made).encode(raw)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_lacking_columns_and_newer_documents_are_refused():
    with pytest.raises(errors.InvalidData, match="'t'"):
        texts.TextEncoder(document()).encode({"x": ["a"]})
    with pytest.raises(errors.InvalidInput, match="newer"):
        texts.TextEncoder(document(version=2))


FILES = {
    "b/2.txt": b"good", "a/1.txt": "f\xfcr".encode("latin-1"), "README.txt": b"no", ".hidden.txt": b"no", "x.md": b"no",
}


def put(path: Path, kind: str) -> Path:
    if kind == "folder":
        for name, content in FILES.items():
            (path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
            (path / "texts" / name).write_bytes(content)
        return path / "texts"
    if kind == "zip":
        with zipfile.ZipFile(path / "texts.zip", "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
        return path / "texts.zip"
    with tarfile.open(path / "texts.tar.gz", "w:gz") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path / "texts.tar.gz"


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_files_of_texts_come_in_the_order_of_their_names(tmp_path, kind):
    path = put(tmp_path, kind)
    assert texts.are_files(path)
    assert list(texts.file_blocks(path)) == [(("a/1.txt", "b/2.txt"), ["für", "good"])]
    ((names, inputs),) = forms.of(document()).blocks(path, None)
    assert names == ("a/1.txt", "b/2.txt")
    assert inputs["tokens"][1, 0] == 3


def test_a_folder_without_texts_and_a_model_of_two_columns(tmp_path):
    (tmp_path / "x.md").write_text("x")
    with pytest.raises(errors.InvalidData, match="txt"):
        list(texts.file_blocks(tmp_path))
    with pytest.raises(errors.InvalidData, match="t, u"):
        list(forms.of(document(("t", "u"))).blocks(tmp_path, None))


def test_tables_and_rows_in_memory(tmp_path):
    (tmp_path / "new.csv").write_text('x,t\n1,"good, bad"\n2,\n')
    form = forms.of(document())
    ((names, inputs),) = form.blocks(tmp_path / "new.csv", None)
    assert names == ()
    assert inputs["tokens"][:, :3].tolist() == [[3, 1, 4], [0, 0, 0]]
    for rows in (["good", "bad"], [{"t": "good"}, {"t": "bad"}], {"t": ["good", "bad"]}):
        assert form.encoded(rows)["tokens"][:, 0].tolist() == [3, 4]
    with pytest.raises(errors.InvalidInput):
        form.encoded(np.zeros((2, 3)))
