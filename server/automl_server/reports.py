"""A job's report: the page that its controller wrote, else rendered from the events so far by a child process."""

from __future__ import annotations

import asyncio
import json

import structlog

from automl.spec import JobSpec, JobState
from automl_server import errors, processes
from automl_server import resource_names as names
from automl_server.config import Settings
from automl_server.workdirs import Workdirs

log = structlog.get_logger(__name__)


class Reports:
    """Reads or renders reports, one rendering at a time."""

    def __init__(self, settings: Settings, workdirs: Workdirs):
        self._settings = settings
        self._workdirs = workdirs
        self._place = asyncio.Semaphore(1)

    async def page(self, job: names.Job, spec: JobSpec, state: JobState) -> str:
        """One self-contained HTML page. Raises `ResourceExhausted` when it is too large to send, `RuntimeError` for a
        defect."""
        page = await asyncio.to_thread(self._workdirs.report, job, self._settings.max_report_bytes + 1)
        if page is None:
            page = await self._rendered(job, spec, state)
        if len(page) > self._settings.max_report_bytes:
            raise errors.ResourceExhausted(
                f"The report is larger than {self._settings.max_report_bytes} bytes.", reason="REPORT_TOO_LARGE"
            )
        return page.decode(errors="replace")

    async def _rendered(self, job: names.Job, spec: JobSpec, state: JobState) -> bytes:
        request = await asyncio.to_thread(_request, job, spec, state)
        async with self._place:
            done = await processes.run_limited(
                self._settings.report_command,
                stdin=request,
                timeout_s=self._settings.report_timeout_s,
                memory_bytes=None,
                output_bytes=self._settings.max_report_bytes,
            )
        if done.overflowed:
            raise errors.ResourceExhausted(
                f"The report is larger than {self._settings.max_report_bytes} bytes.", reason="REPORT_TOO_LARGE"
            )
        if done.returncode != 0:
            log.error(
                "report failed",
                job=str(job),
                returncode=done.returncode,
                timed_out=done.timed_out,
                stderr=done.stderr.decode(errors="replace"),
            )
            raise RuntimeError(f"rendering a report ended with code {done.returncode}")
        return done.stdout


def _request(job: names.Job, spec: JobSpec, state: JobState) -> bytes:
    return json.dumps({"job": str(job), "spec": spec.to_dict(), "state": state.model_dump(mode="json")}).encode()
