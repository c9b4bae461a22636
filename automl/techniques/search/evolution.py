"""Regularised evolution: a mutated copy of the best of a few, drawn from the latest trials; the oldest die.

What it changes: who proposes the recipes. Why it may help: it needs no model of the space, so conditional and
nominal parameters are no trouble, and it climbs steadily around what works. When it hurts: with few trials it is
hardly more than random search near the first good point. How: a population of the 24 latest trials, tournaments of
six, one to three changed parameters a mutation; dying of age guards against lucky scores. By name it searches
architectures as genotypes, all trained alike, under asynchronous halving; of tables, texts and series the portfolio's
strongest recipes are tried first. Where families drawn by hand are named it breeds their recipes.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="evolution", stage="search", options="--strategy evolution, and part of auto", doc=__doc__ or "",
    reference="Real et al.: Regularized Evolution (AAAI 2019), arXiv:1802.01548",
)
