"""A flatbuffer of TFLite without what the converter writes more than once or wider than needed. The file computes the same.

- Equal constants are stored once, and what isn't constant shares one empty buffer.
- Whole numbers that lead to places in tables, or are compared, are written by the converter as 32 bits each, whatever they
  were: it computes conversions of constants and stores what comes out. They are stored in 8 or 16 bits again, with the
  conversion in front of what reads them.
- Of names the layers' stay, where somebody asks for them: of kernels, and of what integer files compute as floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl.export import _flatbuffer

if TYPE_CHECKING:
    import numpy as np

FEW = 16
"""Numbers of a constant that needs no name."""
WORTH_BYTES = 400
"""What a conversion in front takes in the file, with its tensor and some air."""


def slimmed(content: bytes, *, named: bool) -> bytes:
    """The same model in fewer bytes; the bytes themselves where nothing is gained. `named` is for integer files: what they
    compute as floats keeps the names of its layers."""
    made = _flatbuffer.rewritten(content, lambda model: _slim(model, named))
    return made if len(made) < len(content) else content


def _slim(model: Any, named: bool) -> None:
    if len(model.subgraphs) > 1:  # Graphs of a loop's body: constants there may be its state's own.
        return
    for graph in model.subgraphs:
        _narrow(model, graph)
        for tensor in graph.tensors:
            q = tensor.quantization
            if q is not None and not _any(q.scale) and not _any(q.min) and q.details is None:
                tensor.quantization = None
        _shorten(model, graph, named)
    _share(model)


def _any(values: Any) -> bool:
    return values is not None and len(values) > 0


def _narrow(model: Any, graph: Any) -> None:
    """Stores 32-bit whole numbers that places in tables and comparisons are made of in fewer bits."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    builtin, types = schema.BuiltinOperator, schema.TensorType
    reads = (builtin.GATHER, builtin.GREATER, builtin.LESS, builtin.ADD)
    edit = _flatbuffer.Edit(model, graph)
    users: dict[int, list[Any]] = {}
    for one in graph.operators:
        for index in one.inputs:
            users.setdefault(int(index), []).append(one)
    for index in range(len(graph.tensors)):
        tensor, mine = graph.tensors[index], users.get(index, [])
        data = model.buffers[tensor.buffer].data
        if tensor.type != types.INT32 or data is None or not mine or any(edit.kind(one) not in reads for one in mine):
            continue
        values = np.asarray(data, np.uint8).view(np.int32)
        kind = _narrowest(values)
        if kind is None or values.size * (4 - np.dtype(kind).itemsize) < WORTH_BYTES:
            continue
        stored = edit.constant(values.astype(kind).reshape(tensor.shape), {
            "uint8": types.UINT8, "int8": types.INT8, "int16": types.INT16,
        }[kind])
        wide = edit.tensor(types.INT32, tensor.shape)
        graph.tensors[stored].name = _flatbuffer.text(tensor.name)
        graph.tensors[wide].name = _flatbuffer.text(tensor.name) + "/wide"
        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = graph.tensors[stored].type, types.INT32
        cast = edit.operator(builtin.CAST, schema.BuiltinOptions.CastOptions, options, [stored], wide)
        first = min(next(i for i, one in enumerate(graph.operators) if one is user) for user in mine)
        graph.operators.insert(first, cast)
        for one in mine:
            one.inputs = np.array([wide if int(i) == index else int(i) for i in one.inputs], np.int32)
    _flatbuffer.drop_unused_codes(model)
    _drop_unread(model, graph)


def _narrowest(values: np.ndarray) -> str | None:
    import numpy as np

    if not values.size:
        return None
    low, high = int(values.min()), int(values.max())
    return next((k for k in ("uint8", "int8", "int16") if np.iinfo(k).min <= low and high <= np.iinfo(k).max), None)


def _shorten(model: Any, graph: Any, named: bool) -> None:
    """Leaves of the tensors' names ("model_1/dense/MatMul;model_1/dense/BiasAdd") what is read: all of an input's or
    output's, by which the interpreter is asked for it; of a kernel the layer's; with `named` those of the layers that an
    operation computes as floats ("dense/")."""
    from ai_edge_litert import schema_py_generated as schema

    ends = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index in ends or tensor.name is None:
            continue
        layers = [_layer(part) for part in _flatbuffer.text(tensor.name).split(";") if part]
        data = model.buffers[tensor.buffer].data
        if _any(data):
            tensor.name = layers[0] if layers and len(data) > 4 * FEW else None
        elif named and tensor.type == schema.TensorType.FLOAT32:
            tensor.name = ";".join(f"{layer}/" for layer in dict.fromkeys(layers))
        else:
            tensor.name = None


def _layer(name: str) -> str:
    """"dense" of "model_1/dense/MatMul" and of "dense/MatMul"."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else parts[0]


def _drop_unread(model: Any, graph: Any) -> None:
    """Removes tensors that nothing reads or writes."""
    import numpy as np

    named = [graph.inputs, graph.outputs] + [ends for one in graph.operators for ends in (one.inputs, one.outputs)]
    named += [one.intermediates for one in graph.operators if one.intermediates is not None]
    used = sorted({int(i) for ends in named for i in ends if int(i) >= 0})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}

    def moved(ends: Any) -> Any:
        return np.array([place[int(i)] for i in ends], np.int32)

    graph.tensors = [graph.tensors[i] for i in used]
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for one in graph.operators:
        one.inputs, one.outputs = moved(one.inputs), moved(one.outputs)
        if one.intermediates is not None:
            one.intermediates = moved(one.intermediates)
    for signature in model.signatureDefs or []:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = place[int(end.tensorIndex)]


def _share(model: Any) -> None:
    """Keeps each buffer's content once; buffer 0 is the empty one, as the schema has it."""
    import numpy as np

    kept: list[Any] = [model.buffers[0]]
    places: dict[bytes, int] = {}

    def place(old: int) -> int:
        buffer = model.buffers[old]
        if buffer.data is None or not len(buffer.data):
            return 0
        content = np.asarray(buffer.data, np.uint8).tobytes()
        if content not in places:
            places[content] = len(kept)
            kept.append(buffer)
        return places[content]

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = 0 if tensor.isVariable else place(tensor.buffer)
    for entry in model.metadata or []:
        entry.buffer = place(entry.buffer)
    model.buffers = kept
    model.metadataBuffer = None
