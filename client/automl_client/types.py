"""The client's own types: frozen, free of protobuf, with the units in their names.

`converters` makes them from messages and back; nothing else in the client looks at a message.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar

T = TypeVar("T")


class JobState(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobPhase(enum.StrEnum):
    """Part of a running job's way, in this order."""

    PREPARING = "PREPARING"
    SEARCHING = "SEARCHING"
    FINAL_FIT = "FINAL_FIT"
    COMPRESSING = "COMPRESSING"
    VERIFYING = "VERIFYING"
    REPORTING = "REPORTING"


class ColumnKind(enum.StrEnum):
    """What a column holds."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"
    CONSTANT = "constant"
    ID = "id"


@dataclass(frozen=True)
class Column:
    """One column of a table, as inferred."""

    name: str
    kind: ColumnKind | None
    rows_missing: int
    distinct: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """Something the checks noticed."""

    check: str
    """"missing-values", "target-leak"…"""
    warning: bool
    message: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    """Up to 20, counted from 1."""


@dataclass(frozen=True)
class Dataset:
    """An immutable version of a data set."""

    name: str
    """projects/{project}/datasets/{dataset}@{version}"""
    display_name: str
    sha256: str
    size_bytes: int
    modality: str
    """"table" or "image"."""
    format: str
    rows: int
    columns: tuple[Column, ...] = ()
    findings: tuple[Finding, ...] = ()
    create_time: datetime | None = None
    image_shape: tuple[int, ...] = ()
    """Height, width, channels; empty for tables."""


@dataclass(frozen=True)
class Upload:
    """A file on its way to the server."""

    name: str
    filename: str
    size_bytes: int
    sha256: str
    committed_size: int
    complete: bool


@dataclass(frozen=True)
class Format:
    """An artifact's format in a precision, written "tflite:int8" or "saved-model"."""

    format: str
    precision: str = "float32"

    @classmethod
    def parse(cls, text: str) -> Format:
        """Reads "FORMAT" or "FORMAT:PRECISION"; the server says which there are."""
        name, _, precision = text.strip().partition(":")
        return cls(name, precision or "float32")

    def __str__(self) -> str:
        return self.format if self.precision == "float32" and self.format != "tflite" else f"{self.format}:{self.precision}"


@dataclass(frozen=True)
class Constraints:
    """Upper limits on what is delivered; None is no limit."""

    max_size_bytes: int | None = None
    """Of the smallest artifact file."""
    max_latency_ms: float | None = None
    """Median of one example on one thread."""
    max_parameters: int | None = None
    max_memory_bytes: int | None = None
    """Of activations that are alive at once in a .tflite file."""
    device: str = ""
    """Id of the device that the model is for (`list_devices`); "" is the machine that verifies."""


@dataclass(frozen=True)
class Budget:
    """When to be done."""

    wall_s: float = 600.0
    """Wall-clock seconds from submission to artifacts."""
    spent_s: float = 0.0
    """Already used by the client for hashing and upload."""
    max_trials: int | None = None


@dataclass(frozen=True)
class SearchSettings:
    """How to search."""

    strategy: str = "auto"
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    seed: int = 0
    recipes_json: tuple[str, ...] = ()
    """Recipes as JSON, tried first; under "fixed" the only ones."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values that the search must not vary, as text, by "technique.parameter"."""
    rank_by: str = "model"


@dataclass(frozen=True)
class DataSettings:
    """How the data set is read and split."""

    target: str = ""
    split_column: str = ""
    group_column: str = ""
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    test_fraction: float | None = None
    time_column: str = ""


@dataclass(frozen=True)
class JobSpec:
    """What a job is to do. An empty text is "the server's choice" (task, metric)."""

    dataset: str
    task: str = ""
    test_dataset: str = ""
    data: DataSettings = DataSettings()
    metric: str = ""
    constraints: Constraints = Constraints()
    budget: Budget = Budget()
    search: SearchSettings = SearchSettings()
    formats: tuple[Format, ...] = ()
    """Empty: the server's default, every TFLite precision, SavedModel and .keras."""
    tolerance: float | None = None
    """Largest accepted loss of the metric of an artifact against the float model. None: 0.01."""
    display_name: str = ""


