"""Carries a plan out: recipe → model → one measurement an epoch → a candidate.

    train(recipe, prepared, …)
      plan        catalogue: the recipe's techniques, applied
      samples     prepared data, encoded, at the trial's fidelity                     (training.samples)
      model       architecture, loss, optimizer, schedule
      epochs      steps on the backend's engine, evaluation, averaging, checkpoint, the controller's word
      candidate   the best epoch as an inference model, with all that describes it    (training.candidate)

Everything here is NumPy and Keras; `training.engine` chooses the backend's module, and only `backend_tensorflow`
imports TensorFlow. A training is repeatable: with the same recipe, data and fidelity it gives the same measurements, also
when it was killed and went on from a checkpoint; but for one that is paced by the clock (`training.pacing`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan, architectures, compose
from automl.data.prepared import PreparedDataset
from automl.spec import Fidelity, InvalidInput, Measurement, Outcome, Recipe
from automl.tasks import head, metrics
from automl.training import backends, candidate, checkpoint, pacing, pretraining, profile, rates, samples
from automl.training.batches import Batch, Batches, one_hot, prefetched
from automl.training.engine import Engine
from automl.training.given import Given
from automl.training.profile import StepProfile
from automl.training.result import TrainResult

if TYPE_CHECKING:
    import keras

CHUNK_S = 0.25
"""Steps of about so much time run in one call of the engine; in between the deadline and the controller are looked at."""
STACK_BYTES = 32 * 2**20
"""Batches that are made one by one are handed over together up to this."""
HELD_BYTES = 2**30
"""Training inputs up to this are handed to the backend whole."""
PREFETCH = 2
LONG_STEP_S = 1.0
TELLING_S = 0.02
"""A step that takes as long tells how long an epoch will take."""
CHECKPOINT_S = 5.0
"""Least time between two checkpoints: short epochs are cheaper to repeat than to save."""
WARM_RATE = 0.3
"""Factor on the learning rate of a training that begins from another's weights: of small picture networks that went on for
one to four epochs on the validation rows too, 0.3 was better than 0.1 on fresh rows in six pairs of six, by .001 to .007."""
EVALUATION_BATCH = 1024
PRETRAINING_SEED = 0x9E3779B9
"""Sets the seeds of what pretraining throws away apart from the core's."""
PRETRAINING_SHARE = 0.5
"""Of the time that a training has, at most for what goes before its first epoch."""

_log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    prepared: PreparedDataset,
    *,
    fidelity: Fidelity,
    metric: str,
    workdir: Path,
    on_epoch: Callable[[Measurement], bool],
    part: str = "train",
    deadline: float | None = None,
    pace: float | None = None,
    resume: bool = True,
    threads: int = 1,
    continue_from: Path | None = None,
    batch_scale: float = 1.0,
    memory_bytes: int | None = None,
    beat: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    given: Given | None = None,
) -> TrainResult:
    """Trains a recipe and writes its candidate to `workdir`.

    `on_epoch` is called after each epoch's evaluation; False ends the training (PRUNED), with the best epoch's weights.
    `deadline` (`time.monotonic()`) and `should_stop` end it within an epoch, too: what is best by then is kept, and if
    nothing has been evaluated yet, the weights of the moment are. `beat` is called while steps make progress.
    `pace` (on the same clock) fits the schedule to the time (`automl.training.pacing`), where the recipe's plan is
    `paceable`: it ends by then, with as many of `fidelity.epochs` as there is room for, and is the training of a recipe of
    as many.

    With `resume` a checkpoint in `workdir` of the same recipe is gone on from: after a crash, and, with a larger
    `fidelity.epochs`, to promote a trial; `on_epoch` hears of the new epochs only. The schedule always spans the recipe's
    own epochs. `continue_from` names a folder of another training of the same recipe, used when `workdir` has no
    checkpoint. Where it was trained on the same part, this one goes on behind its last epoch; else it begins anew from its
    best weights and with its preprocessing, at `WARM_RATE` of the rate, for `fidelity.epochs` (a final fit on
    "train+validation").

    On "train+validation" the validation rows are seen in training: the last epoch is kept, not the best
    (`TrainResult.validation_seen`). On "fold:2/5" (see `automl.data.prepared.Part`) the rows of that fold are what is
    validated on, and the candidate's `validation.npy` has their predictions.

    `given` is what compression brings along: a network that is trained on, a teacher's outputs.

    A loss or predictions that aren't finite end it as NAN, without a candidate. `batch_scale` is a factor on the batch size.
    With `memory_bytes` a model whose weights and optimizer can't fit is refused before its first step (OVERSIZE), and
    `profile.TooLarge`, a MemoryError, is raised where the activations of its batch don't.
    A family that isn't trained by gradient steps is fitted by what it declares (`Architecture.fitted_by`).
    Raises `InvalidInput` for a recipe that can't be built or an unfit `continue_from`; whatever Keras raises is passed on.
    """
    if (fitted_by := architectures[recipe.architecture.id].fitted_by) if recipe.architecture.id in architectures else "":
        from threadpoolctl import threadpool_limits

        module, _, name = fitted_by.partition(":")
        fitting = getattr(importlib.import_module(module), name)(
            recipe, prepared, fidelity, metric, Path(workdir), part, beat
        )
        with threadpool_limits(threads):
            found: TrainResult = fitting.run(
                on_epoch, math.inf if deadline is None else deadline, resume, continue_from, should_stop
            )
        return found
    training = _Training(
        recipe, prepared, fidelity, metric, Path(workdir), on_epoch, part, deadline, pace, batch_scale, memory_bytes, beat,
        should_stop, given or Given(),
    )
    with _globals_restored():
        return training.run(resume, continue_from, threads)


