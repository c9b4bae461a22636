"""A network that holds every path of every decision, and computes one of them, or two, at a time.

A blueprint whose mixtures stand for the decisions is run by hand. What leads to an input of a mixture is a branch; it has
weights of its own, which lie in one long vector for each decision, branch behind branch. A step takes the segments of the
branches that were drawn out of these vectors, and only they get gradients, momentum and decay. Branches that differ in
kernels and channels alone are one piece of graph, told by whole numbers which of them it is, and others lie behind a switch.
So the memory of a step is that of one path for each decision, however many there are; nothing is traced again whichever are
drawn, and the graph hardly grows with their number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from automl.catalog.blueprint import Blueprint, Part
from automl.nas import elastic

Read = Callable[[str], list[Any]]
"""A layer's name → its trainable tensors."""
HEAD = elastic.HEAD
KERNELS = ("conv", "depthwise")


@dataclasses.dataclass(frozen=True)
class Decision:
    """One mixture, read as a choice."""

    place: int
    """Of the mixture."""
    group: str
    row: int
    source: int
    """Place of what every branch begins at."""
    branches: dict[int, tuple[int, ...]]
    """Column → the places of its parts in their order; none of a shortcut."""


def decisions(net: Blueprint) -> list[Decision]:
    """The mixtures of a blueprint that leave a choice, in their order."""
    found = []
    for place, part in enumerate(net.parts):
        if part.weighed is None or len(part.inputs) < 2:
            continue
        behind = [_ancestors(net, x) for x in part.inputs]
        source = max(frozenset.intersection(*behind))
        before = _ancestors(net, source)
        branches = {
            column: tuple(sorted(places - before)) for column, places in zip(part.weighed.columns, behind, strict=True)
        }
        found.append(Decision(place, part.weighed.group, part.weighed.row, source, branches))
    return found


def _ancestors(net: Blueprint, place: int) -> frozenset[int]:
    """Of a part, with itself."""
    seen, waiting = set(), [place]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += net[here].inputs
    return frozenset(seen)


class Bank:
    """The weights of all branches of a decision, as one vector, and where they lie in it."""

    def __init__(self, decision: Decision, net: Blueprint, variables: Callable[[Part], list[Any]]):
        """`variables` are the Keras variables of a part, from which the vector is filled."""
        import keras

        self.decision = decision
        self.columns = sorted(decision.branches)
        chains = [[net[place] for place in decision.branches[column]] for column in self.columns]
        own = [[variables(part) for part in chain] for chain in chains]
        shapes = [[[tuple(v.shape) for v in each] for each in chain] for chain in own]
        flat = [np.concatenate([np.zeros(0, np.float32), *(np.ravel(v) for each in chain for v in each)]) for chain in own]
        self.sizes = [len(segment) for segment in flat]
        self.starts = np.cumsum([0, *self.sizes])[:-1].tolist()
        self.weights = keras.Variable(np.concatenate(flat), dtype="float32", name=f"paths_{decision.row}")
        self.velocity = keras.Variable(np.zeros(sum(self.sizes)), dtype="float32", trainable=False, name="velocity")
        self.forms: list[tuple[list[Part], list[int]]] = []
        """Branches that are one piece of graph: a chain that stands for all, and their places among the columns."""
        self.inner: list[list[tuple[int, ...]]] = []
        """For each form the places of what its parts read within the branch; −1 is the source."""
        self.shapes: list[list[list[list[tuple[int, ...]]]]] = []
        """For each form, each part and each of its variables the shapes by branch."""
        forms: dict[tuple[Any, ...], list[int]] = {}
        for n, column in enumerate(self.columns):
            forms.setdefault(self._form(net, column), []).append(n)
        for form, members in forms.items():
            self.forms.append((chains[members[0]], members))
            self.inner.append([inputs for inputs, *_ in form])
            self.shapes.append([
                [[shapes[n][p][v] for n in members] for v in range(len(shapes[members[0]][p]))] for p in range(len(form))
            ])

    def _form(self, net: Blueprint, column: int) -> tuple[Any, ...]:
        """What two branches have in common that are one piece of graph."""
        places = self.decision.branches[column]
        inside = {self.decision.source: -1, **{place: n for n, place in enumerate(places)}}
        parts = [net[place] for place in places]
        return tuple(
            (tuple(inside[i] for i in p.inputs), p.kind, p.strides, p.normalized, p.bias, p.activation) for p in parts
        )

    def index(self, column: Any) -> Any:
        """The place of a column, an int32 tensor, among those of the decision; of another column: the first."""
        import tensorflow as tf

        known = [self.columns.index(c) if c in self.columns else 0 for c in range(max(self.columns) + 1)]
        return tf.gather(tf.constant(known, tf.int32), tf.minimum(column, max(self.columns)))

    def bounds(self, column: Any) -> tuple[Any, Any]:
        """Where the segment of a column begins and ends."""
        import tensorflow as tf

        n = self.index(column)
        start = tf.gather(tf.constant(self.starts, tf.int32), n)
        return start, start + tf.gather(tf.constant(self.sizes, tf.int32), n)

    def segment(self, column: Any) -> Any:
        """The weights of a column's branch."""
        import tensorflow as tf

        start, end = self.bounds(column)
        return tf.convert_to_tensor(self.weights.value)[start:end]


