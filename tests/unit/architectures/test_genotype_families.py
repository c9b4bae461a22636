"""Families read from genotypes: what is known of them before they are built is what is built."""

from __future__ import annotations

import random
import types
from collections import Counter

import keras
import numpy as np
import pytest

from automl.catalog import architectures, compose, operations
from automl.catalog.blueprint import Blueprint
from automl.catalog.footprint import footprint, int8_bytes, peak_bytes
from automl.export import operation_files
from automl.tasks import head

FAMILIES = [a.id for a in architectures if a.genotypes is not None and "image" in a.modalities]
META = types.SimpleNamespace(kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None)
SMALL = {"nas-cell": {"width": 8}, "nas-darts": {"width": 4, "cells": 3}, "nas-mobile": {"width": 8}}


def drawn(family: str, seed: int, **more) -> dict:
    rng = random.Random(seed)
    return {name: domain.sample(rng) for name, domain in architectures[family].params.items()} | SMALL[family] | more


def laid_down(built) -> Blueprint:
    family = architectures[built.recipe.architecture.id]
    return family.blueprint(built.profile, **compose.complete(built.recipe.architecture, family.params))


def macs_of(model) -> int:
    """By walking the built model: each kernel's numbers times the places where it is applied."""
    total = 0
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        if type(layer).__name__ == "DepthwiseConv2D" or len(kernel.shape) == 4:
            places = int(np.prod(layer.output.shape[1:3]))
        else:
            places = 1
        total += int(np.prod(kernel.shape)) * places
    return total


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_weights_and_multiplications_in_closed_form_are_exact(family, seed, build):
    side = (16, 9, 28, 70)[seed]
    preprocess = {"height": side, "width": side + 3, "channels": 3}
    built = build(family, drawn(family, seed), preprocess=preprocess, classes=5, batch_norm={})
    net = laid_down(built)
    assert sum(int(np.prod(w.shape)) for w in built.core.trainable_weights) == built.size == net.headed(5).parameters
    assert macs_of(built.core) == net.headed(5).macs
    assert built.core.get_layer("pool").input.shape[1:] == net[net.parts[-2].inputs[0]].shape


@pytest.mark.parametrize("family", FAMILIES)
def test_size_memory_and_operations_of_the_int8_file_are_foreseen(family, build):
    """The file is that of the converter; its memory is counted from its own operations, by when each tensor is written and
    last read."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from automl.export import tflite

    preprocess = {"height": 32, "width": 32, "channels": 3}
    built = build(family, drawn(family, 11), preprocess=preprocess, classes=10, batch_norm={})
    rng = np.random.default_rng(0)
    for layer in built.core.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # offsets of zero would be left out of the file
            layer.beta.assign(0.1 * rng.normal(size=layer.beta.shape))
    content = tflite.convert(head.inference_model(built.core, META), "int8", built.inputs)
    expected = footprint(laid_down(built), 10)
    assert expected.int8_bytes == pytest.approx(len(content), rel=0.08)
    assert Counter(o.key for o in operation_files.operations(content)) == Counter(
        o.key for o in operations.of_network(laid_down(built), 10, "int8")
    )

    runner = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runner.allocate_tensors()
    tensors = {t["index"]: t for t in runner.get_tensor_details()}
    steps = runner._get_ops_details()
    written = {runner.get_input_details()[0]["index"]: 0}
    for place, operation in enumerate(steps):
        written |= {int(t): place for t in operation["outputs"]}
    last = {}
    for place, operation in enumerate(steps):
        last |= {int(t): place for t in (*operation["inputs"], *operation["outputs"]) if int(t) in written}

    def bytes_of(t: int) -> int:
        return int(np.prod(tensors[t]["shape"])) * np.dtype(tensors[t]["dtype"]).itemsize

    peak = max(
        sum(bytes_of(t) for t in written if written[t] <= place <= last[t]) for place in range(len(steps))
    )
    assert operation_files.activation_bytes(content) == peak
    # The converter computes the nodes of a freely wired cell in another order.
    assert expected.peak_bytes == pytest.approx(peak, rel=0.25 if family == "nas-darts" else 0.02)


def test_memory_of_a_small_graph_by_hand():
    """4×4×2 in; a convolution to 3 channels is kept beside one to 5, and both are read by the last."""
    net = Blueprint()
    x = net.input((4, 4, 2), name="image")
    a = net.conv(x, 3, 1, name="a")
    b = net.conv(x, 5, 1, name="b")
    net.concatenate((a, b), name="ab")
    # At b: x (32), a (48) and b (80) live; at the end a, b and both side by side (128).
    assert peak_bytes(net) == 48 + 80 + 128
    assert peak_bytes(net, width=4) == 4 * 256
    chain = Blueprint()
    chain.drop(chain.conv(chain.input((4, 4, 2), name="image"), 3, 1, name="a"))
    assert peak_bytes(chain) == 32 + 48


def test_the_costs_of_one_convolution_by_hand():
    net = Blueprint()
    net.conv(net.input((7, 7, 3), name="image"), 8, 3, strides=2, name="a")
    assert net[1].shape == (4, 4, 8)
    assert net.macs == 4 * 4 * 3 * 3 * 3 * 8
    assert net.parameters == 3 * 3 * 3 * 8 + 2 * 8
    # The weights, what stands beside each channel, the convolution and the way back to float32, the kernel, the frame.
    assert int8_bytes(net) == 216 + 13 * 8 + 2 * 108 + 185 + 1265


def test_what_the_output_does_not_need_is_left_out():
    net = Blueprint()
    x = net.input((4, 4, 2), name="image")
    net.conv(x, 3, 3, name="unread")
    net.mean(net.conv(x, 5, 1, name="read"), name="pool")
    pruned = net.pruned()
    assert [p.name for p in pruned.parts] == ["image", "read", "pool"]
    assert pruned.parts[-1].inputs == (1,)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_genotype_is_drawn_with_every_operation_that_it_has(family):
    entry = architectures[family]
    for seed in range(20):
        params = drawn(family, seed)
        shown = [e.operation for d in entry.drawings(**params) for e in d.edges if e.operation]
        words = [w for w in params["genotype"].split(".") if w not in ("none", "skip") and not w.isdigit()]
        skips = params["genotype"].split(".").count("skip") if family != "nas-mobile" else 0
        assert len(shown) == len(words) + skips
        for drawing in entry.drawings(**params):
            assert all(0 <= e.source < e.target < len(drawing.nodes) for e in drawing.edges)


def test_dilation_and_stride_halve_alike():
    """A dilated convolution with a stride skips in its pointwise half what a strided depthwise one would skip."""
    import keras

    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    depthwise, kernel = rng.normal(size=(3, 3, 3, 1)).astype(np.float32), rng.normal(size=(1, 1, 3, 3)).astype(np.float32)
    y = keras.ops.depthwise_conv(x, depthwise, padding="same", dilation_rate=2)
    found = np.asarray(keras.ops.conv(y, kernel, strides=2, padding="same"))
    by_hand = np.zeros((2, 4, 4, 3))
    for i in range(4):
        for j in range(4):
            for u in range(3):
                for v in range(3):
                    r, c = 2 * i + 2 * (u - 1), 2 * j + 2 * (v - 1)
                    if 0 <= r < 8 and 0 <= c < 8:
                        by_hand[:, i, j] += x[:, r, c] * depthwise[u, v, :, 0]
    np.testing.assert_allclose(found, by_hand @ kernel[0, 0], rtol=1e-3, atol=1e-4)
