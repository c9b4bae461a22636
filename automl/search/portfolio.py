"""Strong recipes to begin with, for each task, cheap ones first.

They are written down as published (or as measured here), and adapted to what the job's space allows: an entry whose
architecture isn't in the space is left out, a technique that isn't is dropped, a value outside its domain is moved to its
edge. What two entries become the same by that is tried once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from automl.catalog import entries
from automl.catalog.domains import Categorical, Domain, Float, Int
from automl.catalog.space import Assignment, Space
from automl.search.sampler import recipe_seed
from automl.spec import Choice, Modality, Recipe
from automl.spec.recipe import ParameterValue

Params = Mapping[str, ParameterValue]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recipe as it is published; `source` says where."""

    name: str
    source: str
    architecture: str
    params: Params = dataclasses.field(default_factory=dict)
    techniques: Mapping[str, Params] = dataclasses.field(default_factory=dict)
    epochs: int | None = None
    """None: the space's default."""
    batch_size: int | None = None
    short_clock: int = 9
    """Rank among the entries when there is time for one or two trainings only (1: first choice)."""
    limited: int | None = None
    """That rank where limits leave little of the first choice; None: the same."""


TABLES = (
    Entry(
        "boosted-trees", "Friedman 2001, in histograms: strong within seconds, and unlike networks in its errors",
        "boosted-trees", {"rounds": 200, "learning_rate": 0.08, "leaves": 16}, {"quantile-scaling": {"knots": 256}},
        epochs=15, short_clock=1,
    ),
    Entry(
        "linear", "ridge and logistic regression: within a second, and on small noisy tables hard to pass", "linear", {},
        {"standardization": {}}, epochs=8, short_clock=10,
    ),
    Entry(
        "mlp-quick", "two dense layers on scaled columns: a usable model within seconds", "mlp",
        {"width": 128, "depth": 2, "numeric_embedding": "none", "one_hot_limit": 32},
        {"adamw": {"learning_rate": 3e-3}, "cosine-decay": {}, "dropout": {"rate": 0.1}}, epochs=15, short_clock=5,
    ),
    Entry(
        "mlp-periodic", "Gorishniy et al. 2022 (arXiv:2203.05556): one hidden layer over periodic embeddings", "mlp",
        {"width": 512, "depth": 1, "numeric_embedding": "periodic", "frequencies": 64, "sigma": 0.47, "embedding_width": 24},
        {"adamw": {"learning_rate": 2e-3, "weight_decay": 1e-5}, "dropout": {"rate": 0.4}, "cosine-decay": {},
         "quantile-scaling": {}}, epochs=30, batch_size=256, short_clock=3,
    ),
    Entry(
        "mlp-piecewise", "Gorishniy et al. 2022: piecewise-linear encoding of numbers", "mlp",
        {"width": 256, "depth": 2, "numeric_embedding": "piecewise-linear", "bins": 32},
        {"adamw": {"learning_rate": 2e-3}, "dropout": {"rate": 0.2}, "cosine-decay": {}, "ema": {}}, epochs=30,
        batch_size=256, short_clock=4,
    ),
    Entry(
        "tabm", "Gorishniy et al. 2025 (arXiv:2410.24210), fewer members for a CPU", "tabm",
        {"members": 8, "width": 256, "depth": 2, "numeric_embedding": "piecewise-linear", "bins": 32},
        {"adamw": {"learning_rate": 2e-3, "weight_decay": 3e-4}, "dropout": {"rate": 0.1}, "cosine-decay": {}}, epochs=30,
        batch_size=256, short_clock=2,
    ),
    Entry(
        "linear-places", "Hastie and Tibshirani 1990: an additive model of each number's place between quantiles", "linear",
        {"bins": 8}, {"standardization": {}}, epochs=8, short_clock=11,
    ),
    Entry(
        "tabm-periodic", "TabM with periodic embeddings and adapters at the entrance only", "tabm",
        {"members": 8, "width": 256, "depth": 2, "adapters": "first", "numeric_embedding": "periodic", "frequencies": 32,
         "sigma": 0.3, "embedding_width": 8},
        {"adamw": {"learning_rate": 2e-3, "weight_decay": 3e-4}, "dropout": {"rate": 0.1}, "cosine-decay": {},
         "quantile-scaling": {}}, epochs=60, batch_size=256, short_clock=6,
    ),
    Entry(
        "boosted-trees-slow", "more and smaller steps, more of the columns left out", "boosted-trees",
        {"rounds": 400, "learning_rate": 0.03, "leaves": 31, "depth": 8, "column_share": 0.4, "leaf_rows": 10},
        {"quantile-scaling": {"knots": 256}}, epochs=30, short_clock=7,
    ),
    Entry(
        "mlp-residual", "Gorishniy et al. 2021 (arXiv:2106.11959): residual blocks", "mlp",
        {"width": 256, "depth": 3, "residual": True, "numeric_embedding": "periodic", "frequencies": 32, "sigma": 0.2},
        {"adamw": {"learning_rate": 1e-3}, "batch-norm": {"momentum": 0.9}, "dropout": {"rate": 0.2}, "cosine-decay": {}},
        epochs=30, batch_size=256, short_clock=8,
    ),
    Entry(
        "realmlp", "Holzmüller et al. 2024 (arXiv:2407.04491), with AdamW", "mlp",
        {"width": 256, "depth": 3, "numeric_embedding": "periodic", "frequencies": 16, "sigma": 0.1, "embedding_width": 4,
         "feature_scale": True},
        {"adamw": {"learning_rate": 4e-3, "beta_2": 0.95, "weight_decay": 0.02}, "selu": {}, "lecun": {},
         "dropout": {"rate": 0.15}, "label-smoothing": {"alpha": 0.1}, "cyclical": {"shape": "log-cosine"}}, epochs=60,
        batch_size=256, short_clock=9,
    ),
)

