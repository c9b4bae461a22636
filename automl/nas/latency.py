"""Tables of latency: what each operation takes in the artifacts' own runtime on this machine.

A network's latency is the time of a call that computes nothing plus the sum over its operations. Each operation is timed
once, alone in a file of its own (`automl.nas.timing`, in a child process), and remembered with the runtime's version and
the machine: a later network of the same operations costs a look-up. So candidates are judged by latency before they are
built or trained.

What is foreseen leaves out what operations do to each other through caches; of whole networks it was within a few percent of
the measured time (`benchmarks/nas`). A figure from a table is never called measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import statistics
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from automl.catalog.operations import Operation
from automl.execution.children import RunInChild
from automl.export import verify

FOLDER = "latency"
"""Below the cache."""
RUNTIME = "ai-edge-litert"
EACH_S = 0.03
"""For one operation, at most: two files of it, each called for a part of it."""
START_S = 8.0
"""That a child may take to begin, on a busy machine."""


NEAREST = 5
"""Timed operations that one which wasn't is guessed from."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """What a table foresees of a network."""

    ms: float
    """Of one example, batch 1, one thread."""
    operations: int
    unknown: tuple[str, ...] = ()
    """Operations that couldn't be timed alone, by name; they count nothing."""


class Table:
    """Times of operations in one runtime on one machine, kept as a file."""

    def __init__(self, path: Path, runtime: str, machine: str):
        self.path = path
        self.runtime = runtime
        self.machine = machine
        self._lock = threading.Lock()
        self._call_us: float | None = None
        self._us: dict[str, float | None] = {}
        """By the operation's key; None for one that can't be timed alone."""
        self._networks: dict[str, float] = {}
        """Milliseconds by a network's key."""
        self._kinds: dict[tuple[str, str], list[tuple[Operation, float | None]]] = {}
        self._sorted = 0
        self._read()

    @classmethod
    def here(cls, cache: Path) -> Table:
        """Of the runtime that is installed and the machine that this is, in a folder for caches."""
        runtime = f"{RUNTIME} {importlib.metadata.version(RUNTIME)}"
        machine = verify.machine()
        digest = hashlib.sha256(machine.encode()).hexdigest()[:12]
        return cls(cache / FOLDER / f"{runtime.replace(' ', '-')}-{digest}.json", runtime, machine)

    # --- foreseeing ------------------------------------------------------------------------------------------

    def missing(self, operations: Iterable[Operation]) -> list[Operation]:
        """Those that were never timed, each once."""
        return [o for key, o in {o.key: o for o in operations}.items() if key not in self._us]

    def predict(self, operations: Sequence[Operation]) -> Timing | None:
        """The time of a network of these operations; None while some of them, or a call, were never timed."""
        if self._call_us is None or self.missing(operations):
            return None
        times = [self._us[o.key] for o in operations]
        unknown = tuple(sorted({o.code for o, us in zip(operations, times) if us is None}))
        return Timing((self._call_us + sum(us or 0.0 for us in times)) / 1e3, len(times), unknown)

    def microseconds(self, operation: Operation) -> float | None:
        """Of one operation; None where it isn't known."""
        return self._us.get(operation.key)

    @property
    def call_us(self) -> float | None:
        """Of a call that computes nothing."""
        return self._call_us

    def like(self, operation: Operation) -> float | None:
        """Microseconds of an operation that was never timed, at a guess: the nearest of the same kind that were, scaled by
        their work. None where there is nothing like it."""
        work = _work(operation)
        kin = [
            (abs(math.log(work / _work(other))), us * work / _work(other))
            for other, us in self._kin(operation.code, operation.outputs[0].type) if us is not None
        ]
        return statistics.median(us for _, us in sorted(kin)[:NEAREST]) if kin else None

    def roughly(self, operations: Sequence[Operation]) -> tuple[float, float] | None:
        """Milliseconds of a network, and the share of them that was timed; the rest is guessed from its like.

        None where nothing tells."""
        if self._call_us is None:
            return None
        timed = guessed = 0.0
        for operation in operations:
            if operation.key in self._us:
                timed += self._us[operation.key] or 0.0
            elif (us := self.like(operation)) is not None:
                guessed += us
            else:
                return None
        return (self._call_us + timed + guessed) / 1e3, timed / max(1e-9, timed + guessed)

    def network_ms(self, key: str) -> float | None:
        """Of a network that was timed whole before it was trained, under the key that it was kept by."""
        return self._networks.get(key)

    def _kin(self, code: str, type: str) -> list[tuple[Operation, float | None]]:
        if len(self._us) != self._sorted:
            self._kinds.clear()
            for key, us in self._us.items():
                operation = Operation.parse(key)
                self._kinds.setdefault((operation.code, operation.outputs[0].type), []).append((operation, us))
            self._sorted = len(self._us)
        return self._kinds.get((code, type), [])

    # --- measuring -------------------------------------------------------------------------------------------

    def measure(self, operations: Iterable[Operation], run_in_child: RunInChild, *, limit_s: float = 600.0) -> int:
        """Times what is missing, in a child process, and keeps it. Returns how many are still missing because `limit_s`
        seconds weren't enough. Raises `ChildFailed`."""
        wanted = self.missing(operations)
        if not wanted and self._call_us is not None:
            return 0
        answer = run_in_child(
            target="automl.nas.timing:measure", timeout_s=START_S + 2 * limit_s, env={"CUDA_VISIBLE_DEVICES": "-1"},
            request={"operations": [o.key for o in wanted], "each_s": EACH_S, "seconds": limit_s},
        )
        self._take(answer, [o.key for o in wanted])
        return len(self.missing(wanted))

    def _take(self, answer: dict[str, Any], keys: Sequence[str]) -> None:
        with self._lock:
            self._read()
            if self._call_us is None:
                self._call_us = float(answer["call_us"])
            self._us |= dict(zip(keys, answer["us"]))
            self._write()

    def keep_networks(self, found: Mapping[str, float]) -> None:
        """Remembers the milliseconds of networks that were timed whole."""
        with self._lock:
            self._read()
            self._networks |= found
            self._write()

    def _read(self) -> None:
        """Takes in what the file knows; one of another layout counts as none."""
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            call_us, us, networks = stored["call_us"], dict(stored["operations"]), dict(stored["networks"])
            self._call_us = self._call_us if call_us is None else float(call_us)
            self._us, self._networks = self._us | us, self._networks | networks

    def _write(self) -> None:
        """Whole or not at all. Of two jobs that write at once one's operations are timed again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        said = {
            "runtime": self.runtime, "machine": self.machine, "call_us": self._call_us, "operations": self._us,
            "networks": self._networks,
        }
        temporary.write_text(json.dumps(said, indent=0), encoding="utf-8")
        temporary.replace(self.path)


def _work(operation: Operation) -> float:
    """What an operation's time grows with: multiplications, or the numbers that it writes and reads."""
    return max(1.0, operation.macs or operation.outputs[0].size + sum(t.size for t in operation.inputs if not t.constant))
