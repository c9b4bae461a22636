"""Inspects a CSV with the standard library, and misbehaves as the file's name asks: bad, crash, slow, hungry, garbage,
flaky."""

import csv
import json
import os
import sys
import time
from pathlib import Path

path, filename = sys.argv[1], sys.argv[sys.argv.index("--filename") + 1]
kind = filename.partition(".")[0]
if kind == "bad":
    print(
        json.dumps(
            {
                "violations": [
                    {"field": "bad.csv, row 7", "message": "expected 3 cells, got 2", "reason": "RAGGED"},
                    {"field": "bad.csv, row 9", "message": "expected 3 cells, got 5", "reason": "RAGGED"},
                ]
            }
        )
    )
    sys.exit(2)
if kind == "crash":
    os.kill(os.getpid(), 11)
if kind == "slow":
    time.sleep(600)
if kind == "hungry":
    held = bytearray(4 << 30)
    held[::4096] = b"x" * len(held[::4096])
if kind == "garbage":
    print("this is no JSON")
    sys.exit(0)
if kind == "defect":
    raise RuntimeError("/secret/path")
with open(path, newline="") as file:
    rows = list(csv.reader(file))
flag = sys.argv[sys.argv.index("--has-header") + 1] if "--has-header" in sys.argv else "true"
names = rows[0]
columns = []
for i, name in enumerate(names):
    values = [row[i] for row in rows[1:]]
    numeric = all(v.replace(".", "").isdigit() for v in values)
    columns.append(
        {
            "name": name,
            "kind": "numeric" if numeric else "categorical",
            "rows_missing": 0,
            "distinct": len(set(values)),
            "examples": sorted(set(values))[:5],
        }
    )
print(
    json.dumps(
        {
            "modality": "table",
            "format": "csv",
            "rows": len(rows) - 1,
            "columns": columns,
            "has_header": flag == "true",
            "findings": [
                {"check": "duplicate-rows", "severity": "warning", "message": "2 rows are there twice", "rows": [1, 2]}
            ],
        }
    )
)
if "TMPDIR" in os.environ:
    with Path(os.environ["TMPDIR"], "inspections").open("a") as note:
        note.write(filename + "\n")
