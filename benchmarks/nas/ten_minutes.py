"""Ten minutes of architecture search beside ten minutes of what was drawn by hand, at equal int8 size, on whole pictures.

A job searches genotypes; what its int8 file takes, and a tenth more, is the limit of a second job, which has the hand-made
families and their portfolio: their widths come in steps, and what doesn't fit by a hair would be compared at half the size.
Both are whole jobs by the command line on the same machine, and their files are scored on the same test pictures,
which neither has seen.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.compression import jobs
from benchmarks.mainjob import scoring, sets
from benchmarks.nas.rows import Given

NAME = "ten-minutes"
AIM = (
    "what `--strategy evolution` finds in ten minutes is at least as accurate as the best hand-made recipe of the portfolio "
    "at equal int8 size (2 cores, cifar10_subset, mean of the seeds)"
)
STRATEGY = "evolution"
BUDGET_S = 600.0
SEEDS = (0, 1)
SLACK = 1.1
LEDGER = Path(__file__).parent / "ten_minutes.jsonl"


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row."""
    if given.data is None:
        raise SystemExit("ten-minutes trains on pictures: name their folder with --data")
    known = {(one["seed"], one["how"]): one for one in read()}
    for seed in SEEDS:
        for how in ("searched", "hand-made"):
            if (seed, how) in known:
                continue
            if time.monotonic() >= given.ends:
                return {"met": None, "jobs": list(known.values())}
            options = ["--strategy", STRATEGY]
            if how == "hand-made":
                options = ["--strategy", "auto", "--max-size", f"{SLACK * known[seed, 'searched']['bytes']:.0f}B"]
            known[seed, how] = {"seed": seed, "how": how, **job(given.data, options, seed)}
            given.say(f"{known[seed, how]}")
            with LEDGER.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[seed, how]) + "\n")
    gain = mean(known.values(), "searched") - mean(known.values(), "hand-made")
    return {"met": gain >= 0, "gain": gain, "jobs": list(known.values())}


def read() -> list[dict[str, Any]]:
    """The jobs so far."""
    return [json.loads(line) for line in LEDGER.read_text(encoding="utf-8").splitlines()] if LEDGER.is_file() else []


def mean(found: Any, how: str) -> float:
    return statistics.fmean(one["metric"] for one in found if one["how"] == how)


def job(data: Path, options: list[str], seed: int) -> dict[str, Any]:
    with jobs.place() as (user, work):
        prepared = sets.cifar10_subset(data, work)
        result = jobs.submitted(
            user, work / "out", str(prepared.train), *options, "--format", "tflite:int8", budget_s=BUDGET_S, seed=seed
        )
        if not result.get("artifacts"):
            raise SystemExit(f"nothing was delivered: {result['state']} {result['said'][-800:]}")
        file, written = Path(result["artifacts"][0]["path"]), work / "predictions.csv"
        user.run("predict", str(file), str(prepared.new), "--out", str(written), timeout_s=900)
        recipe = json.loads((work / "out" / "recipe.json").read_text(encoding="utf-8"))
        return {
            "metric": scoring.score(written, prepared), "bytes": file.stat().st_size,
            "latency_ms": result["artifacts"][0]["latency_ms"], "validation": result["metric"]["validation"],
            "architecture": recipe.get("architecture"), "epochs": recipe.get("epochs"), "trials": result["trials"],
            "wall_s": result["wall_s"],
        }


def table(result: dict[str, Any]) -> str:
    lines = ["| seed | | int8 | accuracy | latency | trials | network |", "|---|---|---|---|---|---|---|"]
    for one in result["jobs"]:
        network = one["architecture"] or {}
        told = ", ".join(f"{k} {v}" for k, v in network.get("params", {}).items())
        trials = ", ".join(f"{count} {state.lower()}" for state, count in one["trials"].items())
        lines.append(
            f"| {one['seed']} | {one['how']} | {one['bytes'] / 1e3:.0f} KB | {one['metric']:.4f} | "
            f"{one['latency_ms']:.3g} ms | {trials} | `{network.get('id')}` {told}, {one['epochs']} epochs |"
        )
    if "gain" in result:
        lines += ["", f"On average what was searched is {result['gain']:+.4f} more accurate."]
    return "\n".join(lines)
