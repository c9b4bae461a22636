"""Steps under JAX, where TensorFlow needn't be installed: a compiled `lax.scan` over many steps.

State is passed through the compiled function and given back to the Keras variables after each call; the old buffers are
donated, so that weights and optimizer state are held once.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from automl.training.batches import Batch
from automl.training.engine import Term
from automl.training.samples import Inputs

_State = tuple[list[Any], list[Any], list[Any]]


class JaxEngine:
    """See `automl.training.engine.Engine`."""

    def __init__(self, core: Any, optimizer: Any, loss: Any, terms: list[Term]):
        self._core = core
        self._optimizer = optimizer
        self._loss = loss
        self._terms = terms
        self.accelerated = jax.default_backend() != "cpu"
        self._run_rows = jax.jit(self._scan_rows, donate_argnums=0)
        self._run_batches = jax.jit(self._scan_batches, donate_argnums=0)
        self._forward = jax.jit(lambda tv, ntv, x: core.stateless_call(tv, ntv, x, training=False)[0])

    def hold(self, whole: Batch) -> Any:
        return jax.tree.map(jnp.asarray, (whole.inputs, whole.target, whole.weight))

    def run_rows(self, held: Any, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        return self._run(self._run_rows, held, jnp.asarray(rows))

    def run_batches(self, stacked: Batch) -> NDArray[np.float32]:
        return self._run(self._run_batches, jax.tree.map(jnp.asarray, (stacked.inputs, stacked.target, stacked.weight)))

    def trace(self, held: Any | None, example: Batch) -> None:
        """Nothing ahead: a scan is compiled for each number of steps, which the first calls decide."""

    def outputs(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32]:
        rows = len(next(iter(inputs.values())))
        trainable = [v.value for v in self._core.trainable_variables]
        others = [v.value for v in self._core.non_trainable_variables]
        size = min(batch_size, rows)
        found = []
        for start in range(0, rows, size):
            # The last batch is filled up with its own rows again, so that one shape is compiled.
            places = np.minimum(np.arange(start, start + size), rows - 1)
            batch = {name: jnp.asarray(array[places]) for name, array in inputs.items()}
            found.append(np.asarray(self._forward(trainable, others, batch))[: rows - start])
        return np.concatenate(found).astype(np.float32, copy=False)

    def _run(self, function: Any, *data: Any) -> NDArray[np.float32]:
        core, optimizer = self._core, self._optimizer
        groups = (core.trainable_variables, core.non_trainable_variables, optimizer.variables)
        state, losses = function(tuple([v.value for v in group] for group in groups), *data)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return np.asarray(losses)

    def _scan_rows(self, state: _State, held: Any, rows: Any) -> tuple[_State, Any]:
        def step(state: _State, chosen: Any) -> tuple[_State, Any]:
            return self._step(state, *jax.tree.map(lambda a: jnp.take(a, chosen, axis=0), held))

        state, losses = jax.lax.scan(step, state, rows)
        return state, losses

    def _scan_batches(self, state: _State, stacked: Any) -> tuple[_State, Any]:
        state, losses = jax.lax.scan(lambda state, batch: self._step(state, *batch), state, stacked)
        return state, losses

    def _step(self, state: _State, x: Any, y: Any, weight: Any) -> tuple[_State, Any]:
        trainable, others, slots = state
        compute = functools.partial(self._objective, others=others, slots=slots, x=x, y=y, weight=weight)
        (_, (loss, others)), gradients = jax.value_and_grad(compute, has_aux=True)(trainable)
        trainable, slots = self._optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, others, slots), loss

    def _objective(self, trainable: Any, *, others: Any, slots: Any, x: Any, y: Any, weight: Any) -> tuple[Any, Any]:
        output, others, penalties = self._core.stateless_call(trainable, others, x, training=True, return_losses=True)
        loss = jnp.asarray(self._loss(y, output, sample_weight=weight), jnp.float32)
        for term in self._terms:
            loss = loss + jnp.asarray(term(y, output), jnp.float32)
        for penalty in penalties:
            loss = loss + jnp.asarray(penalty, jnp.float32)
        return self._scaled(loss, slots), (loss, others)

    def _scaled(self, loss: Any, slots: Any) -> Any:
        """The loss times the optimizer's scale, which is one of its variables under float16."""
        import keras

        mapping = list(zip(self._optimizer.variables, slots, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self._optimizer.scale_loss(loss)
