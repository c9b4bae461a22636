"""When to try again after the server was not reachable, and when to give up.

Kept free of clocks and sleeping: both clients ask `Attempts` for the pause and sleep in their own way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from automl_client import errors


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter."""

    first_s: float = 0.1
    factor: float = 2.0
    longest_s: float = 3.0
    give_up_s: float = 30.0
    """After so long without any progress the error is raised. A restarted server is back within seconds."""
    first_contact_s: float = 3.0
    """The same before the server was reached for the first time: then the address is probably wrong."""


@dataclass
class Attempts:
    """The failed tries of one call, upload, download or watch since it last made progress."""

    policy: RetryPolicy
    connected: bool = True
    """Whether the server has answered before."""
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    """A number in [0, 1): spreads clients that lost the same server at the same moment."""
    _failures: int = 0
    _since: float | None = field(default=None)

    def progressed(self) -> None:
        """Something arrived: the next failure is the first again."""
        self._failures, self._since, self.connected = 0, None, True

    def pause_after(self, error: errors.AutoMLError) -> float:
        """Seconds to wait before the next try. Raises `error` when it is not transient, or has lasted too long."""
        if not is_transient(error):
            raise error
        now = self.clock()
        if self._since is None:
            self._since = now
        limit = self.policy.give_up_s if self.connected else self.policy.first_contact_s
        pause = min(self.policy.longest_s, self.policy.first_s * self.policy.factor**self._failures)
        pause *= 0.5 + 0.5 * self.jitter()
        if error.retry_after_s is not None:
            pause = max(pause, error.retry_after_s)
        self._failures += 1
        if now - self._since + pause > limit:
            raise error
        return pause


def is_transient(error: errors.AutoMLError) -> bool:
    """True when the server could not be reached; a deadline that passed is not tried again: it waited long enough."""
    return isinstance(error, errors.Unavailable) and not isinstance(error, errors.DeadlineExceeded) and error.transient
