"""tf_keras layers in the place of Keras 3 layers that tf_keras doesn't have, or has with another meaning.

Imported in child processes only, after `bridge.load`: tf_keras must come behind TensorFlow and Keras.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from automl import layers

STATELESS_IN_TRAINING = frozenset({"RMSNormalization", "GroupNormalization", "Activation"})
"""Layers of Keras 3 that tf_keras lacks or has in another form (its GroupNormalization reshapes by a static batch, some
of its functions of equal name differ). All do the same in training as in inference and keep no state, so `Foreign` may
stand for them."""

_ORIGINALS: dict[str, Any] = {}
"""What each `Foreign` stands for, by its name: tfmot clones models by their layers' configs."""

OWN = frozenset(name.partition(":")[2] for name in layers.LAYERS)
"""This project's layers; all of them do the same in training as in inference."""


class Foreign(tf_keras.layers.Layer):
    """A Keras 3 layer inside a tf_keras model: its weights are tf_keras variables here, its own `call` computes.

    The original's variables stay untouched: `stateless_call` computes with the values that it is handed, so gradients reach
    the variables of this layer. Takes what the original takes: a tensor, or a list of them.
    """

    def __init__(self, original: Any, **kwargs: Any):
        super().__init__(**kwargs)
        _ORIGINALS[self.name] = original
        # In a tuple, so that tf_keras doesn't look for variables inside.
        self._original = (original,)
        self._trainable_values = [self._variable(v, trainable=True) for v in original.trainable_variables]
        # States of random generators are no weights: nothing is drawn here, and they stay what they are.
        weights = {id(w) for w in original.weights}
        self._fixed_values = [
            self._variable(v, trainable=False) if id(v) in weights else v.numpy() for v in original.non_trainable_variables
        ]

    def _variable(self, original: Any, trainable: bool) -> Any:
        return self.add_weight(
            name=original.path.replace("/", "_"), shape=original.shape, dtype=original.dtype, trainable=trainable,
        )

    def call(self, inputs: Any) -> Any:
        output, _ = self._original[0].stateless_call(
            [
                tf.convert_to_tensor(v) for v in self._trainable_values
            ], [tf.convert_to_tensor(v) for v in self._fixed_values], inputs
        )
        return output

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The original's answer; tf_keras would trace the call for it."""
        many = isinstance(input_shape, list)
        shapes = [tuple(tf.TensorShape(shape).as_list()) for shape in (input_shape if many else [input_shape])]
        return tf.TensorShape(self._original[0].compute_output_shape(shapes if many else shapes[0]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "original": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Foreign:
        """A copy in this process, with weights of its own."""
        return cls(_ORIGINALS[config["original"]], **{k: v for k, v in config.items() if k != "original"})

    def read(self) -> list[Any]:
        """The weights in the order of the original's `set_weights`."""
        values = {id(v): w.numpy() for v, w in self._pairs()}
        return [values[id(v)] for v in self._original[0].weights]

    def adopt(self) -> None:
        """Takes over the original's weights."""
        for original, own in self._pairs():
            own.assign(original.value)

    def _pairs(self) -> list[tuple[Any, Any]]:
        original = self._original[0]
        pairs = [
            *zip(original.trainable_variables, self._trainable_values),
            *zip(original.non_trainable_variables, self._fixed_values),
        ]
        return [(variable, own) for variable, own in pairs if isinstance(own, tf.Variable)]
