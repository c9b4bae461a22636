"""What a row of this benchmark may use; `benchmarks.rows` says what a row is.

A row that trains keeps its trainings in a ledger of its own, so that it goes on where it was broken off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"


@dataclasses.dataclass(frozen=True)
class Given:
    """What a row may use."""

    data: Path | None
    """Folder with one folder for each data set."""
    work: Path
    """For what is prepared; kept from call to call."""
    ends: float
    """By `time.monotonic()`: nothing long begins later."""
    say: Callable[[str], None]
