"""Sections on what came out: artifacts, the score and its meaning, the trade-off, the leaderboard, the curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from automl.catalog import entries
from automl.report import evaluation, plots
from automl.report.markup import Markup, element, join, short
from automl.report.quantities import count, duration, figure, number, parameter, share, size
from automl.report.view import View, tabulate
from automl.spec import Artifact, Interval, Latency, LatencyForeseen, Trial, Verification

LEADERS = 12
"""Rows of the leaderboard before the fold."""
CURVES = 60
"""Learning curves drawn at most: the best ones."""
MATRIX_CLASSES = 26
"""Classes up to which the confusion matrix is drawn; beyond, the most frequent mistakes are listed alone."""
SHARES_OF_ROWS = ("accuracy",)
"""Metrics whose sampling error follows from the value and the number of rows alone."""


def artifacts(view: View) -> Markup | None:
    parts: list[Markup] = []
    if view.artifacts:
        rows = [_artifact_row(a, _foreseen(view, a)) for a in view.artifacts]
        latencies = [a.verification.latency for a in view.artifacts if a.verification.latency]
        first = view.artifacts[0].verification
        how = (
            f"Each file's own bytes were run in its own runtime on {count(first.rows)}{_of(first)} {first.part} rows "
            f"and compared with the float "
            f"Keras model; a loss of more than {view.spec.tolerance:g} in {first.metric} would have kept it back."
        )
        agreement = (
            "share of rows with the same class"
            if view.prepared and view.prepared.profile.classes
            else "R² against the float model"
        )
        parts.append(element("p", how, class_="note"))
        parts.append(
            tabulate(
                (
                    "artifact",
                    "size",
                    first.metric,
                    "agreement",
                    "largest difference",
                    "calibration error",
                    "one example",
                    "peak memory",
                    "zeros",
                ),
                rows,
                numeric=(1, 2, 3, 4, 5, 6, 7, 8),
                wide=(0,),
            )
        )
        runtimes = sorted({a.verification.runtime for a in view.artifacts})
        timing = (
            f" Times are medians for one example on {number(latencies[0].threads, 'thread')} of {latencies[0].machine}."
            if latencies
            else ""
        )
        found = [a.verification.interval for a in view.artifacts if a.verification.interval]
        within = f" Under {first.metric} stands its 95 % interval ({found[0].method})." if found else ""
        off = (
            " Calibration error: how far the likeliest class's probability is from the share of right rows, on average."
            if any(a.verification.calibration_error is not None for a in view.artifacts)
            else ""
        )
        parts.append(
            element("p", f"Agreement: {agreement}.{within}{off} Runtimes: {', '.join(runtimes)}.{timing}", class_="note")
        )
        if any(_foreseen(view, a) for a in view.artifacts):
            said = (
                "Times without more words were measured on the file. Beside them stands what was foreseen before the file "
                "was made: from the table, the sum of its operations' times, each timed alone on this machine; estimated, "
                "scaled from networks of another size."
            )
            parts.append(element("p", said, class_="note"))
        if by_threads := _by_threads(view.artifacts):
            parts.append(by_threads)
        parts.append(
            element(
                "details",
                element("summary", "Hashes"),
                tabulate(("file", "sha256"), [(a.filename, element("code", a.sha256)) for a in view.artifacts]),
            )
        )
    if view.state.refused:
        parts.append(element("h3", "Asked for and not returned"))
        parts.append(
            tabulate(
                ("artifact", "why"),
                [(f"{r.format} {r.precision}", r.reason) for r in view.state.refused],
                wide=(1,),
                names=(0,),
            )
        )
    return join(parts) or None


def _by_threads(artifacts: Sequence[Artifact]) -> Markup | None:
    """Size and latency by threads, of the formats that are measured so."""
    measured = [a for a in artifacts if a.verification.more_threads and a.verification.latency]
    if not measured:
        return None
    numbers = sorted({one.threads for a in measured for one in _latencies(a)})
    rows = []
    for a in measured:
        found = {one.threads: f"{one.median_ms:.3g} ms" for one in _latencies(a)}
        rows.append((f"{a.format} {a.precision}", size(a.size_bytes), *(found.get(n, "–") for n in numbers)))
    return join(
        element("h3", "Size and time of one example by threads"),
        tabulate(
            ("artifact", "size", *(number(n, "thread") for n in numbers)), rows, numeric=tuple(range(1, 2 + len(numbers))),
            names=(0,),
        ),
    )


def _latencies(a: Artifact) -> tuple[Latency, ...]:
    first = a.verification.latency
    return (*([first] if first else ()), *a.verification.more_threads)


def _of(proof: Verification) -> str:
    """" of 10,000" where not all rows were compared."""
    return f" of {count(proof.held_out_rows)}" if proof.held_out_rows > proof.rows else ""


def _foreseen(view: View, a: Artifact) -> LatencyForeseen | None:
    """What was foreseen of this file's latency before it was made; None where nothing was."""
    told = [f for f in view.state.foreseen if a.format == "tflite" and f.precision == a.precision]
    return told[-1] if told else None


