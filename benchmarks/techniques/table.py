"""The results as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEAD = (
    "technique", "set", "metric", "instead", "without", "difference", "95 % interval", "verdict", "time of an epoch",
    "pairs", "note",
)


def page(results: Sequence[dict[str, Any]]) -> str:
    """Markdown of result files, the oldest first: what a later one has compared again stands in the place of what an earlier
    one says."""
    rows, skipped = {}, {}
    for number, result in enumerate(results, 1):
        again = f"run {number}" if number > 1 else ""
        rows |= {(one["technique"], one["modality"]): _cells(one, again) for one in result["comparisons"]}
        skipped |= {(id, modality): why for id, modality, why in result["skipped"]}
    left = [f"- `{id}`, {modality}: {why}" for (id, modality), why in sorted(skipped.items()) if (id, modality) not in rows]
    return "\n".join([
        "# Results of the techniques\n",
        "Written by `python -m benchmarks.techniques`. What is compared, and how: [the method](../README.md).\n",
        *[f"{number}. {_run(result)}" for number, result in enumerate(results, 1)], "",
        f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *[f"| {' | '.join(row)} |" for row in rows.values()], "",
        *(["## Not compared\n", *left, ""] if left else []),
    ])


def known(folder: Path) -> list[dict[str, Any]]:
    """The results in a folder, the oldest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted(found, key=lambda result: str(result["taken"]))


def _run(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"Commit {result['commit'][:10]}{'+' if result['changed_files'] else ''}, {result['taken']}, "
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load_average']:.1f} at the start."
    )


def _cells(one: dict[str, Any], again: str) -> list[str]:
    change, time = one["difference"], one["epoch_factor"]
    interval = "–" if math.isnan(_number(change["low"])) else f"{change['low']:+.4f} … {change['high']:+.4f}"
    notes = [f"differs too: {', '.join(one['differs_too'])}"] if one["differs_too"] else []
    notes += [again] if again else []
    notes += [f"{count} × {what}" for what, count in sorted(one["failures"].items())]
    return [
        f"`{one['technique']}`", one["set"], one["metric"], f"`{one['instead']}`" if one["instead"] else "–",
        _value(one["off_mean"], ".4f"), _value(change["mean"], "+.4f"), interval, one["verdict"],
        "–" if time["mean"] is None else f"× {time['mean']:.2f} (declared {one['declared_cost']:g})", str(change["pairs"]),
        "; ".join(notes),
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _value(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
