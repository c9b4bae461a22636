"""The summary table of the result files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEAD = (
    "set",
    "metric",
    "aim",
    "float, held out",
    "int8, held out",
    "gradient boosting",
    "budget",
    "wall / budget",
    "first model",
    "goodput",
    "trials",
    "cores",
    "load",
    "commit",
)


def cells(figures: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    held_out = {f"{a['format']}:{a['precision']}": a["held_out_metric"] for a in figures["artifacts"]}
    value, integer = held_out.get("tflite:float32"), held_out.get("tflite:int8")
    reached = value is not None and value >= figures["aim"]
    close = integer is not None and value is not None and value - integer <= figures["int8_within"]
    peer = figures.get("peer")
    return [
        figures["set"],
        figures["metric"],
        f"{figures['aim']:g}",
        _number(value) + ("" if reached else " (below)"),
        _number(integer) + ("" if close or integer is None else " (too far)"),
        _number(peer["metric"]) if peer else "–",
        f"{figures['budget_s']:g} s",
        f"{figures['budget_ratio']:.3f}" + ("" if figures["budget_ratio"] <= 1.05 else " (over)"),
        "–" if figures["first_model_share"] is None else f"{100 * figures['first_model_share']:.0f} %",
        "–" if figures["goodput"] is None else f"{100 * figures['goodput']:.0f} %",
        str(sum(figures["trials"].values())),
        str(about["machine"]["cores"]),
        f"{about['machine']['load_average']:.1f}",
        about["commit"][:10] + ("+" if about["changed_files"] else ""),
    ]


def line(figures: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {cell}" for name, cell in zip(HEAD, cells(figures, about), strict=True))


def page(results: Path) -> str:
    """Markdown, newest first within a set."""
    stored = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"), reverse=True)]
    stored.sort(key=lambda one: one["set"])
    rows = [f"| {' | '.join(cells(one, one))} |" for one in stored]
    return "\n".join(
        [
            "# Results of the main job\n",
            "Written by `python -m benchmarks.mainjob`. Held-out figures are computed by scikit-learn from what "
            "`automl predict` wrote for "
            "rows that the product never saw. A `+` after the commit: files differed from it. Load: average at the start.\n",
            f"| {' | '.join(HEAD)} |",
            f"|{'---|' * len(HEAD)}",
            *rows,
            "",
        ]
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
