"""Whether what a search finds is better than what chance finds, at the same size, trained alike.

Each method searches on the small pictures, once for each seed. As in a job, the first few of what it found are trained, and
the best is taken. That one trains from scratch again, under five seeds that had no part in the choice, and so do ten random
genotypes of its space whose weights lie within half and double of its, each under a seed of its own: a training's seed alone
moves accuracies here by some hundredths. What counts: over the seeds of the search, the mean of the methods' less the mean
of chance's, against the spread (the standard deviation) of chance's.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from automl.data.prepared import PreparedDataset
from benchmarks.nas import evolution, once_for_all, small, supernets
from benchmarks.nas.rows import Given
from benchmarks.techniques import runs

NAME = "search-against-chance"
AIM = (
    "best of each method beats the mean of 10 random genotypes of the same size range, trained alike, 2 seeds, by more than "
    "the spread, for darts, proxylessnas, once-for-all and evolution"
)
SEEDS, RANDOMS = (1, 2), 10
CANDIDATES, REPEATS = 4, 5
"""Of what was found so many are trained, and the best of them so many times again."""
EPOCHS, BATCH = 15, 64
CELLS = {"width": 12, "cells": 2, "stages": 1, "reduction": "residual"}
METHODS: Mapping[str, dict[str, Any]] = {
    "darts": {
        "architecture": "nas-cell", "params": CELLS, "steps": 1_500,
        "settings": {"order": 1, "partial": 1, "guard": "both", "selection": "perturbation"},
    },
    "once-for-all": {
        "architecture": "nas-mobile", "params": {"width": once_for_all.WIDTH}, "steps": once_for_all.STEPS,
        "settings": once_for_all.SETTINGS,
    },
    "proxylessnas": {
        "architecture": "nas-mobile", "params": {"width": once_for_all.WIDTH}, "steps": 2_000,
        "settings": {"kernel": 5, "expansion": 6, "depth": 3, "stages": 3, "weight": 5.0},
    },
    "evolution": {"architecture": "nas-cell", "params": CELLS, "trainings": 40},
}
"""Supernets are trained for `steps`, `evolution` trains so many candidates."""
LEDGER = Path(__file__).parent / "search_against_chance.jsonl"


def measure(given: Given) -> dict[str, Any]:
    """The figures of the row."""
    if given.data is None:
        raise SystemExit("search-against-chance trains on pictures: name their folder with --data")
    data, ledger = small.prepared(given.data, given.work), runs.Ledger(LEDGER)
    found: dict[str, Any] = {}
    for method, how in METHODS.items():
        for seed in SEEDS:
            if time.monotonic() >= given.ends or (answer := searched(method, how, data, ledger, given, seed)) is None:
                return told(found)
            found.setdefault(method, {})[str(seed)] = one = {"message": answer["message"], "best": None, "chance": []}
            if not answer["found"]:
                given.say(f"{method}, seed {seed}: found nothing ({answer['message']})")
                continue
            candidates = [{**how["params"], **f["architecture"]["params"]} for f in answer["found"][:CANDIDATES]]
            figures = compared(f"{method}, seed {seed}", how["architecture"], candidates, data, ledger, given, seed)
            if figures is None:
                del found[method][str(seed)]
                return told(found)
            one.update(figures)
    return told(found)


def told(found: dict[str, Any]) -> dict[str, Any]:
    """The row's result: of the methods that are through with all seeds."""
    figures = {method: summed_up(list(seeds.values())) for method, seeds in found.items() if len(seeds) == len(SEEDS)}
    lost = any(figure["gain"] is None or figure["gain"] <= figure["spread"] for figure in figures.values())
    return {"met": False if lost else True if len(figures) == len(METHODS) else None, "methods": found, "figures": figures}


