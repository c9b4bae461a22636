"""Kernels of matrix products that stay float in a quantised file, stored in 8 bits.

Layers that 8 bits don't resolve (a number's embedding by cosines) are left float by the quantiser, and their kernels with
them, at four bytes a weight: most of a small network's file. What needs the digits are the phases and what is computed,
not the kernel: it is rounded as other layers' are, to 8 bits with a scale for each of its first axis (a column's), and made
float again in front of the product. Runtimes do that once, when they load the file.
"""

from __future__ import annotations

from typing import Any

from automl.catalog.columns import FLOAT_BYTES, ROUNDED_FROM
from automl.export import _flatbuffer

PER_CHANNEL_VERSION = 5
"""Of the operation DEQUANTIZE, from which it knows a scale for each channel."""


def rounded_kernels(content: bytes) -> bytes:
    """The flatbuffer with such kernels in 8 bits; the bytes themselves where it has none."""
    if "BATCH_MATMUL" not in _flatbuffer.operator_names(content):
        return content
    return _flatbuffer.rewritten(content, _round)


def _round(model: Any) -> None:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    builtin, types = schema.BuiltinOperator, schema.TensorType
    for graph in model.subgraphs:
        edit = _flatbuffer.Edit(model, graph)
        for product in list(graph.operators):
            if edit.kind(product) != builtin.BATCH_MATMUL:
                continue
            for place, index in enumerate(map(int, product.inputs)):
                tensor = graph.tensors[index]
                data = model.buffers[tensor.buffer].data
                if tensor.type != types.FLOAT32 or data is None or len(data) < FLOAT_BYTES * ROUNDED_FROM:
                    continue
                values = np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
                stored, scales = rounded(values)
                kernel = edit.constant(stored, types.INT8, scale=scales)
                wide = edit.tensor(types.FLOAT32, tensor.shape)
                graph.tensors[kernel].name = tensor.name
                graph.tensors[wide].name = _flatbuffer.text(tensor.name) + "/float"
                options = schema.BuiltinOptions.DequantizeOptions
                made = edit.operator(
                    builtin.DEQUANTIZE, options, schema.DequantizeOptionsT(), [kernel], wide, version=PER_CHANNEL_VERSION
                )
                edit.replace(product, [made, product])
                product.inputs = np.array([wide if i == place else int(k) for i, k in enumerate(product.inputs)], np.int32)


def rounded(values: Any) -> tuple[Any, Any]:
    """int8 codes of float32 `values` [n, …], and the n scales: codes · scale is at most half a scale away."""
    import numpy as np

    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)))
    scales = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    codes = np.round(values / scales.reshape(-1, *[1] * (values.ndim - 1)))
    return np.clip(codes, -127, 127).astype(np.int8), scales
