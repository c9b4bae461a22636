"""A recipe: one candidate, whole. With the prepared data it is all that a worker needs to train the same model again."""

from __future__ import annotations

from typing import Annotated

import pydantic

from automl.spec import model
from automl.spec.model import Frozen, Json

ParameterValue = bool | int | float | str


class Choice(Frozen):
    """A catalogue entry with values for its parameters."""

    id: str
    params: dict[str, ParameterValue] = {}


class Recipe(Frozen):
    """Architecture, techniques with their parameters (the learning rate is the optimizer's), batch size, epochs and seed.

    Two recipes are the same candidate when their `identity` is equal; the seed is part of it. An ensemble is its first
    member's recipe with the others in `members`.
    """

    version: int = 1
    task: str
    architecture: Choice
    techniques: tuple[Choice, ...] = ()
    """In no particular order: the catalogue applies them by stage. Kept sorted by id."""
    batch_size: Annotated[int, pydantic.Field(ge=1, le=65536)] = 128
    epochs: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 30
    """Of a full-fidelity training; the learning-rate schedule spans these."""
    seed: int = 0
    fold: Annotated[str, pydantic.Field(pattern=r"^\d{1,4}/\d{1,4}$")] | None = None
    """"2/5": trained on train+validation without the third of five folds, which it is validated on."""
    members: tuple[Recipe, ...] = ()
    """The other members of an ensemble, whose outputs are averaged with this one's; they have no members themselves."""

    @pydantic.field_validator("members")
    @classmethod
    def _flat(cls, value: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        if any(member.members for member in value):
            raise ValueError("a member of an ensemble can't be an ensemble")
        return value

    @pydantic.field_validator("techniques")
    @classmethod
    def _sorted(cls, value: tuple[Choice, ...]) -> tuple[Choice, ...]:
        ids = [choice.id for choice in value]
        if len(set(ids)) != len(ids):
            raise ValueError(f"a technique may appear once, got {sorted(ids)}")
        return tuple(sorted(value, key=lambda choice: choice.id))

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON."""
        return model.digest(self.to_dict())

    @property
    def lineage(self) -> str:
        """The identity but for the number of epochs."""
        return self.changed(epochs=1).identity

    @property
    def single(self) -> tuple[Recipe, ...]:
        """Every member as a recipe of its own; the recipe alone where it is no ensemble."""
        return (self.model_copy(update={"members": ()}), *self.members)

    @property
    def part(self) -> str:
        """The rows that it is trained on (see `automl.data.prepared.Part`)."""
        return "train" if self.fold is None else f"fold:{self.fold}"

    def canonical_json(self) -> bytes:
        return model.canonical(self.to_dict())

    def has(self, technique: str) -> bool:
        return any(choice.id == technique for choice in self.techniques)

    def params_of(self, technique: str) -> dict[str, Json] | None:
        """Parameters of a technique in this recipe, None when it isn't there."""
        return next((choice.params for choice in self.techniques if choice.id == technique), None)
