"""The space of networks inside a largest one: sampled, mutated, judged by a predictor, and searched under limits."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.architectures import nas_mobile
from automl.catalog.blueprint import Blueprint
from automl.nas.elastic import NotElastic, table
from automl.spec import Choice
from automl.spec.genotype import PARAMETER, SEPARATOR

FAMILY = "nas-mobile"
DIMENSIONS = ("kernel", "depth", "expansion", "width", "resolution")
POPULATION, PARENTS, GENERATIONS, CHANCE = 48, 12, 8, 0.15
"""Of the evolution; the chance that a mutation changes a decision."""
PENALTY = 1.0
"""Of the predictor's ridge, on features of 0 and 1."""


@dataclasses.dataclass(frozen=True)
class Space:
    """What may be smaller, and by how much: options ascend, the last one is the largest."""

    shape: tuple[int, int, int]
    stages: int
    kernels: tuple[int, ...]
    depths: tuple[int, ...]
    expansions: tuple[int, ...]
    widths: tuple[int, ...]
    resolutions: tuple[float, ...]

    def largest(self) -> Sub:
        blocks = ((self.kernels[-1], self.expansions[-1]),) * nas_mobile.BLOCKS
        return Sub((self.depths[-1],) * self.stages, (blocks,) * self.stages, self.widths[-1], self.resolutions[-1])

    def sample(self, rng: random.Random, free: Sequence[str] = DIMENSIONS) -> Sub:
        """A network with the `free` dimensions drawn, the others at their largest."""
        def one(name: str, options: Sequence[Any]) -> Any:
            return rng.choice(options) if name in free else options[-1]

        return Sub(
            tuple(one("depth", self.depths) for _ in range(self.stages)),
            tuple(
                tuple((one("kernel", self.kernels), one("expansion", self.expansions)) for _ in range(nas_mobile.BLOCKS))
                for _ in range(self.stages)
            ),
            one("width", self.widths), one("resolution", self.resolutions),
        )

    def smallest(self) -> Sub:
        blocks = ((self.kernels[0], self.expansions[0]),) * nas_mobile.BLOCKS
        return Sub((self.depths[0],) * self.stages, (blocks,) * self.stages, self.widths[0], self.resolutions[0])

    def mutated(self, sub: Sub, rng: random.Random) -> Sub:
        """Each decision is drawn anew by `CHANCE`."""
        other = self.sample(rng)

        def pick(old: Any, new: Any) -> Any:
            return new if rng.random() < CHANCE else old

        return Sub(
            tuple(map(pick, sub.depths, other.depths)),
            tuple(
                tuple((pick(k, k2), pick(e, e2)) for (k, e), (k2, e2) in zip(row, row2))
                for row, row2 in zip(sub.blocks, other.blocks)
            ),
            pick(sub.width, other.width), pick(sub.resolution, other.resolution),
        )

    def crossed(self, a: Sub, b: Sub, rng: random.Random) -> Sub:
        """Each decision from one of two parents."""
        def pick(x: Any, y: Any) -> Any:
            return rng.choice((x, y))

        return Sub(
            tuple(map(pick, a.depths, b.depths)), tuple(tuple(map(pick, x, y)) for x, y in zip(a.blocks, b.blocks)),
            pick(a.width, b.width), pick(a.resolution, b.resolution),
        )

    def features(self, sub: Sub) -> NDArray[np.float64]:
        """0 and 1 for each option of each decision; what a left-out block would have been counts nothing."""
        found: list[float] = []
        for depth, row in zip(sub.depths, sub.blocks):
            found += [float(depth == option) for option in self.depths]
            for n, (kernel, expansion) in enumerate(row):
                found += [float(n < depth and kernel == option) for option in self.kernels]
                found += [float(n < depth and expansion == option) for option in self.expansions]
        found += [float(sub.width == option) for option in self.widths]
        found += [float(sub.resolution == option) for option in self.resolutions]
        return np.array(found)

    @functools.lru_cache(maxsize=4096)  # noqa: B019 — spaces are values, and few
    def network(self, sub: Sub) -> Blueprint:
        return nas_mobile.network(self.shape, genotype=sub.genotype, width=sub.width, resolution=sub.resolution)

    def table(self, sub: Sub) -> NDArray[np.int32]:
        """Its cut of the largest network; raises `NotElastic`."""
        return table(self.network(self.largest()), self.network(sub))

    def fits(self, sub: Sub) -> bool:
        """Whether it is a part of the largest network."""
        try:
            self.table(sub)
        except NotElastic:
            return False
        return True

    def strides(self) -> list[set[int]]:
        """Those that each part of the largest network has at some resolution."""
        found: list[set[int]] = [set() for _ in self.network(self.largest()).parts]
        for resolution in self.resolutions:
            made = dataclasses.replace(self.largest(), resolution=resolution)
            by_name = {part.name: part.strides[0] for part in self.network(made).parts}
            for place, part in enumerate(self.network(self.largest()).parts):
                found[place].add(by_name.get(part.name, part.strides[0]))
        return found

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Space:
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class Sub:
    """A network inside the largest one."""

    depths: tuple[int, ...]
    """Blocks of each stage."""
    blocks: tuple[tuple[tuple[int, int], ...], ...]
    """(kernel, expansion) of each block of each stage, also of those that the depth leaves out."""
    width: int
    resolution: float

    @property
    def genotype(self) -> str:
        rows = [
            [f"k{k}e{e}" if n < depth else nas_mobile.SKIP for n, (k, e) in enumerate(row)]
            for depth, row in zip(self.depths, self.blocks)
        ]
        rows += [[nas_mobile.SKIP] * nas_mobile.BLOCKS] * (nas_mobile.STAGES - len(rows))
        return SEPARATOR.join(option for row in rows for option in row)

    @property
    def choice(self) -> Choice:
        return Choice(id=FAMILY, params={PARAMETER: self.genotype, "width": self.width, "resolution": self.resolution})

    @classmethod
    def of(cls, choice: Choice, stages: int) -> Sub:
        """The network that an architecture's parameters name."""
        rows = nas_mobile.stages_of(tuple(str(choice.params[PARAMETER]).split(SEPARATOR)))[:stages]
        blocks = []
        for row in rows:
            read = [nas_mobile.read(option)[:2] for option in row]
            blocks.append(tuple((read + read[-1:] * nas_mobile.BLOCKS)[: nas_mobile.BLOCKS]))
        return cls(
            tuple(len(row) for row in rows), tuple(blocks), int(choice.params["width"]), float(choice.params["resolution"])
        )


