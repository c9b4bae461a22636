"""Limits of size before training: how many weights the limits allow, and a recipe's architecture made small enough."""

from __future__ import annotations

import math
from collections.abc import Callable

from automl.catalog import compose, entries
from automl.catalog.domains import Categorical, Int
from automl.catalog.footprint import footprint
from automl.catalog.genotypes import dimension
from automl.catalog.space import Assignment, Space
from automl.search.budget import parameters
from automl.search.sampler import assignment_of
from automl.spec import Constraints, FormatRequest, Infeasible, Profile, Recipe
from automl.spec.recipe import ParameterValue

BYTES = {"float32": 4.0, "float16": 2.0, "dynamic": 1.05, "int8": 1.1, "int16x8": 1.1}
"""A weight in a file of that precision; biases and scales of quantised ones stay wider."""
OVERHEAD_BYTES = 6_000
"""Of a file beside its weights: the graph, and what travels with it…"""
COMPANION_BYTES = 4_500
"""… which alone are about as many: preprocessing, recipe, labels, model card, samples."""
EIGHT_BITS = ("int8", "dynamic")
Measure = Callable[[Recipe], int | None]


def limit_parameters(constraints: Constraints, formats: tuple[FormatRequest, ...]) -> int | None:
    """The largest number of weights with which the smallest artifact asked for can meet the limits; None without limits."""
    limits = []
    if constraints.max_parameters is not None:
        limits.append(constraints.max_parameters)
    if constraints.max_size_bytes is not None:
        narrowest = min((BYTES[f.precision] for f in formats), default=4.0)
        limits.append(max(0, int((constraints.max_size_bytes - OVERHEAD_BYTES) / narrowest)))
    return min(limits, default=None)


def limit_file_bytes(constraints: Constraints, formats: tuple[FormatRequest, ...]) -> int | None:
    """The largest .tflite file of 8-bit weights, without what travels with it, that the limits allow; None where there is no
    such limit, or no such file is asked for."""
    eight_bits = any(entries.formats[f.format].model == "tflite" and f.precision in EIGHT_BITS for f in formats)
    if constraints.max_size_bytes is None or not eight_bits:
        return None
    return max(1, constraints.max_size_bytes - COMPANION_BYTES)


def heft(recipe: Recipe, profile: Profile, limit: int, file_bytes: int | None) -> int | None:
    """What is compared with the `limit` of weights: the recipe's weights, or, where the file that its blueprint foretells is
    nearer to its own limit, the same share of `limit`. Networks of many small operations have files far larger than their
    weights."""
    size = parameters(recipe, profile)
    id = recipe.architecture.id
    if size is None or file_bytes is None or (lay_down := entries.architectures[id].blueprint) is None:
        return size
    params = compose.complete(recipe.architecture, entries.architectures[id].params)
    expected = footprint(lay_down(profile, **params), profile.outputs).int8_bytes
    return max(size, math.ceil(limit * expected / file_bytes))


def within(space: Space, recipe: Recipe, limit: int, file_bytes: int | None = None) -> Recipe | None:
    """The recipe when it has at most `limit` weights and its int8 file `file_bytes` (see `limit_file_bytes`), else the same
    with a smaller architecture; None when none is small enough. A family whose size only building tells is let through. A
    genotype stays as it is; what is made smaller are width and depth."""
    def measure(recipe: Recipe) -> int | None:
        return heft(recipe, space.profile, limit, file_bytes)

    size = measure(recipe)
    if size is None or size <= limit:
        return recipe
    assignment = assignment_of(space, recipe)
    while True:
        smaller = _smaller(space, assignment, recipe, size, measure)
        if not smaller:
            return None
        fitting = [item for item in smaller if item[0] <= limit]
        # The largest that fits; while none does, the largest step down.
        size, _, assignment = max(fitting) if fitting else min(smaller)
        if fitting:
            return _recipe(space, assignment, recipe)


def check_feasible(space: Space, constraints: Constraints, formats: tuple[FormatRequest, ...]) -> None:
    """Raises `Infeasible` with the nearest possible limit when not even the smallest model of the space meets the limits."""
    limit, file_bytes = limit_parameters(constraints, formats), limit_file_bytes(constraints, formats)
    if limit is None:
        return
    smallest = None
    families = next(d for d in space.dimensions if d.name == "architecture")
    assert isinstance(families.domain, Categorical)
    for family in families.domain.values:
        recipe = space.recipe(space.complete({"architecture": family}), 0)
        if within(space, recipe, limit, file_bytes) is not None:
            return
        least = _least(space, recipe, lambda r: heft(r, space.profile, limit, file_bytes))
        smallest = least if smallest is None else min(smallest, least)
    narrowest = min((BYTES[f.precision] for f in formats), default=4.0)
    needed = int((smallest or 0) * narrowest) + OVERHEAD_BYTES
    size = constraints.max_size_bytes
    wish = f"{size} bytes" if size is not None else f"{constraints.max_parameters} parameters"
    raise Infeasible(
        f"no model of the space fits into {wish}: the smallest has about {smallest} parameters, which take about {needed} "
        "bytes in the narrowest precision asked for; allow at least that, or ask for a narrower one (tflite:int8)"
    )


def _least(space: Space, recipe: Recipe, measure: Measure) -> int:
    """The measure of the smallest model that steps down from the recipe reach."""
    size = measure(recipe) or 0
    assignment = assignment_of(space, recipe)
    while True:
        smaller = _smaller(space, assignment, recipe, size, measure)
        if not smaller:
            return size
        size, _, assignment = min(smaller)


def _smaller(
    space: Space, assignment: Assignment, like: Recipe, size: int, measure: Measure
) -> list[tuple[int, int, Assignment]]:
    """The steps that make the model smaller than `size`, as (measure, number, assignment)."""
    sizes = [
        (measure(_recipe(space, step, like)) or 0, n, step) for n, step in enumerate(_steps(space, assignment))
    ]
    return [item for item in sizes if item[0] < size]


def _steps(space: Space, assignment: Assignment) -> list[Assignment]:
    """The assignment with each of the architecture's parameters changed to another value of its domain; decisions of a
    genotype stay."""
    family = str(assignment["architecture"])
    decisions = {dimension(name, d) for name, genotypes in space.genotypes.items() for d in genotypes.decisions}
    found = []
    for d in space.dimensions:
        if d.name.startswith(f"{family}.") and d.name in assignment and d.name not in decisions:
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
