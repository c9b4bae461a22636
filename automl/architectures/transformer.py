"""Transformer encoders for texts and series: tokens that gather from each other, layer by layer.

Each of `depth` blocks lets every token attend to all others (in the form that the slot `attention` holds) and passes it
through two dense layers of `expansion` · `width` and `width` units, both as residual branches (Vaswani et al.,
arXiv:1706.03762). Texts enter through an embedding, of `width` / `factor` numbers with a dense layer behind it where
`factor` is above 1; series as measured. A convolution with a stride then makes tokens of `width` of what is longer than 256
steps, and of series in any case. The mean of all tokens that are there goes to the head, or what `attention-rnn` makes of
them.

Any two steps are one layer apart, whatever their distance, and all steps are computed at once. It needs more data than
recurrent and convolutional networks before it shows that: small texts are told better by those.

The well-known encoders are settings of this family, at the sizes of this search; `PRESETS` has them, and each of them starts
from random weights. BERT-like: `norm_first` off, learned positions, GELU, dropout of units and attention weights.
RoBERTa-like: the same network; what it changed lies in its pretraining, but for the optimizer's second decay of 0.98.
DistilBERT-like: half of BERT's depth. ALBERT-like: `shared_layers` and `factor` 4, so one block's weights serve all layers.
Pretraining by replaced tokens (ELECTRA), the decoder and the encoder–decoder are not here: nothing that this family is
asked for generates text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl.architectures import _attention, _sequences
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Int, architecture
from automl.spec import Modality, Profile
from automl.spec.recipe import ParameterValue

MOST_TOKENS = 256
"""Tokens that are compared with each other: the scores of 1,024 would take 2 GB for a batch of 128."""

Techniques = Mapping[str, Mapping[str, ParameterValue]]
_BERT: Techniques = {
    "multi-head-attention": {"heads": 4}, "positional-encoding": {"form": "learned"}, "gelu": {}, "dropout": {"rate": 0.1},
    "attention-dropout": {"rate": 0.1},
}
PRESETS: Mapping[str, tuple[Mapping[str, ParameterValue], Techniques]] = {
    "bert": ({"width": 128, "depth": 4, "expansion": 4, "norm_first": False}, _BERT),
    "roberta": ({"width": 128, "depth": 4, "expansion": 4, "norm_first": False}, {**_BERT, "adamw": {"beta_2": 0.98}}),
    "distilbert": ({"width": 128, "depth": 2, "expansion": 4, "norm_first": False}, _BERT),
    "albert": (
        {"width": 128, "depth": 4, "expansion": 4, "norm_first": False, "shared_layers": True, "factor": 4}, _BERT,
    ),
}
"""Name → (parameters of the family, techniques)."""


def stride_within(steps: int) -> int:
    """Steps that become one token."""
    return max(1, -(-steps // MOST_TOKENS))


def size(
    profile: Profile, *, width: int, depth: int, expansion: int, factor: int, shared_layers: bool, norm_first: bool
) -> int:
    """Trainable parameters with projected attention and layer-norm; positions are left out."""
    stride = stride_within(profile.length)
    entrance, features = _sequences.entrance_size(profile, width // factor)
    if profile.modality == Modality.SERIES or stride > 1:
        entrance += (features * stride + 1) * width
    elif factor > 1:
        entrance += (features + 1) * width
    body = _attention.blocks_size(width, depth=1 if shared_layers else depth, expansion=expansion)
    return entrance + body + (width + 1) * profile.outputs


@architecture(
    id="transformer",
    modalities=("text", "series"),
    params={
        "width": Categorical((32, 48, 64, 96, 128, 192), 64),
        "depth": Int(1, 6, 2),
        "expansion": Categorical((1, 2, 4), 2),
        "factor": Categorical((1, 2, 4), 1),
        "shared_layers": Bool(False),
        "norm_first": Bool(True),
    },
    reference="arXiv:1706.03762; arXiv:1810.04805; arXiv:1907.11692; arXiv:1909.11942; arXiv:1910.01108",
    cost=4.0,
    conversion=2.0,
    uses=("attention", "positions", "halting", "sequence-pooling"),
    size=size,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, depth: int, expansion: int, factor: int, shared_layers: bool,
    norm_first: bool,
) -> Any:
    x, mask = _sequences.entrance(inputs, builder, width // factor)
    stride = stride_within(int(x.shape[1]))
    if builder.profile.modality == Modality.SERIES or stride > 1:
        x = _sequences.masked(x, mask, builder, name="there")
        x = builder.layers.Conv1D(
            width, stride, strides=stride, padding="same", kernel_initializer=builder.initializer(),
            kernel_regularizer=builder.regularizer(), name="patches",
        )(x)
        if mask is not None and stride > 1:
            mask = builder.layers.MaxPooling1D(stride, padding="same", name="patch_mask")(mask)
    elif factor > 1:
        x = builder.dense_layer(width, name="widen")(x)
    x = _attention.positioned(x, builder)
    if not norm_first:
        x = _attention.normalisation(builder, width, name="entry_norm")(x)
    x = builder.drop(x)
    x = _attention.encode(
        x, mask, builder, depth=depth, expansion=expansion, norm_first=norm_first, shared=shared_layers
    )
    return _sequences.pooled(x, mask, builder)
