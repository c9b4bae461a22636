"""Axes, the Pareto front and the figures of saved predictions, against what is known of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from automl.report import evaluation, plots, quantities
from tests.unit.report import jobs


@pytest.mark.parametrize("larger", [True, False])
def test_no_point_of_the_front_is_beaten_and_every_other_is(larger):
    rng = random.Random(3)
    points = [(rng.choice([1.0, 2.0, 5.0, 8.0]), rng.random()) for _ in range(60)]
    front = plots.pareto_front(points, larger)

    def beats(a, b):
        at_least = a[0] <= b[0] and (a[1] >= b[1] if larger else a[1] <= b[1])
        return at_least and a != b

    for i, point in enumerate(points):
        assert any(beats(other, point) for other in points) == (i not in front)


@pytest.mark.parametrize("low_high", [(0.0, 1.0), (0.981, 0.9815), (-4e6, 9e6), (1e-9, 3e-9)])
def test_ticks_are_inside_the_axis_and_few(low_high):
    axis = plots.Axis(*low_high, 0.0, 100.0, "x")
    assert 3 <= len(axis.ticks()) <= 11
    assert all(-1e-6 <= axis.at(t) <= 100 + 1e-6 for t in axis.ticks())


@pytest.mark.parametrize("low_high", [(900.0, 1_100.0), (1e3, 1e6), (1.0, 1e9)])
def test_log_ticks_are_inside_the_axis_and_few(low_high):
    axis = plots.Axis(*low_high, 0.0, 100.0, "x", log=True)
    assert 1 <= len(axis.ticks()) <= 7
    assert all(low_high[0] <= t <= low_high[1] for t in axis.ticks())


def test_an_axis_of_one_value_has_room_on_both_sides():
    axis = plots.Axis.around([5.0], 0.0, 100.0, "x")
    assert axis.at(5.0) == pytest.approx(50.0)


def test_confusion_counts_recall_and_precision(tmp_path):
    y = np.array([0, 0, 0, 1, 1, 2])
    said = np.array([0, 0, 1, 1, 2, 1])
    np.savez(tmp_path / "p.npz", y=y, float=np.eye(3)[said], classes=np.array(["a", "b", "c"]))
    found = evaluation.read(tmp_path / "p.npz")
    assert isinstance(found, evaluation.Classes)
    assert found.counts == ((2, 1, 0), (0, 1, 1), (0, 1, 0))
    assert (found.rows, found.correct) == (6, 3)
    assert found.recall(0) == pytest.approx(2 / 3)
    assert found.precision(1) == pytest.approx(1 / 3)
    assert found.precision(2) == 0.0
    assert found.confused()[0][2] == 1


def test_residuals_are_predicted_minus_true(tmp_path):
    y = np.linspace(0, 1, 2_000)
    np.savez(tmp_path / "p.npz", y=y, float=(y + 0.25)[:, None])
    found = evaluation.read(tmp_path / "p.npz")
    assert isinstance(found, evaluation.Numbers)
    assert found.bias == pytest.approx(0.25)
    assert found.median_absolute == pytest.approx(0.25)
    assert len(found.true) == evaluation.SPECKS
    assert found.rows == 2_000


def test_the_made_up_predictions_of_these_tests_read_back(tmp_path):
    assert isinstance(evaluation.read(jobs.predictions(tmp_path / "r.npz", "regression")), evaluation.Numbers)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: quantities.size(63_210), "63.2 KB"),
        (lambda: quantities.size(999), "999 bytes"),
        (lambda: quantities.size(2_500_000_000), "2.50 GB"),
        (lambda: quantities.duration(125), "2 min 05 s"),
        (lambda: quantities.duration(4_200), "1 h 10 min"),
        (lambda: quantities.figure(0.91234), "0.9123"),
        (lambda: quantities.figure(48_210.4), "48,210"),
        (lambda: quantities.figure(0.0), "0.0000"),
        (lambda: quantities.share(0.998), "99.8 %"),
        (lambda: quantities.share(1.0), "100 %"),
        (lambda: quantities.number(1, "trial"), "1 trial"),
        (lambda: quantities.parameter("residual", False), "no residual"),
    ],
)
def test_quantities_read_like_this(call, text):
    assert call() == text
