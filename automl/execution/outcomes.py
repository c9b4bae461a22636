"""What the end of a process or an exception means, in words for people and as an `Outcome`."""

from __future__ import annotations

import os
import signal
import traceback
from pathlib import Path

from automl.spec import Outcome

EXHAUSTED = frozenset({"ResourceExhaustedError", "MemoryError", "OutOfMemoryError"})
"""Names of exceptions that mean out of memory: TensorFlow's, Python's and NumPy's, torch's."""

MEANINGS = {
    signal.SIGKILL: "killed from outside; often the kernel, short of memory",
    signal.SIGSEGV: "native code crashed",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "native code crashed, or a mapped file shrank",
    signal.SIGILL: "an instruction that this processor lacks",
    signal.SIGFPE: "native code divided by zero",
}


def signal_name(number: int) -> str:
    """"SIGSEGV (native code crashed)"."""
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    return f"{known.name} ({MEANINGS[known]})" if known in MEANINGS else known.name


def means_out_of_memory(error: BaseException) -> bool:
    """Whichever library raised it; by name, so that none has to be imported."""
    return any(kind.__name__ in EXHAUSTED for kind in type(error).__mro__) or "RESOURCE_EXHAUSTED" in str(error)


def of_exception(error: BaseException) -> Outcome:
    if means_out_of_memory(error):
        return Outcome.OOM
    return Outcome.UNCONVERTIBLE if getattr(error, "reason", "") == Outcome.UNCONVERTIBLE else Outcome.ERROR


def message_of(error: BaseException, limit: int = 500) -> str:
    """The exception as one line: its type, text, and where it was raised (file name, no folders)."""
    text = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    if len(text) > limit:
        text = text[:limit] + " …"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (in {frames[-1].name}, {os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


def last_line(log: Path, limit: int = 300) -> str:
    """The last line of a log that isn't blank, printable and at most `limit` characters; "" when there is none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, os.path.getsize(log) - 4096))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return "".join(c for c in last if c.isprintable())[:limit]