def _latency_cell(a: Artifact, foreseen: LatencyForeseen | None) -> Markup | str:
    """The measured time, and beside it what was foreseen, by where it is from."""
    measured = f"{a.verification.latency.median_ms:.3g} ms" if a.verification.latency else "–"
    if a.fit is not None:
        there = f"{a.fit.latency_ms:.3g} ms on {a.fit.device}, estimated"
        return join(there, element("br"), element("small", f"{measured} measured on the machine that verified"))
    if foreseen is None:
        return measured
    how = "from the table" if foreseen.source == "table" else "estimated"
    return join(measured, element("br"), element("small", f"{foreseen.median_ms:.3g} ms {how}, before"))


def _calibration_cell(proof: Verification) -> Markup | str:
    """The artifact's, and by how much it is off the float model's; a dash for numbers and for reports of before."""
    if proof.calibration_error is None or proof.calibration_shift is None:
        return "–"
    shift = element("small", f"{proof.calibration_shift:+.2g} to float")
    return join(f"{proof.calibration_error:.2g}", element("br"), shift)


def _artifact_row(a: Artifact, foreseen: LatencyForeseen | None) -> tuple[object, ...]:
    v = a.verification
    loss = v.artifact_value - v.float_value
    verdict = element("span", "passed", class_="badge good") if v.passed else element("span", "failed", class_="badge bad")
    return (
        join(element("strong", a.format), f" {a.precision} ", verdict, element("br"), element("small", a.filename)),
        join(size(a.size_bytes), element("br"), element("small", f"{size(a.compressed_bytes)} gzipped")),
        join(
            figure(v.artifact_value),
            element("br"),
            join(element("small", f"{figure(v.interval.low)} to {figure(v.interval.high)}"), element("br"))
            if v.interval
            else None,
            element(
                "small", f"{loss:+.3g} to float" if abs(loss) >= 5e-5 * max(1.0, abs(v.float_value)) else "same as float"
            ),
        ),
        share(v.agreement),
        f"{v.max_difference:.2g}",
        _calibration_cell(v),
        _latency_cell(a, foreseen),
        size(v.peak_memory_bytes),
        share(a.sparsity) if a.sparsity else "–",
    )


def score(view: View) -> Markup | None:
    finished = view.finished
    if view.validation is None and (finished is None or finished.test is None):
        return None
    parts = [element("p", _selection_note(view))]
    if finished and finished.test_metrics:
        rows = []
        for name, value in sorted(finished.test_metrics.items(), key=lambda pair: (pair[0] != view.metric, pair[0])):
            validation = view.validation_of(view.best).get(name) if view.best else None
            rows.append(
                (
                    join(name, " ", element("small", "optimised")) if name == view.metric else name,
                    figure(value),
                    figure(validation),
                )
            )
        parts.append(tabulate(("metric", "test", "validation"), rows, numeric=(1, 2), best=0))
    return join(parts)


