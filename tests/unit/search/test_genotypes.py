"""Evolution of genotypes: what it holds fixed, what it breeds, and how it lives with the clock."""

from __future__ import annotations

import dataclasses
import random

import pytest

from automl.catalog import architectures, space
from automl.search import genotypes, portfolio, strategies
from automl.search.budget import ENDLESS, Outlook, Speed
from automl.spec import Fidelity, Measurement, Outcome, Recipe, SearchSettings, Trial
from tests.unit.search.fakes import PICTURES

SPACE = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution"))


def macs(recipe: Recipe) -> int:
    return architectures[recipe.architecture.id].blueprint(PICTURES, **recipe.architecture.params).macs


def by_macs(remaining_s: float, total_s: float, epoch_s: float, spread: int = 1) -> Outlook:
    """A clock on which the default network's epoch takes `epoch_s`, and the others as their multiplications say, on n slots
    an n-th of it."""
    base = macs(SPACE.recipe(SPACE.default(), 0))
    return Outlook(
        remaining_s, total_s, 2, 0, lambda r: Speed(2.0, epoch_s * macs(r) / base, True), spread=spread, free=spread,
        speed_on=lambda r, slots: Speed(2.0, epoch_s * macs(r) / base / slots, True),
    )


def ended(id: str, proposal, score: float) -> Trial:
    last = Measurement(
        epoch=proposal.fidelity.epochs, train_loss=None, validation={}, score=score, elapsed_s=1.0, step_s=1.0
    )
    return Trial(
        id=id, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin, outcome=Outcome.COMPLETED,
        score=score, measurements=(last,), best_epoch=last.epoch,
    )


def grown(trials: int, worth) -> tuple[genotypes.GenotypeEvolution, list[Trial]]:
    """A search without a clock in which a trial scores what its recipe is worth."""
    sampler = strategies.make("evolution", SPACE, 5)
    told = []
    for n in range(trials):
        proposal = sampler.ask(f"t{n}", ENDLESS)
        told.append(ended(f"t{n}", proposal, worth(proposal.recipe)))
        sampler.tell(told[-1])
    return sampler, told


def test_the_strategy_breeds_genotypes_only_where_the_space_is_made_of_them():
    assert isinstance(strategies.make("evolution", SPACE, 1), genotypes.GenotypeEvolution)
    mixed = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution", allow=("convnet",)))
    assert not isinstance(strategies.make("evolution", mixed, 1), genotypes.GenotypeEvolution)


def test_all_candidates_are_trained_alike_as_the_portfolios_first_choice():
    _, told = grown(30, lambda recipe: 0.5)
    assert len({t.recipe.architecture.params["genotype"] for t in told}) > 10
    assert all(t.recipe.techniques == told[0].recipe.techniques for t in told)
    assert {t.recipe.batch_size for t in told} == {128}
    ids = {c.id: c.params for c in told[0].recipe.techniques}
    first = min(portfolio.PICTURES, key=lambda entry: entry.short_clock)
    for id, params in first.techniques.items():
        assert params.items() <= ids[id].items()
    assert "flip" in ids


def test_children_come_from_the_good_and_the_good_go_on():
    """Planted: what has many 3×3 convolutions is good."""
    def worth(recipe: Recipe) -> float:
        return 0.1 * str(recipe.architecture.params["genotype"]).split(".").count("conv3")

    def mean(trials):
        return sum(worth(t.recipe) for t in trials) / len(trials)

    _, told = grown(120, worth)
    new = [t for t in told if t.fidelity.epochs == min(x.fidelity.epochs for x in told)]
    assert mean(new[-20:]) > mean(new[:10]) + 0.1
    promoted = [t for t in told if t.fidelity.epochs > new[0].fidelity.epochs]
    assert promoted
    assert mean(promoted) > mean(new) + 0.05


def test_a_probe_comes_first_and_settles_the_epochs():
    sampler = strategies.make("evolution", SPACE, 1)
    outlook = by_macs(600, 600, epoch_s=20.0)
    probe = sampler.ask("t1", outlook)
    assert (probe.origin, probe.fits) == ("probe", True)
    assert probe.fidelity.data_fraction == pytest.approx(2_500 / PICTURES.rows)
    sampler.tell(Trial(id="t1", recipe=probe.recipe, fidelity=probe.fidelity, origin="probe"))
    assert sampler.ask("t2", outlook) is None
    sampler.tell(ended("t1", probe, 0.2))
    # Three quarters of 600 s, less what a training takes beside its epochs: 22 epochs of 20 s.
    assert sampler.ask("t2", outlook).recipe.epochs == 22


