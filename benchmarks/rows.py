"""Benchmarks of several rows: a row is a module of the benchmark's folder with a name, an aim, a measurement and a table.

    NAME = "latency-table"
    AIM = "median error ≤ 15 %, rank correlation ≥ 0.9"
    def measure(given: Given) -> dict[str, Any]      # JSON; "met": True, False, or None while something is left to be done
    def table(result: dict[str, Any]) -> str         # Markdown

`Given` is the benchmark's own. Each measurement leaves `<row>-<commit>-<time>.json`; a page shows the newest of each row.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import machine


def of(package: str, folder: Path) -> dict[str, ModuleType]:
    """A benchmark's rows by name: the modules of its folder that have an aim."""
    found = [
        importlib.import_module(f"{package}.{module.name}")
        for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_")
    ]
    return {str(module.NAME): module for module in found if hasattr(module, "AIM")}


def run(
    known: Mapping[str, ModuleType], names: Iterable[str], results: Path,
    measured: Callable[[ModuleType, dict[str, Any]], dict[str, Any]],
) -> bool:
    """Measures rows, `measured(row, machine)` each, writes their files, and says whether all aims were met."""
    met = True
    results.mkdir(exist_ok=True)
    for name in names:
        about, began = machine.describe(), time.monotonic()
        result = {**about, **measured(known[name], about), "wall_s": round(time.monotonic() - began, 1)}
        stamp = about["taken"].replace(":", "").partition("+")[0]
        written = json.dumps(result, indent=1, allow_nan=False) + "\n"
        (results / f"{name}-{about['commit'][:10]}-{stamp}.json").write_text(written, encoding="utf-8")
        print(known[name].table(result))
        met = met and result["met"] is True
    return met


def page(
    title: str, known: Mapping[str, ModuleType], folder: Path, remark: Callable[[dict[str, Any]], str] = lambda result: "",
    judged: Callable[[dict[str, Any]], dict[str, Any]] = lambda result: result,
) -> str:
    """Every row's newest result for people, as it is `judged` today; `remark` stands behind the time that it took."""
    lines = [f"# {title}"]
    for name, row in known.items():
        files = sorted(folder.glob(f"{name}-*.json"), key=lambda file: json.loads(file.read_text(encoding="utf-8"))["taken"])
        lines += ["", f"## {name}", "", f"Aim: {row.AIM}.", ""]
        if not files:
            lines.append("Not run yet.")
            continue
        result = judged(json.loads(files[-1].read_text(encoding="utf-8")))
        about = result["machine"]
        lines += [
            f"{ {True: 'Met', False: 'Missed', None: 'Not done yet'}[result['met']] }. Commit {result['commit'][:10]}, "
            f"{about['processor']}, {about['cores']} cores, load {about['load_average']:.1f} at the start; "
            f"{result['taken']}, {result['wall_s']:.0f} s{remark(result)}.", "", row.table(result),
        ]
    return "\n".join(lines).rstrip() + "\n"
