"""A network cut out of a trained supernet: its weights are slices, only its normalisations are measured anew.

Running means and variances of the supernet are those of no network inside it, so each gets its own: the mean over some
batches of training rows of what each batch shows (Cai et al. call it recalibration). Nothing is trained.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import compose
from automl.data.prepared import PreparedDataset
from automl.execution.executor import Work
from automl.execution.worker import Session
from automl.nas import once_for_all
from automl.nas.elastic import sliced
from automl.spec import Fidelity, Measurement, Outcome, Recipe
from automl.tasks import head, metrics
from automl.training import backends, candidate, samples
from automl.training.result import TrainResult

ROWS, BATCH = 1024, 128
"""Of training rows for the statistics."""
SUPERNET = "supernet"
"""The setting that names the folder of the supernet."""


def carve(work: Work, session: Session, threads: int) -> TrainResult:
    """The entry of a worker: writes the candidate of `work.recipe`, cut out of the supernet in the folder that the setting
    "supernet" names, and measures it on the validation rows."""
    began = time.monotonic()
    backends.limit_threads(threads)
    prepared = PreparedDataset.open(work.prepared)
    result = write(Path(str(work.settings[SUPERNET])), work.recipe, prepared, work.workdir, metric=work.metric)
    assert result.score is not None
    session.epoch(Measurement(
        epoch=1, train_loss=None, validation=result.validation, score=result.score, elapsed_s=time.monotonic() - began,
        step_s=result.step_s,
    ))
    return result


def write(supernet: Path, recipe: Recipe, prepared: PreparedDataset, out: Path, *, metric: str) -> TrainResult:
    """A candidate in `out` (see `automl.training.candidate`)."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    arrays, known = once_for_all.read(supernet)
    plan = compose.plan_of(recipe, prepared.meta.profile)
    rows = samples.load(prepared, plan, "train", Fidelity(epochs=1), recipe.seed, known["preprocess"])
    core = cut(recipe, plan, prepared.meta.profile, rows.preprocess, rows.shown, arrays)
    recalibrated(core, rows.inputs["image"])
    model = head.inference_model(core, prepared.meta)
    found = np.asarray(model.predict(rows.validation_inputs, batch_size=1024, verbose=0), np.float32)
    values = metrics.evaluate(prepared.meta.task, rows.validation_target, found)
    parameters = int(model.count_params())
    result = TrainResult(
        outcome=Outcome.COMPLETED, message="cut out of the supernet, without training", recipe=recipe.identity, part="train",
        metric=metric, fidelity=Fidelity(epochs=recipe.epochs), epochs_done=0, best_epoch=0,
        score=metrics.get(metric).signed(values[metric]), validation=values, parameters=parameters,
        size_bytes=4 * parameters, wall_s=time.monotonic() - began, step_s=time.monotonic() - began,
    )
    candidate.write(out, candidate.Files(model, rows.preprocess, recipe, found), result)
    return result


def cut(
    recipe: Recipe, plan: Any, profile: Any, preprocess: Mapping[str, Any], sample: Mapping[str, NDArray[Any]],
    arrays: Mapping[str, NDArray[Any]],
) -> Any:
    """The Keras core of a recipe with the supernet's weights."""
    from automl.architectures import model

    core = model.build_core(recipe, plan, profile, preprocess, sample)
    for layer in core.layers:
        if layer.weights:
            given = [arrays[f"{layer.name}/{n}"] for n in range(len(layer.weights))]
            layer.set_weights(sliced(layer.name, given, [tuple(w.shape) for w in layer.weights]))
    return core


def recalibrated(core: Any, images: NDArray[Any], rows: int = ROWS) -> None:
    """Gives each batch normalisation the mean over batches of their means and variances."""
    import keras

    layers = [layer for layer in core.layers if isinstance(layer, keras.layers.BatchNormalization)]
    rates = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # after a pass the running values are that batch's own
    count = min(rows, len(images))
    totals: list[Sequence[NDArray[Any]]] = []
    for part in np.array_split(np.arange(count), max(1, round(count / BATCH))):
        core({"image": np.asarray(images[part[0] : part[-1] + 1])}, training=True)
        found = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
        totals.append([np.array(np.asarray(v.value)) for v in found])
    means = [np.mean(values, axis=0) for values in zip(*totals)]
    for n, (layer, rate) in enumerate(zip(layers, rates)):
        layer.moving_mean.assign(means[2 * n])
        layer.moving_variance.assign(means[2 * n + 1])
        layer.momentum = rate
