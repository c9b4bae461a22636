"""Limits before training: how much of what the user allows a recipe's network would take, by weights, file, memory and
latency as far as they are foreseen, and a recipe's architecture made small enough."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping

from automl.catalog import compose, entries
from automl.catalog.domains import Categorical, Int
from automl.catalog.footprint import Footprint, footprint
from automl.catalog.genotypes import dimension
from automl.catalog.precisions import BYTES
from automl.catalog.space import Assignment, Dimension, Space
from automl.export import companions
from automl.search.budget import parameters
from automl.search.sampler import assignment_of
from automl.spec import Constraints, FormatRequest, Infeasible, Profile, Recipe
from automl.spec.recipe import ParameterValue

GRAPH_BYTES = 1_500
"""Of a file beside its weights and what travels with it, at least."""
EIGHT_BITS = ("int8", "dynamic")
Measure = Callable[[Recipe], float | None]
WIDTH, STAGES = "width", "stages"
"""Parameters of pictures' families: channels, and how often the resolution is halved. A network that is only narrower keeps
its depth and sees as much of the picture at once: width goes first, stages go last."""
MOST_LOOKED_AT = 64
"""Networks of a family that are compared at most to find the largest within the limits; a measure takes a millisecond."""
MOST_HEAVIER = 1.15
"""As many times the weights foreseen are expected of others of a family at most: what is more is a recipe's technique."""
LATENCY_MARGIN = 0.95
"""A network may be foreseen to take as much of the limit: tables leave out a few percent of what files take."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What candidates have to meet before they are trained; None is no limit."""

    parameters: int | None = None
    """Most weights with which the smallest artifact asked for can meet the limits."""
    file_bytes: int | None = None
    """Of an 8-bit file without what travels with it: see `limit_file_bytes`."""
    memory_bytes: int | None = None
    """Of an 8-bit network's activations at once."""
    latency_ms: float | None = None
    foreseen_ms: Callable[[Recipe], float | None] = lambda recipe: None
    """What one example is foreseen to take; None where nothing tells."""
    heavier: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Family → how many times the weights foreseen its networks have, where one turned out to pass the limits."""

    @classmethod
    def of(
        cls, constraints: Constraints, formats: tuple[FormatRequest, ...],
        foreseen_ms: Callable[[Recipe], float | None] = lambda recipe: None, modality: str = "",
    ) -> Limits:
        return cls(
            limit_parameters(constraints, formats, modality), limit_file_bytes(constraints, formats, modality),
            constraints.max_memory_bytes, constraints.max_latency_ms, foreseen_ms,
        )

    @property
    def any(self) -> bool:
        return any(limit is not None for limit in (self.parameters, self.memory_bytes, self.latency_ms))

    def shares(self, recipe: Recipe, profile: Profile) -> dict[str, float]:
        """How much of each limit the recipe's network takes, as far as that is known before it is built: 1 is all of it."""
        found = {}
        heavier = self.heavier.get(recipe.architecture.id, 1.0)
        weights = parameters(recipe, profile)
        if self.parameters is not None and weights is not None:
            found["parameters"] = heavier * weights / max(1, self.parameters)
        if self.file_bytes is not None or self.memory_bytes is not None:
            known = _footprint(recipe, profile)
            if self.file_bytes is not None and (content := _file_bytes(recipe, profile, known, heavier)) is not None:
                found["file"] = (content + _traveling(recipe, profile)) / self.file_bytes
            if self.memory_bytes is not None and known is not None:
                found["memory"] = known.peak_bytes / self.memory_bytes
        if self.latency_ms is not None and (ms := self.foreseen_ms(recipe)) is not None:
            found["latency"] = ms / (LATENCY_MARGIN * self.latency_ms)
        return found

    def most_parameters(self, recipe: Recipe) -> int | None:
        """How many weights the recipe's network may turn out to have when it is built; None where any number may meet the
        limits. Of a family that knows its files only what surely passes the limit is too much."""
        family = entries.architectures[recipe.architecture.id]
        if self.file_bytes is None or family.overhead is not None or family.blueprint is not None:
            return self.parameters
        likely = max(0, int((self.file_bytes - GRAPH_BYTES) / BYTES["int8"]))
        return likely if self.parameters is None else min(self.parameters, likely)

    def after(self, recipe: Recipe, profile: Profile, weights: int) -> Limits:
        """The limits once the recipe's network has turned out to have too many weights: others of its family are expected to
        have as many more than foreseen, statistics of normalisations above all."""
        foreseen, family = parameters(recipe, profile), recipe.architecture.id
        if not foreseen or weights <= foreseen:
            return self
        heavier = max(self.heavier.get(family, 1.0), min(weights / foreseen, MOST_HEAVIER))
        return dataclasses.replace(self, heavier={**self.heavier, family: heavier})

    def share(self, recipe: Recipe, profile: Profile) -> float | None:
        """Of the limit that is nearest, or passed the farthest. None where nothing is known."""
        return max(self.shares(recipe, profile).values(), default=None)

    def passed(self, recipe: Recipe, profile: Profile) -> str:
        """Which limits the recipe's network would pass, and how far, for people."""
        shares = self.shares(recipe, profile)
        said = []
        if self.parameters is not None and shares.get("parameters", 0) > 1:
            said.append(f"about {parameters(recipe, profile)} parameters, and the limits allow {self.parameters}")
        if self.file_bytes is not None and shares.get("file", 0) > 1:
            expected = math.ceil(shares["file"] * self.file_bytes)
            said.append(f"an int8 file of about {expected} bytes, and the limits allow {self.file_bytes}")
        if self.memory_bytes is not None and shares.get("memory", 0) > 1:
            expected = math.ceil(shares["memory"] * self.memory_bytes)
            said.append(f"activations of about {expected} bytes at once, and the limit is {self.memory_bytes}")
        if self.latency_ms is not None and shares.get("latency", 0) > 1:
            expected_ms = shares["latency"] * LATENCY_MARGIN * self.latency_ms
            said.append(f"about {expected_ms:.3g} ms for one example, and the limit is {self.latency_ms:g} ms")
        return "; ".join(said)


