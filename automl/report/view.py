"""What every section of the page asks of a job: its metric and direction, the ranking; and the table they are written in."""

from __future__ import annotations

from collections.abc import Sequence

from automl.catalog import entries
from automl.report.markup import Markup, element
from automl.spec import Artifact, JobSpec, JobState, Outcome, Trial

USABLE = (Outcome.COMPLETED, Outcome.PRUNED)


def _of_compression(id: str) -> bool:
    """What the ladder adds to a recipe that the search found."""
    return id in entries.techniques and entries.techniques[id].stage == "compress"


class View:
    """A job's state with what every section asks of it: the metric, its direction, the ranking."""

    def __init__(self, state: JobState, spec: JobSpec):
        self.state, self.spec = state, spec
        self.prepared, self.finished = state.prepared, state.finished
        self.metric = (self.prepared.metric if self.prepared else None) or spec.metric or "metric"
        self.task = (self.prepared.task if self.prepared else None) or spec.task or ""
        self.larger_is_better = self._direction()
        delivered = self.finished.recipe if self.finished else None
        ensemble = {r.identity for r in delivered.single} if delivered is not None and delivered.members else set()
        trials = state.trials.values()
        self.members = [t for t in trials if t.recipe.identity in ensemble and t.usable]
        """The networks of the delivered ensemble: each was judged by other rows, so they have no place in the ranking."""
        self.ranked = sorted(
            (
                t for t in trials
                if t.score is not None and (t.outcome is None or t.outcome in USABLE) and t.recipe.fold is None
            ),
            key=lambda t: (-(t.score or 0.0), t.id),
        )
        self.best = self._best()
        self.validation = (
            self.finished.validation
            if self.finished and self.finished.validation is not None
            else state.best.validation.get(self.metric)
            if state.best
            else None
        )

    def _best(self) -> Trial | None:
        """The trial whose recipe became the model: of a finished job the one with its recipe, whatever its last training's
        length and seed; of a running one the best so far."""
        recipe = self.finished.recipe if self.finished else None
        if recipe is not None:
            searched = tuple(c for c in recipe.techniques if not _of_compression(c.id))
            same = [
                t for t in self.ranked if (t.recipe.architecture, t.recipe.techniques) == (recipe.architecture, searched)
            ]
            exactly = [t for t in same if t.recipe.identity == recipe.identity]
            if same:
                return (exactly or same)[0]
        return self.state.trials.get(self.state.best.trial) if self.state.best else None

    def validation_of(self, trial: Trial) -> dict[str, float]:
        """Every metric on the validation rows at the trial's best epoch."""
        return max(trial.measurements, key=lambda m: m.score).validation if trial.measurements else {}

    def _direction(self) -> bool:
        """Scores are signed so that larger is better: where score and value have different signs, smaller values are."""
        for trial in self.state.trials.values():
            for m in trial.measurements:
                value = m.validation.get(self.metric)
                if value:
                    return value * m.score > 0
        return True

    def value(self, trial: Trial) -> float | None:
        """The job's metric of a trial on the validation rows, at its best epoch."""
        if not trial.measurements:
            return None if trial.score is None else trial.score if self.larger_is_better else -trial.score
        return self.validation_of(trial).get(self.metric)

    def rows(self, part: str) -> int:
        """Rows of a part; of the test part those that the float model was run on."""
        reached = max((a.verification.reference_rows for a in self.artifacts if a.verification.part == part), default=0)
        if reached:
            return reached
        return self.prepared.parts.get(part, 0) if self.prepared else 0

    @property
    def artifacts(self) -> list[Artifact]:
        return sorted(self.state.artifacts.values(), key=lambda a: (a.size_bytes, a.id))

    def phrase(self) -> str:
        """The metric with its direction, for axes."""
        return f"{self.metric} ({'higher' if self.larger_is_better else 'lower'} is better)"


def tabulate(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numeric: Sequence[int] = (),
    wide: Sequence[int] = (),
    names: Sequence[int] = (),
    best: int | None = None,
    caption: str | Markup | None = None,
) -> Markup:
    """A table that scrolls sideways on its own when the screen is narrow."""

    def kind(column: int) -> str | None:
        return "n" if column in numeric else "wide" if column in wide else "name" if column in names else None

    return element(
        "div",
        element(
            "table",
            element("caption", caption) if caption else None,
            element(
                "thead",
                element(
                    "tr", [element("th", h, class_="n" if i in numeric else None, scope="col") for i, h in enumerate(head)]
                ),
            ),
            element(
                "tbody",
                [
                    element(
                        "tr",
                        [element("td", cell, class_=kind(i)) for i, cell in enumerate(row)],  # type: ignore[arg-type]
                        class_="best" if number == best else None,
                    )
                    for number, row in enumerate(rows)
                ],
            ),
            class_="full" if wide or len(head) > 6 else None,
        ),
        class_="scroll",
        tabindex="0",
    )
