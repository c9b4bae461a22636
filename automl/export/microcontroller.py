"""Microcontrollers: the int8 model as C++ source for TensorFlow Lite Micro, with the memory that it needs.

What it changes: the int8 model is given as source code to compile. Why it may help: devices of some hundred kilobytes
have neither files nor memory to spare; what such a device needs is known before it is flashed. When it hurts: everything
is integer, so more may be lost than in `tflite:int8`, and models with other operations can't be given. How: converted
with integer inputs and outputs alone, its operations compared with those that TensorFlow Lite Micro has, its arena found
by that runtime's allocator.

The file is a zip archive of a folder to build into a firmware:

- `model.h`, `model.cc`: the flatbuffer as an array that stays in flash, the size of the arena (the memory for everything
  that changes), and what each input and the output is: name, shape, scale, zero point, the classes' names.
- `main.cc`: an example that registers the operations which the model has and no others, runs one row of the validation part
  and compares with what it should give.
- `model.tflite`: the same flatbuffer for vendors' tools (Vela, STM32Cube.AI, …).
- the companions; `preprocess.json` says how raw rows become the model's inputs.

Everything in it is integer: inputs and outputs are int8 (codes of categories and words int32), one row at a time, weights
aligned to 16 bytes, and only operations that TensorFlow Lite Micro has in int8. A model with any other is refused, and the
operation named. Layers that stay float in `tflite:int8` are integers here, so what they lose shows in the verification.

The arena is the smallest with which TensorFlow Lite Micro's own allocator succeeds, found by trying where the package
`tflite-micro` is installed (`pip install 'automl[micro]'`), with its reference kernels on a 64-bit machine: cores of 32 bits
need less, other kernels may need more scratch memory. Where the package isn't installed it is an upper bound computed
from the tensors; `model.h` says which of the two it is. The file is verified by TensorFlow Lite Micro with an arena of just
that size, or else by TensorFlow Lite on the same integers.

A limit of size counts the flatbuffer, which is what lies in flash; of latency, the machine that verifies.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import _arena, _flatbuffer, _micro_source, companions, inference, predictor, tflite
from automl.export import candidate as candidates

if TYPE_CHECKING:
    import numpy as np

PRECISION = "int8"
INTEGER_THROUGHOUT = "a microcontroller's file is integer throughout"
_CONVERSIONS = ("DEQUANTIZE", "QUANTIZE")
"""Where these are, something between them is float."""
WAVERING, ATTEMPTS = ("SPLIT",), 6
"""Operations that TFLite's converter leaves float in about half of its runs on the same recurrent network, and how often
it is asked."""
HEADER, ARRAY, EXAMPLE, MODEL = "model.h", "model.cc", "main.cc", "model.tflite"

FORMAT = catalog.format(
    id="microcontroller", precisions=(PRECISION,), suffix=".microcontroller.zip", runtime="tflite-micro", raw_input=False,
    exporter=f"{__name__}:write", doc=__doc__ or "", model="tflite",
    technique="edge-mcu", reference="David et al.: TensorFlow Lite Micro, arXiv:2010.08678 (2020)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 3.5 + 2.0 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate; runs in a fresh child process. See `deliver` for the request. Raises `Unconvertible` for a model
    that integers of 8 bits and TensorFlow Lite Micro's operations can't hold."""
    source, prepared = candidates.Candidate(Path(request["candidate"])), Path(request["prepared"])
    content = contents(source, prepared, int(request["seed"]))
    arena_bytes, origin = arena(content)
    row = _row(source, prepared)
    expected = IntegerModel(content, arena_bytes).integers(row)
    made = _micro_source.Source(
        content=content, arena_bytes=arena_bytes, origin=origin, inputs=tensors(content, row), output=output_of(content),
        expected=[int(v) for v in expected], operations=_flatbuffer.operator_names(content), classes=source.classes,
    )
    members = {
        HEADER: made.header(), ARRAY: made.array(), EXAMPLE: made.example(), MODEL: content,
        **companions.collected(Path(request["companions"])),
    }
    with zipfile.ZipFile(request["out"], "w") as archive:
        for name in sorted(members):
            archive.writestr(companions.entry(name), members[name])
    notes = [
        f"microcontroller: {len(content):,} bytes in flash, an arena of {arena_bytes:,} bytes ({origin}).",
        *inference.notes_on_training(source, "microcontroller", PRECISION),
    ]
    return {**tflite.account(source, content), "notes": notes, "limited_bytes": len(content)}


