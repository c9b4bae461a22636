"""A world in which thousands of epochs take milliseconds: a virtual clock, an executor of synthetic learning curves, and the
rest of the engine as plain functions. What a recipe is worth is a fixed function of its parameters."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from automl import job as controller
from automl.catalog import space as spaces
from automl.execution.executor import Busy, Ended, Epoch, Report, Work
from automl.search.budget import SPREAD
from automl.search.control import Control
from automl.search.engine import Engine
from automl.search.supernets import ENTRY
from automl.spec import (
    Artifact,
    ArtifactPoint,
    Budget,
    Event,
    FormatRequest,
    Found,
    Internal,
    JobSpec,
    JobState,
    Measurement,
    Modality,
    Outcome,
    Profile,
    Recipe,
    Refused,
    SearchSettings,
    Verification,
)
from automl.spec.event import ArtifactMade, ArtifactRefused
from automl.training.pacing import Pace
from automl.training.result import RESULT_FILE, TrainResult

TABLE = Profile(
    modality=Modality.TABLE, task="tabular-classification", rows=10_000, numeric=8, categorical=4, cardinality_max=12,
    classes=2, class_min=2_000, imbalance=4.0, outputs=2,
)
NUMBERS = Profile(modality=Modality.TABLE, task="tabular-regression", rows=10_000, numeric=8, outputs=1)
PICTURES = Profile(
    modality=Modality.IMAGE, task="image-classification", rows=50_000, classes=10, class_min=5_000, outputs=10,
    image_shape=(32, 32, 3),
)

TRUTH = (np.random.default_rng(3).random(400) < 0.3).astype(np.int32)


CHOSEN = (
    "mlp", "tabm", "adamw", "adam", "sgd-momentum", "rmsprop", "relu", "swish", "gelu", "elu", "dropout", "tabular-noise",
    "batch-norm", "layer-norm", "glorot", "one-cycle", "cosine-decay", "label-smoothing", "mixup", "ema", "quantile-scaling",
    "gradient-centralization",
)
"""What samplers are compared on, so that a technique more in the catalogue doesn't tip a comparison."""


def table_space(settings: SearchSettings | None = None) -> spaces.Space:
    return spaces.derive("tabular-classification", TABLE, settings or SearchSettings(allow=CHOSEN))


def worth(recipe: Recipe) -> float:
    """The score that a recipe reaches in the end: best at a learning rate of 3e-3, width 256, depth 2, dropout near 0.2."""
    value = 0.9
    for choice in recipe.techniques:
        if "learning_rate" in choice.params:
            value -= 0.05 * abs(math.log10(float(choice.params["learning_rate"]) / 3e-3))
        if choice.id == "dropout":
            value += 0.01 - 0.05 * abs(float(choice.params.get("rate", 0.1)) - 0.2)
        if choice.id in ("swish", "gelu"):
            value += 0.01
    width = float(recipe.architecture.params.get("width", 64))
    value -= 0.01 * abs(math.log2(width / 256))
    value -= 0.01 * abs(int(recipe.architecture.params.get("depth", 2)) - 2)
    luck = int(hashlib.sha256(f"{recipe.seed}{recipe.identity}".encode()).hexdigest()[:6], 16) / 2**24
    return value + 0.004 * (luck - 0.5)


ROUNDS = 8
"""Of a supernet."""


class VirtualClock:
    """Time that passes only when the executor waits."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.on_time: Callable[[float], None] = lambda now: None

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def wait(self, event: threading.Event, timeout_s: float) -> None:
        self.seconds += timeout_s
        self.on_time(self.seconds)


@dataclasses.dataclass
class World:
    """How long things take and what goes wrong."""

    setup_s: float = 1.0
    epoch_s: Callable[[Work], float] = lambda work: 0.5
    fails: Callable[[Work], Outcome | None] = lambda work: None
    """The outcome of an attempt that goes wrong in its second epoch; None for one that doesn't."""
    parameters: Callable[[Recipe], int] = lambda recipe: 50_000
    file: Callable[[Recipe], tuple[float, int]] = lambda recipe: (0.0, 50_000)
    """What a recipe's score loses as a file, and the file's bytes."""
    judged_s: float = 1.0
    """To find that out."""


