"""Refusals of the server: each knows its gRPC code, its reason for programs, and what a person should know.

    automl.spec.AutoMLError
    ├── automl.spec.InvalidInput, InvalidData, Infeasible, Unavailable, Internal     (the engine's; see automl.spec.errors)
    └── Refusal
        ├── NotFound             NOT_FOUND
        ├── AlreadyExists        ALREADY_EXISTS
        ├── FailedPrecondition   FAILED_PRECONDITION
        ├── OutOfRange           OUT_OF_RANGE
        ├── ResourceExhausted    RESOURCE_EXHAUSTED
        │   └── StoreFull        … no room on the disk
        ├── Aborted              ABORTED
        ├── DeadlineExceeded     DEADLINE_EXCEEDED
        ├── Unauthenticated      UNAUTHENTICATED
        ├── PermissionDenied     PERMISSION_DENIED
        ├── DataLoss             DATA_LOSS
        └── Busy                 UNAVAILABLE, worth another try after `retry_after_s`

    CannotStart                  the server itself: wrong options, a broken or newer store, a folder in use

Services raise; `interceptors.errors` alone turns an error into a status.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from automl.spec import AutoMLError


class Refusal(AutoMLError):
    """A call that is answered with a status other than OK. `metadata` holds figures for programs, as text."""

    code = grpc.StatusCode.UNKNOWN
    reason = "REFUSED"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ):
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s


class NotFound(Refusal):
    """There is no resource of that name (or it isn't the caller's: the answer is the same)."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(Refusal):
    """The name or the request id belongs to something else."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(Refusal):
    """Right in itself, but not in the present state."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class OutOfRange(Refusal):
    """An offset beyond what is there."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class ResourceExhausted(Refusal):
    """A quota or a size limit; the message names it."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class StoreFull(ResourceExhausted):
    """No room on the disk; nothing was changed."""

    reason = "DISK_FULL"

    def __init__(self, message: str = "The server's disk is full; nothing was changed. Free some room and try again."):
        super().__init__(message, retry_after_s=30.0)


class Aborted(Refusal):
    """Another call took the place of this one."""

    code = grpc.StatusCode.ABORTED
    reason = "ABORTED"


class DeadlineExceeded(Refusal):
    """The caller fell silent for too long."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Unauthenticated(Refusal):
    """No token, or one that isn't valid (any more)."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(Refusal):
    """The token is valid, but not for this project; the same whether or not the thing exists."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class DataLoss(Refusal):
    """Stored bytes are no longer those whose hash was recorded."""

    code = grpc.StatusCode.DATA_LOSS
    reason = "DATA_LOSS"


class Busy(Refusal):
    """The server can't answer just now: it stops, or its store is locked by another process."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"


class CannotStart(AutoMLError):
    """The server refuses to start; the message says why and what to do. `exit_code` 2, or 3 when the data folder is in
    use."""

    reason = "CANNOT_START"

    def __init__(self, message: str, *, exit_code: int = 2):
        super().__init__(message)
        self.exit_code = exit_code
