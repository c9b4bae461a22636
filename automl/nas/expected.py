"""What a network that isn't decided yet is expected to cost, and which way its choices would have to go to cost less.

Where what stands on one decision doesn't change the shapes of the others, a network's cost is a sum: of what is always
there, and of each decision's path. Then the expectation over independent choices is

    E = base + Σ_rows Σ_columns p F

exactly, differentiable in the probabilities p (ProxylessNAS, §3.3). The table F comes from the costs of whole networks that
differ in one decision, so whatever prices a network prices its paths: milliseconds by a table of timed operations
(`automl.nas.latency`), or by multiplications for another device; bytes of the int8 file; weights.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import devices, operations
from automl.catalog.blueprint import Blueprint
from automl.catalog.footprint import footprint
from automl.execution.children import ChildFailed, run_in_child
from automl.nas.latency import Table
from automl.spec.recipe import ParameterValue
from automl.spec.supernet import COSTS

Price = Callable[[Blueprint], float]
MILD = 0.01
"""Below its limit a cost counts by as much of what it counts above: of equally good paths the cheaper one. A tenth was more
than what some hundred batches say of the paths, and the smallest network was found whatever the limit."""
MAX = "max-"
"""Settings of that name are limits, by unit: "max-ms", "max-bytes", "max-parameters"."""
CACHE, DEVICE, PRECISION = "latency-cache", "latency-device", "latency-precision"
"""Settings: the folder of the latency tables, the device's id, the precision of the file that is meant."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Expected:
    """The cost of one unit."""

    unit: str
    limit: float
    source: str
    """Of the figures: "table", "estimated", or "" for what follows from the blueprint exactly."""
    base: float
    paths: NDArray[np.float64]
    """F [rows, columns]; may be negative, since `base` belongs to a network that has a path on each row."""

    def of(self, p: NDArray[np.float64]) -> float:
        """Expectation under the probabilities [rows, columns]."""
        return self.base + float((p * self.paths).sum())

    def penalty(self, p: NDArray[np.float64]) -> float:
        """log(E / limit), of which `MILD` counts where E is below the limit."""
        excess = float(np.log(self.of(p) / self.limit))
        return excess if excess > 0 else MILD * excess

    def pull(self, p: NDArray[np.float64], two: NDArray[np.int32]) -> NDArray[np.float64]:
        """The gradient of the penalty in the logits of two columns of each row [rows, 2], along the moves that keep the
        probabilities of the other columns (see `automl.nas.gates`)."""
        whole = self.of(p)
        slope = (1.0 if whole > self.limit else MILD) / whole
        at = two.astype(np.int64)
        chances, costs = np.take_along_axis(p, at, axis=1), np.take_along_axis(self.paths, at, axis=1)
        within = chances / np.maximum(1e-30, chances.sum(axis=1, keepdims=True))
        return np.asarray(slope * chances * (costs - (within * costs).sum(axis=1, keepdims=True)))

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "paths": self.paths.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Expected:
        return cls(**{**data, "paths": np.asarray(data["paths"], np.float64)})


def priced(
    laid_down: Callable[[Sequence[int]], Blueprint], allowed: NDArray[np.bool_], price: Price
) -> tuple[float, NDArray[np.float64]]:
    """(base, paths) of a space: `laid_down(columns)` is the network of one column for each row."""
    like = [int(np.argmax(row)) for row in allowed]
    base, paths = price(laid_down(like)), np.zeros(allowed.shape)
    for row, column in zip(*np.nonzero(allowed)):
        if column != like[row]:
            paths[row, column] = price(laid_down([*like[:row], int(column), *like[row + 1 :]])) - base
    return base, paths


