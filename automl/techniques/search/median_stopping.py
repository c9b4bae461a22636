"""Median stopping: a trial that lies below the median of the others at the same share of its schedule is stopped.

What it changes: how long a trial may run. Why it may help: epochs that could not have led to the winner are free
for others. When it hurts: slow starters are cut; so nothing is stopped before 30 % of its schedule or without four
finished trials to compare with, and a trial whose own curve, carried on, could still reach the others is left
alone. How: asked after every epoch, before the next one begins; shares of schedules are compared, since scores
rise as the learning rate falls.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="median-stopping", stage="search", options="every strategy but fixed and grid", doc=__doc__ or "",
    reference="Golovin et al.: Google Vizier (KDD 2017)",
)
