"""Fits boosted trees (`automl.architectures.boosted_trees`) under the same contract as `training.trainer.train`.

An epoch is a share of the rounds. Rounds are fitted a stretch of epochs at a time, since each call of scikit-learn sorts
all rows into bins anew: one epoch first, so that something is known soon, then as many as there are already. Of a stretch
each epoch is measured and reported afterwards, with its share of the time. The best epoch's trees are kept; a training that
goes on begins anew, which gives the same trees again, and reports its further epochs only.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import boosted_trees
from automl.catalog import architectures, compose
from automl.data.prepared import PreparedDataset
from automl.layers import trees as layers
from automl.spec import Fidelity, InvalidInput, Measurement, Outcome, Profile, Recipe
from automl.tasks import head, metrics
from automl.training import candidate, result, samples
from automl.training.result import TrainResult

if TYPE_CHECKING:
    import keras

PATIENCE = 0.2
"""Share of the epochs after which a training without a better score ends; at least `LEAST_PATIENCE` epochs."""
LEAST_PATIENCE = 3
STRETCH_S = 8.0
"""Longest stretch between two looks at the controller."""
SMOOTHING_FOLDS = 5
LARGEST_LEAF = 32_000

_log = logging.getLogger(__name__)


def fit(
    recipe: Recipe,
    prepared: PreparedDataset,
    *,
    fidelity: Fidelity,
    metric: str,
    workdir: Path,
    on_epoch: Callable[[Measurement], bool],
    part: str = "train",
    deadline: float | None = None,
    resume: bool = True,
    threads: int = 1,
    continue_from: Path | None = None,
    beat: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """See `automl.training.trainer.train`. With `continue_from` of another part (a final fit) as many rounds are fitted as
    were best there. Raises `InvalidInput` for a recipe that can't be built."""
    from threadpoolctl import threadpool_limits

    training = _Boosting(recipe, prepared, fidelity, metric, Path(workdir), part, beat)
    with threadpool_limits(threads):
        return training.run(on_epoch, math.inf if deadline is None else deadline, resume, continue_from, should_stop)


@dataclasses.dataclass(frozen=True)
class Tree:
    """One tree's nodes, the first one first, children as neighbours (see `DecisionTrees`)."""

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


