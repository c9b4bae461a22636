"""The choice of the engine: each backend's module is imported only where Keras runs on it."""

from __future__ import annotations

from typing import Any

from automl.spec import Unavailable
from automl.training.engine import Engine, Perturbation, Term


def create(
    core: Any, optimizer: Any, loss: Any, terms: list[Term], perturbation: Perturbation | None = None
) -> Engine:
    """The engine of the backend that Keras runs on. Raises `Unavailable` for one that has none."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            from automl.training import backend_tensorflow

            return backend_tensorflow.TensorFlowEngine(core, optimizer, loss, terms, perturbation)
        case "jax":
            from automl.training import backend_jax

            return backend_jax.JaxEngine(core, optimizer, loss, terms, perturbation)
        case other:
            raise Unavailable(f"training runs under the backends tensorflow and jax, KERAS_BACKEND is {other}")


def split_batches(batch_size: int) -> int:
    """Splits the batches of the models that are built from here on over this process's devices, as many as divide the batch
    evenly; returns their number. `keras.distribution.set_distribution(None)` ends it. Raises `Unavailable` where it can't be
    done."""
    import keras

    backend = keras.backend.backend()
    if backend != "jax":
        raise Unavailable(f"data-parallel runs under the JAX backend, KERAS_BACKEND is {backend}")
    devices = keras.distribution.list_devices()
    number = max((n for n in range(1, len(devices) + 1) if batch_size % n == 0), default=0)
    if number < 2:
        raise Unavailable(
            f"data-parallel needs at least two devices that divide a batch of {batch_size} evenly; this process sees "
            f"{len(devices)}"
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices[:number]))
    return number


def limit_threads(threads: int) -> None:
    """Holds the backend to so many threads, where its runtime hasn't started yet."""
    import keras

    if keras.backend.backend() == "tensorflow":
        from automl.training import backend_tensorflow

        backend_tensorflow.limit_threads(threads)
