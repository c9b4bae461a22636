"""What methods over supernets share."""

import numpy as np
import pytest

from automl.nas import gates
from automl.nas.method import entropy

ALLOWED = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0]], bool)


def test_entropy_is_a_share_of_that_of_chance():
    assert entropy(np.full((3, 5), 0.2)) == pytest.approx(1.0)
    assert entropy(np.eye(5)) == pytest.approx(0.0)


def test_entropy_counts_rows_with_a_choice_as_a_share_of_chance():
    even = gates.shares(np.zeros((3, 4)), ALLOWED)
    assert entropy(even, ALLOWED) == pytest.approx(1.0)
    assert entropy(gates.shares(np.array([[0, 99, 0, 0], [0, 99, 0, 0], [0, 0, 0, 0]]), ALLOWED), ALLOWED) < 1e-6
    assert entropy(even[2:], ALLOWED[2:]) == 0.0
