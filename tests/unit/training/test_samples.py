"""Rows and pictures of a fidelity."""

from __future__ import annotations

import numpy as np
import pytest

from automl.training import samples


class TestSubset:
    def test_smaller_shares_are_part_of_larger_ones(self) -> None:
        strata = np.arange(1000) % 7
        shares = [set(samples.subset(1000, f, np.random.default_rng(3), strata).tolist()) for f in (0.1, 0.3, 1.0)]
        assert shares[0] < shares[1] < shares[2]
        assert [len(s) for s in shares] == [100, 300, 1000]

    def test_each_stratum_is_there_in_proportion(self) -> None:
        strata = np.repeat([0, 1, 2], [900, 90, 10])
        chosen = samples.subset(1000, 0.2, np.random.default_rng(0), strata)
        assert np.abs(np.bincount(strata[chosen]) - [180, 18, 2]).max() <= 1

    def test_rows_ascend_and_none_is_twice_there(self) -> None:
        chosen = samples.subset(500, 0.3, np.random.default_rng(0))
        assert (np.diff(chosen) > 0).all()

    def test_two_rows_at_least(self) -> None:
        assert len(samples.subset(10, 0.001, np.random.default_rng(0))) == 2


class TestResized:
    def test_a_flat_picture_stays_flat(self) -> None:
        flat = np.full((2, 12, 10, 3), 77, np.uint8)
        assert (samples.resized(flat, (7, 5)) == 77).all()
        assert (samples.resized(flat, (24, 20)) == 77).all()

    def test_halving_keeps_brightness_and_halves(self) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (3, 16, 16, 1)).astype(np.uint8)
        half = samples.resized(image, (8, 8))
        assert half.shape == (3, 8, 8, 1)
        np.testing.assert_allclose(half.mean(axis=(1, 2, 3)), image.mean(axis=(1, 2, 3)), atol=4)

    def test_a_gradient_stays_a_gradient(self) -> None:
        ramp = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None, None], (1, 16, 16, 1))
        assert (np.diff(samples.resized(ramp, (8, 8))[0, :, 0, 0].astype(int)) > 0).all()

    @pytest.mark.parametrize("chunk", [1, 2, 100])
    def test_the_size_of_the_chunks_changes_nothing(self, chunk: int) -> None:
        image = np.random.default_rng(0).integers(0, 256, (5, 9, 9, 2)).astype(np.uint8)
        np.testing.assert_array_equal(samples.resized(image, (4, 4), chunk), samples.resized(image, (4, 4)))
