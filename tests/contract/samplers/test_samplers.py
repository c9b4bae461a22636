"""What every sampler keeps, whatever its algorithm: `automl/search/sampler.py` states it, and this proves it for each."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Sequence

import pytest

from automl.catalog import space as spaces
from automl.catalog.compose import violations
from automl.catalog.space import Space
from automl.search import strategies
from automl.search.budget import ENDLESS, Outlook
from automl.search.sampler import Proposal, Sampler, narrowed
from automl.spec import Measurement, Outcome, SearchSettings, Trial
from tests.unit.search.fakes import PICTURES, TABLE, table_space, worth

SPACE = table_space()
RECIPES = tuple(SPACE.recipe(SPACE.default() | {"batch_size": size}, n) for n, size in enumerate((64, 128, 256) * 4))
GENOTYPES = {f"{strategy} of genotypes": strategy for strategy in strategies.OVER_GENOTYPES}
NAMES = (*strategies.STRATEGIES, *GENOTYPES)
OVER_GENOTYPES = (*GENOTYPES, *strategies.OVER_SUPERNETS)
MANY = dataclasses.replace(ENDLESS, slots=3)


def make(name: str, seed: int = 11, space: Space = SPACE) -> Sampler:
    if name in OVER_GENOTYPES:
        strategy = GENOTYPES.get(name, name)
        return strategies.make(strategy, genotype_space(strategy), seed)
    return strategies.make(name, space, seed, RECIPES if name == "fixed" else ())


@functools.cache
def genotype_space(strategy: str) -> Space:
    return spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy=strategy))


def begun(id: str, proposal: Proposal) -> Trial:
    return Trial(id=id, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin)


def over(trial: Trial, outcome: Outcome = Outcome.COMPLETED) -> Trial:
    if outcome not in (Outcome.COMPLETED, Outcome.PRUNED):
        return trial.model_copy(update={"outcome": outcome, "message": "planted"})
    share = trial.fidelity.epochs / trial.recipe.epochs * trial.fidelity.data_fraction
    score = worth(trial.recipe) * (1 - math.exp(-4 * share))
    last = Measurement(
        epoch=trial.fidelity.epochs, train_loss=None, validation={}, score=score, elapsed_s=1.0, step_s=1.0
    )
    return trial.model_copy(update={"outcome": outcome, "score": score, "measurements": (last,), "best_epoch": last.epoch})


class Play:
    """A search of `steps` trials, `slots` at a time, ended first come first served."""

    def __init__(self, sampler: Sampler, slots: int = 3, outlook: Outlook = MANY):
        self.sampler = sampler
        self.slots = slots
        self.outlook = outlook
        self.trials: dict[str, Trial] = {}
        self.proposals: list[Proposal] = []
        self.running: list[str] = []

    def start(self) -> bool:
        id = f"t{len(self.trials) + 1:04d}"
        proposal = self.sampler.ask(id, dataclasses.replace(self.outlook, running=len(self.running)))
        if proposal is None:
            return False
        self.proposals.append(proposal)
        self.trials[id] = begun(id, proposal)
        self.sampler.tell(self.trials[id])
        self.running.append(id)
        return True

    def end(self, outcome: Outcome = Outcome.COMPLETED) -> None:
        id = self.running.pop(0)
        self.trials[id] = over(self.trials[id], outcome)
        self.sampler.tell(self.trials[id])

    def run(self, steps: int, outcomes: Sequence[Outcome] = (Outcome.COMPLETED,)) -> Play:
        while len(self.trials) < steps:
            if len(self.running) < self.slots and self.start():
                continue
            if not self.running:
                break
            self.end(outcomes[len(self.trials) % len(outcomes)])
        return self


@pytest.mark.parametrize("name", NAMES)
def test_proposals_lie_in_the_space_and_can_be_built(name: str) -> None:
    play = Play(make(name)).run(12)
    assert len(play.proposals) >= 12
    for proposal in play.proposals:
        over = name in OVER_GENOTYPES
        profile, space = (PICTURES, play.sampler.space) if over else (TABLE, SPACE)
        assert not violations(proposal.recipe, profile)
        assert 1 <= proposal.fidelity.epochs <= proposal.recipe.epochs
        if name != "fixed":
            assert space.recipe(space.assignment(proposal.recipe), proposal.recipe.seed).identity == proposal.recipe.identity


@pytest.mark.parametrize("name", NAMES)
def test_no_trial_is_repeated(name: str) -> None:
    play = Play(make(name)).run(12 if name == "bayesian" else 30)
    anew = [p.recipe.identity for p in play.proposals if p.resume is None and p.origin != "probe"]
    assert len(set(anew)) == len(anew)
    for proposal in play.proposals:
        if proposal.resume is not None:
            before = play.trials[proposal.resume]
            assert before.recipe == proposal.recipe
            assert before.fidelity.epochs < proposal.fidelity.epochs


@pytest.mark.parametrize("name", NAMES)
def test_several_may_be_in_flight(name: str) -> None:
    play = Play(make(name), slots=5)
    started = sum(play.start() for _ in range(5))
    assert started == 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", [Outcome.NAN, Outcome.ERROR, Outcome.OOM, Outcome.LOST, Outcome.OVERSIZE])
def test_failures_are_taken_in(name: str, outcome: Outcome) -> None:
    mixed = Play(make(name)).run(9, (Outcome.COMPLETED, outcome, Outcome.PRUNED))
    assert len(mixed.proposals) == 9


@pytest.mark.parametrize("name", [n for n in NAMES if n != "fixed"])
def test_failures_alone_do_not_stop_a_sampler(name: str) -> None:
    assert len(Play(make(name)).run(10, (Outcome.NAN,)).proposals) == 10


@pytest.mark.parametrize(("name", "steps"), [
    # A suggestion of the Gaussian process takes half a second.
    *((n, steps) for n in NAMES for steps in (0, 1, 4, 17) if (n, steps) != ("bayesian", 17)),
    *(pytest.param(n, 6 if n == "bayesian" else 9, marks=pytest.mark.slow) for n in NAMES),
])
def test_a_restored_sampler_proposes_the_same(name: str, steps: int) -> None:
    play = Play(make(name)).run(steps, (Outcome.COMPLETED, Outcome.COMPLETED, Outcome.NAN))
    again = make(name)
    again.restore(json.loads(json.dumps(play.sampler.state())), list(play.trials.values()))
    twin = Play(again)
    twin.trials, twin.running = dict(play.trials), list(play.running)
    for _ in range(3):
        assert twin.start() == play.start()
        latest = play.proposals[len(play.proposals) - len(twin.proposals):]
        assert [p.recipe for p in twin.proposals] == [p.recipe for p in latest]
        if play.running:
            play.end()
            twin.end()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lost", ["everything", "the last trial"])
def test_state_that_is_older_than_the_trials_is_caught_up(name: str, lost: str) -> None:
    play = Play(make(name)).run(6)
    state = play.sampler.state() if lost == "the last trial" else None
    play.run(7)
    again = make(name)
    again.restore(state, list(play.trials.values()))
    twin = Play(again)
    twin.trials, twin.running = dict(play.trials), list(play.running)
    twin.run(10 if name == "bayesian" else 15)
    anew = [t.recipe.identity for t, p in zip(list(twin.trials.values())[7:], twin.proposals) if p.resume is None]
    assert not set(anew) & {t.recipe.identity for t in list(twin.trials.values())[:7]}


@pytest.mark.parametrize("name", [n for n in NAMES if n != "fixed"])
def test_foreign_trials_are_learned_from(name: str) -> None:
    sampler = make(name)
    recipe = sampler.space.recipe(sampler.space.default(), 3)
    trial = Trial(id="t0001", recipe=recipe, fidelity={"epochs": recipe.epochs}, origin="portfolio")
    sampler.tell(trial)
    sampler.tell(over(trial))
    play = Play(sampler)
    play.trials["t0001"] = over(trial)
    play.run(6)
    assert len(play.proposals) == 5


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("fixed", "grid")])
def test_a_dropped_proposal_makes_place_for_another(name: str) -> None:
    sampler = make(name)
    play = Play(sampler).run(4)
    first = sampler.ask("t0005", MANY)
    sampler.drop("t0005")
    second = sampler.ask("t0005", MANY)
    assert first is not None
    assert second is not None
    if name not in ("auto", "hyperband"):
        assert first.recipe != second.recipe
    play.sampler.tell(begun("t0005", second))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("fixed", "grid", "auto")])
def test_other_seeds_make_other_searches(name: str) -> None:
    mine = {p.recipe.identity for p in Play(make(name, seed=1)).run(10).proposals}
    yours = {p.recipe.identity for p in Play(make(name, seed=3)).run(10).proposals}
    assert len(mine & yours) <= 2


@functools.cache
def best(strategy: str, seed: int, trials: int) -> float:
    """The best true worth that a strategy finds on the surrogate."""
    play = Play(make(strategy, seed), slots=2).run(trials)
    return max(worth(t.recipe) for t in play.trials.values())


@pytest.mark.parametrize(("name", "trials", "seeds"), [
    ("tpe", 40, (1, 2, 3)), pytest.param("evolution", 160, (1, 2, 3), marks=pytest.mark.slow),
    pytest.param("auto", 60, (1, 2), marks=pytest.mark.slow),
])
def test_models_beat_random_search(name: str, trials: int, seeds: tuple[int, ...]) -> None:
    """On a fixed surrogate, by the mean over seeds; benchmarks/samplers has the curves."""
    assert sum(best(name, s, trials) for s in seeds) > sum(best("random", s, trials) for s in seeds)


def test_the_gaussian_process_beats_random_search_on_few_dimensions() -> None:
    """On the three that matter most."""
    few = narrowed(SPACE, 3)

    def found(strategy: str, seed: int) -> float:
        play = Play(make(strategy, seed, few), slots=1).run(14)
        return max(worth(t.recipe) for t in play.trials.values())

    assert sum(found("bayesian", s) for s in (1, 2)) > sum(found("random", s) for s in (1, 2))


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_halving_spends_fewer_epochs_for_the_same_best(name: str) -> None:
    def spent(strategy: str) -> tuple[int, float]:
        play = Play(make(strategy, 4), slots=2).run(40)
        epochs = sum(
            t.fidelity.epochs - (play.trials[p.resume].fidelity.epochs if p.resume is not None else 0)
            for t, p in zip(play.trials.values(), play.proposals)
        )
        return epochs, max(worth(t.recipe) for t in play.trials.values())

    fewer, value = spent(name)
    all_of_them, reference = spent("random")
    assert fewer < all_of_them / 2
    assert value > reference - 0.03
