"""What one example will take on this machine, foreseen of a recipe before its network is trained.

- **table**: the network is laid down as a blueprint whose operations were timed one by one (`automl.nas.latency`).
- **estimated**: of other families some networks are built, converted and timed with their initial weights when the job
  begins; another of the same family is taken to need time as it has weights. So is a blueprint some of whose operations
  were never timed, or whose plan's activation is no rectifier.

Neither is a measurement of what is delivered: that is taken when the file is verified.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from automl.catalog import compose, entries, operations
from automl.catalog.devices import Device
from automl.catalog.domains import Categorical
from automl.catalog.operations import Operation, Precision
from automl.catalog.space import Space
from automl.execution.children import ChildFailed, RunInChild
from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES, warm
from automl.nas import expected
from automl.nas.latency import START_S, Table
from automl.search import portfolio, sizing
from automl.search.budget import parameters
from automl.spec import Constraints, FormatRequest, LatencyForeseen, Profile, Recipe
from automl.spec.model import canonical
from automl.spec.recipe import ParameterValue

SAMPLES = 40
"""Genotypes whose operations are timed when a job with a limit begins: a space has many genotypes of few operations."""
TIMED = 0.9
"""A sum counts as the table's when at least so much of it was timed."""
DOUBT = 1.5
"""An estimate may be as far off: it keeps nothing from being trained unless it exceeds the limit by more."""
RECTIFIER = "relu"
TFLITE = ("tflite", "mobile", "microcontroller")
"""Formats whose model is a .tflite file."""


def precision_of(formats: Sequence[FormatRequest]) -> Precision | None:
    """Of the quickest .tflite file asked for; None where there is none."""
    wanted = {f.precision for f in formats if f.format in TFLITE}
    return "int8" if "int8" in wanted else "float32" if wanted else None


class Foresight:
    """Of one job's data and one precision."""

    def __init__(self, table: Table, profile: Profile, precision: Precision):
        self.table = table
        self.precision = precision
        self._profile = profile
        self._known: dict[bytes, LatencyForeseen | None] = {}
        self._references: dict[str, list[tuple[int, float]]] = {}
        """Of families without a blueprint: (weights, ms)."""

    def of(self, recipe: Recipe) -> LatencyForeseen | None:
        """Of a single network; None where nothing tells."""
        key = canonical(recipe.architecture.to_dict()) + str(_activation(recipe)).encode()
        if key not in self._known:
            self._known[key] = self._laid_down(recipe) if _blueprint(recipe) else self._scaled(recipe)
        return self._known[key]

    def least_ms(self, recipe: Recipe) -> float | None:
        """The least that it may take, given how far off what is foreseen may be."""
        found = self.of(recipe)
        if found is None:
            return None
        return found.median_ms if found.source == "table" else found.median_ms / DOUBT

    def operations(self, recipe: Recipe) -> list[Operation]:
        """Of a network laid down as a blueprint."""
        family = entries.architectures[recipe.architecture.id]
        assert family.blueprint is not None
        net = family.blueprint(self._profile, **compose.complete(recipe.architecture, family.params))
        return operations.of_network(net, self._profile.outputs, self.precision)

    def _laid_down(self, recipe: Recipe) -> LatencyForeseen | None:
        found = self.table.roughly(self.operations(recipe))
        if found is None:
            return None
        ms, timed = found
        exact = timed >= TIMED and _activation(recipe) in (None, RECTIFIER)
        return LatencyForeseen(
            recipe=recipe.identity, precision=self.precision, median_ms=ms, source="table" if exact else "estimated",
            machine=self.table.machine,
        )

    def _scaled(self, recipe: Recipe) -> LatencyForeseen | None:
        known, weights = self._references.get(recipe.architecture.id), parameters(recipe, self._profile)
        if not known or not weights:
            return None
        like, ms = min(known, key=lambda one: abs(one[0] - weights))
        return LatencyForeseen(
            recipe=recipe.identity, precision=self.precision, median_ms=ms * weights / max(1, like), source="estimated",
            machine=self.table.machine,
        )

    # --- when a job begins -------------------------------------------------------------------------------------

    def learn(self, space: Space, prepared: str, run_in_child: RunInChild, seconds: float) -> list[str]:
        """Times what most of the space's networks are made of, within so many seconds; what was timed before costs nothing.
        Returns what went wrong, for the log."""
        families = next(d.domain for d in space.dimensions if d.name == "architecture")
        assert isinstance(families, Categorical)
        names = [str(value) for value in families.values]
        faults: list[str] = []
        wanted: list[Operation] = []
        rng = random.Random(0)
        for name in names:
            if entries.architectures[name].blueprint is not None:
                wanted += self.operations(space.recipe(space.complete({"architecture": name}), 0))
                for _ in range(SAMPLES):
                    sampled = space.sample(rng) | {"architecture": name}
                    wanted += self.operations(space.recipe(space.complete(sampled), 0))
        by_hand = [name for name in names if entries.architectures[name].blueprint is None]
        try:
            if wanted:
                self.table.measure(wanted, run_in_child, limit_s=seconds / 2 if by_hand else seconds)
            if by_hand:
                self._time_networks(space, by_hand, prepared, run_in_child, seconds / 2 if wanted else seconds)
        except ChildFailed as error:
            faults.append(f"{error.why}: {error.log[-500:]}")
        self._known.clear()
        return faults

    def exactly(self, recipe: Recipe, run_in_child: RunInChild, seconds: float) -> LatencyForeseen | None:
        """Of a network laid down as a blueprint, with what is missing in the table timed first. Raises `ChildFailed`."""
        if not _blueprint(recipe):
            return None
        self.table.measure(self.operations(recipe), run_in_child, limit_s=seconds)
        self._known.clear()
        return self.of(recipe)

    def _time_networks(
        self, space: Space, families: Sequence[str], prepared: str, run_in_child: RunInChild, seconds: float
    ) -> None:
        """The portfolio's networks of these families, and the families' defaults; the portfolio's first."""
        recipes = [start.recipe for start in portfolio.starts(space, 0) if start.recipe.architecture.id in families]
        there = {recipe.architecture.id for recipe in recipes}
        recipes += [space.recipe(space.complete({"architecture": name}), 0) for name in families if name not in there]
        missing = [recipe for recipe in recipes if self.table.network_ms(self._key(recipe)) is None]
        if missing:
            answer = run_in_child(
                target="automl.nas.timing:networks", timeout_s=START_S + 2 * seconds, preload=warm(), env=CHILD_ENV,
                memory_bytes=CHILD_MEMORY_BYTES,
                request={
                    "recipes": [recipe.to_dict() for recipe in missing], "prepared": prepared, "precision": self.precision,
                    "seconds": seconds,
                },
            )
            timed = {self._key(recipe): ms for recipe, ms in zip(missing, answer["ms"]) if ms is not None}
            self.table.keep_networks(timed)
        for recipe in recipes:
            ms, weights = self.table.network_ms(self._key(recipe)), parameters(recipe, self._profile)
            if ms is not None and weights:
                self._references.setdefault(recipe.architecture.id, []).append((weights, ms))

    def _key(self, recipe: Recipe) -> str:
        """What a whole network is remembered by: architecture and techniques, and the form of the data."""
        p = self._profile
        form = [
            p.image_shape, p.numeric, p.categorical, p.cardinality_max, p.length, p.channels, p.vocabulary, p.ngrams,
            p.outputs,
        ]
        same = recipe.model_copy(update={"seed": 0, "epochs": 1, "batch_size": 1})
        return f"{same.identity} {form} {self.precision}"


