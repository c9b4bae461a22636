"""A job's formats: made with proof, or refused with the reason."""

from __future__ import annotations

import hashlib
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from automl import catalog
from automl.execution import children
from automl.export import companions, deliver
from automl.report import quantities
from automl.spec import Artifact, Constraints, FormatRequest, Refused
from automl.spec.event import ArtifactMade, ArtifactRefused
from automl_client import proofs
from tests.unit.export import planted

pytestmark = pytest.mark.xdist_group("delivery")

FORMATS = [FormatRequest.parse(text) for text in ("tflite:float16", "tflite:int8", "saved-model", "keras-file")]


def delivered(model: planted.Planted, out: pathlib.Path, **more: Any) -> tuple[list[Artifact | Refused], list[Any]]:
    """Results and events."""
    events: list[Any] = []
    given: dict[str, Any] = {
        "formats": FORMATS, "constraints": Constraints(), "tolerance": 0.02, "metric": "accuracy", "out": out / "artifacts",
        "run_in_child": planted.run_here, "deadline": None, "emit": events.append, **more,
    }
    return deliver.deliver(model.candidate, model.data, **given), events


@pytest.fixture(scope="module")
def all_formats(
    pictures: planted.Planted, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Artifact | Refused], list[Any], pathlib.Path]:
    folder = tmp_path_factory.mktemp("delivered")
    return *delivered(pictures, folder), folder


def test_each_format_is_made_with_its_proof(all_formats: Any) -> None:
    results, events, folder = all_formats
    assert [r.id for r in results] == ["tflite-float16", "tflite-int8", "saved-model", "keras-file"]
    # The smallest first, should time run out; then each format as it is, then what lies between.
    order = [e.artifact.id for e in events if isinstance(e, ArtifactMade)]
    assert order == ["tflite-int8", "saved-model", "keras-file", "tflite-float16"]
    for made in results:
        content = (folder / "artifacts" / made.filename).read_bytes()
        assert hashlib.sha256(content).hexdigest() == made.sha256
        assert made.size_bytes == len(content) >= made.compressed_bytes - 100
        assert made.verification.passed
        assert made.verification.rows == 100
        assert set(companions.read(content)) == set(companions.NAMES)
    assert sorted(p.name for p in (folder / "artifacts").iterdir()) == sorted(r.filename for r in results)


