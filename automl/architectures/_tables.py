"""What families for tables share: the way from a row's columns to one vector, and the size of it in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Float, Int
from automl.catalog.columns import Columns
from automl.catalog.domains import Domain
from automl.spec import InvalidInput, Profile

ENCODING_PARAMS: dict[str, Domain] = {
    "numeric_embedding": Categorical(("none", "periodic", "piecewise-linear"), "piecewise-linear"),
    "frequencies": Categorical((8, 16, 32, 64), 32),
    "sigma": Float(0.01, 5.0, 1.0, log=True),
    "embedding_width": Categorical((4, 8, 16, 24), 16),
    "bins": Categorical((8, 16, 32, 64), 32),
    "category_width": Categorical((4, 8, 16), 8),
    "one_hot_limit": Int(2, 32, 10),
    "feature_scale": Bool(True),
}
"""`numeric_embedding` none: numbers as they are; periodic: `frequencies` cosines with spread `sigma` and
`embedding_width` outputs for each column; piecewise-linear: `bins` between quantiles. Categories with up to
`one_hot_limit` codes (missing and unseen count as codes) are one-hot, others learned vectors of `category_width`.
`feature_scale`: a learned factor for each."""

SCALE_BYTES = 290
"""Of an int8 file for the factors of features, beside a byte each: an operation and a tensor."""


def encode(
    inputs: dict[str, Any],
    builder: Builder,
    *,
    numeric_embedding: str,
    frequencies: int,
    sigma: float,
    embedding_width: int,
    bins: int,
    category_width: int,
    one_hot_limit: int,
    feature_scale: bool,
) -> Any:
    """A row's columns as one vector [b, features]. Raises `InvalidInput` for a table without usable columns."""
    import keras

    from automl.layers import tables

    parts = []
    if "numeric" in inputs:
        # Encoded in float32 whatever the arithmetic of the rest: narrow bins have slopes that float16 ends before,
        # and phases of many turns need its digits.
        x = inputs["numeric"]
        if numeric_embedding == "periodic":
            x = tables.PeriodicEmbedding(
                frequencies, embedding_width, sigma, seed=builder.seed(), name="periodic", dtype="float32"
            )(x)
        elif numeric_embedding == "piecewise-linear":
            edges = quantile_edges(builder.sample["numeric"], bins)
            x = tables.PiecewiseLinearEncoding(edges, name="piecewise", dtype="float32")(x)
        parts.append(x)
    if "categorical" in inputs:
        cardinalities = [int(n) for n in builder.preprocess["cardinalities"]]
        widths = category_widths(cardinalities, category_width, one_hot_limit)
        parts.append(
            tables.CategoryEncoding(cardinalities, widths, seed=builder.seed(), name="categories")(inputs["categorical"])
        )
    if not parts:
        raise InvalidInput.at("data", "no column is left to learn from", reason="NO_FEATURES")
    x = keras.layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
    return tables.FeatureScale(name="feature_scale")(x) if feature_scale else x


def category_widths(cardinalities: list[int], category_width: int, one_hot_limit: int) -> list[int]:
    """Outputs of each categorical column: its codes where one-hot, else the vectors' width."""
    return [n if n <= max(one_hot_limit, 2) else min(category_width, n - 1) for n in cardinalities]


def quantile_edges(x: Any, bins: int) -> list[list[float]]:
    """For each column of x [n, d] the bins + 1 edges of its bins, ascending.

    Every other edge is a quantile of the rows, the ones between are quantiles of the column's distinct values. Rows
    alone would spend all edges on one value where most rows share it (an amount that is nearly always 0), and leave
    none for the rest, which may decide.
    """
    x = np.asarray(x, np.float64)
    by_rows = np.linspace(0, 1, bins - bins // 2 + 1)
    by_values = (np.arange(bins // 2) + 0.5) / (bins // 2)
    return [
        sorted([*np.quantile(column, by_rows), *np.quantile(np.unique(column), by_values)]) for column in x.T
    ]


def columns_of(
    numeric: int, cardinalities: Sequence[int], *, numeric_embedding: str, frequencies: int, embedding_width: int, bins: int,
    category_width: int, one_hot_limit: int, **_: Any
) -> Columns:
    """What `encode` makes of so many numbers and of categories with so many codes each, as plain data."""
    outputs = {"none": 1, "periodic": embedding_width, "piecewise-linear": bins + 1}[numeric_embedding]
    return Columns(
        numeric, numeric_embedding, outputs, frequencies, tuple(cardinalities),  # type: ignore[arg-type]
        tuple(category_widths(list(cardinalities), category_width, one_hot_limit)),
    )


def columns_of_profile(profile: Profile, **encoding: Any) -> Columns:
    """The same of a table that is only known by its profile."""
    return columns_of(profile.numeric, profile_cardinalities(profile), **encoding)


def profile_cardinalities(profile: Profile) -> tuple[int, ...]:
    """Codes of each categorical column; as many as the largest has where the profile doesn't say."""
    return profile.cardinalities or (profile.cardinality_max,) * profile.categorical
