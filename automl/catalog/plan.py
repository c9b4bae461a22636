"""The plan of a training: plain data that techniques transform and the trainer carries out.

A plan holds no objects of Keras. Where behaviour is needed it names a `Component`: a factory as "module:function" with
parameters, which the trainer resolves when it builds the model. So a technique brings its own code in its own file, the
trainer knows only the hooks listed here, and deriving a space or listing the catalogue loads no Keras.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from automl.spec.recipe import ParameterValue


@dataclasses.dataclass(frozen=True)
class Component:
    """A factory and its parameters; `make()` imports the module and calls the factory."""

    factory: str
    """"package.module:function"."""
    params: Mapping[str, ParameterValue] = dataclasses.field(default_factory=lambda: MappingProxyType({}))

    def make(self, *args: Any, **more: Any) -> Any:
        """Calls the factory with `args`, the parameters, and `more`."""
        module, _, name = self.factory.partition(":")
        return getattr(importlib.import_module(module), name)(*args, **self.params, **more)


@dataclasses.dataclass(frozen=True)
class TrainPlan:
    """Everything a training does, in the order in which the trainer reads it.

    Hooks whose type is a tuple are applied in order. Each comment gives the call that the trainer makes, where
    `X` is a dict of arrays by input name ("numeric" float32 [n, d], "categorical" int32 [n, c], or "image" uint8
    [n, h, w, ch]) and `y` the targets (int32 [n] classes, or float32 [n] standardised numbers).
    """

    # --- data, before training -----------------------------------------------------------------
    features: tuple[Component, ...] = ()
    """Numeric columns of tables: `make(x_train [n, d] with NaN, y_train) -> list[dict]`, fitted encoder operations
    (see `automl.data.encoder`), applied in order; the encoder imputes last."""
    resampling: Component | None = None
    """`make(X, y, rng) -> (X, y)`: training rows only, after encoding (no NaN). `rng` is a `numpy.random.Generator`."""
    class_weights: Component | None = None
    """`make(counts [classes]) -> weights [classes]` whose mean over the training rows is 1."""

    # --- each batch, as NumPy ------------------------------------------------------------------
    batch_steps: tuple[Component, ...] = ()
    """`make() -> f(X, y_soft [b, classes] or y [b, 1], rng) -> (X, y)` on every training batch (flip, mixup, noise).
    Pictures stay uint8. A step may return its arguments, but never changes them in place."""

    # --- the model (read by `automl.architectures.builder`) ------------------------------------
    pixel_scaling: Component | None = None
    """Pictures: `make(images uint8 [n, h, w, ch]) -> (scale [ch], offset [ch])`, applied inside the model; None is
    [-1, 1]."""
    activation: Component = Component("keras.layers:ReLU")
    """`make(rank=2|3|4) -> keras.Layer`; rank 2 is a dense layer's output [b, units], 3 one for each member of a packed
    ensemble [b, members, units], 4 a convolution's [b, h, w, channels]."""
    norm: Component | None = None
    """`make(rank=2|3|4, channels=int) -> keras.Layer | None`."""
    init: Component = Component("keras.initializers:HeNormal")
    """`make(seed=int) -> keras.initializers.Initializer` of kernels."""
    regularizer: Component | None = None
    """`make() -> keras.regularizers.Regularizer` of kernels."""
    dropout: tuple[Component, ...] = ()
    """`make(rank=2|3|4, seed=int) -> keras.Layer | None`: after each block's activation; None where it doesn't
    apply."""
    stochastic_depth: float = 0.0
    """Largest rate at which residual branches are dropped; rises linearly with depth."""
    reparametrisation: Component | None = None
    """`make(layer) -> layer`: wraps a layer with a kernel (weight norm, spectral norm); what it doesn't reparametrise it
    returns as it is. The wrapper has `folded()` (see `automl.layers.folding`)."""
    kernel_noise: Component | None = None
    """`make(layer, seed=int) -> layer`: wraps a dense layer (shakeout). The wrapper has `folded()`."""
    block: Component = Component("automl.techniques.block.skip:residual_block")
    """`make(x, builder, filters=int, strides=int, depth=float, name=str) -> x`: a block of a picture network's stages, [b,
    h, w, channels] → [b, ⌈h / strides⌉, ⌈w / strides⌉, channels as the block likes; `filters` are meant]. `depth` rises
    from near 0 to 1 at the last block."""
    convolution: Component | None = None
    """`make(x, builder, filters=int, kernel=int, strides=int, name=str) -> x`: stands for a k × k convolution, k > 1, with
    "same" padding, without its normalisation (and without a bias where `builder.plan.norm` follows)."""
    channel_gates: Component | None = None
    """`make(x, builder, name=str) -> x`: scales the channels of a block's branch."""
    representation: tuple[Component, ...] = ()
    """`make(x, seed=int) -> x`: the last representation, [b, features] or [b, members, features], ahead of the head."""

    cell: Component | None = None
    """Recurrent families: `make(builder=Builder, units=int, steps=int, name=str) -> keras.Layer` that takes [b, steps, f]
    and returns all states [b, steps, units], reading forwards, with `return_sequences` True (as Keras's own); None is
    Keras's LSTM. It knows of no mask: see `automl.layers.recurrent`."""
    sequence_pooling: Component | None = None
    """`make(x [b, steps, f], mask [b, steps, 1] or None, builder=Builder, name=str) -> [b, f]`, a piece of graph that sums
    up the steps that are there; None leaves it to the family (a mean)."""
    attention: Component | None = None
    """`make(builder=Builder, width=int, steps=int, name=str, causal=False, asking=int or None) -> f(x [b, steps, width],
    mask [b, steps, 1] or None) -> [b, steps, width]`: what each token gathers from the others; where `causal` from none
    behind it. With `asking` it is cross attention, `f(x, mask, others [b, asking, width]) -> [b, asking, width]`: what those
    others gather from x, never causal. `f` is called once or, where layers are shared, several times on the same weights;
    it builds graph from layers, turns queries and keys by `positions` (of one sequence) and thins out its weights by
    `attention_dropout`. None is attention with 4 heads."""
    positions: Component | None = None
    """`make(place="entrance" | "heads", builder=Builder, steps=int, width=int, name=str) -> keras.Layer | None`: on tokens
    [b, steps, width] when they enter, and on queries and keys [b, heads, steps, width] of each attention; None where the
    form doesn't act. None as a whole: tokens have no order."""
    attention_dropout: float = 0.0
    """Share of attention weights that are silenced in training."""
    halting: Component | None = None
    """Encoders whose layers are shared: `make(builder=Builder, name=str) -> f(states: list of [b, steps, width], mask) ->
    [b, steps, width]`: how much the state after each repetition counts, for each token of its own; it may add a cost to the
    loss. None takes the last state."""

    # --- before the first epoch ----------------------------------------------------------------
    pretraining: Component | None = None
    """`make(core=keras.Model, builder=Builder) -> automl.training.pretraining.Pretraining`: a phase that teaches layers of
    the core from the training rows' inputs, ahead of the search for a rate and of the first epoch, at most for half of the
    training's time. Families with "token-states" mark them (`Builder.token_states`). What goes on from other weights, of a
    checkpoint or of another training, has no such phase. `builder` makes what is thrown away behind it; its seeds are its
    own, and its plan has neither `halting` nor a pretraining."""

    # --- the loss ------------------------------------------------------------------------------
    loss: Component = Component("automl.layers.losses:CrossEntropy")
    """`make() -> keras.losses.Loss` on (soft) one-hot targets [b, classes] and logits, or on standardised numbers
    [b, 1]. It takes the core's output as it is: [b, outputs], or [b, members, outputs] of a packed ensemble, whose
    members' losses are averaged."""
    loss_in_units: bool = False
    """`loss.make(mean=float, std=float)` for regression (classes have no unit). The loss gets standardised numbers all the
    same; std · number + mean is the number in the target's own unit."""
    spread: int = 0
    """Numbers beside each output by which a loss learns how uncertain it is. The core's output is then [b, outputs · (1 +
    spread)] (or with members in the middle), the outputs themselves first; the inference model has them alone."""
    target_steps: tuple[Component, ...] = ()
    """`make() -> f(y_soft [b, classes], rng) -> y_soft`: label smoothing. NumPy, before `batch_steps`."""
    activity: tuple[Component, ...] = ()
    """`make() -> f(y_true, y_pred) -> scalar`: terms added to the loss (confidence penalty), Keras tensors."""

    # --- optimisation --------------------------------------------------------------------------
    optimizer: Component = Component("keras.optimizers:Adam")
    """`make(learning_rate=…, **optimizer_options) -> keras.optimizers.Optimizer`."""
    optimizer_options: Mapping[str, Any] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    """Arguments that every Keras optimizer takes: clipnorm, global_clipnorm, clipvalue, weight_decay, use_ema,
    ema_momentum, gradient_accumulation_steps."""
    optimizer_wrappers: tuple[Component, ...] = ()
    """`make(optimizer) -> optimizer`, before the optimizer is built: gradient centralisation, decay's exemptions."""
    perturbation: Component | None = None
    """`make() -> automl.training.engine.Perturbation`: each step's gradient is taken after the weights, or the inputs, were
    moved along a first gradient. Costs a second gradient."""
    learning_rate: float = 1e-3
    """The peak rate."""
    rate_of_batch: Component | None = None
    """`make(rows=int) -> float`: factor on the peak rate, where an update is made of so many rows: those of the batch that
    is used (half of it after an out-of-memory, all rows at most), times the batches whose gradients are accumulated."""
    rate_search: Component | None = None
    """`make() -> automl.training.rates.RateSearch`: looks for the peak rate before the first epoch, around `learning_rate`,
    which is kept where it finds none."""
    schedule: Component | None = None
    """`make(peak=float, steps=int, steps_per_epoch=int) -> keras LearningRateSchedule | keras.callbacks.Callback`.
    `steps` is the recipe's whole training; a callback reads `logs["score"]` (larger is better) at the end of each
    epoch."""
    schedule_by_score: bool = False
    """The schedule is such a callback."""
    averaging: Component | None = None
    """`make(epochs=int, steps_per_epoch=int) -> averager`; after each epoch the trainer calls
    `averager.after_epoch(model, epoch from 1, batches) -> list of arrays as of model.get_weights() | None`, and what it
    returns is evaluated and kept instead of the raw weights, with which training goes on. `batches()` iterates training
    inputs (dicts of arrays) for statistics. `averager.state() -> dict of arrays`, `averager.restore(dict)` for
    checkpoints."""
    batch_size: int = 128
    full_batch: bool = False
    """Every step sees all training rows, whatever `batch_size` says."""
    epochs: int = 30
    precision: str = "float32"
    """A Keras dtype policy."""
    data_parallel: bool = False
    """Each batch is split over the devices of the process; a step stays that of one device."""
    callbacks: tuple[Component, ...] = ()
    """`make(epochs=int, steps_per_epoch=int) -> keras.callbacks.Callback`."""
    patience: int | None = None
    """Epochs without a better score after which the trial stops; None never. Best weights are always kept."""
    tags: frozenset[str] = frozenset()
    """Facts techniques leave for each other and for export: "batch-statistics", "counts-steps", "no-int8"…"""

    @property
    def paceable(self) -> bool:
        """Whether it may be carried out in fewer epochs than it was made for (`automl.training.pacing`): nothing but the
        rate turns on the length of the training, and the rate on the step."""
        of_length = self.averaging or self.pretraining or self.optimizer_options.get("gradient_accumulation_steps")
        counted = "counts-steps" in self.tags  # The optimizer does something at every so many.
        return self.schedule is not None and not (self.schedule_by_score or of_length or counted)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def extended(self, field: str, *components: Component) -> Self:
        """A copy with components appended to one of the tuple hooks."""
        changed: dict[str, Any] = {field: (*getattr(self, field), *components)}
        return dataclasses.replace(self, **changed)

    def with_options(self, **options: Any) -> Self:
        """A copy with optimizer options set."""
        return dataclasses.replace(self, optimizer_options=MappingProxyType({**self.optimizer_options, **options}))

    def tagged(self, *tags: str) -> Self:
        return dataclasses.replace(self, tags=self.tags | set(tags))
