"""What a row of this benchmark is: a module here with a name, an aim, a measurement, and its figures as a table.

    NAME = "latency-table"
    AIM = "median error ≤ 15 %, rank correlation ≥ 0.9"
    def measure(given: Given) -> dict[str, Any]      # JSON; "met": True, False, or None while something is left to be done
    def table(result: dict[str, Any]) -> str         # Markdown

A row that trains keeps its trainings in a ledger of its own, so that it goes on where it was broken off.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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


def all() -> dict[str, ModuleType]:
    """The rows by name: the modules of this folder that have a name."""
    found = [
        importlib.import_module(f"{__package__}.{module.name}")
        for module in pkgutil.iter_modules([str(HERE)]) if not module.name.startswith("_")
    ]
    return {str(module.NAME): module for module in found if hasattr(module, "AIM")}
