"""Compression in figures, one row each.

    python -m benchmarks.compression --data FOLDER [--only qat] [--seeds 3] [--sets adult] [--factor 1.0] [--time-limit 3600]

Writes `results/<row>-<commit>-<time>.json`, and `results/README.md` from the newest file of each row. A row goes on where an
earlier call of the same commit ended.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import machine
from benchmarks.compression import rows

SEEDS = 3
"""Of a whole run; what was measured with fewer is a quick look."""


def page(known: dict[str, ModuleType], folder: Path) -> str:
    """Every row's newest result for people."""
    lines = ["# Compression: figures"]
    for name, row in known.items():
        files = sorted(folder.glob(f"{name}-*.json"), key=lambda file: json.loads(file.read_text(encoding="utf-8"))["taken"])
        lines += ["", f"## {name}", "", f"Aim: {row.AIM}.", ""]
        if not files:
            lines.append("Not run yet.")
            continue
        result: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
        about = result["machine"]
        quick = result["factor"] != 1.0 or result["seeds"] < SEEDS
        small = f"; a quick look ({result['seeds']} seed(s), budgets × {result['factor']:g})" if quick else ""
        lines += [
            f"{ {True: 'Met', False: 'Missed', None: 'Not done yet'}[result['met']] }. Commit {result['commit'][:10]}, "
            f"{about['processor']}, {about['cores']} cores, load {about['load_average']:.1f} at the start; "
            f"{result['taken']}, {result['wall_s']:.0f} s{small}.", "", row.table(result),
        ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    known = rows.all()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with one folder for each set")
    parser.add_argument("--only", action="append", default=[], choices=sorted(known), help="this row; may be repeated")
    parser.add_argument("--sets", action="append", default=[], help="this data set; may be repeated")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--factor", type=float, default=1.0, help="on the budgets of jobs, for a quick look")
    parser.add_argument("--time-limit", type=float, default=math.inf, metavar="S", help="begin nothing later than this")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "automl-benchmarks-compression",
                        help="what was measured so far is kept here [%(default)s]")
    given = parser.parse_args()
    ends, met = time.monotonic() + given.time_limit, True
    for name in given.only or known:
        about, began = machine.describe(), time.monotonic()
        what = rows.Given(
            given.data, given.work, ends, given.seeds, given.factor, tuple(given.sets), about["commit"],
            lambda line: print(line, flush=True),
        )
        measured = known[name].measure(what)
        result = {**about, "factor": given.factor, "seeds": given.seeds, **measured,
                  "wall_s": round(time.monotonic() - began, 1)}
        stamp = about["taken"].replace(":", "").partition("+")[0]
        rows.RESULTS.mkdir(exist_ok=True)
        written = json.dumps(result, indent=1, allow_nan=False) + "\n"
        (rows.RESULTS / f"{name}-{about['commit'][:10]}-{stamp}.json").write_text(written, encoding="utf-8")
        print(known[name].table(result))
        met = met and result["met"] is True
    (rows.RESULTS / "README.md").write_text(page(known, rows.RESULTS), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
