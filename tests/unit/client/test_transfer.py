"""Packing, chunks and downloads, without a server."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_client import errors, transfer, types
from automl_protos.v1 import model_service_pb2 as model_pb


def artifact(content: bytes, filename: str = "model.tflite") -> types.Artifact:
    return types.Artifact(
        "a", "tflite", "float32", filename, len(content), 0, hashlib.sha256(content).hexdigest(), 0, 0.0, None
    )


def test_a_file_is_sent_as_it_is(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n")
    with transfer.packed(path) as sent:
        assert sent == transfer.Packed(path, "x.csv", 4, hashlib.sha256(b"a,b\n").hexdigest())


def folder_of(place: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


FILES = {"cat/1.png": b"1", "dog/2.png": b"22", ".hidden": b"h", "__MACOSX/cat/1.png": b"m", "cat/.DS_Store": b"d"}


def test_a_folder_makes_the_same_bytes_whenever_and_wherever_it_is_packed(tmp_path):
    hashes = []
    for number, names in enumerate((list(FILES), list(reversed(FILES)))):
        folder = folder_of(tmp_path / str(number) / "pets", {name: FILES[name] for name in names})
        os.utime(folder / "cat/1.png", (number, number))
        with transfer.packed(folder) as sent:
            assert sent.filename == "pets.zip"
            hashes.append(sent.sha256)
            with zipfile.ZipFile(sent.path) as archive:
                assert archive.namelist() == ["cat/1.png", "dog/2.png"]
                assert archive.read("dog/2.png") == b"22"
        assert not sent.path.exists()
    assert hashes[0] == hashes[1]


def test_idx_pictures_take_their_labels_along(tmp_path):
    folder_of(
        tmp_path, {"train-images-idx3-ubyte.gz": b"i", "train-labels-idx1-ubyte.gz": b"l", "t10k-images-idx3-ubyte": b"x"}
    )
    with transfer.packed(tmp_path / "train-images-idx3-ubyte.gz") as sent, zipfile.ZipFile(sent.path) as archive:
        assert archive.namelist() == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    with (
        pytest.raises(errors.InvalidData, match="t10k-labels-idx1-ubyte"),
        transfer.packed(tmp_path / "t10k-images-idx3-ubyte"),
    ):
        pass


def test_what_can_not_be_sent_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("nowhere.csv", "no such file"),
        ("empty.csv", "empty"),
        ("folder", "no files"),
        ("pipe", "neither"),
    ):
        with pytest.raises(errors.InvalidData, match=words) as caught, transfer.packed(tmp_path / name):
            pass
        assert name in str(caught.value)
        assert caught.value.exit_code == 2


def test_errors_of_the_sender_are_not_taken_for_errors_of_the_file(tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(PermissionError), transfer.packed(tmp_path / "x"):
        raise PermissionError(13, "from elsewhere")


@given(size=st.integers(1, 3 * transfer.CHUNK_BYTES), offset=st.integers(0, 3 * transfer.CHUNK_BYTES))
def test_chunks_cover_the_rest_of_the_file(tmp_path_factory, size, offset):
    offset = min(offset, size)
    path = tmp_path_factory.getbasetemp() / "chunks"
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    path.write_bytes(content)
    upload = types.Upload("u", "f", size, "", offset, False)
    sent = list(transfer.chunks(transfer.Packed(path, "f", size, ""), upload))
    assert b"".join(one.data for one in sent) == content[offset:]
    assert [one.offset for one in sent] == list(range(offset, size, transfer.CHUNK_BYTES))
    assert all(one.crc32c == transfer.checksum(one.data) for one in sent)


def test_the_checksum_is_castagnolis():
    # RFC 3720, B.4: 32 bytes of zeros.
    assert transfer.checksum(bytes(32)) == 0x8A9136AA


def test_damaged_and_misplaced_chunks_are_refused(tmp_path):
    download = transfer.Download(artifact(b"abcd"), tmp_path)
    file = io.BytesIO()
    with pytest.raises(errors.DataLoss, match="damaged"):
        download.take(file, model_pb.DownloadArtifactResponse(offset=0, data=b"ab", crc32c=1))
    with pytest.raises(errors.DataLoss, match="expected bytes from 0"):
        download.take(file, model_pb.DownloadArtifactResponse(offset=2, data=b"cd", crc32c=transfer.checksum(b"cd")))
    assert file.getvalue() == b""


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "C:x"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(errors.DataLoss):
        transfer.Download(artifact(b"x", name), tmp_path)


def test_too_many_bytes_from_before_are_dropped(tmp_path):
    download = transfer.Download(artifact(b"abcd"), tmp_path)
    with download.writing() as file:
        file.write(b"abcdefgh")
    with download.writing() as file:
        assert file.tell() == 0
