"""What latency is foreseen, from what, and what that decides."""

from __future__ import annotations

import pytest

from automl.catalog import devices, operations, space
from automl.catalog.operations import Operation
from automl.execution.children import ChildFailed
from automl.nas.latency import Table
from automl.search import foresight
from automl.search.foresight import Foresight
from automl.spec import Choice, FormatRequest, Recipe, SearchSettings
from tests.unit.search.fakes import PICTURES

FORCED = space.derive(PICTURES.task, PICTURES, SearchSettings(strategy="evolution", force=("nas-cell",)))
BY_HAND = space.derive(PICTURES.task, PICTURES, SearchSettings(force=("convnet",)))
PER_MAC_US = 1e-3


class Children:
    """A microsecond a thousand multiplications; whole networks take 2 ms."""

    def __init__(self, fault: bool = False):
        self.fault, self.asked = fault, []

    def __call__(self, target, request, **more):
        if self.fault:
            raise ChildFailed("signal", "it crashed", -11)
        self.asked.append(target.partition(":")[2])
        if target.endswith(":networks"):
            return {"ms": [2.0] * len(request["recipes"]), "faults": []}
        us = [PER_MAC_US * Operation.parse(key).macs for key in request["operations"]]
        return {"call_us": 1.0, "us": us, "faults": {}}


def of(tmp_path) -> Foresight:
    return Foresight(Table.here(tmp_path), PICTURES, "int8")


def recipe(**params) -> Recipe:
    made = FORCED.recipe(FORCED.default(), 0)
    return made.model_copy(update={"architecture": Choice(id="nas-cell", params={**made.architecture.params, **params})})


def test_the_quickest_file_asked_for_is_meant():
    def asked(*texts):
        return foresight.precision_of([FormatRequest.parse(text) for text in texts])

    assert asked("tflite:float16", "tflite:int8", "saved-model") == "int8"
    assert asked("tflite:float16") == "float32"
    assert asked("saved-model") is None


def test_a_genotype_is_the_sum_of_what_was_timed(tmp_path):
    ahead, child = of(tmp_path), Children()
    assert ahead.of(recipe()) is None
    assert ahead.learn(FORCED, "unused", child, 10.0) == []
    found = ahead.of(recipe())
    macs = sum(o.macs for o in ahead.operations(recipe()))
    assert found.source == "table"
    assert found.median_ms == pytest.approx((1.0 + PER_MAC_US * macs) / 1e3)
    assert ahead.least_ms(recipe()) == found.median_ms
    assert child.asked == ["measure"]
    # What was learnt stays for other jobs.
    again = Children()
    of(tmp_path).learn(FORCED, "unused", again, 10.0)
    assert again.asked == []


def test_what_was_never_timed_is_guessed_from_its_like_and_called_estimated(tmp_path):
    ahead = of(tmp_path)
    ahead.table.measure(ahead.operations(recipe(width=8)), Children())
    found = ahead.of(recipe(width=16))
    macs = sum(o.macs for o in operations.of_network(blueprint(width=16), PICTURES.outputs, "int8"))
    assert found.source == "estimated"
    assert found.median_ms == pytest.approx(PER_MAC_US * macs / 1e3, rel=0.02)
    assert ahead.least_ms(recipe(width=16)) == pytest.approx(found.median_ms / foresight.DOUBT)


def blueprint(**params):
    from automl.catalog import architectures

    return architectures["nas-cell"].blueprint(PICTURES, **recipe(**params).architecture.params)


def test_another_activation_makes_it_an_estimate(tmp_path):
    ahead = of(tmp_path)
    ahead.learn(FORCED, "unused", Children(), 10.0)
    kept = tuple(c for c in recipe().techniques if c.id != "relu")
    smooth = recipe().model_copy(update={"techniques": (*kept, Choice(id="swish"))})
    assert ahead.of(smooth).source == "estimated"


def test_families_by_hand_are_scaled_by_their_weights(tmp_path):
    ahead, child = of(tmp_path), Children()
    assert ahead.learn(BY_HAND, "folder", child, 10.0) == []
    assert child.asked == ["networks"]
    made = BY_HAND.recipe(BY_HAND.complete({"architecture": "convnet"}), 0)
    found = ahead.of(made)
    assert found.source == "estimated"
    assert 0 < found.median_ms < 200
    later = Children()
    of(tmp_path).learn(BY_HAND, "folder", later, 10.0)
    assert later.asked == []


def test_a_child_that_dies_leaves_nothing_foreseen(tmp_path):
    ahead = of(tmp_path)
    assert "it crashed" in ahead.learn(FORCED, "unused", Children(fault=True), 10.0)[0]
    assert ahead.of(recipe()) is None


def test_of_another_device_the_multiplications_tell(tmp_path):
    board = devices.devices["nucleo-l4r5zi"]
    asked = [FormatRequest.parse("microcontroller:int8")]
    ahead = foresight.of_device(board, PICTURES, asked, tmp_path)
    found = ahead.of(recipe())
    macs = blueprint().headed(PICTURES.outputs).macs
    assert (found.source, found.machine) == ("estimated", "nucleo-l4r5zi")
    assert found.median_ms == pytest.approx(1e3 * macs / board.macs_per_second)
    assert ahead.of(BY_HAND.recipe(BY_HAND.complete({"architecture": "convnet"}), 0)) is None
    assert isinstance(foresight.of_device(devices.devices["here"], PICTURES, asked, tmp_path), Foresight)
    assert foresight.of_device(board, PICTURES, [FormatRequest.parse("saved-model")], tmp_path) is None
