"""Every searched technique on against off, everything else equal, on a small real set for each modality.

    python -m benchmarks.techniques --data FOLDER [--only mixup] [--modality table] [--time-limit 3600] [--jobs 2]

Goes on where an earlier call of the same commit ended. Writes `results/<commit>-<time>.json`, and
`results/README.md`, in which what was compared again replaces what older files say; with `--only` the table is printed, too.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from automl.catalog import slots, techniques
from automl.data.prepared import PreparedDataset
from automl.spec import Recipe
from benchmarks import machine
from benchmarks.techniques import arms, figures, runs, table
from benchmarks.techniques.sets import SETS, Set

RESULTS = Path(__file__).parent / "results"
FOLDS = 5
RUN_S = 180.0
"""Longest run."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A technique on a set."""

    chosen: Set
    arms: arms.Arms
    pairs: tuple[tuple[Recipe, Recipe], ...]
    """(on, off)."""

    def run_keys(self) -> list[tuple[str, str]]:
        name, metric = self.chosen.name, self.chosen.metric
        return [(runs.key(name, metric, on), runs.key(name, metric, off)) for on, off in self.pairs]


def planned(
    prepared: dict[str, PreparedDataset], only: list[str], seeds: int
) -> tuple[list[Comparison], list[tuple[str, str, str]]]:
    """What is to be compared, by technique; and (id, modality, why) of what can't be."""
    found, skipped = [], []
    for technique in techniques:
        if not technique.searched or technique.stage in slots.AFTER_TRAINING or (only and technique.id not in only):
            continue
        for modality in dict.fromkeys(s.modality for s in SETS if s.name in prepared):
            if modality not in technique.modalities:
                continue
            reasons = {}
            for chosen in (s for s in SETS if s.name in prepared and s.modality == modality):
                made = arms.of(technique, chosen.task, prepared[chosen.name].meta.profile)
                if isinstance(made, arms.Arms):
                    pairs = tuple(made.at(seed, FOLDS, chosen.epochs) for seed in range(seeds))
                    found.append(Comparison(chosen, made, pairs))
                    break
                reasons[chosen.name] = made
            else:
                skipped.append((technique.id, modality, "; ".join(dict.fromkeys(reasons.values()))))
    return found, skipped


def carry_out(
    comparisons: list[Comparison], ledger: runs.Ledger, train: Callable[[str, Recipe, Set], runs.Run], *,
    jobs: int = 1, ends: float = math.inf, say: Callable[[str], None] = lambda line: None,
) -> int:
    """Trains what the ledger lacks, comparison by comparison, until `ends` (`time.monotonic()`). Returns how many runs are
    still to be made."""
    waiting: dict[str, tuple[Recipe, Set]] = {}
    for comparison in comparisons:
        for pair, keys in zip(comparison.pairs, comparison.run_keys(), strict=True):
            for recipe, key in zip(pair, keys, strict=True):
                if ledger.get(key) is None:
                    waiting.setdefault(key, (recipe, comparison.chosen))
    left = len(waiting)

    def one(key: str) -> runs.Run | None:
        return None if time.monotonic() >= ends else train(key, *waiting[key])

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for run in pool.map(one, waiting):
            if run is not None:
                ledger.add(run)
                left -= 1
                told = run.message if run.score is None else f"{run.score:.4f}"
                say(f"{run.key.partition(' ')[0]} {run.outcome} {told} ({run.wall_s:.1f} s), {left} left")
    return left


