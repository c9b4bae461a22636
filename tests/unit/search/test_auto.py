"""How the default strategy spends the clock on pictures: long trainings of few recipes, in the size that limits allow."""

from __future__ import annotations

import dataclasses

import pytest

from automl.catalog import space
from automl.search import auto, budget, portfolio, sizing, strategies
from automl.search.budget import Outlook, Speed, parameters
from automl.search.selection import ranking
from automl.spec import Choice, Fidelity, Measurement, Outcome, Recipe, SearchSettings, Trial
from tests.unit.search.fakes import PICTURES

ROWS = PICTURES.model_copy(update={"rows": 20_000})
SPACE = space.derive(ROWS.task, ROWS, SearchSettings())
STARTS = {start.name: start.recipe for start in portfolio.starts(SPACE, 1)}
WISH = STARTS["convnet"].epochs


def clock(
    remaining_s: float, epoch_s: float = 10.0, running: int = 0, limit: int | None = None, spread: int = 1
) -> Outlook:
    """A clock on which an epoch of the widest convnet takes `epoch_s`, and others as they have weights, on n cores an n-th
    of it; and a limit of weights."""
    base = parameters(STARTS["convnet"], ROWS)
    limits = sizing.Limits(parameters=limit)
    return Outlook(
        remaining_s, 2 * remaining_s, 2, running,
        lambda recipe: Speed(0.0, epoch_s * parameters(recipe, ROWS) / base, True),
        lambda recipe: sizing.within(SPACE, recipe, limits), spread,
        lambda recipe, slots: Speed(0.0, epoch_s * parameters(recipe, ROWS) / base / slots, True), spread,
    )


def ended(id: str, recipe: Recipe, score: float, origin: str = "portfolio") -> Trial:
    last = Measurement(epoch=recipe.epochs, train_loss=None, validation={}, score=score, elapsed_s=1.0, step_s=1.0)
    return Trial(
        id=id, recipe=recipe, fidelity=Fidelity(epochs=recipe.epochs), origin=origin, outcome=Outcome.COMPLETED,
        score=score, measurements=(last,), best_epoch=recipe.epochs,
    )


def at_most(room: float) -> float:
    """What a paced training is given where there is room for so many epochs."""
    return min(auto.EAGER * room, auto.PICTURES * WISH)


def asked(told: list[Trial], outlook: Outlook):
    sampler = strategies.make("auto", SPACE, 1)
    for trial in told:
        sampler.tell(trial)
    return sampler.ask(f"t{len(told)}", outlook)


@pytest.mark.parametrize(("trainings", "epochs"), [(1.2, WISH), (3.0, 2.7 * WISH), (3.9, 3.5 * WISH)])
def test_the_strongest_gets_all_epochs_that_the_clock_has_room_for(trainings, epochs):
    proposal = asked([], clock(trainings * WISH * 10.0))
    assert portfolio.kind(proposal.recipe) == portfolio.kind(STARTS["convnet"])
    assert proposal.fits
    assert proposal.paced
    assert proposal.fidelity.epochs == proposal.recipe.epochs == pytest.approx(at_most(epochs), abs=2)


@pytest.mark.parametrize(
    ("trainings", "spread", "slots"),
    [(1.2, 1, 1), (1.2, 2, 2), (1.2, 4, 2), (0.6, 4, 4), (1.2 * auto.ALONE, 2, 1), (9.0, 2, 1)],
)
def test_where_one_core_has_no_room_for_enough_epochs_a_training_has_several(trainings, spread, slots):
    proposal = asked([], clock(trainings * WISH * 10.0, spread=spread))
    assert portfolio.kind(proposal.recipe) == portfolio.kind(STARTS["convnet"])
    assert proposal.slots == slots
    if slots > 1:
        assert proposal.fidelity.epochs == pytest.approx(at_most(slots * trainings / 1.1 * WISH), abs=2)


@pytest.mark.parametrize("spread", [1, 2])
def test_a_smaller_network_with_its_epochs_comes_before_a_larger_one_without(spread):
    half = STARTS["convnet-16"]
    share = parameters(half, ROWS) / parameters(STARTS["convnet"], ROWS)
    proposal = asked([], clock(1.3 * WISH * 10.0 * share / spread, spread=spread))
    assert portfolio.kind(proposal.recipe) == portfolio.kind(half)
    assert proposal.fidelity.epochs >= WISH
    assert proposal.slots == spread
    # Where none has room for them, the order stands.
    least = min(parameters(recipe, ROWS) for recipe in STARTS.values()) / parameters(STARTS["convnet"], ROWS)
    assert asked([], clock(0.9 * WISH * 10.0 * least, spread=1)).fidelity.epochs < auto.EAGER * WISH


