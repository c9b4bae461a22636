"""The same float model quantised by others: TensorFlow Lite's plain converter, ai-edge-quantizer, onnxruntime.

Each takes the delivered float file (.keras, .onnx) and encoded rows to calibrate on, and gives a file with a
function that runs it. One that isn't installed, or fails, says so in the place of its figures.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Inputs = Mapping[str, np.ndarray]
Run = Callable[[Inputs], np.ndarray]
SIGNATURE = "serving_default"


def figures(folder: Path, calibration: Inputs, judge: Callable[[Run], float], measured: Callable[[Path], dict[str, Any]],
            work: Path) -> dict[str, Any]:
    """For each peer its metric, bytes and latency, or why there are none. `folder` holds what a job delivered."""
    made: dict[str, Any] = {}
    for name, (suffix, quantise) in PEERS.items():
        given = sorted(p for p in folder.iterdir() if p.suffix == suffix and "int8" not in p.name)
        began = time.monotonic()
        try:
            if not given:
                raise RuntimeError(f"no {suffix} file was delivered")
            file, run = quantise(given[0], calibration, work)
            made[name] = {
                "metric": judge(run), **measured(file), "seconds": round(time.monotonic() - began, 1),
            }
        except Exception as error:  # noqa: BLE001 — whatever a peer raises is its figure.
            made[name] = {"fault": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    return made


def _rows(calibration: Inputs) -> list[dict[str, np.ndarray]]:
    n = len(next(iter(calibration.values())))
    return [{name: value[i : i + 1] for name, value in calibration.items()} for i in range(n)]


def litert(content: bytes) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(SIGNATURE)
    types = {name: detail["dtype"] for name, detail in runner.get_input_details().items()}

    def run(inputs: Inputs) -> np.ndarray:
        n = len(next(iter(inputs.values())))
        blocks = []
        for i in range(0, n, 256):
            (out,) = runner(**{name: np.asarray(inputs[name][i : i + 256], kind) for name, kind in types.items()}).values()
            blocks.append(np.array(out))
        return np.concatenate(blocks)

    return run


def plain_converter(file: Path, calibration: Inputs, work: Path) -> tuple[Path, Run]:
    """`TFLiteConverter` with default optimisation and a representative set, nothing else."""
    content = _converted(file, work, calibration)
    out = work / "plain.tflite"
    out.write_bytes(content)
    return out, litert(content)


def ai_edge_quantizer(file: Path, calibration: Inputs, work: Path) -> tuple[Path, Run]:
    """Of what the plain converter makes in float32: it goes by the tensors' names, which delivered files haven't."""
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        raise RuntimeError("ai-edge-quantizer is not installed")
    from ai_edge_quantizer import quantizer, recipe

    model = quantizer.Quantizer(bytearray(_converted(file, work)))
    model.load_quantization_recipe(recipe.static_wi8_ai8())
    result = model.quantize(model.calibrate({SIGNATURE: _rows(calibration)}))
    out = work / "ai-edge-quantizer.tflite"
    out.write_bytes(bytes(result.quantized_model))
    return out, litert(out.read_bytes())


def _converted(file: Path, work: Path, calibration: Inputs | None = None) -> bytes:
    """The model of a .keras file as TensorFlow Lite's converter makes it: float32, or int8 by the calibration's rows."""
    import tensorflow as tf

    from automl.training import prediction

    model = prediction.load(file)
    names = [i.name for i in model.inputs]
    specs = {i.name: tf.TensorSpec((None, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs}
    function = tf.function(
        lambda **x: {"output": model(x if isinstance(model.input, dict) else x[names[0]], training=False)}
    )
    folder = tempfile.mkdtemp(prefix="plain-", dir=work)
    module = tf.Module()
    module.held = [v.value for v in model.variables]
    tf.saved_model.save(module, folder, signatures={SIGNATURE: function.get_concrete_function(**specs)})
    made = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
    if calibration is not None:
        rows = _rows(calibration)
        types = {i.name: i.dtype for i in model.inputs}
        made.optimizations = [tf.lite.Optimize.DEFAULT]
        made.representative_dataset = lambda: (
            (SIGNATURE, {name: row[name].astype(types[name]) for name in names}) for row in rows
        )
    return bytes(made.convert())


def onnxruntime(file: Path, calibration: Inputs, work: Path) -> tuple[Path, Run]:
    import onnxruntime as ort
    from onnxruntime import quantization

    names = {i.name: i.type for i in ort.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_inputs()}
    kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}

    def typed(inputs: Inputs) -> dict[str, np.ndarray]:
        return {name: np.asarray(inputs[name], kinds[kind]) for name, kind in names.items()}

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = iter(_rows(calibration))

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self._rows, None)
            return None if row is None else typed(row)

    out = work / "onnxruntime.onnx"
    quantization.quantize_static(str(file), str(out), Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True)
    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    return out, lambda inputs: np.concatenate([
        session.run(None, typed({k: v[i : i + 256] for k, v in inputs.items()}))[0]
        for i in range(0, len(next(iter(inputs.values()))), 256)
    ])


PEERS: dict[str, tuple[str, Callable[[Path, Inputs, Path], tuple[Path, Run]]]] = {
    "TFLite converter": (".keras", plain_converter), "ai-edge-quantizer": (".keras", ai_edge_quantizer),
    "onnxruntime": (".onnx", onnxruntime),
}
