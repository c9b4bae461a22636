"""The format for phones: metadata that other readers understand, uncompressed files behind the model, times by threads."""

from __future__ import annotations

import pathlib
import zipfile
from typing import Any

import numpy as np
import pytest

from automl import catalog
from automl.export import _flatbuffer, _metadata, candidate, companions, deliver, tflite, verify
from automl.spec import Artifact, Constraints, FormatRequest
from tests.unit.export import planted
from tests.unit.export.test_formats import write


class Table:
    """A table of a flatbuffer read by the numbers of its fields, with the flatbuffers library alone."""

    def __init__(self, data: bytes, position: int):
        import flatbuffers.table

        self._table = flatbuffers.table.Table(bytearray(data), position)

    @classmethod
    def root(cls, data: bytes) -> Table:
        return cls(data, int.from_bytes(data[:4], "little"))

    def _at(self, number: int) -> int:
        place = self._table.Offset(4 + 2 * number)
        assert place, f"field {number} is absent"
        return int(place + self._table.Pos)

    def has(self, number: int) -> bool:
        return bool(self._table.Offset(4 + 2 * number))

    def text(self, number: int) -> str:
        return self._table.String(self._at(number)).decode()

    def byte(self, number: int) -> int:
        return self._table.Bytes[self._at(number)]

    def uint32(self, number: int) -> int:
        place = self._at(number)
        return int.from_bytes(self._table.Bytes[place : place + 4], "little")

    def table(self, number: int) -> Table:
        return Table(bytes(self._table.Bytes), self._table.Indirect(self._at(number)))

    def tables(self, number: int) -> list[Table]:
        start, length = self._vector(number)
        return [Table(bytes(self._table.Bytes), self._table.Indirect(start + 4 * i)) for i in range(length)]

    def floats(self, number: int) -> list[float]:
        start, length = self._vector(number)
        return np.frombuffer(bytes(self._table.Bytes), "<f4", length, start).tolist()

    def _vector(self, number: int) -> tuple[int, int]:
        place = 4 + 2 * number
        offset = self._table.Offset(place)
        return self._table.Vector(offset), self._table.VectorLen(offset)


