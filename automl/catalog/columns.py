"""How a table's columns become one vector, as plain data: what it costs, before Keras builds anything.

The layers are those of `automl.layers.tables`, by `automl.architectures._tables.encode`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

Encoding = Literal["none", "periodic", "piecewise-linear"]
FLOAT_BYTES = 4
TABLE_BYTES = 28
"""Of an int8 file for each table of vectors: its scale, and what stands around it."""
ROUNDED_FROM = 500
"""Numbers of a float layer's kernel from which quantised files store it in 8 bits (`automl.export._weight_only`)…"""
ROUNDED_BYTES = 280
"""… with an operation and a tensor that make it float again, beside a scale for each column."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Categorical columns that share one table of vectors."""

    width: int
    """Of a vector."""
    hot: bool
    """The table is an identity that doesn't learn."""
    columns: tuple[int, ...]
    """Which ones."""
    rows: int
    """Of the table."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """The encoding of numbers and categories."""

    numeric: int
    """Columns of numbers."""
    encoding: Encoding
    """Of each of them."""
    outputs: int
    """Numbers that become of one: 1, or the width of its embedding, or one more than it has bins."""
    frequencies: int
    """Of periodic embeddings."""
    cardinalities: tuple[int, ...]
    """Codes of each categorical column."""
    widths: tuple[int, ...]
    """Outputs of each; one-hot where it has as many codes."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """In the order of the output."""
        kinds = [(width, count == width) for count, width in zip(self.cardinalities, self.widths)]
        found = []
        for width, hot in sorted(set(kinds)):
            columns = tuple(place for place, kind in enumerate(kinds) if kind == (width, hot))
            rows = width if hot else sum(self.cardinalities[place] for place in columns)
            found.append(Group(width, hot, columns, rows))
        return tuple(found)

    @property
    def features(self) -> int:
        return self.numeric * self.outputs + sum(self.widths)

    @property
    def weights(self) -> int:
        """Trainable ones."""
        return sum(g.rows * g.width for g in self.groups if not g.hot) + self._periodic

    @property
    def _periodic(self) -> int:
        """Frequencies and phases, matrices and biases of periodic embeddings."""
        if self.encoding != "periodic":
            return 0
        return self.numeric * (2 * self.frequencies + (self.frequencies + 1) * (self.outputs - 1))

    @property
    def macs(self) -> int:
        """Of periodic embeddings' matrices: as many as they have weights."""
        return self.numeric * self.frequencies * (self.outputs - 1) if self.encoding == "periodic" else 0

    @property
    def rounded(self) -> int:
        """Of these the ones that are stored in 8 bits, and computed with as floats: all, or none."""
        return self.macs if self.macs >= ROUNDED_FROM else 0

    @property
    def stored_bytes(self) -> int:
        """In an int8 file: vectors as integers; encodings of numbers stay float, since 8 bits don't resolve them, but for
        matrices."""
        tables = sum(g.rows * g.width + TABLE_BYTES for g in self.groups)
        bins = 2 * self.numeric * (self.outputs - 1) if self.encoding == "piecewise-linear" else 0
        matrices = self.rounded and self.rounded + FLOAT_BYTES * self.numeric + ROUNDED_BYTES
        return tables + FLOAT_BYTES * (bins + self._periodic - self.rounded) + matrices

    @property
    def peak_bytes(self) -> int:
        """Most that is alive at once inside an int8 file while the numbers are encoded, with the inputs: what a step of it
        reads and writes, or what was given and made of each number beside both side by side."""
        codes = FLOAT_BYTES * len(self.cardinalities) + sum(self.widths)
        if self.encoding == "none" or not self.numeric:
            return codes + (FLOAT_BYTES + 1) * self.numeric
        inside = self.frequencies if self.encoding == "periodic" else self.outputs - 1
        product = self.numeric * (inside + self.outputs) + self.rounded
        return codes + FLOAT_BYTES * max(self.numeric * max(1 + 2 * inside, 2 * self.outputs), product)
