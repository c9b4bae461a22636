"""Another network out of a kept supernet, for a limit of size or latency: chosen in seconds, without training.

The predictor learns anew from the scores that the supernet's search left; evolution looks among networks whose size follows
from their blueprint. Latency needs a table of operations (`automl.nas.latency`): those of some networks all over the space
are timed, a line through them steers evolution, and the operations of its best are timed before one is chosen. So what is
returned meets the limit by the table; the artifact's own figures are measured afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from automl.catalog.blueprint import Blueprint
from automl.catalog.footprint import footprint
from automl.data.prepared import PreparedDataset
from automl.execution.children import run_in_child
from automl.nas import carving, once_for_all
from automl.nas.latency import Table
from automl.nas.subnetworks import Predictor, Space, Sub, evolved
from automl.spec import InvalidInput, Recipe
from automl.training import backends

SHARES = (1.0, 0.6, 0.4, 0.25, 0.15, 0.1)
"""Multiplications, as shares of the largest's, at which networks are timed first."""
DRAWN = 200
"""Networks from which those are taken: the best of each share."""
FINALISTS = 6
MARGIN = 0.95
"""Evolution stays below the limit by as much: the line through the timed networks isn't exact."""
TABLE_S = 12.0
"""For timing operations, at most, in each of the two turns."""
BYTES = {"float32": 4.0, "float16": 2.0, "dynamic": 1.0, "int8": 1.0, "int16x8": 1.0}
"""Of a weight."""


def choose_in_child(request: dict[str, Any]) -> dict[str, Any]:
    """{"supernet", "prepared", "out", "cache": folders, "metric", "precision", "max_size_bytes", "max_latency_ms"} (limits
    may be None) → {"genotype", "expected", "macs", "bytes", "ms" (by the table, or None), "score"}; the candidate is written
    to `out`. Raises `InvalidInput` where no network inside the supernet meets the limits."""
    backends.limit_threads(1)
    supernet, prepared = Path(request["supernet"]), PreparedDataset.open(Path(request["prepared"]))
    _, known = once_for_all.read(supernet)
    space, recipe = Space.from_dict(known["space"]), Recipe.from_dict(known["recipe"])
    subs, scores = once_for_all.pairs(space, known["scored"])
    if len(subs) < once_for_all.LEAST_SCORED:
        raise InvalidInput.at(
            "retarget", f"only {len(subs)} networks inside the supernet were scored, too few to choose by: train it longer",
            reason="SUPERNET_UNSCORED",
        )
    outputs, precision = prepared.meta.profile.outputs, str(request["precision"])
    limit_bytes, limit_ms = request["max_size_bytes"], request["max_latency_ms"]

    def small(sub: Sub) -> bool:
        return limit_bytes is None or size(space.network(sub), outputs, precision) <= limit_bytes

    predictor = Predictor(space, subs, scores)
    best: Sub | None = None
    ms: float | None = None
    if limit_ms is None:
        best = next(iter(evolved(space, predictor, small, random.Random(0), subs)), None)
        least = f"{size(space.network(space.smallest()), outputs, precision):,} bytes"
    else:
        table = Table.here(Path(request["cache"]))
        best, ms, least = fastest(space, predictor, small, table, outputs, precision, float(limit_ms))
    if best is None:
        raise InvalidInput.at(
            "retarget", f"no network inside the supernet meets the limits; the smallest is foreseen at {least}",
            reason="INFEASIBLE",
        )
    chosen = recipe.model_copy(update={"architecture": best.choice})
    result = carving.write(supernet, chosen, prepared, Path(request["out"]), metric=str(request["metric"]))
    net = space.network(best)
    return {
        "genotype": best.genotype, "width": best.width, "resolution": best.resolution, "expected": predictor(best),
        "macs": net.macs, "bytes": size(net, outputs, precision), "ms": ms, "score": result.score,
    }


def fastest(
    space: Space, predictor: Callable[[Sub], float], small: Callable[[Sub], bool], table: Table, outputs: int,
    precision: str, limit_ms: float,
) -> tuple[Sub | None, float | None, str]:
    """The best network that the table foresees within the limit, its time, and in words the least time that was met."""
    from automl.catalog import operations

    def timed(some: list[Sub]) -> dict[Sub, float]:
        lists = {sub: operations.of_network(space.network(sub), outputs, precision) for sub in some}  # type: ignore[arg-type]
        table.measure([o for ops in lists.values() for o in ops], run_in_child, limit_s=TABLE_S)
        foreseen = {sub: table.predict(ops) for sub, ops in lists.items()}
        return {sub: timing.ms for sub, timing in foreseen.items() if timing is not None}

    whole, rng = space.network(space.largest()).macs, random.Random(0)
    drawn = [sub for sub in (space.smallest(), *(space.sample(rng) for _ in range(DRAWN))) if space.fits(sub)]
    drawn.sort(key=predictor, reverse=True)
    first = [
        sub for share in SHARES for sub in [sub for sub in drawn if space.network(sub).macs <= share * whole][:2]
    ]
    known = timed(list(dict.fromkeys(first)))
    if not known:
        return None, None, "an unknown time: no operation could be timed"
    line = fitted(space, known)
    ranked = evolved(
        space, predictor, lambda sub: small(sub) and line(sub) <= MARGIN * limit_ms, random.Random(1), list(known)
    )
    known |= timed(ranked[:FINALISTS])
    fitting = [sub for sub, ms in known.items() if ms <= limit_ms and small(sub)]
    best = max(fitting, key=predictor, default=None)
    return best, None if best is None else known[best], f"{min(known.values()):.3g} ms"


def fitted(space: Space, known: dict[Sub, float]) -> Callable[[Sub], float]:
    """Milliseconds as a line in multiplications, activations and operations, by least squares on those that are known."""
    def row(sub: Sub) -> list[float]:
        net = space.network(sub)
        return [1.0, net.macs / 1e6, sum(p.size for p in net.parts) / 1e6, len(net.parts) / 1e2]

    x, y = np.array([row(sub) for sub in known]), np.array(list(known.values()))
    slopes = np.linalg.lstsq(x, y, rcond=None)[0]
    return lambda sub: float(np.array(row(sub)) @ slopes)


def size(net: Blueprint, outputs: int, precision: str) -> int:
    """Bytes of the file that a network becomes, without what travels with it."""
    costs = footprint(net, outputs)
    return costs.int8_bytes + int((BYTES[precision] - 1.0) * costs.parameters)
