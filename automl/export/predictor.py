"""What a loaded artifact can do: predict many rows, and one row fast. Each format's `load` returns one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

Rows = Mapping[str, Any]
"""For encoded input: arrays by input name ("numeric" float32 [b, d], "categorical" int32 [b, c], "image" uint8
[b, h, w, ch]). For raw input: lists by column name (float with NaN for numeric columns, str with "" for missing otherwise),
or "image" as before."""


class Predictor(Protocol):
    """An artifact in its own runtime. Not safe for several threads."""

    @property
    def runtime(self) -> str:
        """Name and version of what runs it, e.g. "ai-edge-litert 2.3.0"."""

    @property
    def raw_input(self) -> bool:
        """Rows are raw columns; else they are encoded by the artifact's own preprocess.json."""

    def predict(self, rows: Rows) -> np.ndarray:
        """float32 [b, classes] probabilities, or [b, 1] numbers in the target's unit. Raises `ValueError` when an input
        that the artifact needs isn't among the rows."""

    def single(self, row: Rows) -> Callable[[], object]:
        """A function that predicts this one row (b = 1), with everything that can be set up before done before: what the
        latency is measured on."""


def required(rows: Rows, names: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    """The named inputs out of `rows`. Raises `ValueError` naming those that are lacking."""
    lacking = [name for name in names if name not in rows]
    if lacking:
        raise ValueError(f"the artifact takes the inputs {sorted(names)}, but the rows lack {lacking}")
    return {name: rows[name] for name in names}