def probed(outlook: Outlook) -> genotypes.GenotypeEvolution:
    """A search that knows how fast trainings are."""
    sampler = strategies.make("evolution", SPACE, 1)
    sampler.tell(ended("t0", sampler.ask("t0", outlook), 0.2))
    return sampler


@pytest.mark.parametrize(("epoch_s", "epochs", "slots"), [(20.0, 44, 2), (14.0, 32, 1)])
def test_each_training_has_several_slots_where_one_has_no_room_for_enough_epochs(epoch_s, epochs, slots):
    outlook = by_macs(600, 600, epoch_s, spread=2)
    sampler = probed(outlook)
    sampler.ask("t1", outlook)  # the epochs are settled
    early = dataclasses.replace(outlook, remaining_s=5_000.0)
    for n in range(1, 4):
        assert (sampler.ask(f"t{n}", dataclasses.replace(early, free=1)) is None) == (slots > 1)  # it waits for the other
        proposal = sampler.ask(f"t{n}", early)
        assert (proposal.resume, proposal.slots, proposal.recipe.epochs) == (None, slots, epochs)
        sampler.tell(ended(f"t{n}", proposal, 0.1 * n))
    promoted = sampler.ask("t4", early)
    assert (promoted.resume, promoted.slots) == ("t3", slots)
    # Towards the end the leader's rest is foreseen on as many.
    rest_s = outlook.on(slots).speed(promoted.recipe).total_s(epochs - 3)
    last = sampler.ask("t4", dataclasses.replace(outlook, remaining_s=rest_s))
    assert (last.resume, last.slots, last.fidelity.epochs) == ("t3", slots, epochs)


@pytest.mark.parametrize(("epoch_s", "epochs", "lowest"), [(40.0, 27, 27), (30.0, 30, 3), (60.0, 18, 18)])
def test_nothing_else_is_tried_where_the_first_network_would_not_have_epochs_enough(epoch_s, epochs, lowest):
    """Enough are twice the portfolio's 15."""
    outlook = by_macs(600, 600, epoch_s, spread=2)
    sampler = probed(outlook)
    assert sampler.unscored(outlook) == ()
    first = sampler.ask("t1", outlook)
    assert (first.recipe.epochs, first.fidelity.epochs, first.slots) == (epochs, lowest, 2)
    assert first.recipe.architecture == SPACE.recipe(SPACE.default(), 0).architecture
    if lowest == epochs:
        sampler.tell(ended("t1", first, 0.3))
        left_s = 600 - outlook.on(2).speed(first.recipe).total_s(epochs)
        after = dataclasses.replace(outlook, remaining_s=left_s)
        assert sampler.unscored(after) == ()
        assert sampler.ask("t2", after) is None
        again = strategies.make("evolution", SPACE, 1)  # a restarted job
        again.tell(ended("t0", probed(outlook).trials["t0"], 0.2))
        again.tell(Trial(id="t1", recipe=first.recipe, fidelity=first.fidelity, origin="evolution"))
        again.ask("t2", dataclasses.replace(outlook, free=1))
        assert again.rungs == (epochs,)


def test_nobody_waits_for_a_training_that_holds_fewer_slots():
    """There were fewer when it began."""
    outlook = by_macs(600, 600, 20.0, spread=2)
    sampler = probed(outlook)
    first = sampler.ask("t1", dataclasses.replace(outlook, spread=1, free=1))
    assert first.slots == 1
    sampler.tell(Trial(id="t1", recipe=first.recipe, fidelity=first.fidelity, origin="evolution"))
    beside = sampler.ask("t2", dataclasses.replace(outlook, remaining_s=5_000.0, free=1))
    assert beside is not None
    assert beside.slots == 1


def test_what_is_begun_leaves_time_for_the_best_to_be_trained_to_its_end():
    outlook = by_macs(600, 600, 20.0, spread=2)
    sampler = probed(outlook)
    first = sampler.ask("t1", outlook)
    sampler.tell(ended("t1", first, 0.3))
    wide = outlook.on(2)
    rest_s = wide.speed(first.recipe).total_s(first.recipe.epochs - first.fidelity.epochs)
    lowest_s = wide.speed(first.recipe).total_s(first.fidelity.epochs)
    begun = []
    for left_s in range(int(1.1 * rest_s), int(1.1 * (rest_s + 5 * lowest_s))):
        one = sampler.ask("t2", dataclasses.replace(outlook, remaining_s=float(left_s)))
        begun.append(one.resume is None)
        if one.resume is None:
            assert left_s - wide.speed(one.recipe).total_s(one.fidelity.epochs) >= 1.1 * rest_s
        else:
            assert (one.resume, one.fidelity.epochs) == ("t1", first.recipe.epochs)
    assert set(begun) == {False, True}


