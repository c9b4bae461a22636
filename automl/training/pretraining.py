"""A phase before the first epoch: the core's layers learn from the training rows alone, without their targets.

It ends where the first epoch begins: what is left of it are the core's weights. It takes steps by the same engine as
training, draws from generators of its own, and is cut short by the clock only: without a deadline that comes near, equal
recipes, data and seeds give equal weights. It is repeated by a training that was killed before its first checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, TrainPlan
from automl.training import backends
from automl.training.batches import Batch, Batches
from automl.training.samples import Samples

CHUNK = 10
"""Steps in one call; between calls the clock is looked at."""
WARMUP = 0.1
"""Share of the steps over which the rate rises."""
DECAY = 0.01


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """What is learnt, and for how long."""

    model: Any
    """A functional model with a dict of inputs, as `step` makes them, and the loss of each example as output [b, 1]. It
    shares with the core the layers that it teaches."""
    epochs: int
    """Passes over the training rows."""
    learning_rate: float
    """Of AdamW; the peak."""
    step: Component
    """`make() -> f(X, y, rng) -> (X, y)`: what the model takes, from a batch of training inputs. NumPy."""


def run(
    made: Pretraining, samples: Samples, batch_size: int, seed: int, precision: str,
    go_on: Callable[[], bool] = lambda: True,
) -> NDArray[np.float32]:
    """Takes the steps, and returns their losses. `go_on` is asked between calls of the engine; when it says no, it ends.

    Raises `FloatingPointError` where a loss isn't finite.
    """
    import keras

    own = int.from_bytes(hashlib.sha256(f"{seed}:pretraining".encode()).digest()[:4], "big")
    batches = Batches(samples, TrainPlan(batch_steps=(made.step,)), batch_size, own)
    total = batches.steps * made.epochs
    warmup = max(1, int(WARMUP * total))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warmup), warmup_target=made.learning_rate, warmup_steps=warmup
    )
    optimizer: Any = keras.optimizers.AdamW(rate, weight_decay=DECAY, global_clipnorm=1.0)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(made.model.trainable_variables)
    engine = backends.create(made.model, optimizer, _mean, [])
    losses: list[NDArray[np.float32]] = []
    for epoch in range(1, made.epochs + 1):
        waiting: list[Batch] = []
        for nth, batch in enumerate(batches.stream(epoch), 1):
            if not losses and not waiting:
                engine.trace(None, batch)
            waiting.append(batch)
            if len(waiting) == CHUNK or nth == batches.steps:
                found = engine.run_batches(Batch.stack(waiting))
                if not np.isfinite(found).all():
                    raise FloatingPointError(f"the loss of pretraining became NaN or infinite in epoch {epoch}")
                losses.append(found)
                waiting = []
                if not go_on():
                    return np.concatenate(losses)
    return np.concatenate(losses)


def _mean(target: Any, losses: Any, sample_weight: Any = None) -> Any:
    """The loss of a batch, which the model has worked out itself."""
    from keras import ops

    return ops.mean(ops.cast(losses, "float32"))
