"""Every family: shapes, sizes in closed form, repeatability, saving, and conversion."""

from __future__ import annotations

import types

import keras
import numpy as np
import pytest

from automl.catalog import architectures, compose
from automl.search.budget import parameters
from automl.tasks import head
from tests.unit.export import operators

SMALL = {
    "mlp": {"width": 32, "depth": 2, "frequencies": 8},
    "tabm": {"width": 64, "depth": 2, "members": 4, "bins": 8},
    "convnet": {"width": 8, "stages": 2},
    "resnet": {"width": 8, "stages": 2},
    "vgg": {"width": 8, "stages": 2},
    "mobilenet": {"width": 8, "stages": 1, "expansion": 2},
    "ds-cnn": {"width": 8, "stages": 2, "blocks": 1},
    "text-bag": {"width": 8, "depth": 1, "pairs": 8192},
    "text-linear": {"ngrams": 2_000, "pairs": 2_048},
    "text-cnn": {"width": 16, "filters": 16, "kernels": "2-3", "bag": True},
    "convnet-families": {"width": 8, "stages": 2, "blocks": 1},
    "rocket": {"dilations": 2, "features_each": 2, "differences": True},
    "fcn": {"width": 16, "depth": 4},
    "resnet-1d": {"width": 16, "blocks": 2},
    "inception-time": {"width": 8, "modules": 3, "kernel": 10},
    "recurrent": {"width": 16, "units": 8},
    "transformer": {"width": 32, "depth": 2},
    "tcn": {"width": 16, "levels": 3},
    "ft-transformer": {"width": 16, "depth": 1},
    "vit": {"width": 32, "depth": 2, "patch": 4},
    "linear": {"bins": 4},
    "boosted-trees": {"rounds": 50, "leaves": 4, "depth": 3},
    "swin": {"width": 32, "stages": 2, "patch": 2, "window": 4},
    "nas-cell": {"width": 8, "stages": 2},
    "nas-darts": {"width": 4, "cells": 2},
    "nas-mobile": {"width": 8},
    "nas-mlp": {
        "width": 32, "genotype": "one.act.norm.plain.one.silu.raw.add.half.tanh.raw.dense" + 2 * ".none.act.raw.plain",
    },
    "nas-sequence": {"width": 8, "genotype": "conv3.gru.attention.sep5.wide3.avg3.none.none.none"},
}
PICTURES = [a.id for a in architectures if "image" in a.modalities]
CLASSIFIED = [a.id for a in architectures if "table" not in a.modalities]
META = types.SimpleNamespace(kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None)


def trainable(core) -> int:
    return sum(int(np.prod(w.shape)) for w in core.trainable_weights)


def test_every_family_is_tested_here():
    assert set(SMALL) == {a.id for a in architectures}


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("classes", [0, 2, 5])
def test_the_core_ends_in_one_output_for_each_class_or_number(family, classes, build):
    if classes == 0 and family in CLASSIFIED:
        pytest.skip("pictures, texts and series are classified")
    built = build(family, SMALL[family], classes=classes)
    outputs = (None, classes or 1) if family != "tabm" else (None, 4, classes or 1)
    assert built.core.output_shape == outputs
    assert set(built.core.input) == set(built.inputs)
    assert np.isfinite(built.core.predict(built.inputs, verbose=0)).all()


@pytest.mark.parametrize("family", SMALL)
def test_equal_seeds_give_equal_models_and_other_seeds_others(family, build):
    first, second = build(family, SMALL[family]).core, build(family, SMALL[family]).core
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if not architectures[family].fitted_by:  # trees begin empty
        assert any(w.ndim > 1 and w.std() > 0 for w in first.get_weights())


