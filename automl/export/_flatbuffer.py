"""TFLite's flatbuffer, read and written again with something changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes at whose multiples the weights lie in the file. Microcontrollers read them in place, and some of them can't read a
word that lies across two; the converter's own last step, in Python, loses what the schema asks for."""


def model_of(content: bytes) -> Any:
    """The root table, for reading in place."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content, 0)


def rewritten(content: bytes, change: Callable[[Any], None] = lambda model: None) -> bytes:
    """The flatbuffer after `change(model)`, where `model` is a `ModelT` of the schema, with all weights aligned, and equal
    vectors of numbers, and names, written once."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class Aligned(flatbuffers.Builder):
        def __init__(self, size: int):
            super().__init__(size)
            self._written: dict[tuple[int, bytes], int] = {}
            self._names: dict[str | bytes, int] = {}

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
            return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)

        def CreateNumpyVector(self, x: Any) -> Any:
            # Tables may refer to the same vector: zero points, eight bytes for each channel, are mostly zeros.
            key = (x.itemsize, x.tobytes())
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

        def CreateString(self, s: str | bytes, *more: Any) -> int:
            if s not in self._names:
                self._names[s] = super().CreateString(s, *more)
            return self._names[s]

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    change(model)
    builder = Aligned(len(content) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def add_metadata(model: Any, name: str, data: bytes) -> None:
    """Puts a buffer into a `ModelT` under a name, in the place of one that has the name."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata = [one for one in model.metadata or [] if text(one.name) != name] + [entry]


def metadata(content: bytes, name: str) -> bytes | None:
    """The buffer that has the name; None where there is none."""
    model = model_of(content)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if text(entry.Name()) == name:
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def inputs(content: bytes) -> list[tuple[str, list[int]]]:
    """Name and shape of each input, in the order of the graph; the name is the signature's."""
    model = model_of(content)
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    names = {signature.Inputs(i).TensorIndex(): text(signature.Inputs(i).Name()) for i in range(signature.InputsLength())}
    found = []
    for place in range(graph.InputsLength()):
        tensor = graph.Tensors(graph.Inputs(place))
        found.append((names[graph.Inputs(place)], [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]))
    return found


def operator_names(content: bytes) -> list[str]:
    """The builtin operations, each once, by name ("CONV_2D"); a custom one is "CUSTOM:its name"."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = model_of(content)
    found = set()
    for place in range(model.OperatorCodesLength()):
        entry = model.OperatorCodes(place)
        name = names[max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())]
        found.add(f"CUSTOM:{text(entry.CustomCode())}" if name == "CUSTOM" else name)
    return sorted(found)


def text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def without_wraparound(model: Any) -> None:
    """Takes out of a `ModelT` what counts negative codes from the end (`SELECT(x < 0, x + n, x)`, as Keras looks codes up):
    codes are never negative, and the operations on them have no kernel on small runtimes."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    builtin = schema.BuiltinOperator
    kinds = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]

    for graph in model.subgraphs:
        makes = {int(output): one for one in graph.operators for output in one.outputs}

        def is_constant_zero(index: int, graph: Any = graph) -> bool:
            data = model.buffers[graph.tensors[index].buffer].data
            return data is not None and len(data) > 0 and not np.any(np.asarray(data))

        def of_kind(index: int, kind: int, makes: dict[int, Any] = makes) -> Any:
            made = makes.get(index)
            return made if made is not None and kinds[made.opcodeIndex] == kind else None

        for one in graph.operators:
            if kinds[one.opcodeIndex] not in (builtin.SELECT, builtin.SELECT_V2):
                continue
            condition, wrapped, plain = map(int, one.inputs)
            less, added = of_kind(condition, builtin.LESS), of_kind(wrapped, builtin.ADD)
            if (
                less is not None and added is not None and int(less.inputs[0]) == plain and plain in map(int, added.inputs)
                and is_constant_zero(int(less.inputs[1]))
            ):
                [instead] = map(int, one.outputs)
                for other in graph.operators:
                    other.inputs = np.array([plain if int(i) == instead else int(i) for i in other.inputs], np.int32)
                graph.outputs = np.array([plain if int(i) == instead else int(i) for i in graph.outputs], np.int32)
        _drop_unused(graph)
    drop_unused_codes(model)


def _drop_unused(graph: Any) -> None:
    """Removes operations whose outputs nobody reads."""
    while True:
        read = {int(i) for one in graph.operators for i in one.inputs} | set(map(int, graph.outputs))
        kept = [one for one in graph.operators if any(int(output) in read for output in one.outputs)]
        if len(kept) == len(graph.operators):
            return
        graph.operators = kept


