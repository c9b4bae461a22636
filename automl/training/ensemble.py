"""One model out of several: their outputs' mean, with each one's own preprocessing in front.

Runs in a child process of the controller. The members' preprocessing stands side by side in one document (the operation
`branches` of `automl.data.encoder`), and each member gets its columns of the numeric input; codes of categories, tokens
and series are the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.spec import Fidelity, Outcome, Recipe

if TYPE_CHECKING:
    import keras


def blend(request: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the candidate of an ensemble.

    `request`: "members" (folders of candidates), "prepared" (folder), "metric", "out" (folder, made), "recipe" (the
    ensemble's, as JSON). Returns {"score", "parameters"}: the score is on the validation rows, which most members have seen.
    """
    from automl.data.encoder import TableEncoder
    from automl.data.prepared import PreparedDataset
    from automl.tasks import metrics
    from automl.training import candidate, prediction, result

    prepared = PreparedDataset.open(request["prepared"])
    folders = [Path(folder) for folder in request["members"]]
    documents = [candidate.preprocess(folder) for folder in folders]
    preprocess = merged_preprocess(documents)
    widths = [int(document.get("inputs", {}).get("numeric", 0)) for document in documents]
    model = merged_model([prediction.load(folder / candidate.MODEL_FILE) for folder in folders], widths)
    inputs: dict[str, Any] = prepared.inputs("validation")
    if preprocess["modality"] == "table":
        inputs = TableEncoder.from_dict(preprocess).transform(inputs)
    predictions = prediction.predict(model, inputs)
    metric = metrics.get(request["metric"])
    values = metrics.evaluate(prepared.meta.task, np.asarray(prepared.target("validation")), predictions)
    accounts = [result.read(folder) for folder in folders]
    recipe = Recipe.from_dict(request["recipe"])
    score = metric.signed(values[metric.id])
    whole = result.TrainResult(
        outcome=Outcome.COMPLETED, recipe=recipe.identity, part="folds", metric=metric.id,
        fidelity=Fidelity(epochs=max(a.fidelity.epochs for a in accounts)),
        epochs_done=max(a.epochs_done for a in accounts), best_epoch=max(a.best_epoch or 1 for a in accounts),
        score=score, validation=values, validation_seen=True, averaged=True, parameters=model.count_params(),
        size_bytes=4 * model.count_params(), batch_size=accounts[0].batch_size,
        wall_s=sum(a.wall_s for a in accounts), step_s=sum(a.step_s for a in accounts),
    )
    out = Path(request["out"])
    out.mkdir(parents=True, exist_ok=True)
    candidate.write(out, candidate.Files(model, preprocess, recipe, predictions), whole)
    return {"score": score, "parameters": whole.parameters}


def merged_preprocess(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One preprocess.json whose numeric input is all members' side by side; of other modalities they are all the same."""
    first = documents[0]
    if first["modality"] != "table" or not first["operations"]:
        return dict(first)
    branches = [document["operations"] for document in documents]
    numeric = sum(int(document["inputs"].get("numeric", 0)) for document in documents)
    return {
        **first, "operations": [{"op": "branches", "branches": branches}], "inputs": {**first["inputs"], "numeric": numeric},
    }


def merged_model(models: Sequence[keras.Model], widths: Sequence[int]) -> keras.Model:
    """The mean of the models' outputs. `widths` are the columns of "numeric" that each takes (0 where there are none)."""
    import keras

    from automl.layers import tables

    shapes = {tensor.name: tensor for tensor in models[0].inputs}
    inputs = {
        name: keras.Input((sum(widths),) if name == "numeric" else tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in shapes.items()
    }
    outputs, start = [], 0
    for number, (model, width) in enumerate(zip(models, widths, strict=True), 1):
        given = dict(inputs)
        if "numeric" in given:
            given["numeric"] = tables.MemberColumns(start, start + width, name=f"columns_{number}")(inputs["numeric"])
            start += width
        model.name = f"member_{number}"
        output = model(given)
        outputs.append(keras.layers.Reshape((1, output.shape[-1]), name=f"output_{number}")(output))
    # A mean over an axis and not a sum: in 256 steps a sum of five probabilities has steps of a fiftieth.
    stacked = keras.layers.Concatenate(axis=1, name="outputs")(outputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D(name="ensemble_mean")(stacked), name="model")
