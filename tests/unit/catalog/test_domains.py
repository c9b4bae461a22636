"""Domains of parameters: checks, samples, neighbours."""

from __future__ import annotations

import math
import random

import pytest

from automl.catalog import Bool, Categorical, Float, Int
from automl.catalog.domains import neighbour

DOMAINS = {
    "float": Float(-1.0, 2.0, 0.0), "log float": Float(1e-5, 1.0, 1e-3, log=True), "int": Int(0, 10, 3),
    "stepped int": Int(4, 64, 8, step=4), "log int": Int(1, 1000, 10, log=True), "words": Categorical(("a", "b", "c"), "b"),
    "numbers": Categorical((16, 32, 64), 32), "switch": Bool(True),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_samples_and_neighbours_lie_inside(name):
    domain, rng = DOMAINS[name], random.Random(1)
    value = domain.default
    for _ in range(300):
        assert domain.check(domain.sample(rng)) is None
        value = neighbour(domain, value, rng)
        assert domain.check(value) is None


@pytest.mark.parametrize("name", DOMAINS)
def test_bad_values_are_named_in_the_fault(name):
    domain = DOMAINS[name]
    for bad in domain.bad_values():
        assert repr(bad) in domain.check(bad)
        assert domain.describe() in domain.check(bad)


@pytest.mark.parametrize("name", ["log float", "log int"])
def test_a_log_scale_draws_each_decade_alike(name):
    domain, rng = DOMAINS[name], random.Random(1)
    decades = [math.floor(math.log10(domain.sample(rng))) for _ in range(3000)]
    shares = [decades.count(d) / 3000 for d in sorted(set(decades)) if decades.count(d) > 30]
    assert max(shares) - min(shares) < 0.06


@pytest.mark.parametrize("name", [n for n, d in DOMAINS.items() if not isinstance(d, Float)])
def test_a_neighbour_is_another_value(name):
    domain, rng = DOMAINS[name], random.Random(1)
    assert all(neighbour(domain, domain.default, rng) != domain.default for _ in range(50))


def test_types_are_not_confused():
    assert Int(0, 3, 1).check(True) is not None
    assert Int(0, 3, 1).check(1.0) is not None
    assert Float(0, 3, 1).check(True) is not None
    assert Float(0, 3, 1).check(math.nan) is not None
    assert Bool(True).check(1) is not None
    assert Categorical((16, 32), 16).check(16.0) is not None


@pytest.mark.parametrize("make", [
    lambda: Float(0, 1, 2), lambda: Float(0, 1, 0.5, log=True), lambda: Int(0, 5, 6), lambda: Int(0, 8, 3, step=2),
    lambda: Categorical(("a",), "b"),
])
def test_a_declaration_that_contradicts_itself_is_refused(make):
    with pytest.raises(ValueError, match="default"):
        make()
