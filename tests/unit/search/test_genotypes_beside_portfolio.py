"""Genotypes of tables, texts and series: the portfolio's strongest recipes are tried first, and every strategy over
genotypes decides them."""

from __future__ import annotations

import pytest

from automl.catalog import architectures
from automl.catalog import space as spaces
from automl.catalog.compose import violations
from automl.search import portfolio, strategies
from automl.search.budget import ENDLESS, Outlook, Speed, parameters
from automl.search.genotypes import PORTFOLIO_SHARE
from automl.spec import Constraints, Measurement, Modality, Outcome, Profile, Recipe, SearchSettings, Trial
from tests.unit.search.fakes import TABLE, Meta, Theatre, World, fold, spec

SERIES = Profile(
    modality="series", task="timeseries-classification", rows=400, length=60, channels=2, classes=3, class_min=100,
    outputs=3,
)
STRATEGIES = tuple(strategies.OVER_GENOTYPES)
FAMILIES = {"nas-mlp": TABLE, "nas-sequence": SERIES}


def genotype_space(profile: Profile, strategy: str = "evolution", **settings) -> spaces.Space:
    return spaces.derive(profile.task, profile, SearchSettings(strategy=strategy, **settings))


def strong(profile: Profile) -> list[portfolio.Start]:
    return portfolio.of_each_family(genotype_space(profile, "auto"), 1)


def ended(id: str, proposal, score: float) -> Trial:
    last = Measurement(
        epoch=proposal.fidelity.epochs, train_loss=None, validation={}, score=score, elapsed_s=1.0, step_s=1.0
    )
    return Trial(
        id=id, recipe=proposal.recipe, fidelity=proposal.fidelity, origin=proposal.origin, outcome=Outcome.COMPLETED,
        score=score, measurements=(last,), best_epoch=last.epoch,
    )


def grown(sampler, trials: int, worth, first: int = 0) -> list[Trial]:
    told = []
    for n in range(first, first + trials):
        proposal = sampler.ask(f"t{n:04d}", ENDLESS)
        told.append(ended(f"t{n:04d}", proposal, worth(proposal.recipe)))
        sampler.tell(told[-1].model_copy(update={"outcome": None, "score": None, "measurements": (), "best_epoch": None}))
        sampler.tell(told[-1])
    return told


