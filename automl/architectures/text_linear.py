"""A linear model of which words, pairs of words and n-grams of characters are there (tf-idf), delivered as gathers and sums.

Where texts are few, this is hard to pass: each term has one weight a class, and the penalty on the weights' squares keeps
what was seen once from deciding much (Wang and Manning, ACL 2012, "Baselines and Bigrams"; Joulin et al., arXiv:1607.01759,
reach it with far more texts). Learned vectors of words share what they learn between classes and terms, and pass it
where texts are many; their errors differ, so the mean of both is better than either.

A term that is there counts by its rarity r = 1 + ln((1 + n) / (1 + texts that have it)), however often; words, pairs
(hashed into `pairs` buckets) and n-grams are brought to length 1 apart, so that the many n-grams of long words don't drown
the words. The weights are those of regularised logistic regression, one class against the others (LIBLINEAR's dual
coordinate descent, Hsieh et al., ICML 2008). A training's epochs walk from a strong penalty to a weak one, and the best is
kept. Techniques that change gradient steps (optimizers, schedules, dropout, …) have nothing to act on here.

Each weight is a byte in every precision (`automl.layers.bags`): an int8 artifact predicts what the float model does.
`vocabulary`, `ngrams` and `pairs` bound the tables, which are the model's size. Pairs say nothing in one word, and with
many classes they are most of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.catalog import Categorical, architecture
from automl.spec import Profile

UNKNOWN = 1
"""The code of words that aren't in the vocabulary."""
MOST_CLASSES = 300
"""Each class has a weight for each term, and a regression of its own."""


def sums(outputs: int) -> int:
    """Regressions: of two classes one is enough."""
    return 1 if outputs == 2 else outputs


def counts(profile: Profile, *, vocabulary: int, ngrams: int, pairs: int) -> dict[str, int]:
    """Codes of each kind of term, with the one for none."""
    found = {"words": min(vocabulary, profile.vocabulary)}
    if grams := min(ngrams, profile.ngrams):
        found["ngrams"] = grams
    if pairs:
        found["pairs"] = pairs + 1
    return found


def size(profile: Profile, **params: Any) -> int:
    """Bytes of the tables: no precision makes them smaller, so each counts as a weight."""
    return (sums(profile.outputs) + 1) * sum(counts(profile, **params).values())


def _when(profile: Profile) -> str | None:
    return f"at most {MOST_CLASSES} classes, the data have {profile.classes}" if profile.classes > MOST_CLASSES else None


@architecture(
    id="text-linear",
    modalities=("text",),
    params={
        "vocabulary": Categorical((1_000, 4_000, 20_000), 20_000),
        "ngrams": Categorical((0, 2_000, 8_000, 30_000), 30_000),
        "pairs": Categorical((0, 2_048, 8_192, 32_768), 32_768),
    },
    reference="Wang and Manning: Baselines and Bigrams, ACL 2012; Hsieh et al., ICML 2008",
    when=_when,
    cost=0.5,
    fitted_by="automl.training.linear_text:LinearText",
    not_for_qat="its weights are bytes already, and nothing is rounded in int8 files",
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, vocabulary: int, ngrams: int, pairs: int) -> Any:
    """The untrained model: logits [b, outputs] of 0."""
    return grow(inputs, builder.profile, builder.preprocess, vocabulary=vocabulary, ngrams=ngrams, pairs=pairs)


def grow(inputs: Mapping[str, Any], profile: Profile, preprocess: Mapping[str, Any], **params: int) -> Any:
    """The layers behind the inputs."""
    from automl.layers import bags

    found = terms(inputs, preprocess, **params)
    distinct = [bags.DistinctCodes(name=f"{kind}_distinct")(codes) for kind, (codes, _) in found.items()]
    layer = bags.LinearBags(
        [count for _, count in found.values()], profile.outputs, one_sum=sums(profile.outputs) < profile.outputs,
        name="weights",
    )
    return layer(distinct if len(distinct) > 1 else distinct[0])


def terms(
    inputs: Mapping[str, Any], preprocess: Mapping[str, Any], *, vocabulary: int, ngrams: int, pairs: int
) -> dict[str, tuple[Any, int]]:
    """Kind → (codes [b, n], how many codes there are); 0 is none. Of tensors or of arrays."""
    from automl.layers import sequences

    sizes = preprocess["inputs"]
    words = _sequences.limited(inputs["tokens"], int(sizes["vocabulary"]), vocabulary, UNKNOWN, name="words_limit")
    found = {"words": words}
    if ngrams and "ngrams" in inputs:
        count = int(sizes["ngram_vocabulary"])
        found["ngrams"] = _sequences.limited(inputs["ngrams"], count, ngrams, 0, name="ngrams_limit")
    if pairs:
        found["pairs"] = (sequences.TokenPairs(pairs, name="pairs_hash")(words[0]), pairs + 1)
    return found
