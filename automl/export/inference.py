"""What converters share: the model as a function of named inputs, rows to calibrate with, and what has to stay float."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.spec import AutoMLError

if TYPE_CHECKING:
    import numpy as np

    from automl.export.candidate import Candidate

FLOAT_LAYERS = (
    "PeriodicEmbedding", "PiecewiseLinearEncoding", "DeformableSampling", "LayerNormalization", "MemberColumns",
    "CategoryLevels", "DecisionTrees", "LinearBags", "LinearSums",
)
"""Layers that stay float in int8 files: 8 bits resolve neither a phase of several turns, nor bins of very different widths,
nor a place between pixels, nor the squares that a variance is made of. Integer throughout, the first cost a census model 0.1
points of ROC-AUC, the second gave scales at which the runtime aborts, and the last moved a transformer's probabilities by
0.14 instead of 0.01. The columns of an ensemble's members have different ranges, and encodings behind them need all bits.
Trees are whole numbers already, which are compared with all bits of their columns, and so are the weights of bags;
linear models have columns of all ranges in one tensor, and no second layer."""
REPRESENTATIVE_ROWS = 300
"""Calibration takes minimum and maximum of each activation: a few hundred rows settle them."""


class Unconvertible(AutoMLError):
    """A model that a format can't hold in this precision; the message says why."""

    reason = "UNCONVERTIBLE"


def output_name(model: Any) -> str:
    """What an artifact calls its output: "prediction" for a number, "probabilities" for classes."""
    return "prediction" if model.outputs[0].shape[-1] == 1 else "probabilities"


def arranged(model: Any, inputs: dict[str, Any]) -> Any:
    """Inputs by name in the structure that the model was built with."""
    if isinstance(model.input, dict):
        return inputs
    given = [inputs[i.name] for i in model.inputs]
    return given[0] if len(given) == 1 else given


def unroll(model: Any) -> None:
    """Writes recurrent layers out step by step: their loop has no form among TFLite's built-in operations when the batch is
    free, and one with batch 1 crashes the calibration of int8. Changes the model, which lives in this process for the
    conversion."""
    for layer in model._flatten_layers():
        if hasattr(layer, "unroll"):
            layer.unroll = True


def notes_on_training(source: Candidate, format: str, precision: str) -> list[str]:
    """What people should know of a file converted from the model, though compression has trained one for the precision."""
    if source.trained_for(precision) is None:
        return []
    return [
        f"{format}:{precision}: quantised after training; the weights and ranges that quantisation-aware training learnt "
        f"are in tflite:{precision} and mobile:{precision} alone."
    ]


def float_layers(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if type(layer).__name__ in FLOAT_LAYERS]


def nothing_to_round(model: Any) -> bool:
    """Whether all of the model's weights belong to layers that stay float in int8 files."""
    kept = {id(weight) for layer in float_layers(model) for weight in layer.weights}
    return bool(kept) and all(id(weight) in kept for weight in model.weights)


def belongs_to(node: str, layers: list[str]) -> bool:
    """Whether a tensor or node ("model/periodic_1/Cos") comes from one of these layers; TensorFlow may have put a number
    behind a layer's name."""
    return any(re.search(rf"(^|[/;]){re.escape(layer)}(_\d+)?/", node) for layer in layers)


def representative(source: Candidate, prepared: Path, seed: int) -> dict[str, np.ndarray]:
    """Encoded training rows drawn at random, at most `REPRESENTATIVE_ROWS`."""
    import numpy as np

    from automl.data.prepared import PreparedDataset

    inputs = PreparedDataset.open(prepared).inputs("train")
    count = len(next(iter(inputs.values())))
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:REPRESENTATIVE_ROWS])
    return source.encode({name: np.asarray(value[chosen]) for name, value in inputs.items()})
