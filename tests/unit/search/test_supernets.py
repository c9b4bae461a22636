"""A supernet in a whole job: beside trials on the slots, its architectures trained, restarts, failures, cancellation."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl.catalog import devices
from automl.catalog import space as spaces
from automl.export import companions
from automl.search import foresight, over_supernet, sizing, strategies
from automl.spec import Choice, Constraints, FormatRequest, Found, InvalidInput, Modality, Outcome, SearchSettings
from automl.spec.event import Noted, SupernetEnded, SupernetStarted, TrialEnded, TrialStarted
from tests.unit.search.fakes import PICTURES, ROUNDS, TABLE, Meta, Theatre, World, fold, spec

BLOCK = "conv3.none.conv3.skip.none.conv3"
OTHER = "conv3.none.conv3.skip.none.conv1"


def found(folder: Path) -> list[Found]:
    return [
        Found(architecture=Choice(id="nas-cell", params={"genotype": g, "width": 8, "cells": 1, "stages": 3}), note="best")
        for g in (BLOCK, OTHER)
    ]


def stage(tmp_path: Path, **more) -> Theatre:
    search = SearchSettings(strategy=more.pop("strategy", "darts"), parameters=more.pop("parameters", {}))
    asked = {name: more.pop(name) for name in ("constraints", "formats") if name in more}
    return Theatre(
        tmp_path, spec=spec(wall_s=more.pop("wall_s", 500.0), task="image-classification", search=search, **asked),
        meta=Meta(task="image-classification", modality=Modality.IMAGE, profile=PICTURES), seed=7,
        world=more.pop("world", World(epoch_s=lambda work: 8.0)), found=more.pop("found", found), **more,
    )


def of(events, kind):
    return [e.payload for e in events if isinstance(e.payload, kind)]


def test_a_supernet_takes_a_slot_beside_trials_and_what_it_finds_is_trained_first(tmp_path):
    stage_ = stage(tmp_path, parameters={"darts.order": "2"})
    events = stage_.run()
    state = fold(events)
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    [supernet] = state.supernets.values()
    assert (supernet.outcome, len(supernet.measurements)) == (Outcome.COMPLETED, ROUNDS)
    assert supernet.step_s > 0
    assert supernet.settings == {"order": 2, "partial": 1, "guard": "both", "selection": "perturbation"}
    assert supernet.recipe.architecture.params["width"] == 8
    [work] = [w for w in stage_.executor.started if w.entry]
    assert work.settings["method"] == "darts"
    assert work.workdir == tmp_path / "supernets" / "s01"
    assert stage_.executor.most_at_once == 2
    kinds = [type(e.payload) for e in events]
    ended = kinds.index(SupernetEnded)
    assert TrialStarted in kinds[kinds.index(SupernetStarted) : ended]
    later = [e.payload.recipe.architecture.params for e in events[ended:] if isinstance(e.payload, TrialStarted)]
    assert [p["genotype"] for p in later[:2]] == [BLOCK, OTHER]
    assert {p["width"] for p in later[:2]} == {16}  # the usual size, not the supernet's
    assert any(f"It found {BLOCK}, {OTHER}" in n.message for n in of(events, Noted))


@pytest.mark.parametrize("places", [(2, -1), pytest.param((0, -2), marks=pytest.mark.slow)])
def test_killed_anywhere_the_supernet_goes_on_and_is_trained_once(places, tmp_path):
    """Once it has begun, in its middle, before it ends and behind its end."""
    whole = stage(tmp_path / "whole").run()
    marks = [n for n, e in enumerate(whole, 1) if e.payload.kind.startswith("supernet-")]
    for cut in (marks[-1] - 1 if place == -2 else marks[place] for place in places):
        stage_ = stage(tmp_path / str(cut))
        past = stage_.run(stop_after=cut)
        events = stage_.run(past)
        state = fold(events)
        assert state.finished is not None
        assert state.finished.state == "SUCCEEDED"
        assert list(state.supernets) == ["s01"]
        starts = of(events, SupernetStarted)
        assert [s.attempt for s in starts] == list(range(1, len(starts) + 1))
        assert len(starts) == (1 if cut == marks[-1] else 2)
        assert len(of(events, SupernetEnded)) == 1
        measured = [m.epoch for m in state.supernets["s01"].measurements]
        assert measured == sorted(set(measured))
        # One round may have been written down, and not booked when the controller died.
        assert len(set(range(1, ROUNDS + 1)) - set(measured)) <= 1
        genotypes = [t.recipe.architecture.params["genotype"] for t in state.trials.values()]
        assert BLOCK in genotypes


def test_a_supernet_that_is_lost_after_slots_were_taken_away_waits_for_one(tmp_path):
    taken = []

    def one_slot(now, control):
        if not taken and now >= 1_004.0:
            taken.append(now)
            control.take({"command": "slots", "slots": 1})

    world = World(
        epoch_s=lambda work: 8.0,
        fails=lambda work: Outcome.LOST if work.trial == "s01" and work.attempt == 1 else None,
    )
    events = stage(tmp_path, world=world, on_time=one_slot).run()
    state = fold(events)
    assert state.finished.state == "SUCCEEDED"
    assert (state.supernets["s01"].outcome, state.supernets["s01"].attempt) == (Outcome.COMPLETED, 2)
    [lost] = [n for n, e in enumerate(events) if isinstance(e.payload, Noted) and "lost its worker" in e.payload.message]
    [again] = [n for n, e in enumerate(events) if isinstance(e.payload, SupernetStarted) and e.payload.attempt == 2]
    assert any(isinstance(e.payload, TrialEnded) for e in events[lost:again])  # who held the slot that is left


@pytest.mark.parametrize("outcome", [Outcome.NAN, Outcome.OOM, Outcome.ERROR, Outcome.LOST])
def test_without_its_supernet_the_job_goes_on_by_evolution(tmp_path, outcome):
    world = World(epoch_s=lambda work: 8.0, fails=lambda work: outcome if work.entry else None)
    events = stage(tmp_path, world=world, found=lambda folder: []).run()
    state = fold(events)
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    [supernet] = state.supernets.values()
    assert supernet.outcome == outcome
    assert supernet.attempt == (3 if outcome == Outcome.LOST else 1)
    assert any("found nothing" in n.message and n.severity == "warning" for n in of(events, Noted))
    assert len(state.trials) > 3


def test_a_cancelled_job_ends_its_supernet(tmp_path):
    def cancel(event, control):
        if event.payload.kind == "supernet-measured":
            control.take({"command": "cancel"})

    events = stage(tmp_path, on_event=cancel).run()
    state = fold(events)
    assert state.finished is not None
    assert state.finished.state == "CANCELLED"
    assert state.supernets["s01"].outcome == Outcome.PRUNED


def test_a_job_that_is_asked_to_finish_stops_its_supernet_and_delivers(tmp_path):
    def finish(event, control):
        if event.payload.kind == "best-changed":
            control.take({"command": "finish"})

    state = fold(stage(tmp_path, on_event=finish).run())
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    assert state.supernets["s01"].outcome == Outcome.PRUNED


def test_the_larger_space_is_searched_where_the_clock_allows_it():
    space = spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="darts"))
    sampler = strategies.make("darts", space, 1)
    assert isinstance(sampler, over_supernet.Darts)
    assert sampler.searched(60.0).architecture.id == "nas-cell"
    assert sampler.searched(3600.0).architecture.id == "nas-darts"


def test_darts_is_refused_where_there_is_nothing_that_it_could_search():
    with pytest.raises(InvalidInput, match=r"darts searches nas-cell, nas-darts"):
        spaces.derive("tabular-classification", TABLE, SearchSettings(strategy="darts"))
    with pytest.raises(InvalidInput, match=r"nas-mobile can't be searched by it"):
        spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="darts", force=("nas-mobile",)))
    with pytest.raises(InvalidInput, match=r"darts.order"):
        spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="darts", parameters={"darts.order": "3"}))
    with pytest.raises(InvalidInput, match=r"isn't in the search space"):
        spaces.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution", parameters={"darts.order": "2"}))


def test_networks_of_a_supernet_that_is_once_for_all_are_cut_out_and_delivered_untrained(tmp_path):
    genotype = ".".join(["k3e2", "skip", "skip"] * 3 + ["skip"] * 3)
    choice = Choice(id="nas-mobile", params={"genotype": genotype, "width": 8, "resolution": 0.5})
    stage_ = stage(tmp_path, strategy="once-for-all", found=lambda folder: [Found(architecture=choice, expected=0.8)])
    state = fold(stage_.run())
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    [carved] = [w for w in stage_.executor.started if w.entry.endswith("carve")]
    assert carved.recipe.architecture == choice
    assert carved.settings == {"supernet": str(tmp_path / "supernets" / "s01")}
    assert state.trials[carved.trial].origin == "supernet"
    assert sum(t.recipe.architecture == choice for t in state.trials.values()) == 1


def test_paths_that_were_chosen_under_a_limit_are_trained_first_and_their_search_is_told_of_it(tmp_path):
    genotype = ".".join(["k3e2", "skip", "skip"] * 3 + ["skip"] * 3)
    choice = Choice(id="nas-mobile", params={"genotype": genotype, "width": 16, "resolution": 1.0})
    stage_ = stage(
        tmp_path, strategy="proxylessnas", found=lambda folder: [Found(architecture=choice)],
        parameters={"proxylessnas.kernel": "3"}, constraints=Constraints(max_latency_ms=2.0, max_size_bytes=3_000_000),
        formats=(FormatRequest.parse("tflite:int8"),),
    )
    events = stage_.run()
    state = fold(events)
    assert state.finished is not None
    assert state.finished.state == "SUCCEEDED"
    [work] = [w for w in stage_.executor.started if w.entry]
    assert work.settings["method"] == "proxylessnas"
    assert work.settings["kernel"] == 3
    aims = {name: value for name, value in work.settings.items() if name.startswith(("max-", "latency-"))}
    assert aims == {
        "max-ms": 1.9, "max-bytes": 2_995_500, "latency-device": "here", "latency-precision": "int8",
        "latency-cache": str(tmp_path / "cache"),
    }
    # Where its caches lie is nothing that a job remembers.
    assert "max-ms" not in state.supernets["s01"].settings
    ended = [type(e.payload) for e in events].index(SupernetEnded)
    later = [e.payload.recipe.architecture.params for e in events[ended:] if isinstance(e.payload, TrialStarted)]
    assert later[0] == choice.params


def test_limits_become_what_a_supernet_aims_at():
    int8, plain, keras = (FormatRequest.parse(text) for text in ("tflite:int8", "tflite:float32", "keras-file"))
    here, there = devices.devices["here"], devices.devices["nucleo-l4r5zi"]
    aims = foresight.aims(here, Constraints(), (int8,), Path("c"))
    assert aims == {}
    assert foresight.aims(here, Constraints(max_latency_ms=1.0), (keras,), Path("c")) == {}  # nothing foresees that format
    sized = foresight.aims(here, Constraints(max_size_bytes=100_000), (plain,), Path("c"))
    assert sized == {"max-parameters": (100_000 - sizing.GRAPH_BYTES - companions.expected_bytes(100_000)) // 4}
    limits = Constraints(max_parameters=5_000, max_latency_ms=1.0, max_size_bytes=50_000)
    both = foresight.aims(there, limits, (int8,), Path("c"))
    assert both["max-parameters"] == 5_000
    assert both["max-bytes"] == 50_000 - companions.expected_bytes(50_000)
    assert both["latency-device"] == "nucleo-l4r5zi"
