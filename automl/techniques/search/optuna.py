"""Optuna's tree-structured Parzen estimator over the same derived space.

What it changes: who proposes the recipes. Why it may help: it models good and other trials by densities, p(x |
good) / p(x | other), in each parameter by itself, which takes milliseconds in conditional spaces of dozens of
parameters. When it hurts: it sees little of how parameters act together, and below some two dozen trials it knows
no more than chance. How: a study is built from the history for each suggestion; failed trials count as the worst
score, running ones as constant liars.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="optuna", stage="search", options="--strategy tpe, and part of auto", doc=__doc__ or "",
    reference="Akiba et al., arXiv:1907.10902; Bergstra et al. (NeurIPS 2011)",
)
