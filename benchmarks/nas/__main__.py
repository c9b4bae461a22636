"""Architecture search in figures, one row each.

    python -m benchmarks.nas --data FOLDER [--only latency-table] [--time-limit 3600] [--work FOLDER]

Writes `results/<row>-<commit>-<time>.json`, and `results/README.md` from the newest file of each row. What trains many
networks goes on where an earlier call ended.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import rows as shared
from benchmarks.nas import rows

TITLE = "Architecture search: figures"


def main() -> int:
    known = shared.of(__package__, rows.HERE)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with one folder for each set")
    parser.add_argument("--only", action="append", default=[], choices=sorted(known), help="this row; may be repeated")
    parser.add_argument("--time-limit", type=float, default=math.inf, metavar="S", help="begin nothing later than this")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "automl-benchmarks-nas",
                        help="what is prepared is kept here [%(default)s]")
    given = parser.parse_args()
    what = rows.Given(given.data, given.work, time.monotonic() + given.time_limit, lambda line: print(line, flush=True))
    met = shared.run(known, given.only or known, rows.RESULTS, lambda row, about: row.measure(what))
    (rows.RESULTS / "README.md").write_text(shared.page(TITLE, known, rows.RESULTS), encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
