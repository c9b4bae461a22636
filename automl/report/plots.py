"""Charts as SVG, drawn by hand so that they follow the page's light or dark theme and need no plotting library.

Colours and fonts come from `page.css` by class; sizes are in the units of a 520-wide view box, chosen so that labels stay
readable when the chart is as narrow as a phone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable, Sequence

from automl.report import quantities
from automl.report.markup import Markup, element, join, short

WIDTH, HEIGHT = 520.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 24.0, 26.0, 44.0
SERIES_COLOURS = 6
"""Classes `s0` … `s5` in page.css."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """Data range → picture range, linear or logarithmic, with readable tick marks."""

    low: float
    high: float
    start: float
    end: float
    label: str
    log: bool = False
    show: Callable[[float], str] = quantities.figure

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        label: str,
        *,
        log: bool = False,
        margin: float = 0.06,
        show: Callable[[float], str] = quantities.figure,
    ) -> Axis:
        """An axis that holds the values with some room; a single value gets room on both sides."""
        low, high = min(values), max(values)
        if log:
            spread = math.log(high / low) or 0.7
            return cls(low * math.exp(-margin * spread), high * math.exp(margin * spread), start, end, label, True, show)
        spread = (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - margin * spread, high + margin * spread, start, end, label, False, show)

    def at(self, value: float) -> float:
        """Where the value stands; values beyond the range land outside, to be clipped."""
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, wanted: int = 6) -> list[float]:
        """Round values inside the range."""
        if self.log:
            decades = math.log10(self.high / self.low)
            steps = (1.0,) if decades > 4 else (1.0, 3.0) if decades > 1.2 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            every = [m * 10.0**e for e in range(first, last + 1) for m in steps]
            inside = [v for v in every if self.low <= v <= self.high]
            return inside[:: max(1, math.ceil(len(inside) / (wanted + 1)))]
        raw = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _tick_text(axis: Axis, value: float, ticks: Sequence[float]) -> str:
    """Ticks share their number of decimals, so that a column of them reads as a scale."""
    if axis.show is not quantities.figure or len(ticks) < 2 or axis.log:
        return axis.show(value)
    step = min(b - a for a, b in itertools.pairwise(ticks))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(round(step, decimals) - step) > step * 1e-6:
        decimals += 1
    return f"{value:,.{min(decimals, 6)}f}"


def _frame(x: Axis, y: Axis, *drawing: Markup, description: str, height: float = HEIGHT) -> Markup:
    bottom = y.start
    x_ticks, y_ticks = x.ticks(), y.ticks()
    parts = []
    for value in y_ticks:
        at = y.at(value)
        parts.append(element("line", class_="grid", x1=x.start, x2=x.end, y1=at, y2=at))
        parts.append(
            element("text", _tick_text(y, value, y_ticks), class_="tick", x=x.start - 7, y=at + 4, text_anchor="end")
        )
    for value in x_ticks:
        at = x.at(value)
        parts.append(element("line", class_="axis", x1=at, x2=at, y1=bottom, y2=bottom + 4))
        parts.append(
            element("text", _tick_text(x, value, x_ticks), class_="tick", x=at, y=bottom + 18, text_anchor="middle")
        )
    parts.append(element("line", class_="axis", x1=x.start, x2=x.end, y1=bottom, y2=bottom))
    parts.append(element("text", y.label, class_="label", x=4.0, y=y.end - 12))
    parts.append(element("text", x.label, class_="label", x=(x.start + x.end) / 2, y=bottom + 38, text_anchor="middle"))
    clip = f"clip-{zlib.crc32(description.encode()):08x}"  # unique in the page as long as descriptions are
    window = element("clipPath", element("rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end), id=clip)
    return element(
        "svg",
        element("title", description),
        element("defs", window),
        join(parts),
        element("g", join(drawing), clip_path=f"url(#{clip})"),
        class_="plot",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
    )


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line of a learning-curve plot. `rank` 0 is the best; ranks beyond the colours are drawn as context."""

    name: str
    rank: int
    points: tuple[tuple[float, float], ...]


