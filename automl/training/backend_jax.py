"""Steps under JAX, where TensorFlow needn't be installed.

On held data a call is one compiled loop over up to `LOOP` steps, whose number is an argument, so that it is compiled once.
Batches that come one by one run through a compiled step; the calls return before the steps are done, so on a GPU the next
batch is made meanwhile. State is passed through the compiled functions and given back to the Keras variables after each
call; the old buffers are donated, so that weights and optimizer state are held once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from automl.training.batches import Batch
from automl.training.engine import Perturbation, Term
from automl.training.samples import Inputs

LOOP = 256
"""Most steps in one compiled call."""
_State = tuple[list[Any], list[Any], list[Any]]


class JaxEngine:
    """See `automl.training.engine.Engine`."""

    def __init__(
        self, core: Any, optimizer: Any, loss: Any, terms: list[Term], perturbation: Perturbation | None = None
    ):
        self._core = core
        self._optimizer = optimizer
        self._loss = loss
        self._terms = terms
        self._perturbation = perturbation
        self.accelerated = jax.default_backend() != "cpu"
        self._split, self._whole = _placements()
        self._forward = jax.jit(lambda tv, ntv, x: core.stateless_call(tv, ntv, x, training=False)[0])

    def hold(self, whole: Batch) -> Any:
        return jax.tree.map(jnp.asarray, _arrays(whole))

    def run_rows(self, held: Any, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        losses = []
        state = self._state()
        for start in range(0, len(rows), LOOP):
            part = rows[start : start + LOOP]
            padded = np.concatenate([part, np.zeros((LOOP - len(part), rows.shape[1]), np.int32)])
            state, found = self._loop(state, held, padded, np.int32(len(part)))
            losses.append(np.asarray(found)[: len(part)])
        self._keep(state)
        return np.concatenate(losses)

    def run_batches(self, stacked: Batch) -> NDArray[np.float32]:
        losses = []
        state = self._state()
        for i in range(len(stacked.target)):
            state, loss = self._single(state, *_arrays(stacked, i))
            losses.append(loss)
        self._keep(state)
        return np.asarray(jnp.stack(losses))

    def trace(self, held: Any | None, example: Batch) -> None:
        if held is not None:
            rows = jax.ShapeDtypeStruct((LOOP, len(example.target)), jnp.int32)
            count = jax.ShapeDtypeStruct((), jnp.int32)
            function = jax.jit(self._loop_rows, donate_argnums=0)
            self._loop = function.lower(self._state(), held, rows, count).compile()
        else:
            self._single = jax.jit(self._step, donate_argnums=0).lower(self._state(), *_arrays(example)).compile()

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

    @property
    def _groups(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self._core.trainable_variables, self._core.non_trainable_variables, self._optimizer.variables

    def _state(self) -> _State:
        weights, others, slots = ([v.value for v in group] for group in self._groups)
        return weights, others, slots

    def _keep(self, state: _State) -> None:
        for group, values in zip(self._groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def _loop_rows(self, state: _State, held: Any, rows: Any, count: Any) -> tuple[_State, Any]:
        def body(i: Any, carried: tuple[_State, Any]) -> tuple[_State, Any]:
            state, losses = carried
            state, loss = self._step(state, *jax.tree.map(lambda a: jnp.take(a, rows[i], axis=0), held))
            return state, losses.at[i].set(loss)

        carried: tuple[_State, Any] = jax.lax.fori_loop(0, count, body, (state, jnp.zeros(LOOP, jnp.float32)))
        return carried

    def _step(self, state: _State, x: Any, y: Any, weight: Any = None) -> tuple[_State, Any]:
        trainable, others, slots = state
        x, y, weight = self._split((x, y, weight))
        compute = functools.partial(self._objective, others=others, slots=slots, y=y, weight=weight)
        derived = jax.value_and_grad(compute, has_aux=True)
        if self._perturbation is None:
            (_, (loss, updated)), gradients = derived(trainable, x)
        elif self._perturbation.moved == "weights":
            (_, (loss, updated)), ascent = derived(trainable, x)
            _, gradients = derived(self._perturbation.values(trainable, ascent), x)
        else:
            floats = {name: array for name, array in x.items() if jnp.issubdtype(array.dtype, jnp.floating)}

            def of_inputs(floats: Any) -> Any:
                return compute(trainable, x | floats)

            (_, (loss, updated)), ascent = jax.value_and_grad(of_inputs, has_aux=True)(floats)
            moved = self._perturbation.values(list(floats.values()), [ascent[name] for name in floats])
            _, gradients = derived(trainable, x | dict(zip(floats, moved, strict=True)))
        trainable, slots = self._optimizer.stateless_apply(slots, gradients, trainable)
        # Where batches are split, the state is whole on every device again, as the next step takes it.
        return self._whole((trainable, updated, slots)), loss

    def _objective(self, trainable: Any, x: Any, *, others: Any, slots: Any, y: Any, weight: Any) -> tuple[Any, Any]:
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


def _placements() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What splits arrays along their first axis over the devices, and what puts them whole on each; without a Keras
    distribution both leave arrays as they are."""
    import keras

    distribution = keras.distribution.distribution()
    if distribution is None:
        return _same, _same
    mesh = distribution.device_mesh.backend_mesh
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(distribution.batch_dim_name))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return (
        lambda tree: jax.lax.with_sharding_constraint(tree, spread),
        lambda tree: jax.lax.with_sharding_constraint(tree, everywhere),
    )


def _same(tree: Any) -> Any:
    return tree


def _arrays(batch: Batch, place: int | None = None) -> Any:
    """(inputs, target), or with weights (inputs, target, weights); of one batch of stacked ones where a place is named."""
    arrays = (batch.inputs, batch.target) if batch.weight is None else (batch.inputs, batch.target, batch.weight)
    return arrays if place is None else jax.tree.map(lambda a: a[place], arrays)
