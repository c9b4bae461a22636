"""Every error the client raises on purpose, with the same reasons as the server's.

    AutoMLError
    ├── InvalidInput          what the user sent is at fault; holds every violation, not the first alone
    │   └── InvalidData       … a data set: the place is a file, row or column
    ├── Infeasible            the request is sound, but nothing can satisfy it
    ├── NotFound              no such job, data set, model, file
    ├── AlreadyExists         the name or request id is taken by something else
    ├── FailedPrecondition    right in itself, but not in the present state (a data set in use)
    ├── Unauthenticated       no token, or a wrong or expired one
    ├── PermissionDenied      this token may not do that
    ├── ResourceExhausted     a quota, a message too large, no room left on the server
    ├── Unavailable           the server can't be reached, or this machine lacks something
    │   └── DeadlineExceeded  it was there, and took too long
    ├── DataLoss              bytes arrived or lay damaged
    ├── Cancelled             the call, or the job that was waited for, was cancelled
    └── Internal              a defect of ours, in the client or in the server

`exit_code` is what the command line ends with: 2 where the user can mend it, 1 where we have to.
A job that ended without a result raises the class of its reason, so `except InvalidData` works for a bad file whether the
fault was found at the upload or by the job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Violation:
    """One fault in what a user sent."""

    field: str
    """Where: a path in the request ("search.force[0]"), or a place in a file ("data.csv, row 7, column 'age'")."""
    message: str
    """What was expected, what came, and what to do about it."""
    reason: str = "INVALID_INPUT"
    """UPPER_SNAKE_CASE, for programs."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class AutoMLError(Exception):
    """Base of all: `str(error)` is for people, `reason` and `metadata` are for programs."""

    reason = "INTERNAL"
    exit_code = 1
    retry_after_s: float | None = None
    """When the server asked for a pause before the next try (`google.rpc.RetryInfo`)."""

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None):
        super().__init__(message)
        if reason:
            self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The single faults; empty for errors that are not about input."""
        return ()


class InvalidInput(AutoMLError):
    """What the user sent can't be used."""

    reason = "INVALID_INPUT"
    exit_code = 2

    def __init__(
        self,
        message: str,
        violations: Iterable[Violation] = (),
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ):
        super().__init__(message, reason=reason, metadata=metadata)
        self._violations = tuple(violations)

    @property
    def violations(self) -> tuple[Violation, ...]:
        return self._violations

    @classmethod
    def at(cls, field: str, message: str, reason: str = "") -> Self:
        """The common case of one violation; `field` is its place."""
        violation = Violation(field, message, reason or cls.reason)
        return cls(str(violation), (violation,), reason=reason)


class InvalidData(InvalidInput):
    """A data set can't be read or used; each violation's field names the file, row and column."""

    reason = "INVALID_DATA"


class Infeasible(AutoMLError):
    """No model can satisfy the request; the message names the nearest limits that one could."""

    reason = "INFEASIBLE"
    exit_code = 2


class NotFound(AutoMLError):
    """There is nothing of that name."""

    reason = "NOT_FOUND"
    exit_code = 2


class AlreadyExists(AutoMLError):
    """The name or request id belongs to something else."""

    reason = "ALREADY_EXISTS"
    exit_code = 2


class FailedPrecondition(AutoMLError):
    """The present state forbids it."""

    reason = "FAILED_PRECONDITION"
    exit_code = 2


class Unauthenticated(AutoMLError):
    """The server wants a valid token."""

    reason = "UNAUTHENTICATED"
    exit_code = 2


class PermissionDenied(AutoMLError):
    """The token is valid and does not allow this."""

    reason = "PERMISSION_DENIED"
    exit_code = 2


class ResourceExhausted(AutoMLError):
    """A limit of the server was reached; the message names it."""

    reason = "RESOURCE_EXHAUSTED"


class Unavailable(AutoMLError):
    """The server can't be reached, or this machine lacks something; the message says what and how to get it."""

    reason = "UNAVAILABLE"
    transient = False
    """True when it came from the connection, so that trying again may help."""


class DeadlineExceeded(Unavailable):
    """No answer within the time allowed."""

    reason = "DEADLINE_EXCEEDED"


class DataLoss(AutoMLError):
    """Bytes don't have the checksum they should have."""

    reason = "DATA_LOSS"


class Cancelled(AutoMLError):
    """Cancelled, by this client or by somebody else."""

    reason = "CANCELLED"


class Internal(AutoMLError):
    """A defect of ours. The message names the id under which the server's log has the rest."""

    reason = "INTERNAL"


BY_REASON: dict[str, type[AutoMLError]] = {
    kind.reason: kind
    for kind in (
        InvalidInput, InvalidData, Infeasible, NotFound, AlreadyExists, FailedPrecondition, Unauthenticated,
        PermissionDenied, ResourceExhausted, Unavailable, DeadlineExceeded, DataLoss, Cancelled, Internal,
    )
}
"""The class of each reason that is a class's own."""


def of_job(reason: str, message: str) -> AutoMLError:
    """The error for a job that ended without a result: the class of its reason, `Internal` where no class has it."""
    kind = BY_REASON.get(reason, Internal)
    return kind(message, reason=reason)
