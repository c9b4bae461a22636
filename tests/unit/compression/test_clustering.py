"""Weight clustering through tfmot: few distinct weights in each kernel, zeros kept, a smaller download."""

from __future__ import annotations

import gzip
import json
import pathlib

import numpy as np

from automl.compression import magnitude
from automl.execution import children
from automl.export import candidate as candidates
from automl.export import tflite
from tests.unit.export import planted


def test_each_kernel_has_few_distinct_weights_and_zeros_stay(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    asked = {
        "candidate": str(table.candidate), "prepared": str(table.data.path), "metric": "accuracy", "time_s": 200.0,
        "seed": 1, "threads": 1,
    }
    sparse, out = tmp_path / "sparse", tmp_path / "out"
    children.run_in_child(
        "automl.compression.magnitude:prune",
        {**asked, "out": str(sparse), "settings": {"sparsity": 0.5, "pattern": "free"}}, timeout_s=600,
    )
    children.run_in_child(
        "automl.compression.clustering:cluster",
        {**asked, "candidate": str(sparse), "out": str(out), "settings": {"clusters": 8}}, timeout_s=600,
    )
    before, made = candidates.Candidate(table.candidate), candidates.Candidate(out)
    large = [
        layer for layer in made.model.layers
        if type(layer).__name__ in magnitude.PRUNED_LAYERS and np.asarray(layer.kernel).size >= magnitude.SMALLEST_KERNEL
    ]
    assert large
    for layer in large:
        kernel, zeros = np.asarray(layer.kernel), np.asarray(candidates.Candidate(sparse).model.get_layer(layer.name).kernel)
        assert len(np.unique(kernel)) <= 8
        assert (kernel[zeros == 0] == 0).all()
    assert json.loads((out / "recipe.json").read_text())["techniques"][-1]["id"] == "weight-clustering"
    files = [gzip.compress(tflite.convert(c.model, "float32")) for c in (before, made)]
    assert len(files[1]) < 0.6 * len(files[0])
