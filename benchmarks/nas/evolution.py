"""The strategy `evolution` itself on the small pictures: it is asked, what it proposes is trained, and it is told.

There is no clock, only a number of trainings, those of promoted candidates among them; one runs at a time. A promotion
trains anew from the first epoch, which gives what going on would have given. Children are scored in pools before some of
them are trained, as in a job whose trainings take longer than scores: those here are small, those they stand for aren't.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automl.catalog.domains import Categorical
from automl.data.prepared import PreparedDataset
from automl.execution import children
from automl.export.deliver import CHILD_ENV
from automl.search import screening, strategies
from automl.search.budget import ENDLESS, Speed
from automl.search.genotypes import WORTH_S, standing
from automl.spec import Measurement, Outcome, Recipe, Trial
from automl.spec.recipe import ParameterValue
from benchmarks.nas import small
from benchmarks.nas.rows import Given
from benchmarks.techniques import runs

STRATEGY = "evolution"
RUN_S = 900.0
"""Longest training."""
SCORING_S = 300.0
"""Longest scoring of a pool."""
OUTLOOK = dataclasses.replace(ENDLESS, speed=lambda recipe: Speed(WORTH_S, 0.0, False))
"""No clock, and trainings that are worth a score before them."""


def search(
    ledger: runs.Ledger, data: PreparedDataset, given: Given, architecture: str, params: Mapping[str, ParameterValue], *,
    trainings: int, epochs: int, batch: int, seed: int,
) -> dict[str, Any] | None:
    """{"found": [architectures, the best first], "message"}; None while trainings are left and the time is up."""
    space = small.space_of(data, architecture, **{name: str(value) for name, value in params.items()})
    space = dataclasses.replace(space, dimensions=tuple(
        dataclasses.replace(d, domain=Categorical((epochs,), epochs)) if d.name == "epochs" else d for d in space.dimensions
    ))
    sampler = strategies.make(STRATEGY, space, seed)
    best: dict[ParameterValue, Trial] = {}
    scores = Scores(given.work / f"{STRATEGY}-scores.jsonl", data)
    for number in range(1, trainings + 1):
        if time.monotonic() >= given.ends:
            return None
        if wanted := sampler.unscored(OUTLOOK):
            sampler.scored(screening.event(wanted, scores.of(wanted), wall_s=0.0))
        proposal = sampler.ask(f"t{number:04d}", OUTLOOK)
        assert proposal is not None, f"{STRATEGY} proposes nothing after {number - 1} trainings"
        trial = Trial(id=f"t{number:04d}", recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)
        sampler.tell(trial)
        run = _trained(ledger, data, trial.recipe, trial.fidelity.epochs, batch, seed)
        given.say(f"{STRATEGY}, seed {seed}: {number} of {trainings}, {run.key}: {run.score}")
        done = trial.fidelity.epochs
        last = Measurement(epoch=done, train_loss=None, validation={}, score=run.score or 0.0, elapsed_s=1.0, step_s=1.0)
        told = {"outcome": Outcome(run.outcome), "score": run.score, "measurements": (last,), "best_epoch": done}
        trial = trial.model_copy(update=told)
        sampler.tell(trial)
        genotype = trial.recipe.architecture.params["genotype"]
        if run.score is not None and (genotype not in best or standing(trial) > standing(best[genotype])):
            best[genotype] = trial
    found = sorted(best.values(), key=standing, reverse=True)
    message = f"{found[0].score:.4f} after {found[0].fidelity.epochs} epochs" if found else "nothing trained"
    return {
        "found": [{"architecture": t.recipe.architecture.to_dict()} for t in found],
        "message": f"{trainings} trainings, the best {message}",
    }


class Scores:
    """Scores of candidates as a job makes them, kept in a file line by line: the same search scores none of them twice."""

    def __init__(self, path: Path, data: PreparedDataset):
        self._path, self._data = path, data
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        self._known: dict[str, dict[str, Any]] = {one["recipe"]: one for one in map(json.loads, lines)}

    def of(self, recipes: Sequence[Recipe]) -> dict[str, Any]:
        """The answer of `automl.nas.zero_cost.score_in_child` for them."""
        if missing := [recipe for recipe in recipes if recipe.identity not in self._known]:
            answer = children.run_in_child(
                "automl.nas.zero_cost:score_in_child", timeout_s=2 * SCORING_S, env=CHILD_ENV,
                request={
                    "recipes": [recipe.to_dict() for recipe in missing], "prepared": str(self._data.path),
                    "seconds": SCORING_S,
                },
            )
            with self._path.open("a", encoding="utf-8") as file:
                for recipe, scores, fault in zip(missing, answer["scores"], answer["faults"], strict=True):
                    self._known[recipe.identity] = one = {"recipe": recipe.identity, "scores": scores, "fault": fault}
                    file.write(json.dumps(one) + "\n")
        known = [self._known[recipe.identity] for recipe in recipes]
        return {"scores": [one["scores"] for one in known], "faults": [one["fault"] for one in known]}


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