class ByMultiplications:
    """Of a device that isn't this machine: estimated from the multiplications of networks laid down as blueprints."""

    def __init__(self, device: Device, profile: Profile, precision: Precision):
        self.device = device
        self.precision = precision
        self._profile = profile

    def of(self, recipe: Recipe) -> LatencyForeseen | None:
        """None of a family whose multiplications only building tells."""
        family = entries.architectures[recipe.architecture.id]
        if family.blueprint is None:
            return None
        net = family.blueprint(self._profile, **compose.complete(recipe.architecture, family.params))
        ms = self.device.estimated_ms(net.headed(self._profile.outputs).macs)
        assert ms is not None, "of a device whose latency is measured there are tables"
        return LatencyForeseen(
            recipe=recipe.identity, precision=self.precision, median_ms=ms, source="estimated", machine=self.device.id
        )

    def least_ms(self, recipe: Recipe) -> float | None:
        """The figure itself: files are judged by the same."""
        found = self.of(recipe)
        return None if found is None else found.median_ms

    def learn(self, space: Space, prepared: str, run_in_child: RunInChild, seconds: float) -> list[str]:
        return []

    def exactly(self, recipe: Recipe, run_in_child: RunInChild, seconds: float) -> LatencyForeseen | None:
        return self.of(recipe)


class Foreseeing(Protocol):
    """What a job asks; see `Foresight`."""

    def of(self, recipe: Recipe) -> LatencyForeseen | None: ...

    def least_ms(self, recipe: Recipe) -> float | None: ...

    def learn(self, space: Space, prepared: str, run_in_child: RunInChild, seconds: float) -> list[str]: ...

    def exactly(self, recipe: Recipe, run_in_child: RunInChild, seconds: float) -> LatencyForeseen | None: ...


def of_device(device: Device, profile: Profile, formats: Sequence[FormatRequest], cache: Path) -> Foreseeing | None:
    """What foresees the latency of the quickest .tflite file on a device; None where none is asked for."""
    precision = precision_of(formats)
    if precision is None:
        return None
    if device.latency == "estimated":
        return ByMultiplications(device, profile, precision)
    return Foresight(Table.here(cache), profile, precision)


def aims(
    device: Device, constraints: Constraints, formats: Sequence[FormatRequest], cache: Path
) -> dict[str, ParameterValue]:
    """The limits as the settings of a supernet's process, which weighs what its choices are expected to cost against them
    (`automl.nas.expected`): as much below them as candidates have to stay."""
    found: dict[str, ParameterValue] = {}
    precision = precision_of(formats)
    if constraints.max_latency_ms is not None and precision is not None:
        found = {
            f"{expected.MAX}ms": sizing.LATENCY_MARGIN * constraints.max_latency_ms, expected.CACHE: str(cache),
            expected.DEVICE: device.id, expected.PRECISION: precision,
        }
    weights = constraints.max_parameters
    if (file_bytes := sizing.limit_file_bytes(constraints, tuple(formats))) is not None:
        found[f"{expected.MAX}bytes"] = file_bytes
    else:
        weights = sizing.limit_parameters(constraints, tuple(formats))
    if weights is not None:
        found[f"{expected.MAX}parameters"] = weights
    return found


def _blueprint(recipe: Recipe) -> bool:
    return entries.architectures[recipe.architecture.id].blueprint is not None


def _activation(recipe: Recipe) -> str | None:
    """The recipe's technique in the slot of activations."""
    slots = {c.id: entries.techniques[c.id].slot for c in recipe.techniques if c.id in entries.techniques}
    return next((id for id, slot in slots.items() if slot == "activation"), None)
