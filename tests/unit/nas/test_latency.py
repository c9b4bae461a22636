"""Tables of latency: sums over operations, what is missing, what is kept; and the times themselves, loosely."""

from __future__ import annotations

import json

import pytest

from automl.catalog import operations
from automl.catalog.blueprint import Blueprint
from automl.catalog.operations import Operation, Tensor
from automl.execution.children import run_in_child
from automl.nas import timing
from automl.nas.latency import Table


def convolution(side: int, filters: int = 8) -> Operation:
    net = Blueprint()
    net.conv(net.input((side, side, 8), name="image"), filters, 3, name="a")
    return operations.of_whole(net, "float32")[0]


class Children:
    """Answers as the child would, with a microsecond for each multiplication."""

    def __init__(self, reach: int = 1000):
        self.reach, self.asked = reach, []

    def __call__(self, target, request, **more):
        self.asked += request["operations"]
        us = [Operation.parse(key).macs or None for key in request["operations"]][: self.reach]
        return {"call_us": 500.0, "us": us, "faults": {}}


def test_a_prediction_is_the_call_and_the_sum(tmp_path):
    table, net = Table.here(tmp_path), [convolution(4), convolution(8), convolution(4)]
    assert table.predict(net) is None
    assert table.measure(net, Children()) == 0
    expected = 500 + (16 + 64 + 16) * 9 * 8 * 8
    assert table.predict(net).ms == pytest.approx(expected / 1e3)
    assert table.predict(net).operations == 3


def test_what_is_known_is_not_measured_again_by_anyone_here(tmp_path):
    child = Children()
    Table.here(tmp_path).measure([convolution(4)], child)
    later = Table.here(tmp_path)
    assert later.measure([convolution(4), convolution(6)], child) == 0
    assert child.asked == [convolution(4).key, convolution(6).key]
    assert later.measure([convolution(4)], child) == 0
    assert len(child.asked) == 2
    (file,) = tmp_path.rglob("*.json")
    stored = json.loads(file.read_text())
    assert stored["runtime"].startswith("ai-edge-litert ")
    assert stored["machine"]
    assert table_of_another_machine(tmp_path, stored["runtime"]).missing([convolution(4)])


def table_of_another_machine(folder, runtime) -> Table:
    return Table(folder / "latency" / "other.json", runtime, "another machine")


def test_time_that_was_too_short_leaves_the_rest_missing(tmp_path):
    table = Table.here(tmp_path)
    assert table.measure([convolution(4), convolution(5), convolution(6)], Children(reach=2)) == 1
    assert table.predict([convolution(4)]) is not None
    assert table.predict([convolution(6)]) is None


def test_what_cannot_be_timed_is_named_and_not_asked_for_again(tmp_path):
    table, odd = Table.here(tmp_path), Operation("SOFTMAX", (Tensor("float32", (1, 4)),), (Tensor("float32", (1, 4)),))
    table.measure([odd, convolution(4)], Children())
    assert table.missing([odd]) == []
    assert table.predict([odd, convolution(4)]).unknown == ("SOFTMAX",)


def test_two_jobs_write_the_same_file(tmp_path):
    one, other = Table.here(tmp_path), Table.here(tmp_path)
    one.measure([convolution(4)], Children())
    other.measure([convolution(5)], Children())
    assert Table.here(tmp_path).missing([convolution(4), convolution(5)]) == []


def test_a_spoilt_file_counts_as_none(tmp_path):
    table = Table.here(tmp_path)
    table.measure([convolution(4)], Children())
    table.path.write_text("{")
    assert Table.here(tmp_path).missing([convolution(4)])


def test_a_child_times_real_operations(tmp_path):
    """Sixteen times the work takes more time, loosely; an operation that the runtime refuses is said."""
    table = Table.here(tmp_path)
    small, large = convolution(16), convolution(64)
    odd = Operation("CONVOLVE", small.inputs, small.outputs)
    assert table.measure([small, large, odd], run_in_child) == 0
    assert 0 < table.call_us < 1000
    assert 4 < table.microseconds(large) / table.microseconds(small) < 64
    assert table.microseconds(odd) is None
    assert table.missing([odd]) == []


def test_a_file_is_timed_as_the_sum_of_its_copies():
    from automl.export import operation_files

    operation = convolution(48, 32)
    call = timing.empty_call_us(0.01)
    one, four = (timing.median_us(operation_files.of_operation(operation, copies), 0.05) - call for copies in (1, 4))
    assert 2.5 < four / one < 6
