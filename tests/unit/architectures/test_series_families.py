"""What families for series promise: closed forms, kernels and biases of ROCKET, what is beyond the end changes nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.architectures import rocket
from automl.catalog import architectures, slots

from .conftest import EQUAL_SERIES, SERIES

FAMILIES = {
    "rocket": {"dilations": 3, "features_each": 2}, "fcn": {"width": 16, "depth": 5},
    "resnet-1d": {"width": 16, "blocks": 3}, "inception-time": {"width": 8, "modules": 4, "kernel": 20},
}


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "rocket"])
@pytest.mark.parametrize("preprocess", [SERIES, EQUAL_SERIES], ids=["ragged", "equal"])
def test_parameters_are_those_of_the_closed_form(family, preprocess, build):
    built = build(family, FAMILIES[family], preprocess=preprocess, batch_norm={})
    assert sum(int(np.prod(w.shape)) for w in built.core.trainable_weights) == built.size


def test_rocket_counts_its_fixed_kernels_too(build):
    built = build("rocket", FAMILIES["rocket"], preprocess=EQUAL_SERIES)
    assert built.core.count_params() == built.size
    features = 84 * 3 * len(rocket.dilations_of(20, 3))
    assert sum(int(np.prod(w.shape)) for w in built.core.trainable_weights) == (features + 1) * 3


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_beyond_the_end_changes_nothing(family, build):
    norm = {"batch_norm": {}} if slots.HIDDEN in architectures[family].uses else {}
    built = build(family, FAMILIES[family], **norm)
    x = {"series": built.inputs["series"].copy()}
    expected = built.core.predict(x, verbose=0)
    beyond = x["series"][..., -1:] == 0
    assert beyond.any()
    shorter = x["series"].copy()
    shorter[:, 12:] = 0
    assert np.abs(built.core.predict({"series": shorter}, verbose=0) - expected).max() > 1e-3
    # The same series in front of more filling steps, as a longer input would have them.
    longer = {**SERIES, "inputs": {"steps": 26, "channels": 4}}
    grown = build(family, FAMILIES[family], preprocess=longer, **norm)
    if all(a.shape == b.shape for a, b in zip(grown.core.get_weights(), built.core.get_weights(), strict=False)):
        grown.core.set_weights(built.core.get_weights())
        filled = np.pad(x["series"], ((0, 0), (0, 6), (0, 0)))
        np.testing.assert_allclose(grown.core.predict({"series": filled}, verbose=0), expected, atol=1e-4)


def test_rocket_kernels_are_minirockets():
    assert rocket.KERNELS.shape == (84, 9)
    centred = rocket.KERNELS - rocket.KERNELS.mean(axis=1, keepdims=True)
    assert sorted(np.unique(centred.round(6)).tolist()) == [-1.0, 2.0]
    np.testing.assert_allclose(centred.sum(axis=1), 0, atol=1e-6)
    assert len({tuple(k) for k in rocket.KERNELS}) == 84
    assert rocket.dilations_of(150, 6) == [1, 3, 5, 10, 18]
    assert rocket.dilations_of(5, 6) == [1]


def test_rocket_features_are_soft_shares_and_maxima(build):
    """One kernel's share and maximum, written out from the weights that the layers hold."""
    built = build("rocket", {"dilations": 2, "features_each": 2}, preprocess=EQUAL_SERIES)
    core, x = built.core, built.inputs["series"]
    features = np.asarray(keras.Model(core.input, core.get_layer("features").output)(built.inputs))
    padded = np.pad(x, ((0, 0), (4, 4), (0, 0)))
    taps = np.stack([padded[:, k : k + 20] for k in range(9)], axis=2)
    taps -= taps.mean(axis=2, keepdims=True)
    weights, offsets = core.get_layer("kernels_1_shares").get_weights()
    ramp = np.clip(taps.reshape(64, 20, -1) @ weights[0, 0] + offsets, 0, rocket.FULL)
    np.testing.assert_allclose(features[:, :168], ramp.mean(axis=1), atol=1e-4)
    weights, _ = core.get_layer("kernels_1_answers").get_weights()
    answers = taps.reshape(64, 20, -1) @ weights[0, 0]
    np.testing.assert_allclose(features[:, 168:252], answers.max(axis=1), atol=1e-4)
    # A constant series has the same answer everywhere but at the ends: none.
    flat = core.get_layer("kernels_1_taps")(np.ones((1, 1, 20, 3), np.float32))
    np.testing.assert_allclose(np.asarray(flat)[:, :, 4:-4], 0, atol=1e-6)


def test_rocket_features_are_standardised_by_the_training_series(build):
    built = build("rocket", {"dilations": 2}, preprocess=EQUAL_SERIES)
    layer = built.core.get_layer("standardised")
    found = np.asarray(keras.Model(built.core.input, layer.output)(built.inputs))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    assert 0.5 * rocket.SPREAD < np.median(found.std(axis=0)) < 1.5 * rocket.SPREAD
    assert found.std(axis=0).max() < 1.1 * rocket.SPREAD


def test_inception_looks_with_kernels_of_three_lengths(build):
    built = build("inception-time", {"width": 8, "modules": 1 + 1, "kernel": 40}, preprocess=EQUAL_SERIES)
    lengths = [built.core.get_layer(f"module_2_{place}").kernel.shape[1] for place in (1, 2, 3)]
    assert lengths == [20, 10, 5]  # never longer than the series
