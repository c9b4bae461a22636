"""Steps whose gradient is taken elsewhere: the formula in NumPy, under both backends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl.layers import perturbations
from automl.spec import Choice

CASES = ("linear:", "linear:sam", "linear:inputs", "normalized:", "normalized:sam")


def formula(steps: Any, how: str) -> tuple[np.ndarray, list[float]]:
    """Linear least squares by hand: the gradient of mean (Xw − y)² is 2 Xᵀ(Xw − y) / n, in the inputs 2 (Xw − y) wᵀ / n."""
    w, losses = steps.W.astype(np.float64), []

    def gradient(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(2 * x.T @ (x @ w - y) / len(x))

    for i in range(steps.STEPS):
        rows = np.arange(i * steps.BATCH, (i + 1) * steps.BATCH) % len(steps.X)
        x, y = steps.X[rows].astype(np.float64), steps.Y[rows].astype(np.float64)
        losses.append(float(np.mean((x @ w - y) ** 2)))
        if how == "sam":
            g = gradient(x, y, w)
            taken = gradient(x, y, w + steps.RADIUS * g / np.linalg.norm(g))
        elif how == "inputs":
            taken = gradient(x + steps.RADIUS * np.sign((x @ w - y) @ w.T), y, w)
        else:
            taken = gradient(x, y, w)
        w = w - steps.RATE * taken
    return w, losses


@pytest.mark.parametrize("how", ["", "sam", "inputs"])
@pytest.mark.parametrize("held", [True, False])
def test_steps_on_a_quadratic_equal_the_formula(how: str, held: bool, steps: Any) -> None:
    found = steps.run(f"linear:{how}", held)
    w, losses = formula(steps, how)
    np.testing.assert_allclose(found["weights"]["d/kernel"], w, rtol=1e-4)
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-4)


def test_normalisations_statistics_are_updated_once_and_at_the_true_weights(
    steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a first step they are those of a plain step, though two passes were made."""
    monkeypatch.setattr(steps, "STEPS", 1)
    first, plain = steps.run("normalized:sam")["weights"], steps.run("normalized:")["weights"]
    hidden = steps.X[: steps.BATCH] @ steps.RNG_KERNEL
    np.testing.assert_allclose(first["n/moving_mean"], 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first["n/moving_variance"], 0.9 + 0.1 * hidden.var(0), rtol=1e-4)
    assert first["n/moving_mean"] == plain["n/moving_mean"]
    assert first["a/kernel"] != plain["a/kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_jax_steps_as_tensorflow_does(name: str, steps: Any, under_jax: dict[str, Any]) -> None:
    found = steps.run(name)
    np.testing.assert_allclose(found["losses"], under_jax[name]["losses"], rtol=1e-4)
    for path, value in under_jax[name]["weights"].items():
        np.testing.assert_allclose(found["weights"][path], value, rtol=2e-3, atol=1e-5, err_msg=path)


def test_the_way_uphill_has_the_radius_and_bears_large_and_no_gradients() -> None:
    values = [np.ones((2, 3), np.float32), np.zeros(4, np.float32)]
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=v.shape).astype(np.float32) for v in values]
    for scale in (1.0, 1e30, 1e-30):
        moved = perturbations.Uphill(0.2).values(values, [keras.ops.convert_to_tensor(g * scale) for g in gradients])
        way = np.concatenate([(np.asarray(m) - v).ravel() for m, v in zip(moved, values, strict=True)])
        flat = np.concatenate([g.ravel() for g in gradients])
        np.testing.assert_allclose(way, 0.2 * flat / np.linalg.norm(flat), rtol=1e-3, atol=1e-6)
    still = perturbations.Uphill(0.2).values(values, [np.zeros_like(v) for v in values])
    for value, same in zip(values, still, strict=True):
        np.testing.assert_array_equal(value, np.asarray(same))


def test_a_recipe_with_sam_trains(classification: Any, make_recipe: Any, tmp_path: Path) -> None:
    from automl.spec import Fidelity, Outcome
    from automl.training import trainer

    recipe = make_recipe("tabular-classification", Choice(id="sam"), Choice(id="batch-norm"), Choice(id="dropout"))
    result = trainer.train(
        recipe, classification.data, fidelity=Fidelity(epochs=5), metric="accuracy", workdir=tmp_path / "w",
        on_epoch=lambda measurement: True,
    )
    assert result.outcome is Outcome.COMPLETED
    assert result.score is not None
    assert result.score > 0.8
