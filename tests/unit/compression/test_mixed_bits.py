"""Mixed bits: grids by hand, allotment against all choices there are, and less loss than with equal bits for all."""

from __future__ import annotations

import gzip
import itertools
import pathlib

import numpy as np
import pytest

from automl.compression import mixed_bits
from automl.export import candidate as candidates
from automl.export import tflite
from tests.unit.compression.conftest import Fresh, Trained


def test_the_grid_is_symmetric_and_holds_each_channels_largest_weight() -> None:
    kernel = np.array([[0.9, -3.0], [-0.2, 1.2], [0.5, 0.1]])
    # 3 bits: levels −3 … 3 of steps 0.3 and 1.0.
    np.testing.assert_allclose(mixed_bits.rounded(kernel, 3), [[0.9, -3.0], [-0.3, 1.0], [0.6, 0.0]], atol=1e-6)
    np.testing.assert_allclose(mixed_bits.rounded(kernel, 8), kernel, atol=3.0 / 254)
    assert (mixed_bits.rounded(np.zeros((2, 2)), 4) == 0).all()


def test_the_allotment_is_near_the_best_of_all_choices() -> None:
    rng = np.random.default_rng(0)
    sizes = {"a": 100, "b": 400, "c": 50, "d": 200}
    losses = {n: {b: float(rng.exponential() * 4.0 ** (8 - b) / 4e3) for b in mixed_bits.CHOICES} | {8: 0.0} for n in sizes}
    for table in losses.values():  # More bits never cost more.
        for more, fewer in itertools.pairwise(mixed_bits.CHOICES):
            table[fewer] = max(table[fewer], table[more])
    found = mixed_bits.Sensitivity(sizes, losses)
    for budget in (3.0, 4.5, 6.0):
        chosen = mixed_bits.allotted(found, budget)
        assert found.total_bits(chosen) <= budget * sum(sizes.values())
        every = [dict(zip(sizes, bits)) for bits in itertools.product(mixed_bits.CHOICES, repeat=4)]
        within = [bits for bits in every if found.total_bits(bits) <= budget * sum(sizes.values())]
        best = min(sum(losses[n][b] for n, b in bits.items()) for bits in within)
        uniform = max(b for b in mixed_bits.CHOICES if b <= budget)
        cost = sum(losses[n][b] for n, b in chosen.items())
        assert best <= cost <= sum(table[uniform] for table in losses.values())


@pytest.mark.xdist_group("faint")
def test_a_network_loses_less_than_with_equal_bits_and_its_download_shrinks(
    faint: Trained, fresh: Fresh, tmp_path: pathlib.Path
) -> None:
    losses = {}
    for how in ("sensitivity", "uniform"):
        mixed_bits.round_off(faint.request(tmp_path / how, budget=3.0, how=how))
        losses[how] = fresh.loss(candidates.Candidate(tmp_path / how))
    original, made = candidates.Candidate(faint.candidate), candidates.Candidate(tmp_path / "sensitivity")
    # On rows that neither was chosen by: of what equal bits lose, most is kept.
    assert losses["sensitivity"] - fresh.loss(original) < 0.7 * (losses["uniform"] - fresh.loss(original))
    rows = {"image": np.asarray(faint.data.inputs("train")["image"][:50])}
    files = [len(gzip.compress(tflite.convert(c.model, "int8", rows))) for c in (original, made)]
    assert files[1] < 0.9 * files[0]


def test_a_swap_is_made_where_it_helps() -> None:
    """Two layers that bear rounding alone but not together: only trying both at once shows it."""
    found = mixed_bits.Sensitivity({"a": 10, "b": 10}, {n: {b: (8 - b) * 1e-3 for b in mixed_bits.CHOICES} for n in "ab"})

    def applied(bits: dict[str, int]) -> float:
        return 1.0 if bits["b"] < 6 else 0.1 * (8 - bits["a"])

    start = {"a": 6, "b": 5}
    assert mixed_bits.refined(found, start, 5.5, applied) == {"a": 5, "b": 6}
