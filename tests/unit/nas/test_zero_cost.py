"""Scores of untrained networks against formulas in NumPy, and their ranks."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.stats

from automl.nas import zero_cost
from automl.report import account


def dense(name: str, units: int, activate: bool = True):
    def apply(x):
        x = keras.layers.Dense(units, name=name)(x)
        return keras.layers.ReLU(name=f"{name}_act")(x) if activate else x

    return apply


def network(features: int = 3) -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((features,), name="numeric")
    return keras.Model({"numeric": x}, dense("out", 2, activate=False)(dense("second", 17)(dense("first", 15)(x))))


def test_naswot_counts_units_that_switch_alike():
    model, rows = network(), np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    w1, b1, w2, b2 = model.get_weights()[:4]
    first = rows @ w1 + b1
    second = np.maximum(first, 0) @ w2 + b2
    signs = np.concatenate([first, second], axis=1) > 0
    kernel = [[float((signs[i] == signs[j]).sum()) for j in range(4)] for i in range(4)]
    sign, expected = np.linalg.slogdet(kernel)
    assert sign > 0
    assert zero_cost.naswot(model, {"numeric": rows}) == pytest.approx(expected)


def test_naswot_of_rows_that_are_not_told_apart_is_the_least():
    assert zero_cost.naswot(network(), {"numeric": np.ones((4, 3), np.float32)}) == zero_cost.LEAST


def test_synflow_of_a_chain_is_each_layers_share_of_the_flow():
    """R = 1ᵀ|W₃||W₂||W₁|1, to which each of the three kernels adds R, since R is linear in it (biases are 0)."""
    model = network()
    w1, w2, w3 = (np.abs(w) for w in model.get_weights()[::2])
    flow = (np.ones(3) @ w1 @ w2 @ w3).sum()
    assert zero_cost.synflow(model) == pytest.approx(math.log(3 * flow), rel=1e-5)


def test_the_gradient_of_a_linear_classifier_by_its_formula():
    x = keras.Input((3,), name="numeric")
    keras.utils.set_random_seed(0)
    model = keras.Model({"numeric": x}, keras.layers.Dense(2, name="out")(x))
    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(8, 3)).astype(np.float32), np.eye(2, dtype=np.float32)[rng.integers(0, 2, 8)]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    w, b = model.get_weights()
    logits = rows @ w + b
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gw, gb = rows.T @ (p - target) / 8, (p - target).mean(0)
    expected = math.sqrt((gw**2).sum() + (gb**2).sum())
    assert zero_cost.gradient_norm(model, {"numeric": rows}, target, loss) == pytest.approx(expected, rel=1e-4)


def test_ranks_are_means_over_the_scores_and_what_lacks_one_is_last_by_it():
    found = [
        {"naswot": 3.0, "synflow": 3.0, "grad-norm": 3.0}, {"naswot": 1.0, "synflow": 2.0, "grad-norm": None},
        {"naswot": 2.0, "synflow": 1.0, "grad-norm": 1.0}, {},
    ]
    assert zero_cost.combined(found) == pytest.approx([1.0, (1 + 2) / 6, (2 + 1) / 6, 0.0])
    shuffled = [{**scores, "grad-norm": other} for scores, other in zip(found, (None, 9.0, 5.0, 7.0))]
    assert zero_cost.combined(shuffled) == zero_cost.combined(found)
    assert zero_cost.combined([]) == []
    assert zero_cost.combined([{}]) == [0.0]


def test_a_picture_network_is_scored_whole_and_one_that_blocks_the_flow_last():
    """By the way of the child process, on prepared pictures; and a genotype that can't be built is a fault, not a crash."""
    from automl.catalog import architectures, compose
    from automl.spec import Profile
    from tests.unit.architectures.conftest import inputs, picture, recipe

    profile = Profile(
        modality="image", task="image-classification", rows=100, classes=3, class_min=30, outputs=3, image_shape=(12, 12, 3)
    )
    sample = inputs(picture(12, 12, 3))
    target = np.random.default_rng(0).integers(0, 3, 64).astype(np.int32)
    found = []
    for genotype in ("conv3.conv3.conv1.skip.conv3.conv3", "none.none.none.avg3.none.none"):
        made = recipe(profile, "nas-cell", {"genotype": genotype, "width": 8, "stages": 2}, batch_norm={})
        plan = compose.plan_of(made, profile)
        found.append(
            zero_cost.scores(
                made, plan, profile, picture(12, 12, 3), sample, sample, target, plan.loss.make()
            )
        )
    assert all(value is not None for scores in found for value in scores.values())
    # Many paths carry more, and tell rows apart better, than one mean.
    assert found[0]["synflow"] > found[1]["synflow"]
    assert found[0]["naswot"] > found[1]["naswot"]
    assert zero_cost.combined(found)[0] > 0.5
    assert architectures["nas-cell"].genotypes is not None


def test_kendalls_tau_is_scipys():
    rng = np.random.default_rng(2)
    for ties, n in itertools.product((2, 5, 100), (5, 12)):
        a, b = rng.integers(0, ties, n), rng.integers(0, ties, n)
        expected = scipy.stats.kendalltau(a, b).statistic
        found = account.kendall(list(zip(a.tolist(), b.tolist())))
        assert found == pytest.approx(0.0 if math.isnan(expected) else expected)


def test_a_child_scores_what_it_has_time_for_and_names_what_cannot_be_built(tmp_path):
    """On prepared pictures, as the product's child does it."""
    from automl.data.prepared import PreparedDataset
    from tests.unit.architectures.conftest import recipe
    from tests.unit.training.conftest import make_pictures

    prepared = PreparedDataset.open(make_pictures(tmp_path / "prepared"))
    good = recipe(prepared.meta.profile, "nas-cell", {"width": 8, "stages": 1}, batch_norm={})
    bad = good.model_copy(update={"batch_size": 16, "techniques": good.techniques[1:]})
    request = {"prepared": str(prepared.path), "recipes": [bad.to_dict(), good.to_dict()]}
    answer = zero_cost.score_in_child(request | {"seconds": 1e6})
    assert answer["scores"][0] == {}
    assert answer["faults"][0]
    assert set(answer["scores"][1]) == set(zero_cost.SCORES)
    assert answer["faults"][1] == ""
    assert zero_cost.score_in_child(request | {"seconds": -1.0})["scores"] == []
