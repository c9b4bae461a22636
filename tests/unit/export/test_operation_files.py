"""Files of one operation are run by the runtime, and read back as what they were written from."""

from __future__ import annotations

import numpy as np
import pytest

from automl.catalog import operations
from automl.catalog.blueprint import Blueprint
from automl.catalog.operations import Operation, Tensor
from automl.export import operation_files


def every_kind(precision) -> list[Operation]:
    net = Blueprint()
    x = net.resize(net.pixels(net.input((12, 10, 3), name="image")), 9, 8)
    x = net.conv(x, 8, 3, strides=2, name="stem")
    y = net.depthwise(x, 3, dilation=2, name="wide", activation="")
    z = net.gates(net.depthwise(y, 5, name="near"), 0.25, name="se")
    pools = [net.pool(kind, x, 3, name=kind) for kind in ("max-pool", "average-pool")]
    net.mean(net.concatenate((net.add((x, z, pools[0]), name="sum"), pools[1]), name="both"), name="mean")
    return operations.of_network(net, 5, precision)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_each_operation_stands_alone(precision):
    for operation in every_kind(precision):
        for copies in (1, 3):
            found = operation_files.operations(operation_files.of_operation(operation, copies))
            assert [o.key for o in found] == [operation.key] * copies


def test_a_convolution_alone_computes_a_convolution():
    """By hand: 1×1, of random weights, against the matrix product; relu behind."""
    from ai_edge_litert.interpreter import Interpreter

    net = Blueprint()
    net.conv(net.input((4, 4, 3), name="image"), 5, 1, name="a")
    (operation,) = operations.of_whole(net, "float32")
    runner = Interpreter(model_content=operation_files.of_operation(operation, seed=7))
    runner.allocate_tensors()
    x = np.random.default_rng(1).normal(size=(1, 4, 4, 3)).astype(np.float32)
    runner.set_tensor(runner.get_input_details()[0]["index"], x)
    runner.invoke()
    kernel = np.random.default_rng(7).normal(0, 0.1, (5, 1, 1, 3)).astype(np.float32)[:, 0, 0]
    np.testing.assert_allclose(
        runner.get_tensor(runner.get_output_details()[0]["index"]), np.maximum(x @ kernel.T, 0), rtol=1e-5, atol=1e-6
    )


def test_what_cannot_stand_alone_is_said():
    out = Tensor("float32", (1, 4))
    with pytest.raises(operation_files.Unwritable, match="not known"):
        operation_files.of_operation(Operation("GATHER", (out, Tensor("int32", (40,), True)), (out,)))
    with pytest.raises(operation_files.Unwritable, match="no operation of the schema"):
        operation_files.of_operation(Operation("CONVOLVE", (out,), (out,)))
    with pytest.raises(operation_files.Unwritable, match="options"):
        operation_files.of_operation(Operation("GELU", (out,), (out,), (("approximate", True),)))
