"""What every executor keeps (the list is in `automl.execution.executor`), on each implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from automl.execution.executor import Busy, Ended, Epoch, Executor, Work
from automl.spec import Outcome

Make = Callable[..., Executor]
MakeWork = Callable[..., Work]


class TestRunning:
    def test_a_trial_reports_its_epochs_in_order_and_ends_once(
        self, make_executor: Make, make_work: MakeWork, help: Any
    ) -> None:
        executor = make_executor()
        executor.start(make_work("train", params={"epochs": 3}))
        reports = help.drive(executor)
        assert [r.measurement.epoch for r in reports if isinstance(r, Epoch)] == [1, 2, 3]
        assert [type(r) for r in reports] == [Epoch, Epoch, Epoch, Ended]
        end = reports[-1]
        assert (end.outcome, end.message, end.result.epochs_done) == (Outcome.COMPLETED, "", 3)
        assert end.step_s > 0
        assert end.wall_s > 0

    def test_trials_run_side_by_side_each_in_a_slot(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor(slots=2)
        assert {executor.start(make_work("train", trial)) for trial in ("a", "b")} == {0, 1}
        assert executor.running == {"a", "b"}
        with pytest.raises(Busy):
            executor.start(make_work("train", "c"))
        # Both are in their first epoch before either is answered.
        waiting: set[str] = set()
        while len(waiting) < 2:
            waiting |= {report.trial for report in executor.poll(20)}
        for trial in waiting:
            assert executor.answer(trial, 1, True)
        ended = help.ends(help.drive(executor))
        assert {e.outcome for e in ended.values()} == {Outcome.COMPLETED}
        assert {e.slot for e in ended.values()} == {0, 1}

    def test_a_trial_may_hold_several_slots_and_has_their_cores(
        self, make_executor: Make, make_work: MakeWork, help: Any
    ) -> None:
        executor = make_executor(slots=3)
        assert executor.spreads
        assert executor.start(make_work("threads", "wide", slots=2)) == 0
        assert executor.taken == 2
        with pytest.raises(Busy, match="1 are free"):
            executor.start(make_work("train", "too-wide", slots=2))
        assert executor.start(make_work("threads", "narrow")) == 2
        assert executor.taken == 3
        ended = help.ends(help.drive(executor))
        assert (ended["wide"].message, ended["narrow"].message) == ("2 threads", "1 threads")
        assert executor.taken == 0
        with pytest.raises(ValueError, match="wants 4 of 3 slots"):
            executor.start(make_work("train", "wider", slots=4))

    def test_a_slot_is_free_after_the_end(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor(slots=1)
        for trial in ("a", "b", "c"):
            assert executor.start(make_work("train", trial, {"epochs": 1})) == 0
            help.drive(executor)

    def test_the_same_trial_twice_at_once_is_an_error(self, make_executor: Make, make_work: MakeWork) -> None:
        executor = make_executor()
        executor.start(make_work("hang"))
        with pytest.raises(ValueError, match="running already"):
            executor.start(make_work("hang"))

    def test_polling_nothing_returns_at_once(self, make_executor: Make) -> None:
        assert make_executor().poll(60) == []

    def test_slots_may_grow_and_shrink(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor(slots=1)
        executor.resize(2)
        executor.start(make_work("train", "a"))
        executor.start(make_work("train", "b"))
        executor.resize(1)
        assert executor.slots == 1
        assert len(help.ends(help.drive(executor))) == 2
        executor.start(make_work("train", "c"))
        with pytest.raises(Busy):
            executor.start(make_work("train", "d"))


class TestAnswers:
    def test_a_worker_waits_for_its_answer(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("train"))
        epoch = help.first(executor, Epoch)
        assert executor.poll(0.3) == []  # Nothing comes, because nothing is done without an answer.
        assert executor.answer(epoch.trial, epoch.attempt, True)
        assert help.first(executor, Epoch).measurement.epoch == 2

    def test_no_ends_it_as_pruned_with_a_result(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("train"))
        end = help.ends(help.drive(executor, lambda epoch: epoch.measurement.epoch < 2))["t"]
        assert (end.outcome, end.result.epochs_done) == (Outcome.PRUNED, 2)

    def test_late_answers_are_ignored(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        assert not executor.answer("nobody", 1, True)
        executor.start(make_work("resume", params={"die_at": 2}))
        assert not executor.answer("t", 1, True)  # It hasn't asked yet.
        help.drive(executor)
        executor.start(make_work("resume", params={"die_at": 2}, attempt=2))
        epoch = help.first(executor, Epoch)
        assert not executor.answer("t", 1, False)  # The first attempt is gone; the second must not stop for its answer.
        assert executor.answer("t", 2, True)
        assert not executor.answer("t", 2, False)  # Only one answer an epoch.
        assert epoch.measurement.epoch == 3
        assert help.ends(help.drive(executor))["t"].outcome is Outcome.COMPLETED


class TestFailures:
    @pytest.mark.parametrize(
        ("behaviour", "params", "outcome", "message"),
        [
            ("nan", {}, Outcome.NAN, ""),
            ("fail", {"text": "wrong shape"}, Outcome.ERROR, "ValueError: wrong shape (in fail, planted_entries.py:"),
            ("exhaust", {}, Outcome.OOM, "MemoryError: no room"),
            ("exhausted_in_tensorflow", {}, Outcome.OOM, "ResourceExhaustedError: OOM when allocating"),
            ("segfault", {}, Outcome.LOST, "SIGSEGV (native code crashed)"),
            ("die", {"number": 9}, Outcome.LOST, "SIGKILL (killed from outside"),
            ("die", {"number": 15}, Outcome.LOST, "SIGTERM"),
            ("leave", {"code": 3}, Outcome.LOST, "exit code 3"),
            ("log_and_die", {}, Outcome.LOST, "last line of its log: something dreadful happened"),
        ],
    )
    def test_each_failure_is_told_apart(
        self, behaviour: str, params: dict[str, Any], outcome: Outcome, message: str, make_executor: Make,
        make_work: MakeWork, help: Any,
    ) -> None:
        executor = make_executor()
        executor.start(make_work(behaviour, params=params))
        reports = help.drive(executor)
        assert len(reports) == 1
        assert reports[0].outcome is outcome
        assert message in reports[0].message
        assert "\n" not in reports[0].message

    def test_a_failure_leaves_its_siblings_alone(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("train", "good"))
        executor.start(make_work("segfault", "bad"))
        ended = help.ends(help.drive(executor))
        assert (ended["good"].outcome, ended["bad"].outcome) == (Outcome.COMPLETED, Outcome.LOST)

    def test_a_traceback_is_in_the_trials_log_and_not_in_the_message(
        self, make_executor: Make, make_work: MakeWork, help: Any
    ) -> None:
        executor = make_executor()
        work = make_work("fail")
        executor.start(work)
        assert "Traceback" not in help.ends(help.drive(executor))["t"].message
        assert "Traceback" in (work.workdir / "trial.log").read_text()

    def test_a_lost_trials_next_attempt_goes_on(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("resume", params={"die_at": 2}))
        first = help.drive(executor)
        assert (first[-1].outcome, first[-1].result) == (Outcome.LOST, None)
        executor.start(make_work("resume", params={"die_at": 2}, attempt=2))
        second = help.drive(executor)
        assert [r.measurement.epoch for r in (*first, *second) if isinstance(r, Epoch)] == [1, 2, 3, 4]
        assert (second[-1].attempt, second[-1].outcome) == (2, Outcome.COMPLETED)

    def test_a_trial_that_grows_beyond_its_memory_is_out_of_memory(
        self, make_executor: Make, make_work: MakeWork, help: Any
    ) -> None:
        executor = make_executor()
        executor.start(make_work("allocate", memory_bytes=300 * 2**20))
        end = help.ends(help.drive(executor))["t"]
        assert end.outcome is Outcome.OOM
        assert "300 MiB" in end.message or "MemoryError" in end.message
        assert end.peak_bytes < 800 * 2**20


class TestTimeLimits:
    @pytest.mark.parametrize("behaviour", ["hang", "hang_after_epoch"])
    def test_a_silent_worker_is_hung(self, behaviour: str, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor(silence_s=0.5)
        executor.start(make_work(behaviour))
        end = help.ends(help.drive(executor))["t"]
        assert (end.outcome, end.message) == (Outcome.TIMED_OUT, "no sign of progress for 0.5 s")

    def test_a_worker_that_waits_for_us_is_not_hung(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor(silence_s=0.3)
        executor.start(make_work("train"))
        epoch = help.first(executor, Epoch)
        assert executor.poll(0.8) == []
        executor.answer(epoch.trial, epoch.attempt, True)
        assert help.ends(help.drive(executor))["t"].outcome is Outcome.COMPLETED

    def test_progress_keeps_it_alive(self, make_executor: Make, make_work: MakeWork) -> None:
        executor = make_executor(silence_s=1.0)
        executor.start(make_work("busy"))
        assert executor.poll(2.0) == []
        assert executor.running == {"t"}

    def test_past_its_deadline_it_is_killed(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        import time

        executor = make_executor(grace_s=0.2)
        start = time.monotonic()
        executor.start(make_work("busy", deadline=start + 0.5))
        end = help.ends(help.drive(executor))["t"]
        assert end.outcome is Outcome.TIMED_OUT
        assert "after its deadline" in end.message
        assert 0.7 <= time.monotonic() - start < 3


class TestStopping:
    def test_at_once(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("hang"))
        executor.stop("t")
        end = help.ends(help.drive(executor))["t"]
        assert (end.outcome, end.message, end.result) == (Outcome.PRUNED, "stopped", None)

    def test_with_grace_it_leaves_its_candidate(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("busy_after_epoch"))
        executor.answer("t", help.first(executor, Epoch).attempt, True)
        executor.stop("t", grace_s=20)
        end = help.ends(help.drive(executor))["t"]
        assert end.outcome is Outcome.PRUNED
        assert end.result is not None

    def test_with_grace_while_it_waits_for_an_answer(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("train"))
        help.first(executor, Epoch)
        executor.stop("t", grace_s=20)
        assert help.ends(help.drive(executor))["t"].result.epochs_done == 1

    def test_grace_ends(self, make_executor: Make, make_work: MakeWork, help: Any) -> None:
        executor = make_executor()
        executor.start(make_work("hang"))
        executor.stop("t", grace_s=0.2)
        assert help.ends(help.drive(executor))["t"].outcome is Outcome.PRUNED

    def test_what_does_not_run_is_ignored(self, make_executor: Make) -> None:
        make_executor().stop("nobody")

    def test_closing_twice_and_starting_after(self, make_executor: Make, make_work: MakeWork) -> None:
        executor = make_executor()
        executor.start(make_work("hang"))
        executor.close()
        executor.close()
        with pytest.raises(RuntimeError, match="closed"):
            executor.start(make_work("train"))