def of_settings(
    settings: Mapping[str, ParameterValue], laid_down: Callable[[Sequence[int]], Blueprint], allowed: NDArray[np.bool_],
    outputs: int, seconds: float,
) -> list[Expected]:
    """One for each limit that the settings name; at most `seconds` are spent on timing operations that no table knows. A
    limit of latency that nothing prices is left out, and `unpriced` says so."""
    found = []
    for unit in COSTS:
        if f"{MAX}{unit}" not in settings:
            continue
        limit = float(settings[f"{MAX}{unit}"])
        if unit == "ms":
            if (how := _latency(settings, laid_down, allowed, outputs, seconds)) is None:
                continue
            price, source = how
        else:
            price, source = _of_blueprint(unit, outputs), ""
        found.append(Expected(unit, limit, source, *priced(laid_down, allowed, price)))
    return found


def within(settings: Mapping[str, ParameterValue], outputs: int) -> Callable[[Blueprint], bool]:
    """Whether a network meets the limits that the settings name, as far as that is foreseen without timing anything."""
    limits = {unit: float(settings[f"{MAX}{unit}"]) for unit in COSTS if f"{MAX}{unit}" in settings}
    prices: dict[str, Callable[[Blueprint], float | None]] = {
        unit: _estimated(settings, outputs) or _foreseen(settings, outputs) if unit == "ms" else _of_blueprint(unit, outputs)
        for unit in limits
    }

    def meets(net: Blueprint) -> bool:
        costs = {unit: price(net) for unit, price in prices.items()}
        return all(cost is None or cost <= limits[unit] for unit, cost in costs.items())

    return meets


def unpriced(settings: Mapping[str, ParameterValue], found: Sequence[Expected]) -> list[str]:
    """Units with a limit of which nothing is expected."""
    return [u for u in COSTS if f"{MAX}{u}" in settings and all(e.unit != u for e in found)]


def _of_blueprint(unit: str, outputs: int) -> Price:
    def price(net: Blueprint) -> float:
        costs = footprint(net, outputs)
        return float(costs.int8_bytes if unit == "bytes" else costs.parameters)

    return price


def _latency(
    settings: Mapping[str, ParameterValue], laid_down: Callable[[Sequence[int]], Blueprint], allowed: NDArray[np.bool_],
    outputs: int, seconds: float,
) -> tuple[Price, str] | None:
    """What prices latency, and where its figures come from; None where nothing does."""
    if (estimated := _estimated(settings, outputs)) is not None:
        return estimated, "estimated"
    precision, table = _precision(settings), Table.here(Path(str(settings[CACHE])))
    wanted: list[operations.Operation] = []

    def listed(net: Blueprint) -> float:
        wanted.extend(operations.of_network(net, outputs, precision))
        return 0.0

    priced(laid_down, allowed, listed)
    try:
        table.measure(wanted, run_in_child, limit_s=seconds)
    except ChildFailed as error:
        _log.warning("latency tables: %s %s", error, error.log)
    missing = table.missing(wanted)
    if table.call_us is None or any(table.like(operation) is None for operation in missing):
        return None

    def by_table(net: Blueprint) -> float:
        found = table.roughly(operations.of_network(net, outputs, precision))
        assert found is not None, "all that such networks are made of is known or has its like"
        return found[0]

    return by_table, "estimated" if missing else "table"


def _estimated(settings: Mapping[str, ParameterValue], outputs: int) -> Price | None:
    """Latency by multiplications, of a device that isn't this machine; None of one with tables."""
    device = devices.devices[str(settings[DEVICE])]
    if device.latency != "estimated":
        return None
    return lambda net: device.estimated_ms(net.headed(outputs).macs) or 0.0


def _foreseen(settings: Mapping[str, ParameterValue], outputs: int) -> Callable[[Blueprint], float | None]:
    """Latency by what the table holds so far, and its like; None where nothing tells."""
    precision, table = _precision(settings), Table.here(Path(str(settings[CACHE])))

    def price(net: Blueprint) -> float | None:
        found = table.roughly(operations.of_network(net, outputs, precision))
        return None if found is None else found[0]

    return price


def _precision(settings: Mapping[str, ParameterValue]) -> operations.Precision:
    return "int8" if settings[PRECISION] == "int8" else "float32"