class Paths:
    """The graph of such a network. `core` is its Keras model, whose layers are named as its parts are; every normalisation
    is over the batch, by the batch's own statistics."""

    def __init__(self, core: Any, net: Blueprint):
        """Raises `elastic.NotElastic` for layers that can't be run so."""
        self.net = net
        self.layers = elastic.layers_of(core)
        self.decisions = decisions(net)
        self.banks = {d.place: Bank(d, net, self._variables) for d in self.decisions}
        inside = {place for d in self.decisions for branch in d.branches.values() for place in branch}
        self._trunk = [place for place in range(len(net.parts)) if place not in inside]
        self.shared = [v for place in self._trunk for v in self._variables(net[place])] + self._of(HEAD)
        """Keras variables that every path has."""
        self._places = {id(v): n for n, v in enumerate(self.shared)}

    def _variables(self, part: Part) -> list[Any]:
        return [*self._of(part.name), *self._of(f"{part.name}_norm")]

    def _of(self, layer: str) -> list[Any]:
        return list(self.layers[layer].trainable_variables) if layer in self.layers else []

    def segments(self, drawn: Any) -> list[Any]:
        """The weights of the paths that are drawn, int32 [rows], one vector for each decision."""
        return [self.banks[d.place].segment(drawn[d.row]) for d in self.decisions]

    # --- running -----------------------------------------------------------------------------------------

    def one(self, image: Any, drawn: Any, segments: Sequence[Any], shared: Sequence[Any]) -> Any:
        """Logits [b, classes] of the network of one path each: `drawn` is int32 [rows], a column for each row, `segments`
        and `shared` the values of the weights."""
        given = dict(zip((d.place for d in self.decisions), segments, strict=True))
        return self._run(image, lambda d, x: self._switched(d, x, drawn[d.row], given[d.place]), shared)

    def two(self, image: Any, pairs: Any, gates: Any, shared: Sequence[Any]) -> Any:
        """As `one`, for two paths each: `pairs` is int32 [rows, 2]. The first is taken and the second left out, which
        `gates` [rows, 2], ones and zeros, say; their gradient is what each path's output is worth."""
        import tensorflow as tf

        def mixed(d: Decision, x: Any) -> Any:
            taken, left = (
                self._switched(d, x, pairs[d.row, n], self.banks[d.place].segment(pairs[d.row, n])) for n in (0, 1)
            )
            return gates[d.row, 0] * taken + gates[d.row, 1] * tf.stop_gradient(left)

        return self._run(image, mixed, shared)

    def _run(self, image: Any, decide: Callable[[Decision, Any], Any], shared: Sequence[Any]) -> Any:
        def read(layer: str) -> list[Any]:
            return [shared[self._places[id(v)]] for v in self._of(layer)]

        at = {d.place: d for d in self.decisions}
        tensors: dict[int, Any] = {}
        for place in self._trunk:
            part = self.net[place]
            if place in at:
                tensors[place] = decide(at[place], tensors[at[place].source])
            elif part.kind == "input":
                tensors[place] = image
            else:
                tensors[place] = self._part(part, [tensors[i] for i in part.inputs], read)
        kernel, bias = read(HEAD)
        return tensors[self._trunk[-1]] @ kernel + bias

    def _switched(self, decision: Decision, x: Any, column: Any, segment: Any) -> Any:
        """The output of the branch of that column, with the weights of a segment."""
        import tensorflow as tf

        bank = self.banks[decision.place]
        n = bank.index(column)
        made = [self._form(bank, form, x, n, segment) for form in range(len(bank.forms))]
        if len(made) == 1:
            found = made[0]()
        else:
            known = [next(f for f, (_, members) in enumerate(bank.forms) if place in members)
                     for place in range(len(bank.columns))]
            found = tf.switch_case(tf.gather(tf.constant(known, tf.int32), n), made)
        return tf.ensure_shape(found, (None, *self.net[decision.place].shape))

    def _form(self, bank: Bank, form: int, x: Any, n: Any, segment: Any) -> Callable[[], Any]:
        """What runs the branches of a form: the n-th of the bank, with the weights of its segment."""
        import tensorflow as tf

        chain, members = bank.forms[form]

        def made() -> Any:
            nth = tf.gather(tf.constant([members.index(m) if m in members else 0 for m in range(len(bank.columns))]), n)
            inside, end = [x], tf.constant(0)
            for part, inputs, shapes in zip(chain, bank.inner[form], bank.shapes[form], strict=True):
                values = []
                for by_branch in shapes:
                    start, shape = end, tf.gather(tf.constant(by_branch, tf.int32), nth)
                    end = start + tf.reduce_prod(shape)
                    value = tf.reshape(segment[start:end], shape)
                    value.set_shape([None if len(set(sides)) > 1 else sides[0] for sides in zip(*by_branch)])
                    values.append(value)
                kernels = len(self._of(part.name))
                read = {part.name: values[:kernels], f"{part.name}_norm": values[kernels:]}
                inside.append(self._part(part, [inside[i + 1] for i in inputs], read.__getitem__))
            return tf.identity(inside[-1])  # a switch takes no tensor of its surroundings for an output

        return made

    def _part(self, part: Part, xs: list[Any], read: Read) -> Any:
        import tensorflow as tf

        match part.kind:
            case "conv" | "depthwise":
                kernel, *bias = read(part.name)
                if part.kind == "conv":
                    made = tf.nn.conv2d(xs[0], kernel, part.strides, "SAME")
                else:
                    made = tf.nn.depthwise_conv2d(xs[0], kernel, (1, *part.strides, 1), "SAME")
                return elastic.finished(part, made + bias[0] if bias else made, self.layers, read)
            case "add":
                return tf.add_n(xs)
            case "mean":
                return tf.reduce_mean(xs[0], axis=(1, 2))
            case "drop" | "mixture":
                return xs[0]  # a mixture of one input is that
            case "pixels" | "resize":
                return self.layers[part.name](xs[0])
            case _:
                raise elastic.NotElastic(f"{part.name} ({part.kind}) isn't run path by path")
