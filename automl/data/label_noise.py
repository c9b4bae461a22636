"""Rows whose label is probably wrong: a quick model that has not seen them is sure of another class.

After confident learning (Northcutt et al., arXiv:1911.00068): a forest of randomised trees tells each training row's classes
by the votes of those trees alone that were grown without it. A row is suspected when its own label gets nearly no votes and
another class at least as many as that class's own rows usually get. Where the classes overlap so much that the forest is
often wrong, nothing is said: a doubtful row is then nothing strange.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from automl.spec.dataset import Finding, Severity

ROWS = 4_000
COLUMNS = 200
CLASSES = 50
TREES = 60
GOOD = 0.8
"""Least share of right votes, the mean over classes, at which the forest may judge labels."""
OWN, OTHER = 0.1, 0.75
"""Most votes for a suspect's own label, and fewest for the other class."""
FEWEST_ROWS, FEWEST_OF_CLASS = 50, 5
LISTED = 5


def found(
    x: NDArray[np.float32], y: NDArray[np.int32], rows: NDArray[np.int64], classes: Sequence[str], what: str = "rows"
) -> list[Finding]:
    """A finding with the suspects, most certain first, if there are any.

    `x` [n, d] are training rows as numbers (codes of categories among them; NaN counts as a value of its own), `y` [n] their
    classes, `rows` [n] their places in the source, counted from 0.
    """
    x, y, rows = x[:ROWS, :COLUMNS], y[:ROWS], rows[:ROWS]
    counts = np.bincount(y, minlength=len(classes))
    if len(y) < FEWEST_ROWS or not x.shape[1] or len(classes) > CLASSES or counts.min() < FEWEST_OF_CLASS:
        return []
    suspects, other = suspicious(x, y, len(classes))
    if not len(suspects):
        return []
    examples = ", ".join(
        f"{rows[i] + 1} ({classes[y[i]]!r}, rather {classes[other[i]]!r})" for i in suspects[:LISTED]
    ) + (" …" if len(suspects) > LISTED else "")
    share = len(suspects) / len(y)
    return [Finding(
        check="label-noise", severity=Severity.WARNING if share > 0.01 else Severity.INFO,
        rows=tuple(int(rows[i]) + 1 for i in suspects[:20]),
        message=f"{len(suspects):,} of {len(y):,} training {what} ({share:.1%}) look like another class than their label's: "
                f"{examples}. They are kept; look at them, since wrong labels cost accuracy.",
    )]


def suspicious(x: NDArray[np.float32], y: NDArray[np.int32], classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(places of the suspects, most certain first; for every row the class that most votes are for)."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(TREES, bootstrap=True, oob_score=True, max_features="sqrt", random_state=7, n_jobs=1)
    # Below all values: trees split at it, so what is missing is a value of its own.
    known = np.where(np.isnan(x), np.nanmin(x, initial=0.0) - 1.0, x)
    forest.fit(np.clip(known, -1e30, 1e30), y)
    votes = np.nan_to_num(forest.oob_decision_function_)
    places = np.arange(len(y))
    own = votes[places, y]
    best = votes.argmax(axis=1)
    of_class = [y == c for c in range(classes)]
    if np.mean([(best[chosen] == c).mean() for c, chosen in enumerate(of_class)]) < GOOD:
        return np.zeros(0, np.int64), best
    usual = np.array([own[chosen].mean() for chosen in of_class])
    strange = (own <= OWN) & (votes[places, best] >= np.maximum(OTHER, usual[best])) & (best != y)
    suspects = np.flatnonzero(strange)
    return suspects[np.argsort(own[suspects] - votes[suspects, best[suspects]], kind="stable")], best


def small(images: NDArray[np.uint8], side: int = 10) -> NDArray[np.float32]:
    """Pictures [n, h, w, ch] as rows of numbers: means over a grid of about `side` × `side` fields, of each channel."""
    n, h, w = images.shape[:3]
    rows, columns = (np.linspace(0, length, min(side, length) + 1).astype(int) for length in (h, w))
    sums = np.add.reduceat(np.add.reduceat(images, rows[:-1], axis=1, dtype=np.float32), columns[:-1], axis=2)
    area = np.outer(np.diff(rows), np.diff(columns))[None, :, :, None]
    return (sums / area).reshape(n, -1).astype(np.float32)