def curves(lines: Sequence[Curve], *, x_label: str, y_label: str, larger_is_better: bool) -> Markup:
    """Curves over epochs. The scale follows where the curves end, not the wild first epochs, so differences stay visible."""
    ends = [line.points[-1][1] for line in lines]
    bests = [(max if larger_is_better else min)(v for _, v in line.points) for line in lines]
    starred = [v for line in lines if line.rank < SERIES_COLOURS for _, v in line.points]
    ordered = sorted(starred)
    tenth = len(ordered) // 10
    usual = ordered[tenth:] if larger_is_better else ordered[: len(ordered) - tenth]
    best_ends = sorted(ends, reverse=larger_is_better)[: max(1, len(ends) * 3 // 4)]
    y = Axis.around([*usual, *bests[:1], *best_ends], HEIGHT - BOTTOM, TOP, y_label)
    last = max(x for line in lines for x, _ in line.points)
    x = Axis(0 if last > 1 else 0.5, last if last > 1 else 1.5, LEFT, WIDTH - RIGHT, x_label, show=quantities.count)
    drawn = []
    for line in sorted(lines, key=lambda line: -line.rank):
        colour = f"s{line.rank}" if line.rank < SERIES_COLOURS else "context"
        title = element("title", f"{line.name}: {quantities.figure(line.points[-1][1])} after {len(line.points)} epochs")
        if len(line.points) == 1:
            (px, py), *_ = line.points
            drawn.append(element("circle", title, class_=f"dot {colour}", cx=x.at(px), cy=y.at(py), r=3.0))
        else:
            path = " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in line.points)
            drawn.append(element("polyline", title, class_=f"curve {colour}", points=path))
    return _frame(x, y, *drawn, description=f"{y_label} by epoch for {len(lines)} trials")


def lines(drawn: Sequence[Curve], *, x_label: str, y_label: str, description: str) -> Markup:
    """Lines over a common axis, each with its name at its end, from 0 on."""
    every = [point for line in drawn for point in line.points]
    x = Axis(0, max(1.0, *(px for px, _ in every)), LEFT, WIDTH - RIGHT, x_label, show=quantities.count)
    top = max(py for _, py in every)
    y = Axis(min(0.0, *(py for _, py in every)), (top or 1.0) * 1.06, HEIGHT - BOTTOM, TOP, y_label)
    shapes = []
    for line in drawn:
        colour = f"s{line.rank % SERIES_COLOURS}"
        px, py = line.points[-1]
        title = element("title", f"{line.name}: {quantities.figure(py)} in the end")
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line.points)
        shapes.append(element("polyline", title, class_=f"curve {colour}", points=path))
        shapes.append(
            element("text", line.name, class_="label", x=x.at(px) - 4, y=y.at(py) - 6, text_anchor="end")
        )
    return _frame(x, y, *shapes, description=description)


@dataclasses.dataclass(frozen=True)
class Point:
    """One model in the Pareto plot."""

    name: str
    cost: float
    """Along the axis: bytes, or milliseconds."""
    metric: float
    kind: str
    """"trial", "front", "best" or "artifact": a class in page.css."""


def pareto(
    points: Sequence[Point],
    *,
    metric: str,
    larger_is_better: bool,
    limit: float | None,
    label: str = "size (log scale)",
    show: Callable[[float], str] = quantities.size,
    limited: str = "size",
) -> Markup:
    """The metric against a cost (log), with the models that no other beats in both joined by a line."""
    front = [p for p in points if p.kind in ("front", "best")]
    front.sort(key=lambda p: p.cost)
    values = sorted((p.metric for p in points), reverse=larger_is_better)
    # The weakest fifth would squeeze the interesting part of the scale; what falls off it is counted in the caption.
    kept = values[: max(2, math.ceil(len(values) * 0.8))]
    kept += [p.metric for p in points if p.kind != "trial"]
    costs = [p.cost for p in points] + ([limit] if limit else [])
    x = Axis.around(costs, LEFT, WIDTH - RIGHT, label, log=True, show=show)
    y = Axis.around(kept, HEIGHT - BOTTOM, TOP, metric, margin=0.08)
    drawn = []
    if limit:
        at = x.at(limit)
        drawn.append(
            element(
                "line", element("title", f"limit of {limited}"), class_="limit", x1=at, x2=at, y1=TOP, y2=HEIGHT - BOTTOM
            )
        )
    if len(front) > 1:
        steps = [f"{x.at(front[0].cost):.1f},{y.at(front[0].metric):.1f}"]
        for before, after in itertools.pairwise(front):
            steps.append(f"{x.at(after.cost):.1f},{y.at(before.metric):.1f}")
            steps.append(f"{x.at(after.cost):.1f},{y.at(after.metric):.1f}")
        drawn.append(element("polyline", class_="front-line", points=" ".join(steps)))
    for point in sorted(points, key=lambda p: ("trial", "front", "best", "artifact").index(p.kind)):
        title = element("title", f"{point.name}: {quantities.figure(point.metric)}, {show(point.cost)}")
        px, py = x.at(point.cost), y.at(point.metric)
        if point.kind == "artifact":
            drawn.append(
                element(
                    "rect",
                    title,
                    class_="mark artifact",
                    x=px - 4,
                    y=py - 4,
                    width=8,
                    height=8,
                    transform=f"rotate(45 {px:.1f} {py:.1f})",
                )
            )
        else:
            drawn.append(
                element("circle", title, class_=f"mark {point.kind}", cx=px, cy=py, r=5.5 if point.kind == "best" else 4.0)
            )
    return _frame(x, y, *drawn, description=f"{metric} against {limited} for {len(points)} models")


def pareto_front(points: Sequence[tuple[float, float]], larger_is_better: bool) -> list[int]:
    """Indices of the (size, metric) pairs that no other pair beats in one and equals or beats in the other."""
    sign = -1 if larger_is_better else 1
    order = sorted(range(len(points)), key=lambda i: (points[i][0], sign * points[i][1]))
    front, best = [], math.inf
    for i in order:
        if sign * points[i][1] < best:
            best = sign * points[i][1]
            front.append(i)
    return front


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """A confusion matrix: rows are true classes, shades are shares of the row, numbers are rows of data."""
    n = len(names)
    label_width = min(150.0, 14 + 7.4 * max(len(short(name, 18)) for name in names))
    cell = min(72.0, (WIDTH - label_width - RIGHT) / n)
    top = 30.0
    column_names_height = 16 + 7.4 * max(len(short(name, 18)) for name in names) if n > 4 else 22.0
    height = top + n * cell + column_names_height
    drawn = [
        element("text", "predicted →", class_="label", x=label_width, y=16),
        element("text", "true ↓", class_="label", x=label_width - 10, y=16, text_anchor="end"),
    ]
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        total = sum(row)
        middle = top + (i + 0.5) * cell
        drawn.append(
            element(
                "text",
                short(name, 18),
                element("title", name),
                class_="tick",
                x=label_width - 8,
                y=middle + 4,
                text_anchor="end",
            )
        )
        for j, value in enumerate(row):
            part = value / total if total else 0.0
            tip = element("title", f"{value:,} of {total:,} rows of “{short(name)}” were predicted “{short(names[j])}”")
            drawn.append(
                element(
                    "rect",
                    tip,
                    class_="cell right" if i == j else "cell wrong",
                    x=label_width + j * cell,
                    y=top + i * cell,
                    width=cell - 1,
                    height=cell - 1,
                    fill_opacity=round(0.06 + 0.94 * part, 3) if value else 0.03,
                )
            )
            if cell >= 22 and value:
                drawn.append(
                    element(
                        "text",
                        f"{value:,}",
                        class_="count strong" if part > 0.55 else "count",
                        x=label_width + (j + 0.5) * cell - 0.5,
                        y=middle + 4,
                        text_anchor="middle",
                        font_size=min(13.0, cell / (0.62 * len(f"{value:,}") + 0.6)),
                    )
                )
    for j, name in enumerate(names):
        at, below = label_width + (j + 0.5) * cell, top + n * cell + 14
        turned = (
            {"transform": f"rotate(-90 {at + 4:.1f} {below - 6:.1f})", "x": at + 4, "y": below - 6}
            if n > 4
            else {"x": at, "y": below + 2}
        )
        drawn.append(
            element(
                "text", short(name, 18 if n > 4 else 12), class_="tick", text_anchor="end" if n > 4 else "middle", **turned
            )
        )
    return element(
        "svg",
        element("title", f"confusion matrix of {n} classes"),
        join(drawn),
        class_="plot",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
    )


def predicted_against_true(true: Sequence[float], predicted: Sequence[float]) -> Markup:
    """Predictions of a regression over the true values, with the line on which a perfect model would lie."""
    both = [*true, *predicted]
    x = Axis.around(both, LEFT, WIDTH - RIGHT, "true value", margin=0.03)
    y = Axis.around(both, WIDTH * 0.8 - BOTTOM, TOP, "predicted value", margin=0.03)
    ideal = element("line", class_="ideal", x1=x.at(x.low), y1=y.at(x.low), x2=x.at(x.high), y2=y.at(x.high))
    dots = [element("circle", class_="speck", cx=x.at(t), cy=y.at(p), r=2.2) for t, p in zip(true, predicted, strict=True)]
    return _frame(x, y, ideal, *dots, description="predicted against true values", height=WIDTH * 0.8)


def histogram(edges: Sequence[float], counts: Sequence[int], *, label: str) -> Markup:
    """Bars of a histogram; `edges` has one more value than `counts`. The line marks zero."""
    x = Axis(edges[0], edges[-1], LEFT, WIDTH - RIGHT, label)
    y = Axis(0, max(counts) * 1.06 or 1.0, HEIGHT - BOTTOM, TOP, "rows", show=quantities.count)
    bars = [
        element(
            "rect",
            element("title", f"{quantities.figure(low)} to {quantities.figure(high)}: {number:,} rows"),
            class_="bar",
            x=x.at(low) + 0.5,
            y=y.at(number),
            width=max(0.5, x.at(high) - x.at(low) - 1),
            height=y.at(0) - y.at(number),
        )
        for low, high, number in zip(edges, edges[1:], counts, strict=False)
    ]
    zero = (
        [element("line", class_="ideal", x1=x.at(0), x2=x.at(0), y1=TOP, y2=HEIGHT - BOTTOM)] if x.low < 0 < x.high else []
    )
    return _frame(x, y, *bars, *zero, description=label)
