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
from numpy.typing import NDArray

from automl.spec import Fidelity, Outcome, Recipe

if TYPE_CHECKING:
    import keras

SAMPLE_ROWS = 8192
"""Training rows by which the columns' ranges are told."""


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
    seen = {name: np.asarray(array[:SAMPLE_ROWS]) for name, array in prepared.inputs("train").items()}
    scales = [column_scales(document, seen) for document in documents]
    preprocess = merged_preprocess(documents, scales)
    model = merged_model([prediction.load(folder / candidate.MODEL_FILE) for folder in folders], scales)
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


def column_scales(document: Mapping[str, Any], inputs: Mapping[str, NDArray[Any]]) -> list[float]:
    """For each column of "numeric" that a member takes a power of two that is no less than its largest value; empty where
    there are none.

    An integer artifact has one scale for the whole input: a member with columns up to 20 would leave to another, whose
    columns end at 3, few of the 256 steps. Divided by these factors all columns fill [-1, 1]; the model multiplies them
    again, for each member by itself. Indicators, which follow behind the columns, are 0 and 1 already.
    """
    from automl.data.encoder import TableEncoder

    if document["modality"] != "table" or not document["inputs"].get("numeric"):
        return []
    encoded = TableEncoder.from_dict(document).transform(dict(inputs))["numeric"]
    columns = len(document["numeric"])
    largest = np.maximum(np.abs(encoded[:, :columns]).max(axis=0, initial=0.0), 2.0**-10)
    scales = 2.0 ** np.ceil(np.log2(largest))
    return [*map(float, scales), *[1.0] * (encoded.shape[1] - columns)]


def merged_preprocess(documents: Sequence[dict[str, Any]], scales: Sequence[Sequence[float]]) -> dict[str, Any]:
    """One preprocess.json whose numeric input is all members' side by side, divided by the `scales` of each; of other
    modalities they are all the same."""
    first = documents[0]
    if first["modality"] != "table" or not first["operations"]:
        return dict(first)
    branches = [_divided(document["operations"], own[: len(first["numeric"])]) for document, own in zip(documents, scales)]
    numeric = sum(int(document["inputs"].get("numeric", 0)) for document in documents)
    return {
        **first, "operations": [{"op": "branches", "branches": branches}], "inputs": {**first["inputs"], "numeric": numeric},
    }


def _divided(operations: Sequence[Mapping[str, Any]], scales: Sequence[float]) -> list[dict[str, Any]]:
    """The operations, and behind them a division; what replaces missing values stays the last."""
    *before, impute = operations
    division = {"op": "affine", "shift": [0.0] * len(scales), "scale": [1.0 / s for s in scales]}
    values = [value / s for value, s in zip(impute["values"], scales, strict=True)]
    return [*map(dict, before), division, {**impute, "values": values}]


def merged_model(models: Sequence[keras.Model], scales: Sequence[Sequence[float]]) -> keras.Model:
    """The mean of the models' outputs. `scales`: for each the factors by which its columns of "numeric" were divided."""
    import keras

    from automl.layers import sequences

    shapes = {tensor.name: tensor for tensor in models[0].inputs}
    inputs = {
        name: keras.Input(
            (sum(map(len, scales)),) if name == "numeric" else tensor.shape[1:], dtype=tensor.dtype, name=name
        )
        for name, tensor in shapes.items()
    }
    outputs, start = [], 0
    for number, (model, own) in enumerate(zip(models, scales, strict=True), 1):
        given = dict(inputs)
        if "numeric" in given:
            columns = sequences.ChannelSlice(start, start + len(own), name=f"columns_{number}")(inputs["numeric"])
            given["numeric"] = keras.layers.Rescaling(list(own), name=f"unit_{number}")(columns)
            start += len(own)
        model.name = f"member_{number}"
        output = model(given)
        outputs.append(keras.layers.Reshape((1, output.shape[-1]), name=f"output_{number}")(output))
    # A mean over an axis and not a sum: in 256 steps a sum of five probabilities has steps of a fiftieth.
    stacked = keras.layers.Concatenate(axis=1, name="outputs")(outputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D(name="ensemble_mean")(stacked), name="model")
