"""Magnitude pruning of a candidate through tfmot: `prune`, the function of a child process.

Things to know of tfmot 0.8.1, all seen here: it takes tf_keras layers only (hence the bridge); `prune_low_magnitude`
skips DepthwiseConv2D without a word, and raises for layers that it doesn't know (EinsumDense); it masks weights before
each step, so after the last one the optimizer has moved them off zero again (hence the masking at the end); its schedules
count steps, so a run that is cut short stays below its sparsity (hence a schedule that follows the clock as well).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from automl.compression import bridge as bridges
from automl.compression import finetuning, twin_training
from automl.export import candidate as candidates
from automl.spec import AutoMLError

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
CHECK_ROWS = 64


class NothingToPrune(AutoMLError):
    """Nearly all of the model's weights are of kinds that aren't pruned: vectors of words, say."""

    reason = "NOTHING_TO_PRUNE"


def prune(request: dict[str, Any]) -> dict[str, Any]:
    """Prunes a candidate to a sparsity and writes the pruned candidate.

    `request`: candidate, prepared, out (folder), metric, time_s (for all of it), seed, and settings: "sparsity" and
    "pattern". Returns "settings" (what came of them) and "notes". Raises `bridge.Unconvertible`, `NothingToPrune` or
    `twin_training.TooSlow`.
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
    check_worth(model)
    pruning = _Pruning(tfmot, model, sparsity, pattern)
    bridge = bridges.build(model, {name: value[:CHECK_ROWS] for name, value in x.items()}, wrap=pruning.wrap)
    twin_training.fit(
        bridge.twin, [tensor.name for tensor in model.inputs], x, y, prepared.meta, end=end - twin_training.TAIL * time_s,
        callbacks=[pruning.callback()], progressed=lambda progress: pruning.progress.assign(progress),
    )
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
        self._kept = too_small(model)
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


def check_worth(model: Any) -> None:
    """Raises `NothingToPrune` where too few of the weights stand in kernels that are pruned, or clustered."""
    if (share := _prunable_share(model)) < WORTH:
        raise NothingToPrune(f"only {share:.1%} of the weights are of dense layers and convolutions")


def too_small(model: Any) -> set[str]:
    """Names of twins whose kernels stay as they are."""
    return {f"twin_{layer.name}" for layer in model._flatten_layers() if _kernel_size(layer) < SMALLEST_KERNEL}


def _prunable_share(model: Any) -> float:
    """Share of the weights that stand in kernels which are pruned."""
    sizes = [_kernel_size(layer) for layer in model._flatten_layers() if type(layer).__name__ in PRUNED_LAYERS]
    return sum(size for size in sizes if size >= SMALLEST_KERNEL) / max(1, int(model.count_params()))


def _kernel_size(layer: Any) -> int:
    return int(np.prod(layer.weights[0].shape)) if layer.weights else 0
