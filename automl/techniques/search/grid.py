"""Grid search: all combinations of a few values of the most important parameters.

What it changes: who proposes the recipes. Why it may help: the result is a table that a person can read, and every
neighbour of a good point was tried. When it hurts: its size is the product over the parameters; so at most six are
crossed, with at most four values each, and the rest stay at their defaults. How: KerasTuner's grid oracle over
that part of the space.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="grid", stage="search", options="--strategy grid", doc=__doc__ or "",
    reference="Bergstra, Bengio (JMLR 2012) compare it with random search; Montgomery (2017)",
)
