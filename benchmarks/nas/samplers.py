"""Each sampler against random search on the surrogate: the best of a hundred evaluations, over twenty seeds.

Samplers see the six decisions of `nas-cell`; an evaluation is what the surrogate says of a cell, two are in flight at a
time. There is one rung only, so halving has nothing to halve, and the strategies that are random search with halving
(`asha`, `hyperband`) don't stand here; nor does `grid`, which takes four options of a decision at most, nor `bayesian`,
whose oracle proposes tried cells alone after some thirty and so ends.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

from automl.architectures.nas_cell import GENOTYPES
from automl.catalog import space as spaces
from automl.catalog.domains import Categorical
from automl.catalog.space import Space
from automl.search import strategies
from automl.search.budget import ENDLESS
from automl.search.genotypes import architectures_alone
from automl.spec import Measurement, Modality, Outcome, Profile, SearchSettings, Trial
from benchmarks import machine
from benchmarks.nas import small, trained
from benchmarks.nas.rows import Given
from benchmarks.nas.surrogate import FILE, Surrogate

NAME = "samplers"
AIM = "each beats random search on the surrogate: the best of 100 evaluations over 20 seeds, p < 0.01"
SAMPLERS = ("evolution", "rl-ppo", "rl-rainbow", "mcts-alphazero", "tpe")
BASELINE = "random"
EVALUATIONS, SEEDS, SLOTS = 100, 20, 2
MARKS = (10, 20, 40, 70, 100)
SURE = 0.01
"""A sampler beats random search where chance would show as much no more often (Mann–Whitney, one-sided)."""
EPOCHS = 8
"""Of a training, as far as the samplers know: too few for a second rung."""


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row; before the surrogate is there, what is left to be trained for it."""
    if not FILE.exists():
        if given.data is None:
            raise SystemExit("the surrogate has to be fitted first: --data FOLDER is needed")
        if left := trained.train(given.data, given.work, ends=given.ends, say=given.say):
            return {"met": None, "left": left}
        Surrogate.fit(trained.records()).save()
    surrogate = Surrogate.load()
    every = sorted({GENOTYPES.text(choices) for choices in itertools.product(*(d.options for d in GENOTYPES.decisions))})
    values = dict(zip(every, surrogate.predict(every).tolist()))
    state = machine.describe()["commit"] + hashlib.sha256(FILE.read_bytes()).hexdigest()
    ledger = Plays(given.work / "samplers.jsonl", state)
    every_play = itertools.product((BASELINE, *SAMPLERS), range(1, SEEDS + 1))
    waiting = [one for one in every_play if one not in ledger.done]
    for left, (name, seed) in zip(range(len(waiting), 0, -1), waiting):
        if time.monotonic() >= given.ends:
            break
        ledger.add(name, seed, *play(name, seed, values))
        given.say(f"{name}, seed {seed}: {ledger.done[name, seed][0][-1]:.4f}, {left - 1} left")
    whole = [n for n in (BASELINE, *SAMPLERS) if all((n, seed) in ledger.done for seed in range(1, SEEDS + 1))]
    plays = {name: [ledger.done[name, seed] for seed in range(1, SEEDS + 1)] for name in whole}
    times = {name: statistics.median(spent for _, spent in own) for name, own in plays.items()}
    curves = {name: [curve for curve, _ in own] for name, own in plays.items()}
    found = figures(curves, times, sorted(values.values(), reverse=True)) if BASELINE in curves else []
    missing = [name for name in SAMPLERS if name not in curves]
    return {
        "met": None if missing else all(one["better"] for one in found if one["sampler"] != BASELINE), "missing": missing,
        "surrogate": surrogate.quality, "cells": len(every), "best_cell": max(values.values()), "evaluations": EVALUATIONS,
        "seeds": SEEDS, "figures": found,
    }


class Plays:
    """What was played with one state of the code and the surrogate: one line of JSON each, so that a row goes on."""

    def __init__(self, path: Path, of: str):
        self.path, self.of = path, of
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        held = [json.loads(line) for line in lines]
        self.done = {(one["name"], one["seed"]): (one["curve"], one["ms"]) for one in held if one["of"] == of}

    def add(self, name: str, seed: int, curve: list[float], ms: float) -> None:
        self.done[name, seed] = curve, ms
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": self.of, "name": name, "seed": seed, "curve": curve, "ms": ms}) + "\n")