class SubmitSettings(TypedDict, total=False):
    """Keyword arguments of `submit` beside the data; each may be left out."""

    target: str
    """Column to predict; needed for tables."""
    task: str
    """Id of a task type; default: inferred from data and target."""
    metric: str
    """Metric to optimise; default: the task's."""
    budget_s: float
    """Wall-clock seconds from the call to the artifacts; default 600."""
    max_trials: int
    max_size_bytes: int
    """Of the smallest artifact file."""
    max_latency_ms: float
    max_memory_bytes: int
    device: str
    """Median of one example on one thread."""
    max_parameters: int
    formats: tuple[str, ...]
    """"tflite:int8", "saved-model"…; default: all."""
    strategy: str
    """"auto" (default), "random", "grid", "bayesian", "hyperband", "asha", "evolution", "tpe", "darts", "proxylessnas",
    "once-for-all", "rl-ppo", "rl-rainbow", "mcts-alphazero" or "fixed"."""
    allow: tuple[str, ...]
    """Ids of techniques: only these, and the defaults of slots, are proposed."""
    forbid: tuple[str, ...]
    """Ids of techniques and architectures that must not be proposed."""
    force: tuple[str, ...]
    """Ids of techniques and architectures that every recipe has."""
    rank_by: str
    """What trials are ranked by: "model" (default), or "artifact": the TFLite file that they would become."""
    parameters: Mapping[str, str | float | bool]
    """Values that the search must not vary, by "technique.parameter": {"dropout.rate": 0.3}."""
    seed: int
    recipes_json: tuple[str, ...]
    """Recipes as JSON, tried first; under "fixed" the only ones."""
    split_column: str
    group_column: str
    time_column: str
    """Dates, or numbers that grow with time: the newest rows become the test part."""
    kinds: Mapping[str, ColumnKind]
    """Kinds of columns that inference got wrong, by name."""
    ignore: tuple[str, ...]
    """Columns not to use."""
    test_fraction: float
    """Share held out for verification, in (0, 1)."""
    tolerance: float
    """Largest accepted loss of the metric of an artifact against the float model; default 0.01."""
    display_name: str


@dataclass(frozen=True)
class Refused:
    """An artifact that was asked for and is not returned."""

    format: str
    precision: str
    reason: str


@dataclass(frozen=True)
class Job:
    """A job as it was when the server answered."""

    name: str
    """projects/{project}/jobs/{job}"""
    spec: JobSpec
    state: JobState
    phase: JobPhase | None
    message: str
    """Why it failed, was cancelled, or waits; else empty."""
    reason: str
    """UPPER_SNAKE_CASE reason of a failure; else empty."""
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    deadline: datetime | None
    """The end of the budget."""
    metric: str
    validation_metric: float | None
    test_metric: float | None
    test_metrics: Mapping[str, float]
    trials: Mapping[str, int]
    """Ended trials by outcome, running ones under "RUNNING"."""
    model_version: str
    """Resource name of what came out; empty until then."""
    goodput: float | None
    """Share of slot time in training and evaluation steps, in [0, 1]."""
    last_event: int
    refused: tuple[Refused, ...]

    @property
    def id(self) -> str:
        """Last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class ArtifactPoint:
    """A trial's model as the TFLite file that it would become, its bytes run on validation rows."""

    precision: str
    metric: float
    float_metric: float
    """The float model's on the same rows."""
    rows: int
    size_bytes: int
    latency_ms: float
    wall_s: float


@dataclass(frozen=True)
class Trial:
    """One trial of a job."""

    name: str
    recipe_json: str
    origin: str
    outcome: str
    """"RUNNING" or the outcome."""
    message: str
    epochs: int
    epochs_planned: int
    metric: float | None
    parameters: int | None
    wall_s: float
    step_s: float
    artifact: ArtifactPoint | None = None
    """Where trials are ranked by artifacts, and this one was measured."""
    slots: int = 1
    """That it held, with their cores."""

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Event:
    """Something that happened in a job."""

    sequence: int
    """From 1, without gaps."""
    time: datetime | None
    kind: str
    """"state-changed", or the kind of the controller's event: "trial-ended", "best-changed"…"""
    payload: Mapping[str, Any]
    """Of "state-changed": `state` and `message`. Of the others: as documented with the events."""


@dataclass(frozen=True)
class Verification:
    """The artifact's bytes in their own runtime against the float model, on the same held-out rows."""

    part: str
    rows: int
    metric: str
    float_value: float
    artifact_value: float
    agreement: float
    max_difference: float
    tolerance: float
    latency_median_ms: float | None
    latency_p90_ms: float | None
    threads: int
    machine: str
    peak_memory_bytes: int | None
    runtime: str
    more_threads: tuple[ThreadsLatency, ...] = ()
    """The same with more threads, of formats for devices that have them."""
    held_out_rows: int = 0
    """Rows of the part: more than `rows` where time was short. 0 of an old server."""
    interval: Interval | None = None
    """Of `artifact_value`. None where the rows don't settle one, or time was short, and of an old server."""
    calibration_error: float | None = None
    """Expected calibration error of the artifact's probabilities; None for numbers and of an old server."""
    calibration_shift: float | None = None
    """The artifact's calibration error less the float model's, on the same rows."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval of 95 %."""

    low: float
    high: float
    method: str
    """"Wilson" or "bootstrap, N resamples"."""