def test_what_can_not_go_on_to_its_end_is_trained_anew_for_as_long_as_there_is_room():
    outlook = by_macs(600, 600, 20.0, spread=2)
    sampler = probed(outlook)
    first = sampler.ask("t1", outlook)
    sampler.tell(ended("t1", first, 0.3))
    late = dataclasses.replace(outlook, remaining_s=200.0)
    anew = sampler.ask("t2", late)
    assert (anew.resume, anew.slots, anew.fits) == (None, 2, True)
    assert anew.recipe.architecture == first.recipe.architecture
    assert anew.recipe.epochs == anew.fidelity.epochs == outlook.on(2).speed(first.recipe).epochs_within(200.0 / 1.1)
    assert sampler.ask("t2", dataclasses.replace(outlook, remaining_s=40.0)) is None


def test_nothing_is_scored_while_trainings_that_need_all_slots_would_wait_for_it():
    outlook = by_macs(600, 600, 20.0, spread=2)
    sampler = probed(outlook)
    assert sampler.unscored(outlook) == ()  # the first training comes first
    first = sampler.ask("t1", outlook)
    sampler.tell(ended("t1", first, 0.3))
    rest_s = outlook.on(2).speed(first.recipe).total_s(first.recipe.epochs - first.fidelity.epochs)
    scores_s = genotypes.POOL * genotypes.SCORE_S
    # Nor where nothing that was scored could be trained afterwards.
    assert sampler.unscored(dataclasses.replace(outlook, remaining_s=1.1 * rest_s + scores_s)) == ()
    wanted = sampler.unscored(dataclasses.replace(outlook, remaining_s=1.1 * rest_s + scores_s + 60.0))
    assert len(wanted) == genotypes.POOL


def test_what_the_clock_has_no_time_for_is_not_begun():
    sampler = strategies.make("evolution", SPACE, 1)
    sampler.tell(ended("t1", dataclasses.replace(sampler.ask("t1", by_macs(600, 600, 60.0))), 0.2))
    outlook = by_macs(550, 600, epoch_s=60.0)
    for n in range(2, 12):
        proposal = sampler.ask(f"t{n}", outlook)
        assert outlook.speed(proposal.recipe).total_s(proposal.fidelity.epochs) <= genotypes.RUNG_SHARE * 600
        sampler.tell(ended(f"t{n}", proposal, 0.3))


def test_what_the_limits_leave_no_room_for_is_not_proposed():
    sampler = strategies.make("evolution", SPACE, 1)

    def small(recipe: Recipe) -> Recipe | None:
        return recipe if str(recipe.architecture.params["genotype"]).count("conv3") <= 1 else None

    limited = dataclasses.replace(ENDLESS, sized=small)
    proposed = []
    for n in range(20):
        proposal = sampler.ask(f"t{n}", limited)
        proposed.append(proposal.recipe)
        sampler.tell(ended(f"t{n}", proposal, 0.3))
    assert all(small(recipe) for recipe in proposed)
    assert len({r.architecture.params["genotype"] for r in proposed}) > 8
    free = strategies.make("evolution", SPACE, 1)
    assert not small(free.ask("t0", ENDLESS).recipe)


def test_towards_the_end_the_leader_is_trained_to_the_end():
    sampler, told = grown(2, lambda recipe: random.Random(recipe.identity).random())
    best = max(told, key=lambda t: t.score)
    left = by_macs(100, 1_000, epoch_s=3.0)
    closing = dataclasses.replace(left, remaining_s=left.speed(best.recipe).total_s(best.recipe.epochs))
    proposal = sampler.ask("t9", closing)
    assert proposal.recipe == best.recipe
    assert proposal.resume == best.id
    assert proposal.fidelity == Fidelity(epochs=best.recipe.epochs)
    sampler.tell(Trial(id="t9", recipe=best.recipe, fidelity=proposal.fidelity, origin=proposal.origin))
    others = {t.recipe.identity for t in told} - {best.recipe.identity}
    more = sampler.ask("t10", closing)
    assert more is None or more.recipe.identity in others