def contents(source: candidates.Candidate, prepared: Path, seed: int) -> bytes:
    """The flatbuffer: one row at a time, integers only, aligned."""
    rows = inference.representative(source, prepared, seed)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            content = tflite.convert(source.model, PRECISION, rows, batch=1, integer_only=True)
        except Exception as error:  # the converter's exceptions have no class of their own in common
            raise inference.Unconvertible(_converters_reason(str(error))) from error
        content = _flatbuffer.rewritten(content, _integers_throughout)
        if attempt == ATTEMPTS or not set(WAVERING) & set(_float_operations(content)):
            break
    check(content)
    return content


def _integers_throughout(model: Any) -> None:
    _flatbuffer.without_wraparound(model)
    _flatbuffer.with_integer_forms(model)


def check(content: bytes) -> None:
    """Raises `Unconvertible` naming what TensorFlow Lite Micro has no integer operation for."""
    known = (*_micro_source.OPERATIONS, *_CONVERSIONS)
    lacking = [name for name in _flatbuffer.operator_names(content) if name not in known]
    if lacking:
        raise inference.Unconvertible(f"TensorFlow Lite Micro has no int8 form of {', '.join(lacking)}")
    if floats := _float_operations(content):
        named = [name for name in floats if name not in _CONVERSIONS] or floats
        raise inference.Unconvertible(f"{', '.join(named)} would stay float, and {INTEGER_THROUGHOUT}")


def _float_operations(content: bytes) -> list[str]:
    """Operations that read or write a float tensor, by name."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64)
    model, found = _flatbuffer.model_of(content), set()
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            touched = [operator.Inputs(i) for i in range(operator.InputsLength())]
            touched += [operator.Outputs(i) for i in range(operator.OutputsLength())]
            if any(t >= 0 and graph.Tensors(t).Type() in floats for t in touched):
                found.add(names[model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()])
    return sorted(found)


def _converters_reason(said: str) -> str:
    """The converter's many lines as one reason."""
    lacking = sorted(set(re.findall(r"'tfl\.([a-z_0-9]+)' op", said)))
    if lacking:
        return f"TFLite has no integer form of {', '.join(lacking)}"
    line = next((line for line in said.splitlines() if line.strip()), "")
    return f"TFLite's converter can't make it of integers alone: {' '.join(line.split())[:200]}"


# --- the arena ------------------------------------------------------------------------------------------------------------


def measurable() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def arena(content: bytes) -> tuple[int, str]:
    """Bytes that the model needs beside its own, and where the figure comes from, for people. Raises `Unconvertible` when
    TensorFlow Lite Micro can't prepare the model however much it is given."""
    most = arena_bound(content)
    if not measurable():
        return most, (
            "an upper bound computed from the tensors, not measured: tflite-micro isn't installed where this was made, "
            "see automl[micro]"
        )
    try:
        # The bound is ours and may be wrong; the allocator's word counts.
        found = _arena.smallest(content, 8 * most)
    except _arena.Unprepared as error:
        raise inference.Unconvertible(f"TensorFlow Lite Micro can't prepare the model: {error}") from error
    return found, f"measured: the smallest with which the allocator of {_version()} succeeds, reference kernels on 64 bits"


