"""What happens in a job, as numbered facts that are appended and never changed.

A job's state is the fold of its events (`JobState.fold`), so a restarted job goes on from them, and a watcher resumes after
the last one that it saw. The controller writes events as JSON lines; the store numbers them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Literal, Union

import pydantic

from automl.spec.artifact import Artifact, Refused
from automl.spec.dataset import Finding, Profile
from automl.spec.model import Frozen, Json
from automl.spec.recipe import Choice, ParameterValue, Recipe
from automl.spec.supernet import Found, Supernet
from automl.spec.trial import ArtifactPoint, Fidelity, Measurement, Outcome, Trial


class JobPhase(enum.StrEnum):
    """Where a running job stands, in this order."""

    PREPARING = "PREPARING"
    SEARCHING = "SEARCHING"
    FINAL_FIT = "FINAL_FIT"
    COMPRESSING = "COMPRESSING"
    VERIFYING = "VERIFYING"
    REPORTING = "REPORTING"


class PhaseStarted(Frozen):
    kind: Literal["phase-started"] = "phase-started"
    phase: JobPhase
    note: str = ""


class DataPrepared(Frozen):
    """The data are checked and written as memory-mapped columns."""

    kind: Literal["data-prepared"] = "data-prepared"
    task: str
    task_inferred: bool
    target: str | None
    metric: str
    parts: dict[str, int]
    """Rows of train, validation and test."""
    profile: Profile
    findings: tuple[Finding, ...]
    key: str
    """Identity of the prepared data; with a recipe it makes a result repeatable."""


class SpaceDerived(Frozen):
    """What may be proposed, and why the rest may not."""

    kind: Literal["space-derived"] = "space-derived"
    strategy: str
    techniques: tuple[str, ...]
    excluded: dict[str, str]
    """Technique id → reason."""
    dimensions: int


class StrategyChosen(Frozen):
    """What `auto` decided on: itself, with architectures drawn by hand, or a search of genotypes."""

    kind: Literal["strategy-chosen"] = "strategy-chosen"
    strategy: str
    reason: str


class TrialStarted(Frozen):
    kind: Literal["trial-started"] = "trial-started"
    trial: str
    attempt: int
    recipe: Recipe
    fidelity: Fidelity
    origin: str
    slot: int
    slots: int = 1
    """That it holds, from `slot` on as far as they are free."""
    paced: bool = False
    """See `Trial.paced`."""


class TrialMeasured(Frozen):
    kind: Literal["trial-measured"] = "trial-measured"
    trial: str
    attempt: int
    measurement: Measurement


class TrialEnded(Frozen):
    kind: Literal["trial-ended"] = "trial-ended"
    trial: str
    attempt: int
    outcome: Outcome
    message: str = ""
    score: float | None = None
    """Of the float model; where the search ranks by artifacts, what the artifact scores, foreseen where it wasn't
    measured."""
    best_epoch: int | None = None
    epochs: int | None = None
    """That its schedule had in the end, where it was paced: its recipe is one of as many."""
    parameters: int | None = None
    artifact: ArtifactPoint | None = None
    wall_s: float
    step_s: float


class BestChanged(Frozen):
    """A new best usable model exists."""

    kind: Literal["best-changed"] = "best-changed"
    trial: str
    score: float
    validation: dict[str, float]
    size_bytes: int


class ScoredCandidate(Frozen):
    """A recipe that was scored without being trained."""

    recipe: str
    """Its identity."""
    architecture: Choice
    scores: dict[str, float | None]
    """By name ("naswot", …); None where it isn't finite. Empty where the network couldn't be built."""
    rank: float
    """By all scores together among those of its event: 1 is first by each."""
    fault: str = ""


class CandidatesScored(Frozen):
    """Networks were scored before one of them is trained (`automl.nas.zero_cost`)."""

    kind: Literal["candidates-scored"] = "candidates-scored"
    candidates: tuple[ScoredCandidate, ...]
    wall_s: float
    """Of the slot that it took."""


class SupernetStarted(Frozen):
    """A supernet begins to train on a slot, or goes on there as a further attempt (see `automl.spec.supernet`)."""

    kind: Literal["supernet-started"] = "supernet-started"
    supernet: str
    attempt: int
    method: str
    recipe: Recipe
    settings: dict[str, ParameterValue] = {}
    seconds: float
    slot: int


class SupernetMeasured(Frozen):
    """A round of a supernet's training is over."""

    kind: Literal["supernet-measured"] = "supernet-measured"
    supernet: str
    attempt: int
    measurement: Measurement


