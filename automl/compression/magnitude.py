"""Magnitude pruning of a candidate through tfmot: `prune`, the function of a child process.

Things to know of tfmot 0.8.1, all seen here: it takes tf_keras layers only (hence the bridge); `prune_low_magnitude`
skips DepthwiseConv2D without a word, and raises for layers that it doesn't know (EinsumDense); it masks weights before
each step, so after the last one the optimizer has moved them off zero again (hence the masking at the end); its schedules
count steps, so a run that is cut short stays below its sparsity (hence a schedule that follows the clock as well).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.compression import bridge as bridges
from automl.compression import finetuning
from automl.export import candidate as candidates
from automl.spec import AutoMLError

if TYPE_CHECKING:
    from automl.data.prepared import PreparedMeta

TECHNIQUE = "magnitude-pruning"
PRUNED_LAYERS = frozenset({"Dense", "Conv1D", "Conv2D", "Conv2DTranspose"})
SMALLEST_KERNEL = 256
"""Weights; smaller kernels stay whole."""
WORTH = 0.05
"""With a smaller share of the weights that can be pruned it isn't worth its time."""
RAMP = 0.7
"""Share of the fine-tuning in which the sparsity rises."""
MASK_EVERY = 5
"""Steps between two choices of which weights are zero."""
LEARNING_RATE = 5e-4
BATCH = 64
EPOCHS = 5
FEWEST_STEPS = 30
"""Fewer make no fine-tuning."""
TAIL = 0.15
"""Share of the time that is kept for the last evaluation and for saving."""
USUAL_STEPS = 400
"""At least so many if time allows, however few rows there are."""
CHECK_ROWS = 64


class NothingToPrune(AutoMLError):
    """Nearly all of the model's weights are of kinds that aren't pruned: vectors of words, say."""

    reason = "NOTHING_TO_PRUNE"


class TooSlow(AutoMLError):
    """The fine-tuning came to too few steps in its time."""

    reason = "TOO_SLOW"


def prune(request: dict[str, Any]) -> dict[str, Any]:
    """Prunes a candidate to a sparsity and writes the pruned candidate.

    `request`: candidate, prepared, out (folder), metric, time_s (for all of it), seed, and settings: "sparsity" and
    "pattern". Returns "settings" (what came of them) and "notes". Raises `bridge.Unconvertible`, `NothingToPrune` or
    `TooSlow`.
    """
    time_s = float(request["time_s"])
    end = time.monotonic() + time_s
    tf_keras = bridges.load()
    import tensorflow_model_optimization as tfmot

    from automl.data.prepared import PreparedDataset

    source, prepared = candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"]))
    settings = dict(request["settings"])
    pattern = str(settings["pattern"])
    sparsity = float(settings["sparsity"]) if pattern == "free" else 0.5
    tf_keras.utils.set_random_seed(int(request["seed"]) % 2**32)
    x, y = source.encode(prepared.inputs("train")), np.asarray(prepared.target("train"))
    model = source.model
    if (share := _prunable_share(model)) < WORTH:
        raise NothingToPrune(f"only {share:.1%} of the weights are of dense layers and convolutions, which can be pruned")
    pruning = _Pruning(tfmot, model, sparsity, pattern)
    bridge = bridges.build(model, {name: value[:CHECK_ROWS] for name, value in x.items()}, wrap=pruning.wrap)
    _fine_tune(bridge, pruning, x, y, prepared.meta, end=end - TAIL * time_s)
    pruning.mask()
    bridge.copy_back()
    params = {"sparsity": sparsity, "pattern": pattern}
    finetuning.rewritten(
        Path(request["out"]), model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared
    )
    return {"settings": params, "notes": []}


