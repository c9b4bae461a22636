"""Another network out of a kept supernet: the best that meets a limit of size, or of latency by the table of operations."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from automl.nas import once_for_all, retargeting
from automl.nas.latency import Timing
from automl.nas.subnetworks import Space
from automl.spec import InvalidInput, Recipe
from automl.training.result import TrainResult

SPACE = Space((16, 16, 3), 2, (3, 5), (1, 2), (2, 4), (8, 16), (0.5, 0.75, 1.0))
OUTPUTS = 10


def macs(sub) -> int:
    return SPACE.network(sub).macs


class FakeTable:
    """A machine on which an operation takes a nanosecond for each of its weights, and a call a microsecond."""

    def __init__(self):
        self.asked = 0

    def measure(self, operations, run_in_child, *, limit_s: float) -> int:
        self.asked += 1
        return 0

    def predict(self, operations) -> Timing:
        return Timing(sum(operations) / 1e6 + 0.001, len(operations))


@pytest.fixture
def scored() -> list[dict]:
    """The larger the better."""
    rng = random.Random(2)
    subs = [sub for sub in (SPACE.sample(rng) for _ in range(60)) if SPACE.fits(sub)]
    return [{"architecture": sub.choice.to_dict(), "score": macs(sub) / 1e7} for sub in subs]


def request_of(tmp_path: Path, **limits) -> dict:
    return {
        "supernet": str(tmp_path), "prepared": str(tmp_path), "out": str(tmp_path / "out"), "cache": str(tmp_path),
        "metric": "accuracy", "precision": "int8", "max_size_bytes": None, "max_latency_ms": None, **limits,
    }


@pytest.fixture
def kept(monkeypatch, scored, tmp_path):
    """A supernet whose networks are chosen, and not cut out: that is `automl.nas.carving`'s."""
    recipe = Recipe(task="image-classification", architecture=SPACE.largest().choice)
    known = {"space": SPACE.to_dict(), "recipe": recipe.to_dict(), "scored": scored}
    monkeypatch.setattr(once_for_all, "read", lambda folder: ({}, known))
    meta = SimpleNamespace(profile=SimpleNamespace(outputs=OUTPUTS))
    monkeypatch.setattr(retargeting.PreparedDataset, "open", lambda path: SimpleNamespace(meta=meta))
    cut = []

    def write(supernet, chosen, prepared, out, *, metric):
        cut.append(chosen)
        return TrainResult.model_construct(score=0.5)

    monkeypatch.setattr(retargeting.carving, "write", write)
    return SimpleNamespace(cut=cut, known=known, folder=tmp_path)


def test_the_best_network_that_fits_into_a_file(kept):
    whole = retargeting.size(SPACE.network(SPACE.largest()), OUTPUTS, "int8")
    answer = retargeting.choose_in_child(request_of(kept.folder, max_size_bytes=int(0.6 * whole)))
    assert answer["bytes"] <= 0.6 * whole
    assert answer["bytes"] > 0.4 * whole
    assert kept.cut[0].architecture.params["genotype"] == answer["genotype"]


def test_a_limit_of_latency_is_met_by_the_table(kept, monkeypatch):
    table = FakeTable()
    monkeypatch.setattr(retargeting.Table, "here", lambda cache: table)
    monkeypatch.setattr("automl.catalog.operations.of_network", lambda net, outputs, precision: [p.macs for p in net.parts])
    largest_ms = macs(SPACE.largest()) / 1e6 + 0.001
    answer = retargeting.choose_in_child(request_of(kept.folder, max_latency_ms=0.5 * largest_ms))
    assert 0.3 * largest_ms < answer["ms"] <= 0.5 * largest_ms
    assert table.asked == 2


def test_limits_that_no_network_meets_are_told_with_the_least_there_is(kept):
    with pytest.raises(InvalidInput, match=r"no network inside the supernet meets the limits; the smallest .* bytes"):
        retargeting.choose_in_child(request_of(kept.folder, max_size_bytes=1000))


def test_too_few_scores_choose_nothing(kept):
    kept.known["scored"] = kept.known["scored"][:3]
    with pytest.raises(InvalidInput, match="only 3 networks"):
        retargeting.choose_in_child(request_of(kept.folder, max_size_bytes=100_000))


def test_the_line_through_timed_networks_is_exact_where_time_is_such_a_line():
    rng = random.Random(0)
    subs = [SPACE.sample(rng) for _ in range(20)]
    known = {sub: 0.1 + 2e-6 * macs(sub) for sub in subs}
    line = retargeting.fitted(SPACE, known)
    other = SPACE.sample(rng)
    assert line(other) == pytest.approx(0.1 + 2e-6 * macs(other), rel=1e-6)
