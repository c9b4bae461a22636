"""From a Keras 3 functional model to the same model in tf_keras, and the weights back.

tfmot (0.8) knows tf_keras alone: with a Keras 3 model pruning and quantisation-aware training raise, and clustering
returns None without a word. So the graph is walked node by node; each layer is rebuilt from its config in tf_keras
(without initializers, regularizers and constraints, whose effect lies in the weights already), the weights are copied,
and the outputs of both models on rows of data must agree. Layers of this project, and stock layers that tf_keras lacks,
run as themselves inside a `twins.Foreign` layer.

What can't be carried over raises `Unconvertible` with the layer's name: raw `keras.ops` (write `Add()`, not `+`), Lambda,
layers with state that tf_keras lacks.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from automl import layers
from automl.export import candidate as candidates
from automl.spec import AutoMLError

TOLERANCE = 1e-4
"""Largest difference of the outputs, as a share of their size where that is above 1."""

_RENAMED = {("LeakyReLU", "negative_slope"): "alpha"}
_SAME_ACTIVATIONS = frozenset(
    {"relu", "gelu", "sigmoid", "tanh", "softmax", "elu", "selu", "softplus", "softsign", "linear", "mish"}
)
_DROPPED = ("_initializer", "_regularizer", "_constraint")

Wrap = Callable[[Any], Any]
"""Takes a tf_keras layer before its first use and returns it or a wrapper around it (with the attribute `layer`)."""


class Unconvertible(AutoMLError):
    """A model can't be rebuilt in tf_keras; the message names the layer and what to do."""

    reason = "UNCONVERTIBLE"


@dataclasses.dataclass
class Bridge:
    """A Keras 3 model and its twin, layer by layer."""

    model: Any
    twin: Any
    pairs: list[tuple[Any, Any]]
    """(Keras 3 layer, tf_keras layer, unwrapped) of all layers with weights."""

    def copy_back(self, otherwise: Callable[[Any], list[np.ndarray] | None] = lambda twin: None) -> None:
        """Puts the twin's weights into the Keras 3 model. `otherwise` gives those of a twin that doesn't hold its own."""
        for layer, twin in self.pairs:
            weights = otherwise(twin)
            if weights is None:
                weights = twin.read() if hasattr(twin, "read") else twin.get_weights()
            layer.set_weights(weights)

    def largest_difference(self, rows: Mapping[str, np.ndarray]) -> float:
        """Between the two models' outputs on encoded rows, as a share of their size where that is above 1."""
        given = {name: np.asarray(value) for name, value in rows.items()}
        expected = np.asarray(self.model(_as_inputs(self.model, given), training=False))
        found = np.asarray(self.twin([given[t.name] for t in self.model.inputs], training=False))
        return float(np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max())))


def load() -> Any:
    """The tf_keras module, in the one order of imports in which Keras 3, tf_keras and tfmot live in one process."""
    import tensorflow as tf

    tf.keras.Model  # noqa: B018 — resolves tf.keras to Keras 3 before tfmot's import turns it to tf_keras.
    candidates.load_keras()
    import tf_keras

    return tf_keras


def build(
    model: Any, rows: Mapping[str, np.ndarray], wrap: Wrap | None = None, tolerance: float = TOLERANCE,
    enter: Callable[[Any], Any] = lambda tensor: tensor,
) -> Bridge:
    """The twin of a Keras 3 functional model with named inputs, checked on encoded rows (a few dozen suffice).

    `wrap` may put wrappers around its layers (pruning), `enter` layers behind its inputs. Raises `Unconvertible`.
    """
    tf_keras = load()
    pairs: list[tuple[Any, Any]] = []
    inputs = [tf_keras.Input(t.shape[1:], dtype=t.dtype, name=f"twin_{t.name}") for t in model.inputs]
    twins = _Twins(tf_keras, pairs, wrap or (lambda layer: layer))
    outputs = _walk(model, [enter(tensor) for tensor in inputs], twins)
    bridge = Bridge(model, tf_keras.Model(inputs, outputs, name=f"twin_{model.name}"), pairs)
    for layer, twin in pairs:
        _copy(layer, twin)
    difference = bridge.largest_difference(rows)
    if not difference <= tolerance:
        kinds = ", ".join(sorted({type(layer).__name__ for layer in twins.layers}))
        raise Unconvertible(
            f"the model rebuilt in tf_keras differs from the original by {difference:.2g}, and at most {tolerance:g} is "
            f"accepted: one of its layers ({kinds}) means something else there"
        )
    return bridge


