"""Networks for tables, texts and series that are read from genotypes: one text for each, what they cost, and what padding
does to them."""

from __future__ import annotations

import itertools
import math
import random
import types
from collections import Counter

import numpy as np
import pytest

from automl.architectures import nas_mlp, nas_sequence
from automl.catalog import architectures, compose, operations
from automl.catalog.columns import Columns
from automl.catalog.footprint import footprint
from automl.export import _unjoined, operation_files, tflite
from automl.nas import zero_cost
from automl.tasks import head

META = types.SimpleNamespace(kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None)
TABLE = {"inputs": {"numeric": 4, "categorical": 3}, "cardinalities": [4, 12, 30]}
NUMBERS = {"inputs": {"numeric": 6}, "cardinalities": []}
RAGGED = {"inputs": {"steps": 24, "channels": 4}, "ragged": True}
EQUAL = {"inputs": {"steps": 70, "channels": 2}, "ragged": False}
TEXT = {"inputs": {"tokens": 20, "vocabulary": 40}}
LONG_TEXT = {"inputs": {"tokens": 140, "vocabulary": 25}}
FORMS = {
    "table": ("nas-mlp", "table", TABLE), "numbers": ("nas-mlp", "table", NUMBERS),
    "ragged series": ("nas-sequence", "series", RAGGED), "equal series": ("nas-sequence", "series", EQUAL),
    "texts": ("nas-sequence", "text", TEXT), "long texts": ("nas-sequence", "text", LONG_TEXT),
}
NOTHING = "none.none.none"


def sampled(family: str, seed: int) -> dict:
    rng = random.Random(seed)
    drawn = {name: domain.sample(rng) for name, domain in architectures[family].params.items()}
    return drawn | {"width": 16 if family == "nas-mlp" else 8}


def laid_down(built):
    family = architectures[built.recipe.architecture.id]
    return family.blueprint(built.profile, **compose.complete(built.recipe.architecture, family.params))


def shaken(core):
    rng = np.random.default_rng(1)
    for variable in core.trainable_variables:
        variable.assign(np.asarray(variable) + rng.normal(0, 0.1, variable.shape))
    return core


def macs_of(model) -> int:
    """By walking the built model: numbers of kernels times how often they are applied, and products of activations."""
    total = 0
    for layer in model.layers:
        match type(layer).__name__:
            case "Dense":
                total += int(np.prod(layer.kernel.shape))
            case "Conv2D" | "DepthwiseConv2D":
                total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
            case "GRU" | "LSTM":
                kernels = (layer.cell.kernel, layer.cell.recurrent_kernel)
                total += layer.output.shape[1] * sum(int(np.prod(k.shape)) for k in kernels)
            case "AttentionWeights":
                query = layer.input[0]
                total += int(np.prod(query.shape[1:])) * query.shape[2]
            case "Gathered":
                total += int(np.prod(layer.output.shape[1:])) * layer.output.shape[2]
            case "PeriodicEmbedding":
                total += int(np.prod(layer.mixing.shape))
    return total


# --- what a network costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_weights_and_multiplications_in_closed_form_are_exact(form, seed, build):
    family, modality, preprocess = FORMS[form]
    built = build(family, sampled(family, seed), modality=modality, preprocess=preprocess, classes=5)
    net = laid_down(built).headed(5)
    assert sum(int(np.prod(w.shape)) for w in built.core.trainable_weights) == built.size == net.parameters
    assert macs_of(built.core) == net.macs


@pytest.mark.parametrize(("form", "params"), [
    ("table", {
        "genotype": "one.tanh.norm.plain.one.silu.raw.add.half.tanh.raw.dense.two.act.norm.plain.none.act.raw.plain",
        "numeric_embedding": "piecewise-linear", "bins": 16, "width": 32,
    }),
    ("numbers", {"numeric_embedding": "periodic", "width": 64}),
    ("ragged series", {"genotype": f"conv5.gru.attention.sep9.max3.wide3.{NOTHING}", "width": 16}),
    ("texts", {"genotype": f"conv3.lstm.avg3.none.conv7.none.{NOTHING}", "width": 8}),
])
def test_size_memory_and_operations_of_the_int8_file_are_foreseen(form, params, build, monkeypatch):
    monkeypatch.setattr(_unjoined, "RATIO", math.inf)  # what the rows' ranges ask for beside that isn't foreseen
    family, modality, preprocess = FORMS[form]
    built = build(family, params, modality=modality, preprocess=preprocess, classes=4)
    # The converter leaves out biases of zeros.
    content = tflite.convert(head.inference_model(shaken(built.core), META), "int8", built.inputs)
    expected = footprint(laid_down(built), 4)
    assert expected.int8_bytes == pytest.approx(len(content), rel=0.08)
    assert Counter(o.key for o in operation_files.operations(content)) == Counter(
        o.key for o in operations.of_network(laid_down(built), 4, "int8")
    )
    assert expected.peak_bytes == pytest.approx(operation_files.activation_bytes(content), rel=0.25)


