"""The section on the delivered network's architecture, where it was found as a genotype: its graph, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

from automl.catalog import compose, entries
from automl.catalog.blueprint import Drawing, Edge
from automl.catalog.footprint import footprint
from automl.report import plots
from automl.report.markup import Markup, element, join
from automl.report.quantities import count, size
from automl.report.view import View
from automl.spec.genotype import Genotype

WIDTH, STEP, TOP = 520.0, 46.0, 22.0
CENTRE = WIDTH / 2
BOW = 38.0
"""How far an edge that passes nodes by bends outwards, for each of them."""
BOX_WIDTH, BOX_HEIGHT = 62.0, 22.0


def drawn(view: View) -> Markup | None:
    """Graph and figures of the best network so far; None where it has no genotype, or one of another version."""
    recipe = view.finished.recipe if view.finished and view.finished.recipe else view.best.recipe if view.best else None
    genotype = Genotype.of(recipe.architecture) if recipe is not None else None
    if recipe is None or genotype is None or genotype.space not in entries.architectures:
        return None
    family = entries.architectures[genotype.space]
    if family.genotypes is None or family.genotypes.check(genotype.text) is not None:
        return None
    params = compose.complete(recipe.architecture, family.params)
    parts = [element("p", "Genotype ", element("code", str(genotype)), class_="note")]
    if family.blueprint is not None and view.prepared is not None:
        profile = view.prepared.profile
        costs = footprint(family.blueprint(profile, **params), profile.outputs)
        figures = (
            ("weights", count(costs.parameters)), ("multiplications", count(costs.macs)),
            ("as int8 file", size(costs.int8_bytes)), ("activations at once", size(costs.peak_bytes)),
        )
        cells = [element("div", element("dt", name), element("dd", value)) for name, value in figures]
        parts.append(element("dl", cells, class_="figures"))
        said = "Computed from the genotype, before anything was built; activations as int8."
        parts.append(element("p", said, class_="note"))
    drawings = family.drawings(**params) if family.drawings is not None else ()
    colours = _colours(drawings)
    parts.append(element("div", [_figure(d, colours) for d in drawings], class_="pair"))
    return join(parts)


def _colours(drawings: tuple[Drawing, ...]) -> Mapping[str, int]:
    """A class of page.css for each operation, in the order in which they are met."""
    found: dict[str, int] = {}
    for drawing in drawings:
        for edge in drawing.edges:
            if edge.operation:
                found.setdefault(edge.operation, len(found) % plots.SERIES_COLOURS)
    return found


def _figure(drawing: Drawing, colours: Mapping[str, int]) -> Markup:
    return element("figure", element("h3", drawing.title), graph(drawing, colours))


def graph(drawing: Drawing, colours: Mapping[str, int]) -> Markup:
    """The nodes below each other in their order; an edge that passes nodes by bends outwards, left and right in turn."""
    bent = [e for e in drawing.edges if e.target - e.source > 1]
    bent.sort(key=lambda e: (e.target - e.source, e.source))
    sides = {edge: 1 if n % 2 else -1 for n, edge in enumerate(bent)}
    height = TOP * 2 + STEP * (len(drawing.nodes) - 1)
    shapes = [_edge(edge, sides.get(edge, 0), colours) for edge in drawing.edges]
    for place, label in enumerate(drawing.nodes):
        y = _y(place)
        shapes.append(
            element(
                "g",
                element(
                    "rect", x=CENTRE - BOX_WIDTH / 2, y=y - BOX_HEIGHT / 2, width=BOX_WIDTH, height=BOX_HEIGHT, rx=6,
                    class_="node",
                ),
                element("text", label, x=CENTRE, y=y + 4, text_anchor="middle"),
            )
        )
    said = "; ".join(
        f"{drawing.nodes[e.source]} to {drawing.nodes[e.target]}: {e.operation or 'as it is'}" for e in drawing.edges
    )
    return element(
        "svg", element("title", drawing.title), element("desc", said), shapes, class_="plot graph", role="img",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
    )


def _edge(edge: Edge, side: int, colours: Mapping[str, int]) -> Markup:
    start, end = _y(edge.source) + BOX_HEIGHT / 2, _y(edge.target) - BOX_HEIGHT / 2
    bow = side * min(CENTRE - 60, BOX_WIDTH / 2 + BOW * (edge.target - edge.source))
    # A quadratic curve's middle lies half way to its control point.
    path = f"M {CENTRE:g} {start:g} Q {CENTRE + 2 * bow:g} {(start + end) / 2:g} {CENTRE:g} {end:g}"
    colour = f"s{colours[edge.operation]}" if edge.operation else "context"
    label = element(
        "text", edge.operation, x=CENTRE + bow + (6 if side >= 0 else -6), y=(start + end) / 2 + 4, class_="label",
        text_anchor="start" if side >= 0 else "end",
    ) if edge.operation else None
    return join(element("path", d=path, class_=f"curve {colour}"), label)


def _y(place: int) -> float:
    return TOP + STEP * place
