"""Verification tells a faithful artifact from one that isn't, and what it costs to run."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest

from automl.export import verify
from automl.spec import Internal, Verification
from automl_client import scores
from tests.unit.export import planted
from tests.unit.export.test_formats import write


def compared(
    metric: str, y: list[float], expected: list[list[float]], outputs: list[list[float]], tolerance: float
) -> Verification:
    return verify.compare(
        np.array(y), np.array(expected, np.float32), np.array(outputs, np.float32), part="test", metric=metric,
        tolerance=tolerance, latency=None, peak_memory_bytes=None, runtime="none",
    )


SURE = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]


def test_a_loss_within_the_tolerance_passes_also_when_equal_to_it() -> None:
    worse = [*SURE[:3], [0.6, 0.4]]
    assert compared("accuracy", [0, 1, 0, 1], SURE, worse, tolerance=0.25).passed
    refused = compared("accuracy", [0, 1, 0, 1], SURE, worse, tolerance=0.2)
    assert not refused.passed
    assert "0.7500" in refused.reason
    assert "tolerance is 0.2" in refused.reason
    assert refused.agreement == 0.75
    assert refused.max_difference == pytest.approx(0.2)


def test_a_gain_passes() -> None:
    assert compared("accuracy", [0, 1, 0, 0], SURE, [*SURE[:3], [0.6, 0.4]], tolerance=0.0).passed


def test_errors_are_compared_relative_to_the_float_models() -> None:
    y, expected = [0.0, 100.0, 200.0], [[10.0], [110.0], [210.0]]
    assert compared("rmse", y, expected, [[10.4], [110.4], [210.4]], tolerance=0.05).passed
    assert not compared("rmse", y, expected, [[10.4], [110.4], [210.4]], tolerance=0.03).passed


def test_outputs_that_are_not_finite_never_pass() -> None:
    found = compared("accuracy", [0, 1, 0, 1], SURE, [*SURE[:3], [float("nan"), 1.0]], tolerance=1.0)
    assert not found.passed
    assert "1 of 4 rows are NaN" in found.reason


def test_the_metrics_interval_and_the_shift_of_calibration_are_told() -> None:
    """Two of four are right: Wilson's interval is 0.15 to 0.85. The float model's probabilities are 0.3 off, these 0.2."""
    expected = [[0.8, 0.2]] * 4
    outputs = [[0.7, 0.3]] * 4
    found = compared("accuracy", [0, 1, 0, 1], expected, outputs, tolerance=0.0)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.1500, 0.8500), abs=1e-4)
    assert found.calibration_error == pytest.approx(0.2)
    assert found.calibration_shift == pytest.approx(-0.1)


def test_numbers_have_an_interval_and_no_calibration() -> None:
    """Of four equal errors of 0.4 every resample has the same mean."""
    y, outputs = [0.0, 100.0, 200.0, 300.0], [[0.4], [100.4], [200.4], [300.4]]
    found = compared("mae", y, outputs, outputs, tolerance=0.0)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.4, 0.4), abs=1e-4)
    assert (found.calibration_error, found.calibration_shift) == (None, None)


def test_agreement_of_numbers_is_the_r2_against_the_float_model() -> None:
    expected = np.array([[0.0], [2.0]], np.float32)
    assert verify.agreement(expected, expected) == 1.0
    assert verify.agreement(expected, np.array([[0.0], [1.0]], np.float32)) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def artifact(table: planted.Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """A written .tflite file, and the folder with the float model's outputs."""
    folder = tmp_path_factory.mktemp("artifact")
    written, _ = write(table, folder, "tflite", "float32")
    request = {
        "candidate": str(table.candidate), "prepared": str(table.data.path), "part": "test", "out": str(folder),
        "threads": 1, "seed": 0,
    }
    account = verify.reference(request)
    assert (account["rows"], account["held_out_rows"]) == (200, 200)
    assert account["metrics"]["accuracy"] > 0.7
    return written, folder


