"""What is particular to the executor of one machine: pinned threads, devices, clean environments, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl.execution import resources
from automl.execution.executor import Ended, Epoch, Work
from automl.spec import Outcome

MakeWork = Callable[..., Work]


def test_workers_have_pinned_threads_a_device_and_no_credential(
    help: Any, make_work: MakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("AUTOML_SERVER_TOKEN", "secret")
    work = make_work("environment")
    with help.local(slots=1, threads=1) as executor:
        executor.start(work)
        help.drive(executor)
    seen = json.loads((work.workdir / "env.json").read_text())
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    assert {seen[name] for name in names} == {"1"}
    assert seen["CUDA_VISIBLE_DEVICES"] == "-1"
    assert seen["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert "secret" not in seen.values()


def test_a_lost_worker_is_noticed_at_once(help: Any, make_work: MakeWork) -> None:
    with help.local(slots=1) as executor:
        executor.start(make_work("hang_after_epoch"))
        epoch = help.first(executor, Epoch)
        executor.answer(epoch.trial, epoch.attempt, True)
        pid = next(iter(executor._runs.values())).child.pid
        start = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        end = help.first(executor, Ended)
        # 2 s are promised; a tenth is usual, also on a busy machine.
        assert time.monotonic() - start < 2
        assert end.outcome is Outcome.LOST


def test_a_stopped_worker_is_hung_and_killed(help: Any, make_work: MakeWork) -> None:
    with help.local(slots=1, silence_s=1.0) as executor:
        executor.start(make_work("busy_after_epoch"))
        executor.answer("t", help.first(executor, Epoch).attempt, True)
        os.kill(next(iter(executor._runs.values())).child.pid, signal.SIGSTOP)
        assert help.first(executor, Ended).outcome is Outcome.TIMED_OUT


class TestNoOrphans:
    def test_a_workers_own_processes_go_with_it(self, help: Any, make_work: MakeWork) -> None:
        work = make_work("grandchild")
        with help.local(slots=1) as executor:
            executor.start(work)
            help.first(executor, Epoch)
            left = int((work.workdir / "grandchild").read_text())
            assert help.alive(left)
            executor.stop("t")
            help.first(executor, Ended)
            assert help.await_end(left)

    def test_closing_ends_server_and_workers(self, help: Any, make_work: MakeWork) -> None:
        executor = help.local(slots=2)
        for trial in ("a", "b"):
            executor.start(make_work("hang_after_epoch", trial))
            help.first(executor, Epoch)
        pids = [executor._server.pid, *(run.child.pid for run in executor._runs.values())]
        assert all(help.alive(pid) for pid in pids)
        executor.close()
        assert not [pid for pid in pids if help.alive(pid)]

    def test_workers_die_with_the_fork_server_and_a_new_one_takes_over(self, help: Any, make_work: MakeWork) -> None:
        with help.local(slots=1) as executor:
            executor.start(make_work("hang_after_epoch"))
            help.first(executor, Epoch)
            worker = next(iter(executor._runs.values())).child.pid
            os.kill(executor._server.pid, signal.SIGKILL)
            end = help.first(executor, Ended)
            assert (end.outcome, end.message) == (Outcome.LOST, "the worker went down with its fork server")
            assert not help.alive(worker)
            executor.start(make_work("train", "next"))
            assert help.ends(help.drive(executor))["next"].outcome is Outcome.COMPLETED

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_nothing_outlives_a_controller_that_is_killed(self, number: int, help: Any, tmp_path: Path) -> None:
        """A controller in a process of its own, with a trained-looking trial and a bare child, is killed."""
        code = f"""
import sys, threading
sys.path.insert(0, {str(help.parts)!r})
from pathlib import Path
from automl.execution import children
from automl.execution.executor import Work
from automl.execution.local import LocalExecutor
from automl.spec import Choice, Fidelity, Recipe
folder = Path({str(tmp_path)!r})
executor = LocalExecutor(1, entry="planted_entries:entry", preload=(), env={{"PYTHONPATH": {str(help.parts)!r}}})
recipe = Recipe(task="t", architecture=Choice(id="grandchild"))
executor.start(Work("t", recipe, Fidelity(epochs=1), folder, "accuracy", folder / "work"))
executor.poll(20)
worker = next(iter(executor._runs.values())).child.pid
print(executor._server.pid, worker, (folder / "work/grandchild").read_text(), flush=True)
children.run_in_child("planted_entries:sleep", {{}}, timeout_s=600, env={{"PYTHONPATH": {str(help.parts)!r}}})
"""
        controller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert controller.stdout is not None
        pids = [int(word) for word in controller.stdout.readline().split()]
        assert len(pids) == 3
        bare = _await_child(controller.pid, "automl.execution.children")
        controller.send_signal(number)
        controller.wait(10)
        controller.stdout.close()
        assert [pid for pid in (*pids, bare) if not help.await_end(pid)] == []


def _await_child(parent: int, name: str, limit_s: float = 20.0) -> int:
    """The pid of a child of `parent` whose command line holds `name`; looks until it is there."""
    import psutil

    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        for child in psutil.Process(parent).children():
            if name in " ".join(child.cmdline()):
                return child.pid
        time.sleep(0.02)
    raise AssertionError(f"no {name} within {limit_s} s")


@pytest.mark.parametrize(("limit", "room"), [(None, 2**33), (2**31, 2**31), (2**40, 2**33)])
def test_a_worker_knows_its_slots_memory_not_the_machines(
    limit: int | None, room: int, make_work: Any, help: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "gpus", lambda: ())
    monkeypatch.setattr(resources, "memory_bytes", lambda: 2**35)
    work = make_work("room", memory_bytes=limit)
    with help.local(slots=4) as executor:
        executor.start(work)
        help.drive(executor)
    assert int((work.workdir / "room").read_text()) == room
