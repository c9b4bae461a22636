"""Best-so-far of every sampler against random search on one fixed surrogate: `python benchmarks/samplers/run.py`.

The surrogate is the tests' (`tests/unit/search/fakes.py`): the derived space of a table with its hundred conditional
dimensions, of which the learning rate, width, depth and dropout matter. Nothing is trained, so the curves show the samplers
alone. Prints one row a strategy and writes `results/<commit>.json` with `--write`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.contract.samplers.test_samplers import Play, make  # noqa: E402
from tests.unit.search.fakes import worth  # noqa: E402

MARKS = (5, 10, 20, 40, 80)


def curve(strategy: str, seed: int, trials: int) -> tuple[list[float], float]:
    """Best true worth after each trial, and seconds per proposal."""
    began = time.perf_counter()
    play = Play(make(strategy, seed), slots=2).run(trials)
    spent = (time.perf_counter() - began) / max(1, len(play.proposals))
    best, values = float("-inf"), []
    for trial in play.trials.values():
        best = max(best, worth(trial.recipe))
        values.append(best)
    return values, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default="random,auto,evolution,tpe,asha,hyperband,bayesian,grid")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--write", action="store_true", help="write results/<commit>.json")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    marks = [m for m in MARKS if m <= chosen.trials]
    table = {}
    print(f"{'strategy':<11}" + "".join(f"{f'after {m}':>11}" for m in marks) + f"{'ms a proposal':>16}")
    for strategy in chosen.strategies.split(","):
        runs = [curve(strategy, seed, chosen.trials) for seed in range(1, chosen.seeds + 1)]
        means = [statistics.fmean(values[min(m, len(values)) - 1] for values, _ in runs) for m in marks]
        spent_ms = 1000 * statistics.fmean(s for _, s in runs)
        table[strategy] = {"best_after": dict(zip(map(str, marks), means)), "ms_a_proposal": spent_ms}
        print(f"{strategy:<11}" + "".join(f"{m:>11.4f}" for m in means) + f"{spent_ms:>16.1f}", flush=True)
    if chosen.write:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        found = {
            "commit": commit, "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "seeds": chosen.seeds, "trials": chosen.trials, "strategies": table,
        }
        out = Path(__file__).parent / "results" / f"{found['commit']}.json"
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
