"""Times operations, and whole files, in the artifacts' runtime: one thread, batch 1. Runs in a child process.

The clock is the thread's own, which stands still while others have the core, so that a busy machine gives the figures of a
quiet one; it is what one call takes when nothing else runs. Short operations stand several times in their file, each with
weights of its own, so that the call's own time, and the clock's grain, are shared among them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.catalog.operations import Operation, Tensor

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset
    from automl.spec import Recipe

NETWORK_S = 0.15
"""For one whole network."""
CALIBRATION_ROWS = 8
"""Of networks whose ranges don't matter."""
SHORT_US = 50.0
"""Shorter operations are timed…"""
COPIES = 8
"""… as many times in one file."""
LEAST_CALLS = 7
WARM_UP = 3


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """{"operations": [keys], "each_s": seconds for each, "seconds": in all} → {"call_us", "us": [microseconds, or None of
    one that the runtime can't run alone], "faults": {key: why}}.

    What isn't reached in time is left out: the list is then shorter.
    """
    from automl.export.operation_files import Unwritable

    end = time.monotonic() + request["seconds"]
    each_s = request["each_s"]
    call_us = empty_call_us(each_s)
    found: list[float | None] = []
    faults: dict[str, str] = {}
    for key in request["operations"]:
        if time.monotonic() >= end:
            break
        try:
            found.append(operation_us(Operation.parse(key), call_us, each_s))
        except (Unwritable, RuntimeError, ValueError) as error:
            # The runtime refuses a file with either of the last two.
            found.append(None)
            faults[key] = " ".join(str(error).split())[:200]
    return {"call_us": call_us, "us": found, "faults": faults}


def networks(request: dict[str, Any]) -> dict[str, Any]:
    """{"recipes": […], "prepared": folder, "precision", "seconds": in all} → {"ms": [of one example, or None for what can't
    be built or converted], "faults": […]}: networks as they are before training, built, converted and timed whole.

    What wouldn't be done in time, by the slowest so far, is left out: the lists are then shorter.
    """
    began = time.monotonic()
    from automl.data.prepared import PreparedDataset
    from automl.spec import Recipe
    from automl.training import backends

    backends.limit_threads(1)
    prepared = PreparedDataset.open(Path(request["prepared"]))
    found: list[float | None] = []
    faults: list[str] = []
    slowest = 0.0
    for given in request["recipes"]:
        start = time.monotonic()
        if start - began + slowest > request["seconds"]:
            break
        try:
            content = _untrained(Recipe.from_dict(given), prepared, request["precision"])
            found.append(median_us(content, NETWORK_S) / 1e3)
            faults.append("")
        except Exception as error:  # noqa: BLE001 — whatever a candidate raises, nothing is foreseen of it.
            found.append(None)
            faults.append(f"{type(error).__name__}: {error}"[:200])
        slowest = max(slowest, time.monotonic() - start)
    return {"ms": found, "faults": faults}


def _untrained(recipe: Recipe, prepared: PreparedDataset, precision: str) -> bytes:
    """The file of a recipe's network with its initial weights."""
    import keras
    import numpy as np

    from automl.architectures import model
    from automl.catalog import compose
    from automl.export import tflite
    from automl.spec import Fidelity
    from automl.tasks import head
    from automl.training import samples

    keras.backend.clear_session(free_memory=False)
    profile = prepared.meta.profile
    plan = compose.plan_of(recipe, profile)
    fraction = min(1.0, samples.SAMPLE_ROWS / max(1, prepared.meta.parts["train"]))
    rows = samples.load(prepared, plan, "train", Fidelity(epochs=1, data_fraction=fraction), recipe.seed)
    core = model.build_core(recipe, plan, profile, rows.preprocess, rows.shown)
    inputs = {name: np.asarray(array[:CALIBRATION_ROWS]) for name, array in rows.inputs.items()}
    whole = head.inference_model(core, prepared.meta)
    return tflite.convert(whole, precision, inputs if precision in tflite.INTEGER else None)


def operation_us(operation: Operation, call_us: float, each_s: float) -> float:
    """Microseconds of one operation, without the call's. Raises `Unwritable`, and what the runtime raises."""
    from automl.export import operation_files

    alone = median_us(operation_files.of_operation(operation), each_s / 3) - call_us
    if alone >= SHORT_US:
        return alone
    return max(0.0, (median_us(operation_files.of_operation(operation, COPIES), 2 * each_s / 3) - call_us) / COPIES)


def empty_call_us(each_s: float) -> float:
    """Microseconds of a call that computes nothing: where the line through the times of one and of several copies of a
    small operation begins."""
    from automl.export import operation_files

    dot = Tensor("float32", (1, 8))
    small = Operation(
        "FULLY_CONNECTED", (dot, Tensor("float32", (8, 8), True), Tensor("float32", (8,), True)), (dot,),
        (("asymmetricQuantizeInputs", False), ("fusedActivationFunction", 0), ("keepNumDims", False),
         ("quantizedBiasType", 0), ("weightsFormat", 0)),
    )
    one, many = (median_us(operation_files.of_operation(small, copies), 2 * each_s) for copies in (1, 1 + COPIES))
    return max(0.0, one - (many - one) / COPIES)


def median_us(content: bytes, seconds: float) -> float:
    """Median time of a call of a file, in microseconds of the thread's clock; about `seconds` are spent."""
    import numpy as np

    runner = interpreter(content)
    times: list[float] = []
    for _ in range(WARM_UP):
        runner.invoke()
    end = time.perf_counter() + seconds
    while len(times) < LEAST_CALLS or time.perf_counter() < end:
        start = time.thread_time()
        runner.invoke()
        times.append(time.thread_time() - start)
    return float(np.median(times)) * 1e6


def interpreter(content: bytes) -> Any:
    """With random inputs, on one thread."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(model_content=content, num_threads=1)
    made.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in made.get_input_details():
        if np.issubdtype(detail["dtype"], np.floating):
            value = rng.normal(size=detail["shape"])
        elif detail["dtype"] is np.int8:
            value = rng.integers(-128, 128, detail["shape"])
        else:
            value = rng.integers(0, 2 if detail["dtype"] is not np.uint8 else 256, detail["shape"])
        made.set_tensor(detail["index"], value.astype(detail["dtype"]))
    return made
