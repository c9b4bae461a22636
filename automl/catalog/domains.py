"""Domains of parameters. One declaration gives the search space, the check of a value, its error, and a bad value for
tests."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from automl.spec.recipe import ParameterValue


class Domain(Protocol):
    """The values that a parameter may take."""

    @property
    def default(self) -> ParameterValue: ...

    def check(self, value: Any) -> str | None:
        """None when the value lies in the domain, else what was expected and what came."""

    def sample(self, rng: random.Random) -> ParameterValue:
        """A value drawn uniformly (or log-uniformly) from the domain."""

    def bad_values(self) -> list[Any]:
        """Values outside the domain, for tests."""

    def describe(self) -> str:
        """The domain as people write it: "[0, 0.3]", "{a, b}"."""


@runtime_checkable
class Structured(Protocol):
    """A domain that knows the neighbours of its values itself."""

    def neighbour(self, value: Any, rng: random.Random) -> ParameterValue: ...


@dataclasses.dataclass(frozen=True)
class Float:
    """A real number in a closed interval; `log` makes the search uniform in its logarithm."""

    low: float
    high: float
    default: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high or (self.log and self.low <= 0):
            raise ValueError(f"default {self.default} outside {self.describe()}, or a log scale that touches 0")

    def check(self, value: Any) -> str | None:
        sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return None if sound and self.low <= value <= self.high else f"expected a number in {self.describe()}, got {value!r}"

    def sample(self, rng: random.Random) -> float:
        if self.log:
            return min(self.high, max(self.low, math.exp(rng.uniform(math.log(self.low), math.log(self.high)))))
        return rng.uniform(self.low, self.high)

    def bad_values(self) -> list[Any]:
        return [self.low - 1, self.high + 1, math.nan, "x", None]

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]" + (" log" if self.log else "")


@dataclasses.dataclass(frozen=True)
class Int:
    """A whole number in a closed interval, in steps; `log` makes the search uniform in its logarithm."""

    low: int
    high: int
    default: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        if self.check(self.default) or (self.log and self.low <= 0):
            raise ValueError(f"default {self.default} outside {self.describe()}, or a log scale that touches 0")

    def check(self, value: Any) -> str | None:
        sound = isinstance(value, int) and not isinstance(value, bool)
        on_grid = sound and self.low <= value <= self.high and (value - self.low) % self.step == 0
        return None if on_grid else f"expected a whole number in {self.describe()}, got {value!r}"

    def sample(self, rng: random.Random) -> int:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high + 1)))
            return self.snap(value)
        return rng.randrange(self.low, self.high + 1, self.step)

    def snap(self, value: float) -> int:
        """The nearest value of the domain."""
        steps = round((min(self.high, max(self.low, value)) - self.low) / self.step)
        return self.low + self.step * min(steps, (self.high - self.low) // self.step)

    def bad_values(self) -> list[Any]:
        return [self.low - 1, self.high + self.step, self.low + 0.5, "x", None]

    def describe(self) -> str:
        return f"[{self.low}, {self.high}]" + (f" step {self.step}" if self.step > 1 else "") + (" log" if self.log else "")


@dataclasses.dataclass(frozen=True)
class Categorical:
    """One of a few named values."""

    values: tuple[ParameterValue, ...]
    default: ParameterValue

    def __post_init__(self) -> None:
        if self.default not in self.values:
            raise ValueError(f"default {self.default!r} is none of {self.describe()}")

    def check(self, value: Any) -> str | None:
        same = any(value == v and type(value) is type(v) for v in self.values)
        return None if same else f"expected one of {self.describe()}, got {value!r}"

    def sample(self, rng: random.Random) -> ParameterValue:
        return rng.choice(self.values)

    def bad_values(self) -> list[Any]:
        return ["no such value", -12345.5, None]

    def describe(self) -> str:
        return "{" + ", ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in self.values) + "}"


@dataclasses.dataclass(frozen=True)
class Text:
    """A text that only a user can choose, checked by a function of its own. A search takes it as it is set."""

    default: str
    fault: Callable[[str], str | None]
    """What is wrong with a text, None where nothing is."""
    meaning: str
    """What the text is, for people: "an expression"."""

    def __post_init__(self) -> None:
        if found := self.fault(self.default):
            raise ValueError(f"default {self.default!r}: {found}")

    def check(self, value: Any) -> str | None:
        return self.fault(value) if isinstance(value, str) else f"expected {self.meaning}, got {value!r}"

    def sample(self, rng: random.Random) -> str:
        return self.default

    def bad_values(self) -> list[Any]:
        return [None, 1.5, True]

    def describe(self) -> str:
        return self.meaning


def parsed(domain: Domain, text: str) -> Any:
    """The value that a text means in a domain, to be checked there; the text itself where it means none."""
    if isinstance(domain, Categorical):
        return next((v for v in domain.values if text == (str(v).lower() if isinstance(v, bool) else str(v))), text)
    if isinstance(domain, Float | Int):
        try:
            return int(text) if isinstance(domain, Int) else float(text)
        except ValueError:
            return text
    return text


def Bool(default: bool) -> Categorical:
    """Yes or no."""
    return Categorical((False, True), default)


def neighbour(domain: Domain, value: ParameterValue, rng: random.Random, scale: float = 0.2) -> ParameterValue:
    """A value near `value`: a Gaussian step of `scale` × the range (in logs where the domain is), another category."""
    if isinstance(domain, Text):
        return value
    if isinstance(domain, Categorical):
        others = [v for v in domain.values if v != value]
        return rng.choice(others) if others else value
    if isinstance(domain, Float | Int):
        assert isinstance(value, int | float)
        low, high = (math.log(domain.low), math.log(domain.high)) if domain.log else (domain.low, domain.high)
        here = math.log(value) if domain.log else value
        step = min(high, max(low, here + rng.gauss(0, scale * (high - low))))
        new = math.exp(step) if domain.log else step
        if isinstance(domain, Int):
            snapped = domain.snap(new)
            if snapped == value and domain.high > domain.low:
                direction = rng.choice((-1, 1))
                snapped = domain.snap(value + direction * domain.step)
            return snapped
        return min(domain.high, max(domain.low, new))
    if isinstance(domain, Structured):
        return domain.neighbour(value, rng)
    raise TypeError(f"no neighbourhood is defined for {type(domain).__name__}")