def _selection_note(view: View) -> Markup:
    """What choosing the best of many on the same rows does to the validation figure, and how exact the test figure is."""
    compared, rows = len(view.ranked), view.rows("validation")
    sentences = [
        f"The validation figure is the best of {number(compared, 'model')} compared on the same {count(rows)} rows"
        if compared > 1
        else f"The validation figure comes from {count(rows)} rows"
    ]
    if compared > 1:
        sentences[0] += (
            ", so luck had a hand in it: it tends to flatter the winner, the more so the more models and the fewer rows."
        )
        if view.metric in SHARES_OF_ROWS and view.validation is not None and rows:
            noise = math.sqrt(max(view.validation * (1 - view.validation), 0.25 / rows) / rows)
            most = noise * math.sqrt(2 * math.log(compared))
            sentences.append(
                f"Were all of them equally good, the best would still look up to about {most:.4f} better than it is."
            )
    else:
        sentences[0] += "."
    finished = view.finished
    if finished and finished.test is not None and view.rows("test"):
        test_rows = view.rows("test")
        sentences.append(
            f"The test figure was read once, at the end, on {count(test_rows)} other rows, "
            "and nothing was chosen by it: trust this one."
        )
        if view.metric in SHARES_OF_ROWS:
            within = Interval.of_share(finished.test, test_rows)
            sentences.append(f"With so many rows its 95 % interval is {within.low:.4f} to {within.high:.4f}.")
        if view.validation is not None:
            gap = (view.validation - finished.test) * (1 if view.larger_is_better else -1)
            relation = "better than" if gap > 0 else "worse than" if gap < 0 else "the same as"
            by = f" by {figure(abs(gap))}" if gap else ""
            sentences.append(f"Validation looks {relation} test{by}.")
    else:
        sentences.append("The test rows have not been read yet.")
    return join(" ".join(sentences))


def held_out_rows(view: View, held_out: evaluation.Classes | evaluation.Numbers | None) -> Markup | None:
    if isinstance(held_out, evaluation.Classes):
        return _classes(held_out)
    if isinstance(held_out, evaluation.Numbers):
        scatter = element(
            "figure",
            element("h3", "Predicted against true"),
            plots.predicted_against_true(held_out.true, held_out.predicted),
            element(
                "figcaption",
                f"{count(len(held_out.true))} of {count(held_out.rows)} held-out rows; "
                "on the dashed line a prediction is exact.",
            ),
        )
        residuals = element(
            "figure",
            element("h3", "Residuals"),
            plots.histogram(held_out.edges, held_out.counts, label="predicted − true"),
            element(
                "figcaption",
                f"Half of the predictions are within {figure(held_out.median_absolute)} of the truth, nine of ten within "
                f"{figure(held_out.p90_absolute)}; on average they are "
                f"{figure(abs(held_out.bias))} too {'high' if held_out.bias > 0 else 'low'}. "
                "The outermost 1 % is not drawn.",
            ),
        )
        return element("div", scatter, residuals, class_="pair")
    return None


def _classes(held_out: evaluation.Classes) -> Markup:
    n = len(held_out.names)
    rows = [
        (short(name, 40), count(sum(held_out.counts[i])), share(held_out.recall(i)), share(held_out.precision(i)))
        for i, name in enumerate(held_out.names)
    ]
    table = tabulate(("class", "rows", "recall", "precision"), rows, numeric=(1, 2, 3))
    mistakes = held_out.confused(most=10 if n > 2 else 2)
    listed = (
        tabulate(("true", "taken for", "rows"), [(short(a), short(b), count(k)) for a, b, k in mistakes], numeric=(2,))
        if mistakes and n > 3
        else None
    )
    drawn = None
    if n <= MATRIX_CLASSES:
        drawn = element(
            "figure",
            element("h3", "Confusion matrix"),
            plots.confusion(held_out.names, held_out.counts),
            element(
                "figcaption",
                f"{count(held_out.correct)} of {count(held_out.rows)} held-out rows are on the diagonal. "
                "Shades are shares of a true class.",
            ),
        )
    by_class = (
        element("div", element("h3", "By class"), table)
        if n <= 60
        else element("details", element("summary", f"All {n} classes"), table)
    )
    frequent = element("div", element("h3", "Most frequent mistakes"), listed) if listed else None
    return element("div", drawn, element("div", by_class, frequent), class_="pair")


