"""Convolutions over a text's words: detectors of short phrases, wherever they stand.

Each word becomes a learned vector; filters of several lengths slide over them, and of each filter the greatest answer in
the text is kept (Kim, Convolutional Neural Networks for Sentence Classification, arXiv:1408.5882). So "not good" is one
feature and its place doesn't matter, which is what opinions turn on. The vectors are learnt from the training texts
alone, so a few thousand texts are needed before it passes a bag of words.

`filters` filters of each of the lengths in `kernels`; answers beyond the text's end count as 0. The pooled answers go
through dropout to the last layer; with `bag` the mean of the words' vectors, and of their characters' n-grams where there
are such, stands beside them, as in `text-bag`.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, architecture
from automl.spec import Profile


def _lengths(kernels: str) -> tuple[int, ...]:
    return tuple(int(k) for k in kernels.split("-"))


def size(profile: Profile, *, width: int, filters: int, kernels: str, vocabulary: int, bag: bool) -> int:
    """Trainable parameters; normalisation left out."""
    lengths = _lengths(kernels)
    grams = profile.ngrams if bag else 0
    features = filters * len(lengths) + (width * (1 + bool(grams)) if bag else 0)
    convolutions = sum(k * width * filters + filters for k in lengths)
    return (min(vocabulary, profile.vocabulary) + grams) * width + convolutions + (features + 1) * profile.outputs


@architecture(
    id="text-cnn",
    modalities=("text",),
    params={
        "width": Categorical((16, 32, 64, 128), 64),
        "filters": Categorical((16, 32, 64, 128), 64),
        "kernels": Categorical(("2-3", "3-4-5", "2-3-4-5"), "3-4-5"),
        "vocabulary": Categorical((1_000, 4_000, 20_000), 20_000),
        "bag": Bool(False),
    },
    reference="arXiv:1408.5882",
    cost=4.0,
    size=size,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, filters: int, kernels: str, vocabulary: int, bag: bool
) -> Any:
    from automl.layers import sequences

    layers, sizes = builder.layers, builder.preprocess["inputs"]
    tokens, codes = _sequences.limited(inputs["tokens"], int(sizes["vocabulary"]), vocabulary, 1, name="words_limit")
    mask = sequences.PaddingMask(name="mask")(tokens)
    vectors = _embedded(tokens, codes, width, builder, name="embedding")
    length = int(tokens.shape[1])
    steps = layers.Reshape((1, length, width), name="steps")(_sequences.masked(vectors, mask, builder, name="inside"))
    pooled = []
    for k in _lengths(kernels):
        name = f"conv_{k}"
        x = layers.Reshape((length, filters), name=f"{name}_steps")(builder.conv1d(steps, filters, k, name=name))
        x = _sequences.masked(x, mask, builder, name=f"{name}_inside")
        pooled.append(layers.GlobalMaxPooling1D(name=f"{name}_max")(x))
    if bag:
        pooled.append(_sequences.mean(vectors, mask, builder, name="words_mean"))
        if "ngrams" in inputs:
            grams = inputs["ngrams"]
            own = _embedded(grams, int(sizes["ngram_vocabulary"]), width, builder, name="ngrams_embedding")
            there = sequences.PaddingMask(name="ngrams_mask")(grams)
            pooled.append(_sequences.mean(own, there, builder, name="ngrams_mean"))
    return builder.drop(pooled[0] if len(pooled) == 1 else layers.Concatenate(name="pooled")(pooled))


def _embedded(codes: Any, count: int, width: int, builder: Builder, *, name: str) -> Any:
    return builder.layers.Embedding(count, width, embeddings_initializer=builder.uniform(0.05), name=name)(codes)
