"""A network layer by layer as plain data: what it costs is known, and it can be drawn, before Keras builds anything.

An architecture that is read from a genotype lays down its parts here, in the order in which they are computed; from the same
parts follow the Keras model (`automl.architectures._assembly`), the weights and multiplications (below), memory, file size
and latency (`automl.nas`). So the structure is said once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Literal, Self

from automl.catalog.columns import Columns

Kind = Literal[
    "input", "pixels", "resize", "conv", "depthwise", "dense", "max-pool", "average-pool", "mean", "add", "multiply",
    "concatenate", "drop", "norm", "front", "mixture", "columns", "embedding", "values", "there", "recurrent", "gather",
    "masked-mean", "taps", "steps", "unseen",
]
Activation = Literal["", "plan", "relu", "sigmoid", "softmax", "silu", "tanh"]
"""After a part: nothing, what the recipe's plan says, or this one."""
Cell = Literal["", "gru", "lstm"]
GATES: Mapping[Cell, int] = {"gru": 3, "lstm": 4}
"""Matrices of a recurrent cell, for its input and for its state each."""
BIASES: Mapping[Cell, int] = {"gru": 6, "lstm": 4}
"""For each of its units. A GRU has two rows of them: one stands inside the reset gate."""


@dataclasses.dataclass(frozen=True)
class Weighed:
    """How a mixture weighs its inputs: by a row of a matrix that is an input of the network (see
    `automl.catalog.relaxation`)."""

    group: str
    """The matrix: the input "weights-" + group."""
    row: int
    columns: tuple[int, ...]
    """Of the row, one for each input."""
    bypass: bool = False
    """The last input is the whole that the others saw the front channels of: its other channels stand behind their sum, by
    the weight of the last column, and the two halves' channels are then dealt out in turn."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One operation with what belongs to it: a convolution with its normalisation and activation."""

    kind: Kind
    name: str
    inputs: tuple[int, ...]
    """Places of the parts that it reads."""
    shape: tuple[int, ...]
    """Of the output, without the batch: (height, width, channels) or (features,)."""
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    normalized: bool = False
    """By the plan's normalisation, which then takes the place of the bias…"""
    deferred: bool = False
    """… and is laid down as a part of its own, with the activation, behind a pool."""
    bias: bool = True
    """Whether a kernel that isn't normalised has one."""
    activation: Activation = ""
    depth: float = 0.0
    """Of sums: how deep in the network, 0 to 1. With stochastic depth the last input is dropped the likelier the deeper."""
    weighed: Weighed | None = None
    """Of a mixture."""
    columns: Columns | None = None
    """Of the encoding of a table's columns."""
    zeros: bool = False
    """Of a pool: beyond the ends stand zeros, which count, in the place of nothing. What fills up a series is zero, too."""
    cell: Cell = ""
    """Of a recurrence."""
    heads: int = 1
    """Of attention."""
    weights: int = 0
    """Numbers in the kernel, without normalisation and bias."""
    macs: int = 0
    """Multiplications with additions, for one example."""

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def size(self) -> int:
        """Numbers in the output."""
        return math.prod(self.shape)

    @property
    def beside(self) -> int:
        """Trainable weights beside the kernel's: two for each channel of a normalisation, or the bias."""
        if self.cell:
            return BIASES[self.cell] * self.channels
        if self.kind == "norm":
            return 2 * self.channels
        if self.deferred:
            return 0
        return self.channels * (2 if self.normalized else int(self.bias)) if self.weights else 0


