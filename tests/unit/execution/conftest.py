"""Executors whose workers do what a test plants, and work for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from automl.execution.executor import Ended, Epoch, Executor, Report, Work
from automl.execution.local import LocalExecutor
from automl.spec import Choice, Fidelity, Recipe

PARTS = Path(__file__).parent / "parts"


def local(**more: Any) -> LocalExecutor:
    """A local executor with workers that import nothing heavy."""
    more = {"slots": 2, "entry": "planted_entries:entry", "preload": (), "env": {"PYTHONPATH": str(PARTS)}, **more}
    return LocalExecutor(**more)


IMPLEMENTATIONS: dict[str, Callable[..., Executor]] = {"local": local}
"""Every implementation of `Executor`, made for tests. Another one is added here, and the same suite runs on it."""


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make_executor(request: pytest.FixtureRequest) -> Iterator[Callable[..., Executor]]:
    """Makes executors, and closes them."""
    made: list[Executor] = []

    def make(**more: Any) -> Executor:
        made.append(IMPLEMENTATIONS[request.param](**more))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.fixture
def make_work(tmp_path: Path) -> Callable[..., Work]:
    """`make_work(behaviour, trial, params…, **fields of Work)`."""

    def make(behaviour: str, trial: str = "t", params: dict[str, Any] | None = None, **fields: Any) -> Work:
        recipe = Recipe(task="tabular-classification", architecture=Choice(id=behaviour, params=params or {}), epochs=5)
        given: dict[str, Any] = {
            "prepared": tmp_path / "prepared", "metric": "accuracy", "workdir": tmp_path / "trials" / trial,
            "fidelity": Fidelity(epochs=5), **fields,
        }
        return Work(trial=trial, recipe=recipe, **given)

    return make


def drive(
    executor: Executor, decide: Callable[[Epoch], bool | None] = lambda epoch: True, limit_s: float = 30.0
) -> list[Report]:
    """Polls until nothing runs; answers each epoch with what `decide` says (None: not at all). The reports in order."""
    found: list[Report] = []
    end = time.monotonic() + limit_s
    while executor.running and time.monotonic() < end:
        for report in executor.poll(end - time.monotonic()):
            found.append(report)
            if isinstance(report, Epoch) and (answer := decide(report)) is not None:
                executor.answer(report.trial, report.attempt, answer)
    assert not executor.running, f"still running after {limit_s} s: {executor.running}"
    return found


def ends(reports: list[Report]) -> dict[str, Ended]:
    return {report.trial: report for report in reports if isinstance(report, Ended)}


def first(executor: Executor, kind: type, limit_s: float = 30.0) -> Any:
    """Polls until a report of that kind comes, and returns it."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        for report in executor.poll(end - time.monotonic()):
            if isinstance(report, kind):
                return report
    raise AssertionError(f"no {kind.__name__} within {limit_s} s")


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(pid: int, limit_s: float = 10.0) -> bool:
    """Waits for the end of a process that needn't be a child. True when it came."""
    import select

    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], limit_s)[0])
    finally:
        os.close(handle)


@pytest.fixture
def help() -> Any:
    """The functions of this module, for tests (which can't import a conftest)."""
    import types

    return types.SimpleNamespace(
        drive=drive, ends=ends, first=first, alive=alive, await_end=await_end, local=local, parts=PARTS
    )
