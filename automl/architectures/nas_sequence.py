"""Cells for texts and series whose every operation is chosen: convolutions, recurrences, attention, pools and shortcuts.

The network is an entrance, up to `STAGES` stages of one cell each, and the mean over the steps that are there. From stage to
stage the steps are halved (while `SHORTEST` are left) and the channels grow. A cell has three nodes: its input, one in
between, and its output, which is the sum of what comes from both; on each of the three edges stands one operation:

- `none` or `skip`;
- `conv3`, `conv5`, `conv7`, or `wide3`, of three steps that lie four apart;
- `sep5`, `sep9`: each channel filtered by itself, then mixed;
- `gru`, `lstm`: a recurrent cell that reads the steps in their order, at most one in a stage;
- `attention`: every step gathers from all others;
- `avg3`, `max3`: the mean or the greatest of three steps.

Every stage has a cell of its own: convolutions see near things first, and what reads in order or gathers from afar has
fewer and richer steps behind them (Liu et al., DARTS, arXiv:1806.09055, share their cells; Zoph, Le, arXiv:1611.01578,
searched recurrent ones). Stages through which nothing flows are left out and stand last. Texts enter through an embedding of
`width` numbers; more than `MOST` steps are joined by a convolution with a stride. Every convolution is normalised, by
batch-norm where the recipe normalises nothing. The mean counts the steps that are there, and what isn't there is zero at
each node.

Convolutions train quickest and convert to every format. In TensorFlow Lite a recurrence is unrolled: some kilobytes and
operations for each of its steps, which the foreseen size contains. What computes the same is written in one way: edges on
no way from the input to the output are `none`, a shortcut to the middle node is left out, and two operations side by side
stand in the order above.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from automl.architectures import _assembly, _sequences
from automl.architectures.builder import Builder, divisible
from automl.catalog import Categorical, architecture
from automl.catalog.blueprint import Blueprint, Drawing, Edge, Part
from automl.catalog.genotypes import Choices, Decision, Genotypes, Refusal
from automl.spec import Modality, Profile

STAGES = 3
EDGES = ((0, 1), (0, 2), (1, 2))
NONE, SKIP = "none", "skip"
CONVOLUTIONS = {"conv3": 3, "conv5": 5, "conv7": 7}
"""Steps of the kernel."""
DILATED = {"wide3": (3, 4)}
"""Steps of the kernel, and how far they lie apart."""
SEPARABLE = {"sep5": 5, "sep9": 9}
RECURRENT = ("gru", "lstm")
UNWEIGHED = (SKIP, "avg3", "max3")
OPERATIONS = (NONE, SKIP, *CONVOLUTIONS, *DILATED, *SEPARABLE, *RECURRENT, "attention", "avg3", "max3")
DEAD = (NONE,) * len(EDGES)
SHORTEST = 8
"""Steps below which a stage doesn't halve them any more."""
MOST = {Modality.TEXT: 128, Modality.SERIES: 64}
"""Steps behind the entrance."""
GROWTH = 1.5
"""Each stage has as many times the channels of the one before."""
HEADS = 4


def cell(choices: Choices) -> Choices:
    """The living cell in its one form; all `none` where nothing flows from its input to its output."""
    first, around, second = choices
    if NONE in (first, second):
        first = second = NONE
    # A shortcut beside an operation is an edge around it.
    if SKIP in (first, second) and first != NONE:
        other = second if first == SKIP else first
        if around == NONE:
            first, around, second = NONE, other, NONE
        elif other == around and other in UNWEIGHED:
            # Twice the same, up to a factor.
            first, second = NONE, NONE
        else:
            # Two operations side by side, in the order of the space.
            around, second = sorted((other, around), key=OPERATIONS.index)
            first = SKIP
    found: list[str] = []
    recurrent = False
    for operation in (first, around, second):
        if operation in RECURRENT and recurrent:
            return cell((*found, SKIP, *(first, around, second)[len(found) + 1 :]))
        recurrent = recurrent or operation in RECURRENT
        found.append(operation)
    return tuple(found)


