"""Gradient-boosted decision trees, delivered as a network of gathers and comparisons.

Each round adds a small tree (one for each class, of two classes one) that is fitted to the gradient of the loss of all
trees before it, times `learning_rate` (Friedman 2001; in histograms of the columns, as LightGBM has it, Ke et al., NeurIPS
2017). On many tables, small or irregular ones above all, this is still the strongest single model (Grinsztajn et al.,
NeurIPS 2022, arXiv:2207.08815), it is fitted in seconds, and its errors differ from those of networks: the mean of both is
better than either. It doesn't extrapolate, and it is larger than a network of few weights: 2 bytes a node and some
kilobytes of graph, whatever the precision. That is what int8 would give, so the int8 file is as large as the float32 one.

The trees are scikit-learn's, fitted on whole numbers: columns in steps of 1/4096 after scaling. Categories stand in the
order of their mean targets, cross-fitted for the training rows (Micci-Barreca 2001, scikit-learn's `TargetEncoder`); with
more than `MOST_ENCODED` classes in the order of their frequency. Of the layers in `automl.layers.trees`, which a trained
forest fills, none has anything to round, so an int8 artifact predicts what the float model does.

A training's epochs are shares of the `rounds`. Techniques that change gradient steps (optimizers, schedules, dropout, …)
have nothing to act on here. Where the metric is `mae` the absolute error is minimised, else the squared error or the
log-loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl.architectures.builder import Builder
from automl.catalog import Categorical, Float, Int, architecture
from automl.spec import InvalidInput, Profile

BYTES_PER_NODE = 2
BYTES_PER_SPLIT = 3
BINS = 255
"""Of a column, at most: what lies between two of them is what trees can ask."""
MOST_ENCODED = 10
"""Classes for which categories get a mean target each."""
MOST_CLASSES = 30
"""Each class has a tree a round."""


def size(profile: Profile, *, rounds: int, leaves: int, **learning: Any) -> int:
    """Bytes of the tables at most: no precision makes them smaller, so each counts as a weight."""
    trees = rounds * sums(profile.outputs, profile.kind)
    return table_bytes(trees * (2 * leaves - 1), _splits(profile, trees, leaves))


def table_bytes(nodes: int, splits: int) -> int:
    return BYTES_PER_NODE * nodes + BYTES_PER_SPLIT * splits


def _splits(profile: Profile, trees: int, leaves: int) -> int:
    """Different questions, at most."""
    columns = profile.numeric + profile.categorical * levels_width(profile.outputs, profile.kind)
    return max(1, min(trees * (leaves - 1), columns * (BINS - 1)))


def sums(outputs: int, kind: str) -> int:
    """Trees a round: of two classes one is enough."""
    return 1 if kind == "classification" and outputs == 2 else outputs


def levels_width(outputs: int, kind: str) -> int:
    """Numbers for each category."""
    return outputs if kind == "classification" and 2 < outputs <= MOST_ENCODED else 1


def _when(profile: Profile) -> str | None:
    return f"at most {MOST_CLASSES} classes, the data have {profile.classes}" if profile.classes > MOST_CLASSES else None


@architecture(
    id="boosted-trees",
    modalities=("table",),
    params={
        "rounds": Categorical((50, 100, 200, 400, 800), 200),
        "learning_rate": Float(0.01, 0.3, 0.08, log=True),
        "leaves": Categorical((4, 8, 16, 31, 63), 16),
        "depth": Int(2, 8, 6),
        "leaf_rows": Categorical((1, 5, 10, 20, 50, 100), 20),
        "l2": Float(0.001, 30.0, 1.0, log=True),
        "column_share": Float(0.2, 1.0, 0.7),
    },
    reference="arXiv:2207.08815; Friedman: Greedy Function Approximation, Annals of Statistics 29 (2001)",
    when=_when,
    cost=1.5,
    fitted_by="automl.training.boosting:Forest",
    not_for_qat="trees have thresholds, which gradients don't reach, and leave nothing to round",
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, rounds: int, leaves: int, depth: int, **learning: Any) -> Any:
    """The untrained forest at its largest: logits [b, outputs] of 0."""
    trees = rounds * sums(builder.profile.outputs, builder.profile.kind)
    return grow(
        inputs, builder.profile, builder.preprocess, trees=trees, nodes=trees * (2 * leaves - 1),
        splits=_splits(builder.profile, trees, leaves), depth=depth,
    )


def grow(
    inputs: Mapping[str, Any], profile: Profile, preprocess: Mapping[str, Any], *, trees: int, nodes: int, splits: int,
    depth: int, unit: float = 2.0**-14,
) -> Any:
    """The layers of a forest of that size behind the inputs. Raises `InvalidInput` for a table without usable columns."""
    from automl.layers import trees as layers

    parts = [inputs["numeric"]] if "numeric" in inputs else []
    if "categorical" in inputs:
        width = levels_width(profile.outputs, profile.kind)
        parts.append(layers.CategoryLevels(preprocess["cardinalities"], width, name="levels")(inputs["categorical"]))
    if not parts:
        raise InvalidInput.at("data", "no column is left to learn from", reason="NO_FEATURES")
    columns, one_sum = sum(part.shape[-1] for part in parts), sums(profile.outputs, profile.kind) < profile.outputs
    forest = layers.DecisionTrees(
        columns, profile.outputs, trees, nodes, splits, depth, unit=unit, one_sum=one_sum, name="trees"
    )
    return forest(parts if len(parts) > 1 else parts[0])
