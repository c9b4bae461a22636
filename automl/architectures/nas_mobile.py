"""A row of inverted residuals whose every block is chosen: kernel, expansion and gates, and so depth, width and resolution.

The network is a stem, four stages of up to `BLOCKS` blocks, and a last 1×1 convolution. A block widens its channels by its
expansion, filters each with a depthwise convolution of its kernel (gated by squeeze-and-excitation where it says `se`), and
projects back without activation; blocks that keep resolution and channels add their input. `skip` leaves a block out, so
the depth of each stage, and the number of stages, are chosen as well. Each stage halves the resolution while at least 3
pixels a side are left. `width` scales the channels, `resolution` the picture.

It is the space of MobileNetV3, ProxylessNAS, MnasNet and once-for-all: few decisions with a large effect on size and
latency, so it is the first choice under limits. On a CPU depthwise convolutions train slowly for their arithmetic.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _assembly, _pictures
from automl.architectures.builder import Builder, divisible
from automl.catalog import Categorical, architecture
from automl.catalog.blueprint import Blueprint, Drawing, Edge, Weighed
from automl.catalog.genotypes import Choices, Decision, Genotypes
from automl.catalog.relaxation import Relaxation, Strengths, Weights, likeliest
from automl.spec import Profile

STAGES, BLOCKS = 4, 3
KERNELS, EXPANSIONS = (3, 5, 7), (2, 4, 6)
SKIP, GATED, USUAL = "skip", "se", "k3e4"
EXCITATION = 0.25
OPTIONS = tuple(f"k{k}e{e}{gates}" for k in KERNELS for e in EXPANSIONS for gates in ("", GATED))
GROWTH = 1.5
"""Each stage has as many times the channels of the one before."""
PATHS = (SKIP, *(option for option in OPTIONS if not option.endswith(GATED)))
"""What a block may be where all of it stand side by side: without gates, as ProxylessNAS has it."""
GROUP = "blocks"


def read(option: str) -> tuple[int, int, bool]:
    """Kernel, expansion, and whether it is gated, of "k3e4" or "k3e4se"."""
    return int(option[1]), int(option[3]), option.endswith(GATED)


def stages_of(choices: Choices) -> list[list[str]]:
    """The blocks of each stage that are there."""
    rows = [choices[s * BLOCKS : (s + 1) * BLOCKS] for s in range(STAGES)]
    return [[option for option in row if option != SKIP] for row in rows]


def packed(choices: Choices) -> Choices:
    """What is left out stands last in its stage, and empty stages last of all; one block there must be."""
    rows = [row for row in stages_of(choices) if row] or [[USUAL]]
    rows += [[] for _ in range(STAGES - len(rows))]
    return tuple(option for row in rows for option in [*row, *[SKIP] * (BLOCKS - len(row))])


GENOTYPES = Genotypes(
    tuple(
        Decision(f"{stage + 1}-{block + 1}", (SKIP, *OPTIONS), USUAL if block < 2 and stage < 3 else SKIP)
        for stage in range(STAGES) for block in range(BLOCKS)
    ),
    packed,
)


def network(
    shape: tuple[int, int, int], *, genotype: str, width: int, resolution: float
) -> Blueprint:
    """The parts up to the features, for pictures of that shape."""
    net, x = _pictures.begin(shape, width, resolution)
    rows = stages_of(tuple(genotype.split(".")))
    count, place = sum(map(len, rows)), 0
    for stage, row in enumerate(rows):
        strides = strides_of(net, x)
        for block, option in enumerate(row):
            place += 1
            x = block_of(
                net, x, option, filters=filters_of(width, stage), strides=strides if block == 0 else 1,
                depth=place / count, name=f"block_{stage + 1}_{block + 1}",
            )
    x = net.conv(x, 4 * net[x].channels, 1, name="last")
    return _pictures.end(net, x)


def relaxed(
    shape: tuple[int, int, int], *, partial: int = 1, width: int, resolution: float, kernel: int = KERNELS[-1],
    expansion: int = EXPANSIONS[-1], depth: int = BLOCKS, stages: int = STAGES,
) -> Blueprint:
    """The network whose blocks hold every path up to that kernel and expansion (see `automl.catalog.relaxation`), `depth`
    blocks in each of the first `stages`. The first block of a stage, which changes resolution and channels, can't be left
    out."""
    assert partial == 1, "its paths are computed one at a time, with all channels"
    net, x = _pictures.begin(shape, width, resolution)
    options = [option for option in PATHS[1:] if read(option)[0] <= kernel and read(option)[1] <= expansion]
    for stage in range(stages):
        strides = strides_of(net, x)
        for block in range(depth):
            name = f"block_{stage + 1}_{block + 1}"
            given = [
                block_of(
                    net, x, option, filters=filters_of(width, stage), strides=1 if block else strides, depth=0.0,
                    name=f"{name}_{option}",
                )
                for option in options
            ]
            found = [x, *given] if block else given
            columns = tuple(PATHS.index(option) for option in ([SKIP, *options] if block else options))
            x = net.mixture(found, Weighed(GROUP, stage * BLOCKS + block, columns), name=name)
    x = net.conv(x, 4 * net[x].channels, 1, name="last")
    return _pictures.end(net, x)


def decoded(weights: Weights, strengths: Strengths) -> list[str]:
    """The likeliest path of each block, and what comes next."""
    choices = likeliest(list(weights[GROUP]), most=32)
    return list(dict.fromkeys(GENOTYPES.text(tuple(PATHS[i] for i in chosen)) for chosen in choices))


def strides_of(net: Blueprint, x: int) -> int:
    """Of the stage that begins at that part."""
    return 2 if -(-min(net[x].shape[:2]) // 2) >= 3 else 1


def filters_of(width: int, stage: int) -> int:
    return divisible(width * GROWTH ** (stage + 1))


def block_of(
    net: Blueprint, x: int, option: str, *, filters: int, strides: int, depth: float, name: str
) -> int:
    """An inverted residual."""
    kernel, expansion, gated = read(option)
    branch = net.conv(x, net[x].channels * expansion, 1, name=f"{name}_expand")
    branch = net.depthwise(branch, kernel, strides=strides, name=f"{name}_depthwise")
    if gated:
        branch = net.gates(branch, EXCITATION, name=f"{name}_se")
    branch = net.conv(branch, filters, 1, name=f"{name}_project", activation="")
    fits = strides == 1 and net[x].channels == filters
    return net.add((x, branch), name=name, depth=depth) if fits else branch


def blueprint(profile: Profile, **params: Any) -> Blueprint:
    return network(_pictures.profile_shape(profile), **params)


def drawings(*, genotype: str, width: int, resolution: float, **_: Any) -> tuple[Drawing, ...]:
    labels, edges = ["input"], []
    for stage, row in enumerate(stages_of(tuple(genotype.split(".")))):
        for option in row:
            kernel, expansion, gated = read(option)
            labels.append(f"{stage + 1}")
            shown = f"{kernel}×{kernel} ×{expansion}{' gated' if gated else ''}"
            edges.append(Edge(len(labels) - 2, len(labels) - 1, shown))
    side = f", {resolution:.0%} of the resolution" if resolution != 1 else ""
    return (Drawing(f"blocks by stage, {width} channels at the entrance{side}", tuple(labels), tuple(edges)),)


@architecture(
    id="nas-mobile",
    modalities=("image",),
    params={
        "genotype": GENOTYPES,
        "width": Categorical((8, 12, 16, 24, 32), 16),
        "resolution": Categorical((0.5, 0.75, 1.0), 1.0),
    },
    reference="Howard et al.: MobileNetV3, arXiv:1905.02244; Cai et al.: ProxylessNAS, arXiv:1812.00332; Once-for-All, "
    "arXiv:1908.09791",
    cost=2.5,
    blueprint=blueprint,
    drawings=drawings,
    elastic=True,
    paths=Relaxation(PATHS, {GROUP: tuple(range(STAGES * BLOCKS))}, relaxed, decoded, {}, skip=SKIP, nothing=""),
)
def build(inputs: dict[str, Any], builder: Builder, **params: Any) -> Any:
    return _assembly.assemble(network(_pictures.input_shape(inputs), **params), inputs, builder)
