"""The light client gives the answers of the engine: raw rows in, the same outputs to 1e-5, for each runtime and modality."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from automl.data.prepared import PreparedDataset
from automl.export import candidate, companions, onnx_file, tflite, verify
from automl_client import runtimes
from automl_client.predictor import Predictor
from tests.unit.export import planted

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


def _first(output: object) -> np.ndarray:
    return np.asarray(output[0] if isinstance(output, list) else output)
