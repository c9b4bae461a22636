"""The compression ladder: rungs that make a candidate smaller, each kept only behind a guard of accuracy.

Today's rungs are magnitude pruning at rising sparsities, each going on from the last accepted one. A rung that fails,
loses too much or finds no time leaves the candidate as it was, and says so in an event.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.compression import magnitude
from automl.export import candidate as candidates
from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES, RunInChild, warm
from automl.spec import AutoMLError
from automl.spec.event import Compressed, Noted
from automl.tasks import metrics

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

SPARSITIES = (0.5, 0.75)
GUARD = 0.5
"""Share of the job's tolerance that compression may use; the rest is left to quantisation."""
EPOCHS = 5
LONGEST_S = 75.0
SHORTEST_S = 15.0
"""Of a whole rung: imports, tracing and evaluation take 8 s on an idle machine and twice that beside other work."""
GRACE = 1.5
"""A rung keeps its time by itself; one that doesn't is ended at so many times it."""
SAFETY = 1.2
"""A rung is given its share of the time divided by this."""
_ROUNDING = 1e-9


def compress(
    candidate: Path,
    prepared: PreparedDataset,
    *,
    metric: str,
    tolerance: float,
    out: Path,
    run_in_child: RunInChild,
    deadline: float | None,
    emit: Callable[[Any], None],
    forbidden: Collection[str] = (),
    seed: int = 0,
) -> Path:
    """The folder of the smallest candidate that the guard accepts: `candidate` itself, or one written below `out`.

    `tolerance` is the job's: largest loss of the metric, absolute, or relative for errors. `deadline` is on the clock of
    `time.monotonic()`. `forbidden` are ids of techniques that the user forbids. A recipe that names `magnitude-pruning`
    gets its own sparsity as the only rung. Emits one `Compressed` for each rung that was tried, and a `Noted` when there
    is no time for one. The metric is measured on the validation rows; after a final fit on them too it still compares
    before and after.
    """
    if magnitude.TECHNIQUE in forbidden:
        return candidate
    wanted = candidates.Candidate(candidate).recipe.params_of(magnitude.TECHNIQUE)
    sparsities = SPARSITIES if wanted is None else (float(wanted.get("sparsity", SPARSITIES[0])),)
    best, original = candidate, None
    for rung, sparsity in enumerate(sparsities):
        time_s = _share(deadline, rungs=len(sparsities) - rung)
        if time_s < SHORTEST_S:
            emit(Noted(message=f"No time was left to prune to {sparsity:.0%}: it takes about {SHORTEST_S:.0f} s."))
            break
        folder = out / f"pruned-{round(100 * sparsity)}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            answer = run_in_child(
                target="automl.compression.magnitude:prune", memory_bytes=CHILD_MEMORY_BYTES, preload=warm(), env=CHILD_ENV,
                timeout_s=GRACE * time_s if deadline is None else max(1.0, min(GRACE * time_s, deadline - time.monotonic())),
                request={
                    "candidate": str(best), "prepared": str(prepared.path), "out": str(folder), "sparsity": sparsity,
                    "metric": metric, "epochs": EPOCHS, "time_s": time_s, "seed": seed,
                },
            )
        except AutoMLError as error:
            emit(_failed(candidates.Candidate(best), metric, sparsity, " ".join(str(error).split())))
            break
        original = float(answer["before"]) if original is None else original
        loss = _loss(metric, original, float(answer["after"]))
        accepted = loss <= GUARD * tolerance + _ROUNDING
        reason = "" if accepted else f"{metric} would lose {loss:.4f}, and pruning may cost at most {GUARD * tolerance:g}"
        emit(
            Compressed(
                technique=magnitude.TECHNIQUE, sparsity=float(answer["sparsity"]), validation_before=original,
                validation_after=float(answer["after"]), accepted=accepted, reason=reason,
            )
        )
        if not accepted:
            shutil.rmtree(folder, ignore_errors=True)
            break
        best = folder
    return best


def estimate_s(rungs: int = 1) -> float:
    """Seconds to reserve for so many rungs that have time to recover. The first one brings most; the next is tried when
    time is left."""
    return rungs * 1.5 * SHORTEST_S


def _share(deadline: float | None, rungs: int) -> float:
    """Seconds for the next of so many rungs: an even share, or everything where that is too little for a rung."""
    if deadline is None:
        return LONGEST_S
    left_s = (deadline - time.monotonic()) / SAFETY
    return min(LONGEST_S, left_s / rungs if left_s / rungs >= SHORTEST_S else left_s)


def _loss(metric: str, before: float, after: float) -> float:
    """How much worse `after` is: absolute, or relative to `before` for errors."""
    declared = metrics.get(metric)
    loss = declared.signed(before) - declared.signed(after)
    return loss if declared.larger_is_better else loss / max(abs(before), 1e-12)


def _failed(source: candidates.Candidate, metric: str, sparsity: float, reason: str) -> Compressed:
    value = float((source.result.get("validation") or {}).get(metric, 0.0))
    return Compressed(
        technique=magnitude.TECHNIQUE, sparsity=sparsity, validation_before=value, validation_after=value, accepted=False,
        reason=reason[:400],
    )
