"""What makes one model out of several."""

from __future__ import annotations

from automl.spec import Profile


def out_of_order(profile: Profile) -> str | None:
    """Why the members of an ensemble over folds can't be trained on these data."""
    return "the parts follow each other in time, and folds would mix what came before with what came after" if (
        profile.temporal
    ) else None
