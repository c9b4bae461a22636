"""Scores of networks that were never trained: what one batch of data shows about an initialised network.

    naswot      how differently the network's rectifiers switch for the rows of a batch (Mellor et al., arXiv:2006.04647)
    synflow     how much of what flows through the network its weights carry (Tanaka et al., arXiv:2006.05467)
    grad-norm   the length of the loss's gradient (Abdelfattah et al., arXiv:2101.08134)
    combined    the mean of a network's ranks by naswot and synflow among those that are scored together

The gradient's length is reported, but ranks nothing: over fifty trained cells it agreed with accuracy by a Kendall τ of
−0.23, and by −0.25 among cells of equal size; the mean of all three ranks came to 0.54, that of the other two to 0.75
(`benchmarks/nas`).

A score takes about a second a network, a training minutes; they agree with trained accuracy only loosely, so they choose
what is trained, never what is delivered. Larger is better for each. They are computed under TensorFlow whatever trains, in a
child process (`score_in_child`), on the same rows for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import TrainPlan, compose
from automl.spec import Fidelity, Profile, Recipe

SCORES = ("naswot", "synflow", "grad-norm")
RANKED = ("naswot", "synflow")
"""Those that rank."""
ROWS = 64
"""Of the batch that a network is scored on."""
LEAST = -1e30
"""Stands for the logarithm of nothing: a network through which nothing flows ranks last."""


def score_in_child(request: dict[str, Any]) -> dict[str, Any]:
    """{"recipes": […], "prepared": folder, "seconds": number} → {"scores": [{score: number or None} for each recipe],
    "seconds": […], "faults": […]}.

    None is a score that isn't finite. A recipe that can't be built has the scores {} and its reason in "faults". What
    wouldn't be done within the seconds, by the time of the slowest so far, is left out: the lists are then shorter.
    """
    began = time.monotonic()
    from automl.data.prepared import PreparedDataset
    from automl.training import backends, samples

    backends.limit_threads(1)
    prepared = PreparedDataset.open(Path(request["prepared"]))
    found: list[dict[str, float | None]] = []
    seconds: list[float] = []
    faults: list[str] = []
    for given in request["recipes"]:
        if time.monotonic() - began + max(seconds, default=0.0) > request["seconds"]:
            break
        start, recipe = time.monotonic(), Recipe.from_dict(given)
        try:
            plan = compose.plan_of(recipe, prepared.meta.profile)
            fraction = min(1.0, samples.SAMPLE_ROWS / max(1, prepared.meta.parts["train"]))
            rows = samples.load(prepared, plan, "train", Fidelity(epochs=1, data_fraction=fraction), recipe.seed)
            inputs = {name: np.asarray(array[:ROWS]) for name, array in rows.inputs.items()}
            loss = plan.loss.make(**(_units(prepared.meta) if plan.loss_in_units else {}))
            found.append(
                scores(recipe, plan, prepared.meta.profile, rows.preprocess, rows.shown, inputs, rows.target[:ROWS], loss)
            )
            faults.append("")
        except Exception as error:  # noqa: BLE001 — whatever a candidate raises, it is the candidate that isn't trained.
            found.append({})
            faults.append(f"{type(error).__name__}: {error}")
        seconds.append(time.monotonic() - start)
    return {"scores": found, "seconds": seconds, "faults": faults}


def scores(
    recipe: Recipe, plan: TrainPlan, profile: Profile, preprocess: Mapping[str, Any], sample: Mapping[str, NDArray[Any]],
    inputs: Mapping[str, NDArray[Any]], target: NDArray[Any], loss: Any,
) -> dict[str, float | None]:
    """Every score of a recipe's network on a batch: encoded inputs, int32 [b] classes or float32 [b, 1] numbers."""
    import keras

    from automl.architectures import model

    keras.backend.clear_session(free_memory=False)
    core = model.build_core(recipe, plan, profile, preprocess, sample)
    found = {"naswot": naswot(core, inputs), "grad-norm": gradient_norm(core, inputs, _soft(target, profile), loss)}
    # Products of many layers' weights leave float32 behind.
    keras.config.set_dtype_policy("float64")
    try:
        flowing = model.build_core(recipe, plan, profile, preprocess, sample)
    finally:
        keras.config.set_dtype_policy("float32")
    found["synflow"] = synflow(flowing)
    return {name: float(value) if math.isfinite(value) else None for name, value in found.items()}


