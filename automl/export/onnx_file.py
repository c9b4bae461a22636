"""ONNX: one file for onnxruntime on servers, desktops and in browsers, without TensorFlow.

What it changes: the model is given as an `.onnx` file, float32 or int8. Why it may help: onnxruntime runs on nearly every
machine, with accelerators' own providers, and from many languages. When it hurts: int8 leaves everything between
quantised operations float, and raw rows have to be encoded before they go in. How: traced by TensorFlow, converted by
tf2onnx, quantised by onnxruntime with training rows as calibration, and run by onnxruntime on held-out rows.

The file takes the encoded inputs of the model by name (`numeric` float32 [b, d], `categorical` int32 [b, c], `image` uint8
[b, h, w, channels] …) and returns `probabilities` [b, classes] or `prediction` [b, 1] as float32, in every precision alike;
the batch is free. It is of opset 17, so any onnxruntime from 1.12 on runs it. What turns raw rows into these inputs is data,
in `preprocess.json`: with the other companions it is a zip archive in the last field of the file, a field that ONNX has no
meaning for and that its readers pass over.

Precisions:

- `float32`: the model as trained, converted by tf2onnx.
- `int8`: weights and activations of convolutions, matrix products and embeddings as integers, by onnxruntime's static
  quantiser: a scale for each output channel, the activations' ranges from training rows, every quantised operation between
  QuantizeLinear and DequantizeLinear. Everything between them stays float.

Both need the extra `onnx` where they are written: `pip install 'automl[onnx]'`.
"""

from __future__ import annotations

import io
import logging
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import candidate as candidates
from automl.export import companions, inference, predictor

if TYPE_CHECKING:
    import numpy as np

OPSET = 17
QUANTISED = ("Conv", "Gemm", "MatMul", "Gather")
"""What is integer in an int8 file: the operations that hold weights. Sums and activations between two of them would cost a
conversion each way and save no byte."""
COMPANIONS_FIELD = 1000
"""Number of the field of `ModelProto` that holds the companions; ONNX uses those up to 25."""

FORMAT = catalog.format(
    id="onnx", precisions=("float32", "int8"), suffix=".onnx", runtime="onnxruntime", raw_input=False,
    exporter=f"{__name__}:write", needs=("tf2onnx", "onnx", "onnxruntime"), extra="onnx", doc=__doc__ or "",
    reference="ONNX 1.12, operator set 17 (2022)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 3.0 + 1.5 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate; runs in a fresh child process. See `deliver` for the request."""
    source = candidates.Candidate(Path(request["candidate"]))
    precision, out = str(request["precision"]), Path(request["out"])
    rows = None
    if precision == "int8":
        rows = inference.representative(source, Path(request["prepared"]), int(request["seed"]))
    content = convert(source.model, precision, rows)
    folder = Path(request["companions"])
    out.write_bytes(content + appendix(companions.collected(folder)))
    return account(source, content, "onnx", precision)


def account(source: candidates.Candidate, content: bytes, format: str, precision: str) -> dict[str, Any]:
    """What an exporter says of an ONNX model: weights, the share of zeros among them, notes for people."""
    weights = weight_arrays(content)
    total = sum(w.size for w in weights)
    notes = inference.notes_on_training(source, format, precision)
    if precision == "int8" and (kept := inference.float_layers(source.model)):
        kinds = sorted({type(layer).__name__ for layer in kept})
        notes.append(f"{format}:int8: {', '.join(kinds)} stay float: 8 bits don't resolve what they compute.")
    return {
        "parameters": int(source.model.count_params()),
        "sparsity": float(sum(int((w == 0).sum()) for w in weights) / total) if total else 0.0,
        "notes": notes,
    }


def convert(model: Any, precision: str, representative: dict[str, np.ndarray] | None = None) -> bytes:
    """A Keras 3 model as an ONNX file.

    `representative` (int8 only): encoded training rows by input name, from which the ranges of activations come.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    inference.unroll(model)
    specs = [tf.TensorSpec((None, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    names = [i.name for i in model.inputs]

    def call(*values: Any) -> Any:
        return model(inference.arranged(model, dict(zip(names, values))), training=False)

    function = tf.function(call, input_signature=specs, autograph=False)
    made, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
    _rename_output(made, inference.output_name(model))
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(made)
    if precision == "float32":
        return bytes(made.SerializeToString())
    if representative is None:
        raise ValueError("int8 needs representative rows")
    return _quantised(made, {name: representative[name] for name in (i.name for i in made.graph.input)},
                      [layer.name for layer in inference.float_layers(model)])


def _quantised(model: Any, rows: dict[str, np.ndarray], apart: list[str]) -> bytes:
    """`model` with integer weights and activations, but for the nodes of the layers named in `apart`."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    class Rows(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            count = len(next(iter(rows.values())))
            self._left = iter([{name: value[i : i + 1] for name, value in rows.items()} for i in range(count)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    # onnxruntime advises shape inference first on the root logger, and is silent after it.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="automl-onnx-") as folder:
        plain, inferred, out = (str(Path(folder) / name) for name in ("plain.onnx", "inferred.onnx", "int8.onnx"))
        onnx.save(model, plain)
        # Its symbolic inference needs sympy; ONNX's own knows every operation that tf2onnx writes.
        shape_inference.quant_pre_process(plain, inferred, skip_symbolic_shape=True)
        graph = onnx.load(inferred).graph
        # The integer product has kernels for matrices; of stacks of them (members of a packed ensemble) it fails when run.
        stacks = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
        stacked = {node.name for node in graph.node if node.op_type == "MatMul" and stacks & set(node.input)}
        quantization.quantize_static(
            inferred, out, Rows(), quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=list(QUANTISED),
            activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8, per_channel=True,
            nodes_to_exclude=[
                node.name for node in graph.node if node.name in stacked or inference.belongs_to(node.name, apart)
            ],
        )
        return Path(out).read_bytes()


def _rename_output(model: Any, name: str) -> None:
    """Gives the graph's one output its name."""
    (output,) = model.graph.output
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, one in enumerate(names):
                if one == output.name:
                    names[place] = name
    output.name = name


def weight_arrays(content: bytes) -> list[np.ndarray]:
    """The constant tensors of rank 2 and more in their stored type."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    return [numpy_helper.to_array(tensor) for tensor in graph.initializer if len(tensor.dims) >= 2]


def appendix(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of the members as a further field of the message: readers of ONNX skip it by its length, readers of zip
    find their directory from the end of the file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            archive.writestr(companions.entry(name), members[name])
    content = held.getvalue()
    return _varint(COMPANIONS_FIELD << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Base 128, the lowest seven bits first (Protocol Buffers' encoding)."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


class OnnxPredictor:
    """An `.onnx` file in onnxruntime on the CPU."""

    raw_input = False

    def __init__(self, content: bytes, threads: int):
        import onnxruntime

        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no class of their own in common
            raise ValueError(f"onnxruntime can't load the file: {error}") from error
        self._names = [given.name for given in self._session.get_inputs()]

    def predict(self, rows: predictor.Rows) -> np.ndarray:
        import numpy as np

        (output,) = self._session.run(None, predictor.required(rows, self._names))
        return np.asarray(output, dtype=np.float32)

    def single(self, row: predictor.Rows) -> Callable[[], object]:
        given = predictor.required(row, self._names)
        return lambda: self._session.run(None, given)


def load(path: Path, threads: int) -> OnnxPredictor:
    """Raises `ValueError` for bytes that are no ONNX model."""
    return OnnxPredictor(path.read_bytes(), threads)
