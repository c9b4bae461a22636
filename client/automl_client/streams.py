"""The place in a job's stream of events, so that a lost connection loses and doubles none."""

from __future__ import annotations

from google.protobuf.message import Message

from automl_client import converters, operations, types
from automl_protos.v1 import job_service_pb2 as job_pb


class Watch:
    """Which event of a job was seen last."""

    def __init__(self, job: str, resume_after: int):
        self._job = job
        self.last = resume_after

    def request(self) -> Message:
        """Asks for what comes after the last event seen."""
        return operations.watch_job(self._job, self.last)

    def take(self, response: job_pb.WatchJobResponse) -> types.Event | None:
        """The event, or None for one that was seen before."""
        if response.event.sequence <= self.last:
            return None
        self.last = response.event.sequence
        return converters.event(response.event)
