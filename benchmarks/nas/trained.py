"""Two hundred trained genotypes: `nas-cell` cells drawn at random and trained alike on the small pictures.

One line of JSON each in `trained.jsonl`, known by its genotype (a cell in six words), so that the same call goes on where
the last one ended. The records serve the surrogate, and whatever else wants to know what a cell is worth without training
it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from automl.architectures.nas_cell import GENOTYPES
from automl.spec import Outcome
from benchmarks.nas import small
from benchmarks.techniques import runs

ARCHITECTURE = "nas-cell"
PARAMS = {"width": 12, "cells": 2, "stages": 1, "reduction": "residual"}
"""One stage: the residual blocks that halve the resolution between stages would do most of the work of a network so small,
and cells hardly differ."""
EPOCHS, BATCH = 15, 64
COUNT = 200
SEED = 7
"""Of the choice of cells."""
RECORDS = Path(__file__).parent / "trained.jsonl"
RUN_S = 300.0
"""Longest training."""


def chosen(count: int = COUNT) -> list[str]:
    """Different cells, each decision drawn evenly before what computes the same is written alike."""
    rng = random.Random(SEED)
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(GENOTYPES.sample(rng))
    return list(found)


def records() -> dict[str, float]:
    """Accuracy on the validation fold by genotype, of what was trained so far and came through."""
    ledger = runs.Ledger(RECORDS)
    return {run.key: run.score for run in ledger.runs.values() if run.score is not None}


def train(data: Path, work: Path, *, ends: float, say: Callable[[str], None] = lambda line: None) -> int:
    """Trains what the records lack, until `ends` (`time.monotonic()`). Returns how many are still to be trained."""
    ledger = runs.Ledger(RECORDS)
    waiting = [genotype for genotype in chosen() if ledger.get(genotype) is None]
    if not waiting:
        return 0
    prepared = small.prepared(data, work)
    space = small.space_of(prepared, ARCHITECTURE)
    for left, genotype in zip(range(len(waiting), 0, -1), waiting):
        if time.monotonic() >= ends:
            return left
        recipe = small.recipe_of(space, ARCHITECTURE, {**PARAMS, "genotype": genotype}, EPOCHS, BATCH)
        run = runs.train(genotype, recipe, prepared.path, small.METRIC, limit_s=RUN_S)
        if run.outcome == Outcome.LOST:
            raise SystemExit(f"{genotype}: {run.message}; nothing is recorded, the same call tries it again")
        ledger.add(run)
        say(f"{genotype} {run.outcome} {run.message if run.score is None else f'{run.score:.4f}'} "
            f"({run.wall_s:.1f} s), {left - 1} left")
    return 0
