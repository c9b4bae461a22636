"""A candidate's folder (see docs: what training leaves and compression and export take) and its Keras model."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw
from automl.spec import Internal, Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

MODEL = "model.keras"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A trained model on disk. Reading its JSON loads no Keras; `model` does."""

    path: Path

    @functools.cached_property
    def preprocess(self) -> dict[str, Any]:
        """The whole preprocess.json, as `TableEncoder.from_dict` takes it."""
        return dict(json.loads((self.path / "preprocess.json").read_text(encoding="utf-8")))

    @functools.cached_property
    def recipe(self) -> Recipe:
        return Recipe.from_dict(json.loads((self.path / "recipe.json").read_text(encoding="utf-8")))

    @functools.cached_property
    def result(self) -> dict[str, Any]:
        """The training's account (`automl.training.result.TrainResult` as JSON)."""
        return dict(json.loads((self.path / "result.json").read_text(encoding="utf-8")))

    @property
    def model_file(self) -> Path:
        return self.path / MODEL

    def trained_for(self, precision: str, batch: int | None = None) -> Path | None:
        """The TFLite flatbuffer (without companions) that compression has left for a precision, for so many rows at a time
        (None: any number): quantisation-aware training knows ranges that a conversion of the model would have to guess. None
        where there is none."""
        found = self.path / trained_file(precision, batch)
        return found if found.is_file() else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs; empty for numbers."""
        return tuple(self.preprocess.get("classes") or ())

    @functools.cached_property
    def model(self) -> keras.Model:
        """The inference model under TensorFlow. Raises `Internal` in a process where Keras runs on another backend."""
        load_keras()
        from automl.training import prediction

        return prediction.load(self.model_file)

    def encode(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Prepared inputs (see `PreparedDataset.inputs`) as the model takes them: fitted operations applied to tables."""
        return encode(self.preprocess, inputs)


def trained_file(precision: str, batch: int | None = None) -> str:
    """The name of what `Candidate.trained_for` finds."""
    return f"model-{precision}.tflite" if batch is None else f"model-{precision}-batch-{batch}.tflite"


def trained_files(folder: Path) -> list[str]:
    """The names of all of these in a candidate's folder."""
    return sorted(file.name for file in folder.glob(trained_file("*")))


def encode(preprocess: dict[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Prepared inputs as the model takes them: tables through the fitted operations of their preprocess.json."""
    return dict(raw.of(preprocess).prepared(preprocess, inputs))


def encode_raw(preprocess: dict[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Raw columns (lists by name) as the model's inputs. Raises `InvalidData` naming columns that are lacking."""
    return dict(raw.of(preprocess).encode(preprocess, columns))


def load_keras() -> Any:
    """The keras module on the TensorFlow backend.

    Artifacts are made and run with TensorFlow whatever backend trained: a process that has loaded Keras with another
    backend can't do that, and `Internal` is raised.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    if keras.backend.backend() != "tensorflow":
        raise Internal(f"artifacts are made under the TensorFlow backend, but this process runs {keras.backend.backend()}")
    return keras


def limit_tensorflow_threads(threads: int) -> None:
    """Must run before the process's first TensorFlow operation; where one has run the setting stays as it was."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    if context.context()._context_handle is None:  # TensorFlow raises when it has been initialised
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
