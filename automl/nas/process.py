"""The process of a supernet: it trains one on a slot, as a worker trains a trial, and writes down what it found.

A search lasts for its `seconds` of slot time, or for so many `steps` where the settings name them (then it is repeatable).
It goes in `ROUNDS` rounds. After each one the controller hears a measurement and says whether to go on, and the weights are
checkpointed, so that a search that was killed loses one round at most; the seconds count over all attempts.

Files in the folder: checkpoint.npz (and the generation before), found.json.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from automl.catalog import compose
from automl.data.prepared import PreparedDataset
from automl.execution.executor import Work
from automl.execution.worker import Session
from automl.nas.method import Ground, Method
from automl.spec import Fidelity, Found, Measurement, Outcome
from automl.training import backends, checkpoint, samples
from automl.training.result import TrainResult

METHODS = {
    "darts": "automl.nas.darts:Darts", "proxylessnas": "automl.nas.proxyless:Proxyless",
    "once-for-all": "automl.nas.once_for_all:OnceForAll",
}
"""Id of a strategy → "module:class" of its method."""
ROUNDS = 20
LAST_WORDS_S = 10.0
"""Kept before the deadline, for the last round's figures."""
CHECKPOINT_S = 5.0
"""Least time between two checkpoints."""
FOUND = "found.json"

_log = logging.getLogger(__name__)


def search(work: Work, session: Session, threads: int) -> TrainResult:
    """The entry of a worker (see `automl.execution.worker`). `work.settings` holds "method", "seconds", perhaps "steps", and
    the method's own."""
    return Run(work, session, threads).result()


def read(folder: Path) -> list[Found]:
    """What a search found; nothing where it was ended before its first round."""
    path = folder / FOUND
    return [Found.from_dict(one) for one in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


class Run:
    """One attempt at a search."""

    def __init__(self, work: Work, session: Session, threads: int):
        self.began = time.monotonic()
        self.work, self.session = work, session
        work.workdir.mkdir(parents=True, exist_ok=True)
        self.seconds = float(work.settings["seconds"])
        self.steps = int(work.settings.get("steps", 0))
        backends.limit_threads(threads)
        quick_graphs()
        self.method = _method(work)
        self.spent_s, self.steps_done, self.rounds = 0.0, 0, 0
        """Of earlier attempts, then of all."""
        self.step_s = 0.0
        self.saved_at = -math.inf
        if (point := checkpoint.newest(work.workdir, dict)) is not None:
            self._restore(point)
        self.before_s = self.spent_s
        if work.deadline is not None:
            # What it took to begin belongs to the seconds, and so do the last words.
            self.seconds = min(self.seconds, self.before_s + max(1.0, work.deadline - LAST_WORDS_S - self.began))
        self.session.beat()
        self.method.trace()
        self.session.beat()

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.steps:
            return min(1.0, self.steps_done / self.steps)
        return min(1.0, (self.before_s + time.monotonic() - self.began) / self.seconds)

    def result(self) -> TrainResult:
        """Trains until the end and writes what was found."""
        try:
            outcome, message = self._rounds()
        except FloatingPointError as fault:
            outcome, message = Outcome.NAN, str(fault)
        if outcome in (Outcome.COMPLETED, Outcome.PRUNED) and self.steps_done:
            self._save()
            self.method.leave(self.work.workdir)
            message = "; ".join(phrase for phrase in (message, self.method.remark()) if phrase)
        return TrainResult(
            outcome=outcome, message=message, recipe=self.work.recipe.identity, part=self.work.part, metric=self.work.metric,
            fidelity=Fidelity(epochs=ROUNDS), epochs_done=self.rounds, wall_s=time.monotonic() - self.began,
            step_s=self.step_s,
        )

    def _rounds(self) -> tuple[Outcome, str]:
        losses: list[float] = []
        while self.progress < 1.0:
            if self.work.deadline is not None and time.monotonic() >= self.work.deadline:
                return Outcome.PRUNED, "the deadline came"
            if self.session.should_stop():
                return Outcome.PRUNED, "it was told to stop"
            start = time.monotonic()
            losses.append(self.method.step(self.progress))
            self.step_s += time.monotonic() - start
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"the supernet's loss became NaN or infinite in round {self.rounds + 1}")
            self.steps_done += 1
            self.session.beat()
            if self.progress * ROUNDS >= self.rounds + 1 or self.progress >= 1.0:
                if not self._measure(losses):
                    return Outcome.PRUNED, f"stopped after round {self.rounds}"
                if why := self.method.over():
                    return Outcome.COMPLETED, why
                losses = []
        if losses:
            self._measure(losses)  # the time ran out between a step and the look at the clock
        return Outcome.COMPLETED, ""

    def _measure(self, losses: list[float]) -> bool:
        """Ends a round; whether to go on."""
        start = time.monotonic()
        values, score = self.method.measured()
        self.step_s += time.monotonic() - start
        # Several rounds may have gone by in one long step.
        self.rounds = max(self.rounds + 1, min(ROUNDS, math.floor(self.progress * ROUNDS)))
        if time.monotonic() - self.saved_at >= CHECKPOINT_S:
            self._save()
        return self.session.epoch(Measurement(
            epoch=self.rounds, train_loss=float(np.mean(losses)), validation={**values, "steps": float(self.steps_done)},
            score=score, elapsed_s=time.monotonic() - self.began, step_s=self.step_s,
        ))

    def _save(self) -> None:
        """Checkpoint and what was found so far."""
        self.spent_s = self.before_s + time.monotonic() - self.began
        position = {
            "recipe": self.work.recipe.identity, "spent_s": self.spent_s, "steps": self.steps_done, "rounds": self.rounds,
            "method": self.method.state(),
        }
        arrays = {f"variable:{i}": np.array(np.asarray(v.value)) for i, v in enumerate(self.method.variables)}
        arrays["position"] = np.frombuffer(json.dumps(position).encode(), np.uint8)
        checkpoint.write_arrays(self.work.workdir, arrays)
        said = json.dumps([found.to_dict() for found in self.method.found()])
        temporary = self.work.workdir / f"{FOUND}.partial"
        temporary.write_text(said, encoding="utf-8")
        temporary.replace(self.work.workdir / FOUND)
        self.saved_at = time.monotonic()

    def _restore(self, arrays: dict[str, Any]) -> None:
        position = json.loads(arrays["position"].tobytes())
        if position["recipe"] != self.work.recipe.identity:
            _log.warning("the checkpoint in %s is of another recipe and counts as absent", self.work.workdir.name)
            return
        for i, variable in enumerate(self.method.variables):
            variable.assign(arrays[f"variable:{i}"])
        self.spent_s, self.steps_done, self.rounds = position["spent_s"], position["steps"], position["rounds"]
        self.method.restore(position["method"])


def quick_graphs() -> None:
    """Leaves the graphs of this process as they are built: rewriting those of a supernet, thousands of small operations,
    took 12 seconds where a step takes 0.15, and won nothing."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _method(work: Work) -> Method:
    prepared = PreparedDataset.open(work.prepared)
    plan = compose.plan_of(work.recipe, prepared.meta.profile)
    rows = samples.load(prepared, plan, work.part, Fidelity(epochs=1), work.recipe.seed)
    ground = Ground(work.recipe, plan, prepared.meta, rows, dict(work.settings), work.metric)
    module, _, name = METHODS[str(work.settings["method"])].partition(":")
    made: Method = getattr(importlib.import_module(module), name)(ground)
    return made
