"""Whether `--strategy auto` searches architectures as genotypes, decided by what is known before anything is trained.

Hand-made families with recipes that are known to be strong come first: under a short clock one good recipe trained to the
end beats many architectures trained a little. Genotypes are searched where the limits leave no room for such families:

- not even the smallest of them meets the limits of size, and a genotype does; or
- none of them is foreseen to meet the limit of latency, and a genotype is; or
- a limit of memory, or of latency on a device that isn't at hand, is so tight that the usual genotypes have to be narrowed
  for it. Of hand-made families nothing tells the memory of their activations or their multiplications before a file is
  written, and all of a job's trainings may turn out too large; a genotype's are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from automl.catalog.domains import Categorical
from automl.catalog.space import Space
from automl.search import sizing
from automl.spec import Constraints, FormatRequest, Infeasible

STRATEGY = "evolution"
"""The one that is chosen where genotypes are searched."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was decided."""

    strategy: str
    reason: str


def choose(
    hand: Space, genotypes: Space | None, constraints: Constraints, formats: tuple[FormatRequest, ...],
    latency: Callable[[Space], sizing.Limits | None] = lambda space: None,
) -> Choice:
    """Between the space of hand-made families and that of genotypes, None where the data have none.

    `latency` tells of a space the limit of latency with what is foreseen of its networks, which costs seconds: it is asked
    of genotypes only where hand-made families aren't foreseen to meet it. None is no such limit, or nothing foreseen.
    """
    if genotypes is None or not genotypes.by_genotype:
        return Choice("auto", "there are no spaces of genotypes for these data and settings")
    feasible = not _infeasible(genotypes, constraints, formats)
    if feasible and (too_large := _infeasible(hand, constraints, formats)):
        return Choice(STRATEGY, f"of the architectures drawn by hand, {too_large}; genotypes meet the limits")
    limit = constraints.max_memory_bytes
    if feasible and limit is not None and _has_to_shrink(genotypes, sizing.Limits(memory_bytes=limit)):
        return Choice(
            STRATEGY, f"{limit:,} bytes of memory are less than usual networks need for their activations, and only of "
            "genotypes that is known before they are trained",
        )
    if feasible and (reason := _too_slow(hand, genotypes, latency)):
        return Choice(STRATEGY, reason)
    return Choice(
        "auto", "no limit asks for less than architectures drawn by hand, whose recipes are known to be strong, can meet"
    )


def _too_slow(hand: Space, genotypes: Space, latency: Callable[[Space], sizing.Limits | None]) -> str:
    """Why the limit of latency asks for genotypes; "" where it doesn't."""
    if (limits := latency(hand)) is None:
        return ""
    unknown, slow = all(share is None for share in _shares(hand, limits)), sizing.quickest(hand, limits) is not None
    if not (unknown or slow) or (limits := latency(genotypes)) is None or sizing.quickest(genotypes, limits) is not None:
        return ""
    if slow:
        return f"no architecture drawn by hand is foreseen to take at most {limits.latency_ms:g} ms, and genotypes are"
    if _has_to_shrink(genotypes, limits):
        return (
            f"{limits.latency_ms:g} ms are less than usual networks take on the device, and only of genotypes that is "
            "estimated before they are trained"
        )
    return ""


def _infeasible(space: Space, constraints: Constraints, formats: tuple[FormatRequest, ...]) -> str:
    """Why nothing of the space meets the limits; "" where something does."""
    try:
        sizing.check_feasible(space, constraints, formats)
    except Infeasible as error:
        return str(error)
    return ""


def _has_to_shrink(space: Space, limits: sizing.Limits) -> bool:
    """Whether every family's default network passes the limits."""
    return all(share is not None and share > 1 for share in _shares(space, limits))


def _shares(space: Space, limits: sizing.Limits) -> list[float | None]:
    """Of the limits, what each family's default network takes."""
    families = next(d.domain for d in space.dimensions if d.name == "architecture")
    assert isinstance(families, Categorical)
    return [
        limits.share(space.recipe(space.complete({"architecture": name}), 0), space.profile) for name in families.values
    ]
