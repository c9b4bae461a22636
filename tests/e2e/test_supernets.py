"""`kill -9` of the controller while a supernet trains: the search goes on from its checkpoint, and its finds are trained."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from automl_client import Client
from tests.e2e.machine import Home, eventually
from tests.e2e.shapes import draw_all

BUDGET_S = 150.0
WATCHED = ("supernet-started", "supernet-measured", "supernet-ended")


class Watch(threading.Thread):
    """What a client sees of a job's supernet, in order, through all cuts."""

    def __init__(self, client: Client, job: str):
        super().__init__(daemon=True)
        self.client, self.job = client, job
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for event in self.client.watch_job(self.job):
                if event.kind in WATCHED:
                    self.seen.append((event.kind, dict(event.payload)))
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.failure = error

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [payload for told, payload in self.seen if told == kind]


@pytest.mark.slow
def test_a_supernet_outlives_its_controller(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTOML_HOME", str(home.folder))
    shapes, _ = draw_all(tmp_path)
    with Client.embedded(home=home.folder) as client:
        job = client.submit(shapes, budget_s=BUDGET_S, strategy="darts", formats=("tflite:int8",))
        watch = Watch(client, job.name)
        watch.start()
        eventually(lambda: len(watch.of("supernet-measured")) >= 4, 100, "a supernet has gone some rounds")
        controller = eventually(home.controllers, 5, "a controller runs")[0]
        os.kill(controller.pid, signal.SIGKILL)
        done = job.wait(timeout_s=2 * BUDGET_S)
        watch.join(timeout=20)
        assert watch.failure is None
        assert done.state == "SUCCEEDED", done.message

        assert [started["attempt"] for started in watch.of("supernet-started")] == [1, 2]
        rounds = [
            (measured["attempt"], measured["measurement"]["epoch"]) for measured in watch.of("supernet-measured")
        ]
        first, second = ([epoch for attempt, epoch in rounds if attempt == n] for n in (1, 2))
        assert second, "the second attempt measured nothing"
        # A checkpoint is written every few seconds: some rounds may be gone through again, but not from the start.
        assert 1 < second[0] <= first[-1] + 1
        assert second == sorted(second)
        [ended] = watch.of("supernet-ended")
        assert ended["outcome"] in ("COMPLETED", "PRUNED"), ended["message"]
        assert job.result().artifacts