def test_the_report_finds_all_outputs(all_formats: Any) -> None:
    results, _, folder = all_formats
    with np.load(folder / "verification" / "predictions.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {"y", "float", "classes", *(r.id for r in results)}
        assert stored["tflite-int8"].shape == stored["float"].shape == (100, 3)
        assert stored["classes"].tolist() == ["bottom", "middle", "top"]
    assert deliver.held_out_metrics(folder / "verification")["accuracy"] == results[0].verification.float_value


def test_the_card_tells_how_good_it_is_and_how_to_run_it(all_formats: Any) -> None:
    results, _, folder = all_formats
    card = companions.read(folder / "artifacts" / results[1].filename)[companions.CARD].decode()
    assert "model-int8.tflite" in card
    assert f"- Data: version `{'c' * 16}` (the SHA-256 of the bytes is `{'c' * 64}`)" in card
    assert "| accuracy (optimised) |" in card
    assert "uint8 [batch, 12, 12, 1]" in card
    assert "`bottom`, `middle`, `top`" in card
    labels = companions.read(folder / "artifacts" / results[1].filename)[companions.LABELS].decode()
    assert labels.splitlines() == ["bottom", "middle", "top"]
    samples = json.loads(companions.read(folder / "artifacts" / results[1].filename)[companions.SAMPLES])
    assert samples["inputs"][0]["image"]["shape"] == [12, 12, 1]


def test_what_is_too_large_is_refused_and_the_nearest_named(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    results, events = delivered(
        pictures, tmp_path, formats=[FormatRequest.parse("saved-model"), FormatRequest.parse("tflite:int8")],
        constraints=Constraints(max_size_bytes=14_000),
    )
    refused, made = results
    assert isinstance(refused, Refused)
    assert isinstance(made, Artifact)
    assert "at most 14.0 KB were asked for" in refused.reason
    assert f"tflite:int8 meets the limits: it is {quantities.size(made.size_bytes)}" in refused.reason
    assert [type(e) for e in events] == [ArtifactMade, ArtifactRefused]
    assert [p.name for p in (tmp_path / "artifacts").iterdir()] == [made.filename]
    assert deliver.infeasible(results, Constraints(max_size_bytes=14_000)) is None
    assert set(made.members) == {*companions.NAMES} - {companions.CARD}
    assert not proofs.contradictions(proofs.members_of(tmp_path / "artifacts" / made.filename)), "`automl verify` takes it"


def test_limits_that_nothing_meets_are_infeasible(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    limits = Constraints(max_latency_ms=1e-6)
    results, _ = delivered(pictures, tmp_path, formats=[FormatRequest.parse("tflite:int8")], constraints=limits)
    assert isinstance(results[0], Refused)
    assert "ms (median, one thread)" in results[0].reason
    error = deliver.infeasible(results, limits)
    assert error is not None
    assert "no artifact meets the limits" in str(error)
    assert deliver.infeasible(results, Constraints()) is None


def test_beyond_the_tolerance_nothing_is_returned(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    # The log-loss of an 8-bit model always differs a little, so a tolerance of 0 refuses it (or it is better by chance).
    results, _ = delivered(table, tmp_path, formats=[FormatRequest.parse("tflite:int8")], metric="log-loss", tolerance=0.0)
    (result,) = results
    if isinstance(result, Refused):
        assert "log-loss is" in result.reason
        assert not list((tmp_path / "artifacts").iterdir())
    else:
        assert result.verification.artifact_value <= result.verification.float_value


def test_without_time_each_is_refused_with_that_reason(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    results, events = delivered(pictures, tmp_path, deadline=time.monotonic() - 60)
    assert all(isinstance(r, Refused) and "no time was left" in r.reason for r in results)
    assert sorted(str(e.refused) for e in events) == sorted(str(r) for r in results)


def test_without_time_one_file_comes_late_rather_than_none(
    pictures: planted.Planted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "_GRACE_S", 120.0)
    results, _ = delivered(pictures, tmp_path, deadline=time.monotonic() - 1, slots=1)
    assert [r.id for r in results if isinstance(r, Artifact)] == ["tflite-int8"]
    assert all("no time was left" in r.reason for r in results if isinstance(r, Refused))


def test_with_little_time_two_lanes_make_all(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    formats = FORMATS[:2]
    needed = deliver.estimate_s(formats, parameters=1147, rows=100)
    results, _ = delivered(pictures, tmp_path, formats=formats, deadline=time.monotonic() + needed)
    assert [r.id for r in results if isinstance(r, Artifact)] == ["tflite-float16", "tflite-int8"]


@pytest.fixture
def failing() -> Iterator[list[FormatRequest]]:
    """Formats whose exporters fail."""
    names = ("segfault", "nothing", "garbage")
    for name in names:
        catalog.format(
            id=name, precisions=("float32",), suffix=".bin", runtime="ai-edge-litert", raw_input=False,
            exporter=f"tests.unit.export.crashing:{name}", doc="Fails.",
        )
    yield [FormatRequest(format=name) for name in names]
    for name in names:
        catalog.formats.remove(name)
        catalog.techniques.remove(name)


def test_a_crash_costs_one_artifact_and_no_more(
    pictures: planted.Planted, tmp_path: pathlib.Path, failing: list[FormatRequest]
) -> None:
    def run(**call: Any) -> dict[str, Any]:
        if call["target"].startswith("tests.") or call["request"].get("format") in ("nothing", "garbage"):
            # A bare process knows nothing of formats that this test declared.
            if call["target"].endswith("verify:artifact"):
                call = {**call, "request": {**call["request"], "format": "tflite"}}
            return children.run_in_child(**call)
        return planted.run_here(**call)

    formats = [*failing, FormatRequest.parse("tflite:float32")]
    results, _ = delivered(pictures, tmp_path, formats=formats, run_in_child=run)
    segfault, nothing, garbage, sound = results
    assert isinstance(segfault, Refused)
    assert "SIGSEGV" in segfault.reason
    assert isinstance(nothing, Refused)
    assert "without a file" in nothing.reason
    assert isinstance(garbage, Refused)
    assert garbage.reason
    assert isinstance(sound, Artifact)
    assert [p.name for p in (tmp_path / "artifacts").iterdir()] == [sound.filename]


def test_after_training_on_another_backend_children_begin_afresh(
    pictures: planted.Planted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def run(**call: Any) -> dict[str, Any]:
        calls.append(call)
        return planted.run_here(**call)

    formats = [FormatRequest.parse("keras-file")]
    delivered(pictures, tmp_path / "a", formats=formats, run_in_child=run)
    assert {call["preload"] for call in calls} == {"tensorflow"}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    calls.clear()
    delivered(pictures, tmp_path / "b", formats=formats, run_in_child=run)
    assert {call["preload"] for call in calls} == {None}
    assert {call["env"]["KERAS_BACKEND"] for call in calls} == {"tensorflow"}


@pytest.mark.slow
def test_a_job_in_real_children(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    results, _ = delivered(
        table, tmp_path, formats=[FormatRequest.parse("tflite:dynamic")], run_in_child=children.run_in_child
    )
    (made,) = results
    assert isinstance(made, Artifact), made
    assert made.verification.peak_memory_bytes is not None
    assert made.verification.peak_memory_bytes < 200e6
