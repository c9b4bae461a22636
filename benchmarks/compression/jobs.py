"""Whole jobs by the command line, and what was delivered measured independently."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.mainjob.__main__ import AUTOML, User

INDEPENDENT = Path(__file__).with_name("independent.py")


@contextlib.contextmanager
def place() -> Iterator[tuple[User, Path]]:
    """A user with a home and a server of their own, and a folder."""
    with tempfile.TemporaryDirectory(prefix="compression-") as name:
        work = Path(name)
        user = User(work / "home")
        user.home.mkdir()
        try:
            yield user, work
        finally:
            user.stop()


def submitted(user: User, out: Path, *arguments: str, budget_s: float, seed: int) -> dict[str, Any]:
    """The job's line of JSON, also of one that failed."""
    done = subprocess.run(
        [str(AUTOML), "submit", *arguments, "--budget", f"{budget_s:g}s", "--seed", str(seed), "--json", "--out", str(out)],
        env=user.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * budget_s + 300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"automl submit ended with {done.returncode} and no result:\n{done.stderr[-1500:]}")
    return {**json.loads(lines[-1]), "said": done.stderr[-1500:], "returncode": done.returncode}


def measured(file: Path) -> dict[str, Any]:
    """By a script in a process of its own. Raises `RuntimeError` where the file can't be run."""
    command = [sys.executable, str(INDEPENDENT), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{file.name} can't be run: {done.stderr[-1000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
