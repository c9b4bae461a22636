"""Choosing the winner among noisy scores.

The best of many noisy scores is too good on average, and the more candidates there are the more so. Recipes that were
trained under several seeds are judged by their mean; one that was trained once is judged by its score less what a single
draw is likely to have been lucky by. The report says how many were compared.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable

from automl.search import judging
from automl.search.sampler import evidence
from automl.spec import Constraints, Recipe, Trial

ALIKE = 2
"""Digits of the log-loss that decide between equal scores; of models that are alike in these the smaller is taken. Where a
few rows are told apart without an error, a tenth of a hundredth says how sure a model is of itself, not how good."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A recipe under one or more seeds."""

    trials: tuple[Trial, ...]
    """Best score first."""
    mean: float
    judged: float
    """What candidates are compared by: the mean, less half a seed's deviation when there was one seed only."""

    @property
    def best(self) -> Trial:
        return self.trials[0]

    @property
    def seeds(self) -> int:
        return len(self.trials)


def family(recipe: Recipe) -> str:
    """Identity of a recipe whatever its seed."""
    return recipe.model_copy(update={"seed": 0}).identity


def ranking(
    trials: Iterable[Trial], limit_parameters: int | None = None, limits: Constraints | None = None
) -> list[Candidate]:
    """Candidates within the limit, best judged first. With `limits` by their artifacts, where these were measured: those
    that meet the limits first, and of scores that are alike the smaller and then the faster."""
    longest: dict[str, Trial] = {}
    for t in evidence(trials):
        if limit_parameters is None or t.parameters is None or t.parameters <= limit_parameters:
            # A promoted trial takes the place of the shorter one that it continues.
            other = longest.get(t.recipe.identity)
            if other is None or (t.fidelity.epochs, _score(t)) > (other.fidelity.epochs, _score(other)):
                longest[t.recipe.identity] = t
    groups: dict[str, list[Trial]] = {}
    for t in longest.values():
        groups.setdefault(family(t.recipe), []).append(t)
    spread = seed_deviation(groups.values())
    found = []
    for members in groups.values():
        ordered = sorted(members, key=_score, reverse=True)
        mean = statistics.fmean(map(_score, ordered))
        found.append(Candidate(tuple(ordered), mean, mean - (0.5 * spread if len(ordered) == 1 else 0.0)))
    if limits is not None:
        return sorted(found, key=lambda c: _by_artifact(c, limits))
    return sorted(found, key=lambda c: (-c.judged, round(_log_loss(c.best), ALIKE), c.best.parameters or 0))


def _by_artifact(candidate: Candidate, limits: Constraints) -> tuple[float, ...]:
    point = candidate.best.artifact
    size, latency = (point.size_bytes, point.latency_ms) if point is not None else (candidate.best.size_bytes or 0, math.inf)
    return (not judging.fits(point, limits), -round(candidate.judged, ALIKE + 1), size, latency)


def of_recipes(trials: Iterable[Trial], recipes: Iterable[Recipe]) -> list[Trial] | None:
    """For each recipe, whatever its seed and fold, the trial of the search that judged it best; None where one has none."""
    known: dict[str, Trial] = {}
    for t in evidence(trials):
        id = family(t.recipe)
        if t.usable and (id not in known or _score(t) > _score(known[id])):
            known[id] = t
    found = [known.get(family(recipe.model_copy(update={"fold": None}))) for recipe in recipes]
    return None if None in found else [t for t in found if t is not None]


def seed_deviation(groups: Iterable[list[Trial]]) -> float:
    """Standard deviation of a score over seeds, pooled over recipes that have several; 0 when none has."""
    squares, freedom = 0.0, 0
    for members in groups:
        if len(members) > 1:
            mean = statistics.fmean(map(_score, members))
            squares += sum((_score(t) - mean) ** 2 for t in members)
            freedom += len(members) - 1
    return math.sqrt(squares / freedom) if freedom else 0.0


def fallback(trials: Iterable[Trial]) -> Trial | None:
    """The best usable trial of any origin but the final fit (a probe, when nothing else came through)."""
    usable = [t for t in trials if t.origin != "final" and t.usable]
    return max(usable, key=_score, default=None)


def _log_loss(trial: Trial) -> float:
    """At the best epoch: decides between equal scores, which are many where the validation rows are few."""
    found = [m for m in trial.measurements if m.epoch == trial.best_epoch]
    return found[0].validation.get("log-loss", 0.0) if found else 0.0


def _score(trial: Trial) -> float:
    return trial.score if trial.score is not None else float("-inf")
