"""Measures a file without a line of the product's own code: `python benchmarks/compression/independent.py FILE`.

Prints a line of JSON: "bytes" of the whole file, "latency_ms" (.tflite: median of one example of zeros on one thread in
LiteRT; else null).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

WARM_UP, RUNS, SECONDS = 20, 300, 1.5


def latency_ms(content: bytes) -> float:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    times: list[float] = []
    ends = time.perf_counter() + SECONDS
    for i in range(WARM_UP + RUNS):
        began = time.perf_counter()
        interpreter.invoke()
        if i >= WARM_UP:
            times.append(time.perf_counter() - began)
        if len(times) > 5 and time.perf_counter() > ends:
            break
    return float(np.median(times) * 1e3)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    content = path.read_bytes()
    print(json.dumps({"bytes": len(content), "latency_ms": latency_ms(content) if path.suffix == ".tflite" else None}))
