"""The controller as a process: what stands on its standard output, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from automl.spec import Event


def request(tmp_path: Path, **changes: object) -> str:
    whole = {
        "job": "job-1", "workdir": str(tmp_path / "work"), "slots": 1, "deadline_epoch_s": time.time() + 60,
        "spec": {"task": "tabular-classification", "dataset": "d", "data": {"target": "y"}},
        "dataset": {"path": str(tmp_path / "absent.csv"), "filename": "absent.csv", "info": None},
    }
    return json.dumps(whole | changes) + "\n"


def start() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", "automl.job"], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_request_that_cannot_be_read_is_exit_2(tmp_path: Path) -> None:
    process = start()
    out, err = process.communicate('{"job": 1}\n', timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert "the request can't be read" in err


def test_unusable_data_end_the_job_and_exit_0(tmp_path: Path) -> None:
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request(tmp_path))
    process.stdin.flush()
    events = [Event.model_validate_json(line) for line in process.stdout]
    assert process.wait(timeout=60) == 0
    process.stdin.close()
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    last = events[-1].payload
    assert last.kind == "job-finished"
    assert (last.state, last.reason) == ("FAILED", "FILE_MISSING")
    assert "absent.csv" in last.message
    assert str(tmp_path) not in last.message


def test_the_end_of_its_input_ends_it_with_exit_3(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.csv"
    os.mkfifo(pipe)  # preparing waits for its first byte, so the process is in the middle of its work
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request(tmp_path, dataset={"path": str(pipe), "filename": "slow.csv", "info": None}))
    process.stdin.flush()
    assert "PREPARING" in process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=60) == 3
