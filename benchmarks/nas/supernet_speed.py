"""What a step of a once-for-all supernet costs against one of its largest network alone, and whether graphs are built anew.

Both on the same random batch, in turns, by the thread's processor time, so that what else the machine does meets both alike:
the supernet's step draws a network and takes the teacher's outputs, as in the last phase of its training; the other one is
an ordinary step of the largest network's Keras model, by the same optimizer.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

from automl.execution.children import run_in_child
from benchmarks.nas import small
from benchmarks.nas.once_for_all import SETTINGS, WIDTH
from benchmarks.nas.rows import Given
from benchmarks.nas.supernets import ENV

NAME = "supernet-speed"
AIM = "supernet step ≤ 1.5 × the step of its largest sub-network; no retracing while sampling (counted)"
RATIO = 1.5
TURNS, EACH = 30, 4
BATCH = 64


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row."""
    if given.data is None:
        raise SystemExit("supernet-speed runs on pictures: name their folder with --data")
    data = small.prepared(given.data, given.work)
    recipe = small.recipe_of(small.space_of(data, "nas-mobile"), "nas-mobile", {"width": WIDTH}, 30)
    request = {"recipe": recipe.to_dict(), "prepared": str(data.path)}
    found = run_in_child("benchmarks.nas.supernet_speed:time_in_child", request, timeout_s=1800, env=ENV)
    met = found["ratio"] <= RATIO and found["traces_before"] == found["traces_after"]
    return {**found, "met": met}


def time_in_child(request: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of processor time a step, medians over the turns; graphs before and after the sampling."""
    from pathlib import Path

    import keras
    import tensorflow as tf

    from automl.catalog import compose
    from automl.data.prepared import PreparedDataset
    from automl.nas import once_for_all, process
    from automl.nas.method import Ground
    from automl.spec import Fidelity, Recipe
    from automl.training import backends, samples

    backends.limit_threads(1)
    process.quick_graphs()
    recipe, prepared = Recipe.from_dict(request["recipe"]), PreparedDataset.open(Path(request["prepared"]))
    plan = compose.plan_of(recipe, prepared.meta.profile)
    rows = samples.load(prepared, plan, recipe.part, Fidelity(epochs=1), 1)
    method = once_for_all.OnceForAll(Ground(recipe, plan, prepared.meta, rows, SETTINGS))
    method.trace()
    batch, rng = method._next(), random.Random(5)
    image, y = tf.constant(batch.inputs["image"]), tf.constant(batch.target)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, global_clipnorm=5.0)
    weights = method.core.trainable_variables
    optimizer.build(weights)

    def plain() -> Any:
        with tf.GradientTape() as tape:
            loss = method.loss(y, method.core({"image": image}, training=True))
        optimizer.apply(tape.gradient(loss, [v.value for v in weights]), weights)
        return loss

    alone = tf.function(plain, autograph=False, jit_compile=False)
    drawn = [sub for sub in (method.space.sample(rng) for _ in range(400)) if method.space.fits(sub)]
    for _ in range(3):
        float(alone())
        float(method.train(batch, method.space.largest(), 0.5))
    before, at = method.traces, 0
    supernet, largest = [], []
    for _ in range(TURNS):
        start = time.process_time()
        for _ in range(EACH):
            chance = rng.random() < once_for_all.LARGEST_CHANCE
            sub, at = (method.space.largest(), at) if chance else (drawn[at % len(drawn)], at + 1)
            float(method.train(batch, sub, 0.0 if chance else once_for_all.TEACHER))
        supernet.append((time.process_time() - start) / EACH)
        start = time.process_time()
        for _ in range(EACH):
            float(alone())
        largest.append((time.process_time() - start) / EACH)
    ratio = statistics.median(supernet) / statistics.median(largest)
    return {
        "ratio": ratio, "supernet_ms": 1e3 * statistics.median(supernet), "largest_ms": 1e3 * statistics.median(largest),
        "traces_before": before, "traces_after": method.traces, "networks": at,
    }


def table(result: dict[str, Any]) -> str:
    return (
        f"A step of the supernet takes {result['supernet_ms']:.1f} ms of processor time, one of its largest network alone "
        f"{result['largest_ms']:.1f} ms: {result['ratio']:.2f} times as much, batches of {BATCH}. Over {result['networks']} "
        f"different networks {result['traces_after'] - result['traces_before']} graphs were built anew."
    )
