"""Steps under TensorFlow. The only module of training that imports it.

An epoch is a few calls of a `tf.function` that loops over many steps: a call from Python costs as much as a step of a small
network. Data that fit in memory are handed over once and gathered by row number inside the graph. Never compiled by XLA:
on a CPU it was half as fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.eager import context

from automl.training.batches import Batch
from automl.training.engine import Term
from automl.training.samples import Inputs


def limit_threads(threads: int) -> None:
    """Sets the sizes of TensorFlow's thread pools; once they are made (by the process's first operation) they stay."""
    if context.context()._context_handle is None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


class TensorFlowEngine:
    """See `automl.training.engine.Engine`."""

    def __init__(self, core: Any, optimizer: Any, loss: Any, terms: list[Term]):
        self._core = core
        self._optimizer = optimizer
        self._loss = loss
        self._terms = terms
        self.accelerated = bool(tf.config.list_logical_devices("GPU"))
        self._run_rows = tf.function(self._loop_rows, autograph=False, jit_compile=False)
        self._run_batches = tf.function(self._loop_batches, autograph=False, jit_compile=False)
        forward = tf.function(lambda x: core(x, training=False), autograph=False, jit_compile=False)
        self._forward = forward.get_concrete_function(
            {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in core.input.items()}
        )

    def hold(self, whole: Batch) -> Any:
        return tf.nest.map_structure(tf.constant, _arrays(whole))

    def run_rows(self, held: Any, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        losses: NDArray[np.float32] = self._concrete_rows(held, tf.constant(rows, tf.int32)).numpy()
        return losses

    def run_batches(self, stacked: Batch) -> NDArray[np.float32]:
        losses: NDArray[np.float32] = self._concrete_batches(tf.nest.map_structure(tf.constant, _arrays(stacked))).numpy()
        return losses

    def trace(self, held: Any | None, example: Batch) -> None:
        if held is not None:
            batch = len(example.target)
            specs = tf.nest.map_structure(lambda t: tf.TensorSpec([None, *t.shape[1:]], t.dtype), held)
            self._concrete_rows = self._run_rows.get_concrete_function(specs, tf.TensorSpec([None, batch], tf.int32))
        else:
            specs = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape], tf.as_dtype(a.dtype)), _arrays(example))
            self._concrete_batches = self._run_batches.get_concrete_function(specs)

    def outputs(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32]:
        rows = len(next(iter(inputs.values())))
        found = []
        for start in range(0, rows, batch_size):
            batch = {name: tf.constant(array[start : start + batch_size]) for name, array in inputs.items()}
            found.append(self._forward(batch).numpy())
        return np.concatenate(found).astype(np.float32, copy=False)

    def _loop_rows(self, held: Any, rows: Any) -> Any:
        def pick(i: Any) -> Any:
            chosen = rows[i]
            return tf.nest.map_structure(lambda t: tf.gather(t, chosen), held)

        return self._loop(tf.shape(rows)[0], pick)

    def _loop_batches(self, stacked: Any) -> Any:
        return self._loop(
            tf.shape(stacked[1])[0], lambda i: tf.nest.map_structure(lambda t: t[i], stacked)
        )

    def _loop(self, steps: Any, pick: Any) -> Any:
        """Steps one after the other (parallel_iterations=1); their losses."""
        _, losses = tf.while_loop(
            lambda i, _: i < steps,
            lambda i, losses: (i + 1, losses.write(i, self._step(*pick(i)))),
            (tf.constant(0), tf.TensorArray(tf.float32, size=steps, element_shape=())),
            parallel_iterations=1,
        )
        return losses.stack()

    def _step(self, x: Any, y: Any, weight: Any = None) -> Any:
        variables = self._core.trainable_variables
        with tf.GradientTape() as tape:
            output = self._core(x, training=True)
            loss = tf.cast(self._loss(y, output, sample_weight=weight), tf.float32)
            for term in self._terms:
                loss += tf.cast(term(y, output), tf.float32)
            for penalty in self._core.losses:
                loss += tf.cast(penalty, tf.float32)
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        self._optimizer.apply([_dense(g, v) for g, v in zip(gradients, variables, strict=True)], variables)
        return loss


def _dense(gradient: Any, variable: Any) -> Any:
    """A lookup's sparse gradient as a tensor of the table's shape: what optimizers and their wrappers do is then the same
    as under JAX, momentum of rows that a batch doesn't touch included. The tables here are small."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.ensure_shape(tf.convert_to_tensor(gradient), variable.shape)


def _arrays(batch: Batch) -> Any:
    """(inputs, target), or with weights (inputs, target, weights): graphs take no None."""
    return (batch.inputs, batch.target) if batch.weight is None else (batch.inputs, batch.target, batch.weight)
