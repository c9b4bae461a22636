"""Guards against the collapse of differentiable searches: cells that turn to shortcuts, which train fastest and end worst.

    skips        more than a few edges of a cell prefer the shortcut (Liang et al., DARTS+, arXiv:1909.06035)
    eigenvalue   the dominant eigenvalue of the loss's Hessian in the architecture grows: the mixture sits in a sharp valley,
                 so that rounding it to a genotype loses what it had learned (Zela et al., arXiv:1909.09656)

Either ends the search, and the genotype from before the collapse counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Watch = Literal["both", "skips", "eigenvalue", "none"]

SKIPS = 2
"""Shortcuts that a cell may prefer."""
WINDOW, DISTANCE = 3, 4
"""Eigenvalues are averaged over as many rounds, and compared with those as many rounds before."""
GROWTH = 0.5
"""Averages: where the earlier one is less than this share of the later one, the valley has become sharp. Published is 0.75,
for eigenvalues on all rows; on one batch they scatter more…"""
SETTLED = 6
"""… and while the weights have hardly begun they only grow: as many first rounds aren't compared with."""


@dataclasses.dataclass(frozen=True)
class Round:
    """What a guard looks at after each round in which the architecture has moved."""

    skips: int
    """The most of any cell."""
    eigenvalue: float | None
    """None where it wasn't taken."""


@dataclasses.dataclass(frozen=True)
class Collapse:
    """The search is over."""

    why: str
    """As a phrase, with the figures."""
    back_to: int
    """Index of the round whose genotype counts."""


def judged(rounds: Sequence[Round], watch: Watch) -> Collapse | None:
    """What the latest round says; None where the search may go on."""
    last = len(rounds) - 1
    if last < 0:
        return None
    if watch in ("both", "skips") and rounds[-1].skips > SKIPS:
        good = [n for n, r in enumerate(rounds) if r.skips <= SKIPS]
        return Collapse(
            f"{rounds[-1].skips} edges of a cell prefer the shortcut, more than {SKIPS}: it was collapsing to shortcuts",
            good[-1] if good else 0,
        )
    values = [r.eigenvalue for r in rounds]
    if watch in ("both", "eigenvalue") and len(values) >= SETTLED + WINDOW + DISTANCE:
        late, early = values[-WINDOW:], values[-WINDOW - DISTANCE : -DISTANCE]
        if all(v is not None for v in (*late, *early)):
            now, before = sum(map(float, late)) / WINDOW, sum(map(float, early)) / WINDOW  # type: ignore[arg-type]
            if now > 0 and before > 0 and before < GROWTH * now:
                return Collapse(
                    f"the dominant eigenvalue of the Hessian in the architecture grew from {before:.3g} to {now:.3g} within "
                    f"{DISTANCE} rounds: what was found would not survive being made discrete",
                    last - DISTANCE,
                )
    return None
