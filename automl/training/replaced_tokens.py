"""What the technique `replaced-token-detection` pretrains: a generator that guesses hidden words, and the core as the
discriminator that tells its guesses from a text's own words (ELECTRA, Clark et al., arXiv:2003.10555)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import _attention
from automl.architectures import builder as builders
from automl.catalog import Component
from automl.training.pretraining import Pretraining

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]

HIDDEN = 0.15
"""Share of a text's tokens that are hidden from the generator."""
WEIGHT = 50.0
"""Of the discriminator's loss beside the generator's, as in the paper."""
LEAST_WIDTH = 32
DEPTH = 1
"""Of the generator: the narrowest and its blocks."""
MOST_WORDS = 4096
"""Of the vocabulary, the most frequent ones, that are hidden and guessed: drawing from 20,000 would cost more than the
rest of a step together."""
UNKNOWN, FIRST_WORD = 1, 3
"""Codes of texts (`automl.data.text_encoder`)."""


def pretraining(*, core: Any, builder: builders.Builder, share: float, learning_rate: float) -> Any:
    """See `TrainPlan.pretraining`."""
    words = min(MOST_WORDS, int(builder.preprocess["inputs"]["vocabulary"]))
    return Pretraining(
        model=model(core, builder, words), epochs=max(1, round(share * builder.plan.epochs)), learning_rate=learning_rate,
        step=Component(f"{__name__}:hide", {"words": words}),
    )


def hide(*, words: int) -> Step:
    """The step on a batch: which places are hidden, int32 [b, places], −1 where a text has fewer."""

    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        tokens = np.asarray(inputs["tokens"])
        return {"tokens": tokens, "places": hidden_places(tokens, words, rng)}, y

    return step


def places_of(length: int) -> int:
    """The most places that are hidden in a text of `length` tokens."""
    return max(1, math.ceil(HIDDEN * length))


def hidden_places(tokens: NDArray[Any], words: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Places of words (codes from `FIRST_WORD` to `words`), drawn without replacement: `HIDDEN` of a text's tokens, at least
    one where it has a word."""
    most = places_of(tokens.shape[1])
    may = (tokens >= FIRST_WORD) & (tokens < words)
    wanted = np.maximum(1, np.rint(HIDDEN * (tokens > 0).sum(axis=1)))
    count = np.minimum(np.minimum(wanted, may.sum(axis=1)), most)
    order = np.argsort(np.where(may, rng.random(tokens.shape), 2.0), axis=1)[:, :most]
    return np.where(np.arange(most) < count[:, None], order, -1).astype(np.int32)


def model(core: Any, parts: builders.Builder, words: int) -> Any:
    """{tokens [b, length], places [b, places]} → the loss of each example [b, 1], with the core as discriminator."""
    import keras

    from automl.layers import replaced_tokens, sequences

    layers = keras.layers
    embedding, states = core.get_layer("embedding"), core.get_layer(builders.TOKEN_STATES).output
    length, width = int(states.shape[1]), int(states.shape[2])
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    places = keras.Input((places_of(length),), dtype="int32", name="places")
    there = sequences.PaddingMask(name="there")(tokens)

    narrow = max(LEAST_WIDTH, width // 4)
    shown = replaced_tokens.HiddenTokens(UNKNOWN, name="shown")([tokens, places])
    x = parts.dense_layer(narrow, name="generator_width")(embedding(shown))
    x = _attention.positioned(x, parts, name="generator_positions")
    x = _attention.encode(x, there, parts, depth=DEPTH, expansion=2)
    x = replaced_tokens.AtPlaces(name="at_places")([x, places])
    x = parts.dense_layer(int(embedding.output_dim), name="generator_words")(x)
    x = _attention.normalisation(parts, int(embedding.output_dim), name="generator_norm")(x)
    guesses = replaced_tokens.TiedWords(embedding, words, name="guesses")(x)

    replaced, wrong = replaced_tokens.ReplacedTokens(seed=parts.seed(), name="replaced")([tokens, places, guesses])
    discriminator = keras.Model(core.input["tokens"], states, name="discriminator")
    found = parts.dense_layer(width, name="detector")(discriminator(replaced))
    found = parts.dense_layer(1, name="detection")(layers.Activation("gelu", name="detector_act")(found))
    loss = replaced_tokens.DetectionLoss(WEIGHT, dtype="float32", name="loss")(
        [tokens, places, guesses, there, wrong, found]
    )
    return keras.Model({"tokens": tokens, "places": places}, loss, name="pretraining")
