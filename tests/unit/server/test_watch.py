"""Channels: recent events from memory, older ones from the store, never a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from automl_protos.v1 import job_service_pb2 as pb
from automl_server import watch


def event(sequence: int, size: int = 10) -> pb.Event:
    return pb.Event(sequence=sequence, controller=pb.ControllerEvent(kind="noted", json="x" * size))


@given(st.lists(st.integers(1, 400_000), max_size=30), st.integers(0, 40), st.integers(0, 20))
def test_a_channel_gives_all_that_follows_or_says_that_it_cannot(sizes: list[int], seen: int, before: int) -> None:
    channel = watch.Channel(before)
    events = [event(before + i, size) for i, size in enumerate(sizes, 1)]
    for new in events:
        channel.publish([new])
    found = channel.following(seen)
    if found is not None:
        assert found == [e for e in events if e.sequence > seen]
        assert seen >= channel.last or not found or found[0].sequence == seen + 1
    assert channel._bytes <= watch._RECENT_BYTES


def test_those_who_keep_up_are_served_from_memory() -> None:
    channel = watch.Channel(0)
    channel.publish([event(1), event(2)])
    channel.publish([event(3)])
    assert [e.sequence for e in channel.following(1) or []] == [2, 3]
    assert channel.following(3) == []
