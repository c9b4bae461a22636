"""Hyperband: many short trainings, of which the best third goes on, under several trade-offs between many and long.

What it changes: who proposes the recipes, and for how many epochs. Why it may help: most bad recipes show it
early. When it hurts: schedules that span the whole training look bad at its shortest rungs, and fast starters win
there; rungs have at least three epochs for that. How: KerasTuner's oracle, η = 3; a promoted trial goes on from
its checkpoint.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="hyperband", stage="search", options="--strategy hyperband", doc=__doc__ or "",
    reference="Li et al.: Hyperband (JMLR 2018), arXiv:1603.06560",
)
