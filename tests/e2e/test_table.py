"""The main job on a small real table: one command from a CSV file to proven artifacts."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machine import Home, Said

BUDGET_S = 60.0


@pytest.fixture(scope="module")
def submitted(home: Home) -> tuple[Said, Path]:
    root = Path(__file__).parents[2]
    out = home.folder / "out"
    said = home.run(
        "submit",
        root / "examples/data/penguins.csv",
        "--target",
        "species",
        "--budget",
        f"{BUDGET_S:g}s",
        "--json",
        "--out",
        out,
        timeout_s=3 * BUDGET_S,
    )
    return said, out


@pytest.fixture(scope="module")
def result(submitted: tuple[Said, Path]) -> dict[str, Any]:
    said, _ = submitted
    assert said.code == 0, said.err
    return said.json()


@pytest.fixture(scope="module")
def out(submitted: tuple[Said, Path]) -> Path:
    return submitted[1]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_job_succeeds_and_says_what_it_was(result):
    assert result["state"] == "SUCCEEDED"
    assert result["task"] == "tabular-classification"
    assert result["metric"]["name"]
    assert result["trials"].get("COMPLETED", 0) >= 3


def test_the_budget_is_kept(result):
    assert result["wall_s"] <= 1.05 * BUDGET_S
    assert result["budget_s"] == BUDGET_S


def test_the_model_is_good(result):
    # The most frequent of the three species has 44 % of the rows; gradient boosting reaches about 0.98 accuracy.
    assert result["metric"]["validation"] > 0.9
    assert result["metric"]["test"] > 0.9


def test_everything_asked_for_is_returned_or_refused_with_a_reason(result):
    returned = {(a["format"], a["precision"]) for a in result["artifacts"]}
    refused = {(r["format"], r["precision"]) for r in result["refused"]}
    wanted = {("tflite", p) for p in ("float32", "float16", "dynamic", "int8")} | {
        ("saved-model", "float32"),
        ("keras-file", "float32"),
    }
    assert returned | refused == wanted
    assert not returned & refused
    assert all(r["reason"] for r in result["refused"])
    assert {("tflite", "float32"), ("saved-model", "float32"), ("keras-file", "float32")} <= returned


def test_artifacts_are_the_bytes_that_were_verified(result):
    for artifact in result["artifacts"]:
        content = Path(artifact["path"]).read_bytes()
        assert len(content) == artifact["size_bytes"]
        assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        assert abs(artifact["metric"] - result["metric"]["test"]) <= 0.02
        assert artifact["latency_ms"] > 0


def test_the_report_the_recipe_and_the_result_lie_beside_them(out, result):
    report = (out / "report.html").read_text()
    assert "<script" not in report
    for section in ("artifacts", "score", "leaderboard", "curves", "failures", "data", "space", "recipe"):
        assert f'id="{section}"' in report
    assert "Confusion matrix" in report
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["task"] == result["task"]
    assert recipe["architecture"]["id"]
    assert json.loads((out / "result.json").read_text())["job"] == result["job"]


def test_predictions_are_one_row_for_each_row_in_order(home, out, penguins):
    written = home.folder / "predictions.csv"
    said = home.run("predict", out, penguins, "--out", written)
    assert said.code == 0, said.err
    predicted, true = rows(written), rows(penguins)
    assert len(predicted) == len(true)
    classes = sorted({row["species"] for row in true})
    assert {f"p_{name}" for name in classes} <= set(predicted[0])
    for row in predicted:
        shares = [float(row[f"p_{name}"]) for name in classes]
        assert sum(shares) == pytest.approx(1.0, abs=0.02)
        assert row["prediction"] == classes[max(range(len(classes)), key=shares.__getitem__)]
    right = sum(p["prediction"] == t["species"] for p, t in zip(predicted, true, strict=True))
    assert right / len(true) > 0.93


def test_a_tflite_file_predicts_where_there_is_no_tensorflow(home, out, result, root):
    artifact = next(a["path"] for a in result["artifacts"] if a["format"] == "tflite" and a["precision"] == "float32")
    written = home.folder / "without-tensorflow.csv"
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'tf_keras', 'pandas', 'sklearn'): sys.modules[name] = None\n"
        "from automl_client import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    arguments = ["predict", artifact, str(root / "examples/data/penguins-new.csv"), "--out", str(written)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=home.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [row["prediction"] for row in rows(written)] == ["Adelie", "Adelie", "Chinstrap", "Chinstrap", "Gentoo", "Gentoo"]


def test_every_artifact_gives_the_same_answers(home, result, penguins):
    answers = {}
    for artifact in result["artifacts"]:
        written = home.folder / f"{artifact['format']}-{artifact['precision']}.csv"
        said = home.run("predict", artifact["path"], penguins, "--out", written, timeout_s=120)
        assert said.code == 0, said.err
        answers[written.stem] = [row["prediction"] for row in rows(written)]
    reference = answers["tflite-float32"]
    for name, given in answers.items():
        same = sum(a == b for a, b in zip(given, reference, strict=True)) / len(reference)
        assert same >= (0.97 if "int8" in name or "dynamic" in name else 0.995), name


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "list"),
        ("jobs", "show", "JOB"),
        ("datasets", "list"),
        ("models", "list"),
        ("techniques",),
        ("tasks",),
        ("formats",),
    ],
    ids=" ".join,
)
def test_what_there_is_can_be_listed_for_people_and_programs(home, result, command):
    arguments = [result["job"] if word == "JOB" else word for word in command]
    said = home.run(*arguments)
    assert said.code == 0, said.err
    assert said.out.strip()
    assert home.run(*arguments, "--json").code == 0
    json.loads(home.run(*arguments, "--json").out.strip().splitlines()[-1])


def test_the_report_can_be_fetched_again(home, result):
    page = home.folder / "again.html"
    said = home.run("report", result["job"], "--out", page)
    assert said.code == 0, said.err
    assert page.read_text().startswith("<!doctype html>")


def test_the_server_is_light_and_has_no_tensorflow(home, result):
    server = home.server()
    assert server is not None
    mapped = " ".join(m.path for m in server.memory_maps())
    assert "tensorflow" not in mapped
    assert server.memory_info().rss < 150e6
