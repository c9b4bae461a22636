"""Errors that carry what a person needs: what was expected, what came, where, and what to do.

    AutoMLError
    ├── InvalidInput        the user's data or request is at fault; every violation at once
    │   └── InvalidData     … a data set: the place is a file, row or column
    ├── Infeasible          the request is sound, but nothing can satisfy it (with the nearest that can)
    ├── Unavailable         something this machine lacks: a package, a device, disk space
    └── Internal            our fault
"""

from __future__ import annotations

from collections.abc import Iterable

from automl.spec.model import Frozen


class Violation(Frozen):
    """One fault in what a user sent."""

    field: str
    """Where: a path in the request ("search.force[0]"), or a place in a file ("data.csv, row 7, column 'age'")."""
    message: str
    """What was expected and what came, as one sentence."""
    remedy: str = ""
    """What to do about it; empty when the message says it already."""
    reason: str = "INVALID"
    """UPPER_SNAKE_CASE, for programs (AIP-193 `ErrorInfo.reason`)."""

    def __str__(self) -> str:
        text = f"{self.field}: {self.message}" if self.field else self.message
        return f"{text} {self.remedy}".rstrip()


class AutoMLError(Exception):
    """Base of every error this package raises on purpose."""

    reason = "INTERNAL"
    exit_code = 1


class InvalidInput(AutoMLError):
    """What the user sent can't be used. Holds every violation that was found, not the first alone."""

    reason = "INVALID_INPUT"
    exit_code = 2

    def __init__(self, violations: Violation | Iterable[Violation]):
        self.violations = (violations,) if isinstance(violations, Violation) else tuple(violations)
        super().__init__("\n".join(map(str, self.violations)))

    @classmethod
    def at(cls, field: str, message: str, remedy: str = "", reason: str = "") -> InvalidInput:
        """The common case of a single violation."""
        return cls(Violation(field=field, message=message, remedy=remedy, reason=reason or cls.reason))


class InvalidData(InvalidInput):
    """A data set can't be read or used; each violation's `field` names the file, row and column."""

    reason = "INVALID_DATA"


class Infeasible(AutoMLError):
    """No model can satisfy the request; the message names the nearest limits that one could."""

    reason = "INFEASIBLE"
    exit_code = 2


class Unavailable(AutoMLError):
    """This machine lacks something that the request needs; the message says what and how to get it."""

    reason = "UNAVAILABLE"


class Internal(AutoMLError):
    """A defect of ours."""
