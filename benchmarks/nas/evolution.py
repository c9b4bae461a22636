"""The strategy `evolution` itself on the small pictures: it is asked, what it proposes is trained, and it is told.

There is no clock, only a number of trainings, those of promoted candidates among them; one runs at a time. A promotion
trains anew from the first epoch, which gives what going on would have given. Candidates aren't scored before: on this space
weights alone rank better than the scores (`zero_cost.py`), and rivals of equal size are what counts here.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from automl.catalog.domains import Categorical
from automl.data.prepared import PreparedDataset
from automl.search import strategies
from automl.search.budget import ENDLESS
from automl.search.genotypes import standing
from automl.spec import Measurement, Outcome, Recipe, Trial
from automl.spec.recipe import ParameterValue
from benchmarks.nas import small
from benchmarks.nas.rows import Given
from benchmarks.techniques import runs

STRATEGY = "evolution"
RUN_S = 900.0
"""Longest training."""


def search(
    ledger: runs.Ledger, data: PreparedDataset, given: Given, architecture: str, params: Mapping[str, ParameterValue], *,
    trainings: int, epochs: int, batch: int, seed: int,
) -> dict[str, Any] | None:
    """{"found": [the best's architecture], "message"}; None while trainings are left and the time is up."""
    space = small.space_of(data, architecture, **{name: str(value) for name, value in params.items()})
    space = dataclasses.replace(space, dimensions=tuple(
        dataclasses.replace(d, domain=Categorical((epochs,), epochs)) if d.name == "epochs" else d for d in space.dimensions
    ))
    sampler, trials = strategies.make(STRATEGY, space, seed), []
    for number in range(1, trainings + 1):
        if time.monotonic() >= given.ends:
            return None
        proposal = sampler.ask(f"t{number:04d}", ENDLESS)
        assert proposal is not None, f"{STRATEGY} proposes nothing after {number - 1} trainings"
        trial = Trial(id=f"t{number:04d}", recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)
        sampler.tell(trial)
        run = _trained(ledger, data, trial.recipe, trial.fidelity.epochs, batch, seed)
        given.say(f"{STRATEGY}, seed {seed}: {number} of {trainings}, {run.key}: {run.score}")
        done = trial.fidelity.epochs
        last = Measurement(epoch=done, train_loss=None, validation={}, score=run.score or 0.0, elapsed_s=1.0, step_s=1.0)
        told = {"outcome": Outcome(run.outcome), "score": run.score, "measurements": (last,), "best_epoch": done}
        trials.append(trial.model_copy(update=told))
        sampler.tell(trials[-1])
    best = max((t for t in trials if t.score is not None), key=standing, default=None)
    found = [] if best is None else [{"architecture": best.recipe.architecture.to_dict()}]
    message = "nothing trained" if best is None else f"{best.score:.4f} after {best.fidelity.epochs} epochs"
    return {"found": found, "message": f"{trainings} trainings, the best {message}"}


def _trained(ledger: runs.Ledger, data: PreparedDataset, like: Recipe, epochs: int, batch: int, seed: int) -> runs.Run:
    """A training of so many epochs of the recipe's schedule, remembered."""
    recipe = like.model_copy(update={"fold": small.FOLD, "batch_size": batch})
    key = f"{recipe.identity[:16]} {STRATEGY} {recipe.architecture.params['genotype']} {epochs} {seed}"
    if (run := ledger.get(key)) is None:
        run = runs.train(key, recipe, data.path, small.METRIC, limit_s=RUN_S, epochs=epochs)
        if run.outcome == Outcome.LOST:
            raise SystemExit(f"{key}: {run.message}; nothing is recorded, the same call tries it again")
        ledger.add(run)
    return run