def stages_of(choices: Choices) -> list[Choices]:
    """The cells of the stages that are there."""
    cells = [choices[place : place + len(EDGES)] for place in range(0, len(choices), len(EDGES))]
    return [one for one in cells if one != DEAD]


def packed(choices: Choices) -> Choices:
    """Cells in their one form; what is left out stands last, and one stage there must be."""
    width = len(EDGES)
    cells = [cell(choices[place : place + width]) for place in range(0, len(choices), width)]
    living = [one for one in cells if one != DEAD] or [(NONE, "conv3", NONE)]
    return tuple(operation for one in [*living, *[DEAD] * (STAGES - len(living))] for operation in one)


USUAL = ("conv5", SKIP, "conv3")
REFUSALS = (
    Refusal(
        "gru", frozenset({"tflite:int8", "mobile:int8"}), str(Modality.TEXT),
        "the runtime's integer kernels don't take a GRU behind an embedding",
    ),
    Refusal(
        "lstm", frozenset({"microcontroller:int8"}), str(Modality.SERIES),
        "the split into gates would stay float, and such a file is integer throughout",
    ),
)
"""Of the recurrences, as measured with TensorFlow 2.21; the tests say when that changes."""
GENOTYPES = Genotypes(
    tuple(
        Decision(f"{stage + 1}-{source}-{target}", OPERATIONS, USUAL[edge] if stage < 2 else NONE)
        for stage in range(STAGES) for edge, (source, target) in enumerate(EDGES)
    ),
    packed, REFUSALS,
)


@dataclasses.dataclass(frozen=True)
class Given:
    """The form of the sequences."""

    modality: Modality
    steps: int
    channels: int
    """Of a series, without the mask."""
    codes: int
    """Different tokens of texts."""
    masked: bool
    """Whether some end before others."""


def network(given: Given, *, genotype: str, width: int) -> Blueprint:
    """The parts up to the features, for sequences of that form."""
    net = Blueprint()
    x, there = _entrance(net, given, width)
    rows = stages_of(tuple(genotype.split(".")))
    for stage, chosen in enumerate(rows, 1):
        name = f"stage_{stage}"
        if stage > 1:
            halve = 2 if net[x].shape[1] >= 2 * SHORTEST else 1
            there = _joined(net, there, halve, name=f"{name}_there")
            x = net.conv(x, divisible(width * GROWTH ** (stage - 1)), (1, 3), strides=(1, halve), name=f"{name}_entry")
            x = net.present(x, there, name=f"{name}_entry_present")
        x = _cell(net, x, there, chosen, name=name)
    net.drop(net.masked_mean(x, _steps(net, there, name="pool"), name="pool"))
    return net.pruned()


