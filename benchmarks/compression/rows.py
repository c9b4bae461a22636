"""What a row of this benchmark may use; `benchmarks.rows` says what a row is.

What takes minutes is a unit: `given.unit(...)` runs it once for a commit and keeps its figures, so that a row that was
broken off goes on.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"


@dataclasses.dataclass(frozen=True)
class Given:
    """What a row may use."""

    data: Path | None
    """Folder with one folder for each data set."""
    work: Path
    """Units' figures, and what is prepared; kept from call to call."""
    ends: float
    """By `time.monotonic()`: no unit begins later."""
    seeds: int
    factor: float
    """On the budgets of jobs, for a quick look."""
    sets: tuple[str, ...]
    """Only these data sets; () for all."""
    commit: str
    say: Callable[[str], None]

    def unit(self, row: str, key: Mapping[str, Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The figures of a unit, with its key in them; None where no time is left to run it. One that fails has "fault"."""
        whole = {"commit": self.commit, "factor": self.factor, **key}
        ledger = self.work / f"{row}.jsonl"
        if ledger.is_file():
            for line in ledger.read_text(encoding="utf-8").splitlines():
                known = json.loads(line)
                if known["key"] == whole:
                    return dict(known["figures"])
        if time.monotonic() > self.ends:
            return None
        self.say(f"{row}: {', '.join(f'{name} {value}' for name, value in key.items())}")
        began = time.monotonic()
        try:
            figures = {**key, **run()}
        except (RuntimeError, ValueError) as error:
            figures = {**key, "fault": str(error)[-2000:]}
        figures["wall_s"] = round(time.monotonic() - began, 1)
        self.work.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": whole, "figures": figures}) + "\n")
        self.say(f"  {figures}")
        return figures


def verdict(conditions: list[bool], whole: bool) -> bool | None:
    """Whether a row's aim is met; None while units are missing and none speaks against it."""
    return False if not all_true(conditions) else True if whole and conditions else None


def all_true(conditions: list[bool]) -> bool:
    return False not in conditions
