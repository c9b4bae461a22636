"""Devices: what they bound, and where their latency comes from."""

from __future__ import annotations

import pytest

from automl.catalog import devices
from automl.spec import Constraints, InvalidInput


def test_a_device_bounds_memory_and_file_with_the_user():
    board = devices.devices["nucleo-l4r5zi"]
    assert board.narrowed(Constraints()) == Constraints(max_size_bytes=2 * 2**20, max_memory_bytes=640 * 2**10)
    own = Constraints(max_size_bytes=50_000, max_memory_bytes=2**30, max_latency_ms=7.0)
    assert board.narrowed(own) == own.changed(max_memory_bytes=640 * 2**10)
    assert devices.of(Constraints()).narrowed(own) == own


def test_latency_is_measured_here_and_estimated_elsewhere():
    here, board = devices.of(Constraints()), devices.of(Constraints(device="nucleo-l4r5zi"))
    assert (here.latency, here.estimated_ms(10**6)) == ("measured", None)
    assert board.latency == "estimated"
    # MLPerf Tiny's ResNet-8 takes 704 ms for its 12.5 million multiplications.
    assert board.estimated_ms(12_500_000) == pytest.approx(704)
    with pytest.raises(InvalidInput, match="did you mean nucleo-l4r5zi"):
        devices.of(Constraints(device="nucleo-l4r5"))


def test_estimates_name_where_they_are_from():
    for device in devices.devices:
        assert (device.latency == "measured") == (device.id == devices.HERE)
        assert bool(device.reference) == (device.latency == "estimated")
