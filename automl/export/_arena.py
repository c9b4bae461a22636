"""The smallest arena with which TensorFlow Lite Micro prepares and runs a model, found by trying.

The trying is done in a process of its own (`python -m automl.export._arena MODEL LOW HIGH`): some operations end their
process when the arena is just too small for them, which then counts as too small, and the search goes on behind it. Each
size is written on standard output before it is tried, and the answer behind it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

STEP = 16
"""Bytes between the sizes that are told apart: the allocator's own alignment."""
_TIMEOUT_S = 120.0


class Unprepared(Exception):
    """Not even the largest size does; the message is TensorFlow Lite Micro's."""


def smallest(content: bytes, most: int) -> int:
    """Bytes, at most `most` rounded up to `STEP`. Raises `Unprepared`."""
    most = -(-most // STEP) * STEP
    with tempfile.TemporaryDirectory(prefix="automl-arena-") as folder:
        model = Path(folder) / "model.tflite"
        model.write_bytes(content)
        said = _tried(model, most, most)
        if said.get(most) is not True:
            raise Unprepared(said.get(most) or "its process crashed")
        low, high = 0, most
        while high - low > STEP:
            found = _tried(model, low, high)
            high = min([high, *(size for size, answer in found.items() if answer is True)])
            low = max([low, *(size for size, answer in found.items() if answer is not True)])
    return high


def _tried(model: Path, low: int, high: int) -> dict[int, bool | str]:
    """The sizes that a child tried: True where it does, else what was said against it ("": a crash)."""
    command = [sys.executable, "-m", "automl.export._arena", str(model), str(low), str(high)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False)
    found: dict[int, bool | str] = {}
    for line in done.stdout.splitlines():
        size, _, answer = line.partition(" ")
        found[int(size)] = True if answer == "does" else answer
    if not found:
        raise RuntimeError(f"the search for the arena's size ended with code {done.returncode}: {done.stderr[-300:]}")
    # The reason is what the library printed; of many attempts it is the last one's.
    reason = " ".join(done.stderr.split())[-300:]
    return {size: (answer if answer is True else reason or answer) for size, answer in found.items()}


def _does(content: bytes, size: int) -> bool:
    import numpy as np
    from tflite_micro import runtime

    from automl.export import _flatbuffer

    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=size)
        # What lies in the arena before may be no code of any row.
        for place in range(len(_flatbuffer.inputs(content))):
            details = interpreter.get_input_details(place)
            interpreter.set_input(np.zeros(details["shape"], details["dtype"]), place)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return False
    return True


def main() -> int:
    content, low, high = Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), int(sys.argv[3])
    if low == high:
        print(high, "does" if _announced(content, high) else "doesn't", flush=True)
        return 0
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        if _announced(content, middle):
            high = middle
            print(middle, "does", flush=True)
        else:
            low = middle
    return 0


def _announced(content: bytes, size: int) -> bool:
    print(size, flush=True)
    return _does(content, size)


if __name__ == "__main__":
    sys.exit(main())