def summed_up(comparison: Comparison, ledger: runs.Ledger) -> dict[str, Any] | None:
    """The figures of a comparison from the pairs that are there; None before the first one."""
    pairs = [(ledger.get(on), ledger.get(off)) for on, off in comparison.run_keys()]
    there = [(on, off) for on, off in pairs if on is not None and off is not None]
    if not there:
        return None
    whole = [(on, off) for on, off in there if on.score is not None and off.score is not None]
    timed = [(on, off) for on, off in whole if on.epoch_cpu_s and off.epoch_cpu_s]
    change = figures.difference(
        [on.score or 0.0 for on, _ in whole], [off.score or 0.0 for _, off in whole], test_over_train=1 / (FOLDS - 1)
    )
    time_factor = figures.factor([on.epoch_cpu_s or 1 for on, _ in timed], [off.epoch_cpu_s or 1 for _, off in timed])
    failures = Counter(
        f"{arm} {run.outcome}" for pair in there for arm, run in zip(("on", "off"), pair) if run.score is None
    )
    return {
        "technique": comparison.arms.technique, "set": comparison.chosen.name, "modality": comparison.chosen.modality,
        "metric": comparison.chosen.metric, "epochs": comparison.chosen.epochs, "instead": comparison.arms.instead,
        "architecture": comparison.arms.on.architecture.id, "differs_too": list(comparison.arms.differs_too),
        "off_mean": statistics.fmean(off.score or 0.0 for _, off in whole) if whole else None,
        "difference": _plain(change), "verdict": figures.verdict(change), "epoch_factor": _plain(time_factor),
        "declared_cost": techniques[comparison.arms.technique].cost, "failures": dict(failures),
        "messages": sorted({run.message for pair in there for run in pair if run.message})[:5],
    }


def _plain(estimate: figures.Estimate) -> dict[str, float | int | None]:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in dataclasses.asdict(estimate).items()
    }


def _prepared(data: Path, work: Path, modality: list[str]) -> dict[str, PreparedDataset]:
    from automl.data.prepare import prepare
    from automl.data.source import Source
    from automl.spec import DataSettings, JobSpec

    made = {}
    for chosen in SETS:
        if modality and chosen.modality not in modality:
            continue
        folder = work / chosen.name
        folder.mkdir()
        source = Source(chosen.cut(data, folder))
        # Folds are cut from all but the test rows, which nobody looks at here: few are set aside.
        settings = DataSettings(**chosen.settings, test_fraction=0.02)
        spec = JobSpec(dataset=chosen.name, task=chosen.task, metric=chosen.metric, data=settings)
        made[chosen.name] = prepare(spec, chosen.task, source, None, folder / "prepared")
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder for each set")
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="this technique; may be repeated")
    parser.add_argument("--modality", action="append", default=[], choices=sorted({s.modality for s in SETS}))
    parser.add_argument("--seeds", type=int, default=FOLDS, help="pairs of each comparison")
    parser.add_argument("--time-limit", type=float, default=math.inf, metavar="S", help="start no run later than this")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on one thread")
    parser.add_argument("--runs", type=Path, help="file that remembers runs [results/runs-<commit>.jsonl]")
    given = parser.parse_args()
    began, about = time.monotonic(), machine.describe()
    if unknown := [id for id in given.only if id not in techniques]:
        parser.error("; ".join(techniques.unknown(id) for id in unknown))
    ledger = runs.Ledger(given.runs or RESULTS / f"runs-{about['commit'][:10]}.jsonl")
    with tempfile.TemporaryDirectory(prefix="techniques-") as folder:
        prepared = _prepared(given.data, Path(folder), given.modality)
        comparisons, skipped = planned(prepared, given.only, given.seeds)

        def train(key: str, recipe: Recipe, chosen: Set) -> runs.Run:
            return runs.train(key, recipe, prepared[chosen.name].path, chosen.metric, limit_s=RUN_S)

        left = carry_out(
            comparisons, ledger, train, jobs=given.jobs, ends=began + given.time_limit,
            say=lambda line: print(line, flush=True),
        )
    found = [one for one in (summed_up(c, ledger) for c in comparisons) if one is not None]
    result = {**about, "runs_left": left, "wall_s": round(time.monotonic() - began, 1), "comparisons": found,
              "skipped": skipped}
    stamp = about["taken"].replace(":", "").partition("+")[0]
    RESULTS.mkdir(exist_ok=True)
    written = json.dumps(result, indent=1, allow_nan=False) + "\n"
    (RESULTS / f"{about['commit'][:10]}-{stamp}.json").write_text(written, encoding="utf-8")
    if given.only or given.modality:
        print(table.page([result]))
    (RESULTS / "README.md").write_text(table.page(table.known(RESULTS)), encoding="utf-8")
    print(f"{len(found)} comparisons, {left} runs left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
