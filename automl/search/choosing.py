"""Whether `--strategy auto` searches architectures as genotypes, decided by what is known before anything is trained.

Hand-made families with recipes that are known to be strong come first: under a short clock one good recipe trained to the
end beats many architectures trained a little. Genotypes are searched where the limits leave no room for such families:

- not even the smallest of them meets the limits of size, and a genotype does; or
- a limit of memory is so tight that the usual genotypes have to be narrowed for it. Of hand-made families nothing tells the
  memory of their activations before a file is written, and all of a job's trainings may turn out too large; a genotype's is
  known.
"""

from __future__ import annotations

import dataclasses

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
    hand: Space, genotypes: Space | None, constraints: Constraints, formats: tuple[FormatRequest, ...]
) -> Choice:
    """Between the space of hand-made families and that of genotypes, None where the data have none."""
    if genotypes is None or not genotypes.by_genotype:
        return Choice("auto", "there are no spaces of genotypes for these data and settings")
    if (too_large := _infeasible(hand, constraints, formats)) and not _infeasible(genotypes, constraints, formats):
        return Choice(STRATEGY, f"of the architectures drawn by hand, {too_large}; genotypes meet the limits")
    limit = constraints.max_memory_bytes
    if limit is not None and not _infeasible(genotypes, constraints, formats) and _has_to_shrink(genotypes, limit):
        return Choice(
            STRATEGY, f"{limit:,} bytes of memory are less than usual networks need for their activations, and only of "
            "genotypes that is known before they are trained",
        )
    return Choice(
        "auto", "no limit asks for less than architectures drawn by hand, whose recipes are known to be strong, can meet"
    )


def _infeasible(space: Space, constraints: Constraints, formats: tuple[FormatRequest, ...]) -> str:
    """Why nothing of the space meets the limits; "" where something does."""
    try:
        sizing.check_feasible(space, constraints, formats)
    except Infeasible as error:
        return str(error)
    return ""


def _has_to_shrink(space: Space, limit: int) -> bool:
    """Whether every family's default network needs more memory."""
    families = next(d.domain for d in space.dimensions if d.name == "architecture")
    assert isinstance(families, Categorical)
    limits = sizing.Limits(memory_bytes=limit)
    shares = [
        limits.share(space.recipe(space.complete({"architecture": name}), 0), space.profile) for name in families.values
    ]
    return all(share is not None and share > 1 for share in shares)
