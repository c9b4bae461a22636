"""TensorFlow Lite's files by their schema: the operations of a file, and a file of one operation.

Reading says what a network computes when it runs, whoever made it. Writing makes a file of one operation with any weights,
without a converter, in a millisecond: to be timed (`automl.nas.latency`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from automl.catalog.operations import FEW, Operation, Option, Tensor

if TYPE_CHECKING:
    import numpy as np

KERNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Operations with kernel and bias, and the axis of the kernel's output channels."""
SCALE, ZERO_POINT = 0.05, -1
"""Of the activations of a file of one operation: nothing's speed turns on them…"""
OWN_RANGE = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0), "L2_NORMALIZATION": (1 / 128, 0)}
"""… but some operations write to a range of their own."""
KERNEL_SCALE = 0.01
VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 3,
    "BATCH_MATMUL": 2,
}
"""Of the operations in files of integers, where it isn't 2."""


# --- reading -------------------------------------------------------------------------------------------------


def operations(content: bytes) -> list[Operation]:
    """The operations of a file for one example, in their order, with the shapes that its runtime gives them.

    A kernel without bias is read with one: the converter leaves out a bias of zeros, as untrained networks have them. What
    is made of constants alone (a kernel in 8 bits, as float) is made once, when the file is loaded: it counts as a
    constant, and as no operation.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runner.allocate_tensors()
    shapes = {int(t["index"]): tuple(int(n) for n in t["shape"]) for t in runner.get_tensor_details()}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    types, codes = _names(schema.TensorType), _names(schema.BuiltinOperator)
    made_once: set[int] = set()

    def tensor(index: int) -> Tensor:
        stored = graph.tensors[index]
        data = model.buffers[stored.buffer].data
        held = data is not None and len(data) > 0
        constant = held or index in made_once
        kind, shape = types[stored.type].lower(), shapes.get(index, tuple(stored.shape if stored.shape is not None else ()))
        values: tuple[int, ...] = ()
        if held and kind in ("int32", "int64") and int(np.prod(shape)) <= FEW:
            values = tuple(int(v) for v in np.frombuffer(bytes(bytearray(data)), kind))
        return Tensor(kind, tuple(int(n) for n in shape), constant, values)

    found = []
    for operator in graph.operators:
        code = codes[model.operatorCodes[operator.opcodeIndex].builtinCode]
        inputs = [tensor(int(i)) for i in operator.inputs if i >= 0]
        if inputs and all(t.constant for t in inputs):
            made_once |= {int(i) for i in operator.outputs}
            continue
        outputs = tuple(tensor(int(i)) for i in operator.outputs)
        if code in KERNELS and inputs[1].constant:
            channels = inputs[1].shape[KERNELS[code]]
            bias = Tensor("int32" if inputs[0].type == "int8" else inputs[0].type, (channels,), True)
            inputs = [*inputs[:2], bias]
        else:
            # A number for each channel, or one for all, are to runtimes the same work with another shape.
            inputs = [_without_values(t) if _is_data(code, place) else t for place, t in enumerate(inputs)]
        found.append(Operation(code, tuple(inputs), outputs, _options(operator.builtinOptions)))
    return found




def activation_bytes(content: bytes) -> int:
    """The most memory that a file's activations need at once, for one example, when operations run in their order.

    An activation lives from the operation that writes it to the last one that reads it, inputs from the beginning. What a
    runtime needs beside that (scratch, its own records) isn't in it.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runner.allocate_tensors()
    bytes_of = {
        int(t["index"]): int(np.prod(t["shape"])) * np.dtype(t["dtype"]).itemsize for t in runner.get_tensor_details()
    }
    steps = runner._get_ops_details()
    written = {int(detail["index"]): 0 for detail in runner.get_input_details()}
    for place, step in enumerate(steps):
        written |= {int(t): place for t in step["outputs"]}
    last = dict(written)
    for place, step in enumerate(steps):
        last |= {int(t): place for t in step["inputs"] if int(t) in written}
    last |= {int(detail["index"]): len(steps) - 1 for detail in runner.get_output_details()}
    return max(
        (sum(bytes_of[t] for t in written if written[t] <= place <= last[t]) for place in range(len(steps))), default=0
    )


def _is_data(code: str, place: int) -> bool:
    return code in ("ADD", "MUL", "SUB", "DIV", "MAXIMUM", "MINIMUM")


def _without_values(tensor: Tensor) -> Tensor:
    return Tensor(tensor.type, tensor.shape, tensor.constant)


def _options(stored: Any) -> tuple[tuple[str, Option], ...]:
    if stored is None:
        return ()
    return tuple(sorted((k, v) for k, v in vars(stored).items() if isinstance(v, bool | int | float)))


@functools.cache
def _names(kind: type) -> dict[int, str]:
    return {code: name for name, code in vars(kind).items() if not name.startswith("_")}


