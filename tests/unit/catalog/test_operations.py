"""The operations of a network, in closed form: by hand, and as texts."""

from __future__ import annotations

from collections import Counter

import pytest

from automl.catalog import operations
from automl.catalog.blueprint import Blueprint
from automl.catalog.operations import Operation, Tensor


def network() -> Blueprint:
    net = Blueprint()
    x = net.pixels(net.input((9, 9, 3), name="image"))
    x = net.conv(x, 8, 3, strides=2, name="stem")
    y = net.depthwise(x, 5, dilation=2, name="wide", normalize=False, bias=False, activation="")
    z = net.gates(net.conv(y, 8, 1, name="point"), 0.25, name="se")
    net.mean(net.add((x, z, net.pool("max-pool", x, 3, name="pool")), name="sum"), name="mean")
    return net


def test_a_network_by_hand():
    found = operations.of_network(network(), 4, "int8")
    assert [o.code for o in found] == [
        "QUANTIZE", "MUL", "ADD", "CONV_2D", "SPACE_TO_BATCH_ND", "DEPTHWISE_CONV_2D", "BATCH_TO_SPACE_ND", "CONV_2D",
        "MEAN", "CONV_2D", "CONV_2D", "LOGISTIC", "MUL", "MAX_POOL_2D", "ADD", "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX",
        "DEQUANTIZE",
    ]
    spread, filtered, back = found[4:7]
    # 5 places, 8 more around them for a kernel of 5 at a distance of 2, and 1 to make the sum even: 14 / 2 = 7.
    assert spread.outputs[0].shape == (4, 7, 7, 8)
    assert spread.inputs[2].values == (4, 5, 4, 5)
    assert filtered.outputs[0].shape == (4, 3, 3, 8)
    assert dict(filtered.options)["padding"] == 1
    assert back.outputs[0].shape == (1, 5, 5, 8)
    assert back.inputs[2].values == (0, 1, 0, 1)
    assert "QUANTIZE" not in {o.code for o in operations.of_network(network(), 4, "float32")}


def test_multiplications_by_hand():
    macs = Counter({o.code: 0 for o in operations.of_network(network(), 4, "float32")})
    for operation in operations.of_network(network(), 4, "float32"):
        macs[operation.code] += operation.macs
    assert macs["DEPTHWISE_CONV_2D"] == 4 * 3 * 3 * 25 * 8
    assert macs["CONV_2D"] == 25 * 27 * 8 + 25 * 8 * 8 + 8 * 4 + 4 * 8
    assert macs["FULLY_CONNECTED"] == 8 * 4


def test_the_same_pool_twice_is_computed_once():
    net = Blueprint()
    x = net.conv(net.input((8, 8, 4), name="image"), 4, 3, name="a")
    first, second = (net.pool("average-pool", net.drop(x), 3, name=name) for name in "bc")
    net.mean(net.add((first, second), name="d"), name="e")
    assert [o.code for o in operations.of_whole(net, "float32")] == ["CONV_2D", "AVERAGE_POOL_2D", "ADD", "MEAN"]


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_an_operation_is_read_back_from_its_text(precision):
    for operation in operations.of_network(network(), 4, precision):
        assert Operation.parse(operation.key) == operation


def test_products_of_matrices_are_counted():
    left, right, out = Tensor("float32", (1, 4, 10, 8)), Tensor("float32", (1, 4, 8, 12)), Tensor("float32", (1, 4, 10, 12))
    assert Operation("BATCH_MATMUL", (left, right), (out,)).macs == 4 * 10 * 12 * 8


def test_dilated_convolutions_of_one_input_share_its_rearrangement():
    net = Blueprint()
    x = net.conv(net.input((8, 8, 4), name="image"), 4, 3, name="a")
    wide = [
        net.depthwise(x, kernel, dilation=2, name=name, activation="") for kernel, name in ((3, "b"), (3, "c"), (5, "d"))
    ]
    net.mean(net.add(wide, name="e"), name="f")
    assert [o.code for o in operations.of_whole(net, "float32")].count("SPACE_TO_BATCH_ND") == 2