def test_the_costs_of_a_table_by_hand():
    """Two numbers in four bins (and as they are), categories of 3 codes one-hot and of 9 codes as 4 numbers: 17 features."""
    columns = Columns(2, "piecewise-linear", 5, 0, (3, 9), (3, 4))
    net = nas_mlp.network(columns, genotype=".".join(nas_mlp.joined(("half", "act", "raw", "dense") * 5)), width=8)
    assert columns.features == 2 * 5 + 3 + 4
    assert columns.weights == 9 * 4
    # Each of five layers adds 4 units, which all later ones read.
    layers = [(17 + 4 * n) * 4 for n in range(5)]
    assert net.macs == sum(layers)
    assert net.parameters == 36 + sum(layers) + 5 * 4
    assert net.parts[-1].shape == (17 + 5 * 4,)


def test_the_costs_of_recurrence_and_attention_by_hand():
    given = nas_sequence.Given("series", 10, 3, 0, False)
    net = nas_sequence.network(given, genotype=f"none.gru.none.{NOTHING}.{NOTHING}", width=8)
    stem, gru = 3 * 3 * 8, 3 * 8 * (8 + 8)
    assert net.macs == 10 * (stem + gru)
    assert net.parameters == stem + 2 * 8 + gru + 2 * 3 * 8
    net = nas_sequence.network(given, genotype=f"none.attention.none.{NOTHING}.{NOTHING}", width=8)
    assert net.macs == 10 * (stem + 4 * 8 * 8) + 2 * 10 * 10 * 8
    assert net.parameters == stem + 2 * 8 + 3 * (8 * 8 + 8) + (8 * 8 + 2 * 8)


def test_stages_halve_the_steps_while_enough_are_left():
    every = ".".join(["none.conv3.none"] * 3)
    steps = [part.shape[1] for part in nas_sequence.network(
        nas_sequence.Given("series", 200, 1, 0, False), genotype=every, width=8
    ).parts if part.kind == "conv"]
    assert steps == [50, 50, 25, 25, 13, 13]
    steps = [part.shape[1] for part in nas_sequence.network(
        nas_sequence.Given("series", 20, 1, 0, False), genotype=every, width=8
    ).parts if part.kind == "conv"]
    assert steps == [20, 20, 10, 10, 10, 10]


# --- one text for each network ---------------------------------------------------------------------------


def chains(cell) -> Counter:
    """What a cell adds up, each summand as the operations behind each other; shortcuts compute nothing. Twice the same
    without weights counts once."""
    first, around, second = cell
    found = Counter()
    if "none" not in (first, second):
        found[tuple(o for o in (first, second) if o != "skip")] += 1
    if around != "none":
        found[() if around == "skip" else (around,)] += 1
    unweighed = {c for c in found if all(o in ("avg3", "max3") for o in c)}
    return Counter({c: 1 if c in unweighed else n for c, n in found.items()})


def test_cells_that_compute_the_same_have_one_text_and_others_another():
    known = {}
    for cell in itertools.product(nas_sequence.OPERATIONS, repeat=3):
        found = nas_sequence.cell(cell)
        assert nas_sequence.cell(found) == found
        assert sum(operation in nas_sequence.RECURRENT for operation in found) <= 1
        if sum(operation in nas_sequence.RECURRENT for operation in cell) <= 1:
            assert chains(found) == chains(cell)
            known.setdefault(tuple(sorted(chains(cell).items())), set()).add(found)
    assert {len(texts) for texts in known.values()} == {1}


