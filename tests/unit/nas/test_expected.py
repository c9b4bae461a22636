"""Expected costs: the mean over all architectures of a space, and the slope of their penalty."""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np
import pytest

from automl.architectures import nas_mobile
from automl.catalog import devices, operations
from automl.catalog.footprint import footprint
from automl.nas import expected, gates

SHAPE, OUTPUTS = (8, 8, 1), 2
K3E2, K3E4 = nas_mobile.PATHS.index("k3e2"), nas_mobile.PATHS.index("k3e4")
ROWS = len(nas_mobile.GENOTYPES.decisions)
ALLOWED = np.zeros((ROWS, len(nas_mobile.PATHS)), bool)
ALLOWED[:, 0] = True
ALLOWED[0] = ALLOWED[3] = False
ALLOWED[[0, 3], K3E2] = ALLOWED[[0, 3], K3E4] = True
ALLOWED[1, [K3E2, K3E4]] = ALLOWED[4, K3E4] = True
"""2 · 3 · 2 · 2 = 24 networks; other blocks are left out."""


def laid_down(columns):
    genotype = nas_mobile.GENOTYPES.text(tuple(nas_mobile.PATHS[c] for c in columns))
    return nas_mobile.network(SHAPE, genotype=genotype, width=8, resolution=1.0)


def probabilities(seed=0):
    return gates.shares(np.random.default_rng(seed).normal(size=ALLOWED.shape), ALLOWED)


def microseconds(key: str) -> float:
    """Of an operation in a runtime of the mind."""
    return 1.0 + zlib.crc32(key.encode()) % 1000 / 10


def in_child(target, request, **more):
    assert target == "automl.nas.timing:measure"
    return {"call_us": 7.0, "us": [microseconds(key) for key in request["operations"]], "faults": {}}


SETTINGS = {
    "max-ms": 0.2, "max-bytes": 20_000, "max-parameters": 3_000, expected.DEVICE: devices.HERE, expected.PRECISION: "int8",
}


@pytest.fixture
def costs(tmp_path, monkeypatch):
    monkeypatch.setattr(expected, "run_in_child", in_child)
    settings = {**SETTINGS, expected.CACHE: str(tmp_path)}
    return {cost.unit: cost for cost in expected.of_settings(settings, laid_down, ALLOWED, OUTPUTS, 1.0)}


def test_the_expectation_is_the_mean_over_all_networks(costs):
    p = probabilities()
    known = {"ms": 0.0, "bytes": 0.0, "parameters": 0.0}
    count = 0
    for columns in itertools.product(*(np.flatnonzero(row) for row in ALLOWED)):
        chance = math.prod(p[row, column] for row, column in enumerate(columns))
        net = laid_down(columns)
        size = footprint(net, OUTPUTS)
        micros = 7.0 + sum(microseconds(o.key) for o in operations.of_network(net, OUTPUTS, "int8"))
        known["ms"] += chance * micros / 1e3
        known["bytes"] += chance * size.int8_bytes
        known["parameters"] += chance * size.parameters
        count += 1
    assert count == 24
    assert {unit: cost.source for unit, cost in costs.items()} == {"ms": "table", "bytes": "", "parameters": ""}
    for unit, cost in costs.items():
        assert cost.of(p) == pytest.approx(known[unit], rel=1e-9), unit
        again = expected.Expected.from_dict(cost.to_dict())
        assert again.of(p) == cost.of(p)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_the_pull_is_the_slope_of_the_penalty_along_moves_that_leave_the_other_paths_alone(costs, share):
    """By differences, with the logits rescaled after each move, on both sides of the limit."""
    logits = np.random.default_rng(1).normal(size=ALLOWED.shape)
    p = gates.shares(logits, ALLOWED)
    two = gates.pairs(p, np.random.default_rng(2))
    whole = costs["bytes"].of(p)
    cost = expected.Expected.from_dict({**costs["bytes"].to_dict(), "limit": share * whole})
    excess = math.log(1 / share)
    assert cost.penalty(p) == pytest.approx(excess if excess > 0 else expected.MILD * excess)
    pull = gates.spread(cost.pull(p, two), two, ALLOWED.shape[1])
    assert np.abs(pull).max() > 0
    for row in (0, 1, 3, 4):
        for column in two[row]:
            found = []
            for step in (1e-4, -1e-4):
                moved = logits.copy()
                moved[row, column] += step
                found.append(cost.penalty(gates.shares(gates.rescaled(moved, logits, two), ALLOWED)))
            assert pull[row, column] == pytest.approx((found[0] - found[1]) / 2e-4, rel=1e-4, abs=1e-9)


def test_another_device_is_priced_by_multiplications_and_what_nothing_prices_is_named(tmp_path, monkeypatch):
    device = next(d for d in devices.devices if d.latency == "estimated")
    settings = {"max-ms": 1.0, expected.DEVICE: device.id, expected.PRECISION: "int8", expected.CACHE: str(tmp_path)}
    [cost] = expected.of_settings(settings, laid_down, ALLOWED, OUTPUTS, 1.0)
    columns = [int(np.argmax(row)) for row in ALLOWED]
    assert cost.source == "estimated"
    assert cost.of(np.eye(ALLOWED.shape[1])[columns]) == pytest.approx(
        1e3 * laid_down(columns).headed(OUTPUTS).macs / device.macs_per_second
    )

    def fails(target, request, **more):
        raise expected.ChildFailed("it died", "log", 1)

    monkeypatch.setattr(expected, "run_in_child", fails)
    here = {**settings, expected.DEVICE: devices.HERE}
    assert expected.of_settings(here, laid_down, ALLOWED, OUTPUTS, 1.0) == []
    assert expected.unpriced(here, []) == ["ms"]
