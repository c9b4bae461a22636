"""Steps of an engine on small models: imported by tests under TensorFlow, and run as `python engine_steps.py NAME…` under
the backend that KERAS_BACKEND names, which prints what `run(NAME)` gave. A name is model:how, and more words for float16
("half") and two devices ("split")."""

import json
import sys

import keras
import numpy as np

from automl.training import backends
from automl.training.batches import Batch

RNG = np.random.default_rng(5)
X = RNG.normal(size=(64, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.3 * RNG.normal(size=(64, 1))).astype(np.float32)
W = np.array([[0.4], [0.1], [-0.7]], np.float32)
RATE, RADIUS, STEPS, BATCH = 0.05, 0.3, 5, 16


class AgainstSign:
    """Inputs moved by a fixed amount along the sign of their gradient (FGSM)."""

    moved = "inputs"

    def values(self, values, gradients):
        return [x + RADIUS * keras.ops.sign(g) for x, g in zip(values, gradients)]


def linear():
    inputs = keras.Input((3,), name="numeric")
    core = keras.Model({"numeric": inputs}, keras.layers.Dense(1, use_bias=False, name="d")(inputs))
    core.set_weights([W])
    return core


def normalized():
    inputs = keras.Input((3,), name="numeric")
    x = keras.layers.Dense(4, kernel_initializer=keras.initializers.Constant(RNG_KERNEL), name="a")(inputs)
    x = keras.layers.Activation("tanh")(keras.layers.BatchNormalization(momentum=0.9, name="n")(x))
    return keras.Model({"numeric": inputs}, keras.layers.Dense(1, name="b", kernel_initializer="ones")(x))


RNG_KERNEL = np.random.default_rng(6).normal(size=(3, 4)).astype(np.float32)


def run(name, held=True):
    """The model's weights after some steps, and the losses."""
    from automl.layers import losses, optimizers, perturbations

    model, _, how = name.partition(":")
    how, *more = how.split("+")
    if "half" in more:
        keras.config.set_dtype_policy("mixed_float16")
    if "split" in more:
        assert backends.split_batches(BATCH) == 2
    core = {"linear": linear, "normalized": normalized}[model]()
    perturbation = {"": None, "sam": perturbations.Uphill(RADIUS), "inputs": AgainstSign()}[how]
    optimizer = keras.optimizers.SGD(RATE)
    if "ahead" in more:
        optimizer = optimizers.rates_by_depth(optimizers.lookahead(optimizer, 2, 0.5), 0.5)
    if "half" in more:
        # Gradients times this overflow float16 for the first steps, each of which halves it.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**18)
    optimizer.build(core.trainable_variables)
    engine = backends.create(core, optimizer, losses.SquaredError(), [], perturbation)
    rows = np.arange(STEPS * BATCH).reshape(STEPS, BATCH).astype(np.int32) % len(X)
    batches = [Batch({"numeric": X[r]}, Y[r], None) for r in rows]
    data = engine.hold(Batch({"numeric": X}, Y, None)) if held else None
    engine.trace(data, batches[0])
    found = engine.run_rows(data, rows) if held else engine.run_batches(Batch.stack(batches))
    weights = {v.path: np.asarray(v.value).tolist() for v in core.variables}
    devices = len(core.trainable_variables[0].value.sharding.device_set) if "split" in more else 1
    keras.config.set_dtype_policy("float32")
    if "split" in more:
        keras.distribution.set_distribution(None)
    slots = {v.name: np.asarray(v.value).tolist() for v in optimizer.variables}
    return {"weights": weights, "losses": np.asarray(found).tolist(), "slots": slots, "devices": devices}


if __name__ == "__main__":
    print(json.dumps({name: run(name) for name in sys.argv[1:]}))