AUGMENT: Mapping[str, Params] = {"random-crop": {}, "label-smoothing": {"alpha": 0.1}, "batch-norm": {"momentum": 0.9}}

PICTURES = (
    Entry(
        "convnet", "Page 2018, How to train your ResNet: wide, shallow, one cycle; AdamW measured better here", "convnet",
        {"width": 24, "stages": 3, "residual": True},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "one-cycle": {}, **AUGMENT}, batch_size=128,
        short_clock=1, limited=5,
    ),
    Entry(
        "convnet-16", "the same with fewer channels: half the time", "convnet",
        {"width": 16, "stages": 3, "residual": True},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "one-cycle": {}, **AUGMENT}, batch_size=128,
        short_clock=2, limited=6,
    ),
    Entry(
        "convnet-8", "a sixth of the time, for large sets and small limits", "convnet",
        {"width": 8, "stages": 3, "residual": True},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "one-cycle": {}, **AUGMENT}, batch_size=128,
        short_clock=3, limited=7,
    ),
    Entry(
        "resnet-8", "Banbury et al. 2021 (arXiv:2106.07597), MLPerf Tiny's picture classifier", "resnet",
        {"width": 16, "stages": 3, "blocks": 1},
        {"adamw": {"learning_rate": 3e-3, "weight_decay": 0.02}, "one-cycle": {}, **AUGMENT}, batch_size=128,
        short_clock=4, limited=2,
    ),
    Entry(
        "vgg", "Simonyan and Zisserman 2015 (arXiv:1409.1556), narrow and normalised: few weights for what it learns",
        "vgg", {"width": 32, "stages": 3, "depth": 2},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "one-cycle": {}, **AUGMENT}, batch_size=128,
        short_clock=7, limited=1,
    ),
    Entry(
        "ds-cnn", "Zhang et al. 2017 (arXiv:1711.07128): few weights for its accuracy", "ds-cnn",
        {"width": 32, "stages": 3, "blocks": 1},
        {"adamw": {"learning_rate": 3e-3}, "one-cycle": {}, **AUGMENT}, batch_size=128, short_clock=5, limited=3,
    ),
    Entry(
        "mobilenet-v2", "Sandler et al. 2018 (arXiv:1801.04381), narrow", "mobilenet",
        {"width": 16, "stages": 3, "blocks": 2, "expansion": 3},
        {"adamw": {"learning_rate": 3e-3}, "one-cycle": {}, **AUGMENT}, batch_size=128, short_clock=6, limited=4,
    ),
)

TEXTS = (
    Entry(
        "text-linear", "Wang and Manning 2012; measured here on SMS, news, reviews and intents: hard to pass with few texts",
        "text-linear", {}, {}, epochs=4, batch_size=64, short_clock=1,
    ),
    Entry(
        "text-bag", "Joulin et al. 2017 (arXiv:1607.01759) with n-grams of characters; measured here on SMS and news",
        "text-bag", {"width": 32},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "cosine-decay": {}, "dropout": {"rate": 0.5}}, epochs=15,
        batch_size=64, short_clock=2,
    ),
    Entry(
        "text-bag-thinned", "the same, wider and with words left out: slower to overfit", "text-bag", {"width": 64},
        {"adamw": {"learning_rate": 3e-3, "weight_decay": 0.05}, "cosine-decay": {}, "dropout": {"rate": 0.6},
         "text-augment": {"dropout": 0.2, "swap": 0.0, "span": 0.0}}, epochs=15, batch_size=64, short_clock=4,
    ),
    Entry(
        "text-cnn", "Kim 2014 (arXiv:1408.5882), narrow", "text-cnn",
        {"width": 64, "filters": 64, "kernels": "3-4-5"},
        {"adamw": {"learning_rate": 1e-3, "weight_decay": 0.05}, "warmup-cosine": {}, "dropout": {"rate": 0.5}}, epochs=8,
        batch_size=64, short_clock=6,
    ),
    Entry(
        "text-cnn-bag", "the same beside the bag: phrases and topics", "text-cnn",
        {"width": 32, "filters": 32, "kernels": "2-3", "bag": True},
        {"adamw": {"learning_rate": 3e-3, "weight_decay": 0.05}, "cosine-decay": {}, "dropout": {"rate": 0.5}}, epochs=8,
        batch_size=64, short_clock=5,
    ),
    Entry(
        "text-bag-pairs", "Joulin et al. 2017: hashed pairs of words, where opinions turn on them", "text-bag",
        {"width": 16, "pairs": 32_768},
        {"adamw": {"learning_rate": 5e-3, "weight_decay": 0.05}, "cosine-decay": {}, "dropout": {"rate": 0.5}}, epochs=8,
        batch_size=64, short_clock=3,
    ),
)