# --- writing -------------------------------------------------------------------------------------------------


class Unwritable(ValueError):
    """An operation that can't stand alone in a file: its constants aren't known, or it calls other graphs."""


def of_operation(operation: Operation, copies: int = 1, seed: int = 0) -> bytes:
    """A file that computes the operation `copies` times on the same inputs, with weights of its own each time.

    Raises `Unwritable`.
    """
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    rng = np.random.default_rng(seed)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, "one operation"
    model.buffers, graph.tensors, graph.operators = [schema.BufferT()], [], []
    graph.inputs, graph.outputs = [], []

    def put(tensor: Tensor, name: str, quantization: Any, data: Any = None) -> int:
        made = schema.TensorT()
        made.shape, made.type, made.name = list(tensor.shape), getattr(schema.TensorType, tensor.type.upper()), name
        made.quantization, made.hasRank = quantization, True
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    given = {
        place: put(t, f"input_{place}", _quantized(t.type, operation.code, written=False))
        for place, t in enumerate(operation.inputs) if not t.constant
    }
    graph.inputs = list(given.values())
    for copy in range(copies):
        inputs = []
        for place, tensor in enumerate(operation.inputs):
            if not tensor.constant:
                inputs.append(given[place])
                continue
            data, quantization = _content(operation, place, rng)
            inputs.append(put(tensor, f"constant_{place}_{copy}", quantization, data))
        outputs = [
            put(t, f"output_{place}_{copy}", _quantized(t.type, operation.code, written=True))
            for place, t in enumerate(operation.outputs)
        ]
        graph.outputs += outputs
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = inputs, outputs
        _set_options(operator, operation)
        graph.operators.append(operator)
    code = schema.OperatorCodeT()
    builtin = getattr(schema.BuiltinOperator, operation.code, None)
    if builtin is None:
        raise Unwritable(f"{operation.code} is no operation of the schema")
    code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
    integers = any(t.type in ("int8", "uint8") for t in operation.inputs)
    code.version = VERSIONS.get(operation.code, 2) if integers else 1
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _content(operation: Operation, place: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """The numbers of a constant, and how they are quantised."""
    import numpy as np

    tensor = operation.inputs[place]
    if tensor.values:
        return np.array(tensor.values, tensor.type), None
    if operation.code in KERNELS:
        if place == 2:
            scales = [SCALE * KERNEL_SCALE] * tensor.size if tensor.type == "int32" else None
            return np.zeros(tensor.shape, tensor.type), _parameters(scales, [0] * tensor.size) if scales else None
        if tensor.type == "int8":
            axis = KERNELS[operation.code]
            channels = tensor.shape[axis]
            quantization = _parameters([KERNEL_SCALE] * channels, [0] * channels, axis)
            return rng.integers(-127, 128, tensor.shape, np.int8), quantization
    if tensor.type in ("float32", "float16"):
        return rng.normal(0, 0.1, tensor.shape).astype(tensor.type), None
    if tensor.type == "int8":
        return rng.integers(-127, 128, tensor.shape, np.int8), _parameters([KERNEL_SCALE], [0])
    raise Unwritable(f"{operation.code}: the {tensor.type} constant of shape {tensor.shape} is not known")


def _quantized(type: str, code: str, *, written: bool) -> Any:
    if type == "uint8":
        # As bytes of pictures are read: QUANTIZE then only moves the zero.
        return _parameters([SCALE], [ZERO_POINT + 128])
    if type != "int8":
        return None
    scale, zero = OWN_RANGE.get(code, (SCALE, ZERO_POINT)) if written else (SCALE, ZERO_POINT)
    return _parameters([scale], [zero])


def _parameters(scales: list[float], zeros: list[int], axis: int = 0) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint, made.quantizedDimension = scales, zeros, axis
    return made


OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions", "MUL": "MulOptions", "MAX_POOL_2D": "Pool2DOptions", "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions", "CONCATENATION": "ConcatenationOptions", "SOFTMAX": "SoftmaxOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions", "SUB": "SubOptions", "DIV": "DivOptions", "GATHER": "GatherOptions",
    "PACK": "PackOptions", "UNPACK": "UnpackOptions", "SPLIT": "SplitOptions", "STRIDED_SLICE": "StridedSliceOptions",
    "SHAPE": "ShapeOptions", "SUM": "ReducerOptions", "BATCH_MATMUL": "BatchMatMulOptions",
}
"""The schema's class of an operation's options; what isn't here has none."""


def _set_options(operator: Any, operation: Operation) -> None:
    from ai_edge_litert import schema_py_generated as schema

    if not operation.options:
        return
    name = OPTIONS.get(operation.code)
    if name is None:
        raise Unwritable(f"{operation.code} has options that are not known here")
    options = getattr(schema, f"{name}T")()
    for option, value in operation.options:
        setattr(options, option, value)
    operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, name), options