def test_stages_through_which_nothing_flows_stand_last_and_one_there_is():
    dead = ("conv3", "none", "none")
    assert nas_sequence.packed((*dead, "none", "gru", "none", *dead)) == ("none", "gru", "none", *["none"] * 6)
    assert nas_sequence.packed(dead * 3) == ("none", "conv3", "none", *["none"] * 6)


def test_layers_are_added_where_they_can_be():
    def joins(*layers: str) -> list[str]:
        words = tuple(word for layer in layers for word in layer.split("."))
        padded = (*words, *nas_mlp.LEFT_OUT * (nas_mlp.LAYERS - len(layers)))
        return [row[3] for row in nas_mlp.layers_of(nas_mlp.joined(padded))]

    assert joins("one.act.raw.add", "one.act.raw.add", "two.act.raw.add") == ["plain", "add", "plain"]
    # One beside one is as wide as two.
    assert joins("one.act.raw.plain", "one.act.raw.dense", "two.act.raw.add") == ["plain", "dense", "add"]
    # The columns among them have another width.
    assert joins("one.act.raw.dense", "two.act.raw.add") == ["dense", "plain"]
    nothing = ("none", "tanh", "norm", "add") * nas_mlp.LAYERS
    assert nas_mlp.layers_of(nas_mlp.joined(nothing)) == [nas_mlp.LEAST]
    late = (*nothing[:16], "half", "silu", "norm", "plain")
    assert nas_mlp.joined(late) == ("half", "silu", "norm", "plain", *nas_mlp.LEFT_OUT * 4)


@pytest.mark.parametrize("family", ["nas-mlp", "nas-sequence"])
def test_a_genotype_is_drawn_with_every_operation_that_it_has(family):
    entry = architectures[family]
    for seed in range(20):
        params = sampled(family, seed)
        drawings = entry.drawings(**params)
        for drawing in drawings:
            assert all(0 <= e.source < e.target < len(drawing.nodes) for e in drawing.edges)
        shown = [e.operation for d in drawings for e in d.edges if e.operation]
        words = params["genotype"].split(".")
        if family == "nas-sequence":
            assert sorted(shown) == sorted(w for w in words if w != "none")
        else:
            assert len(shown) == sum(w in nas_mlp.UNITS for w in words[::4])
            assert sum("norm" in s for s in shown) == words.count("norm")


# --- sequences that end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["series", "text"])
def test_what_stands_behind_the_end_changes_nothing(modality, build):
    """The same sequences in a shorter and a longer frame, through every operation."""
    frames = [
        {"inputs": {"steps": n, "channels": 4}, "ragged": True} if modality == "series" else
        {"inputs": {"tokens": n, "vocabulary": 50}} for n in (32, 48)
    ]
    genotypes = ["conv3.gru.attention.wide3.max3.sep5.avg3.conv7.lstm", f"sep9.conv5.max3.{NOTHING}.{NOTHING}"]
    for genotype in genotypes:
        short, long = (
            build("nas-sequence", {"width": 8, "genotype": genotype}, modality=modality, preprocess=frame)
            for frame in frames
        )
        shaken(short.core)
        long.core.set_weights(short.core.get_weights())
        name = "series" if modality == "series" else "tokens"
        given = np.asarray(short.inputs[name])
        longer = np.concatenate([given, np.zeros((len(given), 16, *given.shape[2:]), given.dtype)], axis=1)
        expected = np.asarray(short.core({name: given}, training=False))
        assert np.ptp(expected) > 0.01
        np.testing.assert_allclose(np.asarray(long.core({name: longer}, training=False)), expected, rtol=1e-4, atol=1e-5)


# --- scores without training ------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "genotype"), [
    ("table", "one.act.norm.plain.one.silu.raw.add.one.tanh.raw.dense.none.act.raw.plain.none.act.raw.plain"),
    ("ragged series", f"conv3.gru.attention.none.sep5.none.{NOTHING}"),
])
def test_untrained_networks_are_scored(form, genotype, build):
    import keras

    family, modality, preprocess = FORMS[form]
    built = build(family, {"genotype": genotype, "width": 16}, modality=modality, preprocess=preprocess)
    found = zero_cost.scores(
        built.recipe, built.plan, built.profile, preprocess, built.inputs, {n: x[:32] for n, x in built.inputs.items()},
        np.arange(32, dtype=np.int32) % 3, keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    assert set(found) == set(zero_cost.SCORES)
    assert all(score is not None and score > zero_cost.LEAST for score in found.values())