def arena_bound(content: bytes) -> int:
    """An upper bound: no two tensors share memory, every operation has all the tables and scratch memory that a reference
    kernel takes for its channels and sizes."""
    from ai_edge_litert import schema_py_generated as schema

    widths = {schema.TensorType.INT8: 1, schema.TensorType.UINT8: 1, schema.TensorType.BOOL: 1, schema.TensorType.INT16: 2,
              schema.TensorType.INT64: 8, schema.TensorType.FLOAT64: 8}
    model, total = _flatbuffer.model_of(content), 8192
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for t in range(graph.TensorsLength()):
            tensor = graph.Tensors(t)
            quantization = tensor.Quantization()
            channels = quantization.ScaleLength() if quantization is not None else 0
            # Of a tensor the interpreter keeps a struct; of its channels multipliers, shifts, scales and zero points.
            total += 96 + 24 * channels
            held = model.Buffers(tensor.Buffer())
            if held is None or not held.DataLength():
                size = widths.get(tensor.Type(), 4)
                for axis in range(tensor.ShapeLength()):
                    size *= max(1, tensor.Shape(axis))
                # Sums are kept in 32 bits, and an operand may be copied transposed.
                total += 6 * (size + 16)
        total += 1024 * graph.OperatorsLength()
    return total


@contextlib.contextmanager
def _errors() -> Iterator[Callable[[], str]]:
    """TensorFlow Lite Micro prints its reasons on the process's standard error: they are taken from there."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def said() -> str:
            file.seek(0)
            return file.read().decode("utf-8", "replace")[-400:]

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _interpreter(content: bytes, size: int) -> Any:
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(content, arena_size=size)


def _version() -> str:
    return f"tflite-micro {importlib.metadata.version('tflite-micro')}"


# --- inputs and outputs ---------------------------------------------------------------------------------------------------


def tensors(content: bytes, row: dict[str, np.ndarray]) -> list[_micro_source.Tensor]:
    """The inputs in the order of the graph, with the integers of a row."""
    import numpy as np

    graph = _flatbuffer.model_of(content).Subgraphs(0)
    by_index = {index: name for name, index in _signature(content)[0].items()}
    found = []
    for place in range(graph.InputsLength()):
        name = by_index[graph.Inputs(place)]
        tensor = _tensor(graph.Tensors(graph.Inputs(place)), name)
        found.append(tensor.with_values([int(v) for v in np.ravel(quantised(tensor, row[name]))]))
    return found


def output_of(content: bytes) -> _micro_source.Tensor:
    graph = _flatbuffer.model_of(content).Subgraphs(0)
    [name] = _signature(content)[1]
    return _tensor(graph.Tensors(graph.Outputs(0)), name)


def _tensor(tensor: Any, name: str) -> _micro_source.Tensor:
    from ai_edge_litert import schema_py_generated as schema

    types = {schema.TensorType.INT8: "int8", schema.TensorType.INT32: "int32"}
    if tensor.Type() not in types:
        raise inference.Unconvertible(f"{name} is neither int8 nor int32, and {INTEGER_THROUGHOUT}")
    quantization = tensor.Quantization()
    scaled = types[tensor.Type()] == "int8" and quantization is not None and quantization.ScaleLength()
    return _micro_source.Tensor(
        name=name, type=types[tensor.Type()], shape=[tensor.Shape(axis) for axis in range(tensor.ShapeLength())],
        scale=float(quantization.Scale(0)) if scaled else None, zero_point=int(quantization.ZeroPoint(0)) if scaled else 0,
    )


def _signature(content: bytes) -> tuple[dict[str, int], dict[str, int]]:
    """Names of the inputs and of the outputs with their tensors' numbers."""
    model = _flatbuffer.model_of(content)
    signature = model.SignatureDefs(0)
    inputs = [signature.Inputs(i) for i in range(signature.InputsLength())]
    outputs = [signature.Outputs(i) for i in range(signature.OutputsLength())]
    return tuple({one.Name().decode(): one.TensorIndex() for one in ones} for ones in (inputs, outputs))  # type: ignore[return-value]


def quantised(tensor: _micro_source.Tensor, values: np.ndarray) -> np.ndarray:
    """Real values as the input's integers."""
    import numpy as np

    if tensor.scale is None:
        return np.asarray(values, np.int32)
    whole = np.rint(np.asarray(values, np.float64) / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(whole, -128, 127), np.int8)


