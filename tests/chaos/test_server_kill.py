"""`kill -9` of the server, in the middle of uploads and jobs: nothing that was acknowledged is lost, nothing is done twice.

The controller is a fake that trains nothing; the moments of the kills are counted in events, from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from automl_protos.v1 import dataset_service_pb2 as dataset_pb
from automl_protos.v1 import job_service_pb2 as pb
from tests.integration.server.harness import Wire, chunks, connected, eventually, job_spec, request_id
from tests.integration.server.process import ServerProcess, started

READY_S = 5.0
"""How soon a server that was killed is to answer again, on a machine that does nothing else; tests allow four times that."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="a") as path:
        yield Path(path)


async def test_an_upload_goes_on_where_it_was_acknowledged(folder: Path) -> None:
    data = os.urandom(24 << 20)
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            upload = await wire.create_upload(data)
            acknowledged = (await wire.send(upload.name, data[: 5 << 20])).committed_size
            stream = wire.datasets.WriteUpload()
            for message in chunks(upload.name, data[: 20 << 20], offset=acknowledged):
                await stream.write(message)
            part = folder / "data" / "uploads" / f"default.{upload.name.rpartition('/')[2]}.part"
            await eventually(lambda: part.stat().st_size > 15 << 20)
            server.kill()
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stream
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            found = (await wire.call(wire.datasets.GetUpload, dataset_pb.GetUploadRequest(name=upload.name))).upload
            assert acknowledged <= found.committed_size <= part.stat().st_size
            assert found.committed_size >= 13 << 20, "it is made durable every 8 MiB"
            assert (await wire.send(upload.name, data, offset=found.committed_size)).complete


async def test_kills_lose_no_event_and_double_none(folder: Path) -> None:
    rng = random.Random(7)
    seen: list[Any] = []
    name, restarts_s = "", []
    for life in range(5):
        with started(folder) as server:
            begun = time.monotonic()
            async with connected(server.serving()) as channel:
                restarts_s.append(time.monotonic() - begun)
                wire = Wire(channel)
                if not name:
                    name = (await wire.create_job("trials=40 tempo=10")).name
                await _watch(wire, server, name, seen, rng.randrange(10, 40) if life < 4 else None)
                if life == 4:
                    again = await wire.watch(name)
                    job = await wire.job(name)
    assert [e.sequence for e in seen] == list(range(1, len(seen) + 1)), "what a watcher saw has no gap and nothing twice"
    assert seen == again, "what was told once is told the same for ever"
    assert (job.state, dict(job.trials)) == (pb.JOB_STATE_SUCCEEDED, {"COMPLETED": 40})
    assert job.model_version
    states = [e.state_changed.state for e in again if e.WhichOneof("payload") == "state_changed"]
    assert states[0] == pb.JOB_STATE_QUEUED
    assert states[-1] == pb.JOB_STATE_SUCCEEDED
    assert max(restarts_s) < 4 * READY_S, restarts_s


async def _watch(wire: Wire, server: ServerProcess, name: str, seen: list[Any], kill_after: int | None) -> None:
    """Adds events to `seen` until the job's end; after so many new ones the server is killed."""
    stream = wire.jobs.WatchJob(pb.WatchJobRequest(name=name, resume_after=len(seen)), timeout=60)
    with contextlib.suppress(grpc.aio.AioRpcError) if kill_after is not None else contextlib.nullcontext():
        async for message in stream:
            seen.append(message.event)
            if kill_after is not None:
                kill_after -= 1
                if kill_after == 0:
                    server.kill()


async def test_a_controller_that_outlived_its_server_is_ended_before_the_next_begins(folder: Path) -> None:
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            job = await Wire(channel).create_job("hang")
            await Wire(channel).until(job.name, "phase-started")
            [leftover] = [
                c for c in psutil.Process(server.process.pid).children() if "fake_controller" in " ".join(c.cmdline())
            ]
            server.kill()
    assert leftover.is_running()
    with started(folder, AUTOML_CANCEL_GRACE_S="0.2") as server:
        server.until("controller started")
        assert not leftover.is_running() or leftover.status() == psutil.STATUS_ZOMBIE
        async with connected(f"unix:{folder}/s") as channel:
            assert (await Wire(channel).cancel(job.name)).state == pb.JOB_STATE_CANCELLED


async def test_a_submission_that_may_have_arrived_is_sent_again(folder: Path) -> None:
    id = request_id()
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            spec = job_spec((await wire.dataset()).name, "trials=1")
            made = await wire.create_job(spec=spec, request_id=id)
            server.kill()
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            answers = await asyncio.gather(*(wire.create_job(spec=spec, request_id=id) for _ in range(20)))
            assert {a.name for a in answers} == {made.name}
            await wire.watch(made.name)
            assert len((await wire.call(wire.jobs.ListJobs, pb.ListJobsRequest())).jobs) == 1


async def test_a_cancelled_job_stays_cancelled(folder: Path) -> None:
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            first = await wire.create_job("hold")
            await wire.cancel(first.name)
            server.kill()
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            assert (await Wire(channel).job(first.name)).state == pb.JOB_STATE_CANCELLED
