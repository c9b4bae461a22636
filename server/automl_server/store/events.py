"""Events: appended, never changed. A job's `sequence` numbers all of them; the controller's own numbering stands inside."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from automl_server.store.schema import events, jobs

STATE_CHANGED = "state-changed"
"""Kind of the server's own events: payload {"state": …, "message": …}."""
SAMPLER_STATE = "sampler-state"


@dataclasses.dataclass(frozen=True)
class EventRecord:
    """A row of `events`. `payload` is JSON text."""

    sequence: int
    controller_sequence: int | None
    time: float
    kind: str
    payload: str


@dataclasses.dataclass(frozen=True)
class NewEvent:
    """An event before it is numbered; `controller_sequence` None for the server's own."""

    controller_sequence: int | None
    time: float
    kind: str
    payload: str

    @classmethod
    def state_changed(cls, state: str, message: str, time: float) -> NewEvent:
        return cls(None, time, STATE_CHANGED, json.dumps({"state": state, "message": message}, ensure_ascii=False))


def append(connection: sa.Connection, job: int, new: Sequence[NewEvent]) -> list[EventRecord]:
    """Numbers and stores events. The controller's that are stored already (a replay after a crash) are left out."""
    last, last_controller = connection.execute(
        sa.select(jobs.c.last_event, jobs.c.last_controller_event).where(jobs.c.number == job)
    ).one()
    stored = []
    for event in new:
        if event.controller_sequence is not None:
            if event.controller_sequence <= last_controller:
                continue
            last_controller = event.controller_sequence
        last += 1
        stored.append(EventRecord(last, event.controller_sequence, event.time, event.kind, event.payload))
    if stored:
        connection.execute(events.insert(), [{"job": job, **dataclasses.asdict(event)} for event in stored])
        connection.execute(
            jobs.update().where(jobs.c.number == job).values(last_event=last, last_controller_event=last_controller)
        )
    return stored


def after(connection: sa.Connection, job: int, sequence: int, rows: int) -> list[EventRecord]:
    """Up to `rows` events that follow `sequence`, in order."""
    query = (
        sa.select(events)
        .where((events.c.job == job) & (events.c.sequence > sequence))
        .order_by(events.c.sequence)
        .limit(rows)
    )
    return [_record(row) for row in connection.execute(query)]


def of_controller(connection: sa.Connection, job: int, *, sampler_state: bool) -> list[dict[str, Any]]:
    """The controller's events as it said them: {"sequence", "time", "payload"}. Of the sampler's states, which are large
    and of which the newest counts, at most that one; none with `sampler_state` False."""
    query = (
        sa.select(events)
        .where((events.c.job == job) & events.c.controller_sequence.is_not(None))
        .order_by(events.c.sequence)
    )
    newest = None
    if sampler_state:
        newest = connection.scalar(
            sa.select(sa.func.max(events.c.sequence)).where((events.c.job == job) & (events.c.kind == SAMPLER_STATE))
        )
    query = query.where((events.c.kind != SAMPLER_STATE) | (events.c.sequence == newest))
    return [
        {"sequence": row.controller_sequence, "time": row.time, "payload": json.loads(row.payload)}
        for row in connection.execute(query)
    ]


def _record(row: sa.Row[Any]) -> EventRecord:
    return EventRecord(row.sequence, row.controller_sequence, row.time, row.kind, row.payload)
