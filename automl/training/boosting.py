"""Fits boosted trees (`automl.architectures.boosted_trees`) under the same contract as `training.trainer.train`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import boosted_trees
from automl.layers import trees as layers
from automl.spec import Profile
from automl.training import fitting, samples

if TYPE_CHECKING:
    import keras

SMOOTHING_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Tree:
    """One tree's nodes by levels, the first one first, children as neighbours in the order of their parents (see
    `DecisionTrees`)."""

    column: NDArray[np.int64]
    """-1 for leaves."""
    threshold: NDArray[np.int64]
    """In steps; rows above it go right."""
    left: NDArray[np.int64]
    value: NDArray[np.float64]
    """Of leaves."""
    depth: int

    @classmethod
    def of(cls, nodes: NDArray[Any]) -> Tree:
        """From the nodes of scikit-learn's tree predictor, whose children may lie anywhere."""
        order, left = [0], list[int]()
        for at in order:  # grows while it is walked: breadth first
            if nodes[at]["is_leaf"]:
                left.append(len(left))
            else:
                left.append(len(order))
                order += [int(nodes[at]["left"]), int(nodes[at]["right"])]
        kept = nodes[order]
        leaf = kept["is_leaf"].astype(bool)
        return cls(
            np.where(leaf, -1, kept["feature_idx"]).astype(np.int64),
            np.where(leaf, 0, np.floor(np.where(leaf, 0.0, kept["num_threshold"]))).astype(np.int64),
            np.array(left), np.where(leaf, kept["value"], 0.0), int(kept["depth"].max()),
        )

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The leaves' values for columns in steps [n, columns]."""
        at = np.zeros(len(x), np.int64)
        rows = np.arange(len(x))
        for _ in range(self.depth):
            inner = self.column[at] >= 0
            at = np.where(inner, self.left[at] + (x[rows, self.column[at]] > self.threshold[at]), at)
        return self.value[at]


@dataclasses.dataclass(frozen=True)
class Levels:
    """Each category's place: whole numbers [Σ cardinalities, width] in steps, for the columns with so many codes."""

    cardinalities: tuple[int, ...]
    table: NDArray[np.int16]

    def of(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """In steps, [n, columns · width]."""
        offsets = np.r_[0, np.cumsum(self.cardinalities[:-1])].astype(np.int64)
        return self.table[codes + offsets].reshape(len(codes), -1).astype(np.float32)


def fit_levels(
    codes: NDArray[np.int32], y: NDArray[Any], cardinalities: Iterable[int], profile: Profile, seed: int
) -> tuple[Levels, NDArray[np.float32]]:
    """The places of categories, and the training rows' own in steps [n, columns · width].

    Where they are mean targets, a training row's place comes from folds without it; else rare categories would tell the
    trees their rows' targets.
    """
    cards = tuple(int(n) for n in cardinalities)
    width = boosted_trees.levels_width(profile.outputs, profile.kind)
    if profile.classes > boosted_trees.MOST_ENCODED:
        counts = [np.bincount(codes[:, i], minlength=n) for i, n in enumerate(cards)]
        table = np.concatenate([_spread(np.argsort(np.argsort(c, kind="stable")).astype(float)) for c in counts])
        levels = Levels(cards, _steps(table)[:, None].astype(np.int16))
        return levels, levels.of(codes)
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import TargetEncoder

    kind = "continuous" if profile.kind == "regression" else "binary" if profile.outputs == 2 else "multiclass"
    # A splitter of ours, since the encoder's own arguments for it are on their way out.
    splitter: Any = (KFold if kind == "continuous" else StratifiedKFold)(
        SMOOTHING_FOLDS, shuffle=True, random_state=seed % 2**32
    )
    encoder = TargetEncoder(target_type=kind, cv=splitter)
    own = encoder.fit_transform(codes, np.asarray(y).reshape(-1))
    every = np.stack([np.minimum(np.arange(max(cards)), n - 1) for n in cards], axis=1)
    known = encoder.transform(every)  # [codes, columns · width]
    mean, std = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-9)
    table = ((known - mean) / std).reshape(max(cards), len(cards), width)
    levels = Levels(cards, np.concatenate([_steps(table[:n, i]) for i, n in enumerate(cards)]).astype(np.int16))
    return levels, _steps((own - mean) / std)