def with_integer_forms(model: Any) -> None:
    """Replaces in a `ModelT` what the converter leaves float between integers, where integers compute the same:

    - a mask, codes bounded by 1 as float and quantised again: zero point + code · round(1 / scale) in 32 bits, which is what
      quantising gives for 0 and 1;
    - a negation between a dequantise and a quantise: 0 - x, for which there is an int8 kernel.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    builtin, types, options = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions

    for graph in model.subgraphs:
        edit = Edit(model, graph)
        for last in list(graph.operators):
            if edit.kind(last) != builtin.QUANTIZE:
                continue
            [made] = map(int, last.outputs)
            target = graph.tensors[made]
            before = edit.maker(int(last.inputs[0]))
            if target.type != types.INT8 or before is None:
                continue
            scale, zero_point = float(target.quantization.scale[0]), int(target.quantization.zeroPoint[0])
            source = int(before.inputs[0])
            if edit.kind(before) == builtin.CAST and edit.at_most(source, 1) and zero_point + round(1 / scale) <= 127:
                shape = graph.tensors[source].shape
                step = edit.constant(np.array([round(1 / scale)], np.int32), types.INT32)
                first = edit.constant(np.array([zero_point], np.int32), types.INT32)
                scaled, moved = edit.tensor(types.INT32, shape), edit.tensor(types.INT32, shape)
                edit.replace(last, [
                    edit.operator(builtin.MUL, options.MulOptions, schema.MulOptionsT(), [source, step], scaled),
                    edit.operator(builtin.ADD, options.AddOptions, schema.AddOptionsT(), [scaled, first], moved),
                    edit.operator(builtin.CAST, options.NONE, None, [moved], made),
                ])
            elif edit.kind(before) == builtin.NEG:
                wide = edit.maker(source)
                if wide is not None and edit.kind(wide) == builtin.DEQUANTIZE:
                    x = int(wide.inputs[0])
                    zero = edit.constant(np.array([0], np.int8), types.INT8, scale=1.0)
                    edit.replace(last, [
                        edit.operator(builtin.SUB, options.SubOptions, schema.SubOptionsT(), [zero, x], made),
                    ])
        _drop_unused(graph)
    drop_unused_codes(model)


class Edit:
    """Changes to one graph of a `ModelT`."""

    def __init__(self, model: Any, graph: Any):
        self._model, self._graph = model, graph
        self._makers = {int(output): one for one in graph.operators for output in one.outputs}

    def kind(self, operator: Any) -> int:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    def maker(self, tensor: int) -> Any:
        return self._makers.get(tensor)

    def at_most(self, tensor: int, bound: int) -> bool:
        """Whether the tensor is the smaller of something and the constant `bound`."""
        import numpy as np
        from ai_edge_litert import schema_py_generated as schema

        made = self.maker(tensor)
        if made is None or self.kind(made) != schema.BuiltinOperator.MINIMUM:
            return False
        wanted = np.int32(bound).tobytes()
        held = (self._model.buffers[self._graph.tensors[int(i)].buffer].data for i in made.inputs)
        return any(data is not None and np.asarray(data, np.uint8).tobytes() == wanted for data in held)

    def tensor(self, type: int, shape: Any, buffer: int = 0, scale: Any = None) -> int:
        """`scale`: one for all numbers, or one for each of the first axis."""
        import numpy as np
        from ai_edge_litert import schema_py_generated as schema

        made = schema.TensorT()
        made.type, made.shape, made.buffer = type, np.array(shape, np.int32), buffer
        made.name = f"made_{len(self._graph.tensors)}"
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(scale).astype(np.float32)
            made.quantization.zeroPoint = np.zeros(len(made.quantization.scale), np.int64)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def constant(self, values: Any, type: int, scale: Any = None) -> int:
        import numpy as np
        from ai_edge_litert import schema_py_generated as schema

        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self.tensor(type, values.shape, len(self._model.buffers) - 1, scale)

    def operator(
        self, kind: int, options_type: int, options: Any, inputs: list[int], output: int, version: int = 2
    ) -> Any:
        import numpy as np
        from ai_edge_litert import schema_py_generated as schema

        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
        self._model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self._model.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        made.builtinOptionsType, made.builtinOptions = options_type, options
        return made

    def replace(self, operator: Any, by: list[Any]) -> None:
        place = next(i for i, one in enumerate(self._graph.operators) if one is operator)
        self._graph.operators[place : place + 1] = by


def drop_unused_codes(model: Any) -> None:
    """Leaves each kind of operation that is used in the list once, in the latest version that one of them needs."""
    kinds: list[tuple[int, bytes | str]] = []
    kept: list[Any] = []
    for graph in model.subgraphs:
        for one in graph.operators:
            code = model.operatorCodes[one.opcodeIndex]
            kind = (max(code.builtinCode, code.deprecatedBuiltinCode), code.customCode or b"")
            if kind not in kinds:
                kinds.append(kind)
                kept.append(code)
            one.opcodeIndex = kinds.index(kind)
            kept[one.opcodeIndex].version = max(kept[one.opcodeIndex].version, code.version)
    model.operatorCodes = kept
