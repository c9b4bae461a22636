"""A user's expression: what it computes, and that nothing outside of its grammar is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from automl.layers import expressions, losses

Y = np.array([0.5, 2.0, -1.0, 3.0])
P = np.array([1.0, 1.5, -1.0, 5.0])


def value(text: str):
    return expressions.compute(expressions.parse(text, ("y", "p", "z")), {"y": Y, "p": P, "z": P / 2}, np)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("square(y - p)", (Y - P) ** 2),
        ("abs(y-p)", np.abs(Y - P)),
        ("where(y > p, 3 * (y - p), p - y)", np.where(Y > P, 3 * (Y - P), P - Y)),
        ("where(y<=p,1,.5e1)", np.where(Y <= P, 1, 5)),
        ("huber(y - p, 0.8)", special.huber(0.8, Y - P)),
        ("softplus(-y * p) / 2 + log(exp(z))", np.logaddexp(0, -Y * P) / 2 + P / 2),
        ("maximum(y, p) - minimum(y, p) * tanh(z)", np.maximum(Y, P) - np.minimum(Y, P) * np.tanh(P / 2)),
        ("2 + 3 * 4 - 6 / 4", 12.5), ("2 ** 3 ** 2", 512.0), ("-2 ** 2", -4.0), ("(-2) ** 2", 4.0), ("2 ** -1", 0.5),
        ("8 / 4 / 2", 1.0), ("1 - 2 - 3", -4.0), ("--3", 3.0), ("1 - -2", 3.0), ("  ( 1 )  ", 1.0),
        ("sqrt(y - y)", np.full(4, np.sqrt(1e-7))), ("log(0)", np.log(1e-7)),
    ],
)
def test_it_computes_what_is_written(text, expected):
    np.testing.assert_allclose(value(text), expected, rtol=1e-12)


REFUSED = {
    "": "expected a number, a name or a bracket, got 'the end' (character 1)",
    "y +": "got 'the end' (character 4)",
    "y - q": "unknown name 'q'; there are: p, y, z (character 5)",
    "y p": "expected an operator or the end, got 'p' (character 3)",
    "eval(y)": "unknown function 'eval'",
    "__import__('os')": "isn't part of the grammar (character 12)",
    "y.__class__": "'.' isn't part of the grammar (character 2)",
    "y[0]": "'[' isn't part of the grammar",
    "lambda: y": "':' isn't part of the grammar",
    "y if p else z": "expected an operator or the end, got 'if'",
    "y = p": "'=' isn't part of the grammar (character 3)",
    "y == p": "'=' isn't part of the grammar",
    "y; p": "';' isn't part of the grammar",
    "'y'": "isn't part of the grammar (character 1)",
    "y\x00": "isn't part of the grammar (character 2)",
    "ÿ": "isn't part of the grammar",
    "y > p": "a comparison may stand only as the first argument of where (character 1)",
    "1 + (y > p)": "first argument of where (character 6)",
    "abs(y < p)": "first argument of where",
    "where(y, 1, 2)": "where needs a comparison first, like where(y > p, …, …) (character 7)",
    "where(y > p, 1)": "where takes 3 arguments, got 2 (character 1)",
    "abs()": "expected a number, a name or a bracket, got ')'",
    "abs(y, p)": "abs takes 1 argument, got 2",
    "abs": "abs is a function: write abs(…)",
    "y(2)": "unknown function 'y'",
    "(y": "expected ')' to close the bracket, got 'the end' (character 3)",
    "abs(y": "expected ')' or a comma in abs",
    "1e999": "1e999 is too large a number",
    "1 < 2 < 3": "a comparison may stand only as the first argument of where (character 1)",
    "where(1 < 2 < 3, y, p)": "expected ')' or a comma in where, got '<'",
    "y \u2003": "isn't part of the grammar (character 3)",
    "y // p": "got '/' (character 4)",
    "+y": "got '+' (character 1)",
    "y % 2": "'%' isn't part of the grammar",
    "@y": "'@' isn't part of the grammar",
    "(" * 60 + "y": "nested more than 40 deep",
    "2 **" * 60 + " 2": "nested more than 40 deep",
    "y + " * 200 + "p": "expected at most 500 characters",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda t: t[:20])
def test_everything_outside_the_grammar_is_refused_with_its_place(text):
    with pytest.raises(expressions.Malformed) as caught:
        expressions.parse(text, ("y", "p", "z"))
    assert REFUSED[text] in str(caught.value)


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["y", "p", "(", ")", "+", "-", "**", "<", ",", "where", "abs", "1.5", ".", "exec", " ", "_", "import"]
), max_size=25).map("".join))
def test_any_text_is_read_or_refused(text):
    """Whatever is accepted holds nothing but numbers, the three names and the functions."""
    try:
        tree = expressions.parse(text, ("y", "p", "z"))
    except expressions.Malformed:
        return
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        assert node.kind in {"number", "name", *expressions.FUNCTIONS, *expressions.OPERATORS}
        assert node.kind != "name" or node.value in ("y", "p", "z")
        waiting += node.arguments


def test_minus_signs_don_t_nest():
    assert value("-" * 400 + "1") == 1.0


RNG = np.random.default_rng(0)


def test_as_a_loss_of_numbers_it_sees_the_targets_unit():
    y, p = RNG.normal(size=(6, 1)).astype(np.float32), RNG.normal(size=(6, 1)).astype(np.float32)
    loss = losses.Expression("abs(y - p) / y + z", mean=100.0, std=5.0)
    expected = np.abs(5 * (y - p)) / (5 * y + 100) + p
    np.testing.assert_allclose(loss.call(y, p), expected[:, 0], rtol=1e-4)
    again = losses.Expression.from_config(loss.get_config())
    np.testing.assert_array_equal(again.call(y, p), loss.call(y, p))


def test_as_a_loss_of_classes_it_sums_over_them():
    soft = RNG.dirichlet([1, 1, 1], 6).astype(np.float32)
    logits = RNG.normal(size=(6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        losses.Expression("-y * log(p)").call(soft, logits), losses.CrossEntropy().call(soft, logits), rtol=1e-4
    )
    members = RNG.normal(size=(6, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(
        losses.Expression("-y * log(p)").call(soft, members), losses.CrossEntropy().call(soft, members), rtol=1e-4
    )
    np.testing.assert_allclose(losses.Expression("1 + 0 * 2").call(soft, logits), 3.0)
