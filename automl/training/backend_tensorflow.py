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
from automl.training.engine import Perturbation, Term
from automl.training.samples import Inputs


def limit_threads(threads: int) -> None:
    """Sets the sizes of TensorFlow's thread pools; once they are made (by the process's first operation) they stay."""
    if context.context()._context_handle is None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


class TensorFlowEngine:
    """See `automl.training.engine.Engine`."""

    def __init__(
        self, core: Any, optimizer: Any, loss: Any, terms: list[Term], perturbation: Perturbation | None = None
    ):
        self._core = core
        self._optimizer = optimizer
        self._loss = loss
        self._terms = terms
        self._perturbation = perturbation
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
        if self._perturbation is None:
            loss, gradients = self._gradients(x, y, weight, variables)
        elif self._perturbation.moved == "weights":
            loss, gradients = self._at_moved_weights(x, y, weight, variables)
        else:
            loss, gradients = self._at_moved_inputs(x, y, weight, variables)
        self._optimizer.apply(gradients, variables)
        return loss

    def _gradients(self, x: Any, y: Any, weight: Any, variables: list[Any], inputs: tuple[str, ...] = ()) -> tuple[Any, Any]:
        """The loss and its gradients, times the optimizer's scale, for variables, or for the named inputs."""
        with tf.GradientTape() as tape:
            for name in inputs:
                tape.watch(x[name])
            output = self._core(x, training=True)
            loss = tf.cast(self._loss(y, output, sample_weight=weight), tf.float32)
            for term in self._terms:
                loss += tf.cast(term(y, output), tf.float32)
            for penalty in self._core.losses:
                loss += tf.cast(penalty, tf.float32)
            scaled = self._optimizer.scale_loss(loss)
        if inputs:
            return loss, tape.gradient(scaled, [x[name] for name in inputs])
        gradients = tape.gradient(scaled, [v.value for v in variables])
        return loss, [_dense(g, v) for g, v in zip(gradients, variables, strict=True)]

    def _at_moved_weights(self, x: Any, y: Any, weight: Any, variables: list[Any]) -> tuple[Any, Any]:
        assert self._perturbation is not None
        states = _Kept(self._core.non_trainable_variables)
        weights = [tf.identity(v.value) for v in variables]
        loss, ascent = self._gradients(x, y, weight, variables)
        updated = states.exchanged()
        for variable, value in zip(variables, self._perturbation.values(weights, ascent), strict=True):
            variable.assign(value)
        _, gradients = self._gradients(x, y, weight, variables)
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
        updated.restore()
        return loss, gradients

    def _at_moved_inputs(self, x: Any, y: Any, weight: Any, variables: list[Any]) -> tuple[Any, Any]:
        assert self._perturbation is not None
        states = _Kept(self._core.non_trainable_variables)
        names = tuple(name for name, array in x.items() if array.dtype.is_floating)
        loss, ascent = self._gradients(x, y, weight, variables, names)
        updated = states.exchanged()
        moved = self._perturbation.values([x[name] for name in names], ascent)
        _, gradients = self._gradients(x | dict(zip(names, moved, strict=True)), y, weight, variables)
        updated.restore()
        return loss, gradients


class _Kept:
    """Copies of variables' values inside a graph."""

    def __init__(self, variables: list[Any]):
        self._variables = variables
        self._values = [tf.identity(v.value) for v in variables]

    def restore(self) -> None:
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)

    def exchanged(self) -> _Kept:
        """Gives the variables their kept values back and keeps those that they had until then."""
        present = _Kept(self._variables)
        self.restore()
        return present


def _dense(gradient: Any, variable: Any) -> Any:
    """A lookup's sparse gradient as a tensor of the table's shape: what optimizers and their wrappers do is then the same
    as under JAX, momentum of rows that a batch doesn't touch included. The tables here are small."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.ensure_shape(tf.convert_to_tensor(gradient), variable.shape)


def _arrays(batch: Batch) -> Any:
    """(inputs, target), or with weights (inputs, target, weights): graphs take no None."""
    return (batch.inputs, batch.target) if batch.weight is None else (batch.inputs, batch.target, batch.weight)