def limit_parameters(constraints: Constraints, formats: tuple[FormatRequest, ...], modality: str = "") -> int | None:
    """The largest number of weights with which the smallest artifact asked for can meet the limits; None without limits."""
    limits = []
    if constraints.max_parameters is not None:
        limits.append(constraints.max_parameters)
    if constraints.max_size_bytes is not None:
        beside = GRAPH_BYTES + companions.expected_bytes(constraints.max_size_bytes, modality)
        left = constraints.max_size_bytes - beside
        # Where files are foreseen as such, no more is refused here than what surely is too much: a byte a weight.
        foreseen = limit_file_bytes(constraints, formats, modality) is not None
        limits.append(max(0, left if foreseen else in_weights(left, formats)))
    return min(limits, default=None)


def in_weights(size_bytes: float, formats: tuple[FormatRequest, ...]) -> int:
    """As how many weights so many bytes count, in the narrowest precision that is asked for."""
    return int(size_bytes / min((BYTES[f.precision] for f in formats), default=4.0))


def limit_file_bytes(constraints: Constraints, formats: tuple[FormatRequest, ...], modality: str = "") -> int | None:
    """The largest .tflite file of 8-bit weights, without what travels with it, that the limits allow; None where there is no
    such limit, or no such file is asked for."""
    eight_bits = any(entries.formats[f.format].model == "tflite" and f.precision in EIGHT_BITS for f in formats)
    if constraints.max_size_bytes is None or not eight_bits:
        return None
    return max(1, constraints.max_size_bytes - companions.expected_bytes(constraints.max_size_bytes, modality))


def _footprint(recipe: Recipe, profile: Profile) -> Footprint | None:
    """Of a network that is laid down as a blueprint; None of another."""
    family = entries.architectures[recipe.architecture.id]
    if family.blueprint is None:
        return None
    params = compose.complete(recipe.architecture, family.params)
    return footprint(family.blueprint(profile, **params), profile.outputs)


def _file_bytes(recipe: Recipe, profile: Profile, known: Footprint | None, heavier: float) -> float | None:
    """Of the .tflite file of 8-bit weights, without what travels with it; None where only building tells. `heavier`: see
    `Limits`; a family that knows its files has no statistics in them."""
    if known is not None:
        return known.int8_bytes
    weights, family = parameters(recipe, profile), entries.architectures[recipe.architecture.id]
    if weights is None:
        return None
    if family.overhead is None:
        return BYTES["int8"] * heavier * weights + GRAPH_BYTES
    return weights + family.overhead(profile, **compose.complete(recipe.architecture, family.params))


def _traveling(recipe: Recipe, profile: Profile) -> int:
    """Bytes that the recipe's techniques add to what travels in a file."""
    chosen = [(entries.techniques[choice.id], choice) for choice in recipe.techniques if choice.id in entries.techniques]
    return sum(
        technique.travels(profile, **compose.complete(choice, technique.params))
        for technique, choice in chosen if technique.travels is not None
    )


