"""Trainings, each in a process of its own, and the file that remembers them: one line of JSON a run.

A run is known by set, metric and recipe (with seed, fold and epochs), so a baseline that many comparisons share is trained
once, and a benchmark that was broken off goes on where it was.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from automl.data.prepared import PreparedDataset
from automl.spec import Fidelity, Outcome, Recipe


@dataclasses.dataclass(frozen=True)
class Run:
    """What one training showed."""

    key: str
    outcome: str
    score: float | None
    """Of the best epoch on the held-out fold, larger is better; None where the training failed."""
    epoch_cpu_s: float | None
    """Median processor time of an epoch after the first, which compiles: other work on the machine hardly shows in it."""
    epoch_s: float | None
    """The same by the clock."""
    wall_s: float
    message: str = ""


def key(set_name: str, metric: str, recipe: Recipe) -> str:
    return f"{set_name} {metric} {recipe.identity}"


class Ledger:
    """The runs so far, in memory and in a file to which lines are appended. Of one commit: code makes the figures."""

    def __init__(self, path: Path):
        self.path = path
        self.runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        if path.exists():
            whole = path.read_bytes()
            # What a kill left of the last line is dropped, so that the next one isn't appended to it.
            kept = whole[: whole.rfind(b"\n") + 1]
            if kept != whole:
                path.write_bytes(kept)
            for line in kept.decode("utf-8").splitlines():
                run = Run(**json.loads(line))
                self.runs[run.key] = run

    def get(self, key: str) -> Run | None:
        return self.runs.get(key)

    def add(self, run: Run) -> None:
        """Keeps a run; durable when it returns."""
        with self._lock:
            self.runs[run.key] = run
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(run)) + "\n")
                file.flush()
                os.fsync(file.fileno())


def train(
    key: str, recipe: Recipe, prepared: Path, metric: str, *, limit_s: float, epochs: int | None = None
) -> Run:
    """Trains in a forked process, all `epochs` of the recipe's schedule or so many; one that dies or takes too long is a
    failed run, not a failed benchmark."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "benchmarks.techniques.preload"])
    work = Path(tempfile.mkdtemp(prefix="technique-"))
    began = time.monotonic()
    try:
        process = context.Process(target=_child, args=(recipe.to_dict(), str(prepared), metric, str(work), epochs))
        process.start()
        process.join(limit_s)
        if process.is_alive():
            process.kill()
            process.join()
            return Run(key, str(Outcome.TIMED_OUT), None, None, None, time.monotonic() - began, f"longer than {limit_s:g} s")
        told = work / "told.json"
        if not told.exists():
            message = f"the process ended with {process.exitcode}"
            return Run(key, str(Outcome.LOST), None, None, None, time.monotonic() - began, message)
        return Run(key=key, wall_s=round(time.monotonic() - began, 3), **json.loads(told.read_text(encoding="utf-8")))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _child(recipe: dict[str, Any], prepared: str, metric: str, work: str, epochs: int | None) -> None:
    """Trains and tells the figures in a file."""
    from automl.training import trainer

    clocks: list[tuple[float, float]] = []

    def on_epoch(measurement: Any) -> bool:
        clocks.append((time.process_time(), time.monotonic()))
        return True

    made = Recipe.from_dict(recipe)
    told: dict[str, Any] = {"outcome": str(Outcome.ERROR), "score": None, "epoch_cpu_s": None, "epoch_s": None}
    try:
        result = trainer.train(
            made, PreparedDataset.open(Path(prepared)), fidelity=Fidelity(epochs=epochs or made.epochs), metric=metric,
            workdir=Path(work) / "run", on_epoch=on_epoch, part=made.part, resume=False,
        )
        told |= {"outcome": str(result.outcome), "score": result.score, "message": result.message}
    except Exception as fault:  # noqa: BLE001  # whatever it is, it is this run's result, and the message names it
        told["message"] = f"{type(fault).__name__}: {fault}"[:500]
    if len(clocks) > 1:
        steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(clocks)]
        told["epoch_cpu_s"], told["epoch_s"] = (round(statistics.median(s), 5) for s in zip(*steps))
    (Path(work) / "told.json").write_text(json.dumps(told), encoding="utf-8")
