"""The contract between a job's controller and whatever runs its trials.

One thread drives an executor: `start` fills free slots, `poll` brings reports, `answer` says after every epoch whether the
trial goes on.

    executor.start(work)                    the executor owns the trial's process from here …
    for report in executor.poll(1.0):
        Epoch  → executor.answer(report.trial, report.attempt, go_on)
        Ended  → …                          … until it has reported its end, exactly once; the slot is free again

What every implementation keeps (`tests/unit/execution/test_contract.py` proves it for each):

- **Ownership.** From `start` until its `Ended` is returned by `poll`, a trial is the executor's: nobody else writes to its
  workdir. After `Ended` no process of that attempt is alive, so the same workdir may be given to the next attempt.
- **One end.** Each started attempt is ended by exactly one `Ended`, whatever happens to its worker, and no `Epoch` of that
  attempt comes after it. Epochs of an attempt come in order.
- **Lockstep.** A worker that has reported an epoch does nothing more until it has its answer, so a decision is never late.
- **Late answers.** An answer to an attempt that isn't waiting for one (it has ended, or is an older attempt) is ignored and
  `answer` returns False. The caller can't avoid such races, so they are no error.
- **No retries.** The executor classifies and reports. Whether a lost trial gets its next attempt (same trial and workdir,
  `attempt + 1`: it goes on from its last checkpoint), or one that ran out of memory gets half the batch
  (`batch_scale = 0.5`), is the caller's decision.
- **Failures of trials are reports, not exceptions.** `start` raises `Busy` when too few slots are free, `ValueError` when
  that trial runs already or may not hold so many, `RuntimeError` after `close`, and `automl.spec.Unavailable` when no
  worker can be started at all.
  `poll` and `stop` raise none of a trial's errors.
- **No orphans.** `close` ends every worker; so does the death of the process that holds the executor, however it dies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from automl.spec import AutoMLError, Fidelity, Measurement, Outcome, Recipe
from automl.spec.recipe import ParameterValue
from automl.training.result import TrainResult


class Busy(AutoMLError):
    """`start` was called with too few slots free."""

    reason = "NO_FREE_SLOT"


@dataclasses.dataclass(frozen=True)
class Judge:
    """How a trial is measured as a file at its end, if there is time for it (`automl.search.judging`)."""

    precision: str
    """Of the TFLite file."""
    seed: int
    bar: float | None
    """The best score so far; what doesn't pass it is measured where there is time for two."""
    needed_s: float
    """What it takes, about."""
    share: float
    """Of the training's own time that may be spent…"""
    allowed_s: float
    """… with what earlier trials have left, or overdrawn."""
    max_size_bytes: int | None = None
    """The limit of the file's size, if there is one: what travels in it turns on that."""

    def wants(self, score: float, wall_s: float, left_s: float) -> bool:
        """Whether a training that took `wall_s` and has `left_s` until its deadline is measured."""
        affordable_s = self.allowed_s + self.share * wall_s
        needed_s = self.needed_s * (1 if self.bar is None or score > self.bar else 2)
        return needed_s <= affordable_s and self.needed_s <= left_s


@dataclasses.dataclass(frozen=True)
class Work:
    """One attempt at a trial: all that a worker needs."""

    trial: str
    """Id, unique among those running."""
    recipe: Recipe
    fidelity: Fidelity
    prepared: Path
    """Folder of the prepared data (`automl.data.prepared.PreparedDataset.open`)."""
    metric: str
    """Id of the metric that the score is."""
    workdir: Path
    """Folder of the trial: candidate, checkpoints, `trial.log`. Kept between attempts; made when absent."""
    attempt: int = 1
    part: str = "train"
    """Rows to train on: "train", "train+validation", or all but a fold (see `automl.data.prepared.Part`)."""
    deadline: float | None = None
    """On the clock of `time.monotonic()` of this machine: training stops there with the best so far (PRUNED). A worker
    that hasn't ended `grace_s` (the executor's) after it is killed: TIMED_OUT, or, where it was measuring its file, what its
    training came to."""
    pace: float | None = None
    """On the same clock: the training is paced to end by then (see `train(pace=…)`)."""
    memory_bytes: int | None = None
    """Limit on the worker's resident memory; beyond it the attempt is ended as OOM."""
    room_bytes: int | None = None
    """Memory that its slot offers, filled in by the executor: a training whose steps can't fit into it is refused before the
    first one."""
    init_from: Path | None = None
    """Folder of another trial of the same recipe to go on from (see `train(continue_from=…)`)."""
    batch_scale: float = 1.0
    """Factor on the recipe's batch size: 0.5 after an OOM."""
    entry: str = ""
    """"module:function" that the worker runs in the place of the executor's own (a supernet's search)."""
    settings: Mapping[str, ParameterValue] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    """For such an entry."""
    judge: Judge | None = None
    """None: the trial is judged by the float model alone."""
    slots: int = 1
    """How many it holds; it has the cores of all of them. More than one only where the executor `spreads`."""


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A trial has finished an epoch and waits for its answer."""

    trial: str
    attempt: int
    measurement: Measurement


@dataclasses.dataclass(frozen=True)
class Ended:
    """An attempt is over and its slot free."""

    trial: str
    attempt: int
    outcome: Outcome
    message: str
    """For people: why it ended, with the exception's line or the signal's name; empty when it simply completed."""
    result: TrainResult | None
    """What the training wrote. None when the worker didn't come to write it (LOST, OOM, TIMED_OUT, ERROR, or stopped)."""
    slot: int = 0
    wall_s: float = 0.0
    """From `start` to the end of the process: the slot's time."""
    step_s: float = 0.0
    """Of it, in training and evaluation steps, as far as was reported."""
    peak_bytes: int | None = None
    """Largest resident memory of the worker that was seen."""


Report = Epoch | Ended


class Executor(Protocol):
    """Runs trials, each in a slot of its own or in several."""

    @property
    def slots(self) -> int:
        """How many trials may run at once that hold one each; may be changed by `resize`."""

    @property
    def running(self) -> frozenset[str]:
        """Ids of the trials that this executor owns now."""

    @property
    def taken(self) -> int:
        """How many slots they hold."""

    @property
    def spreads(self) -> bool:
        """Whether a trial gains by holding several slots: where they are cores."""

    @property
    def machine(self) -> str:
        """What the trials run on, as a line for reports."""

    def start(self, work: Work) -> int:
        """Starts an attempt in as many free slots as it holds, and returns the first one's number, counted from 0. Returns
        at once."""

    def poll(self, timeout_s: float) -> list[Report]:
        """Reports since the last call, in the order in which they came; waits up to `timeout_s` for the first one.
        Returns early and empty when nothing is running."""

    def answer(self, trial: str, attempt: int, go_on: bool) -> bool:
        """Answers the epoch that `trial` waits on. `go_on=False` ends it as PRUNED with the best epoch's candidate written.
        False when nobody waited for it."""

    def stop(self, trial: str, grace_s: float = 0.0) -> None:
        """Ends a running trial; `poll` reports it as PRUNED. Within `grace_s` it may stop by itself and write its
        candidate, then it is killed (its checkpoints stay). A trial that isn't running is ignored."""

    def resize(self, slots: int) -> None:
        """Changes the number of slots. Trials in slots that are gone run to their end; nothing new starts there."""

    def close(self) -> None:
        """Kills what runs, waits until it is gone, and frees everything. May be called twice."""
