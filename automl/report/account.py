"""Sections on how it came about: what was lost, the data, the space, decisions, the recipe, the request."""

from __future__ import annotations

import json
from collections.abc import Sequence

from automl.catalog import entries
from automl.report.markup import Markup, element, join, short
from automl.report.quantities import count, duration, number, parameter, share, size
from automl.report.view import View, tabulate
from automl.spec import REMEDIES, Severity


def failures(view: View) -> Markup:
    """The ledger: each lost trial under its class, with what to do about it."""
    rows = []
    for outcome, remedy in REMEDIES.items():
        lost = [t for t in view.state.trials.values() if t.outcome == outcome]
        if lost:
            messages: dict[str, list[str]] = {}
            for t in lost:
                messages.setdefault(t.message or "no message", []).append(t.id)
            said = element(
                "ul",
                [
                    element(
                        "li",
                        short(message, 400),
                        " ",
                        element("small", f"({', '.join(ids[:5])}{' …' if len(ids) > 5 else ''})"),
                    )
                    for message, ids in sorted(messages.items(), key=lambda pair: -len(pair[1]))[:8]
                ],
                class_="plain",
            )
            rows.append((element("span", outcome.value, class_="badge bad"), count(len(lost)), remedy, said))
    if not rows:
        return element("p", f"None of {number(len(view.state.trials), 'trial')} was lost.")
    return tabulate(("outcome", "trials", "what to do", "what was said"), rows, numeric=(1,), wide=(2, 3))


def data(view: View) -> Markup | None:
    if view.prepared is None:
        return None
    prepared, profile = view.prepared, view.prepared.profile
    facts: list[tuple[str, str]] = [(f"{part} rows", count(rows)) for part, rows in prepared.parts.items()]
    if profile.modality == "table":
        facts += [
            ("numeric inputs", count(profile.numeric)),
            ("categorical inputs", count(profile.categorical)),
            ("missing cells", share(profile.missing_fraction)),
        ]
    elif profile.modality == "text":
        facts += [("words a text", f"up to {count(profile.length)}"), ("vocabulary", count(profile.vocabulary))]
        if profile.ngrams:
            facts.append(("n-grams of characters", count(profile.ngrams)))
    elif profile.modality == "series":
        facts += [("steps", count(profile.length)), ("channels", count(profile.channels)),
                  ("missing values", share(profile.missing_fraction))]
    elif profile.image_shape:
        facts.append(("pictures", " × ".join(map(str, profile.image_shape))))
    if profile.classes:
        facts += [("classes", count(profile.classes)), ("rarest class", f"{count(profile.class_min)} rows")]
    cells = element("dl", [element("div", element("dt", n), element("dd", v)) for n, v in facts], class_="figures")
    warnings = [f for f in prepared.findings if f.severity == Severity.WARNING]
    rest = [f for f in prepared.findings if f.severity != Severity.WARNING]
    parts = [cells]
    if warnings:
        parts += [
            element("h3", "Worth your attention"),
            element("ul", [_finding(f.check, f.message, f.columns, f.rows, "warn") for f in warnings], class_="plain"),
        ]
    if rest:
        parts += [
            element("h3", "Noticed"),
            element("ul", [_finding(f.check, f.message, f.columns, f.rows, "muted") for f in rest], class_="plain"),
        ]
    if not prepared.findings:
        parts.append(element("p", "The checks found nothing to mention.", class_="note"))
    parts.append(element("p", "Identity of the prepared data: ", element("code", prepared.key), class_="note"))
    return join(parts)


def _finding(check: str, message: str, columns: Sequence[str], rows: Sequence[int], tone: str) -> Markup:
    where = [
        f"columns {', '.join(short(c, 30) for c in columns[:8])}{' …' if len(columns) > 8 else ''}" if columns else "",
        f"rows {', '.join(map(str, rows[:8]))}{' …' if len(rows) > 8 else ''}" if rows else "",
    ]
    place = "; ".join(w for w in where if w)
    return element(
        "li",
        element("span", check, class_=f"badge {tone}"),
        " ",
        short(message, 600),
        element("br") if place else None,
        element("small", place) if place else None,
    )


def _strategy(view: View) -> Markup | None:
    """What the default strategy decided on, and why; None where another was asked for."""
    chosen = view.state.strategy
    if chosen is None:
        return None
    what = "searched no genotypes" if chosen.strategy == "auto" else f"searched genotypes ({chosen.strategy})"
    return element("p", f"The default strategy {what}: {chosen.reason}.", class_="note")


def space(view: View) -> Markup | None:
    space = view.state.space
    if space is None:
        return None
    parts = [
        element(
            "p",
            f"Strategy {space.strategy}: {number(space.dimensions, 'dimension')}, "
            f"{number(len(space.techniques), 'technique')} that could be proposed.",
        ),
        _strategy(view),
    ]
    tried: dict[str, int] = {}
    for trial in view.state.trials.values():
        for choice in (trial.recipe.architecture, *trial.recipe.techniques):
            tried[choice.id] = tried.get(choice.id, 0) + 1
    if tried:
        often = sorted(tried.items(), key=lambda pair: (-pair[1], pair[0]))
        parts += [
            element("h3", "Tried, with the number of trials"),
            element("div", [element("span", f"{id} {n}") for id, n in often], class_="chips"),
        ]
    parts += _screened(view)
    unused = [id for id in space.techniques if id not in tried]
    if unused:
        parts += [
            element("h3", "Possible, and not reached"),
            element("div", [element("span", id) for id in unused], class_="chips"),
        ]
    if space.excluded:
        table = tabulate(("technique", "why"), sorted(space.excluded.items()), wide=(1,), names=(0,))
        parts.append(
            element("details", element("summary", f"Left out: {number(len(space.excluded), 'technique')}, and why"), table)
        )
    return join(parts)


