"""The light client gives the answers of the engine: raw rows in, the same outputs to 1e-5, for each runtime and modality."""

from __future__ import annotations

import csv
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from automl.data.prepared import PreparedDataset
from automl.export import candidate, companions, onnx_file, tflite, verify
from automl_client import errors, runtimes, verification
from automl_client.predictor import Predictor
from automl_server.signing import Signer
from tests.unit.client.test_verification import prove
from tests.unit.export import planted
from tests.unit.export.test_formats import write

WRITERS = {".tflite": tflite, ".onnx": onnx_file}


@pytest.fixture(scope="session", params=["table", "numbers", "pictures", "texts", "series"])
def model(request: pytest.FixtureRequest) -> planted.Planted:
    return request.getfixturevalue(request.param)


def raw_rows(data: PreparedDataset) -> object:
    if data.meta.modality == "image":
        return np.asarray(data.inputs("test")["image"])
    if data.meta.modality == "series":
        return data.raw("test")["series"]
    return {name: list(values) for name, values in data.raw("test").items()}


@pytest.mark.parametrize("suffix", WRITERS)
def test_raw_rows_get_the_float_models_answers(model: planted.Planted, tmp_path: pathlib.Path, suffix: str) -> None:
    source = candidate.Candidate(model.candidate)
    expected = verify.model_outputs(source, model.data.inputs("test"))
    travelling = {name: (model.candidate / companions.PREPROCESS).read_bytes() for name in companions.NAMES}
    artifact = tmp_path / f"model{suffix}"
    content = WRITERS[suffix].convert(source.model, "float32")
    if suffix == ".onnx":
        artifact.write_bytes(content + onnx_file.appendix(travelling))
    else:
        artifact.write_bytes(content)
        companions.append(artifact, travelling)
    predictor = Predictor(artifact, threads=1)
    outputs = predictor.predict(raw_rows(model.data)).outputs  # type: ignore[arg-type]
    spread = float(np.ptp(expected)) if expected.shape[1] == 1 else 1.0
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * spread)
    runtime = runtimes.open(artifact, 1)
    encoded = source.encode({name: np.asarray(value[:1]) for name, value in model.data.inputs("test").items()})
    np.testing.assert_allclose(np.ravel(_first(runtime.single(encoded)())), expected[0], rtol=0, atol=1e-5 * spread)


@pytest.mark.parametrize("suffix", WRITERS)
def test_no_heavy_package_is_needed_to_predict(pictures: planted.Planted, tmp_path: pathlib.Path, suffix: str) -> None:
    """As in an installation without them: importing any fails."""
    artifact = tmp_path / f"model{suffix}"
    travelling = {name: (pictures.candidate / companions.PREPROCESS).read_bytes() for name in companions.NAMES}
    content = WRITERS[suffix].convert(candidate.Candidate(pictures.candidate).model, "float32")
    artifact.write_bytes(content + (onnx_file.appendix(travelling) if suffix == ".onnx" else b""))
    if suffix == ".tflite":
        companions.append(artifact, travelling)
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('tensorflow', 'keras', 'jax', 'pandas', 'sklearn', 'automl'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import numpy as np\n"
        "from automl_client import Predictor\n"
        "print(Predictor(sys.argv[1], threads=1).predict(np.zeros((2, 12, 12, 1), np.uint8)).outputs.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(artifact)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(2, 3)", done.stderr


@pytest.mark.slow
def test_a_saved_model_whose_weights_were_changed_is_found(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    """TensorFlow finds the sum of the weights' file wrong; what is told is that the file isn't the one that was proven."""
    artifact, _ = write(table, tmp_path, "saved-model", "float32")
    data, signer = tmp_path / "rows.csv", Signer.of(tmp_path)
    columns = planted.table_columns(np.random.default_rng(2), 40)
    with data.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "y"])
        writer.writerows(zip(*columns.values(), ["high", "low"] * 20))
    prove(artifact, signer)
    sound = verification.verify(artifact, data)
    assert (sound.proof, sound.faults, sound.compared) == ("valid", (), 40)
    with zipfile.ZipFile(artifact) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = next(name for name in members if "variables.data" in name)
    members[weights] = members[weights][:100] + np.float32(0.51).tobytes() + members[weights][104:]
    with zipfile.ZipFile(artifact, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(errors.DataLoss, match=r"is not what was proven, and doesn't run: artifact: SHA-256 .*Checksum"):
        verification.verify(artifact, data)


def _first(output: object) -> np.ndarray:
    return np.asarray(output[0] if isinstance(output, list) else output)
