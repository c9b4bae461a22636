"""The client and the command line with the real server that they start themselves."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl import catalog
from automl_client import AsyncClient, Client, errors, types

INT8 = ("tflite:int8",)


def test_a_job_from_a_file_to_files(user, project, table, tmp_path):
    with Client.embedded(project=project) as client:
        job = client.submit(table, target="label", formats=INT8, display_name="trials=2")
        events = list(job.watch())
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[-1].payload["state"] is types.JobState.SUCCEEDED
        version = job.result()
        assert (version.metric, version.test_metric) == ("accuracy", 0.88)
        (path,) = job.download(tmp_path / "out")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == version.artifacts[0].sha256
        assert path.stat().st_size > 2 << 20
        assert [refused.precision for refused in job.get().refused] == ["float16"]
        assert [trial.outcome for trial in job.trials()] == ["COMPLETED", "COMPLETED"]
        assert "<" in job.report()


async def test_the_same_with_asyncio(user, project, table, tmp_path):
    async with await AsyncClient.embedded(project=project) as client:
        job = await client.submit(table, target="label", formats=INT8)
        kinds = [event.kind async for event in job.watch()]
        assert kinds.count("trial-ended") == 2
        assert (await job.result()).test_metric == 0.88
        assert [path.name for path in await job.download(tmp_path)] == ["model-int8.tflite"]


@pytest.mark.parametrize("after", ["trial-started", "sampler-state"])
def test_a_server_killed_in_the_middle_is_started_again_and_no_event_is_lost(user, project, table, after):
    with Client.embedded(project=project) as client:
        job = client.submit(table, target="label", formats=INT8, display_name="trials=2 hold tempo=300")
        sequences, kinds, first = [], [], user.server_pid
        for event in job.watch():
            sequences.append(event.sequence)
            kinds.append(event.kind)
            if event.kind == after and kinds.count(after) == 2 and user.server_pid == first:
                user.kill_server()
            elif event.kind == "noted" and event.payload["message"].startswith("started with ") and len(kinds) > 10:
                # The controller of the second server: it goes on with the events of the first.
                job.cancel(finish=True)
        assert sequences == list(range(1, len(sequences) + 1))
        ended = job.get()
        assert ended.state is types.JobState.SUCCEEDED, ended.message
        assert ended.trials == {"COMPLETED": 2}
        assert user.server_pid != first


def test_a_job_can_be_cancelled_from_elsewhere(user, project, table):
    with Client.embedded(project=project) as client, Client.embedded(project=project) as other:
        job = client.submit(table, target="label", formats=INT8, display_name="hold")
        for event in job.watch():
            if event.kind == "trial-ended":
                other.cancel_job(job.id)
        with pytest.raises(errors.Cancelled):
            job.result()


def test_errors_of_the_server_arrive_with_their_reasons(user, project, table, tmp_path):
    with Client.embedded(project=project) as client:
        with pytest.raises(errors.InvalidInput) as caught:
            client.submit(table, target="lable", formats=("tflight",), force=("no-such",), metric="m")
        assert {violation.field.partition("[")[0] for violation in caught.value.violations} >= {
            "data.target",
            "search.force",
        }
        with pytest.raises(errors.NotFound):
            client.get_job("nope")
        with pytest.raises(errors.NotFound):
            client.get_dataset("nope")
        failed = client.submit(table, target="label", formats=INT8, display_name="fail")
        with pytest.raises(errors.AutoMLError, match="No usable model"):
            failed.result()


def test_data_sets_models_and_the_catalogue(user, project, table):
    with Client.embedded(project=project) as client:
        dataset = client.upload(table, dataset_id="mine")
        assert client.upload(table, dataset_id="mine").name == dataset.name
        assert [one.name for one in client.list_datasets()] == [dataset.name]
        job = client.submit(dataset, target="label", formats=INT8)
        version = job.result()
        assert client.get_model_version(version.name) == version
        assert [one.latest_version for one in client.list_models()] == [version.name]
        client.delete_dataset(dataset.name)
        with pytest.raises(errors.NotFound):
            client.get_dataset(dataset.name)
        techniques = list(client.list_techniques())
        assert {"adamw", "mlp"} <= {one.id for one in techniques}
        assert all(one.summary and one.description for one in techniques)
        assert {one.id for one in client.list_formats()} == {entry.id for entry in catalog.formats}
        assert "tabular-regression" in {one.id for one in client.list_task_types()}


def automl(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from automl_client import cli; sys.exit(cli.main(sys.argv[1:]))"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=dict(os.environ),
        timeout=60,
        check=False,
    )


def test_one_command_with_nothing_set_up_before(user, project, table, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_PROJECT", project)
    said = automl("submit", table, "--target", "label", "--format", "tflite:int8", "--budget", "60s", "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["state"] == "SUCCEEDED"
    assert Path(tmp_path, result["artifacts"][0]["path"]).stat().st_size == result["artifacts"][0]["size_bytes"]
    assert result["wall_s"] < 60
    listed = json.loads(automl("jobs", "list", "--json", cwd=tmp_path).stdout)
    assert [job["id"] for job in listed] == [result["job"]]
    wrong = automl("submit", table, "--target", "lable", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--target" in wrong.stderr


def test_the_clock_begins_with_the_command(user, project, table):
    with Client.embedded(project=project) as client:
        job = client.submit(table, target="label", formats=INT8, display_name="trials=1").wait()
        assert job.deadline is not None
        assert job.create_time is not None
        assert 590 < (job.deadline - job.create_time).total_seconds() <= 600
