"""Bags of words: learned vectors of words, and of n-grams of their characters, averaged over the text.

The order of the words is lost, which costs less than one thinks: topics, spam and intents show in the words themselves,
and nets of this kind stand beside far larger ones on such texts (Joulin et al., fastText, arXiv:1607.01759) at a
thousandth of the time. The vectors of character n-grams stand for words that training hasn't seen (misspelt, inflected,
compounded; Bojanowski et al., arXiv:1607.04606): on small data they are worth more than anything else here. Both are
averaged apart and put side by side. Pairs of neighbouring words, hashed into buckets, bring back a little of the order
("not good"), where there are texts enough to learn them.

With `depth` 0 the averages go to the last layer as they are (an activation and a normalisation would have nothing to act
on, and aren't chosen), else through dense blocks of `width` × 2 units. Dropout is
applied to the averages. `vocabulary` and `ngrams` bound the tables of vectors, which are nearly all of the model's size:
rarer words count as unknown, rarer n-grams are left out. Embedding and mean have integer kernels in TFLite, and lose
nothing there.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile


def size(profile: Profile, *, width: int, depth: int, vocabulary: int, ngrams: int, pairs: int) -> int:
    """Trainable parameters; normalisation left out."""
    grams = min(ngrams, profile.ngrams)
    tables = min(vocabulary, profile.vocabulary) + grams + (pairs + 1 if pairs else 0)
    features = width * (1 + bool(grams) + bool(pairs))
    body, before = 0, features
    for _ in range(depth):
        body, before = body + before * 2 * width + 2 * width, 2 * width
    return tables * width + body + (before + 1) * profile.outputs


@architecture(
    id="text-bag",
    modalities=("text",),
    params={
        "width": Categorical((8, 16, 32, 64, 128), 32),
        "depth": Int(0, 2, 0),
        "vocabulary": Categorical((1_000, 4_000, 20_000), 20_000),
        "ngrams": Categorical((0, 2_000, 8_000, 30_000), 30_000),
        "pairs": Categorical((0, 8_192, 32_768), 0),
    },
    reference="arXiv:1607.01759; arXiv:1607.04606",
    cost=1.0,
    flat=("depth", 0),
    size=size,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, depth: int, vocabulary: int, ngrams: int, pairs: int
) -> Any:
    from automl.layers import sequences

    sizes = builder.preprocess["inputs"]
    tokens, codes = _sequences.limited(inputs["tokens"], int(sizes["vocabulary"]), vocabulary, 1, name="words_limit")
    bags = [_bag(tokens, codes, width, builder, name="words")]
    if ngrams and "ngrams" in inputs:
        grams, codes = _sequences.limited(inputs["ngrams"], int(sizes["ngram_vocabulary"]), ngrams, 0, name="ngrams_limit")
        bags.append(_bag(grams, codes, width, builder, name="ngrams"))
    if pairs:
        hashed = sequences.TokenPairs(pairs, name="pairs_hash")(tokens)
        bags.append(_bag(hashed, pairs + 1, width, builder, name="pairs"))
    x = bags[0] if len(bags) == 1 else builder.layers.Concatenate(name="bags")(bags)
    x = builder.drop(x)
    for i in range(depth):
        x = builder.dense(x, 2 * width, name=f"dense_{i + 1}")
    return x


def _bag(codes: Any, count: int, width: int, builder: Builder, *, name: str) -> Any:
    """The mean of the codes' vectors, [b, steps] → [b, width]."""
    from automl.layers import sequences

    vectors = builder.layers.Embedding(
        count, width, embeddings_initializer=builder.uniform(0.05), name=f"{name}_embedding"
    )(codes)
    return _sequences.mean(vectors, sequences.PaddingMask(name=f"{name}_mask")(codes), builder, name=f"{name}_mean")