def naswot(core: Any, inputs: Mapping[str, NDArray[Any]]) -> float:
    """log |det K| with K[i, j] the number of hidden units that are on for both rows i and j, or off for both.

    Rows that a network can't tell apart by its units' signs, it can't learn to tell apart soon: K then has equal rows. "On"
    is a positive input to the activation, after batch statistics' normalisation. With nothing to switch it is `LEAST`.
    """
    import keras

    switched = [layer.input for layer in core.layers if layer.name.endswith("_act")]
    if not switched:
        return LEAST
    taps = keras.Model(core.input, switched)(dict(inputs), training=True)
    rows = len(next(iter(inputs.values())))
    kernel = np.zeros((rows, rows))
    for tensor in taps if isinstance(taps, list | tuple) else [taps]:
        on = (np.asarray(tensor).reshape(rows, -1) > 0).astype(np.float64)
        kernel += on @ on.T + (1 - on) @ (1 - on).T
    sign, value = np.linalg.slogdet(kernel)
    return float(value) if sign > 0 and np.isfinite(value) else LEAST


def synflow(core: Any) -> float:
    """log Σ |θ · ∂R/∂θ| over kernels, with R the sum of the outputs for an input of ones, all weights made positive.

    R counts the paths through the network, each with the product of its weights; the sum says how much of it passes the
    parameters. Needs no data. Inputs of pictures are the brightest, which are equal for all networks. Changes the weights.
    """
    import tensorflow as tf

    for variable in core.trainable_variables:
        variable.assign(np.abs(np.asarray(variable)))
    inputs = {
        tensor.name: np.full((1, *tensor.shape[1:]), 255 if tensor.dtype == "uint8" else 1, tensor.dtype)
        for tensor in core.inputs
    }
    with tf.GradientTape() as tape:
        flow = tf.reduce_sum(core(inputs, training=False))
    kernels = [v for v in core.trainable_variables if len(v.shape) > 1]
    gradients = tape.gradient(flow, [v.value for v in kernels])
    total = sum(
        float(np.abs(np.asarray(v, np.float64) * _numbers(g)).sum()) for v, g in zip(kernels, gradients) if g is not None
    )
    return math.log(total) if total > 0 and math.isfinite(total) else LEAST


def gradient_norm(core: Any, inputs: Mapping[str, NDArray[Any]], target: NDArray[Any], loss: Any) -> float:
    """√Σ ‖∂L/∂θ‖² of the loss on one batch, at the initial weights."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(target, core(dict(inputs), training=True))
    gradients = tape.gradient(value, [v.value for v in core.trainable_variables])
    return math.sqrt(sum(float(np.square(_numbers(g)).sum()) for g in gradients if g is not None))


def _numbers(gradient: Any) -> NDArray[np.float64]:
    """A gradient as an array; that of a table of vectors comes as the rows that were looked up, each as often as it was."""
    import tensorflow as tf

    return np.asarray(tf.convert_to_tensor(gradient), np.float64)


def combined(found: Sequence[Mapping[str, float | None]]) -> list[float]:
    """The mean rank of each candidate by the scores that rank, in [0, 1]: 1 is first by all. One that lacks a score is last
    by it."""
    if not found:
        return []
    ranks = np.zeros(len(found))
    for name in RANKED:
        values = np.array([_number(scores.get(name)) for scores in found])
        # Equal values share the mean of their places.
        ranks += (values[:, None] > values[None, :]).sum(1) + 0.5 * ((values[:, None] == values[None, :]).sum(1) - 1)
    return [float(rank) for rank in ranks / len(RANKED) / max(1, len(found) - 1)]


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _soft(target: NDArray[Any], profile: Profile) -> NDArray[Any]:
    from automl.training.batches import one_hot

    return one_hot(target, profile.classes) if profile.classes else target


def _units(meta: Any) -> dict[str, float]:
    from automl.tasks import head

    scaling = head.Standardisation.of(meta)
    return {"mean": scaling.mean, "std": scaling.std}
