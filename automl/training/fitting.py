"""What families have in common that a library fits in the place of gradient steps: the contract of `training.trainer.train`.
`Architecture.fitted_by` names a family's own part, a subclass of `Fitting`.

Epochs are fitted a stretch at a time: one first, so that something is known soon, then as many as there are already. Of a
stretch each epoch is measured and reported afterwards. The best epoch's model is kept; a training that goes on begins anew,
which gives the same model again, and reports its further epochs only.
"""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from automl.catalog import architectures, compose
from automl.data.prepared import PreparedDataset
from automl.spec import Fidelity, InvalidInput, Measurement, Outcome, Recipe
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


class Fitting(abc.ABC):
    """One training. A family gives `fit_epochs`, `outputs_at`, `core` and `parameters`."""

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
        self.params = compose.complete(recipe.architecture, architectures[recipe.architecture.id].params)
        self.samples = samples.load(prepared, compose.plan_of(recipe, self.meta.profile), part, fidelity, recipe.seed)
        self.y = self.samples.target.reshape(-1)
        classes = self.meta.profile.classes
        if self.meta.kind == "classification" and (lacking := classes - len(np.unique(self.y))) > 0:
            raise InvalidInput.at(
                "data", f"{recipe.architecture.id} needs rows of every class to train on; {lacking} of {classes} have none",
            )
        self.measurements: list[Measurement] = []
        self.best: tuple[int, tuple[float, float], NDArray[np.float32]] | None = None
        """Epoch, its score and log-loss (negative), its predictions on the validation rows."""

    # --- what a family gives -------------------------------------------------------------------

    @abc.abstractmethod
    def fit_epochs(self, done: int, until: int) -> None:
        """Fits the epochs behind `done` up to `until`."""

    @abc.abstractmethod
    def outputs_at(self, epoch: int) -> NDArray[np.floating[Any]]:
        """The core's outputs [n, outputs] on the validation rows after that epoch; asked in order, once each."""

    @abc.abstractmethod
    def core(self) -> keras.Model:
        """The best epoch's model: a dict of inputs → logits or standardised numbers."""

    @abc.abstractmethod
    def parameters(self) -> int:
        """Of the best epoch's model, counted as the family's `size` does."""

    @property
    def learning_rate(self) -> float | None:
        """For the measurements."""
        return None

    # --- the contract --------------------------------------------------------------------------

    def run(
        self, on_epoch: Callable[[Measurement], bool], deadline: float, resume: bool, continue_from: Path | None,
        should_stop: Callable[[], bool],
    ) -> TrainResult:
        """Trains, and leaves the candidate in `workdir`."""
        self._took("data")
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
                    message = f"no better score for {done - self.best_epoch} epochs"
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
        """Fits a stretch, then measures its epochs one after the other."""
        began = time.monotonic()
        self.fit_epochs(done, until)
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
        return not self._validation_seen and epoch - self.best_epoch >= patience

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

    def _measure(self, epoch: int, elapsed_s: float) -> Measurement:
        found = head.predictions(self.outputs_at(epoch), self.meta)
        values = metrics.evaluate(self.meta.task, self.samples.validation_target, found)
        score = self.metric.signed(values[self.metric.id])
        rank = (score, -values.get("log-loss", math.inf))
        if self.best is None or rank > self.best[1] or self._validation_seen:
            self.best = (epoch, rank, found)
        measurement = Measurement(
            epoch=epoch, train_loss=None, validation=values, score=score, elapsed_s=elapsed_s, step_s=self.step_s,
            learning_rate=self.learning_rate,
        )
        if epoch > len(self.measurements):
            self.measurements.append(measurement)
        return measurement

    # --- the result ----------------------------------------------------------------------------

    @property
    def _validation_seen(self) -> bool:
        return self.part == "train+validation"

    @property
    def best_epoch(self) -> int:
        """The epoch whose model is kept."""
        assert self.best is not None
        return self.best[0]

    @property
    def _predictions(self) -> NDArray[np.float32]:
        assert self.best is not None
        return self.best[2]

    def _model(self) -> keras.Model:
        import keras

        keras.backend.clear_session(free_memory=False)
        keras.config.set_dtype_policy("float32")
        return head.inference_model(self.core(), self.meta)

    def _result(self, outcome: Outcome, message: str, known: int) -> TrainResult:
        assert self.best is not None
        epoch, (score, _), found = self.best
        values = metrics.evaluate(self.meta.task, self.samples.validation_target, found)
        return TrainResult(
            outcome=outcome, message=message, recipe=self.recipe.identity, part=self.part, metric=self.metric.id,
            fidelity=self.fidelity, epochs_done=self.measurements[-1].epoch, best_epoch=epoch, score=score,
            validation=values, validation_seen=self._validation_seen, batch_size=len(self.y),
            measurements=tuple(self.measurements), resumed_epoch=known, wall_s=time.monotonic() - self.began,
            step_s=self.step_s, parameters=self.parameters(), size_bytes=self.parameters(), overheads_s=dict(self.spent),
        )

    def _took(self, name: str) -> None:
        self.spent[name] = time.monotonic() - self.began


class PenaltyPath(Fitting):
    """Models with a penalty on their weights: the epochs walk from a strong one to a weak one."""

    strengths: ClassVar[tuple[float, ...]]
    """Inverses of the penalty, rising; the epochs are spread over them."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._models: dict[int, Any] = {}

    @abc.abstractmethod
    def fitted(self, strength: float) -> Any:
        """The model of one strength."""

    @abc.abstractmethod
    def outputs_of(self, model: Any) -> NDArray[np.floating[Any]]:
        """A model's outputs [n, outputs] on the validation rows."""

    def level(self, epoch: int) -> int:
        """Place in `strengths` of an epoch: the recipe's last one has the last."""
        return max(0, -(-len(self.strengths) * min(epoch, self.recipe.epochs) // self.recipe.epochs) - 1)

    def fit_epochs(self, done: int, until: int) -> None:
        for level in sorted({self.level(epoch) for epoch in range(done + 1, until + 1)} - self._models.keys()):
            self._models[level] = self.fitted(self.strengths[level])
            self.beat()

    def outputs_at(self, epoch: int) -> NDArray[np.floating[Any]]:
        return self.outputs_of(self._models[self.level(epoch)])

    @property
    def kept(self) -> Any:
        """The best epoch's model."""
        return self._models[self.level(self.best_epoch)]


def of_two(sums: NDArray[Any], outputs: int) -> NDArray[Any]:
    """Sums [n, 1 or outputs] as a core gives them: of two classes one sum is the log-odds, half for each."""
    return sums * np.array([-0.5, 0.5]) if sums.shape[1] < outputs else sums
