"""Real trainings in real workers, and what becomes of them when things go wrong."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from automl.execution.executor import Ended, Epoch, Report, Work
from automl.execution.local import LocalExecutor
from automl.spec import Fidelity, Outcome, Recipe

UNIT = Path(__file__).parent.parent / "unit"


def _module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


data = _module(UNIT / "training/conftest.py", "chaos_training_data")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.make_table(tmp_path_factory.mktemp("data") / "prepared", rows=2000)


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """With TensorFlow and the trainer loaded once, for all tests of this module; it checkpoints every epoch."""
    log = tmp_path_factory.mktemp("log") / "forkserver.log"
    parts = os.pathsep.join(str(UNIT / folder / "parts") for folder in ("training", "execution"))
    with LocalExecutor(
        2, entry="planted_trainings:entry", env={"PYTHONPATH": parts}, log=log,
        preload=("automl.execution.worker:preload", "planted_trainings"),
    ) as made:
        yield made


@pytest.fixture
def make_work(prepared: Path, tmp_path: Path) -> Callable[..., Work]:
    def make(trial: str = "t", epochs: int = 4, **fields: Any) -> Work:
        recipe: Recipe = fields.pop("recipe", None) or data.recipe("tabular-classification", epochs=epochs)
        return Work(
            trial=trial, recipe=recipe, fidelity=Fidelity(epochs=epochs), prepared=prepared, metric="accuracy",
            workdir=fields.pop("workdir", tmp_path / trial), **fields,
        )

    return make


def drive(
    executor: LocalExecutor, decide: Callable[[Epoch], bool | None] = lambda epoch: True, limit_s: float = 120.0
) -> list[Report]:
    found: list[Report] = []
    end = time.monotonic() + limit_s
    while executor.running and time.monotonic() < end:
        for report in executor.poll(end - time.monotonic()):
            found.append(report)
            if isinstance(report, Epoch) and (answer := decide(report)) is not None:
                executor.answer(report.trial, report.attempt, answer)
    assert not executor.running
    return found


def run_alone(
    executor: LocalExecutor, work: Work, decide: Callable[[Epoch], bool | None] = lambda epoch: True
) -> list[Report]:
    executor.start(work)
    return drive(executor, decide)


def epoch_log(reports: list[Report]) -> list[tuple[int, float | None, dict[str, float]]]:
    """The repeatable part of the epochs that were reported."""
    return [
        (r.measurement.epoch, r.measurement.train_loss, r.measurement.validation) for r in reports if isinstance(r, Epoch)
    ]


def ended(reports: list[Report]) -> Ended:
    (end,) = (r for r in reports if isinstance(r, Ended))
    return end


def worker_of(executor: LocalExecutor, trial: str) -> int:
    return next(run.child.pid for run in executor._runs.values() if run.work.trial == trial)


def test_a_trial_trains_in_its_worker(
    executor: LocalExecutor, make_work: Callable[..., Work], tmp_path: Path
) -> None:
    reports = run_alone(executor, make_work())
    end = ended(reports)
    assert end.outcome is Outcome.COMPLETED
    assert end.result is not None
    assert end.result.usable
    assert (tmp_path / "t/model.keras").is_file()
    assert len(epoch_log(reports)) == 4
    assert 0 < end.step_s < end.wall_s


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_workers_next_attempt_goes_on_from_its_last_epoch(
    number: int, executor: LocalExecutor, make_work: Callable[..., Work]
) -> None:
    """The log of epochs, first attempt and second, is that of a training that was never killed."""
    whole = run_alone(executor, make_work("whole"))

    def kill_at_two(epoch: Epoch) -> bool | None:
        if epoch.measurement.epoch < 2:
            return True
        os.killpg(worker_of(executor, epoch.trial), number)
        return None

    first = run_alone(executor, make_work("killed"), kill_at_two)
    assert ended(first).outcome is Outcome.LOST
    assert signal.Signals(number).name in ended(first).message
    second = run_alone(executor, make_work("killed", attempt=2))
    assert ended(second).outcome is Outcome.COMPLETED
    assert epoch_log(first) + epoch_log(second) == epoch_log(whole)
    assert ended(second).result.resumed_epoch == 2
    assert ended(second).result.score == ended(whole).result.score


def test_a_nan_ends_the_trial_within_an_epoch(executor: LocalExecutor, make_work: Callable[..., Work]) -> None:
    end = ended(run_alone(executor, make_work("nan-loss")))
    assert end.outcome is Outcome.NAN
    assert "NaN" in end.message
    assert not end.result.usable


def test_a_step_that_hangs_is_ended(prepared: Path, make_work: Callable[..., Work], executor: LocalExecutor) -> None:
    executor._silence_s, before = 3.0, executor._silence_s
    try:
        end = ended(run_alone(executor, make_work("hang")))
    finally:
        executor._silence_s = before
    assert end.outcome is Outcome.TIMED_OUT


def test_native_code_that_crashes_takes_its_own_trial_alone(
    executor: LocalExecutor, make_work: Callable[..., Work]
) -> None:
    executor.start(make_work("sibling"))
    executor.start(make_work("segfault"))
    outcomes = {r.trial: r.outcome for r in drive(executor) if isinstance(r, Ended)}
    assert outcomes == {"sibling": Outcome.COMPLETED, "segfault": Outcome.LOST}


def test_a_trial_beyond_its_memory_is_tried_again_with_half_the_batch(
    executor: LocalExecutor, make_work: Callable[..., Work]
) -> None:
    """TensorFlow alone holds some hundred MiB; the planted step takes 4 MiB more for each row of its batch."""
    limit = 900 * 2**20
    first = ended(run_alone(executor, make_work("hoard", memory_bytes=limit)))
    assert first.outcome is Outcome.OOM
    assert first.message
    second = ended(run_alone(executor, make_work("hoard", attempt=2, batch_scale=0.125, memory_bytes=limit)))
    assert second.outcome is Outcome.COMPLETED
    assert second.result.batch_size == 32


def test_a_deadline_is_kept_with_the_best_so_far(executor: LocalExecutor, make_work: Callable[..., Work]) -> None:
    deadline = time.monotonic() + 3.0
    end = ended(run_alone(executor, make_work("slow", epochs=1000, deadline=deadline)))
    late = time.monotonic() - deadline
    assert end.outcome is Outcome.PRUNED
    assert end.result.usable
    assert "deadline" in end.message
    assert 0 <= late < 2.5


def test_an_answer_that_comes_late_changes_nothing(executor: LocalExecutor, make_work: Callable[..., Work]) -> None:
    def kill(epoch: Epoch) -> None:
        os.killpg(worker_of(executor, epoch.trial), signal.SIGKILL)

    run_alone(executor, make_work("late"), kill)
    assert not executor.answer("late", 1, False)
    executor.start(make_work("late", attempt=2))
    assert not executor.answer("late", 1, False)
    assert ended(drive(executor)).outcome is Outcome.COMPLETED
