"""Random search: every trial is drawn on its own from the derived space.

What it changes: who proposes the recipes. Why it may help: it needs no history, so any number of slots work
without waiting for each other, and of many parameters the few that matter get as many different values as there
are trials. When it hurts: it learns nothing, so a good region is left as soon as it was found; it is the baseline
that the others are measured against (`benchmarks/samplers`). How: KerasTuner's random oracle, without its files.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="random", stage="search", options="--strategy random", doc=__doc__ or "",
    reference="Bergstra, Bengio: Random Search for Hyper-Parameter Optimization (JMLR 2012)",
)
