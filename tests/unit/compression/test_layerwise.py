"""Sparsity and bits by the agent: always within the budget, better than equal bits for all, and what is said is done."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest

from automl.compression import layerwise, mixed_bits
from automl.compression.layerwise import Choice, Layer
from automl.export import candidate as candidates
from tests.unit.compression.conftest import Fresh, Trained


def test_the_cost_is_the_bits_and_the_places_of_the_zeros() -> None:
    assert Choice(0.0, 5).cost == 5.0
    assert Choice(0.5, 4).cost == pytest.approx(1 + 0.5 * 4)
    assert Choice(0.8, 2).cost == pytest.approx(0.7219 + 0.4, abs=1e-3)


def test_a_kernel_gets_its_zeros_and_its_grid() -> None:
    kernel = np.random.default_rng(0).normal(size=(40, 10)).astype(np.float32)
    made = layerwise.changed(kernel, Choice(0.3, 3))
    assert (made.flat[np.argsort(np.abs(kernel), axis=None)[:120]] == 0).all()
    assert max(len(np.unique(made[:, c])) for c in range(10)) <= 7
    np.testing.assert_array_equal(layerwise.changed(kernel, Choice(0.0, 4)), mixed_bits.rounded(kernel, 4))


def test_what_is_too_much_gets_fewer_bits_and_then_more_zeros() -> None:
    assert layerwise.affordable(Choice(0.0, 8), 5.5) == Choice(0.0, 5)
    assert layerwise.affordable(Choice(0.0, 8), 9.0) == Choice(0.0, 8)
    sparser = layerwise.affordable(Choice(0.0, 8), 1.5)
    assert sparser.bits == 2
    assert sparser.cost <= 1.5
    assert layerwise.affordable(Choice(0.0, 8), 0.1) == layerwise.CHEAPEST


def layers() -> list[Layer]:
    sizes = {"first": 500, "second": 4000, "third": 4000, "last": 1500}
    total = sum(sizes.values())
    return [Layer(n, s, (i / 3, 1.0, s / total, s / total, np.log10(s) / 6, 0.3)) for i, (n, s) in enumerate(sizes.items())]


WEIGHT = {"first": 30.0, "second": 1.0, "third": 0.2, "last": 6.0}


def loss(plan: layerwise.Plan) -> float:
    """Rounding costs by 4^−b, zeros by the cube of their share, the first layer most; products of errors are worse."""
    errors = [WEIGHT[n] * (4.0 ** -(c.bits - 1) + 0.3 * c.sparsity**3) for n, c in plan.items()]
    return 1.0 + sum(errors) + sum(a * b for a, b in itertools.combinations(errors, 2))


@pytest.mark.parametrize("budget", [2.5, pytest.param(4.0, marks=pytest.mark.slow)])
def test_it_beats_equal_bits_within_the_budget(budget: float) -> None:
    known, total = layers(), sum(layer.size for layer in layers())
    spent = []

    def applied(plan: layerwise.Plan) -> float:
        spent.append(sum(plan[layer.name].cost * layer.size for layer in known) / total)
        return loss(plan)

    equal = loss({layer.name: Choice(0.0, mixed_bits.uniform_bits(budget)) for layer in known})
    found = layerwise.walk(known, budget, applied, base=1.0, unit=equal - 1.0, seed=0, walks=150)
    assert max(spent) <= budget + 1e-6
    assert found.walks == 150
    assert found.loss == loss(found.plan)
    assert found.loss - 1 < 0.5 * (equal - 1)
    # It has learned, and not only drawn: its later walks are better than those at random.
    again: list[float] = []
    layerwise.walk(
        known, budget, lambda plan: again.append(loss(plan)) or again[-1], base=1.0, unit=equal - 1.0, seed=1, walks=150
    )
    assert np.median(again[-40:]) < np.median(again[: layerwise.WARM_UP])


@pytest.mark.xdist_group("faint")
def test_a_network_is_changed_as_is_said_and_loses_less_than_with_equal_bits(
    faint: Trained, fresh: Fresh, tmp_path: pathlib.Path
) -> None:
    answer = layerwise.search({**faint.request(tmp_path / "out", budget=3.0, walks=60), "time_s": 300.0})
    made, before = candidates.Candidate(tmp_path / "out"), candidates.Candidate(faint.candidate)
    assert made.recipe.params_of("rl-sac") == {"budget": 3.0, "walks": 60}
    judged = mixed_bits.judge_of(made, faint.data)()
    assert f"rows is {judged:.4f}" in answer["notes"][0]
    layer = max((x for x in made.model.layers if type(x).__name__ == "Conv2D"), key=lambda x: x.kernel.shape[-1])
    kernel = np.asarray(layer.kernel)
    assert max(len(np.unique(kernel[..., c])) for c in range(kernel.shape[-1])) <= 2**layerwise.MOST_BITS - 1
    assert not np.array_equal(kernel, np.asarray(before.model.get_layer(layer.name).kernel))
    mixed_bits.round_off(faint.request(tmp_path / "equal", budget=3.0, how="uniform"))
    lost, lost_equal = (fresh.loss(c) - fresh.loss(before) for c in (made, candidates.Candidate(tmp_path / "equal")))
    assert lost < 0.5 * lost_equal


@pytest.mark.slow
@pytest.mark.xdist_group("faint")
def test_the_agent_keeps_up_with_the_sensitivity_search_and_both_beat_equal_bits(
    faints: list[Trained], fresh: Fresh, tmp_path: pathlib.Path
) -> None:
    """Three networks at three budgets, judged on pictures that nothing was chosen by.

    Measured with two seeds of the agent's: the networks' mean cross-entropy rises by 0.60, 0.16 and 0.16 with equal bits, by
    0.077, 0.054 and 0.011 after the search, by 0.022, 0.013 and 0.010 after the agent. On single networks the agent is from
    0.007 behind the search to 0.1 ahead of it.
    """
    lost: dict[str, dict[float, list[float]]] = {}
    for number, network in enumerate(faints):
        whole = fresh.loss(candidates.Candidate(network.candidate))
        for budget in (2.5, 3.0, 3.5):
            for way in ("uniform", "sensitivity", "agent"):
                out = tmp_path / f"{number}-{budget}-{way}"
                if way == "agent":
                    layerwise.search({**network.request(out, budget=budget, walks=80), "time_s": 300.0})
                else:
                    mixed_bits.round_off(network.request(out, budget=budget, how=way))
                lost.setdefault(way, {}).setdefault(budget, []).append(fresh.loss(candidates.Candidate(out)) - whole)
    for budget, equal in lost["uniform"].items():
        searched, agent = np.mean(lost["sensitivity"][budget]), np.mean(lost["agent"][budget])
        assert searched < 0.6 * np.mean(equal)
        assert agent < searched + 0.015
    assert np.mean(list(lost["agent"].values())) < np.mean(list(lost["sensitivity"].values()))


def test_too_few_walks_are_no_search() -> None:
    with pytest.raises(mixed_bits.NoTime, match="0 walks"):
        layerwise.walk(layers(), 4.0, loss, base=1.0, unit=1.0, seed=0, walks=100, end=0.0)