class SupernetEnded(Frozen):
    """A supernet's search is over; what was found trains next."""

    kind: Literal["supernet-ended"] = "supernet-ended"
    supernet: str
    attempt: int
    outcome: Outcome
    message: str = ""
    found: tuple[Found, ...] = ()
    wall_s: float
    step_s: float


class LatencyForeseen(Frozen):
    """What one example of a recipe's network is foreseen to take, said before anything of it was measured."""

    kind: Literal["latency-foreseen"] = "latency-foreseen"
    recipe: str
    """Its identity."""
    precision: str
    """Of the .tflite file that is meant."""
    median_ms: float
    """One example, one thread."""
    source: Literal["table", "estimated"]
    """The sum of its operations' times on the machine, or scaled from networks of another size."""
    machine: str


class SamplerState(Frozen):
    """What a sampler needs to go on after a restart (the newest one counts)."""

    kind: Literal["sampler-state"] = "sampler-state"
    sampler: str
    state: Json


class Noted(Frozen):
    """A line for people: a decision, a warning."""

    kind: Literal["noted"] = "noted"
    severity: Literal["info", "warning"] = "info"
    message: str


class EnsemblePlanned(Frozen):
    """The final fit trains these recipes, and averages what they predict."""

    kind: Literal["ensemble-planned"] = "ensemble-planned"
    members: tuple[Recipe, ...]


class Compressed(Frozen):
    """One rung of the compression ladder was tried, and what it gave was measured as the file that it would become."""

    kind: Literal["compressed"] = "compressed"
    technique: str
    sparsity: float
    validation_before: float
    """The metric before the ladder, in the same precision where it is an artifact's."""
    validation_after: float
    accepted: bool
    reason: str = ""
    """Why it was not accepted."""
    need: str = ""
    """What called for it (see `automl.catalog.rung`); "" where the user did, or of the measurement that comes first."""
    settings: dict[str, ParameterValue] = {}
    attempt: int = 1
    """Of this technique, counted from 1."""
    precision: str = ""
    """Of the artifact that was measured ("int8"), "" where none could be."""
    float_after: float | None = None
    """The metric of the float model."""
    size_bytes: int | None = None
    """Of the file, with what travels in it."""
    compressed_bytes: int | None = None
    latency_ms: float | None = None
    """Median of one example on one thread."""
    parameters: int | None = None
    macs: int | None = None
    """Multiply-adds for one example."""
    rows: int | None = None
    """Validation rows that were measured on."""
    candidate: str = ""
    """The folder's name, below the ladder's; "" where there is none."""
    recipe: Recipe | None = None
    wall_s: float = 0.0


class ArtifactMade(Frozen):
    kind: Literal["artifact-made"] = "artifact-made"
    artifact: Artifact


class ArtifactRefused(Frozen):
    kind: Literal["artifact-refused"] = "artifact-refused"
    refused: Refused


class JobFinished(Frozen):
    """The last event of a job that was carried to its end by the controller."""

    kind: Literal["job-finished"] = "job-finished"
    state: Literal["SUCCEEDED", "FAILED", "CANCELLED"]
    message: str = ""
    reason: str = ""
    metric: str = ""
    validation: float | None = None
    test: float | None = None
    test_metrics: dict[str, float] = {}
    recipe: Recipe | None = None
    wall_s: float = 0.0
    goodput: float | None = None


Payload = Annotated[
    Union[
        PhaseStarted, DataPrepared, StrategyChosen, SpaceDerived, CandidatesScored, SupernetStarted, SupernetMeasured,
        SupernetEnded, TrialStarted, TrialMeasured, TrialEnded, BestChanged, LatencyForeseen, SamplerState, Noted,
        EnsemblePlanned, Compressed, ArtifactMade, ArtifactRefused, JobFinished,
    ],
    pydantic.Field(discriminator="kind"),
]


class Event(Frozen):
    """A payload with its place in the job's history."""

    sequence: int
    """From 1, without gaps."""
    time: float
    """Seconds since 1970 (UTC) when the controller said it."""
    payload: Payload