def verified(
    table: planted.Planted, path: pathlib.Path, reference: pathlib.Path, sha256: str = "", **more: object
) -> Verification:
    return Verification.from_dict(verify.artifact({
        "artifact": str(path), "format": "tflite", "sha256": sha256 or verify.sha256(path), "prepared": str(table.data.path),
        "part": "test", "metric": "accuracy", "tolerance": 0.01, "reference": str(reference),
        "predictions": str(reference / "outputs.npy"), "threads": 1, "time_s": 10.0, "seed": 0, "max_latency_ms": None,
        **more,
    }))


def test_a_sound_artifact_passes_with_its_costs(table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path]) -> None:
    path, reference = artifact
    found = verified(table, path, reference)
    assert found.passed
    assert (found.rows, found.held_out_rows, found.reference_rows) == (200, 200, 200)
    assert found.latency is not None
    assert 0 < found.latency.median_ms <= found.latency.p90_ms
    assert found.latency.threads == 1
    assert found.runtime.startswith("ai-edge-litert ")
    outputs = np.load(reference / "outputs.npy")
    assert outputs.shape == (200, 3)
    # The client says the same of these outputs.
    with np.load(reference / verify.REFERENCE) as stored:
        y, expected = stored["y"], stored["float"]
    within = scores.interval("accuracy", y, outputs)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((within.low, within.high))
    assert found.interval.low < found.artifact_value < found.interval.high
    assert found.calibration_error == pytest.approx(scores.calibration_error(y, outputs))
    assert found.calibration_shift == pytest.approx(found.calibration_error - scores.calibration_error(y, expected))


