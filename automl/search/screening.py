"""Candidates are scored in a child process before one of them is trained, while the loop goes on.

A screening takes a slot: what it costs is taken from trainings and stands in the events. One runs at a time. Its answer is
an event, so a restarted controller scores nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from automl.spec import Recipe
from automl.spec.event import CandidatesScored, ScoredCandidate

Score = Callable[[Sequence[Recipe], float], dict[str, Any]]
"""(recipes, seconds that it may take) → the answer of `automl.nas.zero_cost.score_in_child`; raises what a child raises."""
TIMEOUT_S = 120.0
"""Longest that a screening may take; a share of what is left where that is less."""
SHARE = 0.25


class Screening:
    """One batch of candidates after the other."""

    def __init__(self, score: Score):
        self._score = score
        self._thread: threading.Thread | None = None
        self._recipes: tuple[Recipe, ...] = ()
        self._answer: dict[str, Any] | None = None
        self._fault = ""
        self._began = 0.0
        self.failed = ""
        """Why the last screening gave no answer; nothing more is screened then."""

    @property
    def busy(self) -> bool:
        """Whether a screening holds a slot: from its start until its answer was taken."""
        return self._thread is not None

    def start(self, recipes: Sequence[Recipe], remaining_s: float) -> None:
        assert self._thread is None, "one screening at a time"
        self._recipes, self._answer, self._fault, self._began = tuple(recipes), None, "", time.monotonic()
        limit_s = max(5.0, min(TIMEOUT_S, SHARE * remaining_s))
        self._thread = threading.Thread(target=self._run, args=(limit_s,), daemon=True, name="screening")
        self._thread.start()

    def _run(self, limit_s: float) -> None:
        try:
            self._answer = self._score(self._recipes, limit_s)
        except Exception as error:  # noqa: BLE001 — without scores the search goes on as it would without screening.
            self._fault = str(error) or type(error).__name__

    def taken(self) -> CandidatesScored | None:
        """The event of a screening that has ended, once; None while one runs, when none was started, or when it failed."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        if self._answer is None or not self._answer["scores"]:
            self.failed = self._fault or "not one was done in time"
            return None
        return event(self._recipes, self._answer, time.monotonic() - self._began)


def event(recipes: Sequence[Recipe], answer: dict[str, Any], wall_s: float) -> CandidatesScored:
    """What a screening found, with the combined rank of each candidate among them. The answer may be of the first ones
    only."""
    from automl.nas import zero_cost

    ranks = zero_cost.combined(answer["scores"])
    return CandidatesScored(
        candidates=tuple(
            ScoredCandidate(
                recipe=recipe.identity, architecture=recipe.architecture, scores=scores, rank=rank, fault=fault
            )
            for recipe, scores, rank, fault in zip(recipes, answer["scores"], ranks, answer["faults"])
        ),
        wall_s=wall_s,
    )
