"""A candidate's folder: what a training leaves, and compression and export take.

    model.keras        inference model; inputs `numeric`, `categorical` or `image`, one output
    preprocess.json    the fitted preprocessing
    recipe.json
    validation.npy     float32 predictions on the validation rows, in order
    result.json        the account (`training.result.TrainResult`); written last, so where it is the rest is whole
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automl.spec import Recipe
from automl.training import checkpoint
from automl.training.result import RESULT_FILE, TrainResult

if TYPE_CHECKING:
    import keras

MODEL_FILE, PREPROCESS_FILE = "model.keras", "preprocess.json"
RECIPE_FILE, PREDICTIONS_FILE = "recipe.json", "validation.npy"


@dataclasses.dataclass(frozen=True)
class Files:
    model: keras.Model
    preprocess: dict[str, Any]
    recipe: Recipe
    predictions: NDArray[np.float32]


def write(folder: Path, files: Files, result: TrainResult) -> None:
    """Writes a candidate over what is there. Killed on the way, it leaves no `result.json`."""
    (folder / RESULT_FILE).unlink(missing_ok=True)
    _replace(folder, MODEL_FILE, lambda path: files.model.save(path))
    _replace(folder, PREPROCESS_FILE, _json(files.preprocess))
    _replace(folder, RECIPE_FILE, _json(files.recipe.to_dict()))
    _replace(folder, PREDICTIONS_FILE, lambda path: np.save(path, files.predictions))
    _replace(folder, RESULT_FILE, _json(result.to_dict()))
    checkpoint.sync_folder(folder)


def preprocess(folder: Path) -> dict[str, Any]:
    """A candidate's fitted preprocessing. Raises `FileNotFoundError` where there is no candidate."""
    found: dict[str, Any] = json.loads((Path(folder) / PREPROCESS_FILE).read_text(encoding="utf-8"))
    return found


def _json(value: dict[str, Any]) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _replace(folder: Path, name: str, save: Callable[[Path], object]) -> None:
    """`save(path)` to a temporary name with the same suffix, synced and renamed."""
    temporary = folder / f".partial-{name}"
    save(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, folder / name)