def within(space: Space, recipe: Recipe, limits: Limits) -> Recipe | None:
    """The recipe when its network meets the limits, else the same with a smaller architecture; None when none is small
    enough. A network of which nothing is known before it is built is let through. A genotype stays as it is; what is made
    smaller are width and depth."""
    def measure(recipe: Recipe) -> float | None:
        return limits.share(recipe, space.profile)

    share = measure(recipe)
    if share is None or share <= 1:
        return recipe
    for assignment in _with_fewer_stages(space, assignment_of(space, recipe)):
        found = _largest(space, assignment, recipe, measure)
        if found is None and (share := measure(_recipe(space, assignment, recipe)) or 0.0) > 1:
            found = _stepped_down(space, assignment, recipe, share, measure)
        if found is not None:
            return _recipe(space, found, recipe)
    return None


def _largest(space: Space, assignment: Assignment, like: Recipe, measure: Measure) -> Assignment | None:
    """Of a family of pictures, the largest within the limits that is narrower and else the same; where none is, of all
    assignments of no larger parameters with the same stages. None where none fits, or they are too many to be looked at."""
    family = str(assignment["architecture"])
    if f"{family}.{STAGES}" not in assignment:
        return None
    sizes = [(d.name, values) for d, values in _sizes(space, assignment) if d.name != f"{family}.{STAGES}"]
    for changed in ([size for size in sizes if size[0] == f"{family}.{WIDTH}"], sizes):
        if math.prod(len(values) for _, values in changed) > MOST_LOOKED_AT:
            return None
        names = [name for name, _ in changed]
        every = [
            assignment | dict(zip(names, values, strict=True)) for values in itertools.product(*(v for _, v in changed))
        ]
        shares = [measure(_recipe(space, one, like)) for one in every]
        if fitting := [(share, -n) for n, share in enumerate(shares) if share is not None and share <= 1]:
            return every[-max(fitting)[1]]
    return None


def narrower(space: Space, recipe: Recipe, least: float) -> list[Recipe]:
    """The recipe with fewer and fewer channels, down to the share `least` of them; none of a family that has no width."""
    assignment = assignment_of(space, recipe)
    for d, values in _sizes(space, assignment):
        if d.name == f"{assignment['architecture']}.{WIDTH}":
            now = int(assignment[d.name])
            fewer = sorted((int(v) for v in values if least * now <= int(v) < now), reverse=True)
            return [_recipe(space, assignment | {d.name: n}, recipe) for n in fewer]
    return []


def _sizes(space: Space, assignment: Assignment) -> list[tuple[Dimension, list[ParameterValue]]]:
    """The architecture's parameters that the assignment sets, with the values of their domains that are no larger."""
    found: list[tuple[Dimension, list[ParameterValue]]] = []
    for d in _own(space, assignment):
        value = assignment[d.name]
        if isinstance(d.domain, Categorical):
            there = list(d.domain.values)
            numbers = all(isinstance(v, int | float) for v in there)
            found.append((d, [v for v in there if v <= value] if numbers else there))  # type: ignore[operator]
        elif isinstance(d.domain, Int):
            found.append((d, list(range(int(value), d.domain.low - 1, -d.domain.step))))
    return found


def _own(space: Space, assignment: Assignment) -> list[Dimension]:
    """The architecture's parameters that the assignment sets; decisions of a genotype are none of them."""
    decisions = {dimension(name, d) for name, genotypes in space.genotypes.items() for d in genotypes.decisions}
    family = str(assignment["architecture"])
    return [
        d for d in space.dimensions
        if d.name.startswith(f"{family}.") and d.name in assignment and d.name not in decisions
    ]


def _stepped_down(
    space: Space, assignment: Assignment, like: Recipe, share: float, measure: Measure
) -> Assignment | None:
    """What steps down lead to, one parameter at a time, its stages kept; None where none is small enough."""
    while smaller := _smaller(space, assignment, like, share, measure, STAGES):
        fitting = [item for item in smaller if item[0] <= 1]
        # The largest that fits; while none does, the largest step down.
        share, _, assignment = max(fitting) if fitting else min(smaller)
        if fitting:
            return assignment
    return None


def _with_fewer_stages(space: Space, assignment: Assignment) -> list[Assignment]:
    """The assignment as it is, then with fewer and fewer stages."""
    name = f"{assignment['architecture']}.{STAGES}"
    domain = next((d.domain for d in space.dimensions if d.name == name), None)
    if name not in assignment or not isinstance(domain, Int):
        return [assignment]
    return [assignment | {name: n} for n in range(int(assignment[name]), domain.low - 1, -domain.step)]


