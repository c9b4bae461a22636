"""Blocks, convolutions and gates that techniques put into a picture network: counts in closed form, conversion, folding."""

from __future__ import annotations

import types

import keras
import numpy as np
import pytest

from automl.catalog import techniques
from automl.layers import folding
from automl.tasks import head

META = types.SimpleNamespace(kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None)
CHOSEN = {
    "residual": {}, "bottleneck": {"ratio": 2}, "dense-block": {"growth": 8}, "inception": {},
    "inverted-residual": {"form": "mobilenet", "expansion": 3, "kernel": 5},
    "inverted-residual:convnext": {"form": "convnext", "expansion": 2, "kernel": 7},
}
CONVOLUTIONS = {"depthwise-separable": {}, "dilated-conv": {"rate": 2}, "deformable-conv": {}}
WIDTH, STAGES, BLOCKS, CLASSES = 16, 2, 2, 3


def trainable(core) -> int:
    return sum(int(np.prod(w.shape)) for w in core.trainable_weights)


def technique(name: str) -> dict:
    return {name.partition(":")[0].replace("-", "_"): CHOSEN.get(name, CONVOLUTIONS.get(name, {}))}


def family(build, *names: str, blocks: int = BLOCKS, **more):
    chosen = {k: v for name in names for k, v in technique(name).items()}
    params = {"width": WIDTH, "stages": STAGES, "blocks": blocks}
    return build("convnet-families", params, batch_norm={}, **chosen, **more)


def test_every_block_and_convolution_is_tested_here():
    assert {n.partition(":")[0] for n in CHOSEN} == {t.id for t in techniques if t.slot == "block"}
    assert set(CONVOLUTIONS) == {t.id for t in techniques if t.slot == "convolution"}


