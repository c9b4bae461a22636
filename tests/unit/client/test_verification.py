"""`automl verify` on artifacts of a few hundred bytes: what it measures, and everything that was changed is named."""

from __future__ import annotations

import json
import os
import select
import sys
import zipfile

import numpy as np
import pytest

from automl.export import companions, onnx_file
from automl.spec import Artifact, Interval, Latency, Verification
from automl_client import cli, errors, proofs, verification
from automl_server.signing import Signer
from tests.unit.client import tiny_artifacts

ROWS = [(4, 2), (0, 3), (-1, 2), (5, 1), (-2, 4), (3, 0)]
FORMATS = {".tflite": "tflite", ".onnx": "onnx", ".zip": "saved-model"}
ENCODED = np.array([[a, b, 0] for a, b in ROWS], np.float32)


def bundle(path, content=None, preprocess=tiny_artifacts.PREPROCESS, labels="no\nyes\n", rows=ENCODED):
    """An artifact with all its companions, as export writes it."""
    samples = {
        "inputs": [{"a": float(row[0]), "b": float(row[1])} for row in rows[:3]],
        "outputs": tiny_artifacts.expected(rows[:3]).tolist(),
    }
    members = {
        "preprocess.json": json.dumps(preprocess), "labels.txt": labels, "recipe.json": "{}", "model_card.md": "# card",
        "samples.json": json.dumps(samples),
    }
    travelling = {name: text.encode() for name, text in members.items()}
    if path.suffix == ".onnx":
        path.write_bytes((content or tiny_artifacts.onnx()) + onnx_file.appendix(travelling))
        return path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("saved_model/saved_model.pb", content or b"a graph")
    else:
        path.write_bytes(content or tiny_artifacts.tflite())
    companions.append(path, travelling)
    return path


@pytest.fixture
def artifact(tmp_path):
    return bundle(tmp_path / "model-float32.tflite")


@pytest.fixture(params=[".tflite", ".onnx"])
def either(request, tmp_path):
    """An artifact of each runtime that needs no TensorFlow."""
    if request.param == ".onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    return bundle(tmp_path / f"model-float32{request.param}")


@pytest.fixture
def data(tmp_path):
    outputs = tiny_artifacts.expected(ENCODED)
    labels = [("no", "yes")[k] for k in outputs.argmax(axis=1)]
    labels[0] = "yes" if labels[0] == "no" else "no"  # one of six is wrong
    path = tmp_path / "rows.csv"
    path.write_text("a,b,y\n" + "".join(f"{a},{b},{label}\n" for (a, b), label in zip(ROWS, labels)))
    return path


@pytest.fixture
def signer(tmp_path):
    return Signer.of(tmp_path)


def prove(artifact, signer):
    """As the server does it."""
    proof = Verification(
        part="test", rows=6, metric="accuracy", float_value=0.8, artifact_value=0.8, agreement=1.0, max_difference=0.0,
        tolerance=0.01, passed=True, runtime="ai-edge-litert",
        interval=Interval.of_share(0.8, 6), calibration_error=0.1, calibration_shift=0.02,
        latency=Latency(median_ms=0.1, p90_ms=0.2, runs=5, threads=1, machine="m"),
    )
    made = Artifact(
        id=f"{FORMATS[artifact.suffix]}-float32", format=FORMATS[artifact.suffix], precision="float32",
        filename=artifact.name, sha256=verification._sha256(artifact), size_bytes=artifact.stat().st_size,
        compressed_bytes=1, parameters=6, verification=proof,
        members=proofs.digests(proofs.members_of(artifact)),
    )
    text = signer.proof(made, job="projects/p/jobs/j", data={"dataset": "projects/p/datasets/d", "sha256": "0" * 64})
    proofs.path_of(artifact).write_text(text)
    return text


def faults(result):
    return {fault.about: fault.message for fault in result.faults}


def test_what_is_measured_is_right(artifact, data):
    result = verification.verify(artifact, data, threads=(1, 2))
    assert result.faults == ()
    assert result.metric == "accuracy"
    assert result.value == pytest.approx(5 / 6)
    assert (result.rows, result.compared) == (6, 6)
    assert result.interval.method == "Wilson"
    assert result.interval.low < 5 / 6 < result.interval.high
    assert [one["threads"] for one in result.latency] == [1, 2]
    assert all(0 < one["median_ms"] <= one["p90_ms"] for one in result.latency)
    assert result.size_bytes == artifact.stat().st_size
    assert result.sample_difference < 1e-6
    assert result.sample_agreement == 1.0
    assert (result.proof, result.key) == ("absent", "")
    assert result.runtime.startswith("ai-edge-litert")


