"""Zero-cost pre-screening: networks are scored at their initial weights, and only the best of a pool are trained.

What it changes: of twelve candidates that evolution over genotypes breeds, three are trained. Why it may help: a score takes
about a second, a training minutes; networks that can't learn are mostly seen at once. When it hurts: scores agree with
trained accuracy only loosely and favour large networks; among equally good candidates they choose by chance. How: on one
batch of 64 rows, naswot (the log-determinant of how alike rows switch the rectifiers), synflow (what flows through all paths
with positive weights) and grad-norm (the length of the loss's gradient). Candidates are ordered by the mean of their ranks
by the first two: the third ranked trained cells the wrong way round, and is reported only. The report says how well the
ranks agreed with what was trained.
"""

from __future__ import annotations

from automl.catalog import capability

capability(
    id="zero-cost", stage="search", doc=__doc__ or "", modalities=("image",),
    options="part of evolution over genotypes; --forbid zero-cost trains candidates unscored",
    reference="Mellor et al.: arXiv:2006.04647 (naswot); Tanaka et al.: arXiv:2006.05467 (synflow); Abdelfattah et al.: "
    "Zero-Cost Proxies for Lightweight NAS, arXiv:2101.08134",
)
