"""A packed ensemble of small networks for tables: members share their dense layers and differ in cheap adapters
(TabM).

`members` networks see the same row. Each has its own scale of the encoded columns, which begins as random signs and so
sets it apart, and its own last layer; between them they share one stack of dense layers, whose matrices are read once
for all members. With `adapters` all, each shared layer is also wrapped in member-wise scales and biases
(BatchEnsemble's rank-one weights); with first, only the entrance is (TabM-mini: nearly as good, cheaper). Members are
trained each on its own loss, and their predictions are averaged.

It is the strongest published network for tables trained from scratch (Gorishniy et al., ICLR 2025, arXiv:2410.24210:
32 members, 3 × 512 units, dropout 0.1, AdamW at 0.002; with piecewise-linear encoding 2 layers are enough). Time grows
with `members`, size hardly: on a CPU take 8 to 16 narrower members.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _tables
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.catalog.blueprint import Blueprint
from automl.catalog.footprint import int8_bytes
from automl.spec import Profile

MEMBERS_BYTES = 2_070
"""Of an int8 file for the members' own last layers and the mean of what they say…"""
LAYER_BYTES = 88
"""… for each layer that they share, with what brings the members behind each other…"""
ADAPTER_BYTES = 170
"""… and for each scaling or shifting, beside a byte a number."""


def size(profile: Profile, *, members: int, width: int, depth: int, adapters: str, **encoding: Any) -> int:
    """Trainable parameters. Members have the last layer's bias in common; adapters bring biases in the layers' place."""
    columns = _tables.columns_of_profile(profile, **encoding)
    shared = columns.features * width + (depth - 1) * width * width
    own = columns.features + width * profile.outputs
    if adapters == "all":
        own += (depth - 1) * width + 2 * depth * width
    else:
        shared += depth * width
    return columns.weights + shared + members * own + profile.outputs


def overhead(profile: Profile, *, members: int, width: int, depth: int, adapters: str, **encoding: Any) -> int:
    """As of a blueprint of one member, and what adapters and the members' last layers take beside; within 5 % of the file
    in 17 of them."""
    net = Blueprint()
    x = net.encoded(_tables.columns_of_profile(profile, **encoding))
    for i in range(depth):
        x = net.dense(x, width, name=f"dense_{i + 1}")
    net = net.headed(profile.outputs, softmax=profile.classes > 0)
    adapted = LAYER_BYTES * depth + ADAPTER_BYTES * (3 * depth if adapters == "all" else 1)
    return MEMBERS_BYTES + adapted + int8_bytes(net) - net.parameters


@architecture(
    id="tabm",
    modalities=("table",),
    params={
        "members": Categorical((4, 8, 16, 32), 8),
        "width": Categorical((64, 128, 192, 256, 384, 512), 128),
        "depth": Int(1, 5, 2),
        "adapters": Categorical(("first", "all"), "all"),
        **{
            name: domain for name, domain in _tables.ENCODING_PARAMS.items()
            if name not in ("numeric_embedding", "feature_scale")
        },
        "numeric_embedding": Categorical(("none", "periodic", "piecewise-linear"), "piecewise-linear"),
    },
    reference="arXiv:2410.24210; arXiv:2002.06715",
    cost=6.0,
    size=size,
    overhead=overhead,
)
def build(
    inputs: dict[str, Any], builder: Builder, *, members: int, width: int, depth: int, adapters: str, **encoding: Any
) -> Any:
    from automl.layers import tables

    x = _tables.encode(inputs, builder, feature_scale=False, **encoding)
    x = tables.MemberAffine(members, init="signs", seed=builder.seed(), name="members")(x)
    for i in range(depth):
        name = f"dense_{i + 1}"
        if adapters == "all":
            if i > 0:
                x = tables.MemberAffine(members, name=f"{name}_in")(x)
            x = builder.dense(x, width, name=name, activate=False, use_bias=False)
            x = tables.MemberAffine(members, bias=True, name=f"{name}_out")(x)
            x = builder.finish(x, name=name)
        else:
            x = builder.dense(x, width, name=name)
    return x