def compared(
    who: str, architecture: str, candidates: list[dict[str, Any]], data: PreparedDataset, ledger: runs.Ledger, given: Given,
    seed: int,
) -> dict[str, Any] | None:
    """The best of the candidates, trained anew, and chance; None where the time is up before."""
    def trained(params: Mapping[str, Any], training: int, what: str) -> float | None:
        if time.monotonic() >= given.ends:
            raise TimeoutError
        score = supernets.alone(ledger, data, architecture, params, epochs=EPOCHS, batch=BATCH, seed=100 * seed + training)
        given.say(f"{who}: {what} {params['genotype']} {score}")
        return score

    try:
        scores = [trained(params, 0, "candidate") for params in candidates]
        best = max(zip(candidates, scores), key=lambda pair: -1.0 if pair[1] is None else pair[1])[0]
        again = [trained(best, n, "found") for n in range(1, REPEATS + 1)]
        others = rivals(architecture, best, seed)
        chance = [trained(other, REPEATS + n, "chance") for n, other in enumerate(others, 1)]
    except TimeoutError:
        return None
    known = [score for score in again if score is not None]
    return {
        "genotype": best["genotype"], "best": statistics.fmean(known) if len(known) == REPEATS else None, "again": again,
        "chance": [score for score in chance if score is not None],
    }


def searched(
    method: str, how: Mapping[str, Any], data: PreparedDataset, ledger: runs.Ledger, given: Given, seed: int
) -> dict[str, Any] | None:
    """What a method finds: {"found": [architectures], "message", …}; None where the time is up before."""
    if "trainings" in how:
        return evolution.search(
            ledger, data, given, how["architecture"], how["params"], trainings=how["trainings"], epochs=EPOCHS, batch=BATCH,
            seed=seed,
        )
    return supernets.train(
        method, how["architecture"], how["params"], how["settings"], data=data, work=given.work, steps=how["steps"],
        seed=seed,
    )


def rivals(architecture: str, params: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Random genotypes of the same space whose weights lie within half and double of the found one's; all else equal."""
    from automl.catalog import entries
    from automl.spec import Profile

    family, rng = entries.architectures[architecture], random.Random(f"{architecture}:{seed}")
    assert family.genotypes is not None
    assert family.blueprint is not None
    profile = Profile(
        modality="image", task=small.TASK, rows=1, classes=10, outputs=10, image_shape=(small.SIDE, small.SIDE, 3)
    )
    size: Callable[[Mapping[str, Any]], int] = lambda chosen: family.blueprint(profile, **chosen).parameters  # type: ignore[misc]
    like, found = size(params), []
    for _ in range(10_000):
        candidate = {**params, "genotype": family.genotypes.sample(rng)}
        if candidate not in found and candidate != params and 0.5 * like <= size(candidate) <= 2.0 * like:
            found.append(candidate)
        if len(found) == RANDOMS:
            break
    return found


def summed_up(seeds: list[dict[str, Any]]) -> dict[str, float | None]:
    """Means over the seeds: of the found ones', of chance's, their difference, and chance's spread."""
    whole = [one for one in seeds if one["best"] is not None and len(one["chance"]) > 1]
    if len(whole) < len(seeds) or not whole:
        return {"best": None, "chance": None, "gain": None, "spread": None}
    best = statistics.fmean(one["best"] for one in whole)
    chance = statistics.fmean(statistics.fmean(one["chance"]) for one in whole)
    spread = statistics.fmean(statistics.stdev(one["chance"]) for one in whole)
    return {"best": best, "chance": chance, "gain": best - chance, "spread": spread}


def table(result: dict[str, Any]) -> str:
    lines = ["| method | found | chance | gain | spread of chance |", "|---|---|---|---|---|"]
    for method, figure in result["figures"].items():
        cells = ["–" if figure[name] is None else f"{figure[name]:.4f}" for name in ("best", "chance", "gain", "spread")]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    if left := [method for method in METHODS if method not in result["figures"]]:
        lines += ["", f"Not done yet: {', '.join(left)}."]
    return "\n".join(lines)