def _spread(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0 on, over ±7."""
    return 14 * ranks / max(1, len(ranks) - 1) - 7


def _steps(x: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers in whole steps as the trees are to see them: `DecisionTrees` compares the numbers themselves, and for a whole
    threshold t a number is above t just if it is so rounded up."""
    bound = layers.BOUND
    return np.ceil(np.clip(np.asarray(x, np.float32), -bound, bound) * np.float32(layers.STEPS)).astype(np.float32)


class Forest(fitting.Fitting):
    """Epochs are shares of the rounds. Each call of scikit-learn sorts all rows into bins anew, which stretches save."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        profile = self.meta.profile
        self.sums = boosted_trees.sums(profile.outputs, profile.kind)
        self.levels: Levels | None = None
        self.x = self._training_columns()
        self.validation = self._columns(self.samples.validation_inputs)
        self.estimator = self._estimator()
        self.trees: list[Tree] = []
        self.raw = np.zeros((len(self.validation), self.sums))

    # --- rows ----------------------------------------------------------------------------------

    def _training_columns(self) -> NDArray[np.float32]:
        parts = [_steps(self.samples.inputs["numeric"])] if "numeric" in self.samples.inputs else []
        if "categorical" in self.samples.inputs:
            self.levels, own = fit_levels(
                self.samples.inputs["categorical"], self.samples.target, self.samples.preprocess["cardinalities"],
                self.meta.profile, self.recipe.seed,
            )
            parts.append(own)
        return np.concatenate(parts, axis=1)

    def _columns(self, inputs: samples.Inputs) -> NDArray[np.float32]:
        parts = [_steps(inputs["numeric"])] if "numeric" in inputs else []
        if self.levels is not None:
            parts.append(self.levels.of(inputs["categorical"]))
        return np.concatenate(parts, axis=1)

    # --- fitting -------------------------------------------------------------------------------

    def _estimator(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        p = self.params
        common = {
            "learning_rate": p["learning_rate"], "max_leaf_nodes": p["leaves"], "max_depth": p["depth"],
            "min_samples_leaf": p["leaf_rows"], "l2_regularization": p["l2"], "max_features": p["column_share"],
            "early_stopping": False, "warm_start": True, "random_state": self.recipe.seed % 2**32,
        }
        if self.meta.kind == "classification":
            return HistGradientBoostingClassifier(**common)
        return HistGradientBoostingRegressor(
            loss="absolute_error" if self.metric.id == "mae" else "squared_error", **common
        )

    def rounds(self, epochs: int) -> int:
        """Rounds of so many epochs: of all epochs of the recipe, all."""
        return max(1, math.ceil(int(self.params["rounds"]) * min(1.0, epochs / self.recipe.epochs)))

    def fit_epochs(self, done: int, until: int) -> None:
        self.estimator.set_params(max_iter=self.rounds(until)).fit(self.x, self.y)
        for grown in self.estimator._predictors[len(self.trees) // self.sums :]:
            self.trees += [Tree.of(predictor.nodes) for predictor in grown]

    def outputs_at(self, epoch: int) -> NDArray[np.float64]:
        first = self.rounds(epoch - 1) * self.sums if epoch > 1 else 0
        for number, tree in enumerate(self.trees[first : self.rounds(epoch) * self.sums], first):
            self.raw[:, number % self.sums] += tree.predict(self.validation)
        return fitting.of_two(self.raw + self._offset, self.meta.profile.outputs)

    @property
    def learning_rate(self) -> float:
        return float(self.params["learning_rate"])

    @property
    def _offset(self) -> NDArray[np.float64]:
        return np.asarray(self.estimator._baseline_prediction, np.float64).reshape(-1)

    # --- the result ----------------------------------------------------------------------------

    def _kept(self) -> list[Tree]:
        return self.trees[: self.rounds(self.best_epoch) * self.sums]

    def parameters(self) -> int:
        """Tables count as their bytes, as in `boosted_trees.size`."""
        table = 0 if self.levels is None else 2 * self.levels.table.size
        kept = self._kept()
        return boosted_trees.table_bytes(sum(len(t.column) for t in kept), len(questions(kept))) + table

    def core(self) -> keras.Model:
        import keras

        from automl.architectures import model

        profile, kept = self.meta.profile, self._kept()
        splits = max(1, len(questions(kept)))
        largest = max((float(np.abs(t.value).max()) for t in kept), default=0.0)
        unit = 2.0 ** math.ceil(math.log2(max(largest, 1e-30) / layers.largest_leaf(splits)))
        inputs = model.input_tensors(profile, self.samples.preprocess)
        outputs = boosted_trees.grow(
            inputs, profile, self.samples.preprocess, trees=len(kept), nodes=sum(len(t.column) for t in kept),
            splits=splits, depth=max(t.depth for t in kept), unit=unit,
        )
        core = keras.Model(inputs, outputs, name="core")
        fill(core.get_layer("trees"), kept, fitting.of_two(self._offset[None], profile.outputs)[0])
        if self.levels is not None:
            core.get_layer("levels").set_weights([self.levels.table])
        return core


def questions(trees: list[Tree]) -> NDArray[np.int64]:
    """The different (column, threshold) that nodes ask for, in order, [splits, 2]."""
    inner = [t.column >= 0 for t in trees]
    asked = [np.stack([t.column[i], t.threshold[i]], axis=1) for t, i in zip(trees, inner)]
    return np.unique(np.concatenate(asked), axis=0)


def by_levels(trees: list[Tree]) -> NDArray[np.int64]:
    """The order of the nodes of all trees, set one behind the other, as `DecisionTrees` has it."""
    starts = np.r_[0, np.cumsum([len(t.column) for t in trees])[:-1]].astype(np.int64)
    inner = np.concatenate([t.column for t in trees]) >= 0
    left = np.concatenate([t.left + start for t, start in zip(trees, starts)])
    level, found = starts, []
    while len(level):
        found.append(level)
        children = left[level[inner[level]]]
        level = np.stack([children, children + 1], axis=1).reshape(-1)
    return np.concatenate(found)


def fill(layer: Any, trees: list[Tree], offset: NDArray[np.float64]) -> None:
    """Sets the weights of a `DecisionTrees` layer of just these trees' size."""
    column, threshold, value = (np.concatenate([getattr(t, n) for t in trees]) for n in ("column", "threshold", "value"))
    asked = questions(trees)
    # Each pair as one number, in which the pairs' order is that of the numbers.
    place = np.searchsorted(asked[:, 0] * 2**17 + asked[:, 1], column * 2**17 + threshold)
    node = np.where(column >= 0, place - layer.base, np.rint(value / layer.unit).astype(np.int64))
    weights = {"node": node[by_levels(trees)], "offset": offset}
    if len(asked):
        weights |= {"column": asked[:, 0], "threshold": asked[:, 1]}
    for name, numbers in weights.items():
        variable = getattr(layer, name)
        variable.assign(numbers.astype(variable.dtype))
