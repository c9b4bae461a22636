"""Order, targets and weights of batches."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from automl.catalog import TrainPlan
from automl.training import batches
from automl.training.samples import Samples


def make(rows: int, size: int, classes: int = 3, seed: int = 1) -> batches.Batches:
    x = np.arange(rows, dtype=np.float32)[:, None]
    y = (np.arange(rows) % classes).astype(np.int32)
    return batches.Batches(Samples({"numeric": x}, y, classes, {}, y, {}), TrainPlan(), size, seed)


@pytest.mark.parametrize(
    ("rows", "size", "steps"), [(100, 10, 10), (109, 10, 10), (99, 10, 10), (31, 10, 4), (7, 10, 1), (10, 10, 1)]
)
def test_an_epoch_sees_every_row_or_leaves_out_less_than_a_tenth(rows: int, size: int, steps: int) -> None:
    made = make(rows, size)
    order = made.rows(1)
    assert order.shape == (made.steps, made.batch_size) == (steps, min(rows, size))
    assert len(np.unique(order)) >= min(rows, steps * size) - (0 if steps >= batches.FEW_STEPS else size)
    if steps < batches.FEW_STEPS:
        assert len(np.unique(order)) == rows


def test_epochs_differ_and_repeat() -> None:
    made = make(64, 8)
    assert (made.rows(1) != made.rows(2)).any()
    np.testing.assert_array_equal(made.rows(1), make(64, 8).rows(1))
    assert (make(64, 8, seed=2).rows(1) != made.rows(1)).any()


def test_a_streams_batches_hold_the_rows_of_the_order() -> None:
    made = make(40, 8)
    for rows, batch in zip(made.rows(3), made.stream(3), strict=True):
        assert sorted(batch.inputs["numeric"][:, 0].astype(int)) == sorted(rows)
        np.testing.assert_array_equal(batch.target.argmax(axis=1), batch.inputs["numeric"][:, 0] % 3)
        assert batch.weight is None


def test_stacking_adds_an_axis() -> None:
    stacked = batches.Batch.stack(list(make(40, 8).stream(1)))
    assert stacked.inputs["numeric"].shape == (5, 8, 1)
    assert stacked.target.shape == (5, 8, 3)


class TestPrefetched:
    @pytest.mark.parametrize("depth", [0, 1, 3])
    def test_order_is_kept(self, depth: int) -> None:
        with batches.prefetched(range(50), depth) as items:
            assert list(items) == list(range(50))

    @pytest.mark.parametrize("depth", [0, 2])
    def test_what_making_raises_is_raised_to_the_taker(self, depth: int) -> None:
        def broken():
            yield 1
            raise OSError("disk gone")

        with batches.prefetched(broken(), depth) as items:
            assert next(items) == 1
            with pytest.raises(OSError, match="disk gone"):
                next(items)

    def test_the_thread_ends_when_the_taker_leaves_early(self) -> None:
        with batches.prefetched(itertools.count(), 2) as items:
            next(items)
        assert not [t for t in threading.enumerate() if t.name == "batches"]
