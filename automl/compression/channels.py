"""Which channels of a Keras 3 model belong together, and the same model without some of them.

A channel that one layer makes is read by others: who removes it there has to remove it everywhere. So each output of each
layer gets a number for each of its channels (its last axis), and the graph is walked once: a dense layer or convolution
makes new channels; activations, pools and normalisations pass theirs on; whatever adds tensors makes their channels one;
`Flatten` repeats them for each place; `Concatenate` puts them side by side. Channels that meet become one *group*
(union–find), and a group is removed as a whole: from the kernels that make it, from the normalisations behind them, and from
the rows of the kernels that read it. What enters the model or leaves it, and what a layer touches that isn't known here
(attention, recurrence, embeddings, this project's own layers), is pinned and stays.

This is the dependency graph of DepGraph (Fang et al., arXiv:2301.12900) for the layers that Keras has.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.spec import AutoMLError

Ids = NDArray[np.int64]

MAKERS = frozenset({"Dense", "Conv1D", "Conv2D", "SeparableConv1D", "SeparableConv2D"})
"""Layers that make channels of their own; their first weight's last axis, or the pointwise kernel's, are these."""
SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})
NORMS = frozenset({"BatchNormalization", "LayerNormalization", "RMSNormalization"})
"""One entry for each channel in every weight. Those that look across channels see fewer of them afterwards."""
PASSING = frozenset({
    "ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
    "AlphaDropout", "ActivityRegularization", "Identity", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D",
    "AveragePooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D",
})
MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})
MIXING_ACTIVATIONS = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})
"""Functions that look across channels."""
FEWEST = 2
"""Channels that a layer keeps at least."""


class NothingToCut(AutoMLError):
    """The model has no channels that can be removed."""

    reason = "NOTHING_TO_CUT"


@dataclasses.dataclass
class Place:
    """A layer with the channels that it reads and makes (of all its calls: they are one)."""

    layer: Any
    takes: Ids
    gives: Ids
    positions: int
    """Places of the output at which the kernel is applied: 1 of a dense layer, h · w of a convolution."""


@dataclasses.dataclass(frozen=True)
class Cost:
    parameters: float
    macs: float
    """Multiply-accumulates for one example."""

    def of(self, what: str) -> float:
        return self.parameters if what == "parameters" else self.macs


class Channels:
    """The channels of a functional model. Raises `NothingToCut` for other models, and for ensembles (nested models)."""

    def __init__(self, model: Any):
        import keras

        if not hasattr(model, "_nodes_by_depth"):
            raise NothingToCut(f"{model.name}: only functional models can be cut, this is a {type(model).__name__}")
        if any(isinstance(layer, keras.Model) for layer in model.layers):
            raise NothingToCut("the model is an ensemble of several networks: it is made smaller by distillation")
        self.model = model
        self.left_whole: dict[str, int] = {}
        """Kinds of layers that aren't known here, whose channels therefore stay, with how many there are."""
        self._parents: list[int] = []
        self._pinned: list[Ids] = []
        self._places: dict[int, Place] = {}
        self._walk()
        roots = np.asarray([self._root(i) for i in range(len(self._parents))], np.int64)
        pinned = np.unique(np.concatenate([roots[ids] for ids in self._pinned]))
        self.places = [
            dataclasses.replace(p, takes=roots[p.takes], gives=roots[p.gives]) for p in self._places.values()
        ]
        made = [p.gives for p in self.places if type(p.layer).__name__ in MAKERS]
        found = np.unique(np.concatenate(made)) if made else np.zeros(0, np.int64)
        self.groups: Ids = np.setdiff1d(found, pinned)
        """The channels that may be removed."""
        self.parts: dict[int, tuple[str, ...]] = self._parts()
        """Group → the layers that make it, which share one number of channels."""

    # --- the analysis --------------------------------------------------------------------------

    def _walk(self) -> None:
        tensors: dict[int, Ids] = {}
        for tensor in self.model.inputs:
            tensors[id(tensor)] = self._pin(self._fresh(int(tensor.shape[-1] or 1)))
        for depth in sorted(self.model._nodes_by_depth, reverse=True):
            for node in self.model._nodes_by_depth[depth]:
                if node.is_input or not node.outputs or id(node.outputs[0]) in tensors:
                    continue
                given = [(t, tensors[id(t)]) for t in node.arguments.keras_tensors]
                gives = self._step(node.operation, given, node.outputs)
                for tensor, ids in zip(node.outputs, gives, strict=True):
                    tensors[id(tensor)] = ids
        for tensor in self.model.outputs:
            self._pin(tensors[id(tensor)])

    def _step(self, layer: Any, given: list[tuple[Any, Ids]], outputs: list[Any]) -> list[Ids]:
        kind, stock = type(layer).__name__, type(layer).__module__.startswith("keras.")
        tensor, ids = given[0]
        known = stock and len(outputs) == 1 and getattr(layer, "data_format", "channels_last") != "channels_first"
        if known and kind in MAKERS and len(given) == 1 and getattr(layer, "groups", 1) == 1 and (
            kind not in SEPARABLE or layer.depth_multiplier == 1
        ):
            place = self._place(layer, ids, lambda: self._fresh(int(outputs[0].shape[-1])), outputs[0])
            return [self._through(layer, place.gives)]
        if known and kind in DEPTHWISE and layer.depth_multiplier == 1:
            return [self._through(layer, self._place(layer, ids, lambda: ids, outputs[0]).gives)]
        if known and kind in NORMS and _last_axis(layer, len(tensor.shape)):
            return [self._place(layer, ids, lambda: ids, outputs[0]).gives]
        if known and kind in PASSING:
            return [ids]
        if known and kind == "Activation":
            return [self._through(layer, ids)]
        if known and kind == "Rescaling" and np.ndim(layer.scale) == np.ndim(layer.offset) == 0:
            return [ids]
        if known and kind in MERGES:
            return [self._merged(given, int(outputs[0].shape[-1]))]
        if known and kind == "Concatenate":
            return [self._concatenated(layer, given)]
        found = _reshaped(tensor.shape, outputs[0].shape, ids) if known and kind in ("Flatten", "Reshape") else None
        if found is not None:
            self._place(layer, ids, lambda: found, outputs[0])
            return [found]
        for _, other in given:
            self._pin(other)
        if any(len(w.shape) >= 2 for w in layer.weights):
            self.left_whole[kind] = self.left_whole.get(kind, 0) + 1
        return [self._pin(self._fresh(int(t.shape[-1] or 1) if len(t.shape) else 1)) for t in outputs]

    def _place(self, layer: Any, takes: Ids, gives: Any, output: Any) -> Place:
        """The layer's place; a further call of a layer makes the channels of both calls one."""
        known = self._places.get(id(layer))
        if known is None:
            places = math.prod(int(s or 1) for s in output.shape[1:-1])
            self._places[id(layer)] = known = Place(layer, takes, gives(), places)
        else:
            self._unite(known.takes, takes)
            known.positions += math.prod(int(s or 1) for s in output.shape[1:-1])
        return known

    def _through(self, layer: Any, ids: Ids) -> Ids:
        """Channels behind a layer's activation."""
        function = getattr(layer, "activation", None)
        if getattr(function, "__name__", type(function).__name__) in MIXING_ACTIVATIONS:
            self._pin(ids)
        return ids

    def _merged(self, given: list[tuple[Any, Ids]], width: int) -> Ids:
        wide = [ids for _, ids in given if len(ids) == width]
        for other in wide[1:]:
            self._unite(wide[0], other)
        for _, ids in given:
            if len(ids) != width:
                self._pin(ids)  # One channel that is spread over all.
        return wide[0]

    def _concatenated(self, layer: Any, given: list[tuple[Any, Ids]]) -> Ids:
        rank = len(given[0][0].shape)
        if layer.axis % rank == rank - 1:
            return np.concatenate([ids for _, ids in given])
        for _, ids in given[1:]:
            self._unite(given[0][1], ids)
        return given[0][1]

    def _fresh(self, count: int) -> Ids:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def _pin(self, ids: Ids) -> Ids:
        self._pinned.append(ids)
        return ids

    def _root(self, i: int) -> int:
        while self._parents[i] != i:
            self._parents[i] = self._parents[self._parents[i]]
            i = self._parents[i]
        return i

    def _unite(self, some: Ids, others: Ids) -> None:
        for a, b in zip(some, others, strict=True):
            self._parents[self._root(int(b))] = self._root(int(a))

    def _parts(self) -> dict[int, tuple[str, ...]]:
        makers: dict[int, list[str]] = {int(g): [] for g in self.groups}
        for place in self.places:
            if type(place.layer).__name__ in MAKERS:
                for group in np.intersect1d(place.gives, self.groups):
                    makers[int(group)].append(place.layer.name)
        return {group: tuple(names) for group, names in makers.items()}

    # --- what it costs -------------------------------------------------------------------------

    def kept(self, removed: Ids) -> Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """For each layer with a place the masks of what it goes on reading and making."""
        gone = set(removed.tolist())
        mask = np.vectorize(lambda i: i not in gone, otypes=[bool])
        return {p.layer.name: (mask(p.takes), mask(p.gives)) for p in self.places}

    def cost(self, removed: Ids) -> Cost:
        """Of the layers that have channels here: makers, depthwise convolutions and normalisations."""
        parameters = macs = 0.0
        kept = self.kept(removed)
        for place in self.places:
            kind = type(place.layer).__name__
            takes, gives = (int(m.sum()) for m in kept[place.layer.name])
            bias = gives * bool(getattr(place.layer, "use_bias", False))
            if kind in NORMS:
                parameters += gives * len(place.layer.weights)
                continue
            if kind in ("Flatten", "Reshape"):
                continue
            window = math.prod(getattr(place.layer, "kernel_size", (1,)))
            weights = window * gives if kind in DEPTHWISE else window * takes * gives
            if kind in SEPARABLE:
                weights = window * takes + takes * gives
            parameters += weights + bias
            macs += weights * place.positions
        return Cost(parameters, macs)

    def fewest(self, order: Ids, what: str, most: float) -> Ids:
        """The first groups of `order` (the least important first) whose removal brings the cost to at most `most`; all that
        may go when they don't suffice. Each layer keeps `FEWEST` channels and a tenth of its own."""
        allowed = self._allowed(order)
        low, high = 0, len(allowed)
        while low < high:
            middle = (low + high) // 2
            if self.cost(allowed[:middle]).of(what) <= most:
                high = middle
            else:
                low = middle + 1
        return allowed[:low]

    def _allowed(self, order: Ids) -> Ids:
        left: dict[tuple[str, ...], int] = {}
        for group in self.groups:
            left[self.parts[int(group)]] = left.get(self.parts[int(group)], 0) + 1
        floors = {part: max(FEWEST, math.ceil(0.1 * count)) for part, count in left.items()}
        chosen = []
        for group in order:
            part = self.parts[int(group)]
            if left[part] > floors[part]:
                left[part] -= 1
                chosen.append(int(group))
        return np.asarray(chosen, np.int64)

    # --- the smaller model ---------------------------------------------------------------------

    def without(self, removed: Ids) -> Any:
        """A new model without these groups, with the weights that are left. The model given stays as it is."""
        import keras

        kept = self.kept(removed)
        places = {p.layer.name: p for p in self.places}

        def resized(layer: Any) -> Any:
            config = layer.get_config()
            if layer.name in places:
                gives = kept[layer.name][1]
                kind = type(layer).__name__
                if kind == "Dense":
                    config["units"] = int(gives.sum())
                elif kind in MAKERS:
                    config["filters"] = int(gives.sum())
                elif kind == "Reshape":
                    config["target_shape"] = (*config["target_shape"][:-1], int(gives.sum()))
            return type(layer).from_config(config)

        plain = keras.Model(self.model.input, self.model.output, name=self.model.name)
        smaller = keras.models.clone_model(plain, clone_function=resized)
        for layer in self.model.layers:
            place = places.get(layer.name)
            weights = layer.get_weights()
            if place is not None and weights:
                weights = _cut(type(layer).__name__, weights, *kept[layer.name])
            if weights:
                smaller.get_layer(layer.name).set_weights(weights)
        return smaller

    # --- importance ----------------------------------------------------------------------------

    def spread(self, values: Iterator[tuple[str, NDArray[Any]]]) -> dict[int, float]:
        """Sums values of layers' outputs, (layer's name, [channels]), for each group."""
        places = {p.layer.name: p for p in self.places}
        total = dict.fromkeys((int(g) for g in self.groups), 0.0)
        for name, value in values:
            for group, share in zip(places[name].gives, value, strict=True):
                if int(group) in total:
                    total[int(group)] += float(share)
        return total


def _last_axis(layer: Any, rank: int) -> bool:
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return [int(a) % rank for a in axis] == [rank - 1]


def _reshaped(old: tuple[Any, ...], new: tuple[Any, ...], ids: Ids) -> Ids | None:
    """Channels behind a reshape that keeps the last axis, or spreads all places out side by side; None for others."""
    before, after = old[1:], new[1:]
    if None in before or None in after or not before:
        return None
    if after and after[-1] == before[-1]:
        return ids
    if len(after) == 1 and after[0] == math.prod(before):
        return np.tile(ids, math.prod(before[:-1]))
    return None


def _cut(kind: str, weights: list[NDArray[Any]], takes: NDArray[np.bool_], gives: NDArray[np.bool_]) -> list[NDArray[Any]]:
    """A layer's weights for the channels that are left."""
    if kind in NORMS:
        return [w[gives] for w in weights]
    if kind in DEPTHWISE:
        return [weights[0][..., takes, :], *(b[gives] for b in weights[1:])]
    if kind in SEPARABLE:
        return [weights[0][..., takes, :], weights[1][..., takes, :][..., gives], *(b[gives] for b in weights[2:])]
    return [weights[0][..., takes, :][..., gives], *(b[gives] for b in weights[1:])]
