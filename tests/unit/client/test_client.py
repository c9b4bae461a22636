"""Both clients against the fake server: calls, pages, resumed transfers and streams, errors."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from automl_client import errors, types
from tests.unit.client import fake_server


def test_a_file_is_uploaded_with_checksums_and_becomes_a_data_set(remote, server, table):
    dataset = remote.upload(table, display_name="Train", has_header=True)
    upload, data = next(iter(server.uploads.values()))
    assert bytes(data) == table.read_bytes()
    assert upload.filename == "train.csv"
    request = server.calls("CreateDataset")[0]
    assert (request.display_name, request.has_header) == ("Train", True)
    assert dataset.rows == 100
    assert dataset.columns[0].kind is types.ColumnKind.NUMERIC
    assert dataset.findings == (types.Finding("missing-values", True, "a lacks 2 values.", ("a",)),)


def test_an_unsaid_header_is_left_to_the_server(remote, server, table):
    remote.upload(table)
    assert not server.calls("CreateDataset")[0].HasField("has_header")


def test_an_upload_goes_on_at_the_committed_size(remote, server, tmp_path):
    path = tmp_path / "big.csv"
    path.write_bytes(bytes(range(256)) * 4096 * 3 + b"end")
    server.chunks_before_loss = 2
    progress: list[int] = []
    remote.upload(path, on_progress=lambda done, size: progress.append(done))
    assert bytes(next(iter(server.uploads.values()))[1]) == path.read_bytes()
    assert [request.offset for request in server.calls("WriteUpload")] == [0, 2 * fake_server.CHUNK]
    assert progress[-1] == path.stat().st_size


def test_bytes_that_are_there_are_not_sent_again(remote, server, table):
    remote.upload(table)
    remote.upload(table)
    assert len(server.calls("WriteUpload")) == 1


def test_an_upload_that_does_not_advance_ends(remote, server, table):
    server.take_nothing = True
    with pytest.raises(errors.DataLoss, match="took no bytes"):
        remote.upload(table)


def test_a_rejected_upload_is_not_tried_again(remote, server, table):
    server.fail_next = [("WriteUpload", grpc.StatusCode.RESOURCE_EXHAUSTED, "The quota of 1 GB is used up.")]
    with pytest.raises(errors.ResourceExhausted, match="quota"):
        remote.upload(table)
    assert len(server.calls("WriteUpload")) == 1


@pytest.mark.parametrize("method", ["CreateUpload", "CreateDataset", "CreateJob"])
def test_calls_are_repeated_when_the_server_was_away(remote, server, table, method):
    server.fail_next = [(method, grpc.StatusCode.UNAVAILABLE, "restarting")] * 2
    assert remote.submit(table, target="label").name == fake_server.JOB
    assert len(server.calls(method)) == 3


def test_a_repeated_submission_has_the_same_request_id(remote, server, table):
    server.fail_next = [("CreateJob", grpc.StatusCode.UNAVAILABLE, "restarting")]
    remote.submit(table, target="label")
    first, second = server.calls("CreateJob")
    assert first.request_id
    assert first.request_id == second.request_id


def test_a_deletion_is_not_repeated(remote, server, table):
    name = remote.upload(table).name
    server.fail_next = [("DeleteDataset", grpc.StatusCode.UNAVAILABLE, "restarting")]
    with pytest.raises(errors.Unavailable):
        remote.delete_dataset(name)
    assert len(server.calls("DeleteDataset")) == 1
    remote.delete_dataset(name)
    assert not server.datasets


def test_submit_sends_what_was_asked_and_leaves_the_rest_to_the_server(remote, server, table):
    remote.submit(
        table,
        target="label",
        budget_s=90.5,
        max_size_bytes=200_000,
        formats=("tflite:int8", "saved-model"),
        force=("adamw",),
        kinds={"a": types.ColumnKind.CATEGORICAL},
        ignore=("x",),
        seed=7,
        max_trials=3,
        test_fraction=0.2,
    )
    spec = server.calls("CreateJob")[0].job.spec
    assert spec.dataset.startswith("projects/default/datasets/d@")
    assert spec.data.target == "label"
    assert spec.data.kinds["a"] == 2
    assert list(spec.data.ignore) == ["x"]
    assert spec.budget.wall.seconds == 90
    assert spec.budget.wall.nanos == 500_000_000
    assert spec.budget.max_trials == 3
    assert spec.constraints.max_size_bytes == 200_000
    assert not spec.constraints.HasField("max_latency_ms")
    assert not spec.HasField("tolerance")
    assert [(one.format, one.precision) for one in spec.formats] == [("tflite", "int8"), ("saved-model", "float32")]
    assert list(spec.search.force) == ["adamw"]
    assert spec.task == spec.metric == ""


def test_the_time_before_submission_counts_as_spent(remote, server, table, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    remote.submit(table, target="label", started=997.5)
    spent = server.calls("CreateJob")[0].job.spec.budget.spent
    assert spent.seconds + spent.nanos / 1e9 == 2.5


def test_separate_test_data_become_a_data_set_of_their_own(remote, server, table, tmp_path):
    other = tmp_path / "test.csv"
    other.write_text("a,label\n1,yes\n")
    remote.submit(table, test_data=other, target="label")
    spec = server.calls("CreateJob")[0].job.spec
    assert spec.dataset
    assert spec.test_dataset
    assert spec.dataset != spec.test_dataset


def test_a_table_without_target_is_refused_before_anything_is_sent(remote, server, table):
    with pytest.raises(errors.InvalidInput, match=r"'a', 'label'") as caught:
        remote.submit(table)
    assert caught.value.violations[0].field == "data.target"
    assert not server.seen


def test_limits_of_nothing_are_all_named(remote, server, table):
    with pytest.raises(errors.InvalidInput) as caught:
        remote.submit(table, target="label", budget_s=0, max_size_bytes=-1)
    assert [violation.field for violation in caught.value.violations] == ["budget_s", "max_size_bytes"]


def test_a_watcher_loses_and_doubles_no_event_over_a_reconnection(remote, server, table):
    job = remote.submit(table, target="label")
    server.watch_cut_after, server.repeat_events = 4, True
    events = list(job.watch())
    assert [event.sequence for event in events] == list(range(1, 11))
    assert [request.resume_after for request in server.calls("WatchJob")] == [0, 4]
    assert events[0].payload["state"] is types.JobState.RUNNING
    assert events[5].payload["outcome"] == "COMPLETED"
    assert events[5].time is not None


def test_a_watcher_resumes_after_the_event_it_names(remote, server, table):
    job = remote.submit(table, target="label")
    assert [event.sequence for event in job.watch(resume_after=8)] == [9, 10]


def test_the_result_of_a_job_and_its_files(remote, server, table, tmp_path):
    job = remote.submit(table, target="label")
    version = job.result()
    assert version.test_metric == 0.9
    assert version.artifacts[0].verification.latency_median_ms == 0.02
    files = job.download(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in files} == server.files
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(server.files)
    assert [path.name for path in job.download(tmp_path / "one", formats=("keras-file",))] == ["model.keras"]


@pytest.mark.parametrize(
    ("state", "reason", "kind"),
    [
        ("JOB_STATE_FAILED", "INVALID_DATA", errors.InvalidData),
        ("JOB_STATE_FAILED", "INFEASIBLE", errors.Infeasible),
        ("JOB_STATE_FAILED", "SOMETHING_NEW", errors.Internal),
        ("JOB_STATE_CANCELLED", "", errors.Cancelled),
    ],
)
def test_a_job_without_a_result_raises_the_error_of_its_reason(remote, server, table, state, reason, kind):
    job = remote.submit(table, target="label")
    server.events = [fake_server.state_event(1, fake_server.job_pb.JobState.Value(state), "why it ended")]
    server.job.reason = reason
    with pytest.raises(kind, match="why it ended"):
        job.result()


def test_waiting_has_a_limit(remote, server, table):
    job = remote.submit(table, target="label")
    server.fail_next = [("WatchJob", grpc.StatusCode.DEADLINE_EXCEEDED, "too long")]
    with pytest.raises(errors.DeadlineExceeded):
        job.wait(timeout_s=10)
    assert len(server.calls("WatchJob")) == 1


def test_cancelling_aborts_or_finishes_with_the_best(remote, server, table):
    job = remote.submit(table, target="label")
    job.cancel()
    job.cancel(finish=True)
    assert [request.mode for request in server.cancelled] == [1, 2]


def test_a_download_goes_on_at_its_last_byte(remote, server, tmp_path):
    server.download_cut_after = 80
    artifact = remote.get_model_version("m").artifacts[0]
    path = remote.download(artifact, tmp_path)
    assert path.read_bytes() == server.files[path.name]
    assert [request.offset for request in server.calls("DownloadArtifact")] == [0, 80]


def test_a_download_of_an_earlier_process_goes_on(remote, server, tmp_path):
    artifact = remote.get_model_version("m").artifacts[0]
    (tmp_path / f".{artifact.filename}.{artifact.sha256[:16]}.part").write_bytes(b"\x01" * 60)
    remote.download(artifact, tmp_path)
    assert server.calls("DownloadArtifact")[0].offset == 60


def test_a_file_that_is_there_is_not_fetched_again(remote, server, tmp_path):
    artifact = remote.get_model_version("m").artifacts[0]
    remote.download(artifact, tmp_path)
    remote.download(artifact, tmp_path)
    assert len(server.calls("DownloadArtifact")) == 1


def test_bytes_with_another_hash_are_not_kept(remote, server, tmp_path):
    server.wrong_download_bytes = True
    with pytest.raises(errors.DataLoss):
        remote.download(remote.get_model_version("m").artifacts[0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_lists_come_page_by_page(remote, server, tmp_path):
    for number in range(3):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"a\n{number}\n")
        remote.upload(path, dataset_id=f"d{number}")
    assert [dataset.name[26:28] for dataset in remote.list_datasets()] == ["d0", "d1", "d2"]
    assert [request.page_token for request in server.calls("ListDatasets")] == ["", "1", "2"]


def test_the_other_calls(remote, server, table):
    job = remote.submit(table, target="label")
    assert job.id == "j1"
    assert job.get().spec.data.target == "label"
    assert [trial.id for trial in job.trials()] == ["t1"]
    assert job.report().startswith("<!doctype html>")
    assert [one.name for one in remote.list_jobs()] == [fake_server.JOB]
    assert [one.latest_version for one in remote.list_models()] == [fake_server.VERSION]
    assert [one.id for one in remote.list_task_types()] == ["tabular-classification"]
    assert next(remote.list_techniques("x")).parameters[0] == types.Parameter("alpha", "[0, 0.3]", "0.1")
    assert server.calls("ListTechniques")[0].task == "x"
    told = remote.explain_techniques(table, target="label", forbid=("adam",))
    assert (told.task, [one.id for one in told.verdicts if one.applies]) == ("tabular-classification", ["adam", "mixup"])
    assert told.verdicts[1].reason == "applies to image, the data are table"
    assert (told.profile.rows, told.profile.imbalance, told.profile.image_shape) == (72, 1.4, ())
    assert list(server.calls("ExplainTechniques")[0].spec.search.forbid) == ["adam"]
    assert [one.precisions for one in remote.list_formats()] == [("float32", "int8")]
    assert [(one.latency, one.ram_bytes) for one in remote.list_devices()] == [("measured", 0), ("estimated", 65_536)]
    assert remote.get_dataset(server.calls("CreateJob")[0].job.spec.dataset.rpartition("/")[2]).rows == 100
    assert remote.validate_job(types.JobSpec(dataset="x")).name == fake_server.JOB
    assert server.calls("CreateJob")[-1].validate_only


def test_errors_carry_reason_violations_and_metadata(remote, server):
    faults = [("data.target", "no column 'x'."), ("budget.wall", "too short.")]
    details = {"reason": "INVALID_INPUT", "violations": faults}
    server.fail_next = [("GetJob", grpc.StatusCode.INVALID_ARGUMENT, "two faults", details)]
    with pytest.raises(errors.InvalidInput) as caught:
        remote.get_job("j1")
    assert caught.value.exit_code == 2
    assert caught.value.metadata == {"k": "v"}
    assert [violation.field for violation in caught.value.violations] == ["data.target", "budget.wall"]
    assert str(caught.value) == "data.target: no column 'x'.\nbudget.wall: too short."


def test_a_server_that_lacks_a_call_is_said_to_be_older(remote, server):
    server.fail_next = [("GetJob", grpc.StatusCode.UNIMPLEMENTED, "Method not found!")]
    with pytest.raises(errors.FailedPrecondition, match="older than this client"):
        remote.get_job("j1")


def test_the_pause_that_a_server_asks_for_is_kept(remote, server, table):
    target = getattr(remote, "_target", remote)
    job = remote.submit(table, target="label")
    pauses: list[float] = []

    class Noted:
        def __init__(self, pause: float):
            pauses.append(pause)

        def __await__(self):
            return iter(())

    target._sleep = Noted
    server.fail_next = [("GetJob", grpc.StatusCode.UNAVAILABLE, "busy", {"reason": "UNAVAILABLE", "retry_after_s": 2})]
    job.get()
    assert pauses == [2.0]


def test_what_is_not_there_is_named(remote, server):
    with pytest.raises(errors.NotFound, match="projects/default/jobs/nope"):
        remote.get_job("nope")


def test_no_server_at_all_is_said_soon_with_a_remedy(connect):
    with pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:9.*automl serve"):
        list(connect("127.0.0.1:9").list_jobs())


def test_the_token_goes_with_every_call(connect, server, table):
    connect(server.address, token="secret").submit(table, target="label")
    assert {metadata["authorization"] for metadata in server.metadata} == {"Bearer secret"}


def test_another_project_is_looked_up_there(connect, server):
    with pytest.raises(errors.NotFound):
        connect(server.address, project="p2").get_job("j1")
    assert server.calls("GetJob")[0].name == "projects/p2/jobs/j1"


def test_events_are_json_for_programs(remote, server, table):
    job = remote.submit(table, target="label")
    json.dumps([dict(event.payload) for event in job.watch()])


def test_a_lost_embedded_server_is_revived_between_tries(remote, server, table, monkeypatch):
    target = getattr(remote, "_target", remote)
    revived: list[bool] = []
    target._revive = lambda: revived.append(True)
    server.fail_next = [("GetJob", grpc.StatusCode.UNAVAILABLE, "gone")]
    remote.submit(table, target="label").get()
    assert revived == [True]


def test_folders_that_can_not_be_written_are_said(remote, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="can't be written"):
        remote.download(remote.get_model_version("m").artifacts[0], Path(tmp_path / "file" / "sub"))
