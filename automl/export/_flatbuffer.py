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
    """The flatbuffer after `change(model)`, where `model` is a `ModelT` of the schema, with all weights aligned."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class Aligned(flatbuffers.Builder):
        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
            return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)

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
    model.metadata = [one for one in model.metadata or [] if _text(one.name) != name] + [entry]


def metadata(content: bytes, name: str) -> bytes | None:
    """The buffer that has the name; None where there is none."""
    model = model_of(content)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if _text(entry.Name()) == name:
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def inputs(content: bytes) -> list[tuple[str, list[int]]]:
    """Name and shape of each input, in the order of the graph; the name is the signature's."""
    model = model_of(content)
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    names = {signature.Inputs(i).TensorIndex(): _text(signature.Inputs(i).Name()) for i in range(signature.InputsLength())}
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
        found.add(f"CUSTOM:{_text(entry.CustomCode())}" if name == "CUSTOM" else name)
    return sorted(found)


def _text(name: Any) -> str:
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
    used = sorted({one.opcodeIndex for graph in model.subgraphs for one in graph.operators})
    for graph in model.subgraphs:
        for one in graph.operators:
            one.opcodeIndex = used.index(one.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in used]


def _drop_unused(graph: Any) -> None:
    """Removes operations whose outputs nobody reads."""
    while True:
        read = {int(i) for one in graph.operators for i in one.inputs} | set(map(int, graph.outputs))
        kept = [one for one in graph.operators if any(int(output) in read for output in one.outputs)]
        if len(kept) == len(graph.operators):
            return
        graph.operators = kept
