"""Recurrent networks for texts and series, in one direction or both.

Layers of `units` recurrent units (LSTM, unless another cell is chosen) read the sequence step by step; with
`bidirectional` a second row of cells reads it from the end, so that every step knows what comes before and behind it
(Schuster, Paliwal, 1997). What was read is summed up by the mean of all states or by the states at the end (`summary`),
or by attention where `attention-rnn` is on, and passes one dense block.

Where order matters and inputs are short to medium (some hundred steps) this is the classic choice; each step waits for the
one before it, so long inputs are slow: take `tcn` or `transformer` there. In TensorFlow Lite the steps are unrolled: the
file grows by some kilobytes for each step and layer, and conversion takes seconds to minutes; the cell `qrnn` has no such
cost. Texts enter through an embedding of `width` numbers.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.catalog import Bool, Categorical, Component, Int, architecture
from automl.spec import Profile

LONGEST = 512
"""Steps up to which the family is offered: in TFLite every step is a piece of graph of its own."""
DEFAULT_CELL = Component("automl.techniques.block.cells:stock", {"kind": "LSTM"})


def _short(profile: Profile) -> str | None:
    if profile.length <= LONGEST:
        return None
    return f"reads at most {LONGEST} steps, one after the other; there are {profile.length}"


def size(profile: Profile, *, width: int, units: int, layers: int, bidirectional: bool, summary: str) -> int:
    """Trainable parameters with an LSTM's four gates, the largest of the usual cells; normalisation left out."""
    directions = 2 if bidirectional else 1
    total, features = _sequences.entrance_size(profile, width)
    for _ in range(layers):
        total += directions * 4 * units * (features + units + 1)
        features = directions * units
    return total + (features + 1) * units + (units + 1) * profile.outputs


@architecture(
    id="recurrent",
    modalities=("text", "series"),
    params={
        "width": Categorical((16, 32, 64, 128), 32),
        "units": Categorical((8, 16, 32, 48, 64, 96, 128), 48),
        "layers": Int(1, 3, 1),
        "bidirectional": Bool(True),
        "summary": Categorical(("mean", "end"), "mean"),
    },
    reference="Schuster, Paliwal: Bidirectional Recurrent Neural Networks (IEEE Trans. Signal Processing 1997)",
    cost=6.0,
    conversion=lambda profile, **params: 1 + profile.length / 15,  # every step is a part of the graph of its own
    uses=("cell", "sequence-pooling"),
    when=_short,
    size=size,
    not_for_qat="its weights are in cells, which tfmot doesn't train under quantisation",
)
def build(
    inputs: dict[str, Any], builder: Builder, *, width: int, units: int, layers: int, bidirectional: bool, summary: str
) -> Any:
    from automl.layers import recurrent

    x, mask = _sequences.entrance(inputs, builder, width)
    cell = builder.plan.cell or DEFAULT_CELL
    for i in range(layers):
        name = f"recurrence_{i + 1}"
        x = builder.drop(x)
        rows = [
            cell.make(builder=builder, units=units, steps=int(x.shape[1]), name=f"{name}_{direction}")
            for direction in ("forwards", "backwards")[: 1 + bidirectional]
        ]
        x = recurrent.Recurrence(*rows, name=name)(x if mask is None else [x, mask])
        if i + 1 < layers:
            x = builder.normalize(x, name=name)
    if builder.plan.sequence_pooling is None and summary == "end":
        x = recurrent.EndStates(bidirectional, name="end")(x if mask is None else [x, mask])
    else:
        x = _sequences.pooled(x, mask, builder)
    return builder.dense(builder.drop(x), units, name="exit")


