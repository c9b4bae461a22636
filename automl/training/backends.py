"""The choice of the engine: each backend's module is imported only where Keras runs on it."""

from __future__ import annotations

from typing import Any

from automl.spec import Unavailable
from automl.training.engine import Engine, Term


def create(core: Any, optimizer: Any, loss: Any, terms: list[Term]) -> Engine:
    """The engine of the backend that Keras runs on. Raises `Unavailable` for one that has none."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            from automl.training import backend_tensorflow

            return backend_tensorflow.TensorFlowEngine(core, optimizer, loss, terms)
        case "jax":
            from automl.training import backend_jax

            return backend_jax.JaxEngine(core, optimizer, loss, terms)
        case other:
            raise Unavailable(f"training runs under the backends tensorflow and jax, KERAS_BACKEND is {other}")


def limit_threads(threads: int) -> None:
    """Holds the backend to so many threads, where its runtime hasn't started yet."""
    import keras

    if keras.backend.backend() == "tensorflow":
        from automl.training import backend_tensorflow

        backend_tensorflow.limit_threads(threads)
