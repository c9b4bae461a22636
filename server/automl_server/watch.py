"""Watchers: each event of a job, in order, from any place on, to any number of calls.

Events are in the store before they come here. A channel keeps the last few for those who keep up, shared by all of them;
whoever is behind reads from the store, in portions. So a watcher holds no queue, and a slow one costs nothing but its own
delay.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Sequence

from automl_protos.v1 import job_service_pb2 as job_pb
from automl_server import converters, errors
from automl_server.store import Store, events
from automl_server.store.events import EventRecord

_PORTION = 200
"""Events read from the store at once."""
_RECENT_BYTES = 1 << 20
"""Messages kept for a job."""


class Channel:
    """The recent events of one unfinished job."""

    def __init__(self, last: int):
        self.last = last
        """Sequence of the newest event."""
        self.ended = False
        self.changed = asyncio.Event()
        self._recent: collections.deque[job_pb.Event] = collections.deque()
        self._bytes = 0

    def publish(self, new: Sequence[job_pb.Event]) -> None:
        """Makes stored events known to the watchers."""
        for event in new:
            self._recent.append(event)
            self._bytes += event.ByteSize()
            self.last = event.sequence
        while self._bytes > _RECENT_BYTES and self._recent:
            self._bytes -= self._recent.popleft().ByteSize()
        self.wake()

    def end(self) -> None:
        """There will be no further event."""
        self.ended = True
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def following(self, sequence: int) -> list[job_pb.Event] | None:
        """The events after a place; None when some of them are only in the store."""
        if sequence >= self.last:
            return []
        if not self._recent or self._recent[0].sequence > sequence + 1:
            return None
        return [self._recent[i] for i in range(sequence + 1 - self._recent[0].sequence, len(self._recent))]


class Hub:
    """Channels by job number."""

    def __init__(self, store: Store):
        self._store = store
        self._channels: dict[int, Channel] = {}
        self._closed = False
        self.watchers = 0

    def open(self, job: int, last: int) -> None:
        """Begins a channel for an unfinished job whose newest event is `last`."""
        self._channels[job] = Channel(last)

    def publish(self, job: int, new: Sequence[EventRecord]) -> None:
        """Makes stored events known; they are converted once, however many watch."""
        self._channels[job].publish([converters.event(record) for record in new])

    def end(self, job: int) -> None:
        """Lets the watchers go once they have seen all."""
        self._channels.pop(job).end()

    def close(self) -> None:
        """Ends every stream with UNAVAILABLE: the server goes."""
        self._closed = True
        for channel in self._channels.values():
            channel.wake()

    async def watch(self, job: int, resume_after: int) -> AsyncIterator[job_pb.Event]:
        """The events after `resume_after`, then live ones; ends after the last event of a job that has ended.

        Raises `Busy` when the server stops.
        """
        channel = self._channels.get(job)
        seen = resume_after
        self.watchers += 1
        try:
            while True:
                changed = channel.changed if channel else None  # taken before the look, so that no change is missed
                new = channel.following(seen) if channel else None
                if new is None:
                    new = [converters.event(record) for record in await self._store.read(events.after, job, seen, _PORTION)]
                for event in new:
                    yield event
                    seen = event.sequence
                if new:
                    continue
                if channel is None and (channel := self._channels.get(job)) is not None:
                    continue  # it was opened after the first look: the job is brand-new
                if channel is None or channel.ended:
                    return
                if self._closed:
                    raise errors.Busy(
                        "The server stops. Watch again, from the last event seen, when it is back.",
                        reason="SERVER_STOPPING",
                        retry_after_s=1.0,
                    )
                assert changed is not None
                await changed.wait()
        finally:
            self.watchers -= 1
