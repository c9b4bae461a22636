"""The command line in this process, against the fake server."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from automl_client import cli, client, errors, progress, retry
from automl_client.cli import output, watching
from tests.unit.client import fake_server, tiny_artifacts


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.strip().splitlines()[-1])


@pytest.fixture
def automl(server, capfd, monkeypatch, tmp_path) -> Callable[..., Said]:
    """Runs `automl …` with the fake server as the named one, in a folder of its own."""
    monkeypatch.setenv("AUTOML_SERVER", server.address)
    monkeypatch.setattr(cli, "STARTED", time.monotonic())
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        capfd.readouterr()
        code = cli.main([str(one) for one in arguments])
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run


# --- submit ---


def test_submit_brings_the_files_and_tells_a_stranger(automl, server, table, tmp_path):
    said = automl("submit", table, "--target", "label", "--budget", "90s")
    assert said.code == 0, said.err
    folder = tmp_path / "automl-j1"
    assert {path.name for path in folder.iterdir()} == {*server.files, "report.html", "recipe.json", "result.json"}
    for words in (
        "tabular-classification of 'label'",
        "0.9100 on the validation rows",
        "0.9000 on the test rows",
        "log-loss 0.3000",
        "model.keras",
        "50 B",
        "0.02 ms",
        "-0.0100",
        "between 0.7000 and 0.9700 (95 %)",
        "tflite int8: accuracy fell by 0.2",
        "1 completed",
        "automl predict automl-j1 NEW_DATA",
        "automl reproduce automl-j1/recipe.json",
    ):
        assert words in said.out, words
    assert "Best so far is trial t1" in said.err
    assert "inferred from the data" in said.err


def test_the_json_line_is_the_last_and_only_one(automl, server, table, tmp_path):
    said = automl("submit", table, "--target", "label", "--budget", "1m30s", "--json", "--out", tmp_path / "o")
    assert said.code == 0
    assert len(said.out.splitlines()) == 1
    result = said.json
    assert (result["job"], result["state"], result["task"]) == ("j1", "SUCCEEDED", "tabular-classification")
    assert result["metric"] == {"name": "accuracy", "validation": 0.91, "test": 0.9}
    assert result["trials"] == {"COMPLETED": 1}
    assert result["budget_s"] == 90
    assert result["goodput"] == 0.75
    assert result["refused"] == [{"format": "tflite", "precision": "int8", "reason": "accuracy fell by 0.2"}]
    first = result["artifacts"][0]
    assert set(first) == {
        "format", "precision", "path", "size_bytes", "sha256", "metric", "interval", "calibration_error",
        "calibration_shift", "latency_ms",
    }
    assert first["interval"] == {"low": 0.7, "high": 0.97, "method": "Wilson"}
    assert (first["calibration_error"], first["calibration_shift"]) == (0.04, -0.01)
    assert first["path"] == str(tmp_path / "o" / "model-float32.tflite")
    assert json.loads((tmp_path / "o" / "result.json").read_text())["artifacts"][0]["path"] == "model-float32.tflite"


def test_a_devices_estimate_stands_beside_what_was_measured(automl, server, table, tmp_path, monkeypatch):
    from automl_client import converters, types

    whole = converters.artifact

    def on_a_device(message):
        return dataclasses.replace(whole(message), fit=types.DeviceFit("cortex-m7", 12.5, 1_250_000, 4096))

    monkeypatch.setattr(converters, "artifact", on_a_device)
    said = automl("submit", table, "--target", "label", "--budget", "1m30s", "--json", "--out", tmp_path / "o")
    assert said.json["artifacts"][0]["device_fit"] == {
        "device": "cortex-m7", "latency_ms": 12.5, "macs": 1_250_000, "activation_bytes": 4096,
    }
    said = automl("submit", table, "--target", "label", "--budget", "1m30s", "--out", tmp_path / "p")
    told = " ".join(said.out.split())
    assert "on cortex-m7: 12.5 ms for one example, estimated from 1,250,000 multiplications" in told
    assert "4.1 KB of activations" in told


def test_every_flag_reaches_the_specification(automl, server, table, tmp_path):
    other = tmp_path / "test.csv"
    other.write_text("a,label\n1,yes\n")
    said = automl(
        "submit",
        table,
        "--target",
        "label",
        "--task",
        "t",
        "--budget",
        "2h",
        "--metric",
        "m",
        "--max-size",
        "200KB",
        "--max-latency",
        "5ms",
        "--max-parameters",
        "1000",
        "--format",
        "tflite:int8",
        "--format",
        "saved-model",
        "--tolerance",
        "0",
        "--test-data",
        other,
        "--split-column",
        "s",
        "--group-column",
        "g",
        "--time-column",
        "d",
        "--kind",
        "a=categorical",
        "--ignore",
        "i",
        "--no-header",
        "--strategy",
        "tpe",
        "--allow",
        "x",
        "--forbid",
        "y",
        "--force",
        "z",
        "--set",
        "dropout.rate=0.3",
        "--set",
        "custom-loss.expression = where(y >= p, y - p, 0)",
        "--max-trials",
        "9",
        "--seed",
        "4",
        "--display-name",
        "n",
        "--test-fraction",
        "0.3",
        "--detach",
    )
    assert said.code == 0, said.err
    spec = server.calls("CreateJob")[0].job.spec
    assert (spec.task, spec.metric, spec.display_name, spec.tolerance) == ("t", "m", "n", 0.0)
    assert spec.HasField("tolerance")
    assert (spec.data.target, spec.data.split_column, spec.data.group_column) == ("label", "s", "g")
    assert spec.data.time_column == "d"
    assert dict(spec.data.kinds) == {"a": 2}
    assert spec.data.test_fraction == 0.3
    constraints = spec.constraints
    assert (constraints.max_size_bytes, constraints.max_latency_ms, constraints.max_parameters) == (200_000, 5.0, 1000)
    assert spec.budget.wall.seconds == 7200
    assert 0 < spec.budget.spent.seconds + spec.budget.spent.nanos / 1e9 < 30
    search = spec.search
    assert (search.strategy, search.seed, spec.budget.max_trials) == ("tpe", 4, 9)
    assert (list(search.allow), list(search.forbid), list(search.force)) == (["x"], ["y"], ["z"])
    assert dict(search.parameters) == {"dropout.rate": "0.3", "custom-loss.expression": "where(y >= p, y - p, 0)"}
    assert [(one.format, one.precision) for one in spec.formats] == [("tflite", "int8"), ("saved-model", "float32")]
    assert spec.test_dataset
    assert [request.has_header for request in server.calls("CreateDataset")] == [False, False]


def test_detached_it_says_how_to_come_back(automl, table):
    said = automl("submit", table, "--target", "label", "--detach")
    assert "automl jobs watch j1" in said.out
    assert automl("submit", table, "--target", "label", "--detach", "--json").json["job"] == "j1"


def test_faults_are_named_by_their_options(automl, server, table):
    faults = [("data.target", "no column 'x'."), ("search.force[0]", "unknown."), ("formats[1].precision", "none.")]
    details = {"reason": "INVALID_INPUT", "violations": faults}
    server.fail_next = [("CreateJob", grpc.StatusCode.INVALID_ARGUMENT, "faults", details)]
    said = automl("submit", table, "--target", "x", "--json")
    assert said.code == 2
    for words in ("--target: no column 'x'.", "--force: unknown.", "--format: none."):
        assert f"Error: {words}" in said.err
    assert said.json["error"]["reason"] == "INVALID_INPUT"
    assert [one["field"] for one in said.json["error"]["violations"]] == [field for field, _ in faults]


@pytest.mark.parametrize(("reason", "code"), [("INVALID_DATA", 2), ("INFEASIBLE", 2), ("CONTROLLER_CRASHED", 1), ("", 1)])
def test_a_failed_job_ends_with_the_code_of_its_reason(automl, server, table, tmp_path, reason, code):
    server.events = [fake_server.state_event(1, fake_server.job_pb.JOB_STATE_FAILED, "all trials failed")]
    server.job.reason = reason
    said = automl("submit", table, "--target", "label", "--json", "--out", tmp_path / "o")
    assert said.code == code
    assert said.json["state"] == "FAILED"
    assert said.json["error"]["message"] == "all trials failed"
    assert "Error: all trials failed" in said.err
    assert (tmp_path / "o" / "report.html").exists()


def interrupting(monkeypatch, times=1):
    """Ctrl-C in the first watch streams."""
    original, left = client.Client.watch_job, [times]

    def watch_job(self, *arguments, **options):
        for event in original(self, *arguments, **options):
            yield event
            if event.sequence == 5 and left[0]:
                left[0] -= 1
                raise KeyboardInterrupt

    monkeypatch.setattr(client.Client, "watch_job", watch_job)


def test_ctrl_c_without_a_terminal_leaves_the_job_running(automl, server, table, monkeypatch):
    interrupting(monkeypatch)
    said = automl("submit", table, "--target", "label")
    assert said.code == 130
    assert "automl jobs watch j1" in said.err
    assert not server.cancelled


@pytest.mark.parametrize(
    ("answer", "code", "modes"),
    [("d", 0, []), ("f", 0, [2]), ("c", 0, [1]), ("w", 0, [])],
    ids=["detach", "finish", "cancel", "watch"],
)
def test_ctrl_c_on_a_terminal_asks(automl, server, table, monkeypatch, answer, code, modes):
    interrupting(monkeypatch)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *arguments, **options: answer)
    said = automl("submit", table, "--target", "label")
    assert said.code == code
    assert [request.mode for request in server.cancelled] == modes
    assert ("Done in" in said.out) == (answer != "d")
    if answer == "w":
        assert [request.resume_after for request in server.calls("WatchJob")] == [0, 5]


def test_ctrl_c_before_the_job_is_a_plain_end(automl, table, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(client.Client, "upload", interrupted)
    said = automl("submit", table, "--target", "label")
    assert (said.code, said.err.strip()) == (130, "Interrupted.")


def test_a_taken_out_name_is_noticed_before_anything_is_sent(automl, server, table):
    said = automl("submit", table, "--target", "label", "--out", table)
    assert said.code == 2
    assert "--out" in said.err
    assert not server.seen


# --- the picture ---


def test_the_live_picture_shows_what_a_watcher_wants():
    from rich.console import Console

    from automl_client import converters

    seen = progress.JobProgress()
    for event in fake_server.successful_events()[:7]:
        seen.apply(converters.event(event))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  # closed with the process
    console.print(watching.picture(seen, time.monotonic() + 100.2, "last line"))
    shown = console.export_text()
    for words in (
        "Preparing the data",
        "1 min 40 s left",
        "completed 1",
        "accuracy 0.9100",
        "480 B",
        "portfolio",
        "1/3",
        "last line",
    ):
        assert words in shown, shown


def test_a_picture_of_nothing_yet():
    watching.picture(progress.JobProgress(), None, "")


# --- the other commands ---

COMMANDS = [
    ("jobs", "list"),
    ("jobs", "show", "j1"),
    ("jobs", "watch", "j1"),
    ("jobs", "cancel", "j1"),
    ("datasets", "list"),
    ("datasets", "show", "d@012345"),
    ("models", "list"),
    ("models", "show", "m"),
    ("models", "download", "m"),
    ("techniques",),
    ("techniques", "label-smoothing"),
    ("tasks",),
    ("tasks", "tabular-classification"),
    ("formats",),
    ("formats", "tflite"),
    ("devices",),
    ("devices", "board"),
    ("report", "j1"),
]


@pytest.fixture
def with_job(automl, server, table):
    automl("submit", table, "--target", "label", "--detach")
    dataset = next(iter(server.datasets.values()))
    server.datasets["projects/default/datasets/d@012345"] = dataset


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_speaks_to_people_and_to_programs(automl, with_job, command):
    for_people = automl(*command)
    assert for_people.code == 0, for_people.err
    assert for_people.out.strip()
    for_programs = automl(*command, "--json")
    assert for_programs.code == 0, for_programs.err
    json.loads(for_programs.out)


@pytest.mark.parametrize(
    "command", [("techniques",), ("tasks",), ("formats",), ("jobs", "list"), ("datasets", "list"), ("models", "list")]
)
def test_lists_are_arrays_of_objects_with_an_id(automl, with_job, command):
    items = automl(*command, "--json").json
    assert items
    assert all(isinstance(item["id"], str) for item in items)


def test_one_technique_is_printed_whole(automl):
    rows = [line.split() for line in automl("techniques").out.splitlines()]
    assert [row[0] for row in rows if row[-3:-1] == ["on", "request"]] == ["custom-loss"]
    assert "on request only (--force, --allow): the formula is the user's" in automl("techniques", "custom-loss").out
    assert "on request" not in automl("techniques", "label-smoothing").out
    assert automl("techniques", "custom-loss", "--json").json["on_request"] == "the formula is the user's"
    listed = {one["id"]: one["on_request"] for one in automl("techniques", "--json").json}
    assert listed == {"label-smoothing": "", "custom-loss": "the formula is the user's", "edge-mobile": "", "mlp": ""}
    assert "Not searched: --format mobile" in automl("techniques", "edge-mobile").out
    assert "Not searched" not in automl("techniques", "label-smoothing").out
    said = automl("techniques", "label-smoothing")
    for words in (
        "The whole essay on label smoothing.",
        "alpha",
        "[0, 0.3]",
        "arXiv:1512.00567",
        "Excludes focal: both change the loss",
    ):
        assert words in said.out
    assert (
        automl("techniques", "label-smothing").err
        == "Error: There is no technique 'label-smothing'. Did you mean label-smoothing?\n"
    )


def test_what_applies_to_data_is_told_with_reasons(automl, server, table):
    said = automl("techniques", "--for", table, "--target", "label", "--force", "mixup", "--kind", "a=categorical")
    assert said.code == 0, said.err
    assert "tabular-classification: 72 training rows, 2 numeric and 0 categorical inputs, 2 classes" in said.out
    assert "applies to image, the data are table" in said.out
    assert "2 apply, 1 don't." in said.out
    [request] = server.calls("ExplainTechniques")
    assert request.spec.data.target == "label"
    assert list(request.spec.search.force) == ["mixup"]
    assert request.spec.data.kinds["a"] == 2
    assert request.spec.dataset in {dataset.name for dataset in server.datasets.values()}
    sent = len(server.calls("WriteUpload"))
    again = automl("techniques", "--for", table, "--target", "label", "--json").json
    assert [one["id"] for one in again["verdicts"]] == ["adam", "flip", "mixup"]
    assert again["profile"]["class_min"] == 30
    assert len(server.calls("WriteUpload")) == sent, "nothing is sent twice"
    one = automl("techniques", "flip", "--for", table, "--target", "label")
    assert one.out == "flip doesn't apply: applies to image, the data are table.\n"


def test_what_is_asked_of_data_needs_data(automl, server):
    said = automl("techniques", "--target", "label")
    assert said.code == 2
    assert "--target goes with --for DATA" in said.err
    assert not server.seen


def test_a_table_needs_its_target_before_anything_is_sent(automl, server, table):
    said = automl("techniques", "--for", table)
    assert said.code == 2
    assert "--target" in said.err
    assert not server.calls("CreateUpload")


def test_check_prints_columns_and_findings_without_what_would_paint_on_the_terminal(automl, table):
    said = automl("datasets", "check", table)
    assert "Warning (missing-values): a lacks 2 values." in said.out
    assert "a\\x1b[31m" in said.out
    assert "\x1b" not in said.out


def test_upload_and_delete(automl, server, table):
    made = automl("datasets", "upload", table, "--id", "mine", "--display-name", "Mine", "--json").json
    assert (made["id"][:5], made["display_name"]) == ("mine@", "Mine")
    assert automl("datasets", "delete", made["id"]).code == 0
    assert not server.datasets


def test_download_of_a_format_that_is_not_there(automl, with_job):
    said = automl("models", "download", "m", "--format", "tflite:int8")
    assert said.code == 2
    assert "keras-file" in said.err


def test_jobs_watch_brings_the_files_with_out(automl, with_job, server, tmp_path):
    said = automl("jobs", "watch", "j1", "--out", tmp_path / "o", "--json")
    assert said.code == 0
    assert said.json["state"] == "SUCCEEDED"
    assert {path.name for path in (tmp_path / "o").iterdir()} >= set(server.files)


def test_cancel_can_finish_with_the_best(automl, with_job, server):
    automl("jobs", "cancel", "j1", "--finish")
    assert server.cancelled[0].mode == 2


def test_the_report_goes_where_it_is_wanted(automl, with_job, tmp_path):
    assert automl("report", "j1", "--out", tmp_path / "r.html").code == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert automl("report", "j1", "--out", tmp_path / "none" / "r.html").code == 2


# --- reproduce ---


def test_a_recipe_is_run_again_with_its_data_settings_and_compared(automl, server, table, tmp_path):
    automl("submit", table, "--target", "label", "--ignore", "x", "--seed", "3", "--out", tmp_path / "first")
    recipe = tmp_path / "first" / "recipe.json"
    assert json.loads(recipe.read_text())["architecture"] == {"id": "mlp", "params": {}}
    server.job.spec.Clear()
    said = automl("reproduce", recipe, table, "--json", "--out", tmp_path / "second")
    assert said.code == 0, said.err
    assert said.json["reproduced"] is True
    spec = server.calls("CreateJob")[1].job.spec
    assert (spec.search.strategy, spec.search.seed, spec.metric) == ("fixed", 3, "accuracy")
    assert json.loads(spec.search.recipes_json[0]) == fake_server.RECIPE
    assert (spec.data.target, list(spec.data.ignore)) == ("label", ["x"])


def test_another_result_is_said_and_ends_with_1(automl, table, tmp_path):
    automl("submit", table, "--target", "label", "--out", tmp_path / "first")
    recipe = tmp_path / "first" / "recipe.json"
    document = json.loads(recipe.read_text())
    document["origin"]["metric"]["test"] = 0.8
    recipe.write_text(json.dumps(document))
    said = automl("reproduce", recipe, table)
    assert said.code == 1
    assert "0.9000, recorded 0.8000: not the same within 0.01" in said.out
    assert automl("reproduce", recipe, table, "--within", "0.2").code == 0


def test_a_bare_recipe_is_run_without_comparison(automl, table, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(fake_server.RECIPE))
    said = automl("reproduce", tmp_path / "r.json", table, "--target", "label")
    assert said.code == 0, said.err
    assert "none to compare with" in said.out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": 1}'])
def test_what_is_no_recipe(automl, table, tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    said = automl("reproduce", tmp_path / "r.json", table)
    assert said.code == 2
    assert "no recipe" in said.err


# --- predict ---


def test_predictions_go_to_standard_output_or_a_file(automl, tmp_path):
    model = tiny_artifacts.write(tmp_path / "m.tflite", tiny_artifacts.tflite())
    (tmp_path / "new.csv").write_text("a,b\n4,2\n,3\n")
    printed = automl("predict", model, tmp_path / "new.csv")
    assert printed.code == 0, printed.err
    assert [line.split(",")[0] for line in printed.out.splitlines()] == ["prediction", "no", "yes"]
    said = automl("predict", model, tmp_path / "new.csv", "--out", tmp_path / "p.csv", "--json")
    assert said.json["rows"] == 2
    assert (tmp_path / "p.csv").read_text().splitlines() == printed.out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere.tflite", "new.csv"), "nowhere.tflite"),
        (("m.tflite", "nowhere.csv"), "nowhere.csv"),
        (("m.tflite", "bad.csv"), "bad.csv, row 1: expected 2 values"),
        (("m.tflite", "new.csv", "--out", "none/p.csv"), "--out"),
        (("m.tflite", "new.csv", "--json"), "--out"),
    ],
)
def test_mistakes_of_predict(automl, tmp_path, arguments, words):
    tiny_artifacts.write(tmp_path / "m.tflite", tiny_artifacts.tflite())
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    (tmp_path / "bad.csv").write_text("a,b\n1\n")
    said = automl("predict", *arguments)
    assert said.code == 2
    assert words in said.err
    assert "Traceback" not in said.err


# --- errors and settings ---


def test_a_server_that_is_not_there(automl, monkeypatch):
    monkeypatch.setattr(retry.RetryPolicy, "first_contact_s", 0.1)
    said = automl("jobs", "list", "--server", "127.0.0.1:9")
    assert said.code == 1
    assert "127.0.0.1:9" in said.err
    assert "automl serve" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("submitt",),
        ("submit",),
        ("submit", "x.csv", "--budget", "soon"),
        ("submit", "x.csv", "--max-size", "big"),
        ("jobs", "show", "a b"),
        ("jobs", "list", "--server", "nowhere"),
        ("submit", "nowhere.csv", "--target", "y"),
    ],
    ids=" ".join,
)
def test_mistakes_on_the_command_line_end_with_2(automl, arguments):
    said = automl(*arguments)
    assert said.code == 2
    assert "Error: " in said.err
    assert "error" in automl(*arguments, "--json").json


def test_a_defect_of_ours_is_a_sentence_and_with_debug_a_traceback(automl, monkeypatch):
    def broken(self):
        raise RuntimeError("boom")

    monkeypatch.setattr(client.Client, "list_jobs", broken)
    said = automl("jobs", "list", "--json")
    assert said.code == 1
    assert "RuntimeError: boom" in said.err
    assert "Traceback" not in said.err
    assert said.json["error"]["reason"] == "INTERNAL"
    monkeypatch.setenv("AUTOML_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        automl("jobs", "list")


def test_the_config_file_names_server_and_token(automl, server, monkeypatch, tmp_path):
    from automl_client.cli import connection

    monkeypatch.delenv("AUTOML_SERVER")
    monkeypatch.setattr(connection, "config_path", lambda: tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text(f'server = "{server.address}"\ntoken = "t"\nproject = "p"\n')
    assert automl("jobs", "list").code == 0
    assert server.metadata[-1]["authorization"] == "Bearer t"
    assert server.calls("ListJobs")[0].parent == "projects/p"
    (tmp_path / "config.toml").write_text('sever = "x"\n')
    said = automl("jobs", "list")
    assert said.code == 2
    assert "sever" in said.err
    (tmp_path / "config.toml").write_text("= broken")
    assert "TOML" in automl("jobs", "list").err


def test_a_token_of_the_config_file_does_not_go_to_another_server(automl, server, monkeypatch, tmp_path):
    from automl_client.cli import connection

    monkeypatch.setattr(connection, "config_path", lambda: tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text('server = "elsewhere:1"\ntoken = "t"\n')
    assert automl("jobs", "list", "--server", server.address).code == 0
    assert "authorization" not in server.metadata[-1]


def test_serve_starts_the_server_with_its_options(automl, monkeypatch):
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, arguments: started.append(arguments))
    assert automl("serve", "--listen", "127.0.0.1:1", "--slots", "2", "--help").code == 0
    assert started[0][1:] == ["-m", "automl_server", "--listen", "127.0.0.1:1", "--slots", "2", "--help"]


def test_doctor_looks_at_the_machine(automl, monkeypatch):
    from automl_client.cli import doctor

    monkeypatch.setattr(doctor, "_tensorflow", lambda: doctor.Check("tensorflow loads", {"version": "2.21.0", "gpus": 0}))
    said = automl("doctor", "--json")
    checks = {check["id"]: check for check in said.json["checks"]}
    assert {"python", "grpcio", "server part", "cores", "memory bytes", "disk free bytes", "socket", "store size"} <= set(
        checks
    )
    assert said.json["ok"] == (said.code == 0)
    monkeypatch.setattr(doctor, "_tensorflow", lambda: doctor.Check("tensorflow loads", False, "It doesn't load."))
    said = automl("doctor")
    assert said.code == 1
    assert "It doesn't load." in said.out


def test_numbers_that_json_lacks_become_null():
    assert output.jsonable({"a": float("nan"), "b": float("inf"), "c": (1.5,)}) == {"a": None, "b": None, "c": [1.5]}


def test_errors_without_violations_are_told_too(capsys):
    output.show_error(errors.NotFound("There is no job x.\x1b[31m"))
    assert capsys.readouterr().err == "Error: There is no job x.\\x1b[31m\n"


def test_every_command_has_help(automl):
    from automl_client.cli import app

    for name in app._HOMES:
        if name != "serve":
            assert automl(name, "--help").code == 0
    assert automl("--version").out.startswith("automl ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["jobs", "show", "a b", "--json"]], ids=" ".join)
def test_output_that_can_not_be_written_is_no_traceback(arguments, monkeypatch):
    # Nothing listens there, and nothing has to: the mistake is found before. Without it a server would be started.
    monkeypatch.setenv("AUTOML_SERVER", "127.0.0.1:9")
    code = "import sys; from automl_client import cli; sys.exit(cli.main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
