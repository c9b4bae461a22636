"""A Keras 3 model and its tf_keras twin give the same outputs, or the bridge says why not."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest

from automl import layers as own_layers
from automl.architectures import model as architecture_model
from automl.catalog import TrainPlan, architectures, techniques
from automl.compression import bridge
from automl.spec import Choice, Modality, Profile, Recipe
from automl.tasks import head
from tests.unit.layers import test_listed

bridge.load()

import keras  # noqa: E402 — behind `load`, which keeps the order of imports

from automl.compression import twins  # noqa: E402 — likewise


@dataclasses.dataclass(frozen=True)
class Target:
    """What the output of an inference model is told."""

    kind: str
    target_mean: float = 20.0
    target_std: float = 5.0
    target_min: float = 1.0
    target_max: float = 60.0


RNG = np.random.default_rng(0)
ROWS: dict[str, dict[str, Any]] = {
    "image": {"image": RNG.integers(0, 256, (12, 24, 24, 3)).astype(np.uint8)},
    "table": {
        "numeric": RNG.normal(size=(12, 4)).astype(np.float32),
        "categorical": np.stack([RNG.integers(0, 5, 12), RNG.integers(0, 30, 12)], axis=1).astype(np.int32),
    },
    "text": {
        "tokens": np.where(np.arange(10) < RNG.integers(1, 11, (12, 1)), RNG.integers(1, 40, (12, 10)), 0).astype(np.int32),
        "ngrams": RNG.integers(0, 30, (12, 16)).astype(np.int32),
    },
    "series": {
        "series": np.dstack([RNG.normal(size=(12, 20, 2)), np.ones((12, 20, 1))]).astype(np.float32)
        * (np.arange(20) < RNG.integers(1, 21, (12, 1)))[..., None].astype(np.float32),
    },
}
PREPROCESS: dict[str, dict[str, Any]] = {
    "image": {"height": 24, "width": 24, "channels": 3},
    "table": {"inputs": {"numeric": 4, "categorical": 2}, "cardinalities": [5, 30]},
    "text": {"inputs": {"tokens": 10, "vocabulary": 40, "ngrams": 16, "ngram_vocabulary": 30}},
    "series": {"inputs": {"steps": 20, "channels": 3}, "ragged": True},
}
PROFILES: dict[str, dict[str, Any]] = {
    "image": {"image_shape": (24, 24, 3)},
    "table": {"numeric": 4, "categorical": 2, "cardinality_max": 30},
    "text": {"length": 10, "vocabulary": 40, "ngrams": 30},
    "series": {"length": 20, "channels": 2},
}


def built(family: str, *ids: str, kind: str = "classification", **params: Any) -> tuple[Any, dict[str, Any]]:
    """The inference model of a family under some techniques, and rows for it."""
    modality = sorted(architectures[family].modalities)[0].value
    task = {"table": f"tabular-{kind}", "series": "timeseries-classification"}.get(modality, f"{modality}-classification")
    classes = 3 if kind == "classification" else 0
    profile = Profile(
        modality=Modality(modality), task=task, rows=1000, classes=classes, outputs=max(1, classes),
        **PROFILES[modality],
    )
    plan = TrainPlan()
    for id in ids:
        plan = techniques[id].apply(plan, **{name: domain.default for name, domain in techniques[id].params.items()})
    recipe = Recipe(task=task, architecture=Choice(id=family, params=params), seed=1)
    core = architecture_model.build_core(recipe, plan, profile, PREPROCESS[modality], ROWS[modality])
    model = head.inference_model(core, Target(kind))
    _shake(model)
    return model, ROWS[modality]


def _shake(model: Any) -> None:
    """Moves every weight from where it starts, so that one which isn't carried over shows."""
    rng = np.random.default_rng(1)
    moved = []
    for layer in model.layers:
        for weight in layer.get_weights():
            positive = weight.ndim == 1 and (weight >= 0).all()
            moved.append(
                weight + (np.abs if positive else np.asarray)(rng.normal(0, 0.05, weight.shape)).astype(weight.dtype)
            )
    model.set_weights(moved)


@pytest.mark.parametrize("family", [entry.id for entry in architectures])
def test_every_family_has_an_equal_twin(family: str) -> None:
    model, rows = built(family, "relu", "batch-norm", "dropout", "stochastic-depth")
    made = bridge.build(model, rows)
    assert made.largest_difference(rows) <= bridge.TOLERANCE
    assert made.twin.count_params() == model.count_params()


@pytest.mark.parametrize("cell", [t.id for t in techniques if t.slot == "cell"])
def test_every_recurrent_cell(cell: str) -> None:
    bridge.build(*built("recurrent", "relu", cell, "layer-norm", layers=2))


@pytest.mark.parametrize("attention", [t.id for t in techniques if t.slot == "attention"])
def test_every_attention(attention: str) -> None:
    ids = (attention, "gelu", "positional-encoding", "attention-dropout", "attention-rnn", "adaptive-computation-time")
    bridge.build(*built("transformer", *ids))


@pytest.mark.parametrize("norm", [t.id for t in techniques if t.slot == "norm"])
@pytest.mark.parametrize("family", ["ds-cnn", "mlp"])
def test_every_normalisation(family: str, norm: str) -> None:
    bridge.build(*built(family, "relu", norm))


@pytest.mark.parametrize("activation", [t.id for t in techniques if t.slot == "activation"])
def test_every_activation(activation: str) -> None:
    bridge.build(*built("mlp", activation, "batch-norm", width=32, depth=2))


@pytest.mark.parametrize("embedding", ["none", "periodic", "piecewise-linear"])
def test_tables_with_numbers_as_target(embedding: str) -> None:
    for family in ("mlp", "tabm"):
        bridge.build(*built(family, "relu", "layer-norm", kind="regression", numeric_embedding=embedding, width=64))


