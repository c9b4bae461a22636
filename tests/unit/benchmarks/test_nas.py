"""The benchmark of the architecture search: the surrogate, what is compared, the table."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from automl.architectures.nas_cell import GENOTYPES
from benchmarks.nas import rows, samplers, surrogate, trained


def test_cells_are_different_canonical_and_always_the_same() -> None:
    cells = trained.chosen(50)
    assert len(set(cells)) == 50
    assert all(GENOTYPES.check(cell) is None for cell in cells)
    assert trained.chosen(10) == cells[:10]


def test_ways_by_hand() -> None:
    # (0, 1) conv3, (0, 2) skip, (1, 2) none, (0, 3) skip, (1, 3) conv3, (2, 3) conv1
    assert surrogate.ways("conv3.skip.none.skip.conv3.conv1") == [2, 0, 1, 0]
    assert surrogate.ways("conv3.none.conv3.none.none.conv3") == [0, 0, 0, 1]
    assert surrogate.ways("none.none.none.skip.none.none") == [1, 0, 0, 0]


def test_the_surrogate_foretells_a_planted_function_and_survives_its_file(tmp_path: Path) -> None:
    def planted(cell: str) -> float:
        return 0.3 + 0.03 * cell.count("conv3") + 0.02 * (cell.split(".")[3] == "skip")

    cells = trained.chosen(120)
    noise = np.random.default_rng(0).normal(scale=0.005, size=120)
    fitted = surrogate.Surrogate.fit({c: planted(c) + e for c, e in zip(cells[:100], noise)})
    assert fitted.quality["kendall_tau"] > 0.7
    assert fitted.predict(cells[100:]) == pytest.approx([planted(c) for c in cells[100:]], abs=0.03)
    fitted.save(tmp_path / "fit.json")
    again = surrogate.Surrogate.load(tmp_path / "fit.json")
    assert again(cells[110]) == pytest.approx(fitted(cells[110]), abs=1e-12)
    assert (tmp_path / "fit.json").stat().st_size < 200_000


@pytest.mark.parametrize("name", ["random", "rl-ppo"])
def test_a_play_has_as_many_different_evaluations_as_it_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "EVALUATIONS", 20)
    asked = []

    class Values(dict):
        def __getitem__(self, cell: str) -> float:
            asked.append(cell)
            return random.Random(cell).random()

    curve, spent = samplers.play(name, 3, Values())
    assert len(asked) == len(set(asked)) == len(curve) == 20
    assert curve == list(itertools.accumulate((random.Random(cell).random() for cell in asked), max))
    assert spent > 0


def test_what_is_better_than_chance_is_said_so() -> None:
    ranked = [n / 100 for n in range(100, 0, -1)]
    curves = {"random": [[0.5 + s / 100] for s in range(10)], "good": [[0.8 + s / 100] for s in range(10)],
              "same": [[0.5 + s / 100] for s in range(10)]}
    found = {one["sampler"]: one for one in samplers.figures(curves, dict.fromkeys(curves, 1.0), ranked)}
    assert [found[name]["better"] for name in ("random", "good", "same")] == [False, True, False]
    # Of a hundred values 0.01 … 1.00, those above 0.80 … 0.89 are 20 … 11.
    assert found["good"]["place"] == 16.5


def test_a_row_that_was_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = trained.chosen(40)
    fitted = surrogate.Surrogate.fit({cell: 0.3 + 0.02 * cell.count("conv3") for cell in cells})
    fitted.save(tmp_path / "surrogate.json")
    monkeypatch.setattr(samplers, "FILE", tmp_path / "surrogate.json")
    monkeypatch.setattr(samplers.Surrogate, "load", lambda: fitted)
    monkeypatch.setattr(samplers, "SAMPLERS", ("evolution",))
    monkeypatch.setattr(samplers, "MARKS", (5,))
    monkeypatch.setattr(samplers, "SEEDS", 2)
    played = []

    def play(name: str, seed: int, values: dict[str, float]) -> tuple[list[float], float]:
        assert len(values) == 9_444
        played.append((name, seed))
        return [0.1 * seed] * 5, 3.0

    monkeypatch.setattr(samplers, "play", play)
    monkeypatch.setattr(samplers.machine, "describe", lambda: {"commit": "c" * 40})
    said: list[str] = []
    clock = iter((0.0, 0.0, 0.0, 9.0))
    monkeypatch.setattr(samplers.time, "monotonic", lambda: next(clock, 0.0))
    first = samplers.measure(rows.Given(None, tmp_path, 5.0, said.append))
    assert (first["met"], first["missing"]) == (None, ["evolution"])
    assert "Not yet played: `evolution`" in samplers.table(first)
    second = samplers.measure(rows.Given(None, tmp_path, 5.0, said.append))
    assert played == [("random", 1), ("random", 2), ("evolution", 1), ("evolution", 2)]
    assert (second["met"], second["missing"]) == (False, [])
    assert "| `evolution` | 0.1500 |" in samplers.table(second)