def pareto(view: View) -> Markup | None:
    sized = [
        (t, value) for t in view.ranked if t.size_bytes and (value := view.value(t)) is not None and math.isfinite(value)
    ]
    if len(sized) < 2:
        return None
    front = set(plots.pareto_front([(float(t.size_bytes or 0), value) for t, value in sized], view.larger_is_better))
    points = [
        plots.Point(
            f"{t.id} ({t.recipe.architecture.id})",
            float(t.size_bytes or 0),
            value,
            "best" if view.best is not None and t.id == view.best.id else "front" if i in front else "trial",
        )
        for i, (t, value) in enumerate(sized)
    ]
    points += [
        plots.Point(f"{a.format} {a.precision}", float(a.size_bytes), a.verification.artifact_value, "artifact")
        for a in view.artifacts
        if a.verification.metric == view.metric
    ]
    limit = view.spec.constraints.max_size_bytes
    legend = _legend(
        [("b0", "not beaten in both, the best larger"), ("bx", "other trials")]
        + ([("b1 diamond", "delivered artifacts, on held-out rows")] if view.artifacts else [])
    )
    caption = (
        "Trials by their weights as float32 and their validation figure; artifacts by their file and its figure "
        "on held-out rows. The weakest fifth may lie outside the frame."
    )
    rows = [
        (t.id, t.recipe.architecture.id, size(t.size_bytes), figure(value))
        for i, (t, value) in sorted(enumerate(sized), key=lambda pair: pair[1][0].size_bytes or 0)
        if i in front
    ]
    return element(
        "div",
        element(
            "figure",
            plots.pareto(
                points,
                metric=view.phrase(),
                larger_is_better=view.larger_is_better,
                limit=float(limit) if limit else None,
            ),
            legend,
            element("figcaption", caption, " The dashed line is the size limit." if limit else None),
        ),
        element(
            "div", element("h3", "The front"), tabulate(("trial", "architecture", "size", view.metric), rows, numeric=(2, 3))
        ),
        class_="pair",
    )


def _legend(items: Sequence[tuple[str, str]]) -> Markup:
    return element("ul", [element("li", element("i", class_=classes), name) for classes, name in items], class_="legend")


def _as_file(trial: Trial) -> list[object]:
    point = trial.artifact
    return ["", "", ""] if point is None else [figure(point.value), size(point.size_bytes), f"{point.latency_ms:.3g} ms"]


def leaderboard(view: View) -> Markup | None:
    if not view.ranked:
        return None
    head = ["", "trial", "model", view.metric, "size", "epochs", "time", "proposed by", ""]
    judged = next((t.artifact.precision for t in view.ranked if t.artifact is not None), None)
    if judged is not None:
        head[4:5] = [f"as {judged}", "file", "latency"]

    def row(rank: int, t: Trial) -> tuple[object, ...]:
        epochs = (
            f"{len(t.measurements)} of {t.fidelity.epochs}"
            if len(t.measurements) < t.fidelity.epochs
            else str(len(t.measurements))
        )
        return (
            str(rank),
            t.id,
            _model(t),
            figure(view.value(t)),
            *([size(t.size_bytes)] if judged is None else _as_file(t)),
            epochs,
            duration(t.wall_s) + (f" on {t.slots} cores" if t.slots > 1 else ""),
            t.origin,
            t.outcome.value.lower() if t.outcome else "running",
        )

    def board(trials: Sequence[Trial], first: int) -> Markup:
        marked = next((i for i, t in enumerate(trials) if view.best is not None and t.id == view.best.id), None)
        return tabulate(
            head,
            [row(first + i, t) for i, t in enumerate(trials)],
            numeric=(0, *range(3, len(head) - 2)),
            wide=(2,),
            names=(1, len(head) - 2, len(head) - 1),
            best=marked,
        )

    rest = view.ranked[LEADERS:]
    note = "Figures on the validation rows, each at its best epoch. The marked trial gave the model."
    if view.members:
        note = "Figures on the validation rows, each at its best epoch. The delivered model is an ensemble, see below."
    if judged is not None:
        note += (
            f" Trials are ranked by the {judged} file that they would become: score, size and latency of its bytes, on the "
            "first validation rows; those without figures there had no time for it and count for what the others lose."
        )
    return join(
        element("p", note if view.finished else note.replace("gave the model", "leads"), class_="note"),
        board(view.ranked[:LEADERS], 1),
        element("details", element("summary", f"{number(len(rest), 'more trial')}"), board(rest, LEADERS + 1))
        if rest
        else None,
        *_members(view),
    )


