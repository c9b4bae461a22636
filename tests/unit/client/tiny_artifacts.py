"""Artifacts of a few hundred bytes, written without TensorFlow: a linear layer and a softmax."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}

WEIGHTS = np.array([[0.5, -0.25, 1.0], [-1.0, 0.75, 0.0]], np.float32)
"""[classes, inputs]."""

PREPROCESS = {
    "version": 1,
    "modality": "table",
    "task": "tabular-classification",
    "kind": "classification",
    "target": "y",
    "classes": ["no", "yes"],
    "metric": "accuracy",
    "output": "probabilities",
    "missing": ["", "?"],
    "columns": [{"name": "a", "kind": "numeric"}, {"name": "b", "kind": "numeric"}],
    "numeric": ["a", "b"],
    "categorical": [],
    "cardinalities": [],
    "operations": [{"op": "indicators", "columns": [0]}, {"op": "impute", "values": [0.0, 2.0]}],
    "inputs": {"numeric": 3},
}
PICTURES = {
    "version": 1,
    "modality": "image",
    "task": "image-classification",
    "kind": "classification",
    "classes": ["dark", "light"],
    "height": 1,
    "width": 3,
    "channels": 1,
    "resize": "bilinear",
}


class _Graph:
    """Collects tensors and operators of one subgraph."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]
        self.tensors: list[schema.TensorT] = []
        self.operators: list[schema.OperatorT] = []
        self.codes: list[schema.OperatorCodeT] = []

    def tensor(self, name: str, shape: list[int], dtype: type, constant: np.ndarray | None = None) -> int:
        made = schema.TensorT()
        made.name, made.type = name.encode(), TYPES[np.dtype(dtype)]
        made.shape = [max(1, side) for side in shape]
        if any(side < 0 for side in shape):
            made.shapeSignature = shape
        if constant is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(constant).tobytes(), np.uint8)
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def operator(self, code: int, inputs: list[int], outputs: list[int], kind: int = 0, options: object = None) -> None:
        opcode = schema.OperatorCodeT()
        opcode.builtinCode = code
        opcode.deprecatedBuiltinCode = code
        opcode.version = 1
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes), inputs, outputs
        made.builtinOptionsType, made.builtinOptions = kind, options
        self.codes.append(opcode)
        self.operators.append(made)


def tflite(*, pictures: bool = False, batch: int = -1, signature: str = "serving_default", classes: bool = True) -> bytes:
    """softmax(x · weightsᵀ) of 3 inputs, "numeric" or "image" (uint8 [b, 1, 3, 1], as numbers); without `classes` only the
    first row of the product, [b, 1]."""
    graph = _Graph()
    outputs = 2 if classes else 1
    if pictures:
        given = graph.tensor("serving_default_image:0", [batch, 1, 3, 1], np.uint8)
        cast = graph.tensor("cast", [batch, 1, 3, 1], np.float32)
        flat = graph.tensor("flat", [batch, 3], np.float32)
        shape = graph.tensor("shape", [2], np.int32, np.array([-1, 3], np.int32))
        graph.operator(
            schema.BuiltinOperator.CAST, [given], [cast], schema.BuiltinOptions.CastOptions, schema.CastOptionsT()
        )
        graph.operator(schema.BuiltinOperator.RESHAPE, [cast, shape], [flat])
    else:
        given = flat = graph.tensor("serving_default_numeric:0", [batch, 3], np.float32)
    weights = graph.tensor("weights", [outputs, 3], np.float32, WEIGHTS[:outputs])
    product = graph.tensor("product", [batch, outputs], np.float32)
    graph.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [flat, weights, -1],
        [product],
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )
    made = product
    if classes:
        made = graph.tensor("probabilities", [batch, 2], np.float32)
        softmax = schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        graph.operator(schema.BuiltinOperator.SOFTMAX, [product], [made], schema.BuiltinOptions.SoftmaxOptions, softmax)
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators, subgraph.inputs, subgraph.outputs = graph.tensors, graph.operators, [given], [made]
    signed = schema.SignatureDefT()
    signed.signatureKey, signed.subgraphIndex = signature.encode(), 0
    signed.inputs = [_named("image" if pictures else "numeric", given)]
    signed.outputs = [_named("probabilities" if classes else "prediction", made)]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, graph.codes, [subgraph], graph.buffers
    model.signatureDefs = [signed]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _named(name: str, tensor: int) -> schema.TensorMapT:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name.encode(), tensor
    return made


def onnx() -> bytes:
    """The same of 3 inputs "numeric" as an ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gemm", ["numeric", "weights"], ["product"], transB=1),
         helper.make_node("Softmax", ["product"], ["probabilities"], axis=1)],
        "tiny",
        [helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def write(path: Path, content: bytes, preprocess: dict = PREPROCESS) -> Path:
    """The bytes with their preprocess.json appended, as export does it."""
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("preprocess.json", json.dumps(preprocess))
    return path


def expected(x: np.ndarray) -> np.ndarray:
    """What the model makes of encoded rows [n, 3]."""
    logits = x @ WEIGHTS.T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
