"""Exporters that fail in every way that a converter can."""

from __future__ import annotations

import os
import pathlib
import signal
from typing import Any


def estimate_s(parameters: int) -> float:
    return 0.1


def segfault(request: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("unreachable")


def nothing(request: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": 1, "sparsity": 0.0, "notes": []}


def garbage(request: dict[str, Any]) -> dict[str, Any]:
    pathlib.Path(request["out"]).write_bytes(b"no model")
    return nothing(request)


def load(path: pathlib.Path, threads: int) -> Any:
    raise ValueError("these bytes are no model")