class Blueprint:
    """Parts are appended by the methods, each of which returns the new part's place. The last one is the output."""

    def __init__(self, parts: Iterable[Part] = ()):
        self.parts: list[Part] = list(parts)

    def __getitem__(self, place: int) -> Part:
        return self.parts[place]

    # --- laying down -----------------------------------------------------------------------------------

    def input(self, shape: tuple[int, ...], *, name: str) -> int:
        """What the network is given under that name."""
        return self._put("input", name, (), shape)

    def pixels(self, x: int) -> int:
        """uint8 pictures to numbers, as the plan scales them."""
        return self._put("pixels", "pixels", (x,), self[x].shape)

    def resize(self, x: int, height: int, width: int) -> int:
        return x if self[x].shape[:2] == (height, width) else self._put(
            "resize", "resize", (x,), (height, width, self[x].channels)
        )

    def conv(
        self, x: int, filters: int, kernel: int | tuple[int, int], *, name: str, strides: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1, normalize: bool = True, activation: Activation = "plan", deferred: bool = False,
    ) -> int:
        """A convolution with "same" padding over [height, width, channels]. What is `deferred` a `norm` says later."""
        over, step = _pair(kernel), _pair(strides)
        height, width = self._strided(x, step)
        weights = math.prod(over) * self[x].channels * filters
        return self._put(
            "conv", name, (x,), (height, width, filters), kernel=over, strides=step, dilation=_pair(dilation),
            normalized=normalize, deferred=deferred, activation="" if deferred else activation, weights=weights,
            macs=weights * height * width,
        )

    def norm(self, x: int, *, name: str, activation: Activation = "plan") -> int:
        """Normalisation and activation of a convolution that deferred them."""
        return self._put("norm", name, (x,), self[x].shape, normalized=True, activation=activation)

    def depthwise(
        self, x: int, kernel: int | tuple[int, int], *, name: str, strides: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1, normalize: bool = True, activation: Activation = "plan", bias: bool = True,
    ) -> int:
        """One filter for each channel. Strides and dilation exclude each other."""
        over, step = _pair(kernel), _pair(strides)
        height, width = self._strided(x, step)
        weights = math.prod(over) * self[x].channels
        return self._put(
            "depthwise", name, (x,), (height, width, self[x].channels), kernel=over, strides=step, dilation=_pair(dilation),
            normalized=normalize, activation=activation, bias=bias, weights=weights, macs=weights * height * width,
        )

    def dense(self, x: int, units: int, *, name: str, normalize: bool = True, activation: Activation = "plan") -> int:
        weights = self[x].channels * units
        return self._put(
            "dense", name, (x,), (units,), normalized=normalize, activation=activation, weights=weights, macs=weights
        )

    def pool(
        self, kind: Literal["max-pool", "average-pool"], x: int, kernel: int | tuple[int, int], *, name: str,
        strides: int | tuple[int, int] = 1, zeros: bool = False,
    ) -> int:
        """The greatest or the mean of the places under a window. With `zeros` (odd windows, no strides) those beyond the
        ends count as such."""
        step = _pair(strides)
        return self._put(
            kind, name, (x,), (*self._strided(x, step), self[x].channels), kernel=_pair(kernel), strides=step, zeros=zeros
        )

    def mean(self, x: int, *, name: str, keep: bool = False) -> int:
        """The mean over height and width, [channels], or [1, 1, channels] when `keep`."""
        channels = self[x].channels
        return self._put("mean", name, (x,), (1, 1, channels) if keep else (channels,))

    def add(self, xs: Iterable[int], *, name: str, depth: float = 0.0, activation: Activation = "") -> int:
        """The sum of equally shaped parts; one alone is itself."""
        xs = tuple(xs)
        if len(xs) == 1 and not activation:
            return xs[0]
        return self._put("add", name, xs, self[xs[0]].shape, depth=depth, activation=activation)

    def concatenate(self, xs: Iterable[int], *, name: str) -> int:
        """Channels side by side; one alone is itself."""
        xs = tuple(xs)
        if len(xs) == 1:
            return xs[0]
        channels = sum(self[x].channels for x in xs)
        return self._put("concatenate", name, xs, (*self[xs[0]].shape[:-1], channels))

    def front(self, x: int, share: int, *, name: str) -> int:
        """The first 1/`share` of the channels."""
        if share == 1:
            return x
        return self._put("front", name, (x,), (*self[x].shape[:-1], self[x].channels // share))

    def mixture(self, xs: Iterable[int], weighed: Weighed, *, name: str) -> int:
        """The weighed sum of what stands for one decision, in supernets."""
        xs = tuple(xs)
        return self._put("mixture", name, xs, self[xs[-1]].shape, weighed=weighed)

    def drop(self, x: int) -> int:
        """The plan's dropout of features."""
        return self._put("drop", "drop", (x,), self[x].shape)

    def gates(self, x: int, ratio: float, *, name: str) -> int:
        """Squeeze-and-excitation: channels scaled by what a small net makes of their means."""
        channels = self[x].channels
        means = self.mean(x, name=f"{name}_squeeze", keep=True)
        hidden = self.conv(
            means, max(4, int(channels * ratio)), 1, name=f"{name}_reduce", normalize=False, activation="relu"
        )
        scale = self.conv(hidden, channels, 1, name=f"{name}_excite", normalize=False, activation="sigmoid")
        return self._put("multiply", f"{name}_scale", (x, scale), self[x].shape)

    # --- of tables and sequences -------------------------------------------------------------------------

    def encoded(self, columns: Columns) -> int:
        """A table's columns as one vector."""
        given = []
        if columns.numeric:
            given.append(self.input((columns.numeric,), name="numeric"))
        if columns.cardinalities:
            given.append(self.input((len(columns.cardinalities),), name="categorical"))
        return self._put(
            "columns", "columns", tuple(given), (columns.features,), columns=columns, bias=False, weights=columns.weights,
            macs=columns.macs,
        )

    def embedding(self, x: int, codes: int, width: int, *, name: str) -> int:
        """Tokens [steps] as learned vectors [1, steps, width]."""
        (steps,) = self[x].shape
        return self._put("embedding", name, (x,), (1, steps, width), bias=False, weights=codes * width)

    def values(self, x: int, channels: int, *, name: str) -> int:
        """The first channels of a series [steps, channels…] as [1, steps, channels]."""
        return self._put("values", name, (x,), (1, self[x].shape[0], channels))

    def there(self, x: int, *, name: str) -> int:
        """Which steps are there, as [1, steps, 1] of ones and zeros: of tokens those that aren't 0, of a series what its
        last channel says."""
        return self._put("there", name, (x,), (1, self[x].shape[0], 1))

    def present(self, x: int, there: int | None, *, name: str) -> int:
        """x with zeros at the steps that aren't there."""
        return x if there is None else self._put("multiply", name, (x, there), self[x].shape)

    def steps(self, there: int, *, name: str) -> int:
        """What says which steps are there, as [steps, 1]."""
        return self._put("steps", name, (there,), (self[there].shape[1], 1))

    def taps(self, x: int, count: int, dilation: int, *, name: str) -> int:
        """What a convolution of `count` taps sees at each step, side by side; a 1×1 convolution behind it is a dilated
        one."""
        _, steps, channels = self[x].shape
        return self._put("taps", name, (x,), (1, steps, count * channels), kernel=(1, count), dilation=(1, dilation))

    def recurrent(self, x: int, cell: Cell, units: int, *, name: str) -> int:
        """A recurrent cell that reads [1, steps, channels] forwards: its states [1, steps, units]."""
        _, steps, channels = self[x].shape
        weights = GATES[cell] * units * (channels + units)
        return self._put("recurrent", name, (x,), (1, steps, units), cell=cell, weights=weights, macs=steps * weights)

    def attention(self, x: int, there: int | None, heads: int, *, name: str) -> int:
        """Each step gathers from all that are there, by heads of scaled products; queries, keys, values and what is made of
        them are projected."""
        _, steps, channels = self[x].shape
        q, k, v = (
            self.conv(x, channels, 1, name=f"{name}_{part}", normalize=False, activation="")
            for part in ("query", "key", "value")
        )
        given: tuple[int, ...] = (q, k, v)
        if there is not None:
            # What is taken off the scores of steps that aren't there.
            given = (*given, self._put("unseen", f"{name}_unseen", (there,), (1, 1, steps)))
        gathered = self._put(
            "gather", f"{name}_gather", given, (1, steps, channels), heads=heads, macs=2 * steps * steps * channels
        )
        return self.conv(gathered, channels, 1, name=f"{name}_exit")

    def masked_mean(self, x: int, there: int | None, *, name: str) -> int:
        """The mean over the steps that are there (of which `steps` says), [channels]."""
        if there is None:
            return self.mean(x, name=name)
        return self._put("masked-mean", name, (x, there), (self[x].channels,))

    def _put(self, kind: Kind, name: str, inputs: tuple[int, ...], shape: tuple[int, ...], **more: object) -> int:
        self.parts.append(Part(kind, name, inputs, shape, **more))  # type: ignore[arg-type]
        return len(self.parts) - 1

    def _strided(self, x: int, strides: tuple[int, int]) -> tuple[int, int]:
        height, width = self[x].shape[:2]
        return -(-height // strides[0]), -(-width // strides[1])

    # --- what it makes -----------------------------------------------------------------------------------

    def headed(self, outputs: int, *, softmax: bool = False) -> Self:
        """A copy with the head that every network gets: a dense layer, and the softmax of an inference model."""
        made = type(self)(self.parts)
        made.dense(
            len(made.parts) - 1, outputs, name="logits", normalize=False, activation="softmax" if softmax else ""
        )
        return made

    def pruned(self) -> Self:
        """A copy without the parts that the output doesn't depend on."""
        needed, waiting = set(), [len(self.parts) - 1]
        while waiting:
            place = waiting.pop()
            if place not in needed:
                needed.add(place)
                waiting += self[place].inputs
        if len(needed) == len(self.parts):
            return type(self)(self.parts)
        places = {old: new for new, old in enumerate(sorted(needed))}
        return type(self)(
            dataclasses.replace(self[old], inputs=tuple(places[i] for i in self[old].inputs)) for old in sorted(needed)
        )

    @property
    def parameters(self) -> int:
        """Trainable weights, with a normalisation's two for each channel."""
        return sum(p.weights + p.beside for p in self.parts)

    @property
    def macs(self) -> int:
        """Multiplications with additions of one example, in kernels."""
        return sum(p.macs for p in self.parts)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


# --- drawing ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Edge:
    """Data flow from one node of a drawing to another."""

    source: int
    target: int
    operation: str = ""


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A graph for people: a cell, or the row of a network's blocks."""

    title: str
    nodes: tuple[str, ...]
    """Labels; sources stand before what they flow into."""
    edges: tuple[Edge, ...]