def test_squeeze_excite_and_residual_forms() -> None:
    bridge.build(*built("mobilenet", "swish", "batch-norm", "squeeze-excite", blocks=2))
    bridge.build(*built("resnet", "hard-swish", "batch-norm", "squeeze-excite"))
    bridge.build(*built("mlp", "gelu", "batch-norm", residual=True))


@pytest.mark.parametrize("name", test_listed.LAYERS)
def test_each_layer_of_the_project_has_an_equal_twin(name: str) -> None:
    """Behind a name of its own for each input, with its weights moved from where they start."""
    given, arrays = test_listed.LAYERS[name]
    layer = type(given).from_config(given.get_config())
    rows = {f"given_{n}": array for n, array in enumerate(arrays)}
    inputs = {n: keras.Input(array.shape[1:], dtype=array.dtype.name, name=n) for n, array in rows.items()}
    tensors = list(inputs.values())
    output = layer(tensors[0] if len(tensors) == 1 else tensors)
    model = keras.Model(inputs, output)
    layer.set_weights([w + np.arange(w.size).reshape(w.shape).astype(w.dtype) % 3 for w in layer.get_weights()])
    made = bridge.build(model, rows, tolerance=np.inf)
    found = np.asarray(made.twin([rows[t.name] for t in model.inputs], training=False))
    np.testing.assert_allclose(found, np.asarray(model(rows, training=False)), rtol=1e-5, atol=1e-6)
    assert made.twin.count_params() == model.count_params()


def defined() -> dict[str, type]:
    """Every layer that the modules of `automl.layers` define for Keras to save, by its name."""
    modules = [importlib.import_module(f"automl.layers.{m.name}") for m in pkgutil.iter_modules(own_layers.__path__)]
    return {
        name: one for module in modules for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, keras.layers.Layer) and one.__module__ == module.__name__
        and not name.startswith("_")
    }


def test_every_layer_has_a_twin_or_a_reason() -> None:
    """The twins are those that the test above has built."""
    found, without = defined(), own_layers.NEVER_DELIVERED
    assert set(found) - set(test_listed.LAYERS) == set(without)
    assert twins.OWN == test_listed.LISTED
    assert {name for name, one in found.items() if hasattr(one, "folded")} == {
        name for name, why in without.items() if "folded" in why
    }


def test_a_layer_that_is_never_delivered_is_refused_with_the_reason() -> None:
    from automl.layers import noise

    inputs = keras.Input((4, 4, 2), name="numeric")
    model = keras.Model({"numeric": inputs}, noise.DropBlock(name="holes")(inputs))
    with pytest.raises(bridge.Unconvertible, match=r"holes: tf_keras has no layer DropBlock.*folded away"):
        bridge.build(model, {"numeric": np.ones((2, 4, 4, 2), np.float32)})


def test_weights_go_there_and_back() -> None:
    model, rows = built("tabm", "relu", "batch-norm")
    made = bridge.build(model, rows)
    before = [w.copy() for w in model.get_weights()]
    for variable in made.twin.trainable_variables:
        variable.assign(variable * 1.5)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    made.copy_back()
    assert made.largest_difference(rows) <= bridge.TOLERANCE
    assert any(not np.allclose(a, b) for a, b in zip(before, model.get_weights()))


def test_members_of_an_ensemble_may_have_layers_of_equal_names() -> None:
    tensor = keras.Input((3,), name="numeric")
    members = []
    for number in (1, 2):
        inner = keras.Input((3,), name="numeric")
        members.append(keras.Model({"numeric": inner}, keras.layers.Dense(2, name="dense")(inner), name=f"member_{number}"))
    model = keras.Model({"numeric": tensor}, keras.layers.Average()([member({"numeric": tensor}) for member in members]))
    rows = {"numeric": RNG.normal(size=(5, 3)).astype(np.float32)}
    made = bridge.build(model, rows)
    assert len({twin.name for _, twin in made.pairs}) == len(made.pairs) == 2
    assert made.largest_difference(rows) < 1e-5


def test_a_layer_that_is_used_twice_is_shared_in_the_twin() -> None:
    inputs = keras.Input((4,), name="numeric")
    shared = keras.layers.Dense(4)
    model = keras.Model({"numeric": inputs}, keras.layers.Add()([shared(shared(inputs)), inputs]))
    made = bridge.build(model, {"numeric": ROWS["table"]["numeric"]})
    assert made.twin.count_params() == model.count_params()


def _model(body: Any) -> Any:
    inputs = keras.Input((4,), name="numeric")
    return keras.Model({"numeric": inputs}, keras.layers.Dense(2)(body(inputs)))


class Unknown(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda x: x + 1.0, "raw operation Add"),
        (lambda x: keras.layers.Lambda(lambda y: y, output_shape=(4,))(x), "no layer Lambda"),
        (lambda x: Unknown(name="odd")(x), "odd: tf_keras has no layer Unknown"),
    ],
)
def test_what_cannot_be_carried_over_is_named(body: Any, said: str) -> None:
    with pytest.raises(bridge.Unconvertible, match=said):
        bridge.build(_model(body), {"numeric": ROWS["table"]["numeric"]})


def test_a_layer_that_means_something_else_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_RENAMED", {})
    model = _model(lambda x: keras.layers.LeakyReLU(negative_slope=0.9)(keras.layers.Dense(8)(x)))
    with pytest.raises(bridge.Unconvertible, match=r"differs from the original by .* at most 0\.0001"):
        bridge.build(model, {"numeric": ROWS["table"]["numeric"]})