def preload() -> None:
    """Imports all that `train` needs, without touching a device: for a process from which trainings are forked."""
    import keras

    from automl.architectures import model
    from automl.catalog import architectures, tasks, techniques
    from automl.layers import losses

    for registry in (architectures, tasks, techniques):
        len(registry)
    if keras.backend.backend() == "tensorflow":
        from automl.training import backend_tensorflow as backend
    elif keras.backend.backend() == "jax":
        from automl.training import backend_jax as backend  # type: ignore[no-redef]
    _log.debug("imported %s, %s and %s", model.__name__, losses.__name__, backend.__name__)


class _Stopped(Exception):
    """The deadline or the controller ended the training within an epoch."""


class _NotFinite(Exception):
    """A loss or a prediction is NaN or infinite."""


class _Clock:
    """Where a training's time goes: in steps, and by name outside of them."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.spent: dict[str, float] = {}

    @contextlib.contextmanager
    def on(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + time.monotonic() - start

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def step_s(self) -> float:
        return self.spent.get("steps", 0.0)


@dataclasses.dataclass
class _Best:
    """The epoch whose weights will be the candidate."""

    epoch: int | None = None
    score: float = -math.inf
    weights: list[NDArray[Any]] = dataclasses.field(default_factory=list)
    predictions: NDArray[np.float32] | None = None
    averaged: bool = False
    stale: int = 0
    certainty: float = -math.inf
    """Decides between equal scores, see `_certainty`."""


def _certainty(values: dict[str, float]) -> float:
    """The negative log-loss: on few rows many epochs share one accuracy, and the first of them has seen the least."""
    return -values.get("log-loss", math.inf)


class _Training:
    def __init__(
        self, recipe: Recipe, prepared: PreparedDataset, fidelity: Fidelity, metric: str, workdir: Path,
        on_epoch: Callable[[Measurement], bool], part: str, deadline: float | None, paced_to: float | None,
        batch_scale: float, memory_bytes: int | None, beat: Callable[[], None], should_stop: Callable[[], bool],
        given: Given,
    ):
        self.given = given
        self.recipe, self.prepared, self.fidelity, self.part = recipe, prepared, fidelity, part
        self.meta = prepared.meta
        self.metric = metrics.get(metric)
        self.workdir = workdir
        self.on_epoch, self.beat, self.should_stop = on_epoch, beat, should_stop
        self.deadline = math.inf if deadline is None else deadline
        self.paced_to = paced_to
        self.pace: pacing.Pace | None = None
        self.schedule_epochs: int | None = None
        self.batch_scale, self.memory_bytes = batch_scale, memory_bytes
        self.profile: StepProfile | None = None
        self.clock = _Clock()
        self.best = _Best()
        self.measurements: list[Measurement] = []
        self.epochs_done = 0
        self.resumed_epoch = 0
        self.steps_done = 0
        self.step_estimate_s = CHUNK_S
        self.saved_at = -math.inf
        self.held: Any = None
        self.rate_found: float | None = None

    # --- the whole -----------------------------------------------------------------------------

    def run(self, resume: bool, continue_from: Path | None, threads: int) -> TrainResult:
        with self.clock.on("start"):
            import keras

            self.keras = keras
            self.workdir.mkdir(parents=True, exist_ok=True)
            backends.limit_threads(threads)
            point, self.warm, found_here = self._starting_point(resume, continue_from)
            self._seed()
            self.plan = self._plan()
        with self.clock.on("data"):
            known = candidate.preprocess(continue_from) if self.warm and continue_from is not None else self.given.preprocess
            self.samples = samples.load(self.prepared, self.plan, self.part, self.fidelity, self.recipe.seed, known)
            if self.given.teacher is not None:
                self.samples = samples.taught(self.samples, self.given.teacher, self.given.teacher_weight, self.meta)
            size = self.samples.rows if self.plan.full_batch else self.plan.batch_size
            size = max(1, round(size * self.batch_scale))
            self.batches = Batches(self.samples, self.plan, size, self.recipe.seed)
            if self.plan.rate_of_batch is not None:
                rows = self.batches.batch_size * int(self.plan.optimizer_options.get("gradient_accumulation_steps") or 1)
                factor = self.plan.rate_of_batch.make(rows=rows)
                self.plan = self.plan.replace(learning_rate=self.plan.learning_rate * factor)
        with self.clock.on("build"):
            self._build_core()
        if self.plan.pretraining is not None and point is None:
            with self.clock.on("pretraining"):
                try:
                    self._pretrain()
                except FloatingPointError as fault:
                    return self._result(Outcome.NAN, str(fault))
        if self.plan.rate_search is not None:
            with self.clock.on("rate-search"):
                self._settle_rate(point)
        with self.clock.on("build"):
            self._build()
            self.pace = self._paced()
            if (refusal := self._refusal()) is not None:
                return self._result(Outcome.OVERSIZE, refusal)
            self.engine = self._engine(self.optimizer)
            if point is not None and self._fits(point, must=not found_here):
                self._restore(point)
        outcome, message = self._epochs()
        if outcome is Outcome.NAN or self.best.epoch is None:
            return self._result(outcome, message)
        if self.pace is not None and not self.warm and outcome is Outcome.COMPLETED:
            self._settle_epochs(self.pace.epochs)
        with self.clock.on("checkpoint"):
            self._save()
        with self.clock.on("export"):
            model = self._inference_model()
            if self.plan.precision != "float32":  # What is delivered predicts in float32.
                found = model.predict(self.samples.validation_inputs, batch_size=EVALUATION_BATCH, verbose=0)
                self.best.predictions = np.asarray(found, np.float32)
            files = candidate.Files(model, self.samples.preprocess, self.recipe, self._best_predictions())
            candidate.write(self.workdir, files, result := self._result(outcome, message, model.count_params()))
        return result.changed(wall_s=self.clock.elapsed_s, overheads_s=self._overheads())

    def _starting_point(self, resume: bool, continue_from: Path | None) -> tuple[checkpoint.Checkpoint | None, bool, bool]:
        """The checkpoint to begin from, whether only for its weights (a warm start), and whether it lay in the workdir."""
        if resume and (found := checkpoint.read(self.workdir)) is not None:
            position = found.position
            if position.recipe == self.recipe.identity and position.part == self.part:
                return found, position.warm, True
            if self.paced_to is not None and position.lineage == self.recipe.lineage and position.part == self.part:
                self._settle_epochs(position.fidelity.epochs)  # It had come to its end.
                return found, False, True
            _log.warning("the checkpoint in %s is of another recipe or part and counts as absent", self.workdir.name)
        if continue_from is None:
            return None, False, False
        found = checkpoint.read(Path(continue_from))
        if found is None:
            raise InvalidInput.at("continue_from", f"{Path(continue_from).name} has no checkpoint that can be read")
        if found.position.recipe != self.recipe.identity:
            raise InvalidInput.at("continue_from", f"{Path(continue_from).name} holds another recipe's training")
        return found, found.position.part != self.part, False

    def _settle_epochs(self, epochs: int) -> None:
        """The training was one of so many epochs."""
        self.recipe, self.fidelity = self.recipe.changed(epochs=epochs), self.fidelity.changed(epochs=epochs)
        self.schedule_epochs = epochs

    def _seed(self) -> None:
        """Everything that draws from a global generator; our own parts have generators and seeds of their own."""
        self.keras.backend.clear_session(free_memory=False)
        random.seed(self.recipe.seed)
        np.random.seed(self.recipe.seed % 2**32)
        self.keras.utils.set_random_seed(self.recipe.seed % 2**32)

    def _plan(self) -> TrainPlan:
        plan = compose.plan_of(self.recipe, self.meta.profile)
        if self.warm:
            plan = plan.replace(learning_rate=plan.learning_rate * WARM_RATE, epochs=self.fidelity.epochs)
        return self.given.changed(plan)

    # --- building ------------------------------------------------------------------------------

    def _build_core(self) -> None:
        if self.plan.data_parallel:
            _log.info("each batch is split over %s devices", backends.split_batches(self.batches.batch_size))
        self.keras.config.set_dtype_policy(self.plan.precision)
        self.core = self._core(self.plan)
        if self.given.shaped is not None:
            self.given.shaped(self.core)
        self.loss = self.plan.loss.make(**(self._units() if self.plan.loss_in_units else {}))

    def _pretrain(self) -> None:
        """Teaches the core's layers from the training inputs alone, within half of the time. Raises `FloatingPointError`."""
        from automl.architectures.builder import Builder

        assert self.plan.pretraining is not None
        began = time.monotonic()
        last = began + PRETRAINING_SHARE * (self.deadline - began)

        def go_on() -> bool:
            self.beat()
            return time.monotonic() < last and not self.should_stop()

        builder = Builder(
            self.plan.replace(halting=None, pretraining=None), self.meta.profile, seed=self.recipe.seed ^ PRETRAINING_SEED,
            preprocess=self.samples.preprocess, sample=self.samples.shown,
        )
        made = self.plan.pretraining.make(core=self.core, builder=builder)
        losses = pretraining.run(
            made, self.samples, self.batches.batch_size, self.recipe.seed, self.plan.precision, go_on
        )
        _log.info("pretraining took %s steps, its loss went from %s to %s", len(losses), losses[0], losses[-1])

    def _settle_rate(self, point: checkpoint.Checkpoint | None) -> None:
        """Sets the plan's peak rate to what a trial finds, or found for the checkpoint that is gone on from."""
        self.rate_found = self._search_rate() if point is None else point.position.rate_found
        if self.rate_found is not None:
            self.plan = self.plan.replace(learning_rate=self.rate_found * (WARM_RATE if self.warm else 1.0))

    def _build(self) -> None:
        keras, plan = self.keras, self.plan
        self.optimizer, schedule_callback = self._optimizer()
        self.optimizer.build(self.core.trainable_variables)
        span = {"epochs": plan.epochs, "steps_per_epoch": self.batches.steps}
        self.averager = None if plan.averaging is None else plan.averaging.make(**span)
        self.callbacks = [schedule_callback] if schedule_callback is not None else []
        self.callbacks += [component.make(**span) for component in plan.callbacks]
        # Callbacks find the optimizer where Keras puts it.
        self.core.compile(optimizer=self.optimizer, jit_compile=False, auto_scale_loss=False)
        self.hooks = keras.callbacks.CallbackList(
            list(self.callbacks), model=self.core,
            params={"epochs": self.fidelity.epochs, "steps": self.batches.steps, "verbose": 0},
        )
        self.each_step = any(_overrides(c, "on_train_batch_begin", "on_train_batch_end") for c in self.callbacks)

    def _paced(self) -> pacing.Pace | None:
        """What fits the schedule to the clock; None where nothing does."""
        if self.paced_to is None or not self.plan.paceable or self.plan.epochs != self.fidelity.epochs:
            return None
        return pacing.Pace(self.paced_to, self.deadline, self.plan.epochs, self.batches.steps)

    @property
    def _iterations(self) -> Any:
        """The step at which the optimizer reads its schedule."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)._iterations

    def _core(self, plan: TrainPlan) -> keras.Model:
        if self.given.network is not None:
            return self.given.network()

        from automl.architectures import model

        return model.build_core(self.recipe, plan, self.meta.profile, self.samples.preprocess, self.samples.shown)

    def _optimizer(self) -> tuple[keras.optimizers.Optimizer, keras.callbacks.Callback | None]:
        """The optimizer, and the schedule when it is a callback."""
        plan, keras = self.plan, self.keras
        rate: Any = float(plan.learning_rate)
        callback = None
        if plan.schedule is not None:
            # In steps, not updates: with accumulated gradients Keras still reads its schedule at every step.
            steps = self.batches.steps
            made = plan.schedule.make(peak=rate, steps=steps * plan.epochs, steps_per_epoch=steps)
            if isinstance(made, keras.callbacks.Callback):
                callback = made
            else:
                rate = made
        return self._optimizer_at(rate), callback

    def _optimizer_at(self, rate: Any) -> keras.optimizers.Optimizer:
        """The plan's optimizer with a rate or schedule, not built yet."""
        plan = self.plan
        optimizer = plan.optimizer.make(learning_rate=rate, **plan.optimizer_options)
        for wrapper in plan.optimizer_wrappers:
            optimizer = wrapper.make(optimizer)
        return self.keras.optimizers.LossScaleOptimizer(optimizer) if plan.precision == "mixed_float16" else optimizer

    def _engine(self, optimizer: keras.optimizers.Optimizer) -> Engine:
        """Steps of the core by an optimizer, built or not."""
        if not optimizer.built:
            optimizer.build(self.core.trainable_variables)
        terms = [term.make() for term in self.plan.activity]
        perturbation = None if self.plan.perturbation is None else self.plan.perturbation.make()
        return backends.create(self.core, optimizer, self.loss, terms, perturbation)

    def _refusal(self) -> str | None:
        """Profiles the training's steps. Says why no batch of this model fits into the memory; None when one may."""
        size = self.batches.batch_size
        self.profile = found = profile.profile(self.core, self.optimizer, size, self.plan.precision)
        _log.info("a step: %s", found)
        if self.memory_bytes is None or found.total_bytes <= self.memory_bytes:
            return None
        need = f"a step on {size} rows needs about {found.total_bytes / 2**20:,.0f} MiB"
        limit = f"a trial may use {self.memory_bytes / 2**20:,.0f} MiB"
        if found.state_bytes > self.memory_bytes:
            return f"{need}, {found.state_bytes / 2**20:,.0f} MiB of it whatever the batch, and {limit}"
        raise profile.TooLarge(f"{need}, and {limit}")

    def _search_rate(self) -> float | None:
        """The peak rate that a trial before training finds."""
        assert self.plan.rate_search is not None

        def go_on() -> bool:
            self.beat()
            return time.monotonic() < self.deadline and not self.should_stop()

        batches = itertools.chain.from_iterable(self.batches.stream(epoch) for epoch in itertools.count(1))
        found = rates.search(
            self.plan.rate_search.make(), self.plan.learning_rate, self.core,
            lambda schedule: self._engine(self._optimizer_at(schedule)), batches, go_on,
        )
        _log.info("the trial of learning rates found %s", found)
        return found

    def _units(self) -> dict[str, float]:
        """What leads from the core's numbers to those in the target's own unit, for a loss that asks; nothing of classes."""
        if self.meta.kind == "classification":
            return {}
        scaling = head.Standardisation.of(self.meta)
        return {"mean": scaling.mean, "std": scaling.std}

    def _inference_model(self) -> keras.Model:
        """The best weights, in float32, with the output for users behind them."""
        core = self.core
        if self.plan.precision != "float32":
            self.keras.config.set_dtype_policy("float32")
            core = self._core(self.plan.replace(precision="float32"))
        core.set_weights(self.best.weights)
        return head.inference_model(core, self.meta)

    # --- epochs --------------------------------------------------------------------------------

    def _epochs(self) -> tuple[Outcome, str]:
        """Runs what is left of the trial's epochs and says how it ended."""
        self.hooks.on_train_begin()
        self._trace()
        if self.pace is not None:
            # Of small steps, one by itself says little of many.
            epoch_s = self.step_estimate_s * self.batches.steps if self.step_estimate_s >= TELLING_S else None
            self.pace.begin(self.epochs_done, int(np.asarray(self._iterations.value)), time.monotonic(), epoch_s)
            if self.epochs_done >= self.pace.epochs:
                return Outcome.COMPLETED, ""  # It was killed behind its last epoch.
        try:
            for epoch in range(self.epochs_done + 1, self.fidelity.epochs + 1):
                self.hooks.on_epoch_begin(epoch - 1)
                try:
                    loss = self._train(epoch)
                except _Stopped as stop:
                    if self.best.epoch is None and self.steps_done:
                        self._measure(epoch, None)
                    return Outcome.PRUNED, str(stop)
                measurement = self._measure(epoch, loss)
                self.epochs_done = epoch
                if self.pace is not None:
                    self.pace.after(epoch, time.monotonic())
                    self._iterations.assign(self.pace.done)
                if time.monotonic() - self.saved_at >= CHECKPOINT_S:
                    with self.clock.on("checkpoint"):
                        self._save()
                with self.clock.on("report"):
                    go_on = self.on_epoch(measurement)
                if self.pace is not None and epoch >= self.pace.epochs:
                    return Outcome.COMPLETED, ""
                if not go_on:
                    return Outcome.PRUNED, f"stopped after epoch {epoch}"
                if self.plan.patience is not None and self.best.stale >= self.plan.patience:
                    return Outcome.COMPLETED, f"no better score for {self.best.stale} epochs"
                if self.core.stop_training:
                    return Outcome.COMPLETED, f"a callback ended the training after epoch {epoch}"
        except _NotFinite as fault:
            return Outcome.NAN, str(fault)
        finally:
            self.hooks.on_train_end()
        return Outcome.COMPLETED, ""

    def _trace(self) -> None:
        """Hands the data over and builds the graphs, so that neither counts as a step."""
        if self.epochs_done >= self.fidelity.epochs:
            return
        whole = not self.batches.per_batch and self.samples.nbytes <= HELD_BYTES
        with self.clock.on("data"):
            self.held = self.engine.hold(self.batches.whole(1)) if whole else None
            example = next(self.batches.stream(1))
        with self.clock.on("trace"):
            self.engine.trace(self.held, example)
            self._time_step(example)
        self.stack = max(1, min(1024, STACK_BYTES // max(1, example.nbytes)))
        self.beat()

    def _time_step(self, example: Batch) -> None:
        """Measures a step after a first one, which holds what is done once (unless that is nothing beside a step that long),
        and restores the state before them."""
        assert self.profile is not None
        before = _values(self.core.variables), _values(self.optimizer.variables)
        for _ in range(2):
            start = time.monotonic()
            if self.held is not None:
                self.engine.run_rows(self.held, np.arange(len(example.target), dtype=np.int32)[None])
            else:
                self.engine.run_batches(Batch.stack([example]))
            self.step_estimate_s = max(1e-6, time.monotonic() - start)
            self.beat()
            if self.step_estimate_s > LONG_STEP_S:
                break
        self.profile = self.profile.changed(step_s=self.step_estimate_s)
        _assign(self.core.variables, before[0])
        _assign(self.optimizer.variables, before[1])

    def _train(self, epoch: int) -> float:
        """The steps of one epoch. Returns the mean loss. Raises `_Stopped` and `_NotFinite`."""
        losses: list[NDArray[np.float32]] = []  # Added up once, so that the sum doesn't depend on how steps were grouped.
        if self.held is not None:
            if epoch > 1 and not self.batches.whole_is_constant:
                with self.clock.on("data"):
                    self.held = self.engine.hold(self.batches.whole(epoch))
            rows = self.batches.rows(epoch)
            done = 0
            while done < len(rows):
                count = self._chunk(len(rows) - done)
                losses.append(self._run(count, done, epoch, self.engine.run_rows, self.held, rows[done : done + count]))
                done += count
            return float(np.mean(np.concatenate(losses), dtype=np.float64))
        done = 0
        with prefetched(self._stacks(epoch), PREFETCH if self.engine.accelerated else 0) as stacks:
            while done < self.batches.steps:
                with self.clock.on("batches"):
                    stacked = next(stacks)
                count = len(stacked.target)
                losses.append(self._run(count, done, epoch, self.engine.run_batches, stacked))
                done += count
        return float(np.mean(np.concatenate(losses), dtype=np.float64))

    def _stacks(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches, as many together as one call is to run."""
        stream, left = self.batches.stream(epoch), self.batches.steps
        while left:
            count = min(self._chunk(left), _power_of_two(self.stack))
            yield Batch.stack(list(itertools.islice(stream, count)))
            left -= count

    def _chunk(self, left: int) -> int:
        """How many steps to run in one call: a power of two, so that a backend that compiles for each number has few."""
        return 1 if self.each_step else _power_of_two(min(left, max(1, int(CHUNK_S / self.step_estimate_s))))

    def _run(
        self, count: int, done: int, epoch: int, call: Callable[..., NDArray[np.float32]], *data: Any
    ) -> NDArray[np.float32]:
        """One call of the engine with all that belongs around it. Returns the losses."""
        if self.deadline <= time.monotonic():
            raise _Stopped(f"the deadline came in epoch {epoch}")
        if self.should_stop():
            raise _Stopped(f"stopped in epoch {epoch}")
        if self.pace is not None:
            self._iterations.assign(self.pace.position(epoch, done))
        self.hooks.on_train_batch_begin(done)
        start = time.monotonic()
        with self.clock.on("steps"):
            losses = call(*data)
        self.step_estimate_s = max(1e-6, (time.monotonic() - start) / count)
        if not np.isfinite(losses).all():
            raise _NotFinite(f"the loss became NaN or infinite in epoch {epoch}")
        self.hooks.on_train_batch_end(done + count - 1, {"loss": float(losses.mean())})
        self.steps_done += count
        self.beat()
        return losses

    def _measure(self, epoch: int, loss: float | None) -> Measurement:
        """Evaluates the weights that would be kept and keeps them if they are the best."""
        kept, averaged = self._weights_to_keep(epoch)
        truth = self.samples.validation_target
        with self.clock.on("steps"):
            before = _values(self.core.variables) if averaged else []
            if averaged:
                self.core.set_weights(kept)
            raw = self.engine.outputs(self.samples.validation_inputs, EVALUATION_BATCH)
            _assign(self.core.variables[: len(before)], before)
            try:
                found = head.predictions(raw[..., : self.meta.profile.outputs], self.meta)
                values = metrics.evaluate(self.meta.task, truth, found)
            except FloatingPointError as fault:
                raise _NotFinite(f"predictions became NaN or infinite in epoch {epoch}") from fault
        score = self.metric.signed(values[self.metric.id])
        rank = (score, _certainty(values))
        if self.best.epoch is None or rank > (self.best.score, self.best.certainty) or self._validation_seen:
            self.best = _Best(epoch, score, kept, found, averaged, certainty=rank[1])
        else:
            self.best.stale += 1
        self.beat()
        measurement = Measurement(
            epoch=epoch, train_loss=loss, validation=values, score=score, elapsed_s=self.clock.elapsed_s,
            step_s=self.clock.step_s, learning_rate=float(self.keras.ops.convert_to_numpy(self.optimizer.learning_rate)),
        )
        self.measurements.append(measurement)
        logs = {"loss": loss, "score": score, **{f"val_{name}": value for name, value in values.items()}}
        if self.callbacks:
            logs["val_loss"] = self._validation_loss(raw)
        self.hooks.on_epoch_end(epoch - 1, logs)
        return measurement

    def _weights_to_keep(self, epoch: int) -> tuple[list[NDArray[Any]], bool]:
        """The weights to evaluate, as of `get_weights`, and whether they are averaged. Training goes on with its own."""
        if self.averager is not None:
            before = _values(self.core.variables)
            with self.clock.on("averaging"):
                averaged = self.averager.after_epoch(self.core, epoch, lambda: self.batches.inputs(epoch))
            _assign(self.core.variables, before)
            if averaged is not None:
                return [np.array(weights) for weights in averaged], True
        if self.plan.optimizer_options.get("use_ema"):
            before = _values(self.core.variables)
            self.optimizer.finalize_variable_values(self.core.trainable_variables)
            kept = _values(self.core.weights)
            _assign(self.core.variables, before)
            return kept, True
        return _values(self.core.weights), False

    def _validation_loss(self, raw: NDArray[np.float32]) -> float:
        truth = self.samples.validation_target
        target = one_hot(truth, self.samples.classes) if self.samples.classes else head.standardised(truth, self.meta)
        return float(self.keras.ops.convert_to_numpy(self.loss(target, raw)))

    # --- going on ------------------------------------------------------------------------------

    def _save(self) -> None:
        """Writes a checkpoint of the last whole epoch."""
        state = {} if self.averager is None else self.averager.state()
        position = checkpoint.Position(
            recipe=self.recipe.identity, lineage=self.recipe.lineage, part=self.part, metric=self.metric.id,
            fidelity=self.fidelity, warm=self.warm, epochs_done=self.epochs_done, steps_per_epoch=self.batches.steps,
            best_epoch=self.best.epoch, best_score=self.best.score if self.best.epoch is not None else None,
            best_averaged=self.best.averaged, stale=self.best.stale, measurements=tuple(self.measurements),
            callbacks=tuple(map(_plain_state, self.callbacks)), rate_found=self.rate_found,
        )
        checkpoint.write(self.workdir, checkpoint.Checkpoint(
            position, _values(self.core.variables), _values(self.optimizer.variables), self.best.weights,
            self.best.predictions, {name: np.asarray(value) for name, value in state.items()},
        ))
        self.saved_at = time.monotonic()

    def _fits(self, point: checkpoint.Checkpoint, must: bool) -> bool:
        """Whether a checkpoint's weights are of this model's shapes, which some families choose by the resolution. Raises
        `InvalidInput` where they `must` be."""
        ours = [tuple(v.shape) for v in self.core.variables]
        fits = ours == [a.shape for a in point.variables] and len(self.optimizer.variables) == len(point.optimizer)
        if not fits and must:
            raise InvalidInput.at("continue_from", "its weights don't fit this model at this resolution")
        if not fits:
            _log.warning("the checkpoint in %s is of other shapes and counts as absent", self.workdir.name)
        return fits

    def _restore(self, point: checkpoint.Checkpoint) -> None:
        position = point.position
        if self.warm and position.part != self.part:
            self.core.set_weights(point.best)
            return
        _assign(self.core.variables, point.variables)
        _assign(self.optimizer.variables, point.optimizer)
        if position.steps_per_epoch != self.batches.steps:
            # Another fidelity or batch size: the schedule stands where these many epochs of it would end.
            before = int(np.asarray(self._iterations.value))
            self._iterations.assign(round(before * self.batches.steps / position.steps_per_epoch))
        if self.averager is not None and point.averager:
            self.averager.restore(point.averager)
        for callback, state in zip(self.callbacks, position.callbacks, strict=False):
            vars(callback).update(state)
        self.epochs_done = self.resumed_epoch = position.epochs_done
        self.measurements = list(position.measurements)
        if position.fidelity.changed(epochs=1) == self.fidelity.changed(epochs=1) and position.metric == self.metric.id:
            score = -math.inf if position.best_score is None else position.best_score
            self.best = _Best(
                position.best_epoch, score, point.best, point.predictions, position.best_averaged, position.stale,
                next((_certainty(m.validation) for m in self.measurements if m.epoch == position.best_epoch), -math.inf),
            )
        elif self.epochs_done >= self.fidelity.epochs:
            self._measure(self.epochs_done, None)  # Nothing is left to train, but scores of other data don't count here.

    # --- the result ----------------------------------------------------------------------------

    @property
    def _validation_seen(self) -> bool:
        return self.part == "train+validation"

    def _best_predictions(self) -> NDArray[np.float32]:
        assert self.best.predictions is not None
        return self.best.predictions

    def _result(self, outcome: Outcome, message: str, parameters: int = 0) -> TrainResult:
        values: dict[str, float] = {}
        if outcome not in (Outcome.NAN, Outcome.OVERSIZE) and self.best.epoch is not None:
            values = metrics.evaluate(self.meta.task, self.samples.validation_target, self._best_predictions())
        return TrainResult(
            outcome=outcome, message=message, recipe=self.recipe.identity, part=self.part, metric=self.metric.id,
            fidelity=self.fidelity, epochs_done=self.epochs_done, schedule_epochs=self.schedule_epochs,
            best_epoch=self.best.epoch if values else None,
            score=self.best.score if values else None, validation=values, validation_seen=self._validation_seen,
            averaged=self.best.averaged, parameters=parameters, size_bytes=4 * parameters,
            batch_size=self.batches.batch_size, measurements=tuple(self.measurements), resumed_epoch=self.resumed_epoch,
            wall_s=self.clock.elapsed_s, step_s=self.clock.step_s, overheads_s=self._overheads(), profile=self.profile,
        )

    def _overheads(self) -> dict[str, float]:
        return {name: seconds for name, seconds in self.clock.spent.items() if name != "steps"}


@contextlib.contextmanager
def _globals_restored() -> Iterator[None]:
    """A training's dtype policy and distribution are global in Keras; what runs after it in the same process gets its own
    back."""
    import keras

    before, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
        if keras.distribution.distribution() is not distribution:
            keras.distribution.set_distribution(distribution)


def _power_of_two(limit: int) -> int:
    """The largest power of two that isn't above `limit` (at least 1)."""
    return 1 << (max(1, limit).bit_length() - 1)


def _values(variables: list[Any]) -> list[NDArray[Any]]:
    """Copies of variables' values."""
    # Keras' own `numpy()` goes through a protocol of NumPy that TensorFlow's variables know an old form of.
    return [np.array(np.asarray(variable.value)) for variable in variables]


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _overrides(callback: Any, *names: str) -> bool:
    import keras

    return any(getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name) for name in names)


def _plain_state(callback: Any) -> dict[str, bool | int | float | str | None]:
    """The attributes of a callback that a checkpoint keeps: what it counts and compares, not what it refers to."""
    plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in vars(callback).items()}
    return {
        name: v for name, v in plain.items()
        if v is None or isinstance(v, bool | int | str) or (isinstance(v, float) and math.isfinite(v))
    }


__all__ = ["preload", "train"]
