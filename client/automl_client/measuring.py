"""What a process measures on itself: time of one row, memory, the machine. Nothing here knows of models."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WARM_UP = 20
RUNS = 200
LIMIT_S = 1.0
"""Of one measurement, about."""


@dataclass(frozen=True)
class Latency:
    """Time of one row, batch 1."""

    threads: int
    median_ms: float
    p90_ms: float
    runs: int
    warm_up: int
    """Calls before the first that counts."""


def latency(single: Callable[[], object], threads: int) -> Latency:
    """Calls `single` up to `WARM_UP` times, then up to `RUNS` times with a clock; at least 3 and 5 times each."""
    warm, began = 0, time.perf_counter()
    while warm < 3 or (warm < WARM_UP and time.perf_counter() - began < LIMIT_S / 4):
        single()
        warm += 1
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 5 or (len(times) < RUNS and time.perf_counter() - began < LIMIT_S):
        start = time.perf_counter()
        single()
        times.append(time.perf_counter() - start)
    median, p90 = np.percentile(np.array(times) * 1e3, [50, 90])
    return Latency(threads, float(median), float(p90), len(times), warm)


class PeakMemory:
    """Growth of this process's peak resident memory from here on; None where the system doesn't tell.

    Linux keeps a peak that a process may reset for itself; elsewhere the peak since the process began can't be told apart
    from what was loaded before.
    """

    _status, _reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._before: int | None = None
        if self._status.exists() and os.access(self._reset, os.W_OK):
            self._reset.write_text("5")  # "5": the peak becomes the present size (proc(5))
            self._before = self._read("VmRSS")

    def growth_bytes(self) -> int | None:
        return None if self._before is None else max(0, self._read("VmHWM") - self._before)

    def _read(self, field: str) -> int:
        return next(
            1024 * int(line.split()[1]) for line in self._status.read_text().splitlines() if line.startswith(field + ":")
        )


def machine() -> str:
    """Processor, cores that this process may use, system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {platform.system()} {platform.machine()}"
