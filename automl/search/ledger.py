"""The event log of a job as its controller writes it: each fact is numbered, folded into the state and passed on at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from automl.search.budget import Clock
from automl.spec import Event, JobPhase, JobState
from automl.spec.event import Noted, PhaseStarted
from automl.spec.event import Payload as Payload


class Closed(Exception):
    """The job's last event has been written: nothing may follow it."""


class Ledger:
    """Appends events. Thread-safe; after `close` every `emit` raises `Closed`."""

    def __init__(self, write: Callable[[Event], None], clock: Clock, past: Iterable[Event] = ()):
        """`write` passes an event on (a line of JSON, flushed) before the call of `emit` returns."""
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self.state = JobState.fold(past)

    def emit(self, payload: Payload) -> Event:
        with self._lock:
            if self._closed:
                raise Closed
            event = Event(sequence=self.state.sequence + 1, time=self._clock.wall(), payload=payload)
            self._write(event)
            self.state.apply(event)
            return event

    def note(self, message: str, *, warning: bool = False) -> None:
        """A line for people."""
        self.emit(Noted(severity="warning" if warning else "info", message=message))

    def phase(self, phase: JobPhase, note: str = "") -> None:
        """Says that a phase has begun, once."""
        if self.state.phase != phase:
            self.emit(PhaseStarted(phase=phase, note=note))

    def close(self, last: Payload) -> None:
        """Writes the last event."""
        self.emit(last)
        self._closed = True
