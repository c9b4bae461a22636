"""Artifacts in runtimes that need no TensorFlow: `.tflite` in LiteRT, `.onnx` in onnxruntime.

`open(path)` gives the runtime of a file. All of them take the model's encoded inputs by name and give float32 [n, outputs].
A further one is a class here and a line in `RUNTIMES`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl_client import encoder, errors

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import SignatureRunner

SIGNATURE = "serving_default"
BATCH = 256


class Runtime(Protocol):
    """One file, loaded. Not safe for several threads."""

    name: str
    """Of the runtime, with its version: "ai-edge-litert 2.3.0"."""
    takes: Mapping[str, tuple[int, ...]]
    """The inputs' names with their shapes but for the batch; -1 for a side that is free."""

    def __init__(self, path: Path, threads: int): ...

    def __call__(self, inputs: encoder.Inputs) -> NDArray[np.float32]:
        """float32 [n, outputs]."""

    def single(self, inputs: encoder.Inputs) -> Callable[[], object]:
        """A function that predicts this one row, with everything that can be set up before done before."""


class TFLite:
    """A `.tflite` file in ai-edge-litert's interpreter with its default delegate."""

    def __init__(self, path: Path, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        self.name = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
        self._content, self._threads = path.read_bytes(), threads
        try:
            interpreter = Interpreter(model_content=self._content, num_threads=threads)
            signatures = interpreter.get_signature_list()
        except ValueError as error:
            raise errors.InvalidInput.at(str(path), f"is no TensorFlow Lite model: {error}.") from error
        if SIGNATURE not in signatures:
            raise errors.InvalidInput.at(
                str(path), f"expected a model with the signature {SIGNATURE!r}, as automl writes them; it has "
                f"{', '.join(signatures) or 'none'}."
            )
        self._names: list[str] = list(signatures[SIGNATURE]["inputs"])
        # A recurrent model may have been converted for one row at a time.
        free = all(detail["shape_signature"][0] == -1 for detail in interpreter.get_input_details())
        self._batch = BATCH if free else 1
        self._runner: SignatureRunner = interpreter.get_signature_runner(SIGNATURE)
        self._details = self._runner.get_input_details()
        self.takes: Mapping[str, tuple[int, ...]] = {
            name: tuple(int(n) for n in self._details[name]["shape_signature"][1:]) for name in self._names
        }

    def __call__(self, inputs: encoder.Inputs) -> NDArray[np.float32]:
        count = len(next(iter(inputs.values())))
        made = [self._one({name: inputs[name][at : at + self._batch] for name in self._names})
                for at in range(0, count, self._batch)]
        return np.concatenate(made) if made else np.zeros((0, 1), np.float32)

    def single(self, inputs: encoder.Inputs) -> Callable[[], object]:
        from ai_edge_litert.interpreter import Interpreter

        # One of its own, whose batch stays 1.
        interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
        interpreter.allocate_tensors()
        # The runner knows the signature's names, the interpreter only tensors called "serving_default_<name>:0".
        tensors = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
        given = [(tensors[f"{SIGNATURE}_{name}:0"], self._typed(name, inputs[name])) for name in self._names]
        output = interpreter.get_output_details()[0]["index"]

        def predict() -> object:
            for index, value in given:
                interpreter.set_tensor(index, value)
            interpreter.invoke()
            return interpreter.get_tensor(output)

        return predict

    def _one(self, inputs: encoder.Inputs) -> NDArray[np.float32]:
        given = {name: self._typed(name, value) for name, value in inputs.items()}
        (output,) = self._runner(**given).values()
        # A copy: the interpreter reuses its memory at the next call.
        return np.array(output, np.float32).reshape(len(next(iter(given.values()))), -1)

    def _typed(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(value, self._details[name]["dtype"])


class Onnx:
    """An `.onnx` file in onnxruntime on the CPU. Raises `Unavailable` where that isn't installed."""

    def __init__(self, path: Path, threads: int):
        if importlib.util.find_spec("onnxruntime") is None:
            raise errors.Unavailable(
                f"{path.name} runs in onnxruntime, which is not installed: pip install onnxruntime. A .tflite file of the "
                "same model runs without."
            )
        import onnxruntime

        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        # 3: errors alone; else it warns on standard error of what users can't change.
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no class of their own in common
            raise errors.InvalidInput.at(str(path), f"is no ONNX model that onnxruntime takes: {error}.") from error
        taken = self._session.get_inputs()
        self._types = {one.name: _ONNX_TYPES[one.type] for one in taken}
        self.takes: Mapping[str, tuple[int, ...]] = {
            one.name: tuple(n if isinstance(n, int) else -1 for n in one.shape[1:]) for one in taken
        }

    def __call__(self, inputs: encoder.Inputs) -> NDArray[np.float32]:
        count = len(next(iter(inputs.values())))
        made = [self._one({name: inputs[name][at : at + BATCH] for name in self._types}) for at in range(0, count, BATCH)]
        return np.concatenate(made) if made else np.zeros((0, 1), np.float32)

    def single(self, inputs: encoder.Inputs) -> Callable[[], object]:
        given: encoder.Inputs = {name: np.asarray(inputs[name], kind) for name, kind in self._types.items()}
        return lambda: self._session.run(None, given)

    def _one(self, inputs: encoder.Inputs) -> NDArray[np.float32]:
        given: encoder.Inputs = {name: np.asarray(value, self._types[name]) for name, value in inputs.items()}
        (output,) = self._session.run(None, given)
        return np.asarray(output, np.float32).reshape(len(next(iter(given.values()))), -1)


_ONNX_TYPES: Mapping[str, type] = {
    "tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8,
}

RUNTIMES: Mapping[str, type[TFLite] | type[Onnx]] = {".tflite": TFLite, ".onnx": Onnx}


def light(path: Path) -> bool:
    """Whether a file of this name runs without TensorFlow."""
    return path.suffix.lower() in RUNTIMES


def open(path: Path, threads: int | None = None) -> Runtime:
    """The runtime of a file for which `light` is true; `threads`: None for one each core.

    Raises `InvalidInput` for bytes that the runtime doesn't take, `Unavailable` where it isn't installed.
    """
    return RUNTIMES[path.suffix.lower()](path, threads or os.cpu_count() or 1)
