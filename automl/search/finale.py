"""The final fit: the winner once more with the validation rows among its training rows.

From scratch with the winner's recipe and its best epoch, when the time that is reserved allows it; else the winner's own
weights are trained on for a few epochs at a lower rate; else the winner stays as it is. Nothing new can
be measured afterwards (the validation rows are seen), so the result is kept only if it is at least as good on them as the
winner was: a training that went astray shows there.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from automl.search.budget import SAFETY, Speed
from automl.search.selection import Candidate
from automl.spec import Fidelity, Recipe

MOST_SHARE = 0.25
"""A continuation takes at most this share of the winner's epochs."""
PLANNED_EPOCHS = 2
"""What the reserve is kept for while from scratch is out of reach."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the final fit is to do."""

    how: Literal["scratch", "continue", "keep"]
    recipe: Recipe
    fidelity: Fidelity
    expected_s: float
    why: str
    """As a sentence, for people."""


def plan(winner: Candidate, speed: Speed, available_s: float, rows: int, validation_rows: int) -> Plan:
    """Decides from the time available (seconds) and the speed on the training rows alone."""
    recipe = winner.best.recipe
    whole = Speed(speed.setup_s, speed.epoch_s * (rows + validation_rows) / max(1, rows), speed.measured)
    best_epochs = [t.best_epoch or t.recipe.epochs for t in winner.trials]
    epochs = max(1, min(recipe.epochs, round(sum(best_epochs) / len(best_epochs))))
    scratch_s = whole.total_s(epochs) * SAFETY
    if validation_rows == 0:
        return Plan("keep", recipe, Fidelity(epochs=recipe.epochs), 0.0, "There are no validation rows to add.")
    if scratch_s <= available_s:
        return Plan(
            "scratch", recipe, Fidelity(epochs=epochs), scratch_s,
            f"The winner is trained anew on training and validation rows for {epochs} epochs (its best), "
            f"about {scratch_s:.0f} s.",
        )
    room = Speed(whole.setup_s * SAFETY, whole.epoch_s * SAFETY, True).epochs_within(available_s)
    more = min(room, math.ceil(MOST_SHARE * recipe.epochs))
    if more < 1:
        return Plan(
            "keep", recipe, Fidelity(epochs=recipe.epochs), 0.0,
            f"There is no time for a final fit on all rows (it takes {scratch_s:.0f} s, {max(0.0, available_s):.0f} s "
            "are left): the winner is delivered as it was trained.",
        )
    return Plan(
        "continue", recipe, Fidelity(epochs=more), whole.total_s(more) * SAFETY,
        f"A final fit from scratch takes {scratch_s:.0f} s, {available_s:.0f} s are left: the winner goes on for {more} "
        "epochs on training and validation rows, at a lower rate.",
    )
