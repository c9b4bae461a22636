"""The controllers as samplers: worth from standings, learning that a restart repeats, and that they learn."""

from __future__ import annotations

import json
import random
import time

import numpy as np
import pytest

from automl.catalog import space as spaces
from automl.search import strategies
from automl.search.budget import ENDLESS
from automl.search.controllers import samplers
from automl.spec import Choice, Measurement, Outcome, Recipe, SearchSettings, Trial
from tests.unit.search.fakes import PICTURES, table_space

NAMES = ("rl-ppo", "rl-rainbow", "mcts-alphazero")
SETTINGS = SearchSettings(
    strategy="rl-ppo", force=("nas-cell",),
    parameters={"nas-cell.width": "8", "nas-cell.cells": "1", "nas-cell.stages": "1"},
)
SPACE = spaces.derive(PICTURES.task, PICTURES, SETTINGS)
WEIGHTS = {"none": 0.0, "skip": 0.3, "conv1": 0.5, "conv3": 1.0, "avg3": 0.2}


def worth(recipe: Recipe) -> float:
    """Planted: what flows along the ways of the cell, with what goes together."""
    a, b, c, d, e, f = (WEIGHTS[choice] for choice in str(recipe.architecture.params["genotype"]).split("."))
    return a * c * f + 0.7 * a * e + 0.7 * b * f + 0.5 * (d == 0.3) + 0.2 * (b == 0.5)


def ended(trial: Trial, score: float, outcome: Outcome = Outcome.COMPLETED) -> Trial:
    if outcome != Outcome.COMPLETED:
        return trial.model_copy(update={"outcome": outcome})
    last = Measurement(epoch=trial.fidelity.epochs, train_loss=None, validation={}, score=score, elapsed_s=1.0, step_s=1.0)
    return trial.model_copy(
        update={"outcome": outcome, "score": score, "measurements": (last,), "best_epoch": last.epoch}
    )


def played(sampler, count: int, order: random.Random, trials: dict[str, Trial], running: list[Trial]) -> list[Recipe]:
    """Trains until as many trials have begun, three at a time, which end in any order; what was proposed."""
    found = []
    while len(trials) < count:
        while len(running) < 3:
            id = f"t{len(trials):04d}"
            proposal = sampler.ask(id, ENDLESS)
            trial = Trial(id=id, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)
            found.append(proposal.recipe)
            trials[id] = trial
            sampler.tell(trial)
            running.append(trial)
        trial = running.pop(order.randrange(len(running)))
        outcome = Outcome.NAN if order.random() < 0.1 else Outcome.COMPLETED
        trials[trial.id] = ended(trial, worth(trial.recipe), outcome)
        sampler.tell(trials[trial.id])
    return found


def test_worths_by_hand() -> None:
    found = samplers.worths({"a": (3, 0.9), "b": (3, 0.5), "c": (9, 0.1), "d": (3, 0.5), "e": (3, 0.2)})
    # Shares of the four others that are worse: c all, a three, b and d one and a half, e none.
    assert found == pytest.approx({"c": 1.0, "a": 2 * 0.75**2 - 1, "b": 2 * 0.375**2 - 1, "d": 2 * 0.375**2 - 1, "e": -1.0})
    assert samplers.worths({"a": (1, 0.5)}) == {"a": 0.0}


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_learns_the_same(name: str) -> None:
    """Trials end in another order than they began, some fail, some are promoted; state and trials go through JSON."""
    trials, running = {}, []
    sampler = strategies.make(name, SPACE, 4)
    played(sampler, 30, random.Random(1), trials, running)
    again = strategies.make(name, SPACE, 4)
    again.restore(json.loads(json.dumps(sampler.state())), [Trial.from_dict(t.to_dict()) for t in trials.values()])
    for mine, yours in zip(weights(sampler), weights(again)):
        assert np.array_equal(mine, yours)
    more = played(sampler, 40, random.Random(2), dict(trials), list(running))
    assert played(again, 40, random.Random(2), dict(trials), list(running)) == more


def weights(sampler) -> list[np.ndarray]:
    policy = sampler._policy
    return (policy.online if hasattr(policy, "online") else policy.network).weights


@pytest.mark.parametrize("name", NAMES)
def test_proposals_change_nothing_that_is_learned(name: str) -> None:
    sampler = strategies.make(name, SPACE, 4)
    played(sampler, 14, random.Random(1), {}, [])
    before = [w.copy() for w in weights(sampler)]
    first = sampler.ask("t0014", ENDLESS)
    assert sampler.ask("t0014", ENDLESS) == first
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(sampler)))


@pytest.mark.parametrize("name", NAMES)
def test_they_learn_a_planted_optimum_better_than_chance(name: str) -> None:
    """Mean worth of the last of fifty proposals, and of as many at random; the best of them, too."""
    recent, best = [], []
    for seed in (1, 2):
        trials: dict[str, Trial] = {}
        played(strategies.make(name, SPACE, seed), 60, random.Random(seed), trials, [])
        shortest = min(t.fidelity.epochs for t in trials.values())
        own = [worth(t.recipe) for t in trials.values() if t.fidelity.epochs == shortest]
        recent.append(np.mean(own[-15:]))
        best.append(max(own))
    space, rng = samplers.PpoGenotypes(SPACE, 1).space, random.Random(9)
    chance = [worth(space.recipe(space.sample(rng), 1)) for _ in range(300)]
    groups = [max(chance[n : n + 50]) for n in range(0, 300, 50)]
    assert np.mean(recent) > np.mean(chance) + 2 * np.std(chance) / 15**0.5
    assert np.mean(best) > np.mean(groups)


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_decided_where_there_are_no_genotypes(name: str) -> None:
    sampler = strategies.make(name, table_space(), 1)
    assert len(sampler._decisions) == samplers.DIMENSIONS
    proposal = sampler.ask("t0000", ENDLESS)
    assert proposal.fidelity.epochs == proposal.recipe.epochs


@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_takes_hundredths_of_a_second(name: str) -> None:
    """In the largest space, learning included; by the processor's time, with room for a busy machine."""
    space = spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="rl-ppo"))
    sampler, trials = strategies.make(name, space, 1), {}
    score = random.Random(3)
    spent = []
    for n in range(24):
        began = time.process_time()
        proposal = sampler.ask(f"t{n}", ENDLESS)
        trials[n] = Trial(id=f"t{n}", recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)
        sampler.tell(trials[n])
        sampler.tell(ended(trials[n], score.random()))
        spent.append(time.process_time() - began)
    assert np.median(spent[10:]) < 0.1


def test_foreign_families_teach_nothing() -> None:
    sampler = strategies.make("rl-ppo", SPACE, 1)
    recipe = SPACE.recipe(SPACE.default(), 3)
    other = recipe.model_copy(update={"architecture": Choice(id="convnet")})
    trial = Trial(id="t0", recipe=other, fidelity={"epochs": 3}, origin="portfolio")
    sampler.tell(trial)
    sampler.tell(ended(trial, 0.9))
    assert not sampler._ended
