"""Transformers for texts and series: tokens that gather from each other, layer by layer.

Each of `depth` blocks lets every token attend to all others (in the form that the slot `attention` holds) and passes it
through two dense layers of `expansion` · `width` and `width` units, both as residual branches (Vaswani et al.,
arXiv:1706.03762). Texts enter through an embedding, of `width` / `factor` numbers with a dense layer behind it where
`factor` is above 1; where they are longer than 256 tokens, a convolution with a stride joins neighbours. Series are cut into
at most 64 patches that overlap (PatchTST, Nie et al., arXiv:2211.14730), each of which becomes a token: one step alone says
nothing of slopes and peaks. With tokens of single steps a network of this size learned GunPoint's 50 series by heart (0.69
of the test series right), with patches it had 0.93.

`form` says how the sequence is read and summed up. An `encoder` lets every token see all others; the mean of all tokens
that are there goes to the head, or what `attention-rnn` makes of them. A `decoder` reads in one direction: each token sees
itself and those before it (causal self-attention), so the last token that is there is the only one that has seen all, and
its state goes to the head, as in GPT's classifiers (Radford et al., 2018). In the `encoder-decoder` a decoder of as many
blocks stands behind the encoder: in place of a text that is being written it has four learned tokens, which gather from
each other, then from the encoded sequence by cross attention, and pass a net; side by side they go to the head. A
label is one answer, so nothing is generated step by step: it is the encoder–decoder of DETR and the Perceiver (Carion et
al., arXiv:2005.12872; Jaegle et al., arXiv:2103.03206) rather than that of translation. The queries choose what counts for
the label, where a mean dilutes a single telling word; for that it has more than twice the weights.

Any two steps are one layer apart, whatever their distance, and all steps are computed at once. It needs more data than
recurrent and convolutional networks before it shows that: small texts are told better by those.

The well-known encoders are settings of this family, at the sizes of this search; `PRESETS` has them, and each of them starts
from random weights. BERT-like: `norm_first` off, learned positions, GELU, dropout of units and attention weights.
RoBERTa-like: the same network; what it changed lies in its pretraining, but for the optimizer's second decay of 0.98.
DistilBERT-like: half of BERT's depth. ALBERT-like: `shared_layers` and `factor` 4, so one block's weights serve all layers.
GPT-like: the decoder, normalised first. T5-like: the encoder–decoder, normalised first, with ReLU. ELECTRA's pretraining is
a technique that goes with all of them: `replaced-token-detection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl.architectures import _attention, _sequences
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Int, architecture
from automl.spec import Modality, Profile
from automl.spec.recipe import ParameterValue
from automl.techniques.attention.forms import MOST_TOKENS

SERIES_TOKENS = 64
"""Of series: a single step says little, so fewer tokens of more steps (Nie et al., arXiv:2211.14730, have 42 and 64)."""

Techniques = Mapping[str, Mapping[str, ParameterValue]]
QUERIES = 4
"""Learned tokens of the decoder behind an encoder."""
FORMS = ("encoder", "decoder", "encoder-decoder")
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
    "electra": (
        {"width": 128, "depth": 4, "expansion": 4, "norm_first": False, "factor": 2},
        {**_BERT, "replaced-token-detection": {}},
    ),
    "gpt": ({"width": 128, "depth": 4, "expansion": 4, "form": "decoder"}, _BERT),
    "t5": (
        {"width": 128, "depth": 2, "expansion": 4, "form": "encoder-decoder"},
        {"multi-head-attention": {"heads": 4}, "relu": {}, "dropout": {"rate": 0.1}, "attention-dropout": {"rate": 0.1}},
    ),
}
"""Name → (parameters of the family, techniques)."""


def stride_within(steps: int, modality: Modality) -> int:
    """Steps from one token to the next."""
    return max(1, -(-steps // (SERIES_TOKENS if modality == Modality.SERIES else MOST_TOKENS)))


def patch_of(modality: Modality, stride: int) -> int:
    """Steps that become one token: of series those between its neighbours as well, of texts its own."""
    return 2 * stride + 1 if modality == Modality.SERIES else stride


def size(
    profile: Profile, *, form: str, width: int, depth: int, expansion: int, factor: int, shared_layers: bool,
    norm_first: bool,
) -> int:
    """Trainable parameters with projected attention and layer-norm; positions are left out."""
    stride = stride_within(profile.length, profile.modality)
    entrance, features = _sequences.entrance_size(profile, width // factor)
    if profile.modality == Modality.SERIES or stride > 1:
        entrance += (features * patch_of(profile.modality, stride) + 1) * width
    elif factor > 1:
        entrance += (features + 1) * width
    layers = 1 if shared_layers else depth
    body = _attention.blocks_size(width, depth=layers, expansion=expansion)
    if form != "encoder-decoder":
        return entrance + body + (width + 1) * profile.outputs
    body += _attention.blocks_size(width, depth=layers, expansion=expansion, recall=True) + QUERIES * width
    return entrance + body + (QUERIES * width + 1) * profile.outputs


@architecture(
    id="transformer",
    modalities=("text", "series"),
    params={
        "form": Categorical(FORMS, "encoder"),
        "width": Categorical((32, 48, 64, 96, 128, 192), 64),
        "depth": Int(1, 6, 2),
        "expansion": Categorical((1, 2, 4), 2),
        "factor": Categorical((1, 2, 4), 1),
        "shared_layers": Bool(False),
        "norm_first": Bool(True),
    },
    reference="arXiv:1706.03762; arXiv:1810.04805; arXiv:1907.11692; arXiv:1909.11942; arXiv:1910.01108; Radford et al.: "
    "Improving Language Understanding by Generative Pre-Training (2018); arXiv:1910.10683; arXiv:2003.10555",
    cost=4.0,
    conversion=2.0,
    uses=("attention", "positions", "halting", "sequence-pooling", "token-states"),
    size=size,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, form: str, width: int, depth: int, expansion: int, factor: int,
    shared_layers: bool, norm_first: bool,
) -> Any:
    from automl.layers import recurrent

    x, mask = _sequences.entrance(inputs, builder, width // factor)
    stride = stride_within(int(x.shape[1]), builder.profile.modality)
    if builder.profile.modality == Modality.SERIES or stride > 1:
        x = _sequences.masked(x, mask, builder, name="there")
        x = builder.layers.Conv1D(
            width, patch_of(builder.profile.modality, stride), strides=stride, padding="same",
            kernel_initializer=builder.initializer(), kernel_regularizer=builder.regularizer(), name="patches",
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
        x, mask, builder, depth=depth, expansion=expansion, norm_first=norm_first, shared=shared_layers,
        causal=form == "decoder",
    )
    x = builder.token_states(x)
    pooling = builder.plan.sequence_pooling
    if form == "encoder-decoder":
        # Where no step is there at all, the decoder sees zeros rather than what fills up.
        x = _sequences.masked(x, mask, builder, name="remembered")
        asked = _attention.answers(
            x, mask, builder, queries=QUERIES, depth=depth, expansion=expansion, norm_first=norm_first, shared=shared_layers
        )
        if pooling is not None:
            return _sequences.pooled(asked, None, builder)
        return builder.layers.Reshape((QUERIES * width,), name="answers")(asked)
    if form == "decoder" and pooling is None:
        return recurrent.EndStates(name="last")(x if mask is None else [x, mask])
    return _sequences.pooled(x, mask, builder)
