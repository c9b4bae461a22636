"""The networks' derivatives against finite differences, and Adam against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from automl.search.controllers.network import Adam, Chain, Dense, Noisy, Relu, Tanh, masked_softmax


def numeric(f, array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Derivative of a number that `f` computes by each entry of an array, which is changed in place."""
    found = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = f()
        array[place] = kept - step
        found[place] = (above - f()) / (2 * step)
        array[place] = kept
    return found


def chain(kind: str) -> Chain:
    rng = np.random.default_rng(1)
    if kind == "dense":
        sizes = ((5, 7), (7, 3), (3, 2))
        first, second, third = (Dense(inputs, outputs, rng, dtype=float) for inputs, outputs in sizes)
        return Chain(first, Tanh(), second, Relu(), third)
    made = Chain(Noisy(5, 6, rng, dtype=float), Relu(), Noisy(6, 2, rng, dtype=float))
    for layer in made.layers:
        if isinstance(layer, Noisy):
            layer.draw(rng)
    return made


@pytest.mark.parametrize("kind", ["dense", "noisy"])
def test_derivatives_are_those_of_finite_differences(kind: str) -> None:
    made, rng = chain(kind), np.random.default_rng(2)
    x, wanted = rng.normal(size=(4, 5)), rng.normal(size=(4, 2))

    def loss() -> float:
        return float((made.forward(x) * wanted).sum())

    loss()
    by_input = made.backward(wanted)
    assert by_input == pytest.approx(numeric(loss, x), abs=1e-6)
    for weight, gradient in zip(made.weights, made.gradients):
        assert gradient == pytest.approx(numeric(loss, weight), abs=1e-6)


def test_noise_is_factorised_and_can_be_stilled() -> None:
    rng = np.random.default_rng(0)
    layer = Noisy(400, 300, rng, sigma=0.5, dtype=float)
    x = np.eye(400)
    silent = layer.forward(x)
    assert np.array_equal(silent, layer.weights[0] + layer.weights[2])
    layer.draw(np.random.default_rng(3))
    noise = (layer.forward(x) - silent - layer.weights[3] * layer._q) / layer.weights[1]
    assert np.linalg.matrix_rank(noise) == 1
    # f(p) f(q) has mean 0 and variance E|p| E|q| = 2 / π.
    assert noise.var() == pytest.approx(2 / np.pi, rel=0.15)
    layer.still()
    assert np.array_equal(layer.forward(x), silent)


def test_adam_takes_the_steps_of_its_formula() -> None:
    weight, gradient = np.array([1.0, -2.0]), np.zeros(2)
    adam = Adam([weight], [gradient], rate=0.1, longest=1e9)
    m = v = np.zeros(2)
    expected = weight.copy()
    for n, g in enumerate(([3.0, -0.5], [1.0, 4.0], [-2.0, 0.1]), 1):
        gradient[...] = g
        adam.step()
        m, v = 0.9 * m + 0.1 * np.array(g), 0.999 * v + 0.001 * np.array(g) ** 2
        expected = expected - 0.1 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        assert weight == pytest.approx(expected, abs=1e-6)
        assert not gradient.any()


def test_long_gradients_are_scaled_down() -> None:
    weight, gradient = np.zeros(2), np.zeros(2)
    adam = Adam([weight], [gradient], rate=0.1, longest=1.0)
    gradient[...] = 30.0, 40.0
    adam.step()
    assert adam._means[0] == pytest.approx([0.06, 0.08])


def test_masked_probabilities_leave_the_rest_nothing() -> None:
    found = masked_softmax(np.array([[1.0, 2.0, 700.0]]), np.array([[True, True, False]]))
    assert found == pytest.approx(np.array([[1 / (1 + np.e), np.e / (1 + np.e), 0.0]]))
