"""The head of the page: what came out, in a sentence and a few figures."""

from __future__ import annotations

import math

from automl.report.markup import Markup, element, join, short
from automl.report.quantities import count, duration, figure, number, share, size
from automl.report.view import USABLE, View


def badge(view: View) -> Markup:
    if view.finished is None:
        phase = view.state.phase.value.replace("_", " ").lower() if view.state.phase else "not started"
        return element("span", phase, class_="badge warn")
    tone = {"SUCCEEDED": "good", "FAILED": "bad", "CANCELLED": "warn"}[view.finished.state]
    return element("span", view.finished.state.lower(), class_=f"badge {tone}")


def verdict(view: View) -> Markup:
    """What came out, in a sentence or two for somebody who reads nothing else."""
    finished = view.finished
    if finished is not None and finished.state != "SUCCEEDED":
        return join(finished.message or "The job ended without a result.")
    if finished is None:
        if view.validation is None:
            return join("The job is under way; no usable model exists yet.")
        return join(
            "The job is under way. The best model so far reaches ",
            element("strong", f"{view.metric} {figure(view.validation)}"),
            f" on {count(view.rows('validation'))} validation rows, by which it was chosen.",
        )
    held_out = "rows that were held out and read once, at the end"
    if view.spec.test_dataset:
        held_out = "rows of the separate test data, read once, at the end"
    sentence = join(
        "The model reaches ",
        element("strong", f"{view.metric} {figure(finished.test)}"),
        f" on {count(view.rows('test'))} {held_out}." if view.rows("test") else ".",
    )
    if view.artifacts:
        smallest = view.artifacts[0]
        sentence = join(
            sentence,
            f" {number(len(view.artifacts), 'artifact')} passed verification; the smallest, ",
            element("strong", f"{smallest.format} {smallest.precision}"),
            f", has {size(smallest.size_bytes)} and ",
            f"{smallest.verification.metric} {figure(smallest.verification.artifact_value)}.",
        )
    return sentence


def origin(view: View, job: str, dataset: str) -> Markup:
    facts = [
        view.task,
        f"target {short(view.prepared.target, 60)}" if view.prepared and view.prepared.target else "",
        dataset or view.spec.dataset,
        job,
    ]
    inferred = " (inferred from the data)" if view.prepared and view.prepared.task_inferred else ""
    facts[0] += inferred if facts[0] else ""
    return element("p", " · ".join(f for f in facts if f), class_="origin")


def key_figures(view: View) -> Markup:
    cells: list[tuple[str, str, str]] = []
    finished = view.finished
    if finished and finished.test is not None:
        cells.append((f"{view.metric}, test", figure(finished.test), f"{count(view.rows('test'))} rows, read once"))
    if view.validation is not None:
        cells.append(
            (
                f"{view.metric}, validation",
                figure(view.validation),
                f"{count(view.rows('validation'))} rows, chosen on these",
            )
        )
    if view.artifacts:
        smallest = view.artifacts[0]
        cells.append(
            (
                "smallest artifact",
                size(smallest.size_bytes),
                f"{smallest.format} {smallest.precision}, {size(smallest.compressed_bytes)} gzipped",
            )
        )
        timed = [a for a in view.artifacts if a.verification.latency]
        if timed:
            fastest = min(timed, key=lambda a: a.verification.latency.median_ms if a.verification.latency else math.inf)
            latency = fastest.verification.latency
            assert latency is not None
            cells.append(
                (
                    "fastest artifact",
                    f"{latency.median_ms:.3g} ms",
                    f"{fastest.format} {fastest.precision}, one example, {number(latency.threads, 'thread')}",
                )
            )
    outcomes = view.state.outcomes()
    good = sum(outcomes.get(o.value, 0) for o in USABLE)
    cells.append(
        (
            "trials",
            count(len(view.state.trials)),
            f"{good} usable, {sum(outcomes.values()) - good - outcomes.get('RUNNING', 0)} lost",
        )
    )
    if finished:
        part = finished.wall_s / view.spec.budget.wall_s
        cells.append(
            ("time", duration(finished.wall_s), f"{share(part)} of the budget of {duration(view.spec.budget.wall_s)}")
        )
        if finished.goodput is not None:
            cells.append(("goodput", share(finished.goodput), "of slot time in training and evaluation steps"))
    else:
        cells.append(("budget", duration(view.spec.budget.wall_s), "from submission to artifacts"))
    return element(
        "dl",
        [element("div", element("dt", name), element("dd", value, element("small", note))) for name, value, note in cells],
        class_="figures",
    )
