"""TensorFlow Lite: one flatbuffer for phones, microcontrollers and servers without TensorFlow.

What it changes: the model is given as a `.tflite` file, in one or more precisions. Why it may help: it is the smallest
and, in int8, the fastest form on processors of phones and servers, and runs without TensorFlow. When it hurts: raw rows
have to be encoded before they go in (`automl_client.Predictor` does it); int8 may lose a little, which is measured and
bounded by the tolerance; recurrent layers are written out step by step, which makes the graphs of long series large. How:
TensorFlow's converter, in a process of its own, from the trained model, with training rows as the representative set; the
bytes are then run in LiteRT on held-out rows.

The file takes the encoded inputs of the model (`numeric` float32 [b, d], `categorical` int32 [b, c], or `image` uint8
[b, h, w, channels]) through the signature `serving_default` and returns `probabilities` [b, classes] or `prediction` [b, 1]
as float32, in every precision alike. The batch is free: it is 1 until the caller resizes. What turns raw rows into these
inputs is data, in `preprocess.json`, appended to the file with the other companions as a zip archive.

Precisions:

- `float32`: the model as trained.
- `float16`: weights as float16, expanded on loading. Half the size, no gain in speed on a CPU.
- `dynamic`: integer weights with a scale for each channel, activations quantised as they come. A quarter of the size; needs
  no data. Tensors under 1,024 elements stay float, so tiny models shrink less.
- `int8`: weights and activations integer, the activations' ranges taken from training rows. A quarter of the size, and
  the fastest on CPUs and on integer-only accelerators. Parts of very different ranges in front of a dense layer get a
  layer each, since side by side they would have one scale. What has no integer kernel, and what 8 bits don't resolve
  (`inference.FLOAT_LAYERS`), stays float between a dequantise and a quantise; the job's notes then say what.
- `int16x8`: integer weights of 8 bits, activations of 16: as small as int8 and nearly as exact as float, for integer-only
  hardware with 16-bit kernels. On a CPU several times slower than float, so a job makes it on request only. For models
  whose inputs are numbers alone: pictures (then float32 pixels from 0 to 255), series, tables without categories.

Only TFLite's built-in operations are used, never TensorFlow's ("flex"), which the small runtimes can't execute.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import catalog
from automl.export import _flatbuffer, _slim, _unjoined, _weight_only, companions, inference, operation_files, predictor
from automl.export import candidate as candidates

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = "serving_default"
INTEGER = ("int8", "int16x8")
"""Precisions with integer activations: they are calibrated on training rows."""

FORMAT = catalog.format(
    id="tflite", precisions=("float32", "float16", "dynamic", "int8", "int16x8"), suffix=".tflite", runtime="ai-edge-litert",
    raw_input=False, exporter=f"{__name__}:write", doc=__doc__ or "",
    reference="Jacob et al., arXiv:1712.05877 (2017)",
)


def estimate_s(parameters: int) -> float:
    """Seconds to write one file, the forked child's start included; measured beside other work."""
    return 2.5 + 2.0 * parameters / 1e6