@dataclasses.dataclass
class _Run:
    work: Work
    slot: int
    began: float
    next_at: float
    epoch: int = 0
    waiting: bool = False
    best: float | None = None
    best_epoch: int | None = None
    stopped: bool = False
    pace: Pace | None = None


class FakeExecutor:
    """Keeps the executor's contract on a virtual clock."""

    machine = "a machine of the mind"
    spreads = True

    def __init__(self, clock: VirtualClock, world: World, slots: int = 2):
        self._clock = clock
        self._world = world
        self._slots = slots
        self._runs: dict[str, _Run] = {}
        self._reports: list[Report] = []
        self.started: list[Work] = []
        self.closed = False
        self.most_at_once = 0
        self.on_time: Callable[[float], None] = lambda now: None
        """Called whenever time has passed."""

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def running(self) -> frozenset[str]:
        return frozenset(self._runs) | {r.trial for r in self._reports if isinstance(r, Ended)}

    @property
    def taken(self) -> int:
        return sum(work.slots for work in {w.trial: w for w in self.started}.values() if work.trial in self.running)

    def start(self, work: Work) -> int:
        if self.closed:
            raise RuntimeError("closed")
        if work.trial in self._runs:
            raise ValueError(f"{work.trial} runs already")
        if not 1 <= work.slots <= self._slots:
            raise ValueError(f"{work.trial} wants {work.slots} of {self._slots} slots")
        if sum(run.work.slots for run in self._runs.values()) + work.slots > self._slots:
            raise Busy("too few slots are free")
        taken = {run.slot for run in self._runs.values()}
        slot = min(set(range(self._slots)) - taken)
        now = self._clock.now()
        run = _Run(work, slot, now, now + self._world.setup_s + self._epoch_s(work))
        mark = work.workdir / "epochs"
        if mark.is_file():
            run.epoch = int(mark.read_text())
        elif work.init_from is not None and (work.init_from / "epochs").is_file() and work.part == "train":
            run.epoch = int((work.init_from / "epochs").read_text())
        if work.pace is not None:
            last = math.inf if work.deadline is None else work.deadline
            run.pace = Pace(work.pace, last, work.fidelity.epochs, 1)
            run.pace.begin(run.epoch, run.epoch, now + self._world.setup_s)
        self._runs[work.trial] = run
        self.started.append(work)
        self.most_at_once = max(self.most_at_once, len(self._runs))
        return slot

    def poll(self, timeout_s: float) -> list[Report]:
        if not self._reports and not self._runs:
            return []
        if not self._reports:
            end = self._clock.now() + timeout_s
            due = sorted((run.next_at, run.work.trial) for run in self._runs.values() if not run.waiting)
            if due and due[0][0] <= end:
                self._clock.seconds = max(self._clock.now(), due[0][0])
                self._advance(self._runs[due[0][1]])
            else:
                self._clock.seconds = end
            self.on_time(self._clock.now())
        reports, self._reports = self._reports, []
        return reports

    def answer(self, trial: str, attempt: int, go_on: bool) -> bool:
        run = self._runs.get(trial)
        if run is None or run.work.attempt != attempt or not run.waiting:
            return False
        run.waiting = False
        epochs = run.work.fidelity.epochs if run.pace is None else run.pace.epochs
        if run.epoch >= (ROUNDS if run.work.entry == ENTRY else 1 if run.work.entry else epochs):
            self._end(run, Outcome.COMPLETED)
        elif not go_on:
            self._end(run, Outcome.PRUNED)
        else:
            run.next_at = self._clock.now() + self._epoch_s(run.work)
        return True

    def stop(self, trial: str, grace_s: float = 0.0) -> None:
        if trial in self._runs:
            self._end(self._runs[trial], Outcome.PRUNED)

    def resize(self, slots: int) -> None:
        self._slots = slots

    def close(self) -> None:
        self._runs.clear()
        self.closed = True

    def run_in_child(self, *args: Any, **more: Any) -> dict[str, Any]:
        raise AssertionError("the fake engine needs no children")

    def _epoch_s(self, work: Work) -> float:
        return self._world.epoch_s(work) * work.fidelity.data_fraction / work.slots**SPREAD

    def _advance(self, run: _Run) -> None:
        work = run.work
        if work.deadline is not None and self._clock.now() > work.deadline:
            self._end(run, Outcome.PRUNED)
            return
        failure = self._world.fails(work)
        if failure is not None and run.epoch >= min(2, work.fidelity.epochs) - 1:
            self._end(run, failure)
            return
        run.epoch += 1
        if run.pace is not None:
            run.pace.after(run.epoch, self._clock.now())
        share = run.epoch / work.recipe.epochs * work.fidelity.data_fraction
        score = worth(work.recipe) * (1 - math.exp(-4 * share))
        if work.part != "train" and work.init_from is not None:
            score = worth(work.recipe)
        if run.best is None or score > run.best:
            run.best, run.best_epoch = score, run.epoch
        work.workdir.mkdir(parents=True, exist_ok=True)
        (work.workdir / "epochs").write_text(str(run.epoch))
        elapsed = self._clock.now() - run.began
        run.waiting = True
        self._reports.append(
            Epoch(
                work.trial, work.attempt,
                Measurement(
                    epoch=run.epoch, train_loss=1.0 - share, validation={"roc-auc": score}, score=score, elapsed_s=elapsed,
                    step_s=max(0.0, elapsed - self._world.setup_s),
                ),
            )
        )

    def _end(self, run: _Run, outcome: Outcome) -> None:
        work = run.work
        del self._runs[work.trial]
        usable = outcome in (Outcome.COMPLETED, Outcome.PRUNED) and run.best is not None
        paced = run.epoch if run.pace is not None and outcome == Outcome.COMPLETED and work.part == "train" else None
        recipe = work.recipe if paced is None else work.recipe.changed(epochs=paced)
        result = None
        wall = self._clock.now() - run.began
        point = None
        if usable and work.judge is not None and work.judge.wants(run.best or 0.0, wall, math.inf):
            loss, size = self._world.file(work.recipe)
            self._clock.seconds += self._world.judged_s
            wall += self._world.judged_s
            point = ArtifactPoint(
                precision=work.judge.precision, value=0.5 - loss, float_value=0.5, rows=500, size_bytes=size, latency_ms=0.1,
                wall_s=self._world.judged_s,
            )
        if usable or outcome == Outcome.NAN:
            seen = work.part != "train"
            score = None if run.best is None else run.best + (0.01 if seen else 0.0)
            result = TrainResult(
                outcome=outcome, recipe=recipe.identity, part=work.part, metric=work.metric, fidelity=work.fidelity,
                epochs_done=run.epoch, schedule_epochs=paced, best_epoch=run.best_epoch if usable else None,
                score=score if usable else None,
                validation={"roc-auc": score} if usable and score is not None else {}, validation_seen=seen, artifact=point,
                parameters=self._world.parameters(work.recipe), size_bytes=4 * self._world.parameters(work.recipe),
            )
        if usable and result is not None:
            work.workdir.mkdir(parents=True, exist_ok=True)
            (work.workdir / RESULT_FILE).write_text(result.model_dump_json())
            (work.workdir / "recipe.json").write_bytes(recipe.canonical_json())
        message = "" if outcome in (Outcome.COMPLETED, Outcome.PRUNED) else f"planted {outcome}"
        self._reports.append(
            Ended(
                work.trial, work.attempt, outcome, message, result, run.slot, wall, max(0.0, wall - self._world.setup_s)
            )
        )


