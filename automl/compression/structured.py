"""Structured pruning of a candidate: whole channels go, the rest is trained on. `prune` is the function of a child process.

It works on the Keras 3 model itself: which channels hang together says `channels`, the smaller model is a plain Keras model
again, and it is trained on by the trainer with the recipe's own loss.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.compression import channels, finetuning
from automl.export import candidate as candidates

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

TECHNIQUE = "structured-pruning"
WORTH = 0.97
"""A model that keeps more than this share of its cost isn't worth a training."""
BATCHES, BATCH = 16, 64
"""Of training rows, from which importance is estimated."""
TAIL = 0.25
"""Share of the time that is kept for the last evaluation and for writing the candidate."""


def prune(request: dict[str, Any]) -> dict[str, Any]:
    """Cuts a candidate's network and writes the smaller candidate.

    `request`: candidate, prepared, out, metric, time_s, seed, threads, and settings: "keep" (share of the cost), "of"
    ("parameters" or "macs"), "importance" ("taylor" or "norm"). Returns "settings" (what came of them) and "notes". Raises
    `channels.NothingToCut`, or `finetuning.Untrained`.
    """
    end = time.monotonic() + (1 - TAIL) * float(request["time_s"])
    source = candidates.Candidate(Path(request["candidate"]))
    settings = dict(request["settings"])
    what, keep = str(settings["of"]), float(settings["keep"])

    import keras

    from automl.data.prepared import PreparedDataset
    from automl.training import backends

    backends.limit_threads(int(request["threads"]))
    prepared = PreparedDataset.open(Path(request["prepared"]))
    keras.utils.set_random_seed(int(request["seed"]) % 2**32)
    model = source.model
    found = channels.Channels(model)
    whole = found.cost(np.zeros(0, np.int64))
    fixed = int(model.count_params()) - whole.parameters if what == "parameters" else 0.0
    if not len(found.groups):
        raise channels.NothingToCut(f"all channels of this network are held by layers that aren't cut ({_kinds(found)})")
    scores = importance(found, str(settings["importance"]), source, prepared)
    order = np.asarray(sorted(scores, key=lambda group: (scores[group], group)), np.int64)
    removed = found.fewest(order, what, keep * (whole.of(what) + fixed) - fixed)
    left = found.cost(removed)
    share = (left.of(what) + fixed) / (whole.of(what) + fixed)
    if share > WORTH:
        raise channels.NothingToCut(f"only {1 - share:.0%} of the {what} could be cut away: {_kinds(found)} stay whole")
    smaller = found.without(removed)
    core = finetuning.core_of(smaller)
    out = Path(request["out"])
    left_s = end - time.monotonic()
    epochs = finetuning.epochs_within(source, left_s, left.macs / max(1.0, whole.macs))
    finetuning.train(
        lambda: core, source, prepared, metric=str(request["metric"]), out=out, epochs=epochs, deadline=end,
        threads=int(request["threads"]),
    )
    made = candidates.Candidate(out)
    params = {"keep": round(share, 4), "of": what, "importance": str(settings["importance"])}
    finetuning.rewritten(out, made.model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared)
    widths = {p.layer.name: (len(p.gives), int(found.kept(removed)[p.layer.name][1].sum())) for p in found.places}
    cut = sum(before > after for before, after in widths.values())
    notes = [
        f"Structured pruning: {len(removed)} of {len(found.groups)} channels in {cut} layers are gone; {what} are "
        f"{share:.0%} of what they were."
    ]
    if found.left_whole:
        notes.append(f"Structured pruning leaves whole: {_kinds(found)}.")
    return {"settings": params, "notes": notes}


def importance(
    found: channels.Channels, how: str, source: candidates.Candidate, prepared: PreparedDataset
) -> dict[int, float]:
    """How much each group of channels matters.

    "norm": the squared L2 norm of the kernels that make it, over the mean of the layer. "taylor": the mean over batches of
    the square of Σ w · ∂L/∂w over the weights that make it, the first-order estimate of how the loss changes without them
    (Molchanov et al., arXiv:1906.10771).
    """
    if how == "norm":
        return found.spread(_norms(found))
    total = dict.fromkeys((int(g) for g in found.groups), 0.0)
    for products in _taylor(found, source, prepared):
        once = found.spread(iter(products))
        for group, value in once.items():
            total[group] += value**2 / BATCHES
    return total


def _norms(found: channels.Channels) -> Iterator[tuple[str, NDArray[Any]]]:
    for place in found.places:
        if type(place.layer).__name__ in channels.MAKERS:
            squares = np.square(_maker(place.layer)).reshape(-1, len(place.gives)).sum(axis=0)
            yield place.layer.name, squares / max(float(squares.mean()), 1e-12)


def _taylor(
    found: channels.Channels, source: candidates.Candidate, prepared: PreparedDataset
) -> Iterator[list[tuple[str, NDArray[Any]]]]:
    """For each batch the sums of w · ∂L/∂w of each layer's output channels."""
    import tensorflow as tf

    model = found.model
    meta = prepared.meta
    watched: list[tuple[str, int, Any]] = []
    for place in found.places:
        kind = type(place.layer).__name__
        if kind in channels.MAKERS | channels.NORMS:
            watched += [(place.layer.name, len(place.gives), v.value) for v in place.layer.trainable_variables if _by_output(
                place.layer, v, len(place.gives))]
    rows = len(prepared.target("train"))
    rng = np.random.default_rng(0)

    @tf.function(reduce_retracing=True)
    def products(inputs: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            output = model(inputs, training=False)
            if meta.kind == "classification":
                loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, output))
            else:
                difference = (tf.cast(y, output.dtype)[:, None] - output) / float(meta.target_std or 1)
                loss = tf.reduce_mean(tf.square(difference))
        variables = [variable for _, _, variable in watched]
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [
            tf.reduce_sum(tf.reshape(variable * gradient, (-1, width)), axis=0)
            for (_, width, variable), gradient in zip(watched, gradients, strict=True)
        ]

    size = min(BATCH, rows)
    for _ in range(BATCHES):
        chosen = np.sort(rng.permutation(rows)[:size])
        inputs = source.encode({name: np.asarray(v[chosen]) for name, v in prepared.inputs("train").items()})
        target = tf.constant(prepared.target("train")[chosen])
        values = products({name: tf.constant(v) for name, v in inputs.items()}, target)
        yield [(name, np.asarray(value)) for (name, _, _), value in zip(watched, values, strict=True)]


def _by_output(layer: Any, variable: Any, width: int) -> bool:
    """Whether a weight's last axis are the channels that the layer makes (of a separable one not the depthwise kernel)."""
    return int(variable.shape[-1]) == width and "depthwise" not in variable.name


def _maker(layer: Any) -> NDArray[Any]:
    """The kernel whose last axis are the channels made."""
    return np.asarray(layer.get_weights()[1 if type(layer).__name__ in channels.SEPARABLE else 0])


def _kinds(found: channels.Channels) -> str:
    return ", ".join(sorted(found.left_whole)) or "the layers at the model's ends"