@dataclasses.dataclass
class _Twins:
    """Makes and remembers one tf_keras layer for each Keras 3 layer (a layer that is used twice is shared there too)."""

    tf_keras: Any
    pairs: list[tuple[Any, Any]]
    wrap: Wrap
    made: dict[int, Any] = dataclasses.field(default_factory=dict)
    layers: list[Any] = dataclasses.field(default_factory=list)
    """The Keras 3 layers that were met."""
    names: set[str] = dataclasses.field(default_factory=set)
    """Of the twins."""

    def of(self, layer: Any) -> Any:
        if id(layer) not in self.made:
            twin = self._make(layer)
            if layer.weights:
                self.pairs.append((layer, twin))
            self.layers.append(layer)
            self.made[id(layer)] = self.wrap(twin)
        return self.made[id(layer)]

    def _make(self, layer: Any) -> Any:
        import keras

        from automl.compression import twins

        kind = type(layer).__name__
        # Members of an ensemble have layers of the same names, which stand in one model here.
        name, number = f"twin_{layer.name}", 1
        while name in self.names:
            number += 1
            name = f"twin_{layer.name}_{number}"
        self.names.add(name)
        if not isinstance(layer, keras.layers.Layer):
            raise Unconvertible(
                f"{layer.name}: the raw operation {kind} isn't known to tf_keras; use a layer (`Add()`, not `+`)"
            )
        own = type(layer).__module__.startswith("automl.layers")
        if (own and kind in twins.OWN) or kind in twins.STATELESS_IN_TRAINING:
            return twins.Foreign(layer, name=name)
        known = getattr(self.tf_keras.layers, kind, None)
        if not type(layer).__module__.startswith("keras.") or kind == "Lambda" or known is None:
            why = f": it is {layers.NEVER_DELIVERED[kind]}" if own and kind in layers.NEVER_DELIVERED else ""
            raise Unconvertible(
                f"{layer.name}: tf_keras has no layer {kind}, and none stands for it in automl.compression.twins{why}"
            )
        try:
            twin = known(**{**_config(layer, known), "name": name})
        except (TypeError, ValueError) as error:
            raise Unconvertible(f"{layer.name}: {kind} can't be rebuilt in tf_keras: {error}") from error
        twin.trainable = layer.trainable
        return twin


def _walk(model: Any, inputs: list[Any], twins: _Twins) -> Any:
    """Applies the twins of a functional model's layers in the order of its graph; the outputs, in its structure."""
    import keras

    if not hasattr(model, "_nodes_by_depth"):
        raise Unconvertible(f"{model.name}: only functional models can be rebuilt, this is a {type(model).__name__}")
    tensors = {id(original): tensor for original, tensor in zip(model.inputs, inputs)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input or not node.outputs or id(node.outputs[0]) in tensors:
                continue
            args, kwargs = node.arguments.fill_in(tensors)
            if isinstance(node.operation, keras.Model):
                found = _walk(node.operation, keras.tree.flatten(args), twins)
            else:
                twin = twins.of(node.operation)
                found = twin(*args, **{k: v for k, v in kwargs.items() if v is not None and k != "training"})
            for original, tensor in zip(node.outputs, keras.tree.flatten(found)):
                tensors[id(original)] = tensor
    return keras.tree.map_structure(lambda original: tensors[id(original)], model.output)


def _config(layer: Any, known: Any) -> dict[str, Any]:
    """The layer's config as arguments of its tf_keras namesake."""
    accepted: set[str] = set()
    for cls in known.__mro__:
        accepted |= set(inspect.signature(cls.__init__).parameters) if "__init__" in vars(cls) else set()
    kind, config = type(layer).__name__, {}
    for key, value in layer.get_config().items():
        if key.endswith(_DROPPED) or key in ("dtype", "name", "trainable"):
            continue
        key = _RENAMED.get((kind, key), key)
        if key not in accepted:
            continue  # An option that tf_keras hasn't; where it changes the result, the comparison of outputs tells.
        if key.endswith("activation") and value is not None:
            # Functions of the same name may differ (hard_sigmoid), so all but the sure ones are Keras 3's own.
            value = value if value in _SAME_ACTIVATIONS else getattr(layer, key)
        config[key] = value
    return config


def _copy(layer: Any, twin: Any) -> None:
    """Weights from the original into its twin."""
    if hasattr(twin, "adopt"):
        twin.adopt()
        return
    try:
        twin.set_weights(layer.get_weights())
    except ValueError as error:
        raise Unconvertible(f"{layer.name}: {type(layer).__name__} has other weights in tf_keras: {error}") from error


def _as_inputs(model: Any, rows: Mapping[str, np.ndarray]) -> Any:
    """Encoded rows in the structure that the model's call expects."""
    if isinstance(model.input, dict):
        return {tensor.name: rows[tensor.name] for tensor in model.inputs}
    values = [rows[tensor.name] for tensor in model.inputs]
    return values[0] if len(values) == 1 else values
