"""Predictions of a model in batches, for whoever has a candidate: ensembles, reports, guards of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.training.candidate import MODEL_FILE

if TYPE_CHECKING:
    import keras


def load(model_file: Path) -> keras.Model:
    """A saved inference model, with this project's layers known. Only for files of our own making: a `.keras` file is a
    program."""
    import importlib

    import keras

    from automl import layers

    for name in layers.LAYERS:
        importlib.import_module(name.partition(":")[0])
    return keras.saving.load_model(model_file, compile=False)


def predict(
    model: keras.Model | str | Path, inputs: Mapping[str, NDArray[Any]], batch_size: int = 1024
) -> NDArray[np.float32]:
    """The model's output [n, …] for encoded inputs (dict of arrays), in order.

    `model` is a Keras model, a `.keras` file or a candidate's folder. One graph is built for all batches: the last is filled
    up to the common size. Raises `ValueError` for inputs without rows.
    """
    if isinstance(model, str | Path):
        path = Path(model)
        model = load(path / MODEL_FILE if path.is_dir() else path)
    rows = len(next(iter(inputs.values())))
    if rows == 0:
        raise ValueError("no rows to predict")
    size = min(batch_size, rows)
    padded = {
        name: np.concatenate([array, np.repeat(array[-1:], -rows % size, axis=0)]) for name, array in inputs.items()
    }
    return np.asarray(model.predict(padded, batch_size=size, verbose=0), np.float32)[:rows]
