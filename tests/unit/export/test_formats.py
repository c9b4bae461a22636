"""Every format and precision, run in its own runtime, gives what the float model gives."""

from __future__ import annotations

import importlib
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from automl import catalog
from automl.export import candidate, companions, inference, tflite, verify
from tests.unit.export import operators, planted

ALL = [(entry.id, precision) for entry in catalog.formats for precision in entry.precisions]
# Largest difference as a share of the outputs' spread. Integers of 8 bits resolve 1/256 of a range, in several layers.
ALLOWED = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.1, "int8": 0.25, "int16x8": 0.01}


@pytest.fixture(scope="session", params=["table", "numbers", "pictures", "texts"])
def model(request: pytest.FixtureRequest) -> planted.Planted:
    return request.getfixturevalue(request.param)


def write(model: planted.Planted, folder: pathlib.Path, format: str, precision: str) -> tuple[pathlib.Path, dict[str, Any]]:
    """An artifact and what its exporter says of it."""
    entry = catalog.formats[format]
    if entry.lacking:
        pytest.skip(entry.lacking)
    module = importlib.import_module(entry.exporter.partition(":")[0])
    travelling = folder / "companions"
    travelling.mkdir(exist_ok=True)
    for name in companions.NAMES:
        (travelling / name).write_bytes(f"content of {name}".encode())
    source = candidate.Candidate(model.candidate)
    (travelling / companions.PREPROCESS).write_text(json.dumps(source.preprocess))
    (travelling / companions.LABELS).write_bytes(companions.labels(source.classes))
    out = folder / f"artifact{entry.suffix}"
    said = module.write({
        "candidate": str(model.candidate), "prepared": str(model.data.path), "precision": precision, "seed": 1,
        "companions": str(travelling), "out": str(out),
    })
    return out, said


@pytest.mark.parametrize(("format", "precision"), ALL)
def test_outputs_are_the_float_models(model: planted.Planted, tmp_path: pathlib.Path, format: str, precision: str) -> None:
    source = candidate.Candidate(model.candidate)
    expected = verify.model_outputs(source, model.data.inputs("test"))
    if precision == "int16x8" and source.preprocess["modality"] != "image":
        with pytest.raises(inference.Unconvertible, match="takes no integer inputs, and this model has"):
            write(model, tmp_path, format, precision)
        return
    if format == "microcontroller" and source.preprocess["modality"] == "text":
        with pytest.raises(inference.Unconvertible, match="no int8 form"):
            write(model, tmp_path, format, precision)
        return
    artifact, said = write(model, tmp_path, format, precision)
    predictor = importlib.import_module(catalog.formats[format].exporter.partition(":")[0]).load(artifact, 1)
    rows = verify.Part(model.data, "test", predictor, artifact)
    outputs = predictor.predict(rows.take(np.arange(len(expected))))
    assert outputs.dtype == np.float32
    assert outputs.shape == expected.shape
    spread = float(np.ptp(expected))
    assert np.abs(outputs - expected).max() <= ALLOWED[precision] * spread
    assert verify.agreement(expected, outputs) > 0.97
    assert said["parameters"] == source.model.count_params()
    # What a microcontroller's needs is a note of its own.
    assert [note for note in said["notes"] if "bytes in flash" not in note] == []
    if (flatbuffer := operators.of_artifact(artifact)) is not None:
        assert operators.beyond_builtin(flatbuffer) == []
    assert (flatbuffer is not None) == (format in ("tflite", "mobile", "microcontroller"))

    one = rows.take(np.array([3]))
    np.testing.assert_allclose(predictor.predict(one)[0], outputs[3], atol=1e-5 * spread)
    single = predictor.single(one)
    assert single is not None
    single()