def test_of_each_family_the_recipe_that_comes_first_under_a_short_clock():
    assert [start.name for start in strong(TABLE)] == ["boosted-trees", "tabm", "mlp-periodic", "linear"]
    assert [start.name for start in strong(SERIES)] == ["rocket", "inception-time", "fcn", "resnet-1d"]
    fewer = portfolio.of_each_family(genotype_space(TABLE, "auto", forbid=("boosted-trees", "tabm")), 1)
    assert [start.name for start in fewer] == ["mlp-periodic", "linear"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_strategy_decides_genotypes_behind_the_strong_recipes(family, strategy):
    profile = FAMILIES[family]
    space, starts = genotype_space(profile, strategy), strong(profile)
    sampler = strategies.make(strategy, space, 3, starts=starts)
    # Trees and the like have the best scores: nothing is bred from them.
    told = grown(sampler, 14, lambda recipe: 0.9 if recipe.architecture.id != family else 0.5)
    assert [t.recipe for t in told[:4]] == [start.recipe for start in starts]
    assert all(t.origin == "portfolio" for t in told[:4])
    assert {t.recipe.architecture.id for t in told[4:]} == {family}
    assert {t.origin for t in told[4:]} == {strategy}
    assert all(not violations(t.recipe, profile) for t in told)
    begun = [t.recipe.architecture for t in told[4:] if t.fidelity.epochs == told[4].fidelity.epochs]
    assert len({a.model_dump_json() for a in begun}) == len(begun)
    if family == "nas-mlp":
        assert begun[0].params["genotype"] == architectures[family].genotypes.default
    # Another controller that is told the same goes on with the same.
    again = strategies.make(strategy, space, 3, starts=starts)
    again.restore(sampler.state(), told)
    assert again.ask("next", ENDLESS) == sampler.ask("next", ENDLESS)


@pytest.mark.parametrize("family", FAMILIES)
def test_evolution_climbs_towards_what_is_good(family):
    """Planted: twice as many units, or convolutions of five steps."""
    word = {"nas-mlp": "two", "nas-sequence": "conv5"}[family]

    def worth(recipe: Recipe) -> float:
        return 0.1 * str(recipe.architecture.params["genotype"]).split(".").count(word)

    sampler = strategies.make("evolution", genotype_space(FAMILIES[family]), 5)
    told = grown(sampler, 100, worth)
    shortest = min(t.fidelity.epochs for t in told)
    new = [worth(t.recipe) for t in told if t.fidelity.epochs == shortest]
    assert sum(new[-20:]) / 20 > sum(new[:10]) / 10 + 0.05


def test_strong_recipes_take_no_more_than_their_share_of_the_search_but_one():
    starts = strong(TABLE)

    def asked(seconds: float) -> list[str]:
        sampler = strategies.make("evolution", genotype_space(TABLE), 3, starts=starts)
        found, left = [], 100.0
        for n in range(6):
            outlook = Outlook(left, 100.0, 1, 0, lambda recipe: Speed(0.0, seconds / recipe.epochs, True))
            proposal = sampler.ask(f"t{n}", outlook)
            if proposal is None:
                break
            found.append(proposal.origin)
            sampler.tell(ended(f"t{n}", proposal, 0.5))
            left -= seconds
        return found

    assert asked(5.0)[:5] == ["portfolio"] * 4 + ["evolution"]
    assert asked(15.0)[:3] == ["portfolio"] * 2 + ["evolution"]
    assert 2 * 15.0 <= 100 * PORTFOLIO_SHARE < 3 * 15.0
    assert asked(60.0)[:2] == ["portfolio", "evolution"]


def job(tmp_path, profile: Profile, **search):
    task = profile.task
    stage = Theatre(
        tmp_path, spec=spec(wall_s=120.0, max_trials=10, task=task, search=SearchSettings(**search)),
        meta=Meta(task=task, modality=Modality(profile.modality), profile=profile), seed=7,
        world=World(epoch_s=lambda work: 0.05),
    )
    return fold(stage.run())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_job_says_what_it_tries_first_and_delivers_the_best_of_all(family, tmp_path):
    state = job(tmp_path, FAMILIES[family], strategy="evolution")
    searched = [t for t in state.trials.values() if t.origin in ("portfolio", "evolution")]
    assert searched[0].origin == "portfolio"
    assert sum(t.origin == "portfolio" for t in searched) == 4
    assert {t.recipe.architecture.id for t in searched if t.origin == "evolution"} == {family}
    assert state.finished.state == "SUCCEEDED"
    assert state.best.score == max(t.score for t in searched if t.score is not None)
    (note,) = [n.message for n in state.notes if "genotypes of" in n.message]
    assert f"genotypes of {family}" in note
    assert strong(FAMILIES[family])[0].name in note
    assert state.strategy is None


def test_who_names_families_gets_these_alone(tmp_path):
    alone = job(tmp_path / "alone", TABLE, strategy="evolution", force=("nas-mlp",))
    assert {t.recipe.architecture.id for t in alone.trials.values() if t.origin != "final"} == {"nas-mlp"}
    assert not [n for n in alone.notes if "genotypes of" in n.message]
    by_hand = job(tmp_path / "hand", TABLE, strategy="evolution", forbid=("nas-mlp",))
    ids = {t.recipe.architecture.id for t in by_hand.trials.values()}
    assert "nas-mlp" not in ids
    assert len(ids) > 1


def test_a_parameter_of_the_genotypes_is_no_obstacle(tmp_path):
    state = job(tmp_path, TABLE, strategy="evolution", parameters={"nas-mlp.width": "64"})
    trials = [t for t in state.trials.values() if t.recipe.architecture.id == "nas-mlp"]
    assert {t.recipe.architecture.params["width"] for t in trials} == {64}


def test_the_default_strategy_trains_no_genotypes_of_tables(tmp_path):
    state = job(tmp_path, TABLE, strategy="auto")
    assert "nas-mlp" not in {t.recipe.architecture.id for t in state.trials.values()}
    assert "nas-mlp" in state.space.excluded


def test_strong_recipes_are_made_small_enough_for_the_limits(tmp_path):
    """Of 3,000 weights: the plain networks are narrowed, and each that is tried meets the limit."""
    stage = Theatre(
        tmp_path, spec=spec(
            wall_s=120.0, max_trials=8, search=SearchSettings(strategy="evolution"),
            constraints=Constraints(max_parameters=3_000),
        ), world=World(epoch_s=lambda work: 0.05),
    )
    tried = [t for t in fold(stage.run()).trials.values() if t.origin == "portfolio"]
    assert "mlp" in {t.recipe.architecture.id for t in tried}
    assert all(parameters(t.recipe, TABLE) <= 3_000 for t in tried)
