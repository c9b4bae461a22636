"""Running artifacts: TFLite in this process, the others through a child, predictions as files."""

from __future__ import annotations

import csv
import json
import subprocess

import numpy as np
import pytest

from automl_client import errors, predictor, runtimes
from tests.unit.client import tiny_artifacts

ENCODED = np.array([[4.0, 2.0, 0.0], [0.0, 3.0, 1.0], [-1.0, 2.0, 0.0]], np.float32)
ROWS = {"a": [4, None, "-1"], "b": ["2", "3", "nonsense"]}


@pytest.fixture
def table_model(tmp_path):
    return tiny_artifacts.write(tmp_path / "model.tflite", tiny_artifacts.tflite())


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_columns_and_rows_give_the_same(table_model):
    model = predictor.Predictor(table_model)
    assert model.columns == ("a", "b")
    by_columns = model.predict(ROWS)
    by_rows = model.predict([{"a": 4, "b": "2"}, {"b": "3"}, {"a": "-1", "b": "nonsense"}])
    np.testing.assert_allclose(by_columns.outputs, tiny_artifacts.expected(ENCODED), rtol=1e-5)
    np.testing.assert_array_equal(by_rows.outputs, by_columns.outputs)
    assert by_columns.labels == ["no", "yes", "yes"]


@pytest.mark.parametrize("batch", [-1, 1])
def test_a_file_of_many_rows_whatever_batch_the_model_takes(tmp_path, batch, monkeypatch):
    monkeypatch.setattr(runtimes, "BATCH", 4)
    model = predictor.Predictor(tiny_artifacts.write(tmp_path / "m.tflite", tiny_artifacts.tflite(batch=batch)))
    data = tmp_path / "new.csv"
    data.write_text("b,extra,a\n" + "".join(f"{i % 5},x,{i}\n" for i in range(11)))
    out = tmp_path / "out.csv"
    assert model.predict_to_csv(data, out) == 11
    x = np.array([[i, i % 5, 0] for i in range(11)], np.float32)
    made = rows_of(out)
    assert list(made[0]) == ["prediction", "p_no", "p_yes"]
    shares = np.array([[float(row["p_no"]), float(row["p_yes"])] for row in made])
    np.testing.assert_allclose(shares, tiny_artifacts.expected(x), rtol=1e-5, atol=1e-6)
    assert [row["prediction"] for row in made] == [("no", "yes")[k] for k in shares.argmax(axis=1)]


def test_numbers_have_no_classes(tmp_path):
    document = {**tiny_artifacts.PREPROCESS, "kind": "regression", "classes": []}
    model = predictor.Predictor(tiny_artifacts.write(tmp_path / "m.tflite", tiny_artifacts.tflite(classes=False), document))
    (tmp_path / "new.csv").write_text("a,b\n2,4\n")
    model.predict_to_csv(tmp_path / "new.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().split() == ["prediction", "0"]
    assert model.predict({"a": [3], "b": [2]}).labels == []


def test_pictures_come_with_their_names(tmp_path):
    path = tiny_artifacts.write(tmp_path / "m.tflite", tiny_artifacts.tflite(pictures=True), tiny_artifacts.PICTURES)
    model = predictor.Predictor(path)
    images = np.array([[[4, 2, 0]], [[0, 3, 1]]], np.uint8)
    np.testing.assert_allclose(
        model.predict(images).outputs, tiny_artifacts.expected(images.reshape(2, 3).astype(np.float32)), rtol=1e-5
    )
    np.savez(tmp_path / "new.npz", x=images)
    model.predict_to_csv(tmp_path / "new.npz", tmp_path / "out.csv")
    assert [(row["file"], row["prediction"]) for row in rows_of(tmp_path / "out.csv")] == [
        ("new.npz[0]", "dark"),
        ("new.npz[1]", "light"),
    ]


def test_rows_of_the_wrong_kind_are_refused(tmp_path, table_model):
    pictures = tiny_artifacts.write(tmp_path / "p.tflite", tiny_artifacts.tflite(pictures=True), tiny_artifacts.PICTURES)
    with pytest.raises(errors.InvalidInput, match="takes a table"):
        predictor.Predictor(table_model).predict(np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(errors.InvalidInput, match="takes pictures"):
        predictor.Predictor(pictures).predict({"a": [1]})
    with pytest.raises(errors.InvalidInput, match="uint8"):
        predictor.Predictor(pictures).predict(np.zeros((1, 1, 3), np.float32))


def test_a_failed_run_leaves_no_file(tmp_path, table_model):
    (tmp_path / "new.csv").write_text("a,b\n1,2\n1\n")
    with pytest.raises(errors.InvalidData, match="row 2"):
        predictor.Predictor(table_model).predict_to_csv(tmp_path / "new.csv", tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tflite", "new.csv"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not a model", "no artifact"), (b"", "no artifact")],
)
def test_what_is_no_artifact(tmp_path, content, words):
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(errors.InvalidInput, match=words):
        predictor.Predictor(tmp_path / "x.tflite")


