"""The section on supernets: how one was trained, how sure its choices became, why it ended, and what it found."""

from __future__ import annotations

from automl.report import plots
from automl.report.markup import Markup, element, join
from automl.report.quantities import count, duration, figure
from automl.report.view import View, tabulate
from automl.spec import Supernet
from automl.spec.supernet import COSTS, EXPECTED, LIMIT

ENTROPY = "entropy-"
"""Watched values of that name are entropies of choices, each as a share of that of chance."""


def section(view: View) -> Markup | None:
    """None where no supernet was trained."""
    found = [_one(view, supernet) for supernet in view.state.supernets.values()]
    return join(found) if found else None


def _one(view: View, supernet: Supernet) -> Markup:
    last = supernet.measurements[-1] if supernet.measurements else None
    steps = f"{count(int(last.validation['steps']))} steps, " if last and "steps" in last.validation else ""
    said = (
        f"{supernet.method} trained a supernet of {supernet.recipe.architecture.id} for {steps}"
        f"{duration(supernet.wall_s or supernet.seconds)} of a slot."
    )
    if supernet.message:
        said += f" Of its end: {supernet.message}."
    parts = [element("p", said)]
    plotted = [
        plot for plot in (_entropies(supernet), _watched(supernet, "eigenvalue"), *_costs(supernet)) if plot is not None
    ]
    if plotted:
        parts.append(element("div", [element("figure", plot) for plot in plotted], class_="pair"))
    trained = {str(t.recipe.architecture.params.get("genotype")): t for t in view.state.trials.values() if t.usable}
    rows = []
    for one in supernet.found:
        genotype = str(one.architecture.params.get("genotype", ""))
        trial = trained.get(genotype)
        value = view.value(trial) if trial is not None else None
        rows.append((
            element("code", genotype), one.note, figure(one.expected) if one.expected is not None else "",
            f"{figure(value)} ({trial.id})" if trial is not None and value is not None else "",
        ))
    if rows:
        parts.append(
            tabulate(("genotype", "what it is", "foreseen", f"{view.metric} as a trial"), rows, wide=(0, 1), numeric=(2, 3))
        )
    return join(parts)


def _entropies(supernet: Supernet) -> Markup | None:
    names = sorted({name for m in supernet.measurements for name in m.validation if name.startswith(ENTROPY)})
    lines = [
        plots.Curve(
            name.removeprefix(ENTROPY), rank,
            tuple((float(m.epoch), m.validation[name]) for m in supernet.measurements if name in m.validation),
        )
        for rank, name in enumerate(names)
    ]
    if not lines:
        return None
    return plots.lines(
        lines, x_label="round", y_label="entropy of the choices (1: by chance, 0: decided)",
        description=f"entropy of the choices of {supernet.id} by round",
    )


def _watched(supernet: Supernet, name: str) -> Markup | None:
    points = tuple((float(m.epoch), m.validation[name]) for m in supernet.measurements if name in m.validation)
    if not points:
        return None
    return plots.lines(
        [plots.Curve(name, 1, points)], x_label="round", y_label=f"dominant {name} of the Hessian",
        description=f"{name} of {supernet.id} by round",
    )


def _costs(supernet: Supernet) -> list[Markup]:
    """What the choices were expected to cost, against the limit."""
    found = []
    for unit, label in COSTS.items():
        lines = [
            plots.Curve(
                said, rank,
                tuple((float(m.epoch), m.validation[name]) for m in supernet.measurements if name in m.validation),
            )
            for rank, (said, name) in enumerate((("expected", f"{EXPECTED}{unit}"), ("aim", f"{LIMIT}{unit}")))
        ]
        if lines[0].points:
            found.append(
                plots.lines(lines, x_label="round", y_label=label, description=f"expected {label} of {supernet.id} by round")
            )
    return found
