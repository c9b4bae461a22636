"""The results as a page."""

from __future__ import annotations

import math
from typing import Any

HEAD = (
    "technique", "set", "metric", "instead", "without", "difference", "95 % interval", "verdict", "time of an epoch",
    "pairs", "note",
)


def page(result: dict[str, Any]) -> str:
    """Markdown of one result file."""
    machine = result["machine"]
    rows = [f"| {' | '.join(_cells(one))} |" for one in result["comparisons"]]
    skipped = [f"- `{id}`, {modality}: {why}" for id, modality, why in result["skipped"]]
    return "\n".join([
        "# Results of the techniques\n",
        f"Written by `python -m benchmarks.techniques`. Commit {result['commit'][:10]}"
        f"{'+' if result['changed_files'] else ''}, {result['taken']}, {machine['processor']}, {machine['cores']} cores, "
        f"load {machine['load_average']:.1f} at the start. What is compared, and how: [the method](../README.md).\n",
        f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *rows, "",
        *(["## Not compared\n", *skipped, ""] if skipped else []),
    ])


def _cells(one: dict[str, Any]) -> list[str]:
    change, time = one["difference"], one["epoch_factor"]
    interval = "–" if math.isnan(_number(change["low"])) else f"{change['low']:+.4f} … {change['high']:+.4f}"
    notes = [f"differs too: {', '.join(one['differs_too'])}"] if one["differs_too"] else []
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
