"""The fake server, and both clients behind one face: what holds for one holds for the other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from automl_client import aio, client, retry
from tests.unit.client import fake_server

QUICK = retry.RetryPolicy(first_s=0.001, longest_s=0.01, give_up_s=5.0, first_contact_s=0.5)


class Blocking:
    """An asyncio object with the methods of its synchronous twin."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Any):
        self._loop, self._target = loop, target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            async def made() -> Any:
                # Within the loop: clients and calls belong to it.
                result = found(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = self._loop.run_until_complete(made())
            if hasattr(result, "__anext__"):
                return self._iterated(result)
            return Blocking(self._loop, result) if isinstance(result, aio.AsyncJobHandle) else result

        return call

    def _iterated(self, items: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._loop.run_until_complete(anext(items))
            except StopAsyncIteration:
                return


@pytest.fixture
def server() -> Iterator[fake_server.FakeServer]:
    made = fake_server.FakeServer()
    running = fake_server.started(made)
    yield made
    running.stop(None).wait()


@pytest.fixture(params=["sync", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client of either kind; both take the same arguments."""
    opened: list[Any] = []
    loop = asyncio.new_event_loop()

    def make(address: str, **options: Any) -> Any:
        options = {"policy": QUICK, **options}
        if request.param == "sync":
            made: Any = client.Client(address, **options)
        else:

            async def build() -> Any:
                return aio.AsyncClient(address, **options)

            made = Blocking(loop, loop.run_until_complete(build()))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.close()
    loop.close()


@pytest.fixture
def remote(connect: Callable[..., Any], server: fake_server.FakeServer) -> Any:
    """A client of the fake server."""
    return connect(server.address)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text("a,label\n" + "".join(f"{i},{'yes' if i % 2 else 'no'}\n" for i in range(50)))
    return path