def check_feasible(space: Space, constraints: Constraints, formats: tuple[FormatRequest, ...]) -> None:
    """Raises `Infeasible` with the nearest possible limit when not even the smallest model of the space meets the limits of
    size, or of memory where every architecture's is foreseen."""
    modality = space.profile.modality
    limits = dataclasses.replace(Limits.of(constraints, formats, modality=modality), latency_ms=None)
    if not limits.any:
        return
    nearest: tuple[float, Recipe] | None = None
    families = next(d for d in space.dimensions if d.name == "architecture")
    assert isinstance(families.domain, Categorical)
    for family in families.domain.values:
        recipe = space.recipe(space.complete({"architecture": family}), 0)
        if within(space, recipe, limits) is not None:
            return
        least = _least(space, recipe, lambda r: limits.share(r, space.profile))
        nearest = least if nearest is None else min(nearest, least, key=lambda item: item[0])
    assert nearest is not None
    smallest = nearest[1]
    shares = limits.shares(smallest, space.profile)
    if max(shares, key=lambda name: shares[name]) == "memory":
        needed = math.ceil(shares["memory"] * (limits.memory_bytes or 0))
        raise Infeasible(
            f"no model of the space computes within {limits.memory_bytes} bytes of memory for its activations: the most "
            f"frugal needs about {needed}; allow at least that"
        )
    narrowest = min((BYTES[f.precision] for f in formats), default=4.0)
    weights = parameters(smallest, space.profile)
    size = constraints.max_size_bytes
    beside = companions.expected_bytes(size or 0, modality)
    needed = int((weights or 0) * narrowest) + GRAPH_BYTES + beside
    if limits.file_bytes is not None and "file" in shares:
        needed = max(needed, math.ceil(shares["file"] * limits.file_bytes) + beside)
    wish = f"{size} bytes" if size is not None else f"{constraints.max_parameters} parameters"
    raise Infeasible(
        f"no model of the space fits into {wish}: the smallest has about {weights} parameters, which take about {needed} "
        "bytes in the narrowest precision asked for; allow at least that, or ask for a narrower one (tflite:int8)"
    )


def quickest(space: Space, limits: Limits) -> tuple[float, Recipe] | None:
    """Of the space's families the network nearest to the limit of latency that steps down from a default reach, with the
    share of the limit that it takes; None where one is too little known to say that it passes the limit."""
    alone = Limits(latency_ms=limits.latency_ms, foreseen_ms=limits.foreseen_ms)
    families = next(d for d in space.dimensions if d.name == "architecture")
    assert isinstance(families.domain, Categorical)
    found: tuple[float, Recipe] | None = None
    for family in families.domain.values:
        recipe = space.recipe(space.complete({"architecture": family}), 0)
        if alone.share(recipe, space.profile) is None:
            return None
        if within(space, recipe, alone) is not None:
            return None
        least = _least(space, recipe, lambda r: alone.share(r, space.profile))
        found = least if found is None else min(found, least, key=lambda item: item[0])
    return found


def _least(space: Space, recipe: Recipe, measure: Measure) -> tuple[float, Recipe]:
    """The smallest model that steps down from the recipe reach, and its measure."""
    share = measure(recipe) or 0.0
    assignment = assignment_of(space, recipe)
    while True:
        smaller = _smaller(space, assignment, recipe, share, measure)
        if not smaller:
            return share, _recipe(space, assignment, recipe)
        share, _, assignment = min(smaller)


def _smaller(
    space: Space, assignment: Assignment, like: Recipe, share: float, measure: Measure, held: str = ""
) -> list[tuple[float, int, Assignment]]:
    """The steps that make the model smaller than `share`, as (measure, number, assignment); none changes the parameter
    `held`."""
    shares = [
        (measure(_recipe(space, step, like)) or 0.0, n, step) for n, step in enumerate(_steps(space, assignment, held))
    ]
    return [item for item in shares if item[0] < share]


def _steps(space: Space, assignment: Assignment, held: str = "") -> list[Assignment]:
    """The assignment with each of the architecture's parameters changed to another value of its domain; decisions of a
    genotype stay, and the parameter `held`."""
    found = []
    for d in _own(space, assignment):
        if d.name == f"{assignment['architecture']}.{held}":
            continue
        others: list[ParameterValue] = []
        if isinstance(d.domain, Categorical):
            others = [v for v in d.domain.values if v != assignment[d.name]]
        elif isinstance(d.domain, Int):
            value = int(assignment[d.name])
            others = [d.domain.snap(v) for v in (value - d.domain.step, (value + d.domain.low) // 2, d.domain.low)]
        found += [assignment | {d.name: v} for v in others if v != assignment[d.name]]
    return found


def _recipe(space: Space, assignment: Assignment, like: Recipe) -> Recipe:
    made = space.recipe(assignment, like.seed)
    return made.model_copy(update={"epochs": like.epochs, "batch_size": like.batch_size})