@dataclasses.dataclass
class Meta:
    task: str = "tabular-classification"
    modality: Modality = Modality.TABLE
    target: str = "y"
    classes: tuple[str, ...] = ("no", "yes")
    parts: dict[str, int] = dataclasses.field(
        default_factory=lambda: {"train": 10_000, "validation": 2_000, "test": 2_000}
    )
    profile: Profile = TABLE
    findings: tuple[Any, ...] = ()
    key: str = "k" * 64


@dataclasses.dataclass
class Theatre:
    """A job on a stage: run it, look at its events, run it again from any of them."""

    workdir: Path
    spec: JobSpec = dataclasses.field(default_factory=lambda: spec())
    world: World = dataclasses.field(default_factory=World)
    slots: int = 2
    seed: int = 5
    meta: Meta = dataclasses.field(default_factory=Meta)
    clock: VirtualClock = dataclasses.field(default_factory=VirtualClock)
    deliver_s: float = 10.0
    blend_s: float = 1.0
    blend_gain: float = 0.01
    blend_fails: bool = False
    refuses: Callable[[Recipe, TrainResult], str] = lambda recipe, result: ""
    """Why a model's files can't be delivered; nothing for one whose files can."""
    conversions: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    score: Callable[..., dict[str, Any]] = lambda recipes, prepared, seconds: {
        "scores": [{"naswot": worth(r), "synflow": worth(r), "grad-norm": worth(r)} for r in recipes],
        "seconds": [0.1] * len(recipes), "faults": [""] * len(recipes),
    }
    found: Callable[[Path], list[Found]] = lambda folder: []
    on_time: Callable[[float, Control], None] = lambda now, control: None
    on_event: Callable[[Event, Control], None] = lambda event, control: None
    deadline: float | None = None

    def __post_init__(self) -> None:
        self.executors: list[FakeExecutor] = []

    def run(self, past: Iterable[Event] = (), stop_after: int | None = None) -> list[Event]:
        """Runs the controller and returns all events, the past ones first. `stop_after`: killed after as many new ones."""
        events = list(past)
        if self.deadline is None:
            self.deadline = self.clock.wall() + self.spec.budget.wall_s
        control = Control(self.slots)
        new = 0

        def write(event: Event) -> None:
            nonlocal new
            if stop_after is not None and new >= stop_after:
                raise Killed
            new += 1
            events.append(Event.model_validate_json(event.model_dump_json()))
            self.on_event(event, control)

        request = controller.Request(
            job="job-1", spec=self.spec, workdir=str(self.workdir), dataset={"path": "d.csv", "filename": "d.csv"},
            events=tuple(events), slots=self.slots, deadline_epoch_s=self.deadline, seed=self.seed,
        )
        try:
            self.code = controller.Job(request, control, write, self.engine(control)).run()
        except Killed:
            self.code = -9
        return events

    def engine(self, control: Control) -> Engine:
        def prepare(spec: JobSpec, task: str, dataset: Any, test_dataset: Any, folder: Path) -> Any:
            self.prepare()
            return SimpleNamespace(path=folder, meta=self.meta, target=lambda part: TRUTH)

        def executor(slots: int, log: Path) -> Any:
            made = FakeExecutor(self.clock, self.world, slots)
            made.on_time = self.clock.on_time = lambda now: self.on_time(now, control)
            self.executors.append(made)
            return made

        def predictions(folder: Path) -> Any:
            """Probabilities that are the nearer to the truth the better the model, with noise of its own."""
            result = TrainResult.model_validate_json((folder / RESULT_FILE).read_text())
            noise = np.random.default_rng(int(result.recipe[:8], 16)).normal(size=len(TRUTH))
            positive = 1 / (1 + np.exp(-(2 * TRUTH - 1 + (1.6 - (result.score or 0)) * noise)))
            return np.stack([1 - positive, positive], axis=1).astype(np.float32)

        def blend(members: list[Path], prepared: Path, recipe: Recipe, *, metric: str, out: Path, **more: Any) -> float:
            self.clock.seconds += self.blend_s
            if self.blend_fails:
                raise Internal("planted")
            accounts = [TrainResult.model_validate_json((m / RESULT_FILE).read_text()) for m in members]
            score = max(a.score or 0.0 for a in accounts) + self.blend_gain
            out.mkdir(parents=True, exist_ok=True)
            (out / "recipe.json").write_bytes(recipe.canonical_json())
            (out / RESULT_FILE).write_text(
                accounts[0].changed(recipe=recipe.identity, part="folds", score=score).model_dump_json()
            )
            return score

        def compress(candidate: Path, prepared: Any, *, deadline: float, **more: Any) -> Path:
            if self.clock.seconds + 5.0 <= deadline:  # else a rung isn't begun
                self.clock.seconds += 5.0
            return candidate

        def deliver(candidate: Path, prepared: Any, *, formats: Any, emit: Any, scratch: Path, **more: Any) -> Any:
            self.clock.seconds += 0.35 * self.deliver_s  # the estimate is of a busy machine, and this one is idle
            scratch.mkdir(parents=True, exist_ok=True)
            (scratch / "test.json").write_text(json.dumps({"roc-auc": 0.88}))
            recipe = Recipe.from_dict(json.loads((candidate / "recipe.json").read_text()))
            result = TrainResult.model_validate_json((candidate / RESULT_FILE).read_text())
            if reason := self.refuses(recipe, result):
                refused = [Refused(format=f.format, precision=f.precision, reason=reason) for f in formats]
                for one in refused:
                    emit(ArtifactRefused(refused=one))
                return refused
            made = [artifact(f) for f in formats]
            for one in made:
                emit(ArtifactMade(artifact=one))
            return made

        return Engine(
            prepare=prepare, executor=executor, predictions=predictions, blend=blend, compress=compress, deliver=deliver,
            deliver_estimate_s=lambda *a, **k: self.deliver_s,
            compress_estimate_s=lambda formats, forced=(): 6.0 + 50.0 * ("rl-sac" in forced),
            score=self.score, found=self.found, foresight=lambda device, profile, formats, cache: None,
            convertible=lambda space, prepared, formats, **more: self.conversions,
            keep=lambda candidate, prepared, out, **more: None,
            held_out=lambda scratch: json.loads((scratch / "test.json").read_text()),
            render=lambda state, spec, **more: "<html></html>", clock=self.clock,
        )

    @property
    def executor(self) -> FakeExecutor:
        return self.executors[-1]


class Killed(BaseException):
    """kill -9 of the controller."""


def spec(**changes: Any) -> JobSpec:
    search = changes.pop("search", SearchSettings(strategy="random"))
    return JobSpec(
        task=changes.pop("task", "tabular-classification"), dataset="projects/p/datasets/d@1", metric="roc-auc",
        budget=Budget(wall_s=changes.pop("wall_s", 120.0), max_trials=changes.pop("max_trials", None)), search=search,
        formats=changes.pop("formats", (FormatRequest(format="tflite", precision="float32"),)), **changes,
    )


def artifact(wanted: FormatRequest) -> Artifact:
    return Artifact(
        id=str(wanted).replace(":", "-"), format=wanted.format, precision=wanted.precision, filename="model.tflite",
        size_bytes=1000, compressed_bytes=900, sha256="0" * 64, parameters=100,
        verification=Verification(
            part="test", rows=10, metric="roc-auc", float_value=0.88, artifact_value=0.88, agreement=1.0, max_difference=0.0,
            tolerance=0.01, passed=True, runtime="none",
        ),
    )


def fold(events: Iterable[Event]) -> JobState:
    return JobState.fold(events)
