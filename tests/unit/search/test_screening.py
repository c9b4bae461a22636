"""Candidates that are scored before they are trained: in a whole job, after a restart, and when scoring fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.spec import Event, Modality, SearchSettings
from automl.spec.event import BestChanged, CandidatesScored, Noted, TrialStarted
from tests.unit.search.fakes import PICTURES, Meta, Theatre, World, fold, spec


def stage(tmp_path: Path, **more) -> Theatre:
    search = SearchSettings(strategy="evolution", forbid=more.pop("forbid", ()))
    return Theatre(
        tmp_path, spec=spec(wall_s=more.pop("wall_s", 1800.0), task="image-classification", search=search),
        meta=Meta(task="image-classification", modality=Modality.IMAGE, profile=PICTURES), seed=7,
        world=World(epoch_s=lambda work: 8.0), **more,
    )


def trained(events) -> list[str]:
    return [str(e.payload.recipe.architecture) for e in events if isinstance(e.payload, TrialStarted)]


def pools(events) -> list[CandidatesScored]:
    return [e.payload for e in events if isinstance(e.payload, CandidatesScored)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The events of a job without accidents."""
    return stage(tmp_path_factory.mktemp("job")).run()


def test_only_the_best_of_each_pool_are_trained(whole: list[Event]) -> None:
    events = whole
    found, begun = pools(events), set(trained(events))
    assert len(found) >= 2
    for pool in found:
        taken = [c for c in pool.candidates if str(c.architecture) in begun]
        assert len(taken) <= 3
        assert all(c.rank >= sorted((x.rank for x in pool.candidates), reverse=True)[2] for c in taken)
    ranked = {str(c.architecture) for pool in found for c in pool.candidates}
    default = trained(events)[0]
    assert begun <= ranked | {default}
    assert fold(events).scored == found


def test_no_architecture_is_scored_twice(whole: list[Event]) -> None:
    every = [str(c.architecture) for pool in pools(whole) for c in pool.candidates]
    assert len(set(every)) == len(every)


def test_a_restarted_job_keeps_the_scores_that_it_has(tmp_path: Path) -> None:
    first = stage(tmp_path)
    killed = first.run(stop_after=40)
    before = pools(killed)
    assert before
    events = first.run(past=killed)
    assert events[-1].payload.state == "SUCCEEDED"
    assert pools(events)[: len(before)] == before


def test_nothing_is_scored_before_there_is_a_usable_model(whole: list[Event]) -> None:
    first = next(n for n, e in enumerate(whole) if isinstance(e.payload, BestChanged))
    assert first < next(n for n, e in enumerate(whole) if isinstance(e.payload, CandidatesScored))


def test_an_answer_of_the_first_candidates_only_is_taken(tmp_path: Path) -> None:
    def some(recipes, prepared, seconds):
        return {"scores": [{"naswot": 1.0}, {"naswot": 2.0}], "seconds": [9.0, 9.0], "faults": ["", ""]}

    events = stage(tmp_path, score=some, wall_s=600.0).run()
    assert {len(pool.candidates) for pool in pools(events)} == {2}
    assert pools(events)[0].candidates[1].rank > pools(events)[0].candidates[0].rank


def test_without_scores_the_search_goes_on_and_says_so(tmp_path: Path) -> None:
    def score(recipes, prepared, seconds):
        raise RuntimeError("planted")

    events = stage(tmp_path, score=score, wall_s=600.0).run()
    assert events[-1].payload.state == "SUCCEEDED"
    assert not pools(events)
    assert len(trained(events)) > 3
    assert sum("planted" in e.payload.message for e in events if isinstance(e.payload, Noted)) == 1


def test_a_user_may_do_without(tmp_path: Path) -> None:
    events = stage(tmp_path, forbid=("zero-cost",), wall_s=300.0).run()
    assert events[-1].payload.state == "SUCCEEDED"
    assert not pools(events)
