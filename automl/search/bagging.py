"""The members of the final ensemble: which recipes, on which folds, as many as the clock and the limits allow.

Members are chosen from the trials by greedy selection on their validation predictions, and trained anew, each without
another fold of the rows; see the techniques `greedy-ensemble` and `bagging`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import entries
from automl.search.budget import SAFETY, Speed
from automl.search.sampler import seed64
from automl.search.selection import ALIKE, Candidate
from automl.spec import Constraints, Profile, Recipe, SearchSettings
from automl.tasks import metrics

CONSIDERED = 20
"""The best so many candidates may become members."""
FEWEST_FOLDS = 5
"""Two members that saw half of the rows each would be worse than one that saw all."""
SHARE = 0.3
"""Of the budget, at most for training the members."""

LATENCY_MS = 2.0
"""A member is taken to add at most so much to a prediction, in any runtime."""
SIZE_SHARE = 0.8
"""Of a limit of size, for an ensemble's members…"""
GRAPH_BYTES = 16_000
"""… each of which brings a graph and preprocessing of its own beside its weights: trees as much (an ensemble of three took
62 KB on telco_churn), networks less."""

FEW_ROWS = 4_000
"""Validation rows below which one greedy choice follows noise, and is made on…"""
BAGS = 20
"""… so many bootstrap samples instead (Caruana et al., ICML 2004, section 2.3, bag the models)."""

Predictions = NDArray[np.floating[Any]]


def most(profile: Profile, settings: SearchSettings, constraints: Constraints) -> int:
    """How many members the final ensemble may have; 0 where it isn't wanted or doesn't apply (the same as 1)."""
    technique = entries.techniques["bagging"]
    allowed = not settings.allow or technique.id in settings.allow
    if not allowed or technique.id in settings.forbid or technique.reason_against(profile) or settings.strategy == "fixed":
        return 0
    if settings.rank_by == "artifact":  # No trial measures the file of several networks, which is so many times as large.
        return 0
    wanted = int(technique.params["members"].default)
    if constraints.max_latency_ms is not None:
        wanted = min(wanted, int(constraints.max_latency_ms / LATENCY_MS))
    return wanted if wanted > 1 else 0


def chosen(
    ranked: Sequence[Candidate], predictions: Callable[[str], Predictions], y: NDArray[np.generic], *, metric: str,
    task: str, members: int, settings: SearchSettings,
) -> list[int]:
    """Indices into `ranked` of so many members, in order of choice. `predictions` gives a trial's on the validation rows."""
    greedily = "greedy-ensemble" not in settings.forbid and (not settings.allow or "greedy-ensemble" in settings.allow)
    if not greedily:
        return [0] * members
    return voted([predictions(c.best.id) for c in ranked[:CONSIDERED]], y, metric, task, members)


def voted(
    predictions: Sequence[Predictions], y: NDArray[np.generic], metric: str, task: str, members: int
) -> list[int]:
    """As `greedy`; of few rows, by the choices on `BAGS` bootstrap samples of them, so that no model is taken for its luck
    with some rows.

    Seats go to the models by their votes (D'Hondt's divisors), so that of any number of members the first are those that
    fewer would be.
    """
    if len(y) >= FEW_ROWS:
        return greedy(predictions, y, metric, task, members)
    votes = np.zeros(len(predictions))
    for rows in _bootstraps(y, entries.tasks[task].kind == "classification"):
        for place in greedy([p[rows] for p in predictions], y[rows], metric, task, members):
            votes[place] += 1
    order: list[int] = []
    while len(order) < members:
        order.append(max(range(len(votes)), key=lambda i: (votes[i] / (order.count(i) + 1), -i)))
    return order


def _bootstraps(y: NDArray[np.generic], by_class: bool) -> Iterator[NDArray[np.intp]]:
    """Row numbers drawn with replacement; of classes each as often as it is there."""
    rng = np.random.default_rng(len(y))
    strata = [np.flatnonzero(y == value) for value in np.unique(y)] if by_class else [np.arange(len(y))]
    for _ in range(BAGS):
        yield np.concatenate([rng.choice(rows, len(rows)) for rows in strata])


def greedy(
    predictions: Sequence[Predictions], y: NDArray[np.generic], metric: str, task: str, members: int
) -> list[int]:
    """Indices of the models whose mean scores best, in the order of their choice, with repetition.

    `predictions` are [n, outputs] each; of equal ones the first is taken. `y` [n] classes or numbers.
    """
    chosen: list[int] = []
    total = np.zeros(np.shape(predictions[0]))
    judge = _judge(metric, task, y)
    while len(chosen) < members:
        scores = [judge((total + p) / (len(chosen) + 1)) for p in predictions]
        best = max(range(len(predictions)), key=lambda i: (scores[i], -i))
        chosen.append(best)
        total = total + predictions[best]
    return chosen


def _judge(metric: str, task: str, y: NDArray[np.generic]) -> Callable[[Predictions], tuple[float, float]]:
    sure = "log-loss" in entries.tasks[task].metrics

    def score(prediction: Predictions) -> tuple[float, float]:
        given = prediction.astype(np.float32)
        return metrics.score(metric, y, given), -round(metrics.value("log-loss", y, given), ALIKE) if sure else 0.0

    return score


def affordable(wanted: int, seconds: Callable[[int], float], available_s: float) -> int:
    """The most members, up to `wanted`, whose trainings fit; `seconds(n)` is what the first n take. Less than 2 is none."""
    return next((n for n in range(wanted, 1, -1) if seconds(n) <= available_s), 0)


def duration_s(recipes: Sequence[Recipe], speed: Callable[[Recipe], Speed], rows_factor: float, slots: int) -> float:
    """Seconds for the recipes' trainings on so many slots. `rows_factor`: a member's rows over those of a trial."""
    each = [
        SAFETY * (s.setup_s + recipe.epochs * s.epoch_s * rows_factor) for recipe in recipes for s in (speed(recipe),)
    ]
    slots = max(1, slots)
    return max(max(each), sum(each) / slots + (max(each) / 2 if len(each) % slots else 0.0)) if each else 0.0


def members(
    ranked: Sequence[Candidate], order: Sequence[int], *, count: int, limit_parameters: int | None, beside: int = 0,
    seed: int,
) -> list[Recipe]:
    """The recipes of `count` members in the chosen `order` (indices into `ranked`), each with a seed and fold of its own.

    Members are passed over that would exceed the limit of parameters together with those before them; each counts with its
    weights and as many `beside` them.
    """
    kept: list[Recipe] = []
    weight = 0
    for place in order:
        best = ranked[place].best
        size = (best.parameters or 0) + beside
        if len(kept) < count and (limit_parameters is None or weight + size <= limit_parameters):
            kept.append(best.recipe)
            weight += size
    folds = max(FEWEST_FOLDS, len(kept))
    return [
        recipe.model_copy(update={"seed": seed64("member", seed, k) % 2**31, "fold": f"{k}/{folds}"})
        for k, recipe in enumerate(kept)
    ]


def ensemble(recipes: Sequence[Recipe]) -> Recipe:
    """One recipe of all members."""
    return recipes[0].model_copy(update={"members": tuple(recipes[1:])})
