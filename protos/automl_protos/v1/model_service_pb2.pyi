import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("name", "display_name", "task", "versions", "latest_version", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    task: str
    versions: int
    latest_version: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., task: _Optional[str] = ..., versions: _Optional[int] = ..., latest_version: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("name", "job", "dataset", "task", "metric", "validation_metric", "test_metric", "recipe_json", "artifacts", "create_time", "test_metrics")
    class TestMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_METRIC_FIELD_NUMBER: _ClassVar[int]
    TEST_METRIC_FIELD_NUMBER: _ClassVar[int]
    RECIPE_JSON_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TEST_METRICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    job: str
    dataset: str
    task: str
    metric: str
    validation_metric: float
    test_metric: float
    recipe_json: str
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    create_time: _timestamp_pb2.Timestamp
    test_metrics: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., job: _Optional[str] = ..., dataset: _Optional[str] = ..., task: _Optional[str] = ..., metric: _Optional[str] = ..., validation_metric: _Optional[float] = ..., test_metric: _Optional[float] = ..., recipe_json: _Optional[str] = ..., artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., test_metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("name", "format", "precision", "filename", "size_bytes", "compressed_bytes", "sha256", "parameters", "sparsity", "verification", "proof_json", "fit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPRESSED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SPARSITY_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    PROOF_JSON_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: str
    precision: str
    filename: str
    size_bytes: int
    compressed_bytes: int
    sha256: str
    parameters: int
    sparsity: float
    verification: Verification
    proof_json: str
    fit: DeviceFit
    def __init__(self, name: _Optional[str] = ..., format: _Optional[str] = ..., precision: _Optional[str] = ..., filename: _Optional[str] = ..., size_bytes: _Optional[int] = ..., compressed_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., parameters: _Optional[int] = ..., sparsity: _Optional[float] = ..., verification: _Optional[_Union[Verification, _Mapping]] = ..., proof_json: _Optional[str] = ..., fit: _Optional[_Union[DeviceFit, _Mapping]] = ...) -> None: ...

class DeviceFit(_message.Message):
    __slots__ = ("device", "latency_ms", "macs", "activation_bytes")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MACS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    device: str
    latency_ms: float
    macs: int
    activation_bytes: int
    def __init__(self, device: _Optional[str] = ..., latency_ms: _Optional[float] = ..., macs: _Optional[int] = ..., activation_bytes: _Optional[int] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("part", "rows", "metric", "float_value", "artifact_value", "agreement", "max_difference", "tolerance", "latency_median_ms", "latency_p90_ms", "threads", "machine", "peak_memory_bytes", "runtime", "more_threads", "held_out_rows", "interval", "calibration_error", "calibration_shift")
    PART_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    FLOAT_VALUE_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_VALUE_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MEDIAN_MS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P90_MS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    MORE_THREADS_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_ROWS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_SHIFT_FIELD_NUMBER: _ClassVar[int]
    part: str
    rows: int
    metric: str
    float_value: float
    artifact_value: float
    agreement: float
    max_difference: float
    tolerance: float
    latency_median_ms: float
    latency_p90_ms: float
    threads: int
    machine: str
    peak_memory_bytes: int
    runtime: str
    more_threads: _containers.RepeatedCompositeFieldContainer[ThreadsLatency]
    held_out_rows: int
    interval: Interval
    calibration_error: float
    calibration_shift: float
    def __init__(self, part: _Optional[str] = ..., rows: _Optional[int] = ..., metric: _Optional[str] = ..., float_value: _Optional[float] = ..., artifact_value: _Optional[float] = ..., agreement: _Optional[float] = ..., max_difference: _Optional[float] = ..., tolerance: _Optional[float] = ..., latency_median_ms: _Optional[float] = ..., latency_p90_ms: _Optional[float] = ..., threads: _Optional[int] = ..., machine: _Optional[str] = ..., peak_memory_bytes: _Optional[int] = ..., runtime: _Optional[str] = ..., more_threads: _Optional[_Iterable[_Union[ThreadsLatency, _Mapping]]] = ..., held_out_rows: _Optional[int] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., calibration_error: _Optional[float] = ..., calibration_shift: _Optional[float] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high", "method")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    method: str
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., method: _Optional[str] = ...) -> None: ...

class ThreadsLatency(_message.Message):
    __slots__ = ("threads", "median_ms", "p90_ms")
    THREADS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_MS_FIELD_NUMBER: _ClassVar[int]
    P90_MS_FIELD_NUMBER: _ClassVar[int]
    threads: int
    median_ms: float
    p90_ms: float
    def __init__(self, threads: _Optional[int] = ..., median_ms: _Optional[float] = ..., p90_ms: _Optional[float] = ...) -> None: ...

class RefusedArtifact(_message.Message):
    __slots__ = ("format", "precision", "reason")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    format: str
    precision: str
    reason: str
    def __init__(self, format: _Optional[str] = ..., precision: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelVersionResponse(_message.Message):
    __slots__ = ("model_version",)
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    model_version: ModelVersion
    def __init__(self, model_version: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class ExportArtifactRequest(_message.Message):
    __slots__ = ("name", "format", "precision", "max_size_bytes", "tolerance", "max_latency_ms", "retarget")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    MAX_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    RETARGET_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: str
    precision: str
    max_size_bytes: int
    tolerance: float
    max_latency_ms: float
    retarget: bool
    def __init__(self, name: _Optional[str] = ..., format: _Optional[str] = ..., precision: _Optional[str] = ..., max_size_bytes: _Optional[int] = ..., tolerance: _Optional[float] = ..., max_latency_ms: _Optional[float] = ..., retarget: _Optional[bool] = ...) -> None: ...

class ExportArtifactResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class DeleteModelKitRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteModelKitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DownloadArtifactRequest(_message.Message):
    __slots__ = ("name", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadArtifactResponse(_message.Message):
    __slots__ = ("offset", "data", "crc32c")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    crc32c: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., crc32c: _Optional[int] = ...) -> None: ...