def _entrance(net: Blueprint, given: Given, width: int) -> tuple[int, int | None]:
    """Numbers [1, steps, width], and which steps are there."""
    if given.modality == Modality.TEXT:
        tokens = net.input((given.steps,), name="tokens")
        x = net.embedding(tokens, given.codes, width, name="embedding")
        there: int | None = net.there(tokens, name="there")
        x = net.present(x, there, name="embedding_present")
    else:
        series = net.input((given.steps, given.channels + given.masked), name="series")
        # What fills up a series is zero already.
        x, there = net.values(series, given.channels, name="values"), None
        if given.masked:
            there = net.there(series, name="there")
    stride = -(-given.steps // MOST[given.modality])
    kernel = 3 if stride == 1 else 2 * stride + 1
    there = _joined(net, there, stride, name="stem_there")
    x = net.conv(x, width, (1, kernel), strides=(1, stride), name="stem")
    return net.present(x, there, name="stem_present"), there


def _joined(net: Blueprint, there: int | None, stride: int, *, name: str) -> int | None:
    """Which of the joined steps are there: those of which one was."""
    if there is None or stride == 1:
        return there
    return net.pool("max-pool", there, (1, stride), strides=(1, stride), name=name)


def _steps(net: Blueprint, there: int | None, *, name: str) -> int | None:
    return None if there is None else net.steps(there, name=f"{name}_steps")


def _cell(net: Blueprint, x: int, there: int | None, chosen: Choices, *, name: str) -> int:
    nodes: dict[int, int] = {0: x}
    for target in (1, 2):
        given = [
            _operation(net, nodes[source], there, chosen[edge], name=f"{name}_{source}_{target}")
            for edge, (source, end) in enumerate(EDGES) if end == target and source in nodes and chosen[edge] != NONE
        ]
        if given:
            made = net.add(given, name=f"{name}_{target}")
            # Of shortcuts alone nothing new came to steps that aren't there.
            nodes[target] = made if made == x else net.present(made, there, name=f"{name}_{target}_present")
    return nodes[2]


def _operation(net: Blueprint, x: int, there: int | None, operation: str, *, name: str) -> int:
    channels = net[x].channels
    if operation == SKIP:
        return x
    if operation in CONVOLUTIONS:
        return net.conv(x, channels, (1, CONVOLUTIONS[operation]), name=name)
    if operation in DILATED:
        taps, apart = DILATED[operation]
        return net.conv(net.taps(x, taps, apart, name=f"{name}_taps"), channels, 1, name=name)
    if operation in SEPARABLE:
        filtered = net.depthwise(
            x, (1, SEPARABLE[operation]), name=f"{name}_depthwise", normalize=False, activation="", bias=False
        )
        return net.conv(filtered, channels, 1, name=name)
    if operation in RECURRENT:
        return net.recurrent(x, operation, channels, name=name)  # type: ignore[arg-type]
    if operation == "attention":
        return net.attention(x, there, HEADS, name=name)
    return net.pool("average-pool" if operation == "avg3" else "max-pool", x, (1, 3), name=name, zeros=True)


def blueprint(profile: Profile, **params: Any) -> Blueprint:
    text = profile.modality == Modality.TEXT
    steps = profile.length or 32
    given = Given(profile.modality, steps, max(1, profile.channels), profile.vocabulary, text or profile.ragged)
    return network(given, **params)


def conversion(profile: Profile, **params: Any) -> float:
    """In TFLite every step of a recurrence is a piece of graph of its own."""
    net = blueprint(profile, **params)
    return 1 + sum(part.shape[1] for part in net.parts if part.kind == "recurrent") / 30


def drawings(*, genotype: str, width: int) -> tuple[Drawing, ...]:
    found = []
    for stage, chosen in enumerate(stages_of(tuple(genotype.split("."))), 1):
        middle = chosen[0] != NONE
        nodes = ("input", "1", "output") if middle else ("input", "output")
        place = {0: 0, 1: 1, 2: 2 if middle else 1}
        edges = tuple(
            Edge(place[source], place[target], operation)
            for (source, target), operation in zip(EDGES, chosen) if operation != NONE
        )
        found.append(Drawing(f"stage {stage}, {divisible(width * GROWTH ** (stage - 1))} channels", nodes, edges))
    return tuple(found)


@architecture(
    id="nas-sequence",
    modalities=("text", "series"),
    params={"genotype": GENOTYPES, "width": Categorical((8, 16, 24, 32, 48, 64), 32)},
    reference="Liu et al.: DARTS, arXiv:1806.09055; Zoph, Le: Neural Architecture Search with Reinforcement Learning, "
    "arXiv:1611.01578; So et al.: The Evolved Transformer, arXiv:1901.11117",
    cost=2.0,
    conversion=conversion,
    blueprint=blueprint,
    drawings=drawings,
)
def build(inputs: dict[str, Any], builder: Builder, **params: Any) -> Any:
    text = builder.profile.modality == Modality.TEXT
    masked = text or bool(builder.preprocess.get("ragged"))
    shape = inputs["tokens" if text else "series"].shape
    channels = 0 if text else int(shape[2]) - masked
    codes = int(builder.preprocess["inputs"]["vocabulary"]) if text else 0
    given = Given(builder.profile.modality, int(shape[1]), channels, codes, masked)
    own = {
        "embedding": _embedding, "values": _values, "there": _there, "taps": _taps, "recurrent": _recurrent,
        "gather": _gather, "masked-mean": _masked_mean, "steps": _flat,
        # What attention makes of the mask is a part for what it costs; the layer does it.
        "unseen": _flat,
    }
    return _assembly.assemble(network(given, **params), inputs, _assembly.normalizing(builder), own)


def _as_width(x: Any, builder: Builder, name: str) -> Any:
    """[b, steps, channels] → [b, 1, steps, channels]: convolutions are then of the kind that everything knows."""
    return builder.layers.Reshape((1, int(x.shape[1]), int(x.shape[2])), name=f"{name}_as_width")(x)


def _as_steps(x: Any, builder: Builder, name: str) -> Any:
    return builder.layers.Reshape((int(x.shape[2]), int(x.shape[3])), name=f"{name}_as_steps")(x)


def _flat(part: Part, xs: list[Any], builder: Builder) -> Any:
    return _as_steps(xs[0], builder, part.name)


def _embedding(part: Part, xs: list[Any], builder: Builder) -> Any:
    codes = part.weights // part.channels
    # Small: the sum of many embeddings should begin near zero.
    layer = builder.layers.Embedding(codes, part.channels, embeddings_initializer=builder.uniform(0.05), name=part.name)
    return _as_width(layer(xs[0]), builder, part.name)


def _values(part: Part, xs: list[Any], builder: Builder) -> Any:
    from automl.layers import sequences

    x = xs[0]
    if int(x.shape[-1]) != part.channels:
        x = sequences.ChannelSlice(0, part.channels, name=part.name)(x)
    return _as_width(x, builder, part.name)


def _there(part: Part, xs: list[Any], builder: Builder) -> Any:
    from automl.layers import sequences

    x = xs[0]
    if len(x.shape) == 2:
        mask = sequences.PaddingMask(name=part.name)(x)
    else:
        channels = int(x.shape[-1])
        mask = sequences.ChannelSlice(channels - 1, channels, name=part.name)(x)
    return _as_width(mask, builder, part.name)


def _taps(part: Part, xs: list[Any], builder: Builder) -> Any:
    from automl.layers import sequences

    return sequences.Taps(part.kernel[1], part.dilation[1], name=part.name)(xs[0])


def _recurrent(part: Part, xs: list[Any], builder: Builder) -> Any:
    from automl.techniques.block import cells

    steps = _as_steps(xs[0], builder, part.name)
    layer = cells.stock(
        kind=part.cell.upper(), builder=builder, units=part.channels, steps=part.shape[1], name=part.name
    )
    return _as_width(layer(steps), builder, part.name)


def _gather(part: Part, xs: list[Any], builder: Builder) -> Any:
    from automl.layers import attention

    steps, channels = part.shape[1:]
    layers, name = builder.layers, part.name
    heads = []
    for x, what in zip(xs, ("query", "key", "value")):
        split = layers.Reshape((steps, part.heads, channels // part.heads), name=f"{name}_{what}_split")(x)
        heads.append(layers.Permute((2, 1, 3), name=f"{name}_{what}_heads")(split))
    q, k, v = heads
    weights = attention.AttentionWeights(name=f"{name}_weights")([q, k, *xs[3:]])
    if builder.plan.attention_dropout:
        weights = layers.Dropout(builder.plan.attention_dropout, seed=builder.seed(), name=f"{name}_dropout")(weights)
    y = attention.Gathered(name=f"{name}_gathered")([weights, v])
    y = layers.Permute((2, 1, 3), name=f"{name}_steps")(y)
    return layers.Reshape((1, steps, channels), name=f"{name}_join")(y)


def _masked_mean(part: Part, xs: list[Any], builder: Builder) -> Any:
    return _sequences.mean(_as_steps(xs[0], builder, f"{part.name}_values"), xs[1], builder, name=part.name)