ENOUGH = 5
"""Trainings of equal length from which the agreement of scores with them is said."""


def _screened(view: View) -> list[Markup]:
    """How many candidates were scored without being trained, and how well the scores agreed with trainings."""
    candidates = [c for event in view.state.scored for c in event.candidates]
    if not candidates:
        return []
    seconds = sum(event.wall_s for event in view.state.scored)
    names = ", ".join(sorted({name for c in candidates for name in c.scores}))
    said = f"{number(len(candidates), 'candidate')} were scored before training ({names}), in {duration(seconds)} of a slot."
    if faults := sum(bool(c.fault) for c in candidates):
        said += f" {number(faults, 'candidate')} couldn't be built."
    ranks = {str(c.architecture): c.rank for c in candidates}
    trained: dict[int, list[tuple[float, float]]] = {}
    for trial in view.state.trials.values():
        rank = ranks.get(str(trial.recipe.architecture))
        if rank is not None and trial.usable and trial.score is not None:
            trained.setdefault(trial.fidelity.epochs, []).append((rank, trial.score))
    pairs = max(trained.values(), key=len, default=[])
    if len(pairs) >= ENOUGH:
        said += (
            f" Of {count(len(pairs))} that were trained alike, the order by scores agreed with that by {view.metric} with "
            f"Kendall's τ = {kendall(pairs):.2f} (1: the same order, 0: chance; those with low scores weren't trained)."
        )
    return [element("h3", "Scored without training"), element("p", said)]


def kendall(pairs: Sequence[tuple[float, float]]) -> float:
    """Kendall's τ-b: agreement of two orders in [-1, 1]; ties count for neither. 0 where one of them is all ties."""
    concordant = first = second = 0
    for i, (a, b) in enumerate(pairs):
        for c, d in pairs[:i]:
            concordant += ((a > c) - (a < c)) * ((b > d) - (b < d))
            first += a != c
            second += b != d
    return concordant / (first * second) ** 0.5 if first and second else 0.0


def decisions(view: View) -> Markup | None:
    if not view.state.notes:
        return None
    return element(
        "ul",
        [
            element(
                "li",
                element("span", "warning", class_="badge warn") if n.severity == "warning" else None,
                " " if n.severity == "warning" else None,
                n.message,
            )
            for n in view.state.notes
        ],
        class_="plain",
    )


def how_to_repeat(view: View) -> Markup | None:
    if view.finished and view.finished.recipe:
        recipe = view.finished.recipe
    elif view.best:
        recipe = view.best.recipe
    else:
        return None
    rows = []
    for choice in (recipe.architecture, *recipe.techniques):
        known = _entry(choice.id)
        parameters = ", ".join(parameter(name, value) for name, value in sorted(choice.params.items()))
        rows.append(
            (
                choice.id,
                parameters or "–",
                known.summary if known else "not in this version's catalogue",
                known.reference if known else "",
            )
        )
    return join(
        element(
            "p",
            f"The first of the ensemble's {len(recipe.single)} networks; the others stand in the file. "
            if recipe.members
            else None,
            f"Batch size {recipe.batch_size}, {number(recipe.epochs, 'epoch')}, seed {recipe.seed}. ",
            element("code", "automl reproduce recipe.json DATA"),
            " trains it again; the file lies beside the artifacts.",
        ),
        tabulate(("part", "parameters", "what it does", "source"), rows, names=(0,), wide=(2,)),
        element(
            "details",
            element("summary", "recipe.json"),
            element("pre", element("code", json.dumps(recipe.to_dict(), indent=2, sort_keys=True, ensure_ascii=False))),
        ),
    )


def _entry(id: str) -> entries.Technique | entries.Architecture | None:
    """The declaration of a recipe's part; None when it comes from another version's catalogue."""
    if id in entries.techniques:
        return entries.techniques[id]
    if id in entries.architectures:
        return entries.architectures[id]
    return None


def settings(view: View) -> Markup:
    spec = view.spec
    limits = [
        f"at most {size(spec.constraints.max_size_bytes)}" if spec.constraints.max_size_bytes else "",
        f"at most {spec.constraints.max_latency_ms:g} ms an example" if spec.constraints.max_latency_ms else "",
        f"at most {count(spec.constraints.max_parameters)} weights" if spec.constraints.max_parameters else "",
        f"for {spec.constraints.device}" if spec.constraints.device else "",
        f"at most {size(spec.constraints.max_memory_bytes)} of activations" if spec.constraints.max_memory_bytes else "",
    ]
    rows: list[tuple[str, str]] = [
        ("data", spec.dataset),
        ("test data", spec.test_dataset or ""),
        ("task", spec.task or "to be inferred"),
        ("target", spec.data.target or ""),
        ("metric", spec.metric or "the task's own"),
        ("limits", ", ".join(x for x in limits if x) or "none"),
        (
            "budget",
            duration(spec.budget.wall_s)
            + (f", at most {count(spec.budget.max_trials)} trials" if spec.budget.max_trials else ""),
        ),
        ("strategy", spec.search.strategy),
        ("allow", ", ".join(spec.search.allow)),
        ("forbid", ", ".join(spec.search.forbid)),
        ("force", ", ".join(spec.search.force)),
        ("seed", str(spec.search.seed)),
        ("split column", spec.data.split_column or ""),
        ("group column", spec.data.group_column or ""),
        ("time column", spec.data.time_column or ""),
        ("columns not used", ", ".join(spec.data.ignore)),
        ("formats", ", ".join(map(str, spec.formats))),
        ("tolerance", f"{spec.tolerance:g}"),
    ]
    return tabulate(
        ("setting", "value"), [(name, short(value, 400)) for name, value in rows if value], names=(0,), wide=(1,)
    )