def test_where_no_epoch_fits_a_part_of_the_rows_is_shown_once():
    least = min(parameters(recipe, ROWS) for recipe in STARTS.values()) / parameters(STARTS["convnet"], ROWS)
    proposal = asked([], clock(0.7 * 10.0 * least / 2, spread=2))
    assert (proposal.fidelity.epochs, proposal.recipe.epochs, proposal.slots) == (1, 1, 2)
    assert proposal.fidelity.data_fraction == pytest.approx(0.7 / 1.1 - 0.06 * (1 - 0.7 / 1.1))
    assert asked([], clock(0.7 * 10.0 * least / 2, spread=2, running=1)) is None
    assert asked([], clock(0.5 * 10.0 * least / 2, spread=2)) is None  # hardly more than a probe has seen


def test_a_short_search_probes_its_first_choice_alone():
    unknown = lambda recipe: Speed(0.0, 10.0, False)
    for total_s, probed in ((50.0, 1), (70.0, 2)):
        outlook = dataclasses.replace(clock(total_s), speed=unknown, total_s=total_s)
        sampler = strategies.make("auto", SPACE, 1)
        for n in range(2):
            if (proposal := sampler.ask(f"t{n}", dataclasses.replace(outlook, running=n))) is not None:
                assert proposal.origin == "probe"
                sampler.tell(Trial(id=f"t{n}", recipe=proposal.recipe, fidelity=proposal.fidelity, origin="probe"))
        assert len(sampler.trials) == probed


def test_after_a_long_training_no_short_one_follows():
    share = parameters(STARTS["convnet-16"], ROWS) / parameters(STARTS["convnet"], ROWS)
    left = clock(1.1 * 0.8 * WISH * 10.0 * share)
    usual = ended("t0", STARTS["convnet"], 0.7)
    assert asked([usual], left).recipe.architecture.params["width"] == 16
    # With six tenths of its epochs it wouldn't beat the first choice.
    shorter = asked([usual], clock(1.1 * 0.6 * WISH * 10.0 * share))
    assert shorter is None or shorter.recipe.architecture.params != STARTS["convnet-16"].architecture.params
    longer = ended("t0", STARTS["convnet"].model_copy(update={"epochs": 3 * WISH}), 0.7)
    assert asked([longer], left) is None or asked([longer], left).fidelity.epochs >= 1.2 * WISH


def test_what_the_limits_make_smaller_is_timed_in_the_size_that_is_trained():
    limit = parameters(STARTS["convnet"], ROWS) // 4
    # Room for seven tenths of a training of the first network as it is written down, for two and more of the one that fits.
    outlook = clock(0.7 * WISH * 10.0, limit=limit)
    proposal = asked([], outlook)
    assert proposal.recipe.architecture.id == "vgg"
    weights = parameters(proposal.recipe, ROWS)
    assert 0.5 * limit < weights <= limit
    room = proposal.fidelity.epochs / auto.EAGER
    assert room > 2 * WISH
    assert outlook.speed(proposal.recipe).total_s(room - 1) <= outlook.remaining_s


def test_a_recipe_of_the_users_that_cant_be_built_is_proposed_as_it_is():
    twice = (*STARTS["convnet"].techniques, Choice(id="sgd-momentum"))  # an optimizer beside the one that it has
    broken = STARTS["convnet"].model_copy(update={"techniques": twice})
    sampler = strategies.make("auto", SPACE, 1, [broken])
    proposals = [p for n in range(9) if (p := sampler.ask(f"t{n}", clock(3.0 * WISH * 10.0))) is not None]
    assert proposals
    assert not budget.paceable(broken, ROWS)
    assert not budget.paceable(broken.model_copy(update={"architecture": Choice(id="unknown")}), ROWS)


