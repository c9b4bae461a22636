"""The preprocessing of series inside a SavedModel gives what the engine's encoder gives."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from automl.data.series_encoder import SeriesEncoder
from automl.data.series_preparation import padded

GOLDEN = sorted((pathlib.Path(__file__).parents[2] / "golden" / "preprocess" / "series").glob("*.json"))


def graph_of(preprocess):
    import tensorflow as tf

    from automl.export import _series_graph

    module = _series_graph.SeriesGraph(preprocess)
    return tf.function(lambda series: module.encode([series]), input_signature=module.signature, autograph=False)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_suite(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    raw = [np.array(one, np.float32) for one in case["raw"]]
    found = graph_of(case["preprocess"])(padded(raw, max(len(one) for one in raw)))["series"]
    np.testing.assert_allclose(found, np.array(case["expected"]), atol=1e-5)


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("length", [12, 40])
def test_random_series_with_gaps(ragged, length):
    rng = np.random.default_rng(5)
    preprocess = {
        **json.loads(GOLDEN[0].read_text(encoding="utf-8"))["preprocess"], "channels": ["a", "b", "c"], "length": length,
        "ragged": ragged, "shift": [0.1, 0.2, 0.3], "scale": [1.0, 2.0, 0.5], "clip": 2.0,
        "inputs": {"steps": 12, "channels": 3 + ragged},
    }
    values = [rng.normal(size=(n, 3)).astype(np.float32) for n in rng.integers(1, 60, 40)]
    for one in values:
        one[rng.random(one.shape) < 0.4] = np.nan
    found = graph_of(preprocess)(padded(values, 60))["series"]
    expected = SeriesEncoder(preprocess).encode(values)["series"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