@dataclass(frozen=True)
class ThreadsLatency:
    """Time of one example with a number of threads."""

    threads: int
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class DeviceFit:
    """A file on the device that its job was for, where that isn't the machine that verified it."""

    device: str
    """Id of the device."""
    latency_ms: float
    """Of one example, estimated from its multiplications: not measured."""
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Artifact:
    """A file of a model version, and its proof."""

    name: str
    format: str
    precision: str
    filename: str
    size_bytes: int
    compressed_bytes: int
    sha256: str
    parameters: int
    sparsity: float
    verification: Verification | None
    proof_json: str = ""
    """What was measured, signed by the server (see `proofs`); "" of an old server."""
    fit: DeviceFit | None = None
    """None where the job was for the machine that verified it."""

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Model:
    """A named line of versions."""

    name: str
    display_name: str
    task: str
    versions: int
    latest_version: str
    create_time: datetime | None


@dataclass(frozen=True)
class ModelVersion:
    """One result of a job, with its artifacts."""

    name: str
    job: str
    dataset: str
    task: str
    metric: str
    validation_metric: float | None
    test_metric: float | None
    test_metrics: Mapping[str, float]
    recipe_json: str
    artifacts: tuple[Artifact, ...]
    create_time: datetime | None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a technique with its domain."""

    name: str
    domain: str
    default: str


@dataclass(frozen=True)
class TaskType:
    """A kind of question that can be learned."""

    id: str
    summary: str
    takes: str
    returns: str
    modality: str
    metrics: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class Technique:
    """A technique, or an architecture (stage "architecture")."""

    id: str
    stage: str
    slot: str
    """Empty for a switch."""
    summary: str
    modalities: tuple[str, ...]
    kinds: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    reference: str
    cost: float
    """Factor on the time of an epoch."""
    is_default: bool
    conflicts: Mapping[str, str]
    unsupported_formats: Mapping[str, str]
    description: str
    on_request: str = ""
    """Why it is proposed only where it is forced or allowed by name; empty for what a search may propose by itself."""
    decided_by: str = ""
    """Of what no search chooses: the options that steer it, or that every job has it; empty for what a search chooses."""


@dataclass(frozen=True)
class TechniqueVerdict:
    """A technique or architecture, with regard to some data."""

    id: str
    stage: str
    slot: str
    """Empty for a switch."""
    summary: str
    applies: bool
    """It may be proposed, or is forced; or, of what isn't searched, jobs of this kind have it."""
    reason: str
    """Why it doesn't apply; of what applies and isn't chosen by the search, what decides on it. Else empty."""
    forced: bool
    is_default: bool
    """In a recipe for these data unless the search says otherwise."""


@dataclass(frozen=True)
class ProfileEstimate:
    """What the verdicts turn on, estimated from a data set's inspection."""

    rows: int
    """Of the training part."""
    numeric: int
    """Columns of a table's encoded numeric matrix: dates and texts become several."""
    categorical: int
    cardinality_max: int
    """Largest number of categories of a column, with those for missing and for unknown values."""
    missing_fraction: float
    classes: int
    """0 for regression."""
    class_min: int
    """Training rows of the rarest class; 0 for regression."""
    imbalance: float
    """Rows of the most frequent class over those of the rarest."""
    image_shape: tuple[int, ...]
    """Height, width and channels of pictures; empty for other data."""
    length: int
    """Tokens of a text or steps of a series as networks see them; 0 for other data."""


@dataclass(frozen=True)
class Applicability:
    """What of the catalogue applies to some data."""

    task: str
    """Id of the task type: the one that was named, or the inferred one."""
    verdicts: tuple[TechniqueVerdict, ...]
    """Of every technique and architecture, by id."""
    profile: ProfileEstimate


@dataclass(frozen=True)
class ArtifactFormat:
    """A format in which models are given."""

    id: str
    summary: str
    precisions: tuple[str, ...]
    suffix: str
    runtime: str
    raw_input: bool
    """True when it takes raw columns; else the tables for preprocessing travel in the file."""
    description: str


@dataclass(frozen=True)
class Device:
    """A device that a model may have to fit."""

    id: str
    title: str
    ram_bytes: int
    """For what changes while a model runs; 0: as much as there is."""
    flash_bytes: int
    operations: tuple[str, ...]
    """Of TensorFlow Lite, by the schema's names; empty: all."""
    runtime: str
    latency: str
    """Where its figures come from: "measured" or "estimated"."""
    macs_per_second: float
    """Of int8 networks; 0 where latency is measured."""
    reference: str


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list."""

    items: tuple[T, ...]
    next_token: str
    """Empty on the last page."""
