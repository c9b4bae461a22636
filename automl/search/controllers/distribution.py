"""Returns as distributions over fixed values, C51 (Bellemare et al., arXiv:1707.06887)."""

from __future__ import annotations

import numpy as np

from automl.search.controllers.network import Array


def projected(values: Array, chances: Array, support: Array) -> Array:
    """Distributions moved onto the support: each value's probability is shared between the two places next to it, the nearer
    one getting more; what lies outside goes to the ends.

    `values`, `chances` [rows, atoms]; `support` [places], evenly spaced and ascending. → [rows, places]."""
    low, high, places = support[0], support[-1], len(support)
    at = (np.clip(values, low, high) - low) / (high - low) * (places - 1)
    below = np.minimum(np.floor(at).astype(int), places - 1)
    above = np.minimum(below + 1, places - 1)
    share = at - below
    found = np.zeros((len(values), places), chances.dtype)
    rows = np.arange(len(values))[:, None]
    np.add.at(found, (rows, below), chances * (1 - share))
    np.add.at(found, (rows, above), chances * share)
    return found
