"""Spaces of genotypes: the decisions that make an architecture, each among a few named options.

A space is the domain of an architecture's parameter `genotype`. In the search every decision is a dimension of its own
(`nas-cell.genotype/0-1`), so samplers see plain categories, and a mutation changes one decision; in the recipe the
decisions stand as one text, in their order, joined by dots. What computes the same is written in one way: `repaired` says
how, and turns any combination of options into a genotype that can be built.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Set
from typing import Any

from automl.catalog.domains import Categorical
from automl.spec.genotype import PARAMETER, SEPARATOR, Genotype

Choices = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Decision:
    """One choice to be made."""

    name: str
    options: Choices
    default: str

    @property
    def domain(self) -> Categorical:
        return Categorical(self.options, self.default)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """An option that a format doesn't take."""

    option: str
    formats: frozenset[str]
    """"tflite:int8"…"""
    modality: str
    """Of the data for which that is so."""
    why: str
    """As a phrase, without the format's name."""


@dataclasses.dataclass(frozen=True)
class Genotypes:
    """All genotypes of a space; a `Domain` of their texts."""

    decisions: tuple[Decision, ...]
    repaired: Callable[[Choices], Choices] = lambda choices: choices
    """Options, one for each decision → the canonical, living genotype that they mean; idempotent."""
    refusals: tuple[Refusal, ...] = ()
    """What is told of single options; of the rest the default genotype tells (`automl.export.convertible`). No default is
    refused."""

    def __post_init__(self) -> None:
        if self.check(self.default):
            raise ValueError(f"default {self.default!r}: {self.check(self.default)}")

    @property
    def default(self) -> str:
        return SEPARATOR.join(d.default for d in self.decisions)

    def check(self, value: Any) -> str | None:
        expected = f"expected {self.describe()}, got {value!r}"
        if not isinstance(value, str):
            return expected
        choices = tuple(value.split(SEPARATOR))
        if len(choices) != len(self.decisions):
            return f"{expected}, of {len(choices)}"
        for decision, choice in zip(self.decisions, choices):
            if choice not in decision.options:
                return f"{expected}: {decision.name} is one of {', '.join(decision.options)}"
        canonical = self.repaired(choices)
        return None if canonical == choices else f"{expected}, which is written {SEPARATOR.join(canonical)!r}"

    def sample(self, rng: random.Random) -> str:
        return self.text(tuple(rng.choice(d.options) for d in self.decisions))

    def neighbour(self, value: str, rng: random.Random) -> str:
        """Another genotype, with one decision made anew (and what follows from it); the same where no decision matters."""
        choices = tuple(value.split(SEPARATOR))
        changes = [(place, option) for place, decision in enumerate(self.decisions) for option in decision.options]
        for place, option in rng.sample(changes, k=len(changes)):
            if (found := self.text((*choices[:place], option, *choices[place + 1 :]))) != value:
                return found
        return value

    def bad_values(self) -> list[Any]:
        return ["no such choice", SEPARATOR.join([self.default, "skip"]), 3, None]

    def describe(self) -> str:
        return f"a genotype of {len(self.decisions)} decisions joined by dots"

    def within(self, formats: Set[str], modality: str) -> tuple[Genotypes, dict[str, str]]:
        """The space without the options that one of the formats refuses, and why by option."""
        gone: dict[str, str] = {}
        for refusal in self.refusals:
            if refusal.modality == modality and (those := sorted(refusal.formats & formats)):
                gone.setdefault(refusal.option, f"can't be given as {those[0]}: {refusal.why}")
        left = tuple(
            dataclasses.replace(d, options=tuple(o for o in d.options if o not in gone)) for d in self.decisions
        )
        return dataclasses.replace(self, decisions=left), gone

    # --- as dimensions of a search ---------------------------------------------------------------------

    def text(self, choices: Choices) -> str:
        """The canonical text of any combination of options."""
        return SEPARATOR.join(self.repaired(choices))

    def split(self, name: str, text: str) -> dict[str, str]:
        """The text as one value for each decision, under the names of their dimensions. `name` is the parameter's
        ("nas-cell.genotype")."""
        return {dimension(name, d): choice for d, choice in zip(self.decisions, text.split(SEPARATOR))}

    def joined(self, name: str, values: Mapping[str, Any]) -> str:
        """The canonical text of the decisions' values; a decision that is missing stands at its default."""
        return self.text(tuple(str(values.get(dimension(name, d), d.default)) for d in self.decisions))


def dimension(name: str, decision: Decision) -> str:
    """The name of a decision's dimension in the search space."""
    return f"{name}/{decision.name}"


def genotype(space: str, text: str) -> Genotype:
    """The text of a domain as the value that stands for itself."""
    return Genotype(space=space, choices=tuple(text.split(SEPARATOR)))


__all__ = ["PARAMETER", "Decision", "Genotypes", "Refusal", "dimension", "genotype"]
