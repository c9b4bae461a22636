from automl_protos.v1 import job_service_pb2 as _job_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskType(_message.Message):
    __slots__ = ("id", "summary", "takes", "returns", "modality", "metrics", "description")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    TAKES_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    summary: str
    takes: str
    returns: str
    modality: str
    metrics: _containers.RepeatedScalarFieldContainer[str]
    description: str
    def __init__(self, id: _Optional[str] = ..., summary: _Optional[str] = ..., takes: _Optional[str] = ..., returns: _Optional[str] = ..., modality: _Optional[str] = ..., metrics: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "domain", "default_value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    domain: str
    default_value: str
    def __init__(self, name: _Optional[str] = ..., domain: _Optional[str] = ..., default_value: _Optional[str] = ...) -> None: ...

class Technique(_message.Message):
    __slots__ = ("id", "stage", "slot", "summary", "modalities", "kinds", "parameters", "reference", "cost", "is_default", "conflicts", "unsupported_formats", "description", "on_request", "decided_by")
    class ConflictsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class UnsupportedFormatsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    MODALITIES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_FORMATS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ON_REQUEST_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    stage: str
    slot: str
    summary: str
    modalities: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    reference: str
    cost: float
    is_default: bool
    conflicts: _containers.ScalarMap[str, str]
    unsupported_formats: _containers.ScalarMap[str, str]
    description: str
    on_request: str
    decided_by: str
    def __init__(self, id: _Optional[str] = ..., stage: _Optional[str] = ..., slot: _Optional[str] = ..., summary: _Optional[str] = ..., modalities: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., reference: _Optional[str] = ..., cost: _Optional[float] = ..., is_default: _Optional[bool] = ..., conflicts: _Optional[_Mapping[str, str]] = ..., unsupported_formats: _Optional[_Mapping[str, str]] = ..., description: _Optional[str] = ..., on_request: _Optional[str] = ..., decided_by: _Optional[str] = ...) -> None: ...

class Format(_message.Message):
    __slots__ = ("id", "summary", "precisions", "suffix", "runtime", "raw_input", "description")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    PRECISIONS_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RAW_INPUT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    summary: str
    precisions: _containers.RepeatedScalarFieldContainer[str]
    suffix: str
    runtime: str
    raw_input: bool
    description: str
    def __init__(self, id: _Optional[str] = ..., summary: _Optional[str] = ..., precisions: _Optional[_Iterable[str]] = ..., suffix: _Optional[str] = ..., runtime: _Optional[str] = ..., raw_input: _Optional[bool] = ..., description: _Optional[str] = ...) -> None: ...

class ListTaskTypesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTaskTypesResponse(_message.Message):
    __slots__ = ("task_types", "next_page_token")
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_types: _containers.RepeatedCompositeFieldContainer[TaskType]
    next_page_token: str
    def __init__(self, task_types: _Optional[_Iterable[_Union[TaskType, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTechniquesRequest(_message.Message):
    __slots__ = ("task", "page_size", "page_token")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task: str
    page_size: int
    page_token: str
    def __init__(self, task: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTechniquesResponse(_message.Message):
    __slots__ = ("techniques", "next_page_token")
    TECHNIQUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    techniques: _containers.RepeatedCompositeFieldContainer[Technique]
    next_page_token: str
    def __init__(self, techniques: _Optional[_Iterable[_Union[Technique, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExplainTechniquesRequest(_message.Message):
    __slots__ = ("parent", "spec")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    parent: str
    spec: _job_service_pb2.JobSpec
    def __init__(self, parent: _Optional[str] = ..., spec: _Optional[_Union[_job_service_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class TechniqueVerdict(_message.Message):
    __slots__ = ("id", "stage", "slot", "summary", "applies", "reason", "forced", "is_default")
    ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    APPLIES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    id: str
    stage: str
    slot: str
    summary: str
    applies: bool
    reason: str
    forced: bool
    is_default: bool
    def __init__(self, id: _Optional[str] = ..., stage: _Optional[str] = ..., slot: _Optional[str] = ..., summary: _Optional[str] = ..., applies: _Optional[bool] = ..., reason: _Optional[str] = ..., forced: _Optional[bool] = ..., is_default: _Optional[bool] = ...) -> None: ...

class ProfileEstimate(_message.Message):
    __slots__ = ("rows", "numeric", "categorical", "cardinality_max", "missing_fraction", "classes", "class_min", "imbalance", "image_shape", "length")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_FIELD_NUMBER: _ClassVar[int]
    CATEGORICAL_FIELD_NUMBER: _ClassVar[int]
    CARDINALITY_MAX_FIELD_NUMBER: _ClassVar[int]
    MISSING_FRACTION_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_MIN_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SHAPE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    rows: int
    numeric: int
    categorical: int
    cardinality_max: int
    missing_fraction: float
    classes: int
    class_min: int
    imbalance: float
    image_shape: _containers.RepeatedScalarFieldContainer[int]
    length: int
    def __init__(self, rows: _Optional[int] = ..., numeric: _Optional[int] = ..., categorical: _Optional[int] = ..., cardinality_max: _Optional[int] = ..., missing_fraction: _Optional[float] = ..., classes: _Optional[int] = ..., class_min: _Optional[int] = ..., imbalance: _Optional[float] = ..., image_shape: _Optional[_Iterable[int]] = ..., length: _Optional[int] = ...) -> None: ...

class ExplainTechniquesResponse(_message.Message):
    __slots__ = ("task", "verdicts", "profile")
    TASK_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    task: str
    verdicts: _containers.RepeatedCompositeFieldContainer[TechniqueVerdict]
    profile: ProfileEstimate
    def __init__(self, task: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[TechniqueVerdict, _Mapping]]] = ..., profile: _Optional[_Union[ProfileEstimate, _Mapping]] = ...) -> None: ...

class ListFormatsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFormatsResponse(_message.Message):
    __slots__ = ("formats", "next_page_token")
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    formats: _containers.RepeatedCompositeFieldContainer[Format]
    next_page_token: str
    def __init__(self, formats: _Optional[_Iterable[_Union[Format, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "title", "ram_bytes", "flash_bytes", "operations", "runtime", "latency", "macs_per_second", "reference")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    RAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    FLASH_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    MACS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    ram_bytes: int
    flash_bytes: int
    operations: _containers.RepeatedScalarFieldContainer[str]
    runtime: str
    latency: str
    macs_per_second: float
    reference: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., ram_bytes: _Optional[int] = ..., flash_bytes: _Optional[int] = ..., operations: _Optional[_Iterable[str]] = ..., runtime: _Optional[str] = ..., latency: _Optional[str] = ..., macs_per_second: _Optional[float] = ..., reference: _Optional[str] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices", "next_page_token")
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    next_page_token: str
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