def _row(source: candidates.Candidate, prepared: Path) -> dict[str, np.ndarray]:
    """The first validation row, as the model takes it."""
    import numpy as np

    from automl.data.prepared import PreparedDataset

    inputs = PreparedDataset.open(prepared).inputs("validation")
    return source.encode({name: np.asarray(value[:1]) for name, value in inputs.items()})


# --- running it -----------------------------------------------------------------------------------------------------------


class IntegerModel:
    """The flatbuffer in TensorFlow Lite Micro with an arena of the size given, or in TensorFlow Lite where the package isn't
    installed."""

    def __init__(self, content: bytes, arena_bytes: int):
        self._micro = measurable()
        if self._micro:
            self.runtime = _version()
            with _errors() as said:
                try:
                    self._runs = _interpreter(content, arena_bytes)
                except RuntimeError as error:
                    raise ValueError(f"an arena of {arena_bytes:,} bytes doesn't do: {' '.join(said().split())}") from error
        else:
            from ai_edge_litert.interpreter import Interpreter

            version = importlib.metadata.version("ai-edge-litert")
            self.runtime = f"ai-edge-litert {version} (tflite-micro isn't installed)"
            self._runs = Interpreter(model_content=content, num_threads=1)
            self._runs.allocate_tensors()
            self._outputs = self._runs.get_output_details()[0]["index"]
        graph = _flatbuffer.model_of(content).Subgraphs(0)
        named = _signature(content)[0]
        places = {graph.Inputs(place): place for place in range(graph.InputsLength())}
        self.inputs = {name: _tensor(graph.Tensors(index), name) for name, index in named.items()}
        self._places = {name: places[index] if self._micro else index for name, index in named.items()}
        self.output = output_of(content)

    def integers(self, row: dict[str, np.ndarray]) -> np.ndarray:
        """int8 [outputs] of one row of real values."""
        return self.prepared(row)()

    def prepared(self, row: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
        import numpy as np

        given = [
            (self._places[name], quantised(tensor, row[name]).reshape(tensor.shape)) for name, tensor in self.inputs.items()
        ]

        def run() -> np.ndarray:
            for place, values in given:
                if self._micro:
                    self._runs.set_input(values, place)
                else:
                    self._runs.set_tensor(place, values)
            self._runs.invoke()
            made = self._runs.get_output(0) if self._micro else self._runs.get_tensor(self._outputs)
            return np.ravel(made)

        return run


class MicroPredictor:
    """The array in a `model.cc`, run with the arena that its `model.h` promises."""

    raw_input = False

    def __init__(self, path: Path):
        with zipfile.ZipFile(path) as archive:
            held = {name: archive.read(name) for name in (HEADER, ARRAY, MODEL)}
        content = _micro_source.array_in(held[ARRAY].decode("ascii"))
        if content != held[MODEL]:
            raise ValueError(f"the array in {ARRAY} isn't {MODEL}")
        self._model = IntegerModel(content, _micro_source.arena_in(held[HEADER].decode("ascii")))
        self.runtime = self._model.runtime

    def predict(self, rows: predictor.Rows) -> np.ndarray:
        import numpy as np

        given = predictor.required(rows, list(self._model.inputs))
        count = len(next(iter(given.values())))
        made = [self._model.integers({name: value[i : i + 1] for name, value in given.items()}) for i in range(count)]
        output = self._model.output
        return np.asarray((np.stack(made).astype(np.float32) - output.zero_point) * (output.scale or 1.0), np.float32)

    def single(self, row: predictor.Rows) -> Callable[[], object]:
        return self._model.prepared(predictor.required(row, list(self._model.inputs)))


def load(path: Path, threads: int) -> MicroPredictor:
    """Raises `zipfile.BadZipFile`, `KeyError` or `ValueError` for a file that is no such archive. It runs in one thread."""
    return MicroPredictor(path)
