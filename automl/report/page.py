"""The report of a job, section by section.

The page needs nothing but itself: style and drawings are inside, there is no script, and a content security policy forbids
loading anything. It is made of a job's state alone, so a running job has a report too, as far as it is.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from automl.report import account, architecture, compression, evaluation, head, results, supernet
from automl.report.markup import Markup, element, join, short
from automl.report.view import View
from automl.spec import JobSpec, JobState


def render(state: JobState, spec: JobSpec, *, job: str = "", dataset: str = "", predictions: Path | None = None) -> str:
    """The report as one HTML page.

    `job` and `dataset` are names for people; `predictions` is verification's predictions.npz, used when it exists.
    Raises `InvalidData` when that file isn't what verification writes.
    """
    view = View(state, spec)
    held_out = evaluation.read(predictions) if predictions is not None and predictions.is_file() else None
    sections = [
        _section("artifacts", "What you get", results.artifacts(view)),
        _section("score", "How good it is", results.score(view), results.held_out_rows(view, held_out)),
        _section("size", "Quality against size", results.pareto(view)),
        _section("leaderboard", "Leaderboard", results.leaderboard(view)),
        _section("curves", "Learning curves", results.curves(view)),
        _section("architecture", "Architecture", architecture.drawn(view)),
        _section("supernet", "Supernet", supernet.section(view)),
        _section("failures", "What was lost", account.failures(view)),
        _section("data", "Data", account.data(view)),
        _section("space", "What was searched", account.space(view)),
        _section("compression", "Compression", compression.section(view)),
        _section("decisions", "Decisions", account.decisions(view)),
        _section("recipe", "Recipe", account.how_to_repeat(view)),
        _section("settings", "As it was asked for", account.settings(view)),
    ]
    shown = [section for section in sections if section is not None]
    name = spec.display_name or dataset or spec.dataset
    body = join(
        element(
            "header",
            element("h1", short(name, 120), " ", head.badge(view)),
            element("p", head.verdict(view), class_="lede"),
            head.origin(view, job, dataset),
            head.key_figures(view),
            element(
                "nav",
                [join(element("a", title, href=f"#{anchor}"), " ") for anchor, title, _ in shown],
                aria_label="Sections",
            ),
        ),
        [markup for _, _, markup in shown],
        element("footer", "Made by automl. The page is complete in itself: it loads nothing and runs nothing."),
    )
    meta = join(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing is loaded even if a hostile label found a way past the escaping.
        element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        element("title", f"{short(name, 80)} · automl report"),
        element(
            "style", Markup(importlib.resources.files("automl.report").joinpath("page.css").read_text(encoding="utf-8"))
        ),
    )
    return f"<!doctype html>\n{element('html', element('head', meta), element('body', element('main', body)), lang='en')}\n"


Section = tuple[str, str, Markup]


def _section(anchor: str, title: str, *content: Markup | None) -> Section | None:
    """None when there is nothing to say."""
    inside = [c for c in content if c]
    return (anchor, title, element("section", element("h2", title), inside, id=anchor)) if inside else None
