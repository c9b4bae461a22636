"""Which channels hang together, what they cost, and the smaller model: by hand, and by silencing what is cut."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.compression import channels
from tests.unit.compression.test_bridge import built

CUT = ("convnet", "convnet-families", "ds-cnn", "mobilenet", "inception-time", "resnet-1d", "mlp", "vit", "text-cnn")


def silenced(found: channels.Channels, removed: channels.Ids) -> None:
    """Sets what makes the removed channels, and what moves them off zero, to zero."""
    kept = found.kept(removed)
    for place in found.places:
        layer, (takes, gives) = place.layer, kept[place.layer.name]
        kind, weights = type(layer).__name__, layer.get_weights()
        if kind == "BatchNormalization":
            weights = [weights[0] * gives, weights[1] * gives, *weights[2:]]
        elif kind in channels.DEPTHWISE:
            weights = [weights[0] * takes[:, None], *(b * gives for b in weights[1:])]
        elif kind in channels.MAKERS:
            first = 1 if kind in channels.SEPARABLE else 0
            weights = [*weights[:first], *(w * gives for w in weights[first:])]
        layer.set_weights(weights)


@pytest.mark.parametrize("family", CUT)
def test_cut_channels_are_missed_as_little_as_silent_ones(family: str) -> None:
    # ReLU keeps a silent channel silent; means over features (LayerNormalization) would see it, so batch-norm.
    model, rows = built(family, "relu", "batch-norm", "dropout")
    found = channels.Channels(model)
    whole = found.cost(np.zeros(0, np.int64))
    order = np.random.default_rng(1).permutation(found.groups)
    removed = found.fewest(order, "macs", 0.6 * whole.macs)
    smaller = found.without(removed)
    before = np.asarray(model(rows))
    silenced(found, removed)
    np.testing.assert_allclose(np.asarray(smaller(rows)), np.asarray(model(rows)), atol=1e-5)
    assert not np.array_equal(before, np.asarray(model(rows)))
    assert smaller.count_params() < model.count_params()


def test_the_cost_is_that_of_the_closed_form() -> None:
    picture = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(10, 3, padding="same", use_bias=False, name="a")(picture)
    x = keras.layers.BatchNormalization(name="n")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="d")(x)
    x = keras.layers.SeparableConv2D(6, 3, padding="same", name="s")(x)
    x = keras.layers.Dense(4, name="logits")(keras.layers.Flatten()(x))
    model = keras.Model({"image": picture}, x)
    found = channels.Channels(model)
    cost = found.cost(np.zeros(0, np.int64))
    assert cost.parameters == model.count_params() == 270 + 40 + 100 + (90 + 60 + 6) + (4 * 4 * 6 * 4 + 4)
    assert cost.macs == 64 * 270 + 16 * 90 + 16 * (90 + 60) + 384
    # Two of ten channels of the first convolution: their kernels, normalisations, depthwise kernels and readers.
    first = next(p for p in found.places if p.layer.name == "a").gives[:2]
    left = found.cost(first)
    assert cost.parameters - left.parameters == 2 * (27 + 4 + 10 + 9 + 6)
    assert found.without(first).count_params() == left.parameters


def test_what_is_added_up_goes_together_and_what_leaves_the_model_stays() -> None:
    numeric = keras.Input((5,), name="numeric")
    stem = keras.layers.Dense(8, name="stem")(numeric)
    branch = keras.layers.Dense(8, name="branch")(keras.layers.Dense(6, name="inner")(stem))
    model = keras.Model({"numeric": numeric}, keras.layers.Dense(3, name="out")(keras.layers.Add()([stem, branch])))
    found = channels.Channels(model)
    assert len(found.groups) == 8 + 6
    assert set(found.parts.values()) == {("inner",), ("stem", "branch")}
    places = {p.layer.name: p for p in found.places}
    assert (places["stem"].gives == places["branch"].gives).all()
    smaller = found.without(places["stem"].gives[:3])
    assert [smaller.get_layer(n).units for n in ("stem", "inner", "branch", "out")] == [5, 6, 5, 3]


def test_gates_and_concatenations_keep_their_channels_in_step() -> None:
    picture = keras.Input((4, 4, 2), name="image")
    x = keras.layers.Conv2D(6, 1, name="x")(picture)
    gate = keras.layers.Reshape((1, 1, 6))(keras.layers.GlobalAveragePooling2D()(x))
    gate = keras.layers.Conv2D(6, 1, activation="sigmoid", name="gate")(gate)
    both = keras.layers.Concatenate()([keras.layers.Multiply()([x, gate]), keras.layers.Conv2D(3, 1, name="y")(picture)])
    model = keras.Model({"image": picture}, keras.layers.Dense(2)(keras.layers.Flatten()(both)))
    found = channels.Channels(model)
    places = {p.layer.name: p for p in found.places}
    assert (places["gate"].gives == places["x"].gives).all()
    assert len(found.groups) == 9
    smaller = found.without(np.asarray([places["x"].gives[0], places["y"].gives[2]]))
    assert smaller.get_layer("x").filters == smaller.get_layer("gate").filters == 5
    assert smaller.layers[-1].kernel.shape == (16 * 7, 2)


def test_each_layer_keeps_some_channels_however_little_they_matter() -> None:
    numeric = keras.Input((5,), name="numeric")
    x = keras.layers.Dense(4, name="narrow")(keras.layers.Dense(40, name="wide")(numeric))
    found = channels.Channels(keras.Model({"numeric": numeric}, keras.layers.Dense(1)(x)))
    smaller = found.without(found.fewest(found.groups, "parameters", 0.0))
    assert [smaller.get_layer(name).units for name in ("wide", "narrow")] == [4, 2]


def test_unknown_layers_and_softmax_hold_their_channels() -> None:
    series = keras.Input((6, 4), name="series")
    inner = keras.layers.Dense(8, activation="softmax")(series)
    model = keras.Model({"series": series}, keras.layers.Dense(2)(keras.layers.LSTM(5)(keras.layers.Dense(7)(inner))))
    found = channels.Channels(model)
    assert len(found.groups) == 0
    assert found.left_whole == {"LSTM": 1}


def test_an_ensemble_is_left_to_distillation() -> None:
    numeric = keras.Input((3,), name="numeric")
    inner = keras.Input((3,), name="numeric")
    member = keras.Model({"numeric": inner}, keras.layers.Dense(2)(inner), name="member")
    with pytest.raises(channels.NothingToCut, match="distillation"):
        channels.Channels(keras.Model({"numeric": numeric}, member({"numeric": numeric})))