def test_an_operation_of_tensorflows_own_would_be_seen() -> None:
    """What the checks above look for, in a file that has it: the converter is allowed to leave TensorFlow's in."""
    import tensorflow as tf

    function = tf.function(lambda x: tf.linalg.det(tf.nn.relu(x))).get_concrete_function(tf.TensorSpec((4, 4)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    assert operators.beyond_builtin(converter.convert()) == ["FlexMatrixDeterminant"]


@pytest.mark.parametrize(
    ("format", "precision"),
    [
        ("tflite", "int8"), ("saved-model", "float32"), ("keras-file", "float32"), ("onnx", "float32"), ("onnx", "int8"),
        ("mobile", "float16"), ("microcontroller", "int8"),
    ],
)
def test_companions_are_read_from_every_kind_of_file(
    pictures: planted.Planted, tmp_path: pathlib.Path, format: str, precision: str
) -> None:
    artifact, _ = write(pictures, tmp_path, format, precision)
    found = companions.read(artifact)
    assert set(found) == set(companions.NAMES)
    assert found[companions.CARD] == b"content of model_card.md"
    assert companions.read(artifact.read_bytes()) == found


@pytest.mark.parametrize(("format", "noted"), [
    ("onnx", True), ("browser", True), ("microcontroller", True), ("tflite", False), ("mobile", False),
])
def test_files_without_what_was_learnt_for_int8_say_so(
    table: planted.Planted, tmp_path: pathlib.Path, format: str, noted: bool
) -> None:
    source = candidate.Candidate(table.candidate)
    shutil.copytree(table.candidate, tmp_path / "trained")
    for batch in (None, 1):
        content = tflite.contents(source, table.data.path, "int8", seed=1, batch=batch)
        (tmp_path / "trained" / candidate.trained_file("int8", batch)).write_bytes(content)
    _, said = write(planted.Planted(table.data, tmp_path / "trained"), tmp_path, format, "int8")
    told = [note for note in said["notes"] if "training learnt are in tflite:int8 and mobile:int8 alone" in note]
    assert [note.partition(":int8: ")[0] for note in told] == [format] * noted


def test_float_files_of_what_was_learnt_for_int8_have_nothing_to_say(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    shutil.copytree(table.candidate, tmp_path / "trained")
    (tmp_path / "trained" / candidate.trained_file("int8")).write_bytes(b"not read")
    assert write(planted.Planted(table.data, tmp_path / "trained"), tmp_path, "onnx", "float32")[1]["notes"] == []


def test_int8_is_integer_throughout_and_takes_raw_pixels(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    artifact, _ = write(pictures, tmp_path, "tflite", "int8")
    content = artifact.read_bytes()
    assert tflite.float_operations(content) == []
    assert all(weights.dtype == np.int8 for weights in tflite.weight_arrays(content))
    (given,) = Interpreter(model_content=content).get_input_details()
    assert given["dtype"] == np.uint8
    assert given["quantization"] == pytest.approx((1.0, 0))


def test_int8_of_a_table_keeps_float_numbers_and_integer_codes(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    artifact, _ = write(table, tmp_path, "tflite", "int8")
    interpreter = Interpreter(model_path=str(artifact))
    types = {d["name"]: d["dtype"] for d in interpreter.get_input_details()}
    assert types == {"serving_default_numeric:0": np.float32, "serving_default_categorical:0": np.int32}
    assert [d["dtype"] for d in interpreter.get_output_details()] == [np.float32]
    assert tflite.float_operations(artifact.read_bytes()) == []


def test_int8_keeps_the_encoding_of_numbers_in_float() -> None:
    """Bins of very different widths, which made TFLite's runtime abort when they were integers."""
    import keras

    from automl.layers import tables

    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=300), rng.integers(0, 2, 300) * 1e-3], axis=1).astype(np.float32)
    inputs = keras.Input((2,), name="numeric")
    edges = np.quantile(x, np.linspace(0, 1, 9), axis=0).T.tolist()
    encoded = tables.PiecewiseLinearEncoding(edges, name="piecewise")(inputs)
    model = keras.Model({"numeric": inputs}, keras.layers.Dense(1)(keras.layers.Dense(32, activation="relu")(encoded)))
    content = tflite.convert(model, "int8", {"numeric": x})
    assert tflite.float_operations(content, apart_from=["piecewise"]) == []
    assert "MINIMUM" in tflite.float_operations(content)
    outputs = tflite.TFLitePredictor(content, 1).predict({"numeric": x})
    assert verify.agreement(np.asarray(model({"numeric": x})), outputs) > 0.99


def test_smaller_precisions_are_smaller(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    source = candidate.Candidate(table.candidate)
    rows = source.encode({name: np.asarray(value[:50]) for name, value in table.data.inputs("train").items()})
    sizes = {p: len(tflite.convert(source.model, p, rows)) for p in ("float32", "float16", "int8")}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


def test_a_lacking_input_is_named(table: planted.Planted) -> None:
    predictor = tflite.TFLitePredictor(tflite.convert(candidate.Candidate(table.candidate).model, "float32"), 1)
    with pytest.raises(ValueError, match=r"lack \['categorical'\]"):
        predictor.predict({"numeric": np.zeros((1, 4), np.float32)})


def test_saved_model_gives_names_of_classes(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    import zipfile

    import tensorflow as tf

    artifact, _ = write(table, tmp_path, "saved-model", "float32")
    with zipfile.ZipFile(artifact) as archive:
        archive.extractall(tmp_path)
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    outputs = serve(
        age=tf.constant([31.0, np.nan]), income=tf.constant([2e4, 1e3]), city=tf.constant([" Ulm ", "nowhere"]),
        member=tf.constant(["yes", ""]), since=tf.constant(["2001-02-03", "?"]), remark=tf.constant(["good, good", "NA"]),
    )
    probabilities = outputs["probabilities"].numpy()
    named = [name.decode() for name in outputs["prediction"].numpy()]
    assert named == [("high", "low", "middle")[i] for i in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_a_saved_model_takes_texts_as_they_are(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    import zipfile

    import tensorflow as tf

    artifact, _ = write(texts, tmp_path, "saved-model", "float32")
    with zipfile.ZipFile(artifact) as archive:
        archive.extractall(tmp_path)
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    messages, senders = ["WIN a PRIZE, claim now!", "see you at noon", ""], ["prize desk", "mum", ""]
    outputs = serve(message=tf.constant(messages), sender=tf.constant(senders))
    assert [name.decode() for name in outputs["prediction"].numpy()][:2] == ["spam", "ham"]
    np.testing.assert_allclose(outputs["probabilities"].numpy().sum(axis=1), 1.0, rtol=1e-5)


def test_a_conversion_is_kept_for_the_next_time(
    table: planted.Planted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = candidate.Candidate(tmp_path / "candidate")
    shutil.copytree(table.candidate, own.path, ignore=shutil.ignore_patterns("converted-*"))
    first = tflite.contents(own, table.data.path, "int8", seed=1)
    converted = []
    monkeypatch.setattr(tflite, "convert", lambda *given, **more: converted.append(given[1]) or b"another")
    assert tflite.contents(own, table.data.path, "int8", seed=1) == first
    assert not converted
    assert tflite.contents(own, table.data.path, "int8", seed=2) == b"another"
    assert tflite.contents(own, table.data.path, "dynamic", seed=1) == b"another"
    assert converted == ["int8", "dynamic"]
    assert not list(own.path.glob("*.tflite.*")), "unfinished files"