@pytest.mark.parametrize("trainings", [0.95, 0.6, 0.35, 0.23, 0.1])
def test_within_limits_the_first_choice_loses_channels_before_another_family_comes(trainings):
    """Room for so many trainings with its wished epochs of the network that the limit leaves; half of the channels have a
    quarter of its weights."""
    limit = parameters(STARTS["convnet"], ROWS) // 4
    wide = asked([], clock(100 * WISH, limit=limit)).recipe
    share = parameters(wide, ROWS) / parameters(STARTS["convnet"], ROWS)
    proposal = asked([], clock(1.1 * trainings * WISH * 10.0 * share, limit=limit))
    found, widest = proposal.recipe.architecture, wide.architecture
    if trainings > 0.13:
        assert (found.id, found.params["stages"]) == (widest.id, widest.params["stages"]) == ("vgg", 3)
        # Down to half of the channels for all of its epochs; where that isn't enough, as wide as half of them leave it.
        share = trainings if trainings > 0.3 else trainings / auto.HALF
        assert found.params["width"] / widest.params["width"] == pytest.approx(share**0.5, rel=0.15)
        assert proposal.fidelity.epochs >= (WISH if trainings > 0.3 else auto.HALF * WISH)
    else:
        assert found.id != "vgg" or found.params["width"] == widest.params["width"]


def test_within_limits_each_network_comes_once_and_the_smaller_ones_of_a_family_last():
    starts = portfolio.starts(SPACE, 1)
    found = auto._within(starts, clock(100.0, limit=parameters(STARTS["convnet"], ROWS) // 3), ROWS)
    assert len({portfolio.kind(start.recipe) for start in found}) == len(found)
    first, *others = [start for start in found if start.recipe.architecture.id == "convnet"]
    assert others
    weights = parameters(first.recipe, ROWS)
    assert any(parameters(other.recipe, ROWS) < weights for other in others)
    assert all((parameters(other.recipe, ROWS) < weights) == (other.short_clock > auto.LAST) for other in others)
    assert found[0].name == "vgg"
    # A limit that leaves the first choice much of its weights leaves it the first place.
    mild = auto._within(starts, clock(100.0, limit=parameters(STARTS["convnet"], ROWS) // 2), ROWS)
    assert mild[0].name == "convnet"
    assert auto._within(starts, clock(100.0), ROWS) == starts


def test_what_no_size_of_meets_the_limits_stays_and_comes_last():
    starts = portfolio.starts(SPACE, 1)
    mild = clock(100.0, limit=parameters(STARTS["convnet"], ROWS) // 2)

    def sized(recipe: Recipe) -> Recipe | None:
        return None if recipe.architecture.id == "mobilenet" else mild.sized(recipe)

    found = auto._within(starts, dataclasses.replace(mild, sized=sized), ROWS)
    assert found[-1].recipe == STARTS["mobilenet-v2"]
    assert auto._within(starts, dataclasses.replace(mild, sized=lambda recipe: None), ROWS) == starts


def test_where_one_recipe_is_all_there_is_the_rest_of_the_clock_is_its_own():
    alone = space.derive(ROWS.task, ROWS, SearchSettings(allow=("resnet",)))
    sampler = strategies.make("auto", alone, 1)
    known = [start.recipe for start in sampler.starts]
    for n, recipe in enumerate(known):
        sampler.tell(ended(f"t{n}", recipe, 0.5 - 0.1 * n))
    share = parameters(known[0], ROWS) / parameters(STARTS["convnet"], ROWS)
    proposal = sampler.ask("t9", clock(2.5 * WISH * 10.0 * share))
    assert portfolio.kind(proposal.recipe) == portfolio.kind(known[0])
    assert proposal.fidelity.epochs > auto.LONGER * WISH


def test_towards_the_end_the_leaders_train_for_longer_one_after_the_other():
    told = [
        ended(f"t{n}", recipe, score) for n, (recipe, score) in
        enumerate(zip(STARTS.values(), (0.7, 0.6, 0.5, 0.4, 0.3, 0.2), strict=False))
    ]
    leaders = [c.best.recipe for c in ranking({t.id: t for t in told}.values())]
    early = asked(told, clock(9.0 * WISH * 10.0))
    assert early.fidelity.epochs <= WISH or early.origin != "finalist"
    outlook = clock(3.0 * WISH * 10.0)
    first = asked(told, outlook)
    assert portfolio.kind(first.recipe) == portfolio.kind(leaders[0])
    assert first.fidelity.epochs == pytest.approx(at_most(3.0 / 1.1 * WISH), abs=2)
    running = Trial(id="t9", recipe=first.recipe, fidelity=first.fidelity, origin=first.origin)
    second = asked([*told, running], outlook)
    assert portfolio.kind(second.recipe) == portfolio.kind(leaders[1])
    assert second.fidelity.epochs > auto.LONGER * WISH


def test_few_pictures_are_shown_more_often():
    def usual(rows: int) -> int:
        return int(space.epochs(PICTURES.model_copy(update={"rows": rows})).default)

    assert usual(200) > usual(2_000) > usual(20_000)