def figures(curves: dict[str, list[list[float]]], times: dict[str, float], ranked: list[float]) -> list[dict[str, Any]]:
    """One for each sampler, from the best after each evaluation (by seed), and the values of all cells, best first."""
    from scipy import stats

    chance = [c[-1] for c in curves[BASELINE]]
    found = []
    for name, own in curves.items():
        best = [c[-1] for c in own]
        p = float(stats.mannwhitneyu(best, chance, alternative="greater").pvalue)
        found.append({
            "sampler": name, "mean_best": statistics.fmean(best), "deviation": statistics.stdev(best),
            "place": statistics.median(sum(value > one + 1e-12 for value in ranked) + 1 for one in best),
            "p": p, "better": statistics.fmean(best) > statistics.fmean(chance) and p < SURE,
            "after": {str(m): statistics.fmean(c[m - 1] for c in own) for m in MARKS if m <= len(own[0])},
            "ms": round(times[name], 1),
        })
    return found


def table(result: dict[str, Any]) -> str:
    if "left" in result:
        return f"{result['left']} cells are still to be trained for the surrogate."
    quality = result["surrogate"]
    lines = [
        f"The surrogate, fitted to {quality['cells']} trained cells, foretells each from the others with R² "
        f"{quality['r2']:.2f}, Kendall's τ {quality['kendall_tau']:.2f}. It gives the best of {result['cells']:,} cells "
        f"{result['best_cell']:.4f}.", "",
        "| sampler | " + " | ".join(f"best after {m}" for m in MARKS) + " | deviation | median place | p | ms a proposal |",
        "|---" * (len(MARKS) + 5) + "|",
    ]
    for one in sorted(result["figures"], key=lambda one: one["mean_best"]):
        after = " | ".join(f"{one['after'][str(m)]:.4f}" for m in MARKS)
        p = "" if one["sampler"] == BASELINE else f"{one['p']:.1g}"
        lines.append(
            f"| `{one['sampler']}` | {after} | {one['deviation']:.4f} | {one['place']:g} | {p} | {one['ms']:.0f} |"
        )
    if result["missing"]:
        lines += ["", "Not yet played: " + ", ".join(f"`{name}`" for name in result["missing"]) + "."]
    return "\n".join(lines)


def space() -> Space:
    """The six decisions, all else as the cells were trained."""
    profile = Profile(
        modality=Modality.IMAGE, task=small.TASK, rows=2_000, classes=10, class_min=200, outputs=10,
        image_shape=(small.SIDE, small.SIDE, 3),
    )
    settings = SearchSettings(
        strategy="evolution", force=(trained.ARCHITECTURE,),
        parameters={f"{trained.ARCHITECTURE}.{name}": str(value) for name, value in trained.PARAMS.items()},
    )
    whole = architectures_alone(spaces.derive(small.TASK, profile, settings))
    dimensions = [
        dataclasses.replace(d, domain=Categorical((EPOCHS,), EPOCHS)) if d.name == "epochs" else d for d in whole.dimensions
    ]
    return dataclasses.replace(whole, dimensions=tuple(dimensions))


def play(name: str, seed: int, values: dict[str, float]) -> tuple[list[float], float]:
    """(best value after each evaluation, milliseconds of the processor for each proposal with its learning)."""
    sampler = strategies.make(name, space(), seed)
    began = time.process_time()
    running: list[Trial] = []
    curve: list[float] = []
    proposed = 0
    while len(curve) < EVALUATIONS:
        if len(running) < SLOTS and proposed < EVALUATIONS:
            id = f"t{proposed + 1:04d}"
            proposal = sampler.ask(id, dataclasses.replace(ENDLESS, slots=SLOTS, running=len(running)))
            assert proposal is not None, f"{name} proposes nothing after {proposed} evaluations"
            trial = Trial(id=id, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)
            proposed += 1
            sampler.tell(trial)
            running.append(trial)
            continue
        trial = running.pop(0)
        value = values[str(trial.recipe.architecture.params["genotype"])]
        last = Measurement(epoch=EPOCHS, train_loss=None, validation={}, score=value, elapsed_s=1.0, step_s=1.0)
        told = {"outcome": Outcome.COMPLETED, "score": value, "measurements": (last,), "best_epoch": EPOCHS}
        sampler.tell(trial.model_copy(update=told))
        curve.append(max(value, curve[-1] if curve else value))
    return curve, 1000 * (time.process_time() - began) / EVALUATIONS
