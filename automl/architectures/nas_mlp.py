"""Feed-forward networks for tables whose every layer is chosen: units, activation, normalisation, and what it is joined to.

The columns enter as in `mlp`: numbers as they are or embedded, categories one-hot or as learned vectors. Then come up to
`LAYERS` layers. Each has a half, once or twice `width` units, the recipe's activation, SiLU or tanh, and is normalised or
not. What it makes stands alone (`plain`), is added to its input (`add`: a residual block) or stands beside it (`dense`, as
in DenseNet: later layers see all earlier ones). Layers that are left out (`none`) stand last, so the depth is chosen as
well. `norm` means the recipe's normalisation, or batch-norm where it has none.

Depth, widths and shortcuts of networks for tables are mostly set by habit. Residual networks, and funnels of ever fewer
units (Zimmer et al., Auto-PyTorch Tabular, arXiv:2006.13799), are points of this space or near ones. On small tables the
differences drown in the noise of one split, and boosted trees are often ahead of any of them: a search over this space
trains the portfolio's first recipes as well.

An `add` needs as many units as its input has numbers: elsewhere it is written `plain`, as is that of the first layer.
"""

from __future__ import annotations

from typing import Any

from automl.architectures import _assembly, _tables
from automl.architectures.builder import Builder
from automl.catalog import Categorical, architecture
from automl.catalog.blueprint import Activation, Blueprint, Drawing, Edge
from automl.catalog.columns import Columns
from automl.catalog.genotypes import Choices, Decision, Genotypes
from automl.spec import Profile

LAYERS = 5
ABSENT = "none"
UNITS = {"half": 0.5, "one": 1.0, "two": 2.0}
"""Of `width`."""
ACTIVATIONS: dict[str, Activation] = {"act": "plan", "silu": "silu", "tanh": "tanh"}
PLAIN, ADD, DENSE = JOINS = ("plain", "add", "dense")
NORMALISED = "norm"
LEFT_OUT = (ABSENT, "act", "raw", PLAIN)
LEAST = ("one", "act", "raw", PLAIN)


def layers_of(choices: Choices) -> list[Choices]:
    """(units, activation, normalisation, join) of each layer that is there."""
    rows = [choices[place : place + 4] for place in range(0, len(choices), 4)]
    return [row for row in rows if row[0] != ABSENT]


def joined(choices: Choices) -> Choices:
    """What is left out stands last; one layer there must be; what can't be added isn't."""
    found: list[str] = []
    given: float | None = None
    """Numbers that a layer reads, as a multiple of `width`; None while the columns are among them."""
    for units, activation, norm, join in (rows := layers_of(choices) or [LEAST]):
        made = UNITS[units]
        if join == ADD and given != made:
            join = PLAIN
        found += [units, activation, norm, join]
        if join == DENSE:
            given = given and given + made
        else:
            given = made
    return (*found, *LEFT_OUT * (LAYERS - len(rows)))


def _decisions() -> tuple[Decision, ...]:
    found: list[Decision] = []
    for layer in range(1, LAYERS + 1):
        units, activation, norm, join = LEAST if layer <= 2 else LEFT_OUT
        found += [
            Decision(f"{layer}-units", (ABSENT, *UNITS), units),
            Decision(f"{layer}-activation", (*ACTIVATIONS,), activation),
            Decision(f"{layer}-norm", ("raw", NORMALISED), norm), Decision(f"{layer}-join", JOINS, join),
        ]
    return tuple(found)


GENOTYPES = Genotypes(_decisions(), joined)


def network(columns: Columns, *, genotype: str, width: int) -> Blueprint:
    """The parts up to the features, behind columns that are encoded so."""
    net = Blueprint()
    x = net.encoded(columns)
    rows = layers_of(tuple(genotype.split(".")))
    for place, (units, activation, norm, join) in enumerate(rows, 1):
        name = f"layer_{place}"
        made = net.dense(
            x, round(UNITS[units] * width), name=name, normalize=norm == NORMALISED, activation=ACTIVATIONS[activation]
        )
        if join == ADD:
            x = net.add((x, made), name=name, depth=place / len(rows))
        elif join == DENSE:
            x = net.concatenate((x, made), name=f"{name}_dense")
        else:
            x = made
    return net


def blueprint(profile: Profile, *, genotype: str, width: int, **encoding: Any) -> Blueprint:
    return network(_tables.columns_of_profile(profile, **encoding), genotype=genotype, width=width)


def drawings(*, genotype: str, width: int, **_: Any) -> tuple[Drawing, ...]:
    """A node for each layer, and one for its input where that passes it by."""
    labels, edges = ["columns"], []
    for units, activation, norm, join in layers_of(tuple(genotype.split("."))):
        source, target = len(labels) - 1, len(labels)
        labels.append(f"{round(UNITS[units] * width)}")
        words = [word for word in (norm, activation) if word not in ("raw", "act")]
        edges.append(Edge(source, target, " ".join(["dense", *words])))
        if join != PLAIN:
            # Where what is made meets what it was made of.
            labels.append("sum" if join == ADD else "both")
            edges += [Edge(target, target + 1), Edge(source, target + 1)]
    return (Drawing("units, layer by layer", tuple(labels), tuple(edges)),)


@architecture(
    id="nas-mlp",
    modalities=("table",),
    params={
        "genotype": GENOTYPES,
        "width": Categorical((16, 32, 64, 128, 192, 256), 128),
        **{name: domain for name, domain in _tables.ENCODING_PARAMS.items() if name != "feature_scale"},
    },
    reference="Zimmer, Lindauer, Hutter: Auto-PyTorch Tabular, arXiv:2006.13799; Huang et al.: DenseNet, arXiv:1608.06993",
    cost=1.2,
    blueprint=blueprint,
    drawings=drawings,
)
def build(inputs: dict[str, Any], builder: Builder, *, genotype: str, width: int, **encoding: Any) -> Any:
    numeric = int(inputs["numeric"].shape[-1]) if "numeric" in inputs else 0
    cardinalities = [int(n) for n in builder.preprocess["cardinalities"]] if "categorical" in inputs else []
    net = network(_tables.columns_of(numeric, cardinalities, **encoding), genotype=genotype, width=width)
    def columns(part: Any, xs: list[Any], builder: Builder) -> Any:
        return _tables.encode(inputs, builder, feature_scale=False, **encoding)

    return _assembly.assemble(net, inputs, _assembly.normalizing(builder), {"columns": columns})
