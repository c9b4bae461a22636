"""Downloaded artifacts predict from raw files, all alike."""

from __future__ import annotations

import csv
import gzip
import pathlib
import struct

import numpy as np
import pytest

from automl.export import run
from tests.unit.export import planted
from tests.unit.export.test_formats import write


def read(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: pathlib.Path, rows: int = 40) -> pathlib.Path:
    columns = planted.table_columns(np.random.default_rng(2), rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "more"])
        writer.writerows(zip(*columns.values(), ["ignored"] * rows))
    return path


def test_all_formats_of_a_table_predict_alike(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    data = write_table(tmp_path / "rows.csv")
    found = {}
    for format in ("saved-model", "keras-file", "tflite"):
        artifact, _ = write(table, tmp_path, format, "float32")
        out = tmp_path / f"{format}.csv"
        assert run.main([str(artifact), str(data), "--out", str(out)]) == 0
        found[format] = read(out)
    for rows in found.values():
        assert len(rows) == 40
        assert list(rows[0]) == ["prediction", "p_high", "p_low", "p_middle"]
        for row, other in zip(rows, found["tflite"]):
            assert row["prediction"] == other["prediction"]
            assert float(row["p_high"]) == pytest.approx(float(other["p_high"]), abs=1e-5)
            assert sum(float(row[f"p_{c}"]) for c in ("high", "low", "middle")) == pytest.approx(1)


def test_numbers_have_a_prediction_alone(numbers: planted.Planted, tmp_path: pathlib.Path) -> None:
    artifact, _ = write(numbers, tmp_path, "saved-model", "float32")
    run.predict(artifact, write_table(tmp_path / "rows.csv", 5), tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert [list(row) for row in rows] == [["prediction"]] * 5
    assert all(np.isfinite(float(row["prediction"])) for row in rows)


def test_pictures_are_named(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    from PIL import Image

    artifact, _ = write(pictures, tmp_path, "keras-file", "float32")
    images, y = pictures.data.inputs("test")["image"], pictures.data.target("test")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(np.asarray(images[i, :, :, 0])).save(folder / f"{i:02d}.png")
    run.predict(artifact, folder, tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert [row["file"] for row in rows] == [f"{i:02d}.png" for i in range(12)]
    assert [row["prediction"] for row in rows] == [("bottom", "middle", "top")[y[i]] for i in range(12)]
    forms = {"npz": tmp_path / "x.npz", "idx": tmp_path / "t10k-images-idx3-ubyte.gz", "csv": folder / "paths.csv"}
    np.savez(forms["npz"], x=np.asarray(images[:12]))
    forms["idx"].write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 12, 12, 12) + np.asarray(images[:12]).tobytes()))
    forms["csv"].write_text("id,path\n" + "".join(f"{i},{i:02d}.png\n" for i in range(12)))
    for form, data in forms.items():
        run.predict(artifact, data, tmp_path / f"{form}.csv")
        assert [row["prediction"] for row in read(tmp_path / f"{form}.csv")] == [row["prediction"] for row in rows]
    run.predict(artifact, folder / "03.png", tmp_path / "one.csv")
    (one,) = read(tmp_path / "one.csv")
    assert (one["file"], one["prediction"]) == ("03.png", rows[3]["prediction"])


def test_faults_of_the_user_end_with_2_and_name_the_place(
    table: planted.Planted, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, _ = write(table, tmp_path, "saved-model", "float32")
    data = tmp_path / "rows.csv"
    data.write_text("age,income,city,since,remark\n1,2,Ulm,,good\n3,4,Bonn,,bad\n")
    assert run.main([str(artifact), str(data), "--out", str(tmp_path / "out.csv")]) == 2
    assert "column 'member': is lacking" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    assert run.main([str(data), str(data)]) == 2
    assert "is no artifact" in capsys.readouterr().err
    assert run.main([str(tmp_path / "none.keras"), str(data)]) == 2
    assert "no such file" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_named(
    pictures: planted.Planted, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, _ = write(pictures, tmp_path, "keras-file", "float32")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    assert run.main([str(artifact), str(folder)]) == 2
    assert "broken.png: not a readable picture" in capsys.readouterr().err
    assert run.main([str(artifact), str(write_table(tmp_path / "rows.csv"))]) == 2
    assert "no column names pictures" in capsys.readouterr().err
    (tmp_path / "some.bin").write_bytes(b"something else")
    assert run.main([str(artifact), str(tmp_path / "some.bin")]) == 2
    assert "none of what a model of pictures takes" in capsys.readouterr().err


def test_a_csv_that_names_a_missing_picture(
    pictures: planted.Planted, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    artifact, _ = write(pictures, tmp_path, "keras-file", "float32")
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(tmp_path / "there.png")
    (tmp_path / "paths.csv").write_text("path,label\nthere.png,a\ngone.png,b\n")
    assert run.main([str(artifact), str(tmp_path / "paths.csv")]) == 2
    assert "gone.png" in capsys.readouterr().err


def test_all_formats_of_texts_predict_alike(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    raw = planted.text_columns(np.random.default_rng(9), 30)
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sender", "message"])
        writer.writerows([*zip(raw["sender"], raw["message"]), ["", ""], ["\u03a3\u0130", "NA"]])
    found = {}
    for format in ("saved-model", "keras-file", "tflite"):
        artifact, _ = write(texts, tmp_path, format, "float32")
        assert run.main([str(artifact), str(tmp_path / "rows.csv"), "--out", str(tmp_path / f"{format}.csv")]) == 0
        found[format] = read(tmp_path / f"{format}.csv")
    for rows in found.values():
        assert [row["prediction"] for row in rows[:30]] == raw["label"]
        for row, other in zip(rows, found["tflite"], strict=True):
            assert float(row["p_spam"]) == pytest.approx(float(other["p_spam"]), abs=1e-5)


def test_files_of_texts_need_a_model_of_one_column(
    texts: planted.Planted, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, _ = write(texts, tmp_path, "keras-file", "float32")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1.txt").write_text("claim your prize")
    assert run.main([str(artifact), str(tmp_path / "new"), "--out", str(tmp_path / "x.csv")]) == 2
    assert "message, sender" in capsys.readouterr().err