class Predictor:
    """What a network inside the supernet scores, from its decisions: ridge regression on those that were scored."""

    def __init__(self, space: Space, subs: Sequence[Sub], scores: Sequence[float]):
        """At least two networks."""
        self._space = space
        self._x = np.array([space.features(sub) for sub in subs])
        self._y = np.asarray(scores, np.float64)
        self._centre, self._mean = self._x.mean(axis=0), float(self._y.mean())
        x = self._x - self._centre
        self._gram = x.T @ x + PENALTY * np.eye(x.shape[1])
        self._weights = np.linalg.solve(self._gram, x.T @ (self._y - self._mean))

    def __call__(self, sub: Sub) -> float:
        return self._mean + float((self._space.features(sub) - self._centre) @ self._weights)

    def left_out(self) -> NDArray[np.float64]:
        """What it foresees of each of its networks when fitted to the others, but for the means, in closed form."""
        x = self._x - self._centre
        lever = np.einsum("ij,ji->i", x, np.linalg.solve(self._gram, x.T)) + 1 / len(x)
        residual = self._y - self._mean - x @ self._weights
        return self._y - residual / np.maximum(1e-9, 1 - lever)


def evolved(
    space: Space, worth: Callable[[Sub], float], allowed: Callable[[Sub], bool], rng: random.Random,
    start: Sequence[Sub] = (),
) -> list[Sub]:
    """Networks by evolution, the best first: of the largest `worth`, among those that are `allowed`. Empty where none was
    met."""
    known: dict[Sub, float] = {}

    def look(sub: Sub) -> None:
        if sub not in known and space.fits(sub) and allowed(sub):
            known[sub] = worth(sub)

    for sub in (*start, space.smallest()):
        look(sub)
    for _ in range(20 * POPULATION):
        if len(known) >= POPULATION:
            break
        look(space.sample(rng))
    for _ in range(GENERATIONS):
        parents = sorted(known, key=lambda sub: -known[sub])[:PARENTS]
        if not parents:
            return []
        for _ in range(POPULATION // 2):
            look(space.mutated(rng.choice(parents), rng))
            look(space.mutated(space.crossed(rng.choice(parents), rng.choice(parents), rng), rng))
    return sorted(known, key=lambda sub: -known[sub])