_LINEAR: Mapping[str, Params] = {"adamw": {"learning_rate": 1e-2, "weight_decay": 0.01}, "cosine-decay": {}}
_DEEP: Mapping[str, Params] = {
    "adamw": {"learning_rate": 3e-3, "weight_decay": 0.01}, "cosine-decay": {}, "batch-norm": {"momentum": 0.9}, "ema": {},
}

SERIES = (
    Entry(
        "rocket", "Dempster et al. 2021 (arXiv:2012.08791), with soft shares and maxima; the robust choice for few series",
        "rocket", {"dilations": 6, "features_each": 3}, _LINEAR, epochs=60, short_clock=1,
    ),
    Entry(
        "fcn", "Wang et al. 2017 (arXiv:1611.06455)", "fcn", {"width": 64, "depth": 3}, _DEEP, epochs=120, short_clock=3,
    ),
    Entry(
        "inception-time", "Ismail Fawaz et al. 2020 (arXiv:1909.04939), narrower and a half as deep", "inception-time",
        {"width": 16, "modules": 3, "kernel": 40}, _DEEP, epochs=120, short_clock=2,
    ),
    Entry(
        "rocket-differences", "Tan et al. 2022 (arXiv:2102.00457): the steps' differences as well", "rocket",
        {"dilations": 6, "features_each": 3, "differences": True}, _LINEAR, epochs=60, short_clock=4,
    ),
    Entry(
        "resnet-1d", "Wang et al. 2017: residual blocks", "resnet-1d", {"width": 32, "blocks": 3}, _DEEP, epochs=120,
        short_clock=5,
    ),
)

PORTFOLIOS: Mapping[str, tuple[Entry, ...]] = {
    "tabular-classification": TABLES, "tabular-regression": TABLES, "image-classification": PICTURES,
    "text-classification": TEXTS,
    "timeseries-classification": SERIES,
}

FEW_ROWS = 3_000
"""Training rows of a table below which wide networks only cost time and size…"""
FOR_FEW_ROWS: Mapping[str, int] = {"width": 128, "frequencies": 16, "embedding_width": 8, "bins": 16}
"""… and how much of each is enough."""

BATCHES = ((5_000, 32), (25_000, 64))
"""Pictures below which a batch has no more than so many, or there would be too few steps in all. (cifar10, test accuracy, in
the same time. `convnet` with 1,806 pictures and 30 epochs: batches of 128 .594, of 64 .621, of 32 .644, of 16 .646. 14,580
pictures and 20 epochs, batches of 128 and of 64: `vgg` of 11 thousand weights .626 and .643, .612 and .641 under another
seed, of 35 thousand .711 and .726; `convnet` of 414 thousand, 10 epochs, no difference.)"""
MANY_CLASSES = 20
"""Classes above which pairs of words, with a weight for each class, would be most of a linear model's file."""


DEFAULT = "default"
"""Name of the space's own recipe among the starts."""


@dataclasses.dataclass(frozen=True)
class Start:
    """A portfolio entry as the job's space can have it."""

    name: str
    recipe: Recipe
    short_clock: int
    limited: int | None = None


def starts(space: Space, seed: int) -> list[Start]:
    """The portfolio of the space's task, adapted to it; the space's own default stands last (or alone)."""
    found: dict[str, Start] = {}
    for entry in PORTFOLIOS.get(space.task, ()):
        if (recipe := adapted(_suited(entry, space), space, seed)) is not None:
            found.setdefault(recipe.identity, Start(entry.name, recipe, entry.short_clock, entry.limited))
    default = space.recipe(space.default(), recipe_seed(seed))
    found.setdefault(default.identity, Start(DEFAULT, default, 10))
    return list(found.values())


