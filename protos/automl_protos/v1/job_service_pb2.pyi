import datetime

from automl_protos.v1 import dataset_service_pb2 as _dataset_service_pb2
from automl_protos.v1 import model_service_pb2 as _model_service_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class JobPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_PHASE_UNSPECIFIED: _ClassVar[JobPhase]
    JOB_PHASE_PREPARING: _ClassVar[JobPhase]
    JOB_PHASE_SEARCHING: _ClassVar[JobPhase]
    JOB_PHASE_FINAL_FIT: _ClassVar[JobPhase]
    JOB_PHASE_COMPRESSING: _ClassVar[JobPhase]
    JOB_PHASE_VERIFYING: _ClassVar[JobPhase]
    JOB_PHASE_REPORTING: _ClassVar[JobPhase]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_PHASE_UNSPECIFIED: JobPhase
JOB_PHASE_PREPARING: JobPhase
JOB_PHASE_SEARCHING: JobPhase
JOB_PHASE_FINAL_FIT: JobPhase
JOB_PHASE_COMPRESSING: JobPhase
JOB_PHASE_VERIFYING: JobPhase
JOB_PHASE_REPORTING: JobPhase

class FormatRequest(_message.Message):
    __slots__ = ("format", "precision")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    format: str
    precision: str
    def __init__(self, format: _Optional[str] = ..., precision: _Optional[str] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("max_size_bytes", "max_latency_ms", "max_parameters", "max_memory_bytes", "device")
    MAX_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    max_size_bytes: int
    max_latency_ms: float
    max_parameters: int
    max_memory_bytes: int
    device: str
    def __init__(self, max_size_bytes: _Optional[int] = ..., max_latency_ms: _Optional[float] = ..., max_parameters: _Optional[int] = ..., max_memory_bytes: _Optional[int] = ..., device: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("wall", "spent", "max_trials")
    WALL_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    MAX_TRIALS_FIELD_NUMBER: _ClassVar[int]
    wall: _duration_pb2.Duration
    spent: _duration_pb2.Duration
    max_trials: int
    def __init__(self, wall: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., spent: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_trials: _Optional[int] = ...) -> None: ...

class SearchSettings(_message.Message):
    __slots__ = ("strategy", "allow", "forbid", "force", "seed", "recipes_json", "parameters", "rank_by")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    FORBID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    RECIPES_JSON_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    RANK_BY_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    allow: _containers.RepeatedScalarFieldContainer[str]
    forbid: _containers.RepeatedScalarFieldContainer[str]
    force: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    recipes_json: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.ScalarMap[str, str]
    rank_by: str
    def __init__(self, strategy: _Optional[str] = ..., allow: _Optional[_Iterable[str]] = ..., forbid: _Optional[_Iterable[str]] = ..., force: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., recipes_json: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Mapping[str, str]] = ..., rank_by: _Optional[str] = ...) -> None: ...

class DataSettings(_message.Message):
    __slots__ = ("target", "split_column", "group_column", "kinds", "ignore", "test_fraction", "time_column")
    class KindsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _dataset_service_pb2.ColumnKind
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_dataset_service_pb2.ColumnKind, str]] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    GROUP_COLUMN_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    TEST_FRACTION_FIELD_NUMBER: _ClassVar[int]
    TIME_COLUMN_FIELD_NUMBER: _ClassVar[int]
    target: str
    split_column: str
    group_column: str
    kinds: _containers.ScalarMap[str, _dataset_service_pb2.ColumnKind]
    ignore: _containers.RepeatedScalarFieldContainer[str]
    test_fraction: float
    time_column: str
    def __init__(self, target: _Optional[str] = ..., split_column: _Optional[str] = ..., group_column: _Optional[str] = ..., kinds: _Optional[_Mapping[str, _dataset_service_pb2.ColumnKind]] = ..., ignore: _Optional[_Iterable[str]] = ..., test_fraction: _Optional[float] = ..., time_column: _Optional[str] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("task", "dataset", "test_dataset", "data", "metric", "constraints", "budget", "search", "formats", "tolerance", "display_name")
    TASK_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TEST_DATASET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    task: str
    dataset: str
    test_dataset: str
    data: DataSettings
    metric: str
    constraints: Constraints
    budget: Budget
    search: SearchSettings
    formats: _containers.RepeatedCompositeFieldContainer[FormatRequest]
    tolerance: float
    display_name: str
    def __init__(self, task: _Optional[str] = ..., dataset: _Optional[str] = ..., test_dataset: _Optional[str] = ..., data: _Optional[_Union[DataSettings, _Mapping]] = ..., metric: _Optional[str] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., search: _Optional[_Union[SearchSettings, _Mapping]] = ..., formats: _Optional[_Iterable[_Union[FormatRequest, _Mapping]]] = ..., tolerance: _Optional[float] = ..., display_name: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "spec", "state", "phase", "message", "reason", "create_time", "start_time", "end_time", "metric", "validation_metric", "test_metric", "trials", "model_version", "goodput", "last_event", "refused", "deadline", "test_metrics")
    class TrialsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class TestMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_METRIC_FIELD_NUMBER: _ClassVar[int]
    TEST_METRIC_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    GOODPUT_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TEST_METRICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: JobSpec
    state: JobState
    phase: JobPhase
    message: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    metric: str
    validation_metric: float
    test_metric: float
    trials: _containers.ScalarMap[str, int]
    model_version: str
    goodput: float
    last_event: int
    refused: _containers.RepeatedCompositeFieldContainer[_model_service_pb2.RefusedArtifact]
    deadline: _timestamp_pb2.Timestamp
    test_metrics: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metric: _Optional[str] = ..., validation_metric: _Optional[float] = ..., test_metric: _Optional[float] = ..., trials: _Optional[_Mapping[str, int]] = ..., model_version: _Optional[str] = ..., goodput: _Optional[float] = ..., last_event: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[_model_service_pb2.RefusedArtifact, _Mapping]]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., test_metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("name", "recipe_json", "origin", "outcome", "message", "epochs", "epochs_planned", "metric", "parameters", "wall_s", "step_s", "artifact", "slots")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECIPE_JSON_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_PLANNED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    recipe_json: str
    origin: str
    outcome: str
    message: str
    epochs: int
    epochs_planned: int
    metric: float
    parameters: int
    wall_s: float
    step_s: float
    artifact: ArtifactPoint
    slots: int
    def __init__(self, name: _Optional[str] = ..., recipe_json: _Optional[str] = ..., origin: _Optional[str] = ..., outcome: _Optional[str] = ..., message: _Optional[str] = ..., epochs: _Optional[int] = ..., epochs_planned: _Optional[int] = ..., metric: _Optional[float] = ..., parameters: _Optional[int] = ..., wall_s: _Optional[float] = ..., step_s: _Optional[float] = ..., artifact: _Optional[_Union[ArtifactPoint, _Mapping]] = ..., slots: _Optional[int] = ...) -> None: ...

