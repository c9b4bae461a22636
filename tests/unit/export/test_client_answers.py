"""The light client gives the answers of the engine: raw rows in, the same outputs to 1e-5, for each runtime and modality."""

from __future__ import annotations

import pathlib

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


def _first(output: object) -> np.ndarray:
    return np.asarray(output[0] if isinstance(output, list) else output)
