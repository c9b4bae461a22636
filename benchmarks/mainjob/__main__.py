"""Runs the main job on the four sets as a user would, and writes results with commit and machine.

    python -m benchmarks.mainjob --data FOLDER [--only adult] [--seed 0] [--budget-factor 1.0]

The server is one of its own, in a temporary folder. Each set leaves one file in `results/`; `results/README.md` is the table
of all that lie there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.mainjob import scoring, table
from benchmarks.mainjob.sets import SETS, Prepared, Set

AUTOML = Path(sys.executable).parent / "automl"
RESULTS = Path(__file__).parent / "results"


class User:
    """The command line with a home of its own."""

    def __init__(self, home: Path):
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AUTOML_")}, "AUTOML_HOME": str(home)}
        self.home = home

    def run(self, *arguments: str, timeout_s: float) -> tuple[dict[str, Any], float]:
        """The command's JSON line (where it has --json) and its wall time. Raises `RuntimeError` with what it said."""
        begun = time.monotonic()
        done = subprocess.run(
            [str(AUTOML), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        wall_s = time.monotonic() - begun
        if done.returncode != 0:
            raise RuntimeError(f"automl {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return (json.loads(done.stdout.strip().splitlines()[-1]) if "--json" in arguments else {}), wall_s

    def server_bytes(self) -> int:
        """Resident memory of the server."""
        import psutil

        return int(psutil.Process(json.loads((self.home / "server.ready").read_text())["pid"]).memory_info().rss)

    def stop(self) -> None:
        import psutil

        if (self.home / "server.ready").is_file():
            server = psutil.Process(json.loads((self.home / "server.ready").read_text())["pid"])
            server.terminate()
            server.wait(timeout=60)


def measure(user: User, chosen: Set, prepared: Prepared, work: Path, *, seed: int, budget_s: float) -> dict[str, Any]:
    """Everything about one set."""
    out = work / "out"
    begun = time.time()
    result, wall_s = user.run(
        "submit",
        str(prepared.train),
        *prepared.options,
        "--metric",
        prepared.metric,
        "--budget",
        f"{budget_s:g}s",
        "--seed",
        str(seed),
        "--json",
        "--out",
        str(out),
        timeout_s=3 * budget_s + 300,
    )
    artifacts = []
    for artifact in result["artifacts"]:
        written = work / f"{artifact['format']}-{artifact['precision']}.csv"
        _, predict_s = user.run("predict", artifact["path"], str(prepared.new), "--out", str(written), timeout_s=1800)
        artifacts.append(
            {
                **{key: artifact[key] for key in ("format", "precision", "size_bytes", "latency_ms")},
                "verified_metric": artifact["metric"],
                "held_out_metric": scoring.score(written, prepared),
                "predict_s": round(predict_s, 2),
            }
        )
    return {
        "set": chosen.name,
        "metric": prepared.metric,
        "aim": chosen.aim,
        "int8_within": chosen.int8_within,
        "budget_s": budget_s,
        "seed": seed,
        "wall_s": round(wall_s, 2),
        "budget_ratio": round(wall_s / budget_s, 4),
        "validation": result["metric"]["validation"],
        "own_test": result["metric"]["test"],
        "artifacts": artifacts,
        "refused": result["refused"],
        "trials": result["trials"],
        "goodput": result["goodput"],
        **history(user, result["job"], begun, budget_s),
        "server_bytes": user.server_bytes(),
    }


def history(user: User, job: str, begun: float, budget_s: float) -> dict[str, Any]:
    """What the job's events say about time: the first usable model, the phases, where slot time went."""
    from automl_client import Client

    os.environ["AUTOML_HOME"] = str(user.home)
    first = None
    phases: list[tuple[str, float]] = []
    with Client.embedded(home=user.home) as client:
        for event in client.watch_job(job):
            at = round((event.time.timestamp() if event.time else begun) - begun, 2)
            if event.kind == "best-changed" and first is None:
                first = at
            elif event.kind == "phase-started":
                phases.append((str(event.payload["phase"]), at))
        trials = list(client.list_trials(job))
    by_origin: dict[str, dict[str, float]] = {}
    for trial in trials:
        sums = by_origin.setdefault(trial.origin, {"trials": 0, "wall_s": 0.0, "step_s": 0.0})
        sums["trials"] += 1
        sums["wall_s"] = round(sums["wall_s"] + trial.slots * trial.wall_s, 2)
        sums["step_s"] = round(sums["step_s"] + trial.slots * trial.step_s, 2)
    return {
        "first_model_s": first,
        "first_model_share": None if first is None else round(first / budget_s, 4),
        "phases": phases,
        "slot_time": by_origin,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder for each set")
    parser.add_argument("--only", choices=SETS, action="append", help="this set; may be repeated (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-factor", type=float, default=1.0, help="on the budgets of the table, for a quick look")
    given = parser.parse_args()
    failed = False
    for name in given.only or SETS:
        chosen = SETS[name]
        with tempfile.TemporaryDirectory(prefix="mainjob-") as folder:
            work = Path(folder)
            about = machine.describe()
            prepared = chosen.prepare(given.data, work)
            user = User(work / "home")
            user.home.mkdir()
            try:
                # A server that runs already is the usual case; its start is measured by tests.
                user.run("jobs", "list", "--json", timeout_s=120)
                figures = measure(
                    user, chosen, prepared, work, seed=given.seed, budget_s=chosen.budget_s * given.budget_factor
                )
            except RuntimeError as error:
                print(error, file=sys.stderr)
                failed = True
                continue
            finally:
                user.stop()
            figures["peer"] = scoring.gradient_boosting(prepared)
            path = RESULTS / f"{name}-{about['taken'].replace(':', '').partition('+')[0]}.json"
            path.write_text(json.dumps({**figures, **about}, indent=1) + "\n", encoding="utf-8")
            print(table.line(figures, about), flush=True)
    (RESULTS / "README.md").write_text(table.page(RESULTS), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
