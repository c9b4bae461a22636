"""Compression in figures, one row each.

    python -m benchmarks.compression --data FOLDER [--only qat] [--seeds 3] [--sets adult] [--factor 1.0] [--time-limit 3600]

Writes `results/<row>-<commit>-<time>.json`, and `results/README.md` from the newest file of each row. A row goes on where an
earlier call of the same commit ended.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import rows as shared
from benchmarks.compression import rows

TITLE = "Compression: figures"
SEEDS = 3
"""Of a whole run; what was measured with fewer is a quick look, which may miss an aim and doesn't meet it yet."""


def remark(result: dict[str, Any]) -> str:
    """Says so where a result was measured in less than the whole."""
    said = f"; budgets × {result['factor']:g}" if result["factor"] != 1.0 else ""
    return said + (f"; a quick look, {result['seeds']} seed(s)" if result["seeds"] < SEEDS else "")


def judged(result: dict[str, Any]) -> dict[str, Any]:
    """The result, met only where the seeds are as many as they should be."""
    return {**result, "met": None} if result["met"] and result["seeds"] < SEEDS else result


def main() -> int:
    known = shared.of(__package__, rows.HERE)
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
    ends = time.monotonic() + given.time_limit

    def measured(row: ModuleType, about: dict[str, Any]) -> dict[str, Any]:
        what = rows.Given(
            given.data, given.work, ends, given.seeds, given.factor, tuple(given.sets), about["commit"],
            lambda line: print(line, flush=True),
        )
        return judged({"factor": given.factor, "seeds": given.seeds, **row.measure(what)})

    met = shared.run(known, given.only or known, rows.RESULTS, measured)
    (rows.RESULTS / "README.md").write_text(shared.page(TITLE, known, rows.RESULTS, remark, judged), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
