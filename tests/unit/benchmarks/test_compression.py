"""The benchmark of compression: units are run once, limits are drawn within bounds, verdicts follow from the figures."""

from __future__ import annotations

import json
import math
import pathlib
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

from automl.export import candidate as candidates
from automl.export import tflite
from automl.spec import Choice
from automl.training import prediction
from benchmarks import rows as shared
from benchmarks.compression import independent, limits, recovery, rows, sealed
from benchmarks.compression.__main__ import TITLE, judged, remark
from tests.unit.compression.conftest import trained
from tests.unit.training import conftest as small


def given(folder: pathlib.Path, **more: Any) -> rows.Given:
    said: dict[str, Any] = {
        "data": None, "work": folder, "ends": math.inf, "seeds": 1, "factor": 1.0, "sets": (), "commit": "c0ffee",
        "say": lambda line: None, **more,
    }
    return rows.Given(**said)


def test_a_unit_is_run_once_for_a_commit_and_a_failure_is_kept(tmp_path: pathlib.Path) -> None:
    calls = []

    def run() -> dict[str, Any]:
        calls.append(1)
        return {"value": len(calls)}

    assert given(tmp_path).unit("row", {"seed": 0}, run)["value"] == 1
    assert given(tmp_path).unit("row", {"seed": 0}, run)["value"] == 1
    assert given(tmp_path).unit("row", {"seed": 1}, run)["value"] == 2
    assert given(tmp_path, commit="other").unit("row", {"seed": 0}, run)["value"] == 3
    assert given(tmp_path, ends=0.0).unit("row", {"seed": 2}, run) is None

    def fail() -> dict[str, Any]:
        raise RuntimeError("nothing was delivered")

    assert given(tmp_path).unit("row", {"seed": 3}, fail)["fault"] == "nothing was delivered"


def test_every_row_says_its_aim_and_the_page_draws_what_is_there(tmp_path: pathlib.Path) -> None:
    known = shared.of("benchmarks.compression", rows.HERE)
    assert set(known) == {"delivered", "size-limits", "sealed-limits", "qat", "rank-by"}
    drawn = shared.page(TITLE, known, tmp_path, remark)
    assert drawn.count("Not run yet.") == len(known)
    for row in known.values():
        assert row.AIM in drawn
        assert row.table({"units": []})


def test_a_row_is_met_only_when_all_of_it_was_run() -> None:
    assert rows.verdict([True], whole=True) is True
    assert rows.verdict([True], whole=False) is None
    assert rows.verdict([True, False], whole=False) is False
    assert rows.verdict([], whole=True) is None


def test_fewer_seeds_may_miss_an_aim_and_do_not_meet_it() -> None:
    for met, seeds, said in ((True, 1, None), (False, 1, False), (None, 3, None), (True, 3, True)):
        assert judged({"met": met, "seeds": seeds})["met"] is said
    assert remark({"factor": 0.5, "seeds": 3}) == "; budgets × 0.5"
    assert remark({"factor": 1.0, "seeds": 1}) == "; a quick look, 1 seed(s)"


def test_what_a_job_wins_over_the_plain_path_is_shown_for_each_seed() -> None:
    units = [
        {"limit_kb": 20, "seed": seed, "how": how, "metric": value, "bytes": 19_000}
        for seed, ours, theirs in ((0, 0.68, 0.66), (1, 0.65, 0.66)) for how, value in (("job", ours), ("plain", theirs))
    ]
    assert "| 0.6650 | 0.6600 | +0.0050 (+0.0200, -0.0100) |" in limits.table({"units": units})
    assert limits.differences(units[:3], 20) == pytest.approx([0.02])


def test_limits_are_drawn_between_the_least_and_the_usual() -> None:
    usual, least = {"bytes": 80_000, "latency_ms": 0.02}, {"bytes": 10_000, "latency_ms": 0.003}
    rng = np.random.default_rng(0)
    found = [sealed.drawn(usual, least, rng.random(3)) for _ in range(300)]
    sizes = [f["max_size"] for f in found if "max_size" in f]
    latencies = [f["max_latency"] for f in found if "max_latency" in f]
    assert all(f for f in found)
    assert 12_000 <= min(sizes) < 15_000 < 70_000 < max(sizes) <= 80_000
    assert 0.006 <= min(latencies) < 0.007 < 0.018 < max(latencies) <= 0.02
    assert 0.5 < len(sizes) / 300 < 0.8
    assert 0.5 < len(latencies) / 300 < 0.8
    # Where the usual is the least, limits leave it some room.
    assert sealed.drawn(least, least, np.array([0.5, 0.5, 0.5])) == {"max_size": 12_000, "max_latency": 0.006}


@pytest.mark.parametrize(("unit", "feasible", "said"), [
    ({"files": [{"bytes": 900, "latency_ms": 0.5}], "max_size": 1000}, True, "met"),
    ({"files": [{"bytes": 1001, "latency_ms": 0.5}], "max_size": 1000}, True, "1 of 1 files beyond the limits"),
    ({"files": [{"bytes": 900, "latency_ms": 0.5}], "max_latency": 0.4}, True, "1 of 1 files beyond the limits"),
    ({"files": [], "state": "FAILED", "reason": "INFEASIBLE"}, False, "met"),
    ({"files": [], "state": "FAILED", "reason": "INFEASIBLE"}, True, "nothing delivered: FAILED, INFEASIBLE"),
    ({"files": [{"bytes": 9, "latency_ms": 0.5}], "max_size": 1}, False, "delivered what can't be"),
])
def test_the_verdict_on_a_sealed_job(unit: dict[str, Any], feasible: bool, said: str) -> None:
    assert sealed.verdict(unit, feasible) == said


def test_the_independent_script_measures_bytes_and_latency(tmp_path: pathlib.Path) -> None:
    image = keras.Input((8, 8, 1), dtype="float32", name="numeric")
    model = keras.Model({"numeric": image}, keras.layers.Dense(2, name="probabilities")(keras.layers.Flatten()(image)))
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite.convert(model, "float32"))
    done = subprocess.run([sys.executable, independent.__file__, str(file)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["bytes"] == file.stat().st_size
    assert 0 < found["latency_ms"] < 100


def test_stretched_channels_leave_the_function(tmp_path: pathlib.Path) -> None:
    bars = trained(tmp_path, small.Case(
        small.make_pictures(tmp_path / "prepared", rows=80),
        small.recipe("image-classification", Choice(id="batch-norm"), architecture=Choice(id="convnet", params={
            "width": 16, "stages": 2, "residual": False,
        }), epochs=1),
    ))
    made = recovery.stretched(bars.candidate, tmp_path / "made", bars.data, np.random.default_rng(0))
    before, after = candidates.Candidate(bars.candidate), candidates.Candidate(made)
    given_rows = before.encode({"image": np.asarray(bars.data.inputs("validation")["image"])})
    np.testing.assert_allclose(
        prediction.predict(before.model, given_rows), prediction.predict(after.model, given_rows), atol=1e-4
    )
    pairs = zip(before.model.get_weights(), after.model.get_weights(), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)


def test_the_plain_paths_weights_are_counted_right() -> None:
    for width in (4, 16):
        assert limits._weights(width) == limits._convnet(width).count_params()