def test_bytes_that_are_no_model_and_models_of_others(tmp_path):
    for content, words in (
        (b"not a model", "no TensorFlow Lite model"),
        (tiny_artifacts.tflite(signature="other"), "signature"),
    ):
        with pytest.raises(errors.InvalidInput, match=words):
            predictor.Predictor(tiny_artifacts.write(tmp_path / "x.tflite", content))


def test_nothing_there(tmp_path):
    for path in (tmp_path / "nowhere.tflite", tmp_path):
        with pytest.raises(errors.NotFound):
            predictor.Predictor(path)


def test_the_best_of_a_folder_runs_without_tensorflow(tmp_path):
    for name in ("model-int8.tflite", "model-float32.tflite", "model.keras"):
        tiny_artifacts.write(tmp_path / name, tiny_artifacts.tflite())
    assert predictor.Predictor(tmp_path).path.name == "model-float32.tflite"
    record = {
        "artifacts": [
            {"path": "model-float32.tflite", "precision": "int8"},
            {"path": "model-int8.tflite", "precision": "float32"},
        ]
    }
    (tmp_path / "result.json").write_text(json.dumps(record))
    assert predictor.Predictor(tmp_path).path.name == "model-int8.tflite"


class Child:
    """Stands in for the process that has TensorFlow."""

    def __init__(self, code: int = 0, stderr: str = "", output: str = "prediction,p_no,p_yes\nno,0.75,0.25\nyes,0.1,0.9\n"):
        self.code, self.stderr, self.output = code, stderr, output
        self.data = ""
        self.command: list[str] = []

    def __call__(self, command, **options):
        self.command = command
        data, out = command[command.index("automl.export.run") + 2], command[command.index("--out") + 1]
        if data.endswith(".csv"):
            with open(data) as file:
                self.data = file.read()
        if self.code == 0:
            with open(out, "w") as file:
                file.write(self.output)
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


@pytest.fixture
def keras_model(tmp_path):
    return tiny_artifacts.write(tmp_path / "model.keras", b"")


def test_other_formats_run_in_a_process_that_gets_a_plain_table(tmp_path, keras_model, monkeypatch):
    child = Child()
    monkeypatch.setattr(subprocess, "run", child)
    (tmp_path / "new.tsv").write_text('x\tb\ta\n1\t2\tp,q\n1\t3\t"4"\n')
    made = list(predictor.Predictor(keras_model).predict_file(tmp_path / "new.tsv"))
    assert child.data == 'a,b\n"p,q",2\n4,3\n'
    assert made[0].labels == ["no", "yes"]
    np.testing.assert_allclose(made[0].outputs, [[0.75, 0.25], [0.1, 0.9]], rtol=1e-6)
    predictor.Predictor(keras_model).predict({"a": [None], "b": [1.0]})
    assert child.data == "a,b\n,1\n"


def test_what_the_process_says_about_the_data_is_passed_on(tmp_path, keras_model, monkeypatch):
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    for child, kind, words in (
        (Child(2, "new.csv, row 3: too long"), errors.InvalidData, "row 3"),
        (Child(1, "Traceback…\nMemoryError"), errors.Internal, "MemoryError"),
        (Child(-9), errors.Internal, "code -9"),
    ):
        monkeypatch.setattr(subprocess, "run", child)
        with pytest.raises(kind, match=words):
            list(predictor.Predictor(keras_model).predict_file(tmp_path / "new.csv"))


def test_without_tensorflow_the_remedy_is_named(keras_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.Unavailable, match=r"automl\[server\]"):
        predictor.Predictor(keras_model)
