"""The trial of learning rates before training: it finds the edge of what is stable, and leaves no trace but the rate."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl.layers import losses, schedules
from automl.spec import Choice, Fidelity
from automl.training import backends, rates, trainer
from automl.training.batches import Batch

RNG = np.random.default_rng(3)
X = (RNG.normal(size=(128, 4)) * [1.0, 2.0, 0.5, 3.0]).astype(np.float32)
Y = (X @ np.array([[1.0], [-1.0], [2.0], [0.3]]) + 0.1 * RNG.normal(size=(128, 1))).astype(np.float32)
STABLE = 2 / np.linalg.eigvalsh(2 * X.T @ X / len(X)).max()
"""Gradient descent on mean (Xw − y)² diverges at rates above 2 / the Hessian's largest eigenvalue."""


def found(guess: float, finder: schedules.RangeTest, go_on: Any = lambda: True) -> tuple[float | None, np.ndarray]:
    inputs = keras.Input((4,), name="numeric")
    core = keras.Model({"numeric": inputs}, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))

    def engine(schedule: Any) -> Any:
        optimizer = keras.optimizers.SGD(schedule)
        optimizer.build(core.trainable_variables)
        return backends.create(core, optimizer, losses.SquaredError(), [])

    batches = itertools.repeat(Batch({"numeric": X}, Y, None))
    rate = rates.search(finder, guess, core, engine, batches, go_on)
    return rate, core.get_weights()[0]


@pytest.mark.parametrize("guess", [STABLE / 200, STABLE / 10, STABLE * 5])
def test_it_finds_the_decade_of_a_quadratics_stable_rate(guess: float) -> None:
    rate, weights = found(guess, schedules.RangeTest(steps=100, share=0.1))
    assert rate is not None
    assert STABLE / 10 < rate < STABLE
    np.testing.assert_array_equal(weights, 0)


def test_without_an_answer_there_is_none() -> None:
    assert found(STABLE * 1e6, schedules.RangeTest(steps=40, share=0.25))[0] is None
    rate, weights = found(STABLE, schedules.RangeTest(steps=40, share=0.25), go_on=lambda: False)
    assert rate is None
    np.testing.assert_array_equal(weights, 0)


def test_the_rates_are_those_of_the_schedule() -> None:
    finder = schedules.RangeTest(steps=50, share=0.25)
    made = finder.schedule(0.02)
    np.testing.assert_allclose([float(made(i)) for i in range(50)], finder.rates(0.02), rtol=1e-3)
    np.testing.assert_allclose(finder.rates(0.02)[[0, -1]], [2e-4, 20.0])


def test_losses_below_zero_and_without_end_are_understood() -> None:
    finder = schedules.RangeTest(steps=20, share=0.5)
    tried = np.geomspace(1e-3, 1, 20)
    falling = np.linspace(1, -2, 12)
    assert not finder.over(falling)
    away = np.array([5.0, 50.0, np.inf])
    losses_ = np.concatenate([falling, away])
    assert finder.over(losses_)
    picked = finder.pick(tried[:15], losses_)
    assert picked is not None
    assert tried[10] <= picked / 0.5 <= tried[12]
    assert finder.pick(tried, np.full(20, np.nan)) is None
    assert finder.pick(tried, np.linspace(1, 2, 20)) is None


class TestInATraining:
    def recipe(self, case: Any, *more: Choice) -> Any:
        """SGD at a rate a hundred times too small."""
        base = tuple(c for c in case.recipe.techniques if c.id != "adam")
        return case.recipe.changed(techniques=(*base, Choice(id="sgd", params={"learning_rate": 1e-3}), *more), epochs=4)

    def run(self, case: Any, recipe: Any, work: Path, epochs: int = 4, **more: Any) -> Any:
        return trainer.train(
            recipe, case.data, fidelity=Fidelity(epochs=epochs), metric=case.metric, workdir=work,
            on_epoch=lambda m: True, **more,
        )

    def test_it_mends_a_bad_rate_and_repeats_itself(self, classification: Any, tmp_path: Path) -> None:
        without = self.run(classification, self.recipe(classification), tmp_path / "without")
        tested = [
            self.run(classification, self.recipe(classification, Choice(id="lr-range-test")), tmp_path / name)
            for name in "ab"
        ]
        assert tested[0].measurements[0].learning_rate > 0.01
        assert tested[0].measurements[-1].train_loss < without.measurements[-1].train_loss - 0.05
        assert [m.train_loss for m in tested[0].measurements] == [m.train_loss for m in tested[1].measurements]
        assert tested[0].overheads_s["rate-search"] > 0
        assert tested[0].step_s + sum(tested[0].overheads_s.values()) <= tested[0].wall_s

    def test_a_continued_training_keeps_its_rate(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe = self.recipe(classification, Choice(id="lr-range-test"), Choice(id="warmup-cosine"))
        whole = self.run(classification, recipe, tmp_path / "whole")
        self.run(classification, recipe, tmp_path / "parts", epochs=2)
        monkeypatch.setattr(rates, "search", None)  # Isn't asked again.
        parts = self.run(classification, recipe, tmp_path / "parts")
        assert parts.resumed_epoch == 2
        assert [m.train_loss for m in parts.measurements] == [m.train_loss for m in whole.measurements]
        final = self.run(
            classification, recipe, tmp_path / "final", part="train+validation", continue_from=tmp_path / "whole"
        )
        assert final.epochs_done == 4