def weights_of(name: str, c: int, f: int, strides: int) -> tuple[int, int]:
    """(weights with the normalisations' two a channel, channels out) of a block, by the papers' tables."""
    shortcut = c * f + 2 * f if strides > 1 or c != f else 0
    match name:
        case "residual":
            return 9 * c * f + 9 * f * f + 4 * f + shortcut, f
        case "bottleneck":
            m = max(8, f // 2)
            return c * m + 9 * m * m + m * f + 4 * m + 2 * f + shortcut, f
        case "dense-block":
            g, halved = 8, c // 2 if strides > 1 else c
            transition = c * halved + 2 * halved if strides > 1 else 0
            return transition + halved * 4 * g + 8 * g + 9 * 4 * g * g + 2 * g, halved + g
        case "inception":
            q = f // 4
            return 4 * c * q + 27 * q * q + 2 * q * 7, f
        case "inverted-residual":
            e = 3 * c
            return c * e + 25 * e + e * f + 4 * e + 2 * f, f
        case "inverted-residual:convnext":
            down = strides**2 * c * f + 2 * f if strides > 1 or c != f else 0
            return down + 49 * f + 2 * f + 2 * f * 2 * f + 2 * f + f, f
    raise AssertionError(name)


@pytest.mark.parametrize("name", CHOSEN)
def test_weights_of_blocks_in_closed_form(name, build):
    total, c = 27 * WIDTH + 2 * WIDTH, WIDTH
    for stage in range(STAGES):
        for block in range(BLOCKS):
            found, c = weights_of(name, c, WIDTH * 2**stage, 2 if stage and not block else 1)
            total += found
    assert trainable(family(build, name).core) == total + (c + 1) * CLASSES


@pytest.mark.parametrize(("name", "ratio"), [("residual", 0.25), ("inception", 0.125), ("inverted-residual", 0.25)])
def test_weights_of_gates_in_closed_form(name, ratio, build):
    more = trainable(family(build, name, squeeze_excite={"ratio": ratio}).core) - trainable(family(build, name).core)
    widths = [WIDTH, WIDTH, 2 * WIDTH, 2 * WIDTH]
    if name == "inverted-residual":
        widths = [3 * WIDTH] * 3 + [6 * WIDTH]
    hidden = [max(4, int(w * ratio)) for w in widths]
    assert more == sum(2 * w * h + h + w for w, h in zip(widths, hidden))


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("which", ["resnet", "convnet"])
def test_weights_of_convolutions_in_closed_form(name, which, build):
    params = {"width": 8, "stages": 1, "blocks": 1} if which == "resnet" else {"width": 8, "stages": 1, "residual": False}
    plain, changed = (build(which, params, batch_norm={}, **given) for given in ({}, technique(name)))
    convolutions = [(8, 8), (8, 8)] if which == "resnet" else [(8, 16)]
    difference = {
        "depthwise-separable": lambda c, f: 9 * c + 2 * c + c * f - 9 * c * f,
        "dilated-conv": lambda c, f: 0,
        "deformable-conv": lambda c, f: 2 * 9 * 9 * c + 2 * 9,
    }[name]
    assert trainable(changed.core) - trainable(plain.core) == sum(difference(c, f) for c, f in convolutions)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_neither_the_entrance_nor_mixing_of_channels_is_replaced(name, build):
    core = family(build, "bottleneck", name).core
    assert core.get_layer("stem").kernel.shape[:2] == (3, 3)
    assert core.get_layer("stem").dilation_rate == (1, 1)
    assert core.get_layer("block_1_1_a").kernel.shape[:2] == (1, 1)


def test_a_dilated_kernel_sees_places_apart(build):
    """A single bright pixel reaches exactly the nine places that lie 2 apart."""
    core = build("convnet", {"width": 8, "stages": 1, "residual": False}, dilated_conv={"rate": 2}).core
    layer = core.get_layer("stage_1_conv")
    layer.set_weights([np.ones_like(w) if w.ndim == 4 else 0 * w for w in layer.get_weights()])
    x = np.zeros((1, 9, 9, layer.kernel.shape[2]), np.float32)
    x[0, 4, 4] = 1
    reached = np.argwhere(np.asarray(layer(x))[0, :, :, 0] > 0)
    assert {tuple(p) for p in reached} == {(i, j) for i in (2, 4, 6) for j in (2, 4, 6)}


def test_a_deformable_network_begins_as_the_plain_one(build):
    params = {"width": 8, "stages": 2, "blocks": 1}
    plain, changed = (build("resnet", params, batch_norm={}, **given) for given in ({}, {"deformable_conv": {}}))
    for layer in plain.core.layers:
        if layer.weights:
            twin = changed.core.get_layer(layer.name)
            twin.set_weights([w.reshape(v.shape) for w, v in zip(layer.get_weights(), twin.get_weights(), strict=True)])
    expected = np.asarray(plain.core(plain.inputs))
    np.testing.assert_allclose(np.asarray(changed.core(plain.inputs)), expected, atol=1e-3 * np.abs(expected).max())


def test_stochastic_depth_skips_the_branches_of_residual_blocks_alone(build):
    names = [n for n in CHOSEN if n not in ("dense-block", "inception")]
    for name in names:
        core = family(build, name, stochastic_depth={"rate": 0.4}).core
        assert any(layer.name.endswith("drop_path") for layer in core.layers)
    from automl.catalog import compose

    for name in ("dense-block", "inception"):
        assert compose.conflicts_among({name, "stochastic-depth"})


CONVERTED = [*((n,) for n in CHOSEN), *(("bottleneck", c) for c in CONVOLUTIONS)]
OF_STOCK_LAYERS_AS_OTHERS = [
    ("bottleneck",), ("inception",), ("bottleneck", "depthwise-separable"), ("bottleneck", "dilated-conv"),
]


@pytest.mark.parametrize("names", [
    pytest.param(names, id="+".join(names), marks=[pytest.mark.slow] * (names in OF_STOCK_LAYERS_AS_OTHERS))
    for names in CONVERTED
])
def test_every_choice_becomes_an_int8_tflite_file_and_a_tf_keras_twin(names, build, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    from automl.compression import bridge
    from automl.export import tflite

    built = family(build, *names, blocks=1, squeeze_excite={})
    model = head.inference_model(built.core, META)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    if "deformable-conv" in names:
        rng = np.random.default_rng(0)
        for layer in model.layers:
            if layer.name.endswith("_offsets"):
                layer.set_weights([rng.normal(0, 0.03, w.shape) for w in layer.get_weights()])
    bridge.build(model, built.inputs)
    rows = {name: x[:20] for name, x in built.inputs.items()}
    expected = model.predict(rows, verbose=0)
    runner = Interpreter(model_content=tflite.convert(model, "int8", built.inputs)).get_signature_runner()
    given = np.concatenate([
        next(iter(runner(**{name: x[i : i + 1] for name, x in rows.items()}).values())) for i in range(20)
    ])
    np.testing.assert_allclose(given, expected, atol=0.08)


@pytest.mark.parametrize("id", ["weight_norm", "weight_standardization", "spectral_norm"])
@pytest.mark.parametrize("norm", [{"group_norm": {}}, {}], ids=["normalised", "plain"])
def test_reparametrised_networks_leave_training_in_plain_layers(id, norm, build):
    built = build("resnet", {"width": 8, "stages": 2, "blocks": 1}, **norm, **{id: {}})
    model = head.inference_model(built.core, META)
    kinds = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert kinds == {"keras"}
    outputs = np.asarray(built.core(built.inputs))
    assert np.abs(outputs).max() < 100
    np.testing.assert_allclose(model.predict(built.inputs, verbose=0), head.predictions(outputs, META), atol=1e-4)


def test_noise_is_gone_from_the_model_that_leaves_training(build):
    built = family(build, "residual", dropblock={}, information_bottleneck={})
    assert any(type(layer).__name__ == "DropBlock" for layer in built.core.layers)
    model = head.inference_model(built.core, META)
    assert not {type(layer).__name__ for layer in model.layers} & {"DropBlock", "GaussianBottleneck"}
    first, second = (np.asarray(built.core(built.inputs, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(model.predict(built.inputs, verbose=0), head.predictions(first, META), atol=1e-5)


def test_a_model_without_such_layers_is_not_rebuilt(build):
    core = build("convnet", {"width": 8, "stages": 1}).core
    assert folding.fold(core) is core


@pytest.mark.parametrize("which", ["mlp", "tabm"])
@pytest.mark.parametrize("id", ["shakeout", "weight_norm", "spectral_norm", "information_bottleneck"])
def test_tables_take_noise_and_reparametrisations_and_leave_them(which, id, build):
    built = build(which, {"width": 64, "depth": 2}, **{id: {}})
    plain = build(which, {"width": 64, "depth": 2})
    model = head.inference_model(built.core, META)
    own = {type(layer).__name__ for layer in model.layers if not type(layer).__module__.startswith("keras")}
    assert own <= {type(layer).__name__ for layer in plain.core.layers}
    outputs = np.asarray(built.core(built.inputs))
    np.testing.assert_allclose(model.predict(built.inputs, verbose=0), head.predictions(outputs, META), atol=1e-4)