@pytest.mark.parametrize("family", SMALL)
def test_an_inference_model_is_saved_and_loaded(family, build, tmp_path):
    built = build(family, SMALL[family])
    model = head.inference_model(built.core, META)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(built.inputs, verbose=0)
    np.testing.assert_allclose(loaded.predict(built.inputs, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("family", SMALL)
def test_every_family_becomes_an_int8_tflite_file_of_built_in_operations(family, build):
    """The hardest precision: every layer has to be one that the converter knows how to quantise."""
    from ai_edge_litert.interpreter import Interpreter

    from automl.export import tflite

    built = build(family, SMALL[family])
    model = head.inference_model(built.core, META)
    content = tflite.convert(model, "int8", built.inputs)
    assert operators.beyond_builtin(content) == []
    if (overhead := architectures[family].overhead) is not None:
        beside = overhead(built.profile, **compose.complete(built.recipe.architecture, architectures[family].params))
        assert parameters(built.recipe, built.profile) + beside == pytest.approx(len(content), rel=0.15)
    runner = Interpreter(model_content=content).get_signature_runner()
    given = np.concatenate([
        next(iter(runner(**{name: x[i : i + 1] for name, x in built.inputs.items()}).values())) for i in range(20)
    ])
    expected = model.predict({name: x[:20] for name, x in built.inputs.items()}, verbose=0)
    # Rounding errors of a recurrent net's states go on from step to step; tokens of columns are few and of one range.
    np.testing.assert_allclose(given, expected, atol={"recurrent": 0.12, "ft-transformer": 0.08}.get(family, 0.06))


VARIANTS = [
    ("convnet", {"width": 8, "stages": 3, "residual": False}), ("convnet", {"width": 16, "stages": 1}),
    ("convnet", {"width": 8, "stages": 4}),
    ("resnet", {"width": 8, "stages": 1}), ("resnet", {"width": 8, "stages": 3, "blocks": 2}),
    ("vgg", {"width": 8, "stages": 3}), ("vgg", {"width": 16, "stages": 1, "depth": 3}),
    ("vgg", {"width": 6, "stages": 4, "depth": 3}),
    ("convnet-families", {"width": 8, "stages": 3, "blocks": 2}),
    ("convnet-families", {"width": 16, "stages": 1, "blocks": 1}),
    ("mobilenet", {"width": 8, "stages": 2, "blocks": 1}),
    ("mobilenet", {"width": 16, "stages": 2, "kernel": 5, "expansion": 3}),
    ("mobilenet", {"width": 8, "stages": 2, "blocks": 3}),
    ("ds-cnn", {"width": 16, "stages": 2, "blocks": 2}), ("ds-cnn", {"width": 8, "stages": 3, "blocks": 1, "kernel": 5}),
]


@pytest.mark.parametrize(("family", "params"), VARIANTS)
@pytest.mark.parametrize("side", [8, 16, 70])
def test_sizes_of_convnets_in_closed_form_are_exact(family, params, side, build):
    preprocess = {"height": side, "width": side + 3, "channels": 1}
    built = build(family, params, preprocess=preprocess, batch_norm={})
    assert trainable(built.core) == built.size


def test_mlperfs_resnet_8_is_in_the_space(build):
    """Published: 78,666 parameters with Keras's biases in front of the normalisations; ours leave the biases out."""
    built = build("resnet", {"width": 16, "stages": 3, "blocks": 1}, preprocess={"height": 32, "width": 32, "channels": 3},
                  classes=10, batch_norm={})
    assert trainable(built.core) == pytest.approx(78_666, rel=0.01)


NUMBERS = {"inputs": {"numeric": 7}}
CATEGORIES = {"inputs": {"categorical": 5}, "cardinalities": [3, 5, 8, 20, 60]}
BOTH = {"inputs": {"numeric": 11, "categorical": 4}, "cardinalities": [2, 2, 9, 40]}
TABLES = [
    ("mlp", {"width": 32, "depth": 3, "numeric_embedding": "none", "feature_scale": False}),
    ("mlp", {"width": 64, "depth": 1, "numeric_embedding": "periodic", "frequencies": 64, "embedding_width": 16}),
    ("mlp", {"width": 256, "depth": 2, "numeric_embedding": "piecewise-linear", "bins": 16}),
    ("mlp", {"width": 32, "depth": 2, "residual": True, "numeric_embedding": "none", "category_width": 16}),
    ("tabm", {"width": 64, "depth": 1, "members": 4, "adapters": "first", "numeric_embedding": "none"}),
    ("tabm", {"width": 64, "depth": 3, "members": 8, "adapters": "all", "numeric_embedding": "periodic"}),
    ("ft-transformer", {"width": 32, "depth": 1, "numeric_tokens": "linear", "summary": "mean"}),
    ("ft-transformer", {"width": 64, "depth": 2}),
]


@pytest.mark.parametrize("preprocess", [NUMBERS, CATEGORIES, BOTH], ids=["numbers", "categories", "both"])
@pytest.mark.parametrize(("family", "params"), TABLES)
def test_sizes_of_networks_for_tables_in_closed_form_are_exact(family, params, preprocess, build):
    built = build(family, params, preprocess=preprocess)
    assert trainable(built.core) == built.size


@pytest.mark.parametrize("family", ["mlp", "tabm", "ft-transformer"])
@pytest.mark.parametrize("preprocess", [NUMBERS, CATEGORIES, BOTH], ids=["numbers", "categories", "both"])
def test_the_int8_files_of_networks_for_tables_are_foreseen(family, preprocess, build):
    """Of trained weights: the converter leaves out biases of zeros and factors of one."""
    from automl.export import tflite

    params = {"width": 64, "depth": 2}
    built = build(family, params, preprocess=preprocess)
    rng = np.random.default_rng(1)
    for variable in built.core.trainable_variables:
        variable.assign(np.asarray(variable) + rng.normal(0, 0.1, variable.shape))
    content = tflite.convert(head.inference_model(built.core, META), "int8", built.inputs)
    whole = compose.complete(built.recipe.architecture, architectures[family].params)
    assert built.size + architectures[family].overhead(built.profile, **whole) == pytest.approx(len(content), rel=0.05)


@pytest.mark.parametrize("preprocess", [NUMBERS, CATEGORIES, BOTH], ids=["numbers", "categories", "both"])
def test_weights_of_linear_models_are_counted(preprocess, build):
    built = build("linear", {"bins": 8, "one_hot_limit": 32}, preprocess=preprocess)
    assert trainable(built.core) == built.size


@pytest.mark.parametrize("family", ["mlp", "tabm"])
@pytest.mark.parametrize("preprocess", [
    {"inputs": {"numeric": 3}}, {"inputs": {"categorical": 2}, "cardinalities": [3, 50]},
])
def test_tables_of_numbers_alone_and_of_categories_alone(family, preprocess, build):
    built = build(family, SMALL[family], preprocess=preprocess)
    assert set(built.core.input) == set(preprocess["inputs"])
    assert np.isfinite(built.core.predict(built.inputs, verbose=0)).all()


@pytest.mark.parametrize("family", [f for f in PICTURES if "stages" in architectures[f].params])
@pytest.mark.parametrize(("height", "width", "channels"), [(5, 5, 1), (28, 28, 1), (96, 64, 3), (170, 170, 3)])
def test_pictures_of_any_size_leave_places_to_average(family, height, width, channels, build):
    built = build(
        family, {**SMALL[family], "stages": 4}, preprocess={"height": height, "width": width, "channels": channels},
        batch_norm={},
    )
    pool = next(layer for layer in built.core.layers if layer.name == "pool")
    rows, columns = pool.input.shape[1:3]
    assert min(rows, columns) >= min(3, min(height, width))


def test_members_of_a_packed_ensemble_differ_and_share(build):
    built = build("tabm", SMALL["tabm"])
    logits = built.core.predict(built.inputs, verbose=0)
    assert np.std(logits, axis=1).min() > 0
    assert sum("dense_1" in w.path and "kernel" in w.path for w in built.core.trainable_weights) == 1


def test_stochastic_depth_rises_with_depth_and_is_off_in_inference(build):
    built = build("resnet", {"width": 8, "stages": 2, "blocks": 2}, stochastic_depth={"rate": 0.4})
    drops = [layer for layer in built.core.layers if layer.name.endswith("drop_path")]
    assert [layer.rate for layer in drops] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert all(layer.noise_shape == (None, 1, 1, 1) for layer in drops)
    first, second = (np.asarray(built.core(built.inputs, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_dropped_branch_is_dropped_for_a_whole_example(build):
    layer = keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), seed=1)
    y = np.asarray(layer(np.ones((200, 3, 3, 2), np.float32), training=True))
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y.reshape(200, -1).std(axis=1) == 0).all()


def test_squeeze_excite_equals_the_formula(build):
    """Hu et al. (2018), equations 2 to 4."""
    built = build("resnet", {"width": 8, "stages": 1}, squeeze_excite={"ratio": 0.25})
    scale = built.core.get_layer("block_1_1_se_scale")
    taps = keras.Model(built.core.input, [scale.input[0], scale.output])
    before, after = (np.asarray(t) for t in taps(built.inputs))
    w1, b1 = built.core.get_layer("block_1_1_se_reduce").get_weights()
    w2, b2 = built.core.get_layer("block_1_1_se_excite").get_weights()
    hidden = np.maximum(before.mean(axis=(1, 2)) @ w1[0, 0] + b1, 0)
    gates = 1 / (1 + np.exp(-(hidden @ w2[0, 0] + b2)))
    np.testing.assert_allclose(after, before * gates[:, None, None, :], rtol=1e-3, atol=1e-5)


def test_piecewise_linear_bins_cover_rows_and_distinct_values_alike(build):
    built = build("mlp", {**SMALL["mlp"], "numeric_embedding": "piecewise-linear", "bins": 8})
    edges = np.asarray(built.core.get_layer("piecewise").edges)
    assert edges.shape == (4, 9)
    assert (np.diff(edges) >= 0).all()
    x = built.inputs["numeric"]
    rows, values = np.quantile(x, np.linspace(0, 1, 5), axis=0), np.quantile(x, [0.125, 0.375, 0.625, 0.875], axis=0)
    np.testing.assert_allclose(edges, np.sort(np.concatenate([rows, values]), axis=0).T, rtol=1e-6)


def test_a_column_that_is_mostly_zero_keeps_edges_for_the_rest():
    """Adult's capital gain: 92 % zeros, and the other values decide. Quantiles of rows alone would all be 0."""
    from automl.architectures import _tables

    x = np.concatenate([np.zeros(920), np.linspace(100, 10_000, 80)])[:, None]
    (edges,) = _tables.quantile_edges(x, 16)
    assert sum(e > 0 for e in edges) >= 8
