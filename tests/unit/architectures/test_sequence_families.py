"""Families for texts and series: padding reaches nothing, causes come before effects, and sizes in closed form."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.architectures import _attention, tcn, transformer, vit
from automl.catalog import techniques
from automl.export import tflite
from automl.layers import folding

FAMILIES = {
    "recurrent": {"width": 16, "units": 8, "layers": 2},
    "transformer": {"width": 32, "depth": 2},
    "tcn": {"width": 16, "levels": 3},
}
CELLS = [t.id for t in techniques if t.slot == "cell"]
ATTENTION = [t.id for t in techniques if t.slot == "attention"]
FORMS = ["sinusoidal", "learned", "rotary"]


def keys(*ids, **params):
    return {id.replace("-", "_"): params.get(id.replace("-", "_"), {}) for id in ids}


CASES = [
    *((family, params, {}) for family, params in FAMILIES.items()),
    ("recurrent", {**FAMILIES["recurrent"], "summary": "end"}, {}),
    *(("recurrent", {"width": 16, "units": 8}, keys(cell)) for cell in CELLS if cell != "lstm"),
    *((family, params, keys("attention-rnn")) for family, params in FAMILIES.items()),
    *(("transformer", FAMILIES["transformer"], keys(form)) for form in ATTENTION if form != "multi-head-attention"),
    *(("transformer", FAMILIES["transformer"], {"positional_encoding": {"form": form}}) for form in FORMS),
    ("transformer", {**FAMILIES["transformer"], "shared_layers": True, "norm_first": False, "factor": 4}, {}),
    ("transformer", {"width": 32, "depth": 3}, keys("adaptive-computation-time")),
    *(("transformer", {**FAMILIES["transformer"], "form": form}, {}) for form in ("decoder", "encoder-decoder")),
    ("transformer", {**FAMILIES["transformer"], "form": "decoder"}, keys("sparse-attention")),
    ("transformer", {**FAMILIES["transformer"], "form": "encoder-decoder"}, keys("additive-attention")),
    ("transformer", {**FAMILIES["transformer"], "form": "encoder-decoder"}, keys("attention-rnn")),
]
SHORT = {
    "text": ({"inputs": {"tokens": 24, "vocabulary": 50}}, {"inputs": {"tokens": 40, "vocabulary": 50}}),
    "series": (
        {"inputs": {"steps": 24, "channels": 4}, "ragged": True}, {"inputs": {"steps": 40, "channels": 4}, "ragged": True},
    ),
}


def shaken(core):
    rng = np.random.default_rng(1)
    core.set_weights([w + rng.normal(0, 0.1, w.shape).astype(w.dtype) for w in core.get_weights()])
    return core


def outputs(model, inputs):
    return np.asarray(model(inputs, training=False))


@pytest.mark.parametrize("modality", SHORT)
@pytest.mark.parametrize(("family", "params", "chosen"), CASES)
def test_what_stands_behind_the_end_changes_nothing(family, params, chosen, modality, build):
    """Padding filled with other values where there are any, and features of a row that is cut: as if nothing had been
    there."""
    if "sparse_attention" in chosen:
        preprocess = {"text": {"inputs": {"tokens": 80, "vocabulary": 50}},
                      "series": {"inputs": {"steps": 64, "channels": 4}, "ragged": True}}[modality]
    else:
        preprocess = SHORT[modality][1]
    built = build(family, params, modality=modality, preprocess=preprocess, **chosen)
    core = shaken(built.core)
    (name, x), rng = next(iter(built.inputs.items())), np.random.default_rng(2)
    if modality == "series":
        # Values where the mask is 0: nothing may read them.
        other = np.where(x[..., -1:] > 0, x, np.r_[5 * rng.normal(size=3), 0].astype(np.float32))
        np.testing.assert_allclose(outputs(core, {name: other}), outputs(core, {name: x}), atol=1e-5)
        return
    embedding = core.get_layer("embedding")
    before = outputs(core, {name: x})
    table = embedding.get_weights()[0]
    table[0] += 3 * rng.normal(size=table.shape[1])
    embedding.set_weights([table])
    np.testing.assert_allclose(outputs(core, {name: x}), before, atol=1e-5)


@pytest.mark.parametrize("modality", SHORT)
@pytest.mark.parametrize(("family", "params", "chosen"), [
    case for case in CASES if case[2].get("positional_encoding") != {"form": "learned"} and "sparse_attention" not in case[2]
    and "indrnn" not in case[2]
])
def test_longer_padding_leaves_the_output(family, params, chosen, modality, build):
    """The same weights in a network for longer inputs. Learned positions and the bound of independent units know the length;
    the strides of sparse attention follow it."""
    first, second = (build(family, params, modality=modality, preprocess=p, **chosen) for p in SHORT[modality])
    shaken(first.core)
    second.core.set_weights(first.core.get_weights())
    ((name, x),) = first.inputs.items()
    steps = second.inputs[name].shape[1]
    longer = np.zeros((len(x), steps, *x.shape[2:]), x.dtype)
    longer[:, : x.shape[1]] = x
    np.testing.assert_allclose(
        outputs(second.core, {name: longer}), outputs(first.core, {name: x}), atol=1e-5
    )


def test_in_a_tcn_the_future_never_reaches_the_past(build):
    built = build("tcn", {"width": 16, "levels": 4, "kernel": 3}, modality="series",
                  preprocess={"inputs": {"steps": 40, "channels": 3}})
    last = [layer for layer in built.core.layers if layer.name.endswith("_add")][-1]
    states = keras.Model(built.core.input, last.output)
    x = built.inputs["series"][:4]
    before = outputs(states, {"series": x})
    for t in (0, 13, 39):
        other = x.copy()
        other[:, t] += 1
        moved = np.abs(outputs(states, {"series": other}) - before).max(axis=(0, 2))
        assert (moved[:t] == 0).all()
        assert moved[t] > 0


@pytest.mark.parametrize(("kernel", "levels"), [(2, 3), (3, 2), (5, 2)])
def test_a_tcn_sees_as_far_back_as_its_formula_says(kernel, levels, build):
    built = build("tcn", {"width": 16, "levels": levels, "kernel": kernel}, modality="series",
                  preprocess={"inputs": {"steps": 60, "channels": 2}})
    last = [layer for layer in built.core.layers if layer.name.endswith("_add")][-1]
    states = keras.Model(built.core.input, last.output)
    shaken(states)
    x = np.random.default_rng(0).normal(size=(64, 60, 2)).astype(np.float32)
    before, other = outputs(states, {"series": x}), x.copy()
    other[:, 0] += 3
    moved = np.abs(outputs(states, {"series": other}) - before).max(axis=(0, 2)) > 0
    assert np.flatnonzero(moved).max() == 2 * (kernel - 1) * (2**levels - 1)


def test_levels_stop_where_the_input_ends():
    assert tcn.levels_within(40, 3, 8) == 4  # 1 + 4 · 15 = 61 steps; three levels see 29.
    assert tcn.levels_within(29, 3, 8) == 3
    assert tcn.levels_within(1, 2, 8) == 1


# --- sizes ----------------------------------------------------------------------------------------


def trainable(core):
    return sum(int(np.prod(w.shape)) for w in core.trainable_weights)


@pytest.mark.parametrize("modality", SHORT)
@pytest.mark.parametrize(("family", "params"), [
    ("recurrent", {"units": 16, "layers": 2}), ("recurrent", {"units": 8, "bidirectional": False, "summary": "end"}),
    ("tcn", {"width": 16, "levels": 3}), ("tcn", {"width": 32, "levels": 1, "kernel": 5}),
    ("transformer", {"width": 48, "depth": 3}), ("transformer", {"width": 32, "depth": 2, "shared_layers": True}),
    ("transformer", {"width": 32, "depth": 2, "factor": 4, "expansion": 4}),
    ("transformer", {"width": 32, "depth": 2, "form": "decoder"}),
    ("transformer", {"width": 32, "depth": 3, "form": "encoder-decoder"}),
    ("transformer", {"width": 48, "depth": 2, "form": "encoder-decoder", "shared_layers": True}),
])
def test_sizes_in_closed_form_are_exact(family, params, modality, build):
    built = build(family, params, modality=modality)
    assert trainable(built.core) == built.size


@pytest.mark.parametrize("preprocess", [
    {"height": 16, "width": 16, "channels": 3}, {"height": 9, "width": 30, "channels": 1},
    {"height": 96, "width": 64, "channels": 3},
])
@pytest.mark.parametrize("params", [
    {"width": 32, "depth": 2, "patch": 2}, {"width": 64, "depth": 1, "patch": 8, "expansion": 4},
])
def test_sizes_of_vision_transformers_in_closed_form_are_exact(params, preprocess, build):
    built = build("vit", params, preprocess=preprocess, layer_norm={})
    assert trainable(built.core) == built.size
    tokens = built.core.get_layer("tokens").output.shape[1]
    assert tokens <= vit.MOST_SIDE**2


@pytest.mark.parametrize(("height", "width", "params"), [
    (16, 16, {"width": 32, "stages": 3, "window": 2}),
    (20, 33, {"width": 48, "stages": 2, "pairs": 2, "window": 4, "patch": 4}),
    (5, 5, {"width": 32, "window": 8, "patch": 1}), (100, 60, {"width": 32, "stages": 4}),
])
def test_sizes_of_shifted_windows_in_closed_form_are_exact(height, width, params, build):
    built = build("swin", params, preprocess={"height": height, "width": width, "channels": 3}, layer_norm={})
    assert trainable(built.core) == built.size
    assert np.isfinite(outputs(built.core, {"image": built.inputs["image"][:4]})).all()


@pytest.mark.parametrize("params", [
    {"width": 32, "depth": 2, "numeric_tokens": "linear"}, {"width": 16, "depth": 1, "summary": "mean", "expansion": 4},
])
def test_sizes_of_transformers_on_tables_in_closed_form_are_exact(params, build):
    numbers = build("ft-transformer", params, preprocess={"inputs": {"numeric": 7}})
    assert trainable(numbers.core) == numbers.size
    codes = build("ft-transformer", params, preprocess={"inputs": {"categorical": 2}, "cardinalities": [30, 30]})
    assert trainable(codes.core) == codes.size


def test_one_block_has_the_weights_of_the_paper():
    """Vaswani et al.'s base model: width 512, four times that inside, six layers: an encoder of 18.9 million and a decoder
    of 25.2 million."""
    attention, net, norms = 4 * (512**2 + 512), 2 * 512 * 2048 + 2048 + 512, 4 * 512
    assert _attention.blocks_size(512, depth=6, expansion=4) - 2 * 512 == 6 * (attention + net + norms)
    assert 18.8e6 < 6 * (attention + net + norms) < 19e6
    assert 25.1e6 < _attention.blocks_size(512, depth=6, expansion=4, recall=True) < 25.3e6


@pytest.mark.parametrize("name", transformer.PRESETS)
def test_presets_are_settings_of_the_family(name, build):
    params, chosen = transformer.PRESETS[name]
    built = build("transformer", params, modality="text", **{id.replace("-", "_"): given for id, given in chosen.items()})
    sizes = {n: trainable(build("transformer", p, modality="text").core) for n, (p, _) in transformer.PRESETS.items()}
    assert sizes["bert"] > 1.8 * sizes["distilbert"] > 1.8 * sizes["albert"]
    assert sizes["gpt"] == sizes["bert"]
    assert np.isfinite(outputs(built.core, built.inputs)).all()


# --- techniques in their place ----------------------------------------------------------------------


@pytest.mark.parametrize("form", ATTENTION)
def test_attention_in_a_network_equals_its_essays_formula(form, build):
    """From the tokens behind the first normalisation to what the exit gives, in NumPy; without positions."""
    steps = 64 if form == "sparse-attention" else 12
    built = build("transformer", {"width": 32, "depth": 1}, modality="series",
                  preprocess={"inputs": {"steps": steps, "channels": 3}}, **keys(form))
    core = shaken(built.core)
    exit_ = core.get_layer("block_1_attention_exit")
    taps = keras.Model(core.input, [core.get_layer("block_1_norm_1").output, exit_.output])
    x, found = (np.asarray(t) for t in taps({"series": built.inputs["series"][:3]}))

    def dense(part):
        kernel, bias = core.get_layer(f"block_1_attention_{part}").get_weights()
        return x @ kernel + bias

    q, k, v = (x, x, x) if form == "dot-product-attention" else map(dense, ("query", "key", "value"))
    heads = {"multi-head-attention": 4, "sparse-attention": 4}.get(form, 1)
    out = np.zeros_like(x)
    for h in range(heads):
        part, keys_ = (slice(h * n // heads, (h + 1) * n // heads) for n in (32, q.shape[-1]))
        a, b = q[..., keys_], k[..., keys_]
        if form == "additive-attention":
            direction = core.get_layer("block_1_attention_weights").get_weights()[0][0, 0]
            scores = np.tanh(a[:, :, None] + b[:, None]) @ direction
        else:
            scores = np.einsum("bqd,bkd->bqk", a, b) / np.sqrt(a.shape[-1])
        if form == "sparse-attention":
            place = np.arange(steps)
            seen = (np.abs(place[:, None] // 16 - place // 16) <= 1) | (place % 16 == 0)
            scores = np.where(seen, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out[..., part] = weights / weights.sum(-1, keepdims=True) @ v[..., part]
    kernel, bias = exit_.get_weights()
    np.testing.assert_allclose(found, out @ kernel + bias, atol=1e-4)


@pytest.mark.parametrize("form", ATTENTION)
def test_in_a_decoder_no_token_sees_a_later_one(form, build):
    """With every form of attention; and each token sees those before it."""
    steps = 64
    built = build("transformer", {"width": 32, "depth": 2, "form": "decoder"}, modality="series",
                  preprocess={"inputs": {"steps": steps, "channels": 3}}, **keys(form))
    core = shaken(built.core)
    tokens = core.get_layer("patches").output
    states = keras.Model(tokens, core.get_layer("exit_norm").output)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, *tokens.shape[1:])).astype(np.float32)
    before = outputs(states, x)
    for place in (0, 20, steps - 1):
        other = x.copy()
        other[:, place] += rng.normal(size=32)
        moved = np.abs(outputs(states, other) - before).max(axis=(0, 2))
        assert (moved[:place] < 1e-5).all(), "the past doesn't know of it"
        near = moved[place : min(steps, place + 16)]  # what sparse attention surely reaches
        assert (near > 1e-4).all()


def test_a_decoder_is_summed_up_by_the_state_of_the_last_token_that_is_there(build):
    built = build("transformer", {"width": 32, "depth": 1, "form": "decoder"}, modality="text")
    core = shaken(built.core)
    taps = keras.Model(core.input, [core.get_layer("exit_norm").output, core.get_layer("last").output])
    states, last = (np.asarray(t) for t in taps(built.inputs))
    lengths = (built.inputs["tokens"] > 0).sum(axis=1)
    assert len(set(lengths)) > 3
    for row, length in enumerate(lengths):
        expected = states[row, length - 1] if length else np.zeros(32)
        np.testing.assert_allclose(last[row], expected, atol=1e-5)


def test_cross_attention_equals_the_formula(build):
    """What the learned queries gather from the encoded tokens that are there, in NumPy, head by head."""
    built = build("transformer", {"width": 32, "depth": 1, "form": "encoder-decoder"}, modality="series",
                  preprocess={"inputs": {"steps": 12, "channels": 4}, "ragged": True})
    core = shaken(built.core)
    taps = keras.Model(core.input, [core.get_layer(name).output for name in (
        "exit_norm", "answer_1_norm_2", "answer_1_recall_exit",
    )])
    memory, asked, found = (np.asarray(t) for t in taps(built.inputs))
    assert asked.shape[1:] == (transformer.QUERIES, 32)
    there = built.inputs["series"][..., -1] > 0

    def dense(part, x):
        kernel, bias = core.get_layer(f"answer_1_recall_{part}").get_weights()
        return x @ kernel + bias

    q, k, v = dense("query", asked), dense("key", memory), dense("value", memory)
    gathered = np.zeros_like(q)
    for h in range(4):
        part = slice(h * 8, (h + 1) * 8)
        scores = np.einsum("bqd,bkd->bqk", q[..., part], k[..., part]) / np.sqrt(8)
        weights = np.exp(scores) * there[:, None]
        gathered[..., part] = weights / weights.sum(-1, keepdims=True) @ v[..., part]
    np.testing.assert_allclose(found, dense("exit", gathered), atol=1e-4)


def test_series_become_at_most_64_patches_that_overlap(build):
    built = build("transformer", {"width": 32, "depth": 1}, modality="series",
                  preprocess={"inputs": {"steps": 150, "channels": 2}})
    patches = built.core.get_layer("patches")
    assert patches.output.shape[1:] == (50, 32)
    assert patches.kernel_size == (7,)
    assert patches.strides == (3,)


def test_attention_pooling_equals_its_formula(build):
    built = build("tcn", {"width": 16, "levels": 2}, modality="series", attention_rnn={"units": 16})
    core = shaken(built.core)
    last = [layer for layer in core.layers if layer.name.endswith("_add")][-1]
    taps = keras.Model(core.input, [last.output, core.get_layer("pool_weights").output, core.get_layer("pool").output])
    h, weights, pooled = (np.asarray(t) for t in taps(built.inputs))
    w, b = core.get_layer("pool_hidden").get_weights()
    (v,) = core.get_layer("pool_score").get_weights()
    there = built.inputs["series"][..., -1:]
    scores = np.where(there > 0, np.tanh(h @ w + b) @ v, -np.inf)
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(pooled, (expected * h).sum(axis=1), atol=1e-4)


def test_attention_dropout_silences_its_share_in_training_alone(build):
    built = build("transformer", {"width": 32, "depth": 1}, modality="series",
                  preprocess={"inputs": {"steps": 40, "channels": 3}}, attention_dropout={"rate": 0.25})
    layer = built.core.get_layer("block_1_attention_dropout")
    weights = np.full((20, 4, 40, 40), 1 / 40, np.float32)
    dropped = np.asarray(layer(weights, training=True))
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(dropped[dropped > 0], 1 / 40 / 0.75, rtol=1e-5)
    np.testing.assert_array_equal(layer(weights, training=False), weights)
    assert layer.input.shape[1:] == (4, 40, 40), "it stands behind the softmax"


def test_without_positions_order_is_unknown_and_with_them_it_is_not(build):
    def moved(**chosen):
        built = build("transformer", {"width": 32, "depth": 1}, modality="text",
                      preprocess={"inputs": {"tokens": 10, "vocabulary": 40}}, **chosen)
        shaken(built.core)
        x = np.random.default_rng(0).integers(1, 40, (64, 10)).astype(np.int32)
        return np.abs(np.asarray(built.core({"tokens": x})) - np.asarray(built.core({"tokens": x[:, ::-1]}))).max()

    assert moved() < 1e-5
    for form in FORMS:
        assert moved(positional_encoding={"form": form}) > 1e-3, form


def test_tokens_ponder_less_when_pondering_costs_more(build):
    """Trained on the same task for the same steps."""
    found = {}
    for cost in (0.001, 0.1):
        built = build("transformer", {"width": 32, "depth": 4}, modality="series", adaptive_computation_time={"cost": cost})
        core = built.core
        y = (built.inputs["series"][:, :3, 0].sum(axis=1) > 0).astype(int)
        core.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        core.optimizer.learning_rate = 3e-3
        core.fit(built.inputs, y, epochs=15, batch_size=32, verbose=0)
        halting = core.get_layer("halting_weights")
        p = keras.Model(core.input, core.get_layer("halting_probabilities").output)(built.inputs)
        there = built.inputs["series"][..., -1:]
        found[cost] = float((np.asarray(halting.weigh(p)[1]) * there).sum() / there.sum())
    assert found[0.1] < found[0.001] - 0.3, found


@pytest.mark.parametrize(("modality", "preprocess"), [
    ("series", {"inputs": {"steps": 600, "channels": 3}, "ragged": True}),
    ("text", {"inputs": {"tokens": 600, "vocabulary": 30}}),
])
def test_long_inputs_leave_at_most_256_tokens(modality, preprocess, build):
    built = build("transformer", {"width": 32, "depth": 1, "factor": 2}, modality=modality, preprocess=preprocess)
    assert trainable(built.core) == built.size
    tokens = {"series": 60, "text": 200}[modality]
    assert built.core.get_layer("patches").output.shape[1] == tokens
    assert built.core.get_layer("patch_mask").output.shape[1] == tokens
    ((name, x),) = built.inputs.items()
    before = outputs(built.core, {name: x})
    if modality == "series":
        x = np.where(x[..., -1:] > 0, x, np.r_[5.0, 5.0, 0].astype(np.float32))
    else:
        table = built.core.get_layer("embedding").get_weights()[0]
        built.core.get_layer("embedding").set_weights([np.r_[table[:1] + 3, table[1:]]])
    np.testing.assert_allclose(outputs(built.core, {name: x}), before, atol=1e-5)


@pytest.mark.parametrize(("family", "params", "technique"), [
    *(
        (family, params, technique) for technique in ("weight-norm", "spectral-norm") for family, params in (
            ("transformer", {"width": 32, "depth": 2, "shared_layers": True}), ("recurrent", {"width": 16, "units": 8}),
            ("tcn", {"width": 16, "levels": 2}),
        )
    ),
    ("ft-transformer", {"width": 16, "depth": 1}, "shakeout"),
])
def test_reparametrised_kernels_leave_training_as_plain_ones(family, params, technique, build):
    """Layers that are applied several times among them."""
    built = build(family, params, **keys(technique))
    folded = folding.fold(built.core)
    np.testing.assert_allclose(outputs(folded, built.inputs), outputs(built.core, built.inputs), atol=1e-4)
    assert any(hasattr(layer, "folded") for layer in built.core.layers)
    assert not any(hasattr(layer, "folded") for layer in folded.layers)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [
    t.id for t in techniques if t.slot == "cell" and "tflite:int8" not in t.unsupported_formats
])
def test_cells_become_int8_files_unrolled(cell, build):
    """Built-in operations alone: the interpreter here has no others."""
    from ai_edge_litert.interpreter import Interpreter

    built = build("recurrent", {"units": 8}, modality="series", preprocess={"inputs": {"steps": 12, "channels": 3}},
                  **keys(cell))
    content = tflite.convert(built.core, "int8", built.inputs)
    runner = Interpreter(model_content=content).get_signature_runner()
    given = np.concatenate([
        next(iter(runner(series=built.inputs["series"][i : i + 1]).values())) for i in range(20)
    ])
    expected = outputs(built.core, built.inputs)[:20]
    assert np.abs(given - expected).mean() < 0.25 * expected.std()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["decoder", "encoder-decoder"])
def test_decoders_become_files_of_every_precision(form, build):
    from ai_edge_litert.interpreter import Interpreter

    built = build("transformer", {"width": 32, "depth": 1, "form": form}, modality="series",
                  preprocess={"inputs": {"steps": 12, "channels": 4}, "ragged": True})
    expected = outputs(built.core, built.inputs)[:20]
    for precision, share in (("float32", 1e-3), ("int8", 0.25)):
        content = tflite.convert(built.core, precision, built.inputs)
        runner = Interpreter(model_content=content).get_signature_runner()
        given = np.concatenate([
            next(iter(runner(series=built.inputs["series"][i : i + 1]).values())) for i in range(20)
        ])
        assert np.abs(given - expected).mean() < share * expected.std(), precision


@pytest.mark.parametrize(("family", "params"), [
    ("text-bag", {"width": 16}), ("text-cnn", {"width": 16, "filters": 16, "bag": True}), ("text-linear", {}),
    ("tcn", {"width": 16, "levels": 2}),
])
def test_the_int8_file_answers_texts_of_nothing_and_of_one_word(family, params, build):
    """Where most are long, a count of one is less than a level of eight bits, and kernels refuse to divide by none."""
    from ai_edge_litert.interpreter import Interpreter

    from automl.tasks import head
    from tests.unit.architectures.test_genotype_families import META

    preprocess = {"inputs": {"tokens": 900, "vocabulary": 50, "ngrams": 900, "ngram_vocabulary": 80}}
    built = build(family, params, modality="text", preprocess=preprocess, classes=3)
    whole = {name: np.ones_like(x) for name, x in built.inputs.items()}
    content = tflite.convert(head.inference_model(shaken(built.core), META), "int8", whole)

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for words in (0, 1):
        for detail in interpreter.get_input_details():
            codes = np.zeros(detail["shape"], detail["dtype"])
            codes[:, :words] = 1
            interpreter.set_tensor(detail["index"], codes)
        interpreter.invoke()
        answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert answer.sum() == pytest.approx(1.0, abs=0.02)
