"""What families for texts and series share: the entrance with its mask, and means over the steps that are there."""

from __future__ import annotations

from typing import Any

from automl.architectures.builder import Builder
from automl.spec import Modality, Profile


def entrance(inputs: dict[str, Any], builder: Builder, width: int) -> tuple[Any, Any | None]:
    """(steps [b, steps, features], mask [b, steps, 1] of ones and zeros, or None where every step is there).

    Tokens of texts are embedded in `width` numbers; series enter as measured. Where series differ in length
    (`preprocess["ragged"]`) the last channel of the input is their mask.
    """
    from automl.layers import sequences

    if builder.profile.modality == Modality.TEXT:
        tokens = inputs["tokens"]
        vocabulary = int(builder.preprocess["inputs"]["vocabulary"])
        # Small: the sum of many embeddings should begin near zero.
        embedding = builder.layers.Embedding(
            vocabulary, width, embeddings_initializer=builder.uniform(0.05), name="embedding"
        )
        return embedding(tokens), sequences.PaddingMask(name="mask")(tokens)
    series = inputs["series"]
    if not builder.preprocess.get("ragged"):
        return series, None
    channels = int(series.shape[-1])
    mask = sequences.ChannelSlice(channels - 1, channels, name="mask")(series)
    return sequences.ChannelSlice(0, channels - 1, name="values")(series), mask


def masked(x: Any, mask: Any | None, builder: Builder, *, name: str) -> Any:
    """x with zeros at the steps that aren't there: a convolution sees nothing beyond the end."""
    return x if mask is None else builder.layers.Multiply(name=name)([x, mask])


def mean(x: Any, mask: Any | None, builder: Builder, *, name: str = "pool") -> Any:
    """The mean over steps, [b, steps, f] → [b, f]."""
    from automl.layers import sequences

    if mask is None:
        return builder.layers.GlobalAveragePooling1D(name=name)(x)
    return sequences.MaskedMean(name=name)([x, mask])


def limited(codes: Any, count: int, most: int, unknown: int, *, name: str) -> tuple[Any, int]:
    """(codes, how many there are) with those from `most` on as `unknown`: codes stand in the order of their frequency."""
    from automl.layers import sequences

    if count <= most:
        return codes, count
    return sequences.CodeLimit(most, unknown, name=name)(codes), most


def pooled(x: Any, mask: Any | None, builder: Builder, *, name: str = "pool") -> Any:
    """The sequence as one vector, [b, steps, f] → [b, f]: as the plan's technique sums it up, else the mean."""
    if builder.plan.sequence_pooling is not None:
        return builder.plan.sequence_pooling.make(x, mask, builder=builder, name=name)
    return mean(x, mask, builder, name=name)


def entrance_size(profile: Profile, width: int) -> tuple[int, int]:
    """(trainable parameters of `entrance`, features of each step behind it), from the profile."""
    if profile.modality == Modality.TEXT:
        return profile.vocabulary * width, width
    return 0, profile.channels
