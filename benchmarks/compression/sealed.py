"""Jobs with limits drawn at random: what is delivered is measured by a script that has nothing of the product.

Two jobs without limits on each set say what is usual there, and what a linear model takes: nothing smaller or quicker is
known. Limits are drawn between the two: of size, of latency, of both. Some jobs get limits that nothing can meet, and have
to say so.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import jobs, rows

NAME = "sealed-limits"
AIM = "30 jobs with random feasible limits: every delivered file meets them; infeasible limits are said to be so"
FEASIBLE, INFEASIBLE = 30, 4
BUDGET_S = 90.0
NOISE = 1.15
"""Between two measurements of a latency on one machine."""
SLACK_SIZE, SLACK_LATENCY = 1.2, 2.0
"""Limits are drawn from as many times a linear model's up: its files differ by what they are trained on, and times of some
microseconds by what else the machine does."""
SETS: dict[str, tuple[str, ...]] = {
    "penguins/penguins.csv": ("--target", "species"), "titanic/titanic.csv": ("--target", "survived", "--ignore", "alive"),
    "telco_churn/Telco-Customer-Churn.csv": ("--target", "Churn"),
    "wine_quality/winequality-red.csv": ("--target", "quality"),
}


def measure(given: rows.Given) -> dict[str, Any]:
    assert given.data is not None, "--data is needed"
    data = given.data
    names = [n for n in SETS if not given.sets or n.partition("/")[0] in given.sets]
    usual, least, found = {}, {}, []
    for name in names:
        unit = given.unit(NAME, {"set": name, "usual": True}, lambda name=name: job(data, name, (), 0, given.factor))
        linear = given.unit(
            NAME, {"set": name, "usual": False},
            lambda name=name: job(data, name, ("--force", "linear", "--forbid", "bagging"), 0, given.factor),
        )
        if unit is not None and unit.get("files") and linear is not None and linear.get("files"):
            usual[name], least[name] = unit["files"][0], linear["files"][0]
    rng = np.random.default_rng(20)
    for i in range(FEASIBLE + INFEASIBLE):
        name = names[i % len(names)]
        draw = rng.random(3)
        if name not in usual:
            continue
        limits = drawn(usual[name], least[name], draw) if i < FEASIBLE else {"max_size": 1_500}
        options = [part for k, v in limits.items() for part in (f"--{k.replace('_', '-')}", written(k, v))]
        unit = given.unit(
            NAME, {"number": i, "set": name, **limits},
            lambda name=name, options=options, i=i: job(data, name, tuple(options), i, given.factor),
        )
        if unit is not None:
            found.append({**unit, "verdict": verdict(unit, i < FEASIBLE)})
    conditions = [u["verdict"] == "met" for u in found]
    whole = len(found) == FEASIBLE + INFEASIBLE
    return {"usual": usual, "least": least, "units": found, "met": rows.verdict(conditions, whole)}


def table(result: dict[str, Any]) -> str:
    lines = ["| | set | limits | file | latency | |", "|---|---|---|---|---|---|"]
    for u in result["units"]:
        limits = ", ".join(
            f"{u[k] / 1e3:.0f} KB" if k == "max_size" else f"{u[k]:.3g} ms" for k in ("max_size", "max_latency") if k in u
        )
        file = "" if not u.get("files") else f"{min(f['bytes'] for f in u['files']) / 1e3:.1f} KB"
        latency = "" if not u.get("files") else f"{min(f['latency_ms'] for f in u['files']):.3g} ms"
        lines.append(f"| {u['number']} | {u['set'].partition('/')[0]} | {limits} | {file} | {latency} | {u['verdict']} |")
    return "\n".join(lines)


def drawn(usual: dict[str, Any], least: dict[str, Any], draw: np.ndarray) -> dict[str, float]:
    """Limits between the least and what is usual, even on a logarithmic scale; a third each of size, of latency, of both."""
    def between(low: float, high: float, share: float) -> float:
        return math.exp(np.interp(share, [0, 1], np.log([low, max(low, high)])))

    limits: dict[str, float] = {}
    if draw[0] < 2 / 3:
        limits["max_size"] = round(between(SLACK_SIZE * least["bytes"], usual["bytes"], draw[1]))
    if draw[0] > 1 / 3:
        limits["max_latency"] = float(f"{between(SLACK_LATENCY * least['latency_ms'], usual['latency_ms'], draw[2]):.3g}")
    return limits


def written(name: str, value: float) -> str:
    return f"{value:.0f}B" if name == "max_size" else f"{value:g}ms"


def verdict(unit: dict[str, Any], feasible: bool) -> str:
    if "fault" in unit:
        return f"fault: {unit['fault'][:80]}"
    if not unit["files"]:
        said = f"{unit['state']}, {unit['reason']}"
        return "met" if not feasible and unit["reason"] == "INFEASIBLE" else f"nothing delivered: {said}"
    if not feasible:
        return "delivered what can't be"
    over = [
        f for f in unit["files"]
        if f["bytes"] > unit.get("max_size", math.inf) or f["latency_ms"] > NOISE * unit.get("max_latency", math.inf)
    ]
    return f"{len(over)} of {len(unit['files'])} files beyond the limits" if over else "met"


def job(data: Path, name: str, options: tuple[str, ...], seed: int, factor: float) -> dict[str, Any]:
    with jobs.place() as (user, work):
        result = jobs.submitted(
            user, work / "out", str(data / name), *SETS[name], *options, "--format", "tflite:int8",
            budget_s=factor * BUDGET_S, seed=seed,
        )
        files = [jobs.measured(Path(a["path"])) for a in result.get("artifacts", ())]
        return {
            "state": result["state"], "reason": reason_of(result), "files": files, "refused": result.get("refused", ()),
            "test": (result.get("metric") or {}).get("test"), "wall_job_s": result.get("wall_s"),
        }


def reason_of(result: dict[str, Any]) -> str:
    """Machine-readable, where the job has one."""
    error = result.get("error") or {}
    said = "" if result["state"] == "SUCCEEDED" else result["said"][-300:]
    return str(result.get("reason") or error.get("reason") or said)
