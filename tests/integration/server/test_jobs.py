"""A job's way through the server: queued, run by a controller, ended, its artifacts there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as pb
from automl_protos.v1 import model_service_pb2 as model_pb
from automl_server import errors, supervisor
from automl_server.store import events
from tests.integration.server.harness import Refused, Served, eventually, job_spec, request_id, served


async def refused(call: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


def payloads(events: list[Any], kind: str) -> list[Any]:
    return [json.loads(e.controller.json) for e in events if e.controller.kind == kind]


def notes(events: list[Any]) -> list[str]:
    return [p["message"] for p in payloads(events, "noted")]


# From submission to artifact


async def test_a_job_runs_to_its_end_and_its_artifact_is_downloaded(server: Served) -> None:
    job = await server.run("trials=3 report")
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert (job.spec.task, job.spec.data.target, job.metric) == ("tabular-classification", "label", "accuracy")
    assert (job.validation_metric, job.test_metric, job.goodput) == (0.9, 0.88, 0.75)
    assert (dict(job.trials), dict(job.test_metrics)) == ({"COMPLETED": 3}, {"accuracy": 0.88})
    assert [(r.format, r.precision) for r in job.refused] == [("tflite", "float16")]
    assert job.create_time.seconds <= job.start_time.seconds <= job.end_time.seconds
    assert job.deadline.seconds - job.start_time.seconds == pytest.approx(600, abs=1)
    found = await server.call(server.models.GetModelVersion, model_pb.GetModelVersionRequest(name=job.model_version))
    [artifact] = found.model_version.artifacts
    data = await server.download(artifact.name)
    assert data == b"model of %s " % job.name.encode() * 200_000
    assert await server.download(artifact.name, offset=1_500_000) == data[1_500_000:]
    assert json.loads(found.model_version.recipe_json)["architecture"]["id"] == "mlp"
    assert artifact.verification.latency_median_ms == 0.1


async def test_events_tell_the_whole_way_in_order(server: Served) -> None:
    job = await server.create_job("trials=2")
    events = await server.watch(job.name)
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    states = [e.state_changed.state for e in events if e.WhichOneof("payload") == "state_changed"]
    assert states == [pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED]
    kinds = [e.controller.kind for e in events if e.controller.kind]
    assert kinds.count("trial-measured") == 4
    assert kinds[-1] == "job-finished"
    assert payloads(events, "sampler-state") == [{"kind": "sampler-state", "sampler": "tpe"}] * 2, (
        "its state is not for watchers"
    )
    assert (await server.job(job.name)).last_event == len(events)


async def test_a_watcher_goes_on_after_the_last_event_it_saw(server: Served) -> None:
    job = await server.create_job("trials=20")
    events = await server.watch(job.name)
    for seen in (1, len(events) // 2, len(events) - 1, len(events)):
        assert await server.watch(job.name, resume_after=seen) == events[seen:]
    error = await refused(server.watch(job.name, resume_after=len(events) + 1))
    assert (error.code, error.metadata) == (grpc.StatusCode.OUT_OF_RANGE, {"last_event": str(len(events))})
    assert (await refused(server.watch(job.name, resume_after=-1))).reasons == {"resume_after": "OUT_OF_RANGE"}


async def test_many_watchers_see_the_same(server: Served) -> None:
    job = await server.create_job("trials=10 hold")
    watching = [asyncio.ensure_future(server.watch(job.name, resume_after=i % 2)) for i in range(100)]
    await server.until(job.name, "sampler-state")
    await server.cancel(job.name, finish=True)
    seen = await asyncio.gather(*watching)
    assert all(events == seen[0][i % 2 :] for i, events in enumerate(seen))
    assert server.app.hub.watchers == 0


async def test_a_finished_jobs_folder_is_gone_but_for_report_and_log(server: Served) -> None:
    job = await server.run("report")
    folder = server.data / "jobs" / Path(*job.name.split("/")[1::2])
    await eventually(lambda: not (folder / "work").exists())  # it is removed after the last event
    assert sorted(p.name for p in folder.iterdir()) == ["controller.log", "report.html"]
    report = await server.call(server.jobs.GetReport, pb.GetReportRequest(name=job.name))
    assert report.html == "<html>the controller's own</html>"


async def test_a_report_is_rendered_while_there_is_none(server: Served) -> None:
    job = await server.create_job("trials=3 hold")
    await server.until(job.name, "sampler-state", count=3)
    report = await server.call(server.jobs.GetReport, pb.GetReportRequest(name=job.name))
    assert report.html.startswith(f"<html>{job.name} with 3 trials")
    await server.cancel(job.name)


async def test_trials_are_listed_in_pages_in_the_order_of_their_start(server: Served) -> None:
    job = await server.run("trials=12")
    trials, token = [], ""
    while True:
        page = await server.call(
            server.jobs.ListTrials, pb.ListTrialsRequest(parent=job.name, page_size=5, page_token=token)
        )
        trials += page.trials
        if not (token := page.next_page_token):
            break
    assert [t.name for t in trials] == [f"{job.name}/trials/t{i}" for i in range(1, 13)]
    assert {(t.outcome, t.epochs, t.epochs_planned, t.parameters) for t in trials} == {("COMPLETED", 2, 2, 100)}
    assert {round(t.metric, 9) for t in trials} == {0.82}


async def test_a_controller_that_finds_nothing_fails_its_job(server: Served) -> None:
    job = await server.run("fail")
    assert (job.state, job.reason, job.message) == (pb.JOB_STATE_FAILED, "NO_MODEL", "No usable model.")
    assert not job.model_version


async def test_jobs_are_listed_newest_first(server: Served) -> None:
    made = [(await server.run("trials=0")).name for _ in range(3)]
    page = await server.call(server.jobs.ListJobs, pb.ListJobsRequest(page_size=2))
    rest = await server.call(server.jobs.ListJobs, pb.ListJobsRequest(page_size=2, page_token=page.next_page_token))
    assert [j.name for j in (*page.jobs, *rest.jobs)] == made[::-1]
    assert all(j.state == pb.JOB_STATE_SUCCEEDED for j in page.jobs)
    assert not (await server.call(server.jobs.ListJobs, pb.ListJobsRequest(parent="projects/other"))).jobs


# The queue


async def test_slots_are_shared_and_the_share_is_told(folder: Path) -> None:
    async with served(folder, slots=4) as server:
        first = await server.create_job("hold")
        assert json.loads((await server.until(first.name, "noted")).controller.json)["message"] == "slots 4"
        second = await server.create_job("hold")
        assert json.loads((await server.until(second.name, "noted")).controller.json)["message"] == "slots 2"
        await server.cancel(second.name)
        await server.watch(second.name)
        await server.cancel(first.name, finish=True)
        told = [n for n in notes(await server.watch(first.name)) if n.startswith("slots")]
        assert told == ["slots 4", "slots 2", "slots 4"]


async def test_what_does_not_fit_waits_and_says_why(folder: Path) -> None:
    async with served(folder, slots=1) as server:
        running = await server.create_job("hold")
        waiting = [await server.create_job("trials=0") for _ in range(3)]
        job = await server.job(waiting[2].name)
        assert job.state == pb.JOB_STATE_QUEUED
        assert job.message == (
            f"Waits for a slot: 1 of 1 are taken by {running.name.rpartition('/')[2]}; 2 of the project's jobs come first."
        )
        assert not job.HasField("deadline"), "the budget runs from the start"
        await server.cancel(running.name, finish=True)
        for name in [w.name for w in waiting]:
            await server.watch(name)
        ended = [await server.job(w.name) for w in waiting]
        assert [j.state for j in ended] == [pb.JOB_STATE_SUCCEEDED] * 3
        starts = [j.start_time.ToNanoseconds() for j in ended]
        assert starts == sorted(starts), "first come, first served"


async def test_no_project_starves_another(folder: Path) -> None:
    async with served(folder, slots=2) as server:
        greedy = [await server.create_job("hold") for _ in range(4)]
        modest = await server.create_job("trials=0", parent="projects/modest")
        await server.cancel(greedy[0].name)
        await server.watch(modest.name)
        assert [(await server.job(j.name)).state for j in greedy[1:]].count(pb.JOB_STATE_RUNNING) in (1, 2)
        for job in greedy[1:]:
            await server.cancel(job.name)


async def test_a_full_disk_makes_jobs_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    real = shutil.disk_usage
    async with served(folder, disk_check_s=0.05, min_free_bytes=1 << 20) as server:
        dataset = await server.dataset()
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
        job = await server.create_job(spec=job_spec(dataset.name, "trials=1"))
        assert "room on the server's disk" in (await server.job(job.name)).message
        monkeypatch.setattr(shutil, "disk_usage", real)
        await server.watch(job.name)
        assert (await server.job(job.name)).state == pb.JOB_STATE_SUCCEEDED


@pytest.mark.parametrize("error", [errors.StoreFull(), errors.Busy("The store is locked.")])
async def test_a_store_that_takes_nothing_interrupts_the_job_and_it_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, full = events.append, [True]

    def append(connection: Any, job: int, new: Any) -> Any:
        if full[0] and any(event.kind == "trial-ended" for event in new):
            raise error
        return real(connection, job, new)

    monkeypatch.setattr(events, "append", append)
    async with served(folder, disk_check_s=0.05) as server:
        job = await server.create_job("trials=3")

        async def waits() -> bool:
            return (await server.job(job.name)).message == f"Interrupted: {error} It goes on by itself."

        await eventually(waits)
        before = (await server.job(job.name)).deadline.ToDatetime()
        full[0] = False
        seen = await server.watch(job.name)
        said = [e.state_changed.message for e in seen if e.HasField("state_changed")]
        assert f"Interrupted: {error} It goes on by itself." in said
        assert any("of waiting don't count" in message for message in said)
        assert (await server.job(job.name)).deadline.ToDatetime() > before
        assert (await server.job(job.name)).state == pb.JOB_STATE_SUCCEEDED
        assert [p["trial"] for p in payloads(seen, "trial-ended")] == ["t1", "t2", "t3"]


async def test_a_project_has_a_limit_of_unfinished_jobs(folder: Path) -> None:
    async with served(folder, max_unfinished_jobs=1) as server:
        job = await server.create_job("hold")
        error = await refused(server.create_job("hold"))
        assert (error.code, error.reason, error.metadata) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "JOB_QUOTA",
            {"limit": "1"},
        )
        await server.cancel(job.name)


# Ending a job


async def test_abort_ends_a_job_with_its_processes(server: Served) -> None:
    job = await server.create_job("hold")
    await server.until(job.name, "sampler-state")
    [pid] = [c.pid for c in psutil.Process().children() if "fake_controller" in " ".join(c.cmdline())]
    job = await server.cancel(job.name)
    assert (job.state, job.model_version) == (pb.JOB_STATE_CANCELLED, "")
    assert not psutil.pid_exists(pid)
    assert (await server.cancel(job.name)).state == pb.JOB_STATE_CANCELLED, "a job that has ended stays as it is"


@pytest.mark.parametrize("behaviour", ["hang", "stubborn hold"])
async def test_abort_kills_what_does_not_listen(folder: Path, behaviour: str) -> None:
    async with served(folder, cancel_grace_s=0.1) as server:
        job = await server.create_job(behaviour)
        await server.until(job.name, "phase-started")
        assert (await server.cancel(job.name)).state == pb.JOB_STATE_CANCELLED


async def test_finish_with_best_ends_with_what_is_there(server: Served) -> None:
    job = await server.create_job("trials=2 hold")
    await server.until(job.name, "sampler-state")
    await server.cancel(job.name, finish=True)
    await server.watch(job.name)
    job = await server.job(job.name)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.model_version


async def test_a_waiting_job_is_cancelled_at_once(folder: Path) -> None:
    async with served(folder, slots=1) as server:
        first = await server.create_job("hold")
        for finish in (False, True):
            waiting = await server.create_job("hold")
            assert (await server.cancel(waiting.name, finish=finish)).state == pb.JOB_STATE_CANCELLED
            assert [e.state_changed.state for e in await server.watch(waiting.name)] == [
                pb.JOB_STATE_QUEUED,
                pb.JOB_STATE_CANCELLED,
            ]
        await server.cancel(first.name)


async def test_an_unknown_way_of_cancelling_is_refused(server: Served) -> None:
    error = await refused(server.call(server.jobs.CancelJob, pb.CancelJobRequest(name="projects/default/jobs/x", mode=99)))  # type: ignore[arg-type]
    assert error.reasons == {"mode": "UNKNOWN_MODE"}


async def test_a_controller_that_runs_past_the_budget_is_killed_and_what_is_proven_stays(folder: Path) -> None:
    async with served(folder, overrun_grace_s=0.2) as server:
        spec = job_spec((await server.dataset()).name, "overrun")
        spec.budget.wall.FromMilliseconds(1000)
        job = await server.create_job(spec=spec)
        await server.watch(job.name)
        job = await server.job(job.name)
        assert (job.state, job.reason) == (pb.JOB_STATE_FAILED, "BUDGET_EXCEEDED")
        assert job.model_version in job.message
        assert job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds() >= 1.3e9, "a tenth and the grace are granted"


# Controllers that misbehave


async def test_a_controller_that_dies_is_started_again_with_the_events_so_far(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", (0.0,))
    job = await server.create_job("trials=9 crash=2")
    events = await server.watch(job.name)
    job = await server.job(job.name)
    assert (job.state, dict(job.trials)) == (pb.JOB_STATE_SUCCEEDED, {"COMPLETED": 9})
    assert [p["trial"] for p in payloads(events, "trial-ended")] == [f"t{i}" for i in range(1, 10)], (
        "none lost, none doubled"
    )
    restarts = [e.state_changed.message for e in events if "died" in e.state_changed.message]
    assert restarts == ["The controller died (signal SIGKILL); it goes on from the last event."] * 4
    assert len([n for n in notes(events) if n.startswith("started with")]) == 5


async def test_a_controller_that_always_dies_fails_its_job(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", (0.0,))
    job = await server.run("die")
    assert (job.state, job.reason) == (pb.JOB_STATE_FAILED, "CONTROLLER_CRASHED")
    assert "4 times in a row" in job.message
    assert "exit code 7" in job.message
    log = server.data / "jobs" / Path(*job.name.split("/")[1::2]) / "controller.log"
    assert log.read_text().count("controller of") == 4


async def test_a_controller_that_cannot_be_started_fails_its_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", (0.0,))
    async with served(folder, controller_command=("/no/such/command",)) as server:
        job = await server.run()
        assert (job.state, job.reason) == (pb.JOB_STATE_FAILED, "CONTROLLER_CRASHED")
        assert "could not be started" in job.message


async def test_an_event_out_of_turn_is_a_crash(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", (0.0,))
    job = await server.run("gap")
    assert (job.state, job.reason) == (pb.JOB_STATE_FAILED, "CONTROLLER_CRASHED")
    assert "broke the protocol: expected event" in job.message


async def test_stray_lines_on_standard_output_do_no_harm(server: Served) -> None:
    assert (await server.run("noise")).state == pb.JOB_STATE_SUCCEEDED


async def test_a_child_that_a_dead_controller_left_behind_is_ended(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_DELAY_S", (0.0,))
    job = await server.run("trials=2 orphan")
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert not [p for p in psutil.process_iter(["cmdline"]) if "time.sleep(600)" in " ".join(p.info["cmdline"] or ())]


async def test_an_artifact_that_is_not_what_was_proven_is_not_delivered(server: Served) -> None:
    job = await server.run("lie")
    assert (job.state, job.reason, job.model_version) == (pb.JOB_STATE_FAILED, "ARTIFACT_CHANGED", "")


async def test_a_controller_knows_no_secrets_of_the_server(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_TOKEN", "s3cret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    job = await server.create_job("hold")
    await server.until(job.name, "sampler-state")
    [controller] = [c for c in psutil.Process().children() if "fake_controller" in " ".join(c.cmdline())]
    environment = controller.environ()
    assert "s3cret" not in environment.values()
    assert environment["KERAS_BACKEND"] == "jax"
    assert os.getpgid(controller.pid) == controller.pid
    await server.cancel(job.name)


async def test_a_server_that_stops_leaves_its_jobs_to_the_next(folder: Path) -> None:
    async with served(folder) as first:
        job = await first.create_job("trials=5 hold")
        await first.until(job.name, "sampler-state", count=5)
        stream = aiter(first.jobs.WatchJob(pb.WatchJobRequest(name=job.name)))
        await anext(stream)
        await first.app.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [message async for message in stream]
        error = Refused(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
    assert not [c for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]
    async with served(folder) as second:
        assert (await second.job(job.name)).state == pb.JOB_STATE_RUNNING
        await second.cancel(job.name, finish=True)
        events = await second.watch(job.name)
        assert (await second.job(job.name)).state == pb.JOB_STATE_SUCCEEDED
        assert [p["trial"] for p in payloads(events, "trial-ended")] == [f"t{i}" for i in range(1, 6)]
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))


# Submission


async def test_one_request_id_makes_one_job(server: Served) -> None:
    spec, id = job_spec((await server.dataset()).name, "trials=0"), request_id()
    made = await asyncio.gather(*(server.create_job(spec=spec, request_id=id) for _ in range(100)))
    assert len({j.name for j in made}) == 1
    assert len((await server.call(server.jobs.ListJobs, pb.ListJobsRequest())).jobs) == 1
    other = job_spec(spec.dataset, "trials=1")
    error = await refused(server.create_job(spec=other, request_id=id))
    assert (error.code, error.reason, error.metadata) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
        {"job": made[0].name},
    )
    assert (await refused(server.create_job(spec=spec, request_id="not a UUID"))).reasons == {
        "request_id": "INVALID_REQUEST_ID"
    }
    await server.watch(made[0].name)


async def test_validate_only_makes_nothing(server: Served) -> None:
    spec = job_spec((await server.dataset()).name)
    job = await server.create_job(spec=spec, validate_only=True, request_id=request_id())
    assert (job.name, job.spec.task) == ("", "tabular-classification")
    spec.data.target = "nobody"
    assert "data.target" in (await refused(server.create_job(spec=spec, validate_only=True))).violations
    assert not (await server.call(server.jobs.ListJobs, pb.ListJobsRequest())).jobs


async def test_the_newest_version_of_a_data_set_is_written_down(server: Served) -> None:
    dataset = await server.dataset()
    job = await server.create_job(spec=job_spec(dataset.name.partition("@")[0]), validate_only=True)
    assert job.spec.dataset == dataset.name


async def test_every_fault_is_named_at_once(server: Served) -> None:
    spec = job_spec((await server.dataset()).name, metric="beauty")
    spec.data.target = "lable"
    spec.data.ignore.append("nothing")
    spec.search.force.append("no-such-technique")
    spec.formats.add(format="floppy")
    error = await refused(server.create_job(spec=spec))
    assert (error.code, error.reason, error.domain) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "automl")
    assert set(error.violations) >= {"data.target", "data.ignore[0]", "search.force[0]", "formats[1]"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.budget.wall.FromSeconds(0), "budget.wall"),
        (lambda s: s.budget.wall.FromSeconds(10**9), "budget.wall"),
        (lambda s: s.budget.spent.FromSeconds(-1), "budget.spent"),
        (lambda s: s.budget.spent.FromSeconds(700), "budget"),
        (lambda s: setattr(s.budget, "max_trials", 10**9), "budget.max_trials"),
        (lambda s: setattr(s.constraints, "max_size_bytes", 0), "constraints.max_size_bytes"),
        (lambda s: setattr(s.constraints, "max_latency_ms", float("nan")), "constraints.max_latency_ms"),
        (lambda s: setattr(s, "tolerance", -0.1), "tolerance"),
        (lambda s: setattr(s, "task", "telepathy"), "task"),
        (lambda s: setattr(s, "task", "x" * 10_000), "task"),
        (lambda s: setattr(s.search, "strategy", "prayer"), "search.strategy"),
        (lambda s: setattr(s.search, "seed", -1), "search.seed"),
        (lambda s: s.search.recipes_json.append("{}"), "search.recipes_json[0].task"),
        (lambda s: s.search.recipes_json.append("{"), "search.recipes_json[0]"),
        (lambda s: s.search.allow.extend(["a"] * 1_000_000), "search.allow"),
        (lambda s: s.data.kinds.update({"age": dataset_pb.COLUMN_KIND_UNSPECIFIED}), "data.kinds[age]"),
        (lambda s: s.data.kinds.update({"age": 77}), "data.kinds[age]"),
        (lambda s: setattr(s.data, "test_fraction", 1.5), "data.test_fraction"),
        (lambda s: setattr(s.formats[0], "precision", "float8"), "formats[0].precision"),
        (lambda s: setattr(s, "dataset", ""), "dataset"),
        (lambda s: setattr(s, "dataset", "projects/other/datasets/adult"), "dataset"),
        (lambda s: setattr(s, "test_dataset", "../../etc/passwd"), "test_dataset"),
    ],
)
async def test_wrong_specifications_are_refused_at_their_place(server: Served, change: Any, field: str) -> None:
    spec = job_spec((await server.dataset()).name)
    change(spec)
    error = await refused(server.create_job(spec=spec))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert field in error.violations, error.violations


async def test_what_is_not_there_is_not_found(server: Served) -> None:
    job = "projects/default/jobs/none"
    for method, request in (
        (server.jobs.GetJob, pb.GetJobRequest(name=job)),
        (server.jobs.CancelJob, pb.CancelJobRequest(name=job)),
        (server.jobs.ListTrials, pb.ListTrialsRequest(parent=job)),
        (server.jobs.GetReport, pb.GetReportRequest(name=job)),
    ):
        error = await refused(server.call(method, request))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert (await refused(server.watch(job))).code == grpc.StatusCode.NOT_FOUND
    assert (
        await refused(server.create_job(spec=job_spec("projects/default/datasets/none")))
    ).code == grpc.StatusCode.NOT_FOUND


async def test_more_violations_than_a_status_holds_are_counted(server: Served) -> None:
    spec = job_spec((await server.dataset()).name)
    spec.search.force.extend(f"no-such-technique-{i}" for i in range(500))
    error = await refused(server.create_job(spec=spec))
    assert error.violations[""].startswith("… and ")
    assert len(error.violations) > 3
