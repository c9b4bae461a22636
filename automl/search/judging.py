"""Trials judged by the file that they would become (`--rank-by artifact`), at a bounded cost.

At its end a trial is written as the TFLite file in the narrowest precision asked for, and its bytes are run on some hundred
validation rows (`automl.export.point`), in the trial's own process. The trial's score is then

    s = s_float + (s'_artifact − s'_float)

with s' on those rows and s on all: on few rows the difference says more than the artifact's own figure. All of these
measurements together take at most `SHARE` of the trials' time. What would be the best so far has the first claim; a trial
that isn't measured loses what those of its family (else all) lost on average.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from automl.catalog.precisions import narrowest
from automl.execution.executor import Judge
from automl.spec import ArtifactPoint, Constraints, FormatRequest, Recipe, Trial
from automl.tasks import metrics
from automl.training.result import TrainResult

SHARE = 0.12
"""Of the trials' own time."""
FIRST_S = 3.0
"""What a measurement is taken to need before there was one."""
RECENT = 5


def precision(formats: Iterable[FormatRequest]) -> str | None:
    """Of the file that trials are judged by; None where no TFLite file is asked for, not even inside another format."""
    return narrowest(formats, "tflite")


def fits(point: ArtifactPoint | None, limits: Constraints) -> bool:
    """Whether a file meets the limits of size and latency, as far as is known."""
    return point is None or (
        (limits.max_size_bytes is None or point.size_bytes <= limits.max_size_bytes)
        and (limits.max_latency_ms is None or point.latency_ms <= limits.max_latency_ms)
    )


def share_spent(trials: Iterable[Trial]) -> float:
    """Time of the measurements over the trials' own."""
    ended = [t for t in trials if t.outcome is not None]
    spent = sum(t.artifact.wall_s for t in ended if t.artifact is not None)
    own = sum(t.wall_s for t in ended) - spent
    return spent / own if own > 0 else 0.0


class Judging:
    """Says what to measure, and what a result counts for. Its memory are the trials."""

    def __init__(self, precision: str, metric: str, seed: int, max_size_bytes: int | None = None):
        self.precision, self.metric, self.seed, self.max_size_bytes = precision, metric, seed, max_size_bytes

    def order(self, trials: Iterable[Trial], best: float | None) -> Judge:
        """For a trial that begins now; `best` is the best score so far."""
        known = list(trials)
        points = [t.artifact for t in known if t.artifact is not None]
        needed_s = statistics.fmean(p.wall_s for p in points[-RECENT:]) if points else FIRST_S
        spent_s = sum(p.wall_s for p in points)
        own_s = sum(t.wall_s for t in known if t.outcome is not None) - spent_s
        promised_s = needed_s * sum(t.outcome is None for t in known)
        allowed_s = SHARE * own_s - spent_s - promised_s
        return Judge(self.precision, self.seed, best, needed_s, SHARE, allowed_s, self.max_size_bytes)

    def score(self, result: TrainResult, recipe: Recipe, trials: Iterable[Trial]) -> float | None:
        """What a training counts for; None where it has no score."""
        if result.score is None:
            return None
        if result.artifact is not None:
            return result.score - self.loss(result.artifact)
        losses = [(t.recipe.architecture.id, self.loss(t.artifact)) for t in trials if t.artifact is not None]
        family = [loss for id, loss in losses if id == recipe.architecture.id]
        foreseen = family or [loss for _, loss in losses]
        return result.score - (statistics.fmean(foreseen) if foreseen else 0.0)

    def loss(self, point: ArtifactPoint) -> float:
        """By which the file scores less than the float model; negative where it scores more."""
        signed = metrics.get(self.metric).signed
        return signed(point.float_value) - signed(point.value)
