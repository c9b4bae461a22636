"""The parts of replaced-token detection (ELECTRA, Clark et al., arXiv:2003.10555) that act on tokens and their places.

They act in pretraining only and reach no artifact. Tokens are codes int32 [b, length], 0 beyond the end; `places` are int32
[b, places], each a hidden token's place, or −1 for none.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

PACKAGE = "automl"


def at(places: Any, length: int, dtype: str) -> Any:
    """[b, places] → [b, places, length]: 1 at each place, nothing for −1."""
    return ops.one_hot(places, length, dtype=dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class HiddenTokens(keras.layers.Layer):
    """Tokens with the code `unknown` at the places: [tokens, places] → int32 [b, length]."""

    def __init__(self, unknown: int, **kwargs: Any):
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)
        self.unknown = unknown

    def call(self, inputs: Any) -> Any:
        tokens, places = inputs
        hidden = ops.sum(at(places, tokens.shape[1], "int32"), axis=1)
        return ops.where(hidden > 0, ops.full_like(tokens, self.unknown), tokens)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[0].shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unknown": self.unknown}


@keras.saving.register_keras_serializable(PACKAGE)
class AtPlaces(keras.layers.Layer):
    """The states at the places: [x [b, length, f], places] → [b, places, f]; zeros for −1."""

    def call(self, inputs: Any) -> Any:
        x, places = inputs
        return ops.matmul(at(places, x.shape[1], self.compute_dtype), x)

    def compute_output_spec(self, inputs: Any) -> Any:
        x, places = inputs
        return keras.KerasTensor((x.shape[0], places.shape[1], x.shape[2]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class TiedWords(keras.layers.Layer):
    """Logits of the first `words` codes by an embedding's own vectors: h [b, places, width] → h Eᵀ + b [b, places,
    words]."""

    def __init__(self, embedding: Any, words: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.embedding, self.words = embedding, words

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight(name="bias", shape=(self.words,), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        table = ops.cast(self.embedding.embeddings, self.compute_dtype)[: self.words]
        return ops.matmul(inputs, ops.transpose(table)) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.words)

    def get_config(self) -> dict[str, Any]:
        embedding = keras.saving.serialize_keras_object(self.embedding)
        return {**super().get_config(), "embedding": embedding, "words": self.words}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TiedWords:
        return cls(**{**config, "embedding": keras.saving.deserialize_keras_object(config["embedding"])})


@keras.saving.register_keras_serializable(PACKAGE)
class ReplacedTokens(keras.layers.Layer):
    """A word drawn from the guesses at each place: [tokens, places, logits [b, places, words]] → (tokens with those, int32
    [b, length]; 1 where they differ from the text's own, float [b, length, 1]). No gradient passes."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any) -> Any:
        tokens, places, logits = inputs
        count, words = logits.shape[1:]
        flat = ops.reshape(ops.stop_gradient(ops.cast(logits, "float32")), (-1, words))
        drawn = ops.reshape(keras.random.categorical(flat, 1, dtype="int32", seed=self.seed_generator), (-1, count, 1))
        put = at(places, tokens.shape[1], "int32")
        replaced = ops.where(ops.sum(put, axis=1) > 0, ops.sum(put * drawn, axis=1), tokens)
        wrong = ops.cast(ops.not_equal(replaced, tokens), self.compute_dtype)
        return replaced, ops.expand_dims(wrong, -1)

    def compute_output_spec(self, inputs: Any) -> Any:
        shape = inputs[0].shape
        return keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor((*shape, 1), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class DetectionLoss(keras.layers.Layer):
    """The loss of each example [b, 1]: the generator's mean cross-entropy at the places, and `weight` times the
    discriminator's mean binary cross-entropy at the tokens that are there.

    Takes [tokens, places, logits of words [b, places, words], mask [b, length, 1], wrong [b, length, 1], the
    discriminator's logits [b, length, 1]].
    """

    def __init__(self, weight: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, inputs: Any) -> Any:
        tokens, places, words, there, wrong, found = inputs
        put = at(places, tokens.shape[1], "int32")
        own = ops.sum(put * ops.expand_dims(tokens, 1), axis=2)  # [b, places]
        hidden = ops.cast(places >= 0, words.dtype)
        guessed = ops.sparse_categorical_crossentropy(own, words, from_logits=True)
        generator = ops.sum(guessed * hidden, axis=1) / ops.maximum(ops.sum(hidden, axis=1), 1.0)
        # max(z, 0) − z y + log(1 + exp(−|z|)): the binary cross-entropy of logits z.
        told = ops.maximum(found, 0.0) - found * wrong + ops.log1p(ops.exp(-ops.absolute(found)))
        discriminator = ops.sum(told * there, axis=(1, 2)) / ops.maximum(ops.sum(there, axis=(1, 2)), 1.0)
        return ops.expand_dims(generator + self.weight * discriminator, -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}
