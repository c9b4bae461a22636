"""Whole jobs on pictures under a short clock, on a machine whose speed changes while the first network is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.search.prune import MISTIMED
from automl.spec import Modality, Outcome, SearchSettings, Trial
from automl.spec.event import TrialStarted
from tests.unit.search.fakes import PICTURES, Meta, Theatre, World, fold, spec

SLOWER_AT_S = 40.0


def stage(tmp_path: Path, factor: float) -> Theatre:
    """Epochs take eight seconds on one slot, and `factor` times that from some time after the probes on."""
    theatre = Theatre(
        tmp_path, spec=spec(wall_s=300.0, task="image-classification", search=SearchSettings(strategy="auto")),
        meta=Meta(task="image-classification", modality=Modality.IMAGE, profile=PICTURES), seed=7, world=World(),
    )
    begun = theatre.clock.now()
    theatre.world.epoch_s = lambda work: 8.0 * (factor if theatre.clock.now() - begun > SLOWER_AT_S else 1.0)
    return theatre


def first(theatre: Theatre) -> Trial:
    state = fold(theatre.run())
    assert state.finished.state == "SUCCEEDED"
    assert state.finished.wall_s <= 300.0
    assert not [t for t in state.trials.values() if t.message == MISTIMED]
    return next(t for t in state.trials.values() if t.origin == "portfolio")


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.6, 2.5])
def test_the_first_network_is_trained_to_the_end_of_its_schedule_at_any_speed(tmp_path: Path, factor: float) -> None:
    trial = first(stage(tmp_path, factor))
    assert trial.paced
    assert trial.outcome == Outcome.COMPLETED
    assert len(trial.measurements) == trial.recipe.epochs == trial.fidelity.epochs
    steady = first(stage(tmp_path / "steady", 1.0))
    # The epochs behind the change take `factor` times as long.
    assert trial.recipe.architecture == steady.recipe.architecture
    assert len(trial.measurements) == pytest.approx(4 + (len(steady.measurements) - 4) / factor, abs=3)


def test_a_restarted_job_paces_the_training_that_it_goes_on_with(tmp_path: Path) -> None:
    theatre = stage(tmp_path, 1.6)
    whole = stage(tmp_path / "whole", 1.6).run()
    started = next(n for n, e in enumerate(whole) if getattr(e.payload, "paced", False))
    killed = theatre.run(stop_after=started + 5)
    events = theatre.run(past=killed)
    trials = [e.payload for e in events if isinstance(e.payload, TrialStarted)]
    again = [one for one in trials if one.attempt == 2 and one.trial == whole[started].payload.trial]
    assert [one.paced for one in again] == [True]
    trial = fold(events).trials[again[0].trial]
    assert trial.outcome == Outcome.COMPLETED
    assert trial.measurements[-1].epoch == trial.recipe.epochs < again[0].recipe.epochs