def _members(view: View) -> list[Markup]:
    """The networks of the delivered ensemble; nothing for a single one."""
    if not view.members:
        return []
    rows = []
    for t in view.members:
        number_of, _, folds = str(t.recipe.fold).partition("/")
        held = f"{int(number_of) + 1} of {folds}" if t.recipe.fold else "–"
        rows.append((t.id, _model(t), held, figure(view.value(t)), size(t.size_bytes), duration(t.wall_s)))
    return [
        element("h3", f"The {len(rows)} networks of the ensemble"),
        element(
            "p",
            "Each was trained on the training and validation rows without one fold, and is judged here by that fold; the "
            "delivered model gives the mean of what they predict.",
            class_="note",
        ),
        tabulate(
            ("trial", "model", "fold held out", view.metric, "size", "time"), rows, numeric=(3, 4, 5), wide=(1,), names=(0,)
        ),
    ]


def _model(trial: Trial) -> Markup:
    """What tells this model from others: parameters of the architecture and techniques that aren't defaults."""
    recipe = trial.recipe
    known = recipe.architecture.id in entries.architectures
    declared = entries.architectures[recipe.architecture.id].params if known else {}
    chosen = {n: v for n, v in recipe.architecture.params.items() if n not in declared or declared[n].default != v}
    parameters = ", ".join(parameter(name, value) for name, value in sorted(chosen.items()))
    special = [c.id for c in recipe.techniques if c.id not in entries.techniques or not entries.techniques[c.id].default]
    return join(
        element("strong", recipe.architecture.id),
        f" {parameters}" if parameters else None,
        element("br"),
        element("small", ", ".join(special) or "no technique beyond the defaults"),
    )


def curves(view: View) -> Markup | None:
    lines: list[plots.Curve] = []
    losses: list[plots.Curve] = []
    for trial in view.ranked[:CURVES]:
        rank = len(lines)
        points = [(float(m.epoch), m.validation[view.metric]) for m in trial.measurements if view.metric in m.validation]
        if points:
            lines.append(plots.Curve(f"{trial.id} ({trial.recipe.architecture.id})", rank, tuple(points)))
            train = tuple((float(m.epoch), m.train_loss) for m in trial.measurements if m.train_loss is not None)
            if train and rank < plots.SERIES_COLOURS:
                losses.append(plots.Curve(lines[-1].name, rank, train))
    if not lines:
        return None
    legend = _legend(
        [(f"b{line.rank}", line.name) for line in lines[: plots.SERIES_COLOURS]]
        + (
            [("bx", f"{number(len(lines) - plots.SERIES_COLOURS, 'other trial')}")]
            if len(lines) > plots.SERIES_COLOURS
            else []
        )
    )
    validation = element(
        "figure",
        element("h3", f"{view.metric} on the validation rows"),
        plots.curves(lines, x_label="epoch", y_label=view.phrase(), larger_is_better=view.larger_is_better),
    )
    training = (
        element(
            "figure",
            element("h3", "Training loss"),
            plots.curves(losses, x_label="epoch", y_label="training loss", larger_is_better=False),
            element("figcaption", "Losses of different kinds are not comparable with each other."),
        )
        if losses
        else None
    )
    return join(element("div", validation, training, class_="pair"), legend)
