"""Looks at the data before learning from them, and says what a person should know.

What it changes: nothing but two things: rows without a target are dropped, and a column that is a one-to-one copy of
the target is left out. All else is reported, with figures and row numbers. Why it may help: most bad models are bad
data. When it hurts: a finding isn't a verdict: a warning may be what the data are by nature. How: kinds of columns
are inferred from their values; missing, constant, empty, id-like and unparsable columns, decimal commas; repeated
rows, contradictions among them, rows of the test part that are also in training, groups in both; columns that alone
predict the target almost perfectly (learned on one half, judged on the other); rare and unbalanced classes, labels
and categories that training lacks. Wrong labels are suspected where a forest of randomised trees that hasn't seen a
row gives its label at most 10 % of the votes and another class at least 75 % (at most 4,000 training rows are looked
at, and only where the forest is right in 80 %, the mean over classes). Drift between the parts: Kolmogorov–Smirnov
for numbers, total variation with a χ² test for categories, targets and missing values; it is told from a difference
of 0.15 on, at p < 0.001 over all columns together. Pictures: unreadable files, mixed sizes and modes, duplicates,
overlap, labels, and drift of brightness, contrast and colour.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="data-checks", stage="data", options="", doc=__doc__ or "",
    reference="Northcutt, Jiang, Chuang: Confident Learning, arXiv:1911.00068 (2019); Breck et al. (MLSys 2019)",
)
