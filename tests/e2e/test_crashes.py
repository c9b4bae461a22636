"""`kill -9` of the controller, then of the server, mid-job: it goes on, and no finished trial is lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from automl_client import Client
from tests.e2e.machine import Home, eventually

BUDGET_S = 80.0


class Ledger(threading.Thread):
    """What a client sees of a job, in order, through all cuts."""

    def __init__(self, client: Client, job: str):
        super().__init__(daemon=True)
        self.client, self.job = client, job
        self.sequences: list[int] = []
        self.ended: list[str] = []
        self.started: list[tuple[str, int]] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for event in self.client.watch_job(self.job):
                self.sequences.append(event.sequence)
                if event.kind == "trial-ended":
                    self.ended.append(event.payload["trial"])
                elif event.kind == "trial-started":
                    self.started.append((event.payload["trial"], event.payload["attempt"]))
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.failure = error


@pytest.mark.slow
def test_a_job_outlives_its_controller_and_its_server(home: Home, penguins: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTOML_HOME", str(home.folder))
    with Client.embedded(home=home.folder) as client:
        begun = time.monotonic()
        job = client.submit(penguins, target="species", budget_s=BUDGET_S)
        ledger = Ledger(client, job.name)
        ledger.start()
        eventually(lambda: len(ledger.ended) >= 2, 45, "two trials ended")

        # --- the controller ---
        controller = eventually(home.controllers, 5, "a controller runs")[0]
        workers = controller.children(recursive=True)
        before = len(ledger.ended)
        os.kill(controller.pid, signal.SIGKILL)
        eventually(lambda: [c for c in home.controllers() if c.pid != controller.pid], 10, "a new controller runs")
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, f"workers outlived their controller: {alive}"
        eventually(lambda: len(ledger.ended) > before, 30, "the job advances after its controller was killed")

        # --- the server ---
        server = home.server()
        assert server is not None
        family = server.children(recursive=True)
        before = len(ledger.ended)
        os.kill(server.pid, signal.SIGKILL)
        killed = time.monotonic()
        eventually(lambda: (s := home.server()) is not None and s.pid != server.pid, 15, "a client starts the server again")
        assert time.monotonic() - killed < 15
        _, alive = psutil.wait_procs(family, timeout=15)
        assert not alive, f"processes outlived their server: {alive}"
        eventually(
            lambda: len(ledger.ended) > before or job.get().state.ended, 40, "the job advances after its server was killed"
        )

        done = job.wait(timeout_s=2 * BUDGET_S)
        wall_s = time.monotonic() - begun
        ledger.join(timeout=20)
        assert ledger.failure is None
        assert done.state == "SUCCEEDED", done.message
        assert wall_s <= 1.05 * BUDGET_S + 5

        # --- the ledger against the store ---
        assert ledger.sequences == list(range(1, len(ledger.sequences) + 1)), "an event was lost or doubled"
        assert len(ledger.ended) == len(set(ledger.ended)), "a trial ended twice"
        stored = {trial.id: trial.outcome for trial in job.trials()}
        assert set(ledger.ended) <= set(stored)
        assert all(stored[trial] != "RUNNING" for trial in ledger.ended)
        assert len(set(ledger.started)) == len(ledger.started), "an attempt was started twice"
        assert job.result().artifacts