class _Pruning:
    """The wrappers around a twin's layers, with the schedule that all of them follow."""

    def __init__(self, tfmot: Any, model: Any, sparsity: float, pattern: str):
        import tensorflow as tf

        self._tfmot = tfmot
        self._block = {} if pattern == "free" else {"sparsity_m_by_n": tuple(int(n) for n in pattern.split(":"))}
        self._kept = {f"twin_{layer.name}" for layer in model._flatten_layers() if _kernel_size(layer) < SMALLEST_KERNEL}
        self.progress = tf.Variable(0.0, trainable=False, dtype=tf.float32)
        """From 0 to 1 over the fine-tuning."""
        progress = self.progress

        class Schedule(tfmot.sparsity.keras.PruningSchedule):
            """The cubic rise of Zhu and Gupta (arXiv:1710.01878), along `progress` instead of the step's number."""

            def __init__(self) -> None:
                """The base class demands nothing."""

            def __call__(self, step: Any) -> tuple[Any, Any]:
                risen = tf.clip_by_value(progress / RAMP, 0.0, 1.0)
                return tf.equal(step % MASK_EVERY, 0), sparsity * (1.0 - (1.0 - risen) ** 3)

            def get_config(self) -> dict[str, Any]:
                return {"class_name": "Schedule", "config": {}}

        self._schedule = Schedule()
        self._wrappers: list[Any] = []

    def wrap(self, layer: Any) -> Any:
        if type(layer).__name__ not in PRUNED_LAYERS or layer.name in self._kept:
            return layer
        wrapper = self._tfmot.sparsity.keras.prune_low_magnitude(
            layer, pruning_schedule=self._schedule, **self._block
        )
        self._wrappers.append(wrapper)
        return wrapper

    def callback(self) -> Any:
        return self._tfmot.sparsity.keras.UpdatePruningStep()

    def mask(self) -> None:
        """Sets what is pruned to zero for good."""
        for wrapper in self._wrappers:
            for weight, mask, _ in wrapper.pruning_vars:
                weight.assign(weight * mask)


def _prunable_share(model: Any) -> float:
    """Share of the weights that stand in kernels which are pruned."""
    sizes = [_kernel_size(layer) for layer in model._flatten_layers() if type(layer).__name__ in PRUNED_LAYERS]
    return sum(size for size in sizes if size >= SMALLEST_KERNEL) / max(1, int(model.count_params()))


def _kernel_size(layer: Any) -> int:
    return int(np.prod(layer.weights[0].shape)) if layer.weights else 0


def _fine_tune(
    bridge: bridges.Bridge, pruning: _Pruning, x: dict[str, np.ndarray], y: np.ndarray, meta: PreparedMeta, *, end: float
) -> int:
    """Trains the twin on, for `EPOCHS` (of few rows, `USUAL_STEPS`) or till `end` (monotonic); the steps that were made."""
    import tf_keras

    rows = len(y)
    batch = min(BATCH, rows)
    a_pass = -(-rows // batch)
    total = max(EPOCHS * a_pass, USUAL_STEPS)

    class Clock(tf_keras.callbacks.Callback):
        """Moves the progress, the learning rate (half a cosine, as the progress goes) and the end."""

        done = 0
        start: float | None = None

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self.done += 1
            now = time.monotonic()
            self.start = now if self.start is None else self.start  # the first step is tracing, not work
            progress = max(self.done / total, (now - self.start) / max(1e-3, end - self.start))
            pruning.progress.assign(min(1.0, progress))
            self.model.optimizer.learning_rate.assign(LEARNING_RATE * (1 + np.cos(np.pi * min(1.0, progress))) / 2)
            if progress >= 1.0:
                self.model.stop_training = True

    twin, clock = bridge.twin, Clock()
    twin.compile(tf_keras.optimizers.Adam(LEARNING_RATE), _loss(tf_keras, meta), jit_compile=False)
    target = y if meta.kind == "classification" else y.reshape(-1, 1)
    twin.fit(
        [x[tensor.name] for tensor in bridge.model.inputs], target, batch_size=batch, epochs=-(-total // a_pass), verbose=0,
        callbacks=[pruning.callback(), clock],
    )
    if clock.done < FEWEST_STEPS:
        raise TooSlow(f"only {clock.done} steps of fine-tuning were possible; at least {FEWEST_STEPS} are needed")
    return clock.done


def _loss(tf_keras: Any, meta: PreparedMeta) -> Any:
    """On the inference model's outputs: probabilities, or numbers in the target's unit (then relative to its spread)."""
    if meta.kind == "classification":
        return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=False)
    variance = float(meta.target_std or 1.0) ** 2

    def scaled(y: Any, output: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_mean(tf.square(tf.cast(y, output.dtype) - output), axis=-1) / variance

    return scaled