def write(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a candidate; runs in a fresh child process, because the converter may crash.

    `request`: candidate, prepared, companions, out (paths), precision, seed. Returns parameters, sparsity, and notes for
    people.
    """
    source = candidates.Candidate(Path(request["candidate"]))
    precision = str(request["precision"])
    out = Path(request["out"])
    content = contents(source, Path(request["prepared"]), precision, int(request["seed"]))
    out.write_bytes(content)
    folder = Path(request["companions"])
    companions.append(out, companions.collected(folder))
    return {**account(source, content), "notes": notes_on(source, content, "tflite", precision)}


def account(source: candidates.Candidate, content: bytes) -> dict[str, Any]:
    """What every exporter of a flatbuffer says of it: its weights, the share of zeros among them, the most bytes of
    activations that it needs at once, its multiplications, and its operations by name."""
    weights = weight_arrays(content)
    total = sum(w.size for w in weights)
    return {
        "parameters": int(source.model.count_params()),
        "sparsity": float(sum(int((w == 0).sum()) for w in weights) / total) if total else 0.0,
        "activation_bytes": operation_files.activation_bytes(content),
        "macs": sum(operation.macs for operation in operation_files.operations(content)),
        "operations": _flatbuffer.operator_names(content),
    }


def notes_on(source: candidates.Candidate, content: bytes, format: str, precision: str) -> list[str]:
    """What people should know of an integer file: which parts of it are float."""
    if precision not in INTEGER:
        return []
    notes = []
    layers = inference.float_layers(source.model) if precision == "int8" else []
    kept = [layer.name for layer in layers]
    if kept:
        kinds = sorted({type(layer).__name__ for layer in layers})
        notes.append(f"{format}:{precision}: {', '.join(kinds)} stay float: 8 bits don't resolve what they compute.")
    if floats := float_operations(content, apart_from=kept):
        notes.append(f"{format}:{precision}: {', '.join(floats)} stay float: TFLite has no integer kernel for them here.")
    return notes


def contents(
    source: candidates.Candidate, prepared: Path, precision: str, seed: int, batch: int | None = None
) -> bytes:
    """The flatbuffer of a candidate: what compression trained for this precision, else a conversion of its model. That is
    kept for the next time: the ladder measures what is delivered later, and calibration runs hundreds of rows."""
    if (trained := source.trained_for(precision, batch)) is not None:
        return trained.read_bytes()
    kept = source.path / f"converted-{precision}-{batch or 'any'}-{seed}.tflite"
    if kept.is_file():
        return kept.read_bytes()
    rows = inference.representative(source, prepared, seed) if precision in INTEGER else None
    content = convert(source.model, precision, rows, batch=batch)
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(kept)
    return content


def convert(
    model: Any, precision: str, representative: dict[str, np.ndarray] | None = None, *, batch: int | None = None,
    integer_only: bool = False,
) -> bytes:
    """A Keras 3 model as a TFLite flatbuffer.

    `representative` (`INTEGER` only): encoded training rows by input name, from which the ranges of activations come.
    `batch` fixes the number of rows; None leaves it free. With `integer_only` (int8) inputs and outputs are integers too,
    and nothing is left float; the converter's error says which operation has no integer form.
    """
    return finished(_converted(model, precision, representative, batch, integer_only), precision)


def finished(content: bytes, precision: str) -> bytes:
    """What the converter wrote, in fewer bytes: kernels that it leaves float in a quantised file are rounded as well, and
    nothing is written twice or wider than needed."""
    if precision in (*INTEGER, "dynamic"):
        content = _weight_only.rounded_kernels(content)
    return _slim.slimmed(content, named=precision in INTEGER)


def _converted(
    model: Any, precision: str, representative: dict[str, np.ndarray] | None, batch: int | None, integer_only: bool
) -> bytes:
    """As the converter writes it."""
    import tensorflow as tf

    codes = sorted(i.name for i in model.inputs if str(i.dtype).startswith("int"))
    if precision == "int16x8" and codes:
        raise inference.Unconvertible(
            f"TFLite's converter with 16-bit activations takes no integer inputs, and this model has {' and '.join(codes)}; "
            "tflite:int8 takes them"
        )
    if precision == "int8" and not integer_only and inference.nothing_to_round(model):
        precision = "float32"  # Integers would only round what comes out, and take two more operations.
    if precision in INTEGER:
        model = with_float_pictures(model)
        if representative is None:
            raise ValueError(f"{precision} needs representative rows")
    if precision == "int8":
        assert representative is not None
        model = _unjoined.unjoined(model, representative)
    inference.unroll(model)
    module = _inference_module(model)
    with tempfile.TemporaryDirectory(prefix="automl-tflite-") as folder:
        signature = module.signature(inference.output_name(model), batch)
        tf.saved_model.save(module, folder, signatures={SIGNATURE: signature})

        def converter() -> Any:
            made = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
            if precision != "float32":
                made.optimizations = [tf.lite.Optimize.DEFAULT]
            if precision == "float16":
                made.target_spec.supported_types = [tf.float16]
            if precision in INTEGER:
                assert representative is not None
                made.representative_dataset = lambda: _calibration(representative)
                if "image" in representative and precision == "int8":
                    made.inference_input_type = tf.uint8
            return made

        made = converter()
        builtins = tf.lite.OpsSet.TFLITE_BUILTINS
        if precision == "int16x8":
            integer = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            made.target_spec.supported_ops = [integer, builtins]
            return bytes(made.convert())
        if precision != "int8":
            made.target_spec.supported_ops = [builtins]
            return bytes(made.convert())
        if integer_only:
            made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            made.inference_input_type = made.inference_output_type = tf.int8
            return bytes(made.convert())
        # Both sets: an operation without an integer kernel stays float rather than failing the whole model.
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, builtins]
        kept = [layer.name for layer in inference.float_layers(model)]
        if not kept:
            return bytes(made.convert())
        # Selective quantisation as `tf.lite.experimental.QuantizationDebugger` does it, without its debug model.
        from tensorflow.lite.python import convert as steps

        made._experimental_calibrate_only = True
        calibrated = bytes(made.convert())
        apart = {name for name in _output_names(calibrated) if inference.belongs_to(name, kept)}
        assert representative is not None
        given = tf.uint8 if "image" in representative else tf.float32
        return bytes(steps.mlir_quantize(calibrated, input_data_type=given, denylisted_nodes=apart))


def _inference_module(model: Any) -> Any:
    """The model as a plain `tf.Module` with one concrete function whose inputs are named as the model's are.

    `TFLiteConverter.from_keras_model` fails on models with a dict of inputs, and converting a concrete function whose
    variables the module doesn't hold writes a file with uninitialised variables, without a word: so `variables` are held
    as tf.Variables.
    """
    import tensorflow as tf

    class Inference(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = [variable.value for variable in model.variables]

        def signature(self, output: str, batch: int | None) -> Any:
            specs = {i.name: tf.TensorSpec((batch, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs}

            def call(**inputs: Any) -> dict[str, Any]:
                return {output: model(inference.arranged(model, inputs), training=False)}

            return tf.function(call, autograph=False).get_concrete_function(**specs)

    return Inference()


def with_float_pictures(model: Any) -> Any:
    """The model with float32 in place of uint8 inputs (the same weights): the converter then quantises the input itself and
    the file takes uint8, without a cast to float in front."""
    import keras

    if all(i.dtype != "uint8" for i in model.inputs):
        return model

    types = {i.name: "float32" if i.dtype == "uint8" else i.dtype for i in model.inputs}
    inputs = {i.name: keras.Input(i.shape[1:], dtype=types[i.name], name=i.name) for i in model.inputs}
    tensors = inputs if isinstance(model.input, dict) else [inputs[i.name] for i in model.inputs]
    clone = keras.models.clone_model(model, input_tensors=tensors)
    clone.set_weights(model.get_weights())
    return clone


def _output_names(content: bytes) -> Iterator[str]:
    """The name of each operation's first output: the layers' names are parts of it ("model/periodic_1/Cos")."""
    graph = _flatbuffer.model_of(content).Subgraphs(0)
    for o in range(graph.OperatorsLength()):
        yield graph.Tensors(graph.Operators(o).Outputs(0)).Name().decode()


def _calibration(rows: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """One row at a time. In the first picture two values become 0 and 255: the input's range is then the bytes' own, its
    scale exactly 1, and the file's uint8 input are the raw pixels; two pixels in one picture move no other range."""
    import numpy as np

    for i in range(len(next(iter(rows.values())))):
        row = {name: value[i : i + 1] for name, value in rows.items()}
        if "image" in row:
            picture = row["image"].astype(np.float32)
            if i == 0:
                picture.flat[0], picture.flat[-1] = 0.0, 255.0
            row = {"image": picture}
        yield SIGNATURE, row


def weight_arrays(content: bytes) -> list[np.ndarray]:
    """The constant tensors of rank 2 and more (kernels, embeddings) in their stored type: what may be sparse."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    types = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16, schema.TensorType.INT8: np.int8}
    model, found = _flatbuffer.model_of(content), []
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for t in range(graph.TensorsLength()):
            tensor = graph.Tensors(t)
            buffer = model.Buffers(tensor.Buffer())
            if tensor.Type() in types and tensor.ShapeLength() >= 2 and buffer is not None and buffer.DataLength():
                found.append(np.frombuffer(buffer.DataAsNumpy().tobytes(), types[tensor.Type()]))
    return found


def float_operations(content: bytes, apart_from: list[str] | None = None) -> list[str]:
    """Names of operations whose output is float32, but for dequantisation and casts (of codes, as masks enter): what isn't
    integer in the file. Those of the layers `apart_from` are left out."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found: set[str] = set()
    model = _flatbuffer.model_of(content)
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for o in range(graph.OperatorsLength()):
            operator = graph.Operators(o)
            name = names[model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()]
            outputs = [graph.Tensors(operator.Outputs(k)) for k in range(operator.OutputsLength())]
            if name in ("DEQUANTIZE", "CAST") or all(t.Type() != schema.TensorType.FLOAT32 for t in outputs):
                continue
            if not inference.belongs_to(_flatbuffer.text(outputs[0].Name() or ""), apart_from or []):
                found.add(name)
    return sorted(found)


class TFLitePredictor:
    """A `.tflite` file in `ai_edge_litert`'s interpreter with its default delegate (XNNPACK)."""

    raw_input = False

    def __init__(self, content: bytes, threads: int):
        import importlib.metadata

        from ai_edge_litert.interpreter import Interpreter

        self.runtime = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
        self._content, self._threads = content, threads
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        signatures = self._interpreter.get_signature_list()
        if SIGNATURE not in signatures:
            raise ValueError(f"expected the signature {SIGNATURE!r}, the file has {sorted(signatures)}")
        self._names = list(signatures[SIGNATURE]["inputs"])
        self._runner = self._interpreter.get_signature_runner(SIGNATURE)
        details = self._runner.get_input_details()
        self._types = {name: detail["dtype"] for name, detail in details.items()}
        self._one_by_one = any(detail["shape_signature"][0] == 1 for detail in details.values())

    def predict(self, rows: predictor.Rows) -> np.ndarray:
        import numpy as np

        given = self._given(rows)
        count = len(next(iter(given.values())))
        if not self._one_by_one or count == 1:
            return self._outputs(given)
        return np.concatenate([self._outputs({n: v[i : i + 1] for n, v in given.items()}) for i in range(count)])

    def _outputs(self, given: dict[str, np.ndarray]) -> np.ndarray:
        import numpy as np

        (output,) = self._runner(**given).values()
        return np.array(output, dtype=np.float32)

    def single(self, row: predictor.Rows) -> Callable[[], object]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
        interpreter.allocate_tensors()
        given = self._given(row)
        # The runner knows the signature's names, the interpreter only tensors called "serving_default_<name>:0".
        tensors = {d["name"]: d["index"] for d in interpreter.get_input_details()}
        inputs = [(tensors[f"{SIGNATURE}_{name}:0"], given[name]) for name in self._names]
        output = interpreter.get_output_details()[0]["index"]

        def predict() -> object:
            for index, value in inputs:
                interpreter.set_tensor(index, value)
            interpreter.invoke()
            return interpreter.get_tensor(output)

        return predict

    def _given(self, rows: predictor.Rows) -> dict[str, np.ndarray]:
        """The inputs in the file's own types: int16x8 takes pixels as float32."""
        import numpy as np

        return {n: np.asarray(value, self._types[n]) for n, value in predictor.required(rows, self._names).items()}


def load(path: Path, threads: int) -> TFLitePredictor:
    """Raises `ValueError` for bytes that are no TFLite model."""
    return TFLitePredictor(path.read_bytes(), threads)