@pytest.fixture(scope="module")
def picture_file(pictures: planted.Planted, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return write(pictures, tmp_path_factory.mktemp("mobile"), "mobile", "int8")[0]


def test_the_metadata_say_size_normalisation_and_labels(picture_file: pathlib.Path) -> None:
    """Field by field, by the numbers of tflite-support's schema."""
    data = _flatbuffer.metadata(picture_file.read_bytes(), "TFLITE_METADATA")
    assert data is not None
    assert data[4:8] == b"M001"
    model = Table.root(data)
    assert model.text(0) == "label: image-classification"
    assert model.text(7) == "1.0.0"
    assert [one.text(0) for one in model.tables(6)] == ["preprocess.json"]
    [graph] = model.tables(3)
    [picture], [output] = graph.tables(2), graph.tables(3)
    assert picture.text(0) == "image"
    assert picture.table(3).byte(0) == 2  # ContentProperties: ImageProperties
    properties = picture.table(3).table(1)
    assert properties.byte(0) == 2  # GRAYSCALE
    assert (properties.table(1).uint32(0), properties.table(1).uint32(1)) == (12, 12)
    [unit] = picture.tables(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert (unit.table(1).floats(0), unit.table(1).floats(1)) == ([0.0], [1.0])
    assert (picture.table(5).floats(0), picture.table(5).floats(1)) == ([255.0], [0.0])
    [labels] = output.tables(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_the_files_it_names_lie_behind_it_uncompressed(picture_file: pathlib.Path) -> None:
    """As tflite-support's and MediaPipe's readers want them; our own companions are the same files."""
    with zipfile.ZipFile(picture_file) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("labels.txt") == b"bottom\nmiddle\ntop\n"
    assert set(companions.read(picture_file)) == set(companions.NAMES)


def test_a_table_has_a_tensor_for_each_input(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    artifact, _ = write(table, tmp_path, "mobile", "float32")
    content = artifact.read_bytes()
    data = _flatbuffer.metadata(content, _metadata.NAME)
    assert data is not None
    [graph] = Table.root(data).tables(3)
    assert [one.text(0) for one in graph.tables(2)] == [name for name, _ in _flatbuffer.inputs(content)]
    assert all(one.table(3).byte(0) == 1 and not one.has(4) for one in graph.tables(2))
    assert [one.tables(6)[0].text(0) for one in graph.tables(2)] == ["preprocess.json"] * 2


def test_it_is_the_tflite_model_with_a_batch_of_one(pictures: planted.Planted, picture_file: pathlib.Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    content = picture_file.read_bytes()
    [given] = Interpreter(model_content=content).get_input_details()
    assert given["shape_signature"].tolist() == [1, 12, 12, 1]
    x = {"image": np.asarray(pictures.data.inputs("test")["image"][:20])}
    source = candidate.Candidate(pictures.candidate)
    plain = tflite.contents(source, pictures.data.path, "int8", seed=1)
    np.testing.assert_array_equal(tflite.TFLitePredictor(content, 1).predict(x), tflite.TFLitePredictor(plain, 1).predict(x))


def test_metadata_of_a_model_are_replaced_and_not_doubled(picture_file: pathlib.Path) -> None:
    content = picture_file.read_bytes()
    again = _flatbuffer.rewritten(content, lambda model: _flatbuffer.add_metadata(model, _metadata.NAME, b"other"))
    assert _flatbuffer.metadata(again, _metadata.NAME) == b"other"
    model = _flatbuffer.model_of(again)
    names = [model.Metadata(place).Name() for place in range(model.MetadataLength())]
    assert names.count(b"TFLITE_METADATA") == 1


def test_delivery_measures_each_number_of_threads_that_the_machine_has(
    pictures: planted.Planted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "cores", lambda: 2)
    monkeypatch.setattr(verify, "_LATENCY_S", 0.05)
    events: list[Any] = []
    [made] = deliver.deliver(
        pictures.candidate, pictures.data, formats=[FormatRequest.parse("mobile:int8")], constraints=Constraints(),
        tolerance=0.02, metric="accuracy", out=tmp_path / "artifacts", run_in_child=planted.run_here, deadline=None,
        emit=events.append,
    )
    assert isinstance(made, Artifact)
    assert made.filename == "model-int8.mobile.tflite"
    assert made.verification.latency is not None
    assert (made.verification.latency.threads, [one.threads for one in made.verification.more_threads]) == (1, [2])


def test_a_technique_that_tflite_cannot_hold_is_not_held_by_what_packs_tflite() -> None:
    indrnn = catalog.techniques["indrnn"]
    why = indrnn.reason_against_format("tflite:int8")
    assert why
    assert indrnn.reason_against_format("mobile:int8") == indrnn.reason_against_format("microcontroller:int8") == why
    assert indrnn.reason_against_format("mobile") == indrnn.reason_against_format("onnx:int8") == ""


@pytest.mark.slow
def test_mediapipe_gives_the_same_answers(tmp_path: pathlib.Path) -> None:
    """MediaPipe's own classifier, which reads metadata and labels; of pictures in colours, since it takes no others."""
    mediapipe = pytest.importorskip("mediapipe", reason="mediapipe isn't installed")
    from mediapipe.tasks import python
    from mediapipe.tasks.python import vision

    model = planted.plant_pictures(tmp_path, channels=3)
    artifact, _ = write(model, tmp_path, "mobile", "int8")
    x = np.asarray(model.data.inputs("test")["image"][:20])
    ours = tflite.load(artifact, 1).predict({"image": x})
    options = vision.ImageClassifierOptions(base_options=python.BaseOptions(model_asset_path=str(artifact)))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for picture, expected in zip(x, ours, strict=True):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            found = {one.category_name: one.score for one in classifier.classify(image).classifications[0].categories}
            np.testing.assert_allclose([found[name] for name in ("bottom", "middle", "top")], expected, atol=1e-6)