class ArtifactPoint(_message.Message):
    __slots__ = ("precision", "metric", "float_metric", "rows", "size_bytes", "latency_ms", "wall_s")
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    FLOAT_METRIC_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    precision: str
    metric: float
    float_metric: float
    rows: int
    size_bytes: int
    latency_ms: float
    wall_s: float
    def __init__(self, precision: _Optional[str] = ..., metric: _Optional[float] = ..., float_metric: _Optional[float] = ..., rows: _Optional[int] = ..., size_bytes: _Optional[int] = ..., latency_ms: _Optional[float] = ..., wall_s: _Optional[float] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "time", "state_changed", "controller")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state_changed: JobStateChanged
    controller: ControllerEvent
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_changed: _Optional[_Union[JobStateChanged, _Mapping]] = ..., controller: _Optional[_Union[ControllerEvent, _Mapping]] = ...) -> None: ...

class JobStateChanged(_message.Message):
    __slots__ = ("state", "message")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    state: JobState
    message: str
    def __init__(self, state: _Optional[_Union[JobState, str]] = ..., message: _Optional[str] = ...) -> None: ...

class ControllerEvent(_message.Message):
    __slots__ = ("kind", "json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    json: str
    def __init__(self, kind: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ("parent", "job", "request_id", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    job: Job
    request_id: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., job: _Optional[_Union[Job, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("name", "resume_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    resume_after: int
    def __init__(self, name: _Optional[str] = ..., resume_after: _Optional[int] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("name", "mode")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[CancelJobRequest.Mode]
        MODE_ABORT: _ClassVar[CancelJobRequest.Mode]
        MODE_FINISH_WITH_BEST: _ClassVar[CancelJobRequest.Mode]
    MODE_UNSPECIFIED: CancelJobRequest.Mode
    MODE_ABORT: CancelJobRequest.Mode
    MODE_FINISH_WITH_BEST: CancelJobRequest.Mode
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: CancelJobRequest.Mode
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[CancelJobRequest.Mode, str]] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListTrialsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTrialsResponse(_message.Message):
    __slots__ = ("trials", "next_page_token")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    next_page_token: str
    def __init__(self, trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetReportResponse(_message.Message):
    __slots__ = ("html",)
    HTML_FIELD_NUMBER: _ClassVar[int]
    html: str
    def __init__(self, html: _Optional[str] = ...) -> None: ...