class JobState(pydantic.BaseModel):
    """The fold of a job's events: what is known of it now."""

    sequence: int = 0
    phase: JobPhase | None = None
    prepared: DataPrepared | None = None
    strategy: StrategyChosen | None = None
    space: SpaceDerived | None = None
    scored: list[CandidatesScored] = []
    supernets: dict[str, Supernet] = {}
    foreseen: list[LatencyForeseen] = []
    trials: dict[str, Trial] = {}
    best: BestChanged | None = None
    sampler: SamplerState | None = None
    notes: list[Noted] = []
    ensemble: EnsemblePlanned | None = None
    compressed: list[Compressed] = []
    artifacts: dict[str, Artifact] = {}
    refused: list[Refused] = []
    finished: JobFinished | None = None

    @classmethod
    def fold(cls, events: Iterable[Event]) -> JobState:
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take in the next event. One at or before `sequence` is ignored, so that a replay is harmless."""
        if event.sequence <= self.sequence:
            return
        self.sequence = event.sequence
        match event.payload:
            case PhaseStarted(phase=phase):
                self.phase = phase
            case DataPrepared() as prepared:
                self.prepared = prepared
            case StrategyChosen() as strategy:
                self.strategy = strategy
            case SpaceDerived() as space:
                self.space = space
            case CandidatesScored() as scored:
                self.scored.append(scored)
            case SupernetStarted() | SupernetMeasured() | SupernetEnded() as told:
                self._supernet(told)
            case LatencyForeseen() as foreseen:
                self.foreseen.append(foreseen)
            case TrialStarted() as started:
                # A further attempt goes on from a checkpoint, or measures its first epochs anew (see `_measure`).
                before = self.trials.get(started.trial)
                self.trials[started.trial] = Trial(
                    id=started.trial, recipe=started.recipe, fidelity=started.fidelity, origin=started.origin,
                    slots=started.slots, paced=started.paced,
                    attempt=started.attempt, measurements=before.measurements if before is not None else (),
                    wall_s=before.wall_s if before is not None else 0.0, step_s=before.step_s if before is not None else 0.0,
                )
            case TrialMeasured() as measured:
                self._measure(measured)
            case TrialEnded() as ended:
                trial = self.trials.get(ended.trial)
                if trial is not None and ended.attempt >= trial.attempt:
                    trial = trial if ended.epochs is None else trial.of_epochs(ended.epochs)
                    self.trials[ended.trial] = trial.model_copy(
                        update={
                            "outcome": ended.outcome, "message": ended.message, "best_epoch": ended.best_epoch,
                            "score": ended.score if ended.score is not None else trial.score,
                            "parameters": ended.parameters, "artifact": ended.artifact,
                            "size_bytes": None if ended.parameters is None else 4 * ended.parameters,
                            "wall_s": trial.wall_s + ended.wall_s, "step_s": trial.step_s + ended.step_s,
                        }
                    )
            case BestChanged() as best:
                self.best = best
            case SamplerState() as sampler:
                self.sampler = sampler
            case Noted() as note:
                self.notes.append(note)
            case EnsemblePlanned() as ensemble:
                self.ensemble = ensemble
            case Compressed() as compressed:
                self.compressed.append(compressed)
            case ArtifactMade(artifact=artifact):
                self.artifacts[artifact.id] = artifact
                self._not_refused(artifact.format, artifact.precision)
            case ArtifactRefused(refused=refused):
                # Of one model after the other, or once more after a restart: the latest says how it stands.
                self._not_refused(refused.format, refused.precision)
                self.refused.append(refused)
            case JobFinished() as finished:
                self.finished = finished

    def _not_refused(self, format: str, precision: str) -> None:
        self.refused = [one for one in self.refused if (one.format, one.precision) != (format, precision)]

    def _measure(self, measured: TrialMeasured) -> None:
        trial = self.trials.get(measured.trial)
        if trial is None or measured.attempt < trial.attempt:
            return
        earlier = tuple(m for m in trial.measurements if m.epoch < measured.measurement.epoch)
        score = measured.measurement.score
        self.trials[measured.trial] = trial.model_copy(
            update={
                "measurements": (*earlier, measured.measurement),
                "score": score if trial.score is None else max(score, trial.score),
            }
        )

    def _supernet(self, told: SupernetStarted | SupernetMeasured | SupernetEnded) -> None:
        known = self.supernets.get(told.supernet)
        if isinstance(told, SupernetStarted):
            fresh = Supernet(
                id=told.supernet, method=told.method, recipe=told.recipe, settings=told.settings, seconds=told.seconds
            )
            self.supernets[told.supernet] = (known or fresh).changed(attempt=told.attempt, outcome=None)
        elif known is not None and told.attempt >= known.attempt:
            if isinstance(told, SupernetMeasured):
                earlier = tuple(m for m in known.measurements if m.epoch < told.measurement.epoch)
                changed = known.changed(measurements=(*earlier, told.measurement))
            else:
                changed = known.changed(
                    outcome=told.outcome, message=told.message, found=told.found, wall_s=known.wall_s + told.wall_s,
                    step_s=known.step_s + told.step_s,
                )
            self.supernets[told.supernet] = changed

    def outcomes(self) -> dict[str, int]:
        """Ended trials by outcome, running ones under "RUNNING"."""
        counts: dict[str, int] = {}
        for trial in self.trials.values():
            name = trial.outcome.value if trial.outcome else "RUNNING"
            counts[name] = counts.get(name, 0) + 1
        return counts
