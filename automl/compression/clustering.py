"""Weight clustering of a candidate through tfmot: `cluster`, the function of a child process.

Things to know of tfmot 0.8.1, all seen here: given a Keras 3 model it returns None without a word (hence the bridge); it
chooses its centroids when a layer is wrapped, so the weights have to be there before (pruning's wrappers may come
earlier); it puts a tensor in the place of the layer's variable, which is where the clustered weights are found at the end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from automl.compression import bridge as bridges
from automl.compression import finetuning, magnitude, twin_training
from automl.export import candidate as candidates

TECHNIQUE = "weight-clustering"


def cluster(request: dict[str, Any]) -> dict[str, Any]:
    """Gives each kernel of a candidate few distinct weights and writes the candidate.

    `request`: candidate, prepared, out, metric, time_s, seed, settings ("clusters"). Zeros that pruning made stay zero.
    Returns "settings" and "notes". Raises `bridge.Unconvertible`, `magnitude.NothingToPrune` or `twin_training.TooSlow`.
    """
    time_s = float(request["time_s"])
    end = time.monotonic() + time_s * (1 - twin_training.TAIL)
    tf_keras = bridges.load()
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as tfmot_clusters

    from automl.data.prepared import PreparedDataset

    source, prepared = candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"]))
    clusters = int(request["settings"]["clusters"])
    tf_keras.utils.set_random_seed(int(request["seed"]) % 2**32)
    x, y = source.encode(prepared.inputs("train")), np.asarray(prepared.target("train"))
    model = source.model
    magnitude.check_worth(model)
    bridge = bridges.build(model, {name: value[: magnitude.CHECK_ROWS] for name, value in x.items()})
    kept = magnitude.too_small(model)
    wrappers: list[Any] = []

    def wrapped(layer: Any) -> Any:
        if type(layer).__name__ not in magnitude.PRUNED_LAYERS or layer.name in kept:
            return layer
        made = tfmot_clusters.cluster_weights(
            layer, number_of_clusters=clusters, preserve_sparsity=source.recipe.has(magnitude.TECHNIQUE),
            cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
        )
        wrappers.append(made)
        return made

    # The layers are the twin's own, with their weights: a clone function may return what it is given.
    clustered = tf_keras.models.clone_model(bridge.twin, clone_function=wrapped)
    twin_training.fit(clustered, [t.name for t in model.inputs], x, y, prepared.meta, end=end)
    for wrapper in wrappers:
        wrapper.update_clustered_weights_associations()
    changed = {wrapper.layer.name for wrapper in wrappers}
    bridge.copy_back(lambda twin: _few_values(twin) if twin.name in changed else None)
    params = {"clusters": clusters}
    finetuning.rewritten(
        Path(request["out"]), model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared
    )
    return {"settings": params, "notes": []}


def _few_values(twin: Any) -> list[np.ndarray]:
    """The weights of a dense layer or convolution as the wrapper leaves them: the kernel is a tensor by now."""
    return [np.asarray(twin.kernel), *([np.asarray(twin.bias)] if twin.use_bias else [])]
