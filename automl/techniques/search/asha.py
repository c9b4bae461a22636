"""Asynchronous successive halving: whoever is in the best third of a rung is promoted as soon as a slot is free.

What it changes: who proposes the recipes, and for how many epochs. Why it may help: no slot waits for a rung to
fill, and the epochs go to what looks good. When it hurts: as with Hyperband early scores may mislead, and a
promotion on few peers is a guess. How: rungs are a factor of three apart; a promotion is a trial of its own that
goes on from the checkpoint of the one before.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="asha", stage="search", options="--strategy asha", doc=__doc__ or "",
    reference="Li et al.: A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), arXiv:1810.05934",
)