def test_a_proof_of_the_server_holds(artifact, data, signer):
    said = json.loads(prove(artifact, signer))["statement"]["verification"]
    assert said["interval"]["low"] < said["artifact_value"] < said["interval"]["high"]
    assert (said["calibration_error"], said["calibration_shift"]) == (0.1, 0.02)
    result = verification.verify(artifact, data, keys=frozenset({signer.public}))
    assert (result.faults, result.proof, result.key_known) == ((), "valid", True)
    stranger = verification.verify(artifact, data)
    assert (stranger.faults, stranger.proof, stranger.key_known) == ((), "valid", False)
    assert "isn't one of yours" in stranger.notes[0]


def test_tampered_bytes_are_found(either, data, signer):
    prove(either, signer)
    content = bytearray(either.read_bytes())
    weights = content.find(tiny_artifacts.WEIGHTS.tobytes())
    content[weights : weights + 4] = np.float32(0.51).tobytes()
    either.write_bytes(content)
    result = verification.verify(either, data)
    assert result.proof == "broken"
    assert list(faults(result)) == ["artifact"]  # by so little that the samples would pass
    assert "the model's own bytes were changed" in faults(result)["artifact"]


def test_only_the_model_card_may_be_lacking_without_a_proof(either):
    """Files under a tight limit of size do without it."""
    members = proofs.members_of(either)
    assert {"model_card.md", "recipe.json"} <= members.keys()
    for name in members:
        found = proofs.contradictions({other: content for other, content in members.items() if other != name})
        assert [fault.about for fault in found] == ([] if name == "model_card.md" else [name])


def test_a_swapped_labels_file_is_named_with_a_proof_and_without(either, data, signer):
    text = prove(either, signer)
    other = bundle(either, labels="yes\nno\n")
    proofs.path_of(other).write_text(text)
    found = faults(verification.verify(other, data))
    assert "is another one than was proven" in found["labels.txt"]
    proofs.path_of(other).unlink()
    found = faults(verification.verify(other, data))
    assert found == {"labels.txt": "doesn't belong to this model: line 1 is 'yes', and preprocess.json has 'no' there."}


def test_another_models_preprocessing_is_named_with_a_proof_and_without(either, data, signer):
    prove(either, signer)
    shifted = {**tiny_artifacts.PREPROCESS, "operations": [
        *tiny_artifacts.PREPROCESS["operations"], {"op": "affine", "shift": [3.0, 0.0], "scale": [2.0, 1.0]},
    ]}
    other = bundle(either, preprocess=shifted)
    result = verification.verify(other, data)
    assert result.proof == "broken"
    told = [fault.message for fault in result.faults if fault.about == "preprocess.json"]
    assert "is another one than was proven" in told[0]
    proofs.path_of(other).unlink()
    found = faults(verification.verify(other, data))
    assert list(found) == ["preprocess.json"]
    assert "doesn't belong to this model" in found["preprocess.json"]


@pytest.mark.parametrize(("change", "about", "message"), [
    ({"content": b"another"}, ["artifact"], "the model's own bytes were changed, or it is another model"),
    ({"labels": "yes\nno\n"}, ["labels.txt", "artifact"], "is another one than was proven"),
    ({"preprocess": {**tiny_artifacts.PREPROCESS, "operations": []}}, ["preprocess.json", "artifact"], "another one than"),
])
def test_the_proof_of_a_saved_model_tells_what_was_changed(tmp_path, signer, change, about, message):
    """Before it is run, which takes TensorFlow."""
    artifact = bundle(tmp_path / "model.saved_model.zip")
    prove(artifact, signer)
    assert verification._bundle(artifact, frozenset()).proof == "valid"
    found = verification._bundle(bundle(artifact, **change), frozenset())
    assert found.proof == "broken"
    assert [fault.about for fault in found.faults] == about
    assert message in found.faults[0].message


def test_changed_bytes_that_no_longer_run_are_told_as_changed(either, data, signer):
    """Not as a fault of whoever made the file."""
    prove(either, signer)
    content = bytearray(either.read_bytes())
    content[0:8] = b"\0" * 8
    either.write_bytes(content)
    expected = r"the model's own bytes were changed, .*: is no (TensorFlow Lite|ONNX) model"
    with pytest.raises(errors.DataLoss, match=expected) as met:
        verification.verify(either, data)
    assert str(met.value).startswith(f"{either.name} is not what was proven, and doesn't run: artifact: SHA-256")
    assert met.value.exit_code == 1


def test_preprocessing_of_another_width_is_refused(artifact, data):
    operations = [{"op": "indicators", "columns": [0, 1]}, {"op": "impute", "values": [0, 2]}]
    wider = {**tiny_artifacts.PREPROCESS, "operations": operations}
    with pytest.raises(errors.InvalidInput, match=r"it makes numeric \[4\], and the model takes numeric \[3\]"):
        verification.verify(bundle(artifact, preprocess=wider), data)


def test_a_changed_proof_is_forged(artifact, data, signer):
    text = prove(artifact, signer)
    proofs.path_of(artifact).write_text(text.replace('"artifact_value": 0.8', '"artifact_value": 0.9'))
    result = verification.verify(artifact, data)
    assert result.proof == "broken"
    assert "signature is not that of what it says" in faults(result)["proof"]


