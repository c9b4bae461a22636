"""Quantisation-aware training of every family: it works on a small network, or the declaration says why it doesn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from automl.catalog import architectures, compose
from automl.compression import finetuning, qat
from automl.export import tflite
from automl.spec import Choice, Recipe
from tests.unit.compression.test_bridge import built

SMALL: dict[str, dict[str, Any]] = {
    "convnet": {"width": 8, "stages": 2}, "convnet-families": {"width": 8, "blocks": 1, "stages": 2},
    "ds-cnn": {"width": 8, "blocks": 1, "stages": 2}, "fcn": {"width": 16, "depth": 2},
    "ft-transformer": {"width": 16, "depth": 1, "expansion": 2}, "inception-time": {"width": 8, "modules": 2},
    "mlp": {"width": 32, "depth": 2}, "mobilenet": {"width": 8, "blocks": 1, "stages": 2, "expansion": 2},
    "nas-cell": {"width": 8, "stages": 2}, "nas-darts": {"width": 8}, "nas-mlp": {"width": 16},
    "nas-mobile": {"width": 8}, "nas-sequence": {"width": 8}, "recurrent": {"width": 16, "units": 8},
    "resnet": {"width": 8, "blocks": 1, "stages": 2}, "resnet-1d": {"width": 16, "blocks": 1},
    "rocket": {"dilations": 2, "features_each": 1}, "swin": {"width": 32, "stages": 1, "expansion": 2},
    "tabm": {"width": 64, "members": 4, "depth": 2}, "tcn": {"width": 16, "kernel": 2, "levels": 2},
    "text-bag": {"width": 8, "depth": 2}, "text-cnn": {"width": 16, "filters": 16},
    "transformer": {"width": 32, "depth": 1, "expansion": 2}, "vgg": {"width": 8, "depth": 2, "stages": 2},
    "vit": {"width": 32, "depth": 1, "expansion": 2},
}
IN_EVERY_RUN = ("boosted-trees", "linear", "mlp", "recurrent", "text-linear")
"""A network of few operations, and what is declared. Converting the others takes minutes together."""


@pytest.mark.parametrize("family", [
    pytest.param(one.id, marks=[] if one.id in IN_EVERY_RUN else [pytest.mark.slow]) for one in architectures
])
def test_a_family_can_be_trained_under_quantisation_or_says_why_not(family: str) -> None:
    model, rows = built(family, "relu", "batch-norm", **SMALL.get(family, {}))
    recipe = Recipe(task="t", architecture=Choice(id=family))
    if declared := architectures[family].not_for_qat:
        assert declared in compose.reason_against_qat(recipe)
        # What isn't trained by steps has no place at which a loss could act.
        with pytest.raises(finetuning.Untrained if architectures[family].fitted_by else qat.NotForQat):
            qat.converted(qat.faked(model, rows))
        return
    assert compose.reason_against_qat(recipe) == ""
    fake = qat.faked(model, rows)
    types = {tensor.name: tensor.dtype for tensor in fake.model.inputs}
    # Its ranges are those of the rows' own statistics, as in training, so the network's outputs are no measure here.
    expected = np.asarray(fake.twin([rows[name].astype(types[name]) for name in fake.inputs], training=False))
    found = tflite.TFLitePredictor(qat.converted(fake), 1).predict(rows)
    assert np.abs(found - expected).mean() < 0.03


def test_a_recurrence_among_other_layers_is_refused_before_any_training() -> None:
    genotype = architectures["nas-sequence"].params["genotype"]
    words = str(genotype.default).split(".")
    words[0] = "gru"
    model, rows = built("nas-sequence", "relu", "batch-norm", width=8, genotype=".".join(words))
    with pytest.raises(qat.NotForQat, match="in a loop"):
        qat.faked(model, rows)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "ids"), [
    *(("fcn", ("relu", norm)) for norm in ("layer-norm", "group-norm")),
    *(("fcn", (activation, "batch-norm")) for activation in ("swish", "gelu", "hard-swish", "prelu", "leaky-relu")),
    *(("resnet", ("relu", "batch-norm", part)) for part in ("squeeze-excite", "deformable-conv", "dilated-conv")),
    ("mlp", ("relu", "layer-norm")),
], ids=str)
def test_what_techniques_put_into_a_network_leaves_its_kernels_integers(family: str, ids: tuple[str, ...]) -> None:
    model, rows = built(family, *ids, **SMALL[family])
    fake = qat.faked(model, rows)
    integers = sum(w.size for w in tflite.weight_arrays(qat.converted(fake)) if w.dtype == np.int8)
    assert integers >= 0.98 * fake.kernels > 0
