"""Bayesian optimisation: a Gaussian process over the trials so far says where a better one may lie.

What it changes: who proposes the recipes. Why it may help: it uses every measurement, and is frugal with trainings
that are dear. When it hurts: its time grows with the cube of the trials and with the parameters (tens of seconds a
suggestion at 40 parameters and 50 trials), and conditional parameters fit badly into its distances; so it is given
the fifteen most important ones. How: KerasTuner's oracle, upper confidence bound μ(x) + β σ(x) under a Matérn
kernel, after six random trials.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="bayesian", stage="search", options="--strategy bayesian", doc=__doc__ or "",
    reference="Snoek, Larochelle, Adams, arXiv:1206.2944; Srinivas et al., arXiv:0912.3995",
)
