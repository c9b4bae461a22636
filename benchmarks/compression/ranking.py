"""What `--rank-by artifact` takes of the trials' time, and what it finds, in whole jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.compression import jobs, rows
from benchmarks.mainjob import scoring
from benchmarks.mainjob import sets as mainjob

NAME = "rank-by"
AIM = "measuring trials as files takes at most 15 % of the trials' own time"
MOST = 0.15
SETS = {"adult": (mainjob.adult, 180.0), "mnist": (mainjob.mnist, 300.0)}


def measure(given: rows.Given) -> dict[str, Any]:
    assert given.data is not None, "--data is needed"
    data, found = given.data, []
    names = [n for n in SETS if not given.sets or n in given.sets]
    for name in names:
        for seed in range(given.seeds):
            for by in ("artifact", "model"):
                unit = given.unit(
                    NAME, {"set": name, "seed": seed, "rank_by": by},
                    lambda name=name, seed=seed, by=by: job(data, name, seed, by, given.factor),
                )
                found += [] if unit is None else [unit]
    conditions = ["fault" not in u and (u["rank_by"] == "model" or u["share"] <= MOST) for u in found]
    return {"units": found, "met": rows.verdict(conditions, len(found) == 2 * len(SETS) * given.seeds)}


def table(result: dict[str, Any]) -> str:
    lines = ["| set | seed | ranked by | trials measured | share of the trials' time | held-out metric of int8 | KB |",
             "|---|---|---|---|---|---|---|"]
    for u in result["units"]:
        if "fault" in u:
            lines.append(f"| {u['set']} | {u['seed']} | {u['rank_by']} | {u['fault'][:100]} | | | |")
            continue
        share = f"{u['measured']} of {u['trials']} | {u['share']:.1%}" if u["rank_by"] == "artifact" else " | "
        lines.append(
            f"| {u['set']} | {u['seed']} | {u['rank_by']} | {share} | {u['held_out']:.4f} | {u['bytes'] / 1e3:.0f} |"
        )
    return "\n".join(lines)


def job(data: Path, name: str, seed: int, by: str, factor: float) -> dict[str, Any]:
    from automl_client import Client

    prepare, budget_s = SETS[name]
    with jobs.place() as (user, work):
        prepared = prepare(data, work)
        result = jobs.submitted(
            user, work / "out", str(prepared.train), *prepared.options, "--metric", prepared.metric, "--rank-by", by,
            # Else the one ensembles and the other can't, and nothing is compared.
            "--forbid", "bagging", "--format", "tflite:int8", budget_s=factor * budget_s, seed=seed,
        )
        if not result.get("artifacts"):
            raise RuntimeError(f"nothing was delivered: {result['state']} {result['said'][-800:]}")
        file = Path(result["artifacts"][0]["path"])
        user.run("predict", str(file), str(prepared.new), "--out", str(work / "said.csv"), timeout_s=1800)
        os.environ["AUTOML_HOME"] = str(user.home)
        with Client.embedded(home=user.home) as client:
            trials = [t for t in client.list_trials(result["job"]) if t.origin not in ("probe", "final") and t.wall_s > 0]
        spent = sum(t.artifact.wall_s for t in trials if t.artifact is not None)
        own = sum(t.wall_s for t in trials) - spent
        return {
            "trials": len(trials), "measured": sum(t.artifact is not None for t in trials), "share": spent / max(1e-9, own),
            "held_out": scoring.score(work / "said.csv", prepared), "bytes": file.stat().st_size,
            "wall_job_s": result["wall_s"],
        }
