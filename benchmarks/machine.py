"""What a measurement was taken on and from."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VERSIONS = ("tensorflow", "keras", "keras-tuner", "ai-edge-litert", "numpy", "scikit-learn", "optuna")


def describe() -> dict[str, Any]:
    """Commit (and whether files differ from it), machine, versions, time, load at the start."""
    import psutil

    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.system(),
            "python": platform.python_version(),
            "load_average": os.getloadavg()[0],
        },
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
