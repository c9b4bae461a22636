"""One function in one process: its answer, its limits, and how each way to fail is told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from automl.execution import children
from automl.spec import InvalidData

Run = Callable[..., dict[str, Any]]


@pytest.fixture(params=["bare", "forked"])
def run(request: pytest.FixtureRequest, help: Any) -> Iterator[Run]:
    """`run(function, request, …)` in a bare interpreter, and from an executor's fork server."""
    path = {"PYTHONPATH": str(help.parts)}
    if request.param == "bare":

        def bare(function: str, request: dict[str, Any], **limits: Any) -> dict[str, Any]:
            limits = {"timeout_s": 30.0, **limits, "env": {**path, **limits.get("env", {})}}
            return children.run_in_child(f"planted_entries:{function}", request, **limits)

        yield bare
    else:
        with help.local(slots=1) as executor:

            def forked(function: str, request: dict[str, Any], **limits: Any) -> dict[str, Any]:
                limits = {"timeout_s": 30.0, **limits}
                return executor.run_in_child(f"planted_entries:{function}", request, preload="tensorflow", **limits)

            yield forked


def failed(run: Run, function: str, request: dict[str, Any] | None = None, **limits: Any) -> children.ChildFailed:
    with pytest.raises(children.ChildFailed) as caught:
        run(function, request or {}, **limits)
    return caught.value


def test_it_answers_from_another_process(run: Run) -> None:
    first, second = run("double", {"value": 21}), run("double", {"value": 4})
    assert (first["value"], second["value"]) == (42, 8)
    assert len({first["pid"], second["pid"], os.getpid()}) == 3


def test_large_requests_and_answers_pass(run: Run) -> None:
    answer = run("talk", {"size": 3_000_000, "ballast": "y" * 3_000_000})
    assert len(answer["text"]) == 3_000_000


def test_an_exception_is_told_with_its_line_and_the_log(run: Run) -> None:
    failure = failed(run, "raise_value")
    assert failure.kind == "exception"
    assert str(failure).startswith("ValueError: no good (in raise_value, planted_entries.py:")
    assert "Traceback" in failure.log


def test_what_it_printed_is_kept(run: Run) -> None:
    log = failed(run, "noisy").log
    assert "to standard output" in log
    assert "to standard error" in log


def test_a_users_fault_is_raised_as_such(run: Run) -> None:
    with pytest.raises(InvalidData) as caught:
        run("raise_invalid", {})
    assert [v.field for v in caught.value.violations] == ["row 3", "row 9"]


def test_a_crash(run: Run) -> None:
    failure = failed(run, "crash")
    assert (failure.kind, failure.returncode) == ("signal", -11)
    assert "SIGSEGV" in str(failure)


def test_an_early_exit(run: Run) -> None:
    failure = failed(run, "quit_early")
    assert (failure.kind, failure.returncode) == ("exit", 7)


def test_a_time_limit(run: Run) -> None:
    start = time.monotonic()
    failure = failed(run, "sleep", timeout_s=2.0)
    assert (failure.kind, str(failure)) == ("timeout", "not done after 2 s")
    assert time.monotonic() - start < 6


def test_a_memory_limit(run: Run) -> None:
    assert failed(run, "devour", memory_bytes=300 * 2**20).kind == "memory"


def test_an_answer_may_not_be_endless(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "ANSWER_BYTES", 100_000)
    assert failed(run, "talk", {"size": 3_000_000}).kind == "answer"


def test_it_sees_what_it_is_given_and_no_credential(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_TOKEN", "secret")
    seen = run("seen", {"modules": []}, env={"GIVEN": "yes"})["env"]
    assert seen["GIVEN"] == "yes"
    assert not [name for name, value in seen.items() if value == "secret"]


def test_a_bare_child_loads_nothing_heavy(help: Any) -> None:
    heavy = ["tensorflow", "keras", "numpy", "pandas"]
    answer = children.run_in_child(
        "planted_entries:seen", {"modules": heavy}, timeout_s=30, env={"PYTHONPATH": str(help.parts)}
    )
    assert answer["modules"] == []


def test_trials_run_on_while_a_child_works(help: Any, make_work: Callable[..., Any]) -> None:
    with help.local(slots=1) as executor:
        executor.start(make_work("train", params={"epochs": 1}))
        executor.run_in_child("planted_entries:double", {"value": 1}, timeout_s=30, preload="tensorflow")
        assert [type(r).__name__ for r in help.drive(executor)] == ["Epoch", "Ended"]