def test_a_proof_with_another_key_is_not_this_servers(artifact, data, signer, tmp_path):
    (tmp_path / "other").mkdir()
    prove(artifact, Signer.of(tmp_path / "other"))
    assert not verification.verify(artifact, data, keys=frozenset({signer.public})).key_known


def test_the_float_file_beside_is_compared_with(tmp_path, artifact, data):
    worse = tiny_artifacts.tflite().replace(tiny_artifacts.WEIGHTS.tobytes(), (-tiny_artifacts.WEIGHTS).tobytes())
    other = bundle(tmp_path / "model-int8.tflite", worse)
    result = verification.verify(other, data)
    assert result.comparison.file == artifact.name
    assert result.comparison.agreement == 0.0
    assert result.comparison.loss == pytest.approx(5 / 6 - 1 / 6)
    assert "0.6667 worse, and the tolerance is 0.01" in faults(result)["metric"]
    assert result.comparison.calibration_shift > 0.3


def child(folder, monkeypatch, loading, before=":"):
    """Makes the interpreter one in which loading an artifact does that, after a line of shell; the rest of the child is the
    real one."""
    program, interpreter = folder / "child.py", folder / "python"
    program.write_text(
        "import sys\nfrom automl_client import runtimes, trial_run\n\n\ndef load(path, threads=None):\n"
        f"    {loading}\n\n\nruntimes.open = load\nsys.exit(trial_run.main())\n"
    )
    interpreter.write_text(f"#!/bin/sh\n{before}\nexec '{sys.executable}' '{program}'\n")
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))


def test_a_file_that_hangs_is_stopped_with_what_it_started(tmp_path, artifact, data, monkeypatch):
    """It and a process of its own hold a pipe open, whose end comes when both are gone."""
    os.mkfifo(tmp_path / "held")
    pipe = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    child(tmp_path, monkeypatch, "__import__('threading').Event().wait()", f"exec 9> '{tmp_path}/held'; sleep 86400 &")
    try:
        expected = r"model-float32\.tflite was not done after 1 s, and was stopped: --timeout gives it longer"
        with pytest.raises(errors.Internal, match=expected):
            verification.verify(artifact, data, limits=verification.Limits(time_s=1.0))
        assert select.select([pipe], [], [], 30.0)[0]
        assert os.read(pipe, 1) == b""
    finally:
        os.close(pipe)


def test_a_file_that_takes_all_memory_meets_its_limit(tmp_path, artifact, data, monkeypatch):
    """What it takes is never touched, so without a limit it would have it, and fail for another reason."""
    child(tmp_path, monkeypatch, "held = __import__('numpy').empty(3 << 30, 'uint8')\n    sys.exit('had it')")
    with pytest.raises(errors.Internal, match="could not be run: it takes more memory than 1024 MiB: --memory allows more"):
        verification.verify(artifact, data, limits=verification.Limits(memory_bytes=1 << 30))
    with pytest.raises(errors.Internal, match="its process ended with code 1: had it"):
        verification.verify(artifact, data, limits=verification.Limits(memory_bytes=None))


def test_a_file_that_crashes_native_code_ends_its_own_process(tmp_path, artifact, data, monkeypatch):
    child(tmp_path, monkeypatch, "__import__('ctypes').string_at(0)")
    with pytest.raises(errors.Internal, match=r"could not be run: its process was ended by SIGSEGV \(native code crashed\)"):
        verification.verify(artifact, data)


def test_damaged_bytes_are_no_traceback(artifact, data):
    content = bytearray(artifact.read_bytes())
    content[0:8] = b"\0" * 8
    artifact.write_bytes(content)
    with pytest.raises(errors.InvalidInput, match="is no TensorFlow Lite model"):
        verification.verify(artifact, data)


def test_the_command_tells_signs_and_fails(artifact, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AUTOML_HOME", str(tmp_path / "home"))
    out = tmp_path / "result.json"
    assert cli.main(["verify", str(artifact), str(data), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is True
    assert said["value"] == pytest.approx(5 / 6)
    proof = proofs.read(out)
    assert proof.artifact_sha256 == verification._sha256(artifact)
    assert proof.statement["data"]["sha256"] == verification._sha256(data)
    assert proof.key in proofs.known_keys(tmp_path / "home")
    assert (tmp_path / "home" / proofs.KEY_FILE).stat().st_mode & 0o077 == 0

    bundle(artifact, labels="yes\nno\n")
    assert cli.main(["verify", str(artifact), str(data)]) == 1
    told = capsys.readouterr()
    assert "did NOT pass" in told.err
    assert "labels.txt: doesn't belong to this model" in told.err
    assert "accuracy:" in told.out


def test_rows_are_drawn_when_fewer_are_wanted(artifact, data):
    result = verification.verify(artifact, data, limits=verification.Limits(rows=2))
    assert (result.rows, result.compared) == (6, 2)
    assert any("2 of 6 rows were predicted" in note for note in result.notes)
