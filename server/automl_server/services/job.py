"""JobService: searches, from specification to result."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from automl.catalog import validation
from automl.spec import InvalidInput
from automl_protos.v1 import job_service_pb2 as pb
from automl_protos.v1 import job_service_pb2_grpc
from automl_server import converters, errors, pages, specifications
from automl_server import resource_names as names
from automl_server.reports import Reports
from automl_server.store import Store, jobs
from automl_server.store.jobs import QUEUED, JobRecord
from automl_server.summary import JobSummary
from automl_server.supervisor import ABORT, FINISH, Supervisor
from automl_server.watch import Hub

_PAGE_SIZE, _TRIALS_PAGE_SIZE = 50, 100


class JobService(job_service_pb2_grpc.JobServiceServicer):
    def __init__(self, store: Store, supervisor: Supervisor, hub: Hub, reports: Reports):
        self._store = store
        self._supervisor = supervisor
        self._hub = hub
        self._reports = reports

    async def CreateJob(self, request: pb.CreateJobRequest, context: Any) -> pb.CreateJobResponse:
        project = names.Project.parent(request.parent)
        request_id = _request_id(request.request_id)
        body = hashlib.sha256(request.job.spec.SerializeToString(deterministic=True)).hexdigest()
        # A repeated request is answered from the store: what it refers to may be gone by now.
        repeated = request_id and not request.validate_only
        if repeated and (there := await self._store.read(jobs.for_request, project.project, request_id, body)):
            return pb.CreateJobResponse(job=await self._proto(there))
        spec, dataset = await specifications.checked(self._store, request.job.spec, project)
        id = "" if request.validate_only else f"{dataset.id[:40].strip('-')}-{secrets.token_hex(4)}"
        record = JobRecord(
            project=project.project,
            id=id,
            dataset=spec.dataset,
            test_dataset=spec.test_dataset,
            spec=spec,
            state=QUEUED,
            create_time=time.time(),
        )
        if request.validate_only:
            task = spec.task or await asyncio.to_thread(validation.infer_task, dataset.info, spec.data.target, spec.data)
            return pb.CreateJobResponse(job=converters.job(record, JobSummary(task=task or "")))
        record = await self._supervisor.submit(record, request_id, body)
        return pb.CreateJobResponse(job=await self._proto(record))

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=await self._proto(await self._record(names.Job.parse(request.name))))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:
        project = names.Project.parent(request.parent)
        listing, rows = f"{project}/jobs", pages.size(request.page_size, _PAGE_SIZE)
        found = await self._store.read(jobs.page, project.project, pages.place(listing, request.page_token), rows + 1)
        page, after = pages.cut(found, rows, listing, lambda record: record.number)
        return pb.ListJobsResponse(jobs=[await self._proto(record) for record in page], next_page_token=after)

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[pb.WatchJobResponse]:
        record = await self._record(names.Job.parse(request.name))
        now, _ = await self._supervisor.current(record)
        if request.resume_after < 0:
            raise InvalidInput.at(
                "resume_after", f"expected 0 or an event's number, got {request.resume_after}", reason="OUT_OF_RANGE"
            )
        if request.resume_after > max(record.last_event, now.last_event):
            raise errors.OutOfRange(
                f"{record.name} has {now.last_event} events so far; none has the number {request.resume_after}.",
                metadata={"last_event": str(now.last_event)},
            )
        async for event in self._hub.watch(record.number, request.resume_after):
            yield pb.WatchJobResponse(event=event)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:
        name = names.Job.parse(request.name)
        modes = {
            pb.CancelJobRequest.MODE_UNSPECIFIED: ABORT,
            pb.CancelJobRequest.MODE_ABORT: ABORT,
            pb.CancelJobRequest.MODE_FINISH_WITH_BEST: FINISH,
        }
        if request.mode not in modes:
            raise InvalidInput.at("mode", f"expected ABORT or FINISH_WITH_BEST, got {request.mode}", reason="UNKNOWN_MODE")
        await self._supervisor.cancel(await self._record(name), modes[request.mode])
        return pb.CancelJobResponse(job=await self._proto(await self._record(name)))

    async def ListTrials(self, request: pb.ListTrialsRequest, context: Any) -> pb.ListTrialsResponse:
        name = names.Job.parse(request.parent, "parent")
        record = await self._record(name)
        state = await self._supervisor.fold(record)
        metric = JobSummary.of(state).metric
        found, after = pages.slice_of(
            list(state.trials.values()), f"{name}/trials", request.page_size, request.page_token, _TRIALS_PAGE_SIZE
        )
        return pb.ListTrialsResponse(
            trials=[converters.trial(name, trial, metric) for trial in found], next_page_token=after
        )

    async def GetReport(self, request: pb.GetReportRequest, context: Any) -> pb.GetReportResponse:
        name = names.Job.parse(request.name)
        record = await self._record(name)
        return pb.GetReportResponse(html=await self._reports.page(name, record.spec, await self._supervisor.fold(record)))

    async def _proto(self, record: JobRecord) -> pb.Job:
        return converters.job(*await self._supervisor.current(record))

    async def _record(self, name: names.Job) -> JobRecord:
        record = await self._store.read(jobs.get, name)
        if record is None:
            raise errors.NotFound(f"There is no job {name}.")
        return record


def _request_id(text: str) -> str:
    """The id in one spelling; "" for none."""
    if not text:
        return ""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise InvalidInput.at("request_id", f"expected a UUID, got {text[:80]!r}", reason="INVALID_REQUEST_ID") from error