def of_each_family(space: Space, seed: int) -> list[Start]:
    """Of each family that the portfolio names the recipe that comes first under a short clock, the strongest first."""
    found: dict[str, Start] = {}
    for start in sorted(starts(space, seed), key=lambda s: s.short_clock):
        if start.name != DEFAULT:
            found.setdefault(start.recipe.architecture.id, start)
    return list(found.values())


def kind(recipe: Recipe) -> str:
    """Identity whatever the epochs and the batch (the clock and memory change those)."""
    return recipe.model_copy(update={"epochs": 1, "batch_size": 1}).identity


def _suited(entry: Entry, space: Space) -> Entry:
    """The entry as the data want it, whatever the space."""
    shape = space.profile.image_shape
    if shape is not None and shape[2] >= 3:
        # Coloured pictures are mostly of things, which are the same in a mirror; grey ones mostly of signs: not so.
        entry = dataclasses.replace(entry, techniques={**entry.techniques, "flip": {}})
    if shape is not None and entry.batch_size is not None:
        most = next((size for rows, size in BATCHES if space.profile.rows < rows), entry.batch_size)
        entry = dataclasses.replace(entry, batch_size=min(entry.batch_size, most))
    if space.profile.modality == Modality.TABLE and space.profile.rows < FEW_ROWS:
        smaller = {k: min(v, FOR_FEW_ROWS[k]) if k in FOR_FEW_ROWS else v for k, v in entry.params.items()}
        entry = dataclasses.replace(entry, params=smaller)
    if entry.architecture == "text-linear" and space.profile.classes > MANY_CLASSES:
        entry = dataclasses.replace(entry, params={**entry.params, "pairs": 8_192})
    return entry


def training(space: Space) -> Assignment:
    """How the portfolio's first network trains, with the space's default architecture: what a search of architectures alone
    holds fixed. The space's own defaults where its task has no portfolio."""
    networks = (e for e in PORTFOLIOS.get(space.task, ()) if not entries.architectures[e.architecture].fitted_by)
    entries_of_task = sorted(networks, key=lambda entry: entry.short_clock)
    if not entries_of_task:
        return space.default()
    families = next(d.domain for d in space.dimensions if d.name == "architecture")
    entry = _suited(entries_of_task[0], space)
    found = adapted(dataclasses.replace(entry, architecture=str(families.default), params={}), space, 0)
    assert found is not None
    return space.assignment(found)


def adapted(entry: Entry, space: Space, seed: int) -> Recipe | None:
    """The entry as a recipe of the space; None when its architecture isn't in it."""
    domains = {d.name: d.domain for d in space.dimensions}
    families = domains["architecture"]
    if not isinstance(families, Categorical) or entry.architecture not in families.values:
        return None
    kept = set(space.techniques)
    defaults = space.default()
    size = defaults["batch_size"] if entry.batch_size is None else moved(domains["batch_size"], entry.batch_size)
    epochs = defaults["epochs"] if entry.epochs is None else moved(domains["epochs"], entry.epochs)
    wished = Recipe(
        task=space.task,
        architecture=Choice(id=entry.architecture, params=_inside(domains, entry.architecture, entry.params)),
        techniques=tuple(
            Choice(id=id, params=_inside(domains, id, params)) for id, params in entry.techniques.items() if id in kept
        ) + _usual(entry, space),
        batch_size=int(size), epochs=int(epochs),
    )
    return space.recipe(space.assignment(wished), recipe_seed(seed))


def _usual(entry: Entry, space: Space) -> tuple[Choice, ...]:
    """The space's default techniques for what the entry says nothing about: switches that start on, and slots that are
    filled by default."""
    taken = {entries.techniques[id].slot for id in entry.techniques if id in entries.techniques}
    found = []
    for name, value in space.default().items():
        if name.startswith("use:") and value is True and name[4:] not in entry.techniques:
            found.append(Choice(id=name[4:]))
        elif name.startswith("slot:") and value != "none" and name[5:] not in taken:
            found.append(Choice(id=str(value)))
    return tuple(found)


def _inside(domains: Mapping[str, Domain], id: str, params: Params) -> dict[str, ParameterValue]:
    return {k: moved(domains[f"{id}.{k}"], v) for k, v in params.items() if f"{id}.{k}" in domains}


def moved(domain: Domain, value: ParameterValue) -> ParameterValue:
    """The value, or the nearest one of the domain; its default where nearness means nothing."""
    if domain.check(value) is None:
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(domain, Int) and number:
        return domain.snap(float(value))
    if isinstance(domain, Float) and number:
        return min(domain.high, max(domain.low, float(value)))
    if isinstance(domain, Categorical) and number:
        numbers = [v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if numbers:
            return min(numbers, key=lambda v: abs(v - float(value)))
    return domain.default
