"""The section on compression: every point of the ladder with its recipe, the metric against size and against latency."""

from __future__ import annotations

from collections.abc import Callable

from automl.catalog import entries
from automl.catalog.rung import NEEDS
from automl.report import plots, quantities
from automl.report.markup import Markup, element, join
from automl.report.quantities import duration, figure, parameter, share, size
from automl.report.view import View, tabulate
from automl.spec.event import Compressed

MEASURED = "first"
"""The `need` of the model as it came."""


def section(view: View) -> Markup | None:
    tried = view.state.compressed
    if not tried:
        return None
    measured = [c for c in tried if c.precision]
    drawn = [
        _plot(view, measured, lambda c: c.size_bytes, "size", "size of the file (log scale)", quantities.size,
              view.spec.constraints.max_size_bytes),
        _plot(view, measured, lambda c: c.latency_ms, "latency", "one example (log scale)", _milliseconds,
              view.spec.constraints.max_latency_ms),
    ]
    plotted = [figure for figure in drawn if figure is not None]
    precision = measured[0].precision if measured else ""
    note = (
        f"Each point is a file: converted as tflite:{precision} and run in its own runtime on {measured[0].rows} validation "
        "rows." if measured else None
    )
    return join(
        element("p", note, class_="note") if note else None,
        element("div", plotted, class_="pair") if plotted else None,
        _table(view, tried),
    )


def _table(view: View, tried: list[Compressed]) -> Markup:
    rows = [
        (
            join(element("strong", _name(c)), element("br"), element("small", _why(c))),
            join(_recipe(c)),
            join(figure(c.validation_after), element("br"), element("small", f"before {figure(c.validation_before)}")),
            join(size(c.size_bytes), element("br"), element("small", f"{size(c.compressed_bytes)} gzipped"))
            if c.size_bytes else "–",
            _milliseconds(c.latency_ms) if c.latency_ms else "–",
            share(c.sparsity) if c.sparsity else "–",
            duration(c.wall_s) if c.wall_s else "–",
            _verdict(c),
        )
        for c in tried
    ]
    return tabulate(
        ("step", "recipe", view.metric, "size", "one example", "zeros", "time", ""), rows, numeric=(2, 3, 4, 5, 6),
        wide=(0, 1, 7),
        caption="Each step was tried on the best model so far and kept only where what it lost stayed within its share of "
        "the tolerance.",
    )


def _plot(
    view: View, measured: list[Compressed], of: Callable[[Compressed], float | None], name: str, label: str,
    show: Callable[[float], str], limit: float | None,
) -> Markup | None:
    placed = [(c, x) for c in measured if (x := of(c))]
    if len(placed) < 2:
        return None
    front = set(plots.pareto_front([(float(x), c.validation_after) for c, x in placed], view.larger_is_better))
    kept = [c for c in measured if c.accepted]
    points = [
        plots.Point(
            f"{_name(c)}, {_settings(c) or c.precision}", float(x), c.validation_after,
            "best" if kept and c is kept[-1] else "front" if i in front else "trial",
        )
        for i, (c, x) in enumerate(placed)
    ]
    chart = plots.pareto(
        points, metric=view.phrase(), larger_is_better=view.larger_is_better, limit=float(limit) if limit else None,
        label=label, show=show, limited=name,
    )
    caption = f"The metric against {name}; the large point is the one that was kept last."
    return element("figure", chart, element("figcaption", caption, " The dashed line is the limit." if limit else None))


def _name(c: Compressed) -> str:
    if c.need == MEASURED:
        return "as it was found"
    return c.technique if c.attempt == 1 else f"{c.technique}, again"


def _why(c: Compressed) -> str:
    if c.need == MEASURED:
        return f"{c.technique}: {c.precision}" if c.precision else "could not be converted"
    return NEEDS.get(c.need, "asked for")


def _settings(c: Compressed) -> str:
    return ", ".join(parameter(name, value) for name, value in sorted(c.settings.items()))


def _recipe(c: Compressed) -> list[Markup]:
    """What made the point: the network, what compression did to it, and with which settings."""
    said = []
    if c.recipe is not None:
        members = len(c.recipe.single)
        shape = ", ".join(parameter(n, v) for n, v in sorted(c.recipe.architecture.params.items()))
        family = f"{members} networks ({c.recipe.architecture.id})" if members > 1 else f"{c.recipe.architecture.id} {shape}"
        said.append(element("span", family))
        steps = [t.id for t in c.recipe.techniques if t.id in entries.techniques
                 and entries.techniques[t.id].stage == "compress"]
        if steps:
            said.append(element("small", f" {' + '.join(steps)}"))
    if _settings(c):
        said += [element("br"), element("small", _settings(c))]
    return said


def _verdict(c: Compressed) -> Markup:
    if c.need == MEASURED:
        return element("small", c.reason)
    badge = ("kept", "badge good") if c.accepted else ("dropped", "badge warn")
    return join(element("span", badge[0], class_=badge[1]), " ", element("small", c.reason) if c.reason else None)


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms"
