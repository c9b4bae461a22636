"""Structured pruning: fewer multiplications in a network that is faster, measured, and still right."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from automl.compression import channels, finetuning, structured
from automl.export import candidate as candidates
from automl.export import tflite, verify
from automl.training import profile
from tests.unit.compression.conftest import Trained

SETTINGS = {"keep": 0.4, "of": "macs", "importance": "taylor"}


@pytest.fixture(scope="module")
def pruned(bars: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[candidates.Candidate, dict[str, object]]:
    out = tmp_path_factory.mktemp("pruned") / "candidate"
    return candidates.Candidate(out), structured.prune(bars.request(out, **SETTINGS))


def test_the_candidate_is_whole_has_fewer_multiplications_and_keeps_the_metric(
    bars: Trained, pruned: tuple[candidates.Candidate, dict[str, object]]
) -> None:
    made, answer = pruned
    before = candidates.Candidate(bars.candidate)
    macs = [sum(profile.macs(layer) for layer in c.model.layers) for c in (before, made)]
    assert macs[1] <= 0.4 * macs[0]
    assert made.result["validation"]["accuracy"] >= before.result["validation"]["accuracy"] - 0.05
    assert made.recipe.params_of("structured-pruning") == answer["settings"]
    assert made.result["recipe"] == made.recipe.identity
    assert made.result["parameters"] == made.model.count_params() < before.model.count_params()
    np.testing.assert_allclose(
        np.load(made.path / "validation.npy"), verify.model_outputs(made, bars.data.inputs("validation")), atol=1e-5
    )
    assert "channels" in str(answer["notes"])


def test_its_file_is_smaller_and_faster(bars: Trained, pruned: tuple[candidates.Candidate, dict[str, object]]) -> None:
    row = {"image": np.asarray(bars.data.inputs("validation")["image"][:1])}
    files = [tflite.convert(c.model, "float32") for c in (candidates.Candidate(bars.candidate), pruned[0])]
    medians = [verify.measure_latency(tflite.TFLitePredictor(f, 1), row)[0].median_ms for f in files]
    assert len(files[1]) < 0.7 * len(files[0])
    assert medians[1] < medians[0]


def test_a_regression_is_pruned_to_its_share_of_parameters(sums: Trained, tmp_path: pathlib.Path) -> None:
    structured.prune(sums.request(tmp_path / "out", keep=0.5, of="parameters", importance="taylor"))
    made = candidates.Candidate(tmp_path / "out")
    before = candidates.Candidate(sums.candidate)
    assert made.model.count_params() <= 0.5 * before.model.count_params()
    assert made.result["validation"]["r2"] > before.result["validation"]["r2"] - 0.15


def test_importance_finds_the_channels_that_were_planted(bars: Trained) -> None:
    """Units whose outputs nobody reads have no Taylor importance; units with small kernels have a small norm."""
    source = candidates.Candidate(bars.candidate)
    found = channels.Channels(source.model)
    last = next(p for p in found.places if p.layer.name == "logits")
    kernel, bias = last.layer.get_weights()
    unread = np.unique(last.takes)[:3]
    kernel[np.isin(last.takes, unread)] = 0.0
    last.layer.set_weights([kernel, bias])
    taylor = structured.importance(found, "taylor", source, bars.data)
    # They may be read by a block in between: only channels that end here alone are silent.
    silent = [g for g in unread if sum(g in p.takes for p in found.places if p.layer.weights and p is not last) == 0]
    assert all(taylor[int(g)] < 1e-12 for g in silent)
    assert max(taylor.values()) > 0

    convolutions = [p for p in found.places if type(p.layer).__name__ == "Conv2D"]
    maker = next(p for p in convolutions if len(found.parts.get(int(p.gives[0]), ())) == 1)
    weights = maker.layer.get_weights()
    weights[0][..., 2] *= 1e-3
    maker.layer.set_weights(weights)
    norm = structured.importance(found, "norm", source, bars.data)
    of_layer = {int(g): norm[int(g)] for g in maker.gives}
    assert min(of_layer, key=of_layer.__getitem__) == int(maker.gives[2])


def test_a_model_without_channels_to_cut_says_so(bars: Trained, tmp_path: pathlib.Path) -> None:
    with pytest.raises(channels.NothingToCut, match="could be cut away"):
        structured.prune(bars.request(tmp_path / "out", keep=0.95, of="macs", importance="norm") | {
            "settings": {"keep": 0.99, "of": "macs", "importance": "norm"}
        })


def test_epochs_follow_the_time(bars: Trained) -> None:
    source = candidates.Candidate(bars.candidate)
    assert finetuning.epochs_within(source, 0.0) == 1
    assert finetuning.epochs_within(source, 1e4) == round(finetuning.EPOCHS_SHARE * bars.recipe.epochs)
