"""Magnitude pruning through tfmot: the zeros that were asked for, in the pattern asked for, in the artifact's own
weights."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

from automl.compression import magnitude
from automl.execution import children
from automl.export import candidate, tflite, verify
from tests.unit.export import planted

pytestmark = pytest.mark.xdist_group("magnitude")


def request(model: planted.Planted, out: pathlib.Path, **settings: Any) -> dict[str, Any]:
    return {
        "candidate": str(model.candidate), "prepared": str(model.data.path), "out": str(out), "metric": "accuracy",
        "time_s": 600.0, "seed": 1, "threads": 1, "settings": {"sparsity": 0.6, "pattern": "free", **settings},
    }


def pruned(model: planted.Planted, out: pathlib.Path, **settings: Any) -> candidate.Candidate:
    children.run_in_child("automl.compression.magnitude:prune", request(model, out, **settings), timeout_s=900)
    return candidate.Candidate(out)


def large_kernels(made: candidate.Candidate) -> tuple[list[np.ndarray], list[np.ndarray]]:
    kernels = [np.asarray(k.kernel) for k in made.model.layers if type(k).__name__ in magnitude.PRUNED_LAYERS]
    least = magnitude.SMALLEST_KERNEL
    return [k for k in kernels if k.size >= least], [k for k in kernels if k.size < least]


@pytest.fixture(scope="module")
def sparse(pictures: planted.Planted, tmp_path_factory: pytest.TempPathFactory) -> candidate.Candidate:
    return pruned(pictures, tmp_path_factory.mktemp("pruned") / "out")


def test_a_pruned_candidate_is_whole_and_as_sparse_as_asked(pictures: planted.Planted, sparse: candidate.Candidate) -> None:
    large, small = large_kernels(sparse)
    assert large
    assert all((k == 0).mean() == pytest.approx(0.6, abs=0.02) for k in large)
    assert all((k != 0).all() for k in small)
    assert sparse.recipe.params_of("magnitude-pruning") == {"sparsity": 0.6, "pattern": "free"}
    assert sparse.result["recipe"] == sparse.recipe.identity
    assert sparse.preprocess == candidate.Candidate(pictures.candidate).preprocess
    np.testing.assert_allclose(
        np.load(sparse.path / "validation.npy"), verify.model_outputs(sparse, pictures.data.inputs("validation")), atol=1e-5
    )


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_zeros_reach_the_artifacts_own_weights(
    pictures: planted.Planted, sparse: candidate.Candidate, precision: str
) -> None:
    rows = {"image": np.asarray(pictures.data.inputs("train")["image"][:50])}
    weights = tflite.weight_arrays(tflite.convert(sparse.model, precision, rows))
    stored = sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights)
    kernels = [w for w in sparse.model.get_weights() if w.ndim >= 2]
    assert stored >= sum(int((k == 0).sum()) for k in kernels) / sum(k.size for k in kernels) - 0.03


def test_two_of_four_in_a_row_are_zero(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    large, _ = large_kernels(pruned(table, tmp_path / "out", pattern="2:4"))
    assert large
    for kernel in large:
        # tfmot's blocks run along the inputs of each output; a rest below four stays whole.
        rows = kernel.T[:, : kernel.shape[0] // 4 * 4].reshape(-1, 4)
        assert ((rows == 0).sum(axis=1) >= 2).all()


def test_a_model_of_vectors_alone_is_not_pruned(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    with pytest.raises(magnitude.NothingToPrune, match="of the weights"):
        magnitude.prune(request(texts, tmp_path / "out"))
