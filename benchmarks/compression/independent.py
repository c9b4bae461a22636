"""Measures a file without a line of the product's own code: `python benchmarks/compression/independent.py FILE`.

Prints a line of JSON: "bytes" of the whole file, and "latency_ms" of one example of zeros on one thread, of a .tflite file
in LiteRT, of an .onnx file in onnxruntime; null for others. It is the least of the medians of tenths of a second: other work
on a shared machine makes a model slower, by two and a half for half a second at times, and nothing makes it faster.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, STRETCH_S, RUNS, SECONDS = 20, 0.1, 5, 1.5
TYPES = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}


def litert(file: Path) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    return interpreter.invoke


def onnxruntime(file: Path) -> Callable[[], object]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    zeros = {
        i.name: np.zeros([n if isinstance(n, int) else 1 for n in i.shape], TYPES[i.type]) for i in session.get_inputs()
    }
    return lambda: session.run(None, zeros)


RUNTIMES = {".tflite": litert, ".onnx": onnxruntime}


def latency_ms(predict: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        predict()
    medians: list[float] = []
    ends = time.perf_counter() + SECONDS
    while not medians or time.perf_counter() < ends:
        times: list[float] = []
        stretch_ends = time.perf_counter() + STRETCH_S
        while len(times) < RUNS or time.perf_counter() < stretch_ends:
            began = time.perf_counter()
            predict()
            times.append(time.perf_counter() - began)
        medians.append(float(np.median(times)))
    return min(medians) * 1e3


if __name__ == "__main__":
    path = Path(sys.argv[1])
    runtime = RUNTIMES.get(path.suffix)
    print(json.dumps({"bytes": path.stat().st_size, "latency_ms": None if runtime is None else latency_ms(runtime(path))}))