class _Boosting:
    def __init__(
        self, recipe: Recipe, prepared: PreparedDataset, fidelity: Fidelity, metric: str, workdir: Path, part: str,
        beat: Callable[[], None],
    ):
        self.recipe, self.fidelity, self.part, self.workdir, self.beat = recipe, fidelity, part, workdir, beat
        self.meta, self.metric = prepared.meta, metrics.get(metric)
        self.began = time.monotonic()
        self.spent: dict[str, float] = {}
        self.step_s = 0.0
        self.epoch_s = 0.0
        profile = self.meta.profile
        self.params = compose.complete(recipe.architecture, architectures[recipe.architecture.id].params)
        self.sums = boosted_trees.sums(profile.outputs, profile.kind)
        plan = compose.plan_of(recipe, profile)
        self.samples = samples.load(prepared, plan, part, fidelity, recipe.seed)
        self.levels: Levels | None = None
        self.x = self._training_columns()
        self.validation = self._columns(self.samples.validation_inputs)
        self.y = self.samples.target.reshape(-1)
        if (lacking := profile.classes - len(np.unique(self.y))) > 0 and self.meta.kind == "classification":
            raise InvalidInput.at(
                "data", f"boosted trees need rows of every class to train on; {lacking} of {profile.classes} have none",
            )
        self.estimator = self._estimator()
        self.trees: list[Tree] = []
        self.raw = np.zeros((len(self.validation), self.sums))
        self.measurements: list[Measurement] = []
        self.best: tuple[int, tuple[float, float], NDArray[np.float32]] | None = None
        """Epoch, its score and log-loss (negative), its predictions on the validation rows."""
        self._took("data")

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

    def run(
        self, on_epoch: Callable[[Measurement], bool], deadline: float, resume: bool, continue_from: Path | None,
        should_stop: Callable[[], bool],
    ) -> TrainResult:
        self.workdir.mkdir(parents=True, exist_ok=True)
        epochs, known = self._begin(resume, continue_from)
        outcome, message = Outcome.COMPLETED, ""
        done = 0
        while done < epochs and not message:
            length = self._stretch(done, epochs, deadline)
            if done and (length == 0 or should_stop()):
                outcome, message = Outcome.PRUNED, f"stopped, or out of time, after epoch {done}"
                break
            for measurement in self._fit(done, done + max(1, length)):
                done = measurement.epoch
                if done > known and not self._answer(on_epoch, measurement) and done < epochs:
                    outcome, message = Outcome.PRUNED, f"stopped after epoch {done}"
                elif self._stale(done):
                    message = f"no better score for {done - self._best_epoch} epochs"
                if message:
                    break
        began = time.monotonic()
        model, found = self._model(), self._result(outcome, message, known)
        candidate.write(self.workdir, candidate.Files(model, self.samples.preprocess, self.recipe, self._predictions), found)
        self.spent["export"] = time.monotonic() - began
        return found.changed(wall_s=time.monotonic() - self.began, overheads_s=dict(self.spent))

    def _stretch(self, done: int, epochs: int, deadline: float) -> int:
        """Epochs to fit next: as many as there are already, less where they would take too long; 0 where the time is up."""
        if not done:
            return 1
        left_s = min(STRETCH_S, deadline - time.monotonic())
        wanted = min(done, epochs - done)
        if left_s <= 0:
            return 0
        return max(1, min(wanted, int(left_s / max(1e-6, self.epoch_s))))

    def _fit(self, done: int, until: int) -> Iterator[Measurement]:
        """Fits the epochs behind `done` up to `until`, then measures one after the other."""
        began = time.monotonic()
        self.estimator.set_params(max_iter=self.rounds(until)).fit(self.x, self.y)
        for grown in self.estimator._predictors[len(self.trees) // self.sums :]:
            self.trees += [Tree.of(predictor.nodes) for predictor in grown]
        took = time.monotonic() - began
        self.epoch_s = took / (until - done)
        before, start = self.step_s, began - self.began
        for epoch in range(done + 1, until + 1):
            share = took * (epoch - done) / (until - done)
            self.step_s = before + share
            self.beat()
            yield self._measure(epoch, start + share)

    def _answer(self, on_epoch: Callable[[Measurement], bool], measurement: Measurement) -> bool:
        began = time.monotonic()
        go_on = on_epoch(measurement)
        self.spent["report"] = self.spent.get("report", 0.0) + time.monotonic() - began
        return go_on

    def _stale(self, epoch: int) -> bool:
        """Too long without a better score; where the validation rows are trained on, scores say nothing."""
        patience = max(LEAST_PATIENCE, PATIENCE * self.recipe.epochs)
        return not self._validation_seen and epoch - self._best_epoch >= patience

    def _begin(self, resume: bool, continue_from: Path | None) -> tuple[int, int]:
        """Epochs to fit, and how many of them were reported by an earlier training of the recipe on the same rows."""
        epochs = self.fidelity.epochs
        for folder in ((self.workdir,) if resume else ()) + ((continue_from,) if continue_from is not None else ()):
            try:
                earlier = result.read(folder)
            except FileNotFoundError:
                continue
            if earlier.recipe != self.recipe.identity:
                continue
            if earlier.part == self.part:
                self.measurements = list(earlier.measurements)
                return epochs, min(earlier.epochs_done, epochs)
            return max(1, earlier.best_epoch or epochs), 0
        return epochs, 0

    @property
    def _offset(self) -> NDArray[np.float64]:
        return np.asarray(self.estimator._baseline_prediction, np.float64).reshape(-1)

    def _measure(self, epoch: int, elapsed_s: float) -> Measurement:
        first = self.rounds(epoch - 1) * self.sums if epoch > 1 else 0
        for number, tree in enumerate(self.trees[first : self.rounds(epoch) * self.sums], first):
            self.raw[:, number % self.sums] += tree.predict(self.validation)
        found = head.predictions(logits(self.raw + self._offset, self.meta.profile.outputs), self.meta)
        values = metrics.evaluate(self.meta.task, self.samples.validation_target, found)
        score = self.metric.signed(values[self.metric.id])
        rank = (score, -values.get("log-loss", math.inf))
        if self.best is None or rank > self.best[1] or self._validation_seen:
            self.best = (epoch, rank, found)
        measurement = Measurement(
            epoch=epoch, train_loss=None, validation=values, score=score, elapsed_s=elapsed_s, step_s=self.step_s,
            learning_rate=float(self.params["learning_rate"]),
        )
        if epoch > len(self.measurements):
            self.measurements.append(measurement)
        return measurement

    # --- the result ----------------------------------------------------------------------------

    @property
    def _validation_seen(self) -> bool:
        return self.part == "train+validation"

    @property
    def _best_epoch(self) -> int:
        assert self.best is not None
        return self.best[0]

    @property
    def _predictions(self) -> NDArray[np.float32]:
        assert self.best is not None
        return self.best[2]

    def _kept(self) -> list[Tree]:
        return self.trees[: self.rounds(self._best_epoch) * self.sums]

    def _parameters(self) -> int:
        """A node counts as its bytes, as in `boosted_trees.size`."""
        table = 0 if self.levels is None else 2 * self.levels.table.size
        return boosted_trees.BYTES_PER_NODE * sum(len(t.column) for t in self._kept()) + table

    def _model(self) -> keras.Model:
        import keras

        from automl.architectures import model

        keras.backend.clear_session(free_memory=False)
        keras.config.set_dtype_policy("float32")
        profile, kept = self.meta.profile, self._kept()
        largest = max((float(np.abs(t.value).max()) for t in kept), default=0.0)
        unit = 2.0 ** math.ceil(math.log2(max(largest, 1e-30) / LARGEST_LEAF))
        inputs = model.input_tensors(profile, self.samples.preprocess)
        outputs = boosted_trees.grow(
            inputs, profile, self.samples.preprocess, trees=len(kept), nodes=sum(len(t.column) for t in kept),
            depth=max(t.depth for t in kept), unit=unit,
        )
        core = keras.Model(inputs, outputs, name="core")
        fill(core.get_layer("trees"), kept, logits(self._offset[None], profile.outputs)[0])
        if self.levels is not None:
            core.get_layer("levels").set_weights([self.levels.table])
        return head.inference_model(core, self.meta)

    def _result(self, outcome: Outcome, message: str, known: int) -> TrainResult:
        assert self.best is not None
        epoch, (score, _), found = self.best
        values = metrics.evaluate(self.meta.task, self.samples.validation_target, found)
        return TrainResult(
            outcome=outcome, message=message, recipe=self.recipe.identity, part=self.part, metric=self.metric.id,
            fidelity=self.fidelity, epochs_done=self.measurements[-1].epoch, best_epoch=epoch, score=score,
            validation=values, validation_seen=self._validation_seen, batch_size=len(self.y),
            measurements=tuple(self.measurements), resumed_epoch=known, wall_s=time.monotonic() - self.began,
            step_s=self.step_s, parameters=self._parameters(), size_bytes=self._parameters(), overheads_s=dict(self.spent),
        )

    def _took(self, name: str) -> None:
        self.spent[name] = time.monotonic() - self.began


def logits(sums: NDArray[np.float64], outputs: int) -> NDArray[np.float64]:
    """Sums [n, trees a round] as the core gives them: of two classes the log-odds, half for each."""
    return sums * np.array([-0.5, 0.5]) if sums.shape[1] < outputs else sums


def fill(layer: Any, trees: list[Tree], offset: NDArray[np.float64]) -> None:
    """Sets the weights of a `DecisionTrees` layer of just these trees' size."""
    leaf = np.concatenate([t.column for t in trees]) < 0
    values = np.rint(np.concatenate([t.value for t in trees]) / layer.unit)
    sizes = [len(t.column) for t in trees]
    weights = {
        "column": np.where(leaf, layer.columns, np.concatenate([t.column for t in trees])),
        "number": np.where(leaf, values, np.concatenate([t.threshold for t in trees])),
        "left": np.concatenate([t.left for t in trees]),
        "root": np.r_[0, np.cumsum(sizes[:-1])], "offset": offset,
    }
    for name, value in weights.items():
        variable = getattr(layer, name)
        variable.assign(value.astype(variable.dtype))