@pytest.mark.parametrize(("limit", "counts", "rounds"), [
    (None, 3.0, 1), (4.0, 3.0, 1), (2.0, 1.5, 2), (1.6, 1.5, 2), (2.999, 1.5, 2), (1.4, 1.5, 3), (1.0, 3.0, 1),
])
def test_near_a_limit_latency_is_measured_again(
    limit: float | None, counts: float, rounds: int, table: planted.Planted,
    artifact: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first measurement takes 3 ms, the second 1.5: three times a limit isn't near it."""
    monkeypatch.setattr(verify, "_LATENCY_PATIENCE_S", 0.0)
    assert latencies(table, artifact, monkeypatch, [3.0, 1.5, 2.0], limit) == (counts, rounds)


def test_a_machine_that_is_slow_for_a_while_is_waited_for(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_LATENCY_PATIENCE_S", 600.0)
    assert latencies(table, artifact, monkeypatch, [2.5, *[2.6] * 9, 1.5, 2.6], 2.0) == (1.5, 11)


def latencies(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch,
    medians: list[float], limit: float | None,
) -> tuple[float, int]:
    """The latency that counts where measurements give these medians, and how many were taken."""
    times, measured = iter(medians), []
    real = verify.measure_latency

    def measure(predictor: verify.Predictor, row: dict[str, np.ndarray]) -> tuple[object, np.ndarray]:
        found, outputs = real(predictor, row, seconds=0.01)
        measured.append(found.changed(median_ms=next(times)))
        return measured[-1], outputs

    monkeypatch.setattr(verify, "measure_latency", measure)
    found = verified(table, *artifact, max_latency_ms=limit).latency
    assert found is not None
    return found.median_ms, len(measured)


def test_the_reference_is_computed_once(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    shutil.copytree(artifact[1], tmp_path / "again")
    request = {
        "candidate": str(table.candidate), "prepared": "gone", "part": "test", "out": str(tmp_path / "again"), "threads": 1,
    }
    assert verify.reference(request)["rows"] == 200


def test_a_reference_without_time_takes_some_rows_and_artifacts_are_compared_on_these(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "_REFERENCE_BATCH", 30)
    monkeypatch.setattr(verify, "MINIMUM_ROWS", 50)
    request = {
        "candidate": str(table.candidate), "prepared": str(table.data.path), "part": "test", "out": str(tmp_path),
        "threads": 1, "seed": 3, "time_s": 0.0,
    }
    account = verify.reference(request)
    assert account["held_out_rows"] == 200
    assert 50 <= account["rows"] < 200
    some, whole = (np.load(folder / verify.REFERENCE) for folder in (tmp_path, artifact[1]))
    np.testing.assert_array_equal(whole["rows"], np.arange(200))
    np.testing.assert_array_equal(some["y"], whole["y"][some["rows"]])
    np.testing.assert_allclose(some["float"], whole["float"][some["rows"]], atol=1e-6)
    found = verified(table, artifact[0], tmp_path)
    assert (found.rows, found.reference_rows, found.held_out_rows) == (account["rows"], account["rows"], 200)
    assert found.passed
    assert found.max_difference < 1e-5


def test_each_beginning_of_the_rows_has_each_classs_share() -> None:
    y = np.repeat([0, 1, 2], [700, 290, 10])[np.random.default_rng(0).permutation(1000)]
    order = verify.in_fair_order(y, "classification", seed=1)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    for rows in (100, 333, 500, 900):
        counts = np.bincount(y[order[:rows]], minlength=3)
        np.testing.assert_array_less(np.abs(counts - rows * np.array([0.7, 0.29, 0.01])), 1.01 + 1e-9)
    assert not np.array_equal(order, verify.in_fair_order(y, "classification", seed=2))
    numbers = verify.in_fair_order(np.linspace(0, 1, 50), "regression", seed=1)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(50))


def test_corrupted_weights_are_found(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    path, reference = artifact
    content = bytearray(path.read_bytes())
    kernel = np.frombuffer(_largest_kernel(bytes(content)), np.float32)
    place = bytes(content).find(kernel.tobytes())
    content[place : place + kernel.nbytes] = np.roll(kernel, 7).tobytes()
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(content)
    found = verified(table, damaged, reference)
    assert not found.passed
    assert "accuracy is" in found.reason


def _largest_kernel(content: bytes) -> bytes:
    from automl.export import tflite

    return bytes(max(tflite.weight_arrays(content), key=lambda w: w.size).tobytes())


def test_a_cut_file_is_no_artifact(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    import zipfile

    path, reference = artifact
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises((ValueError, RuntimeError, zipfile.BadZipFile)):
        verified(table, cut, reference)


def test_a_file_that_changed_after_it_was_written_is_refused(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    path, reference = artifact
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(Internal, match=r"changed\.tflite changed after it was written"):
        verified(table, changed, reference, sha256=verify.sha256(path))


def test_with_little_time_fewer_rows_are_compared(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reference = artifact
    monkeypatch.setattr(verify, "MINIMUM_ROWS", 50)
    monkeypatch.setattr(verify, "_BATCH", 20)
    (reference / "outputs.npy").unlink(missing_ok=True)
    found = verified(table, path, reference, time_s=0.0)
    assert found.rows == 60
    assert not (reference / "outputs.npy").exists()


def test_samples_are_raw_rows_with_the_float_models_outputs(
    table: planted.Planted, artifact: tuple[pathlib.Path, pathlib.Path]
) -> None:
    import json

    from automl.export import candidate

    samples = json.loads((artifact[1] / "samples.json").read_text())
    assert len(samples["inputs"]) == len(samples["outputs"]) == verify.SAMPLE_ROWS
    assert set(samples["inputs"][0]) == {"age", "income", "city", "member", "since", "remark"}
    source = candidate.Candidate(table.candidate)
    raw = {name: [row[name] for row in samples["inputs"]] for name in samples["inputs"][0]}
    given = candidate.encode_raw(source.preprocess, raw)
    np.testing.assert_allclose(np.asarray(source.model(given, training=False)), samples["outputs"], rtol=1e-4, atol=1e-5)
