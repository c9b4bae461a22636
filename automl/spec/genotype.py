"""A genotype: an architecture written down as the decisions that made it, in the order of its space.

Two genotypes are the same architecture when their texts are equal: spaces hand out canonical ones only (see
`automl.catalog.genotypes`). The text stands in a recipe as the parameter `genotype` of its architecture, whose id is the
space; with the architecture's other parameters (width, cells, …) it is the whole network.
"""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from automl.spec import model
from automl.spec.model import Frozen
from automl.spec.recipe import Choice

PARAMETER = "genotype"
"""Name of the architecture's parameter that holds a genotype."""
SEPARATOR = "."

Word = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]+$")]


class Genotype(Frozen):
    """One option for each decision of a space. Prints, parses, compares, and hashes by its canonical JSON."""

    space: str
    """Id of the architecture that reads it."""
    choices: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The choices as a recipe has them: "skip.conv3.none"."""
        return SEPARATOR.join(self.choices)

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON."""
        return model.digest(self.to_dict())

    def __str__(self) -> str:
        return f"{self.space}:{self.text}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `str` wrote. Raises `ValueError`."""
        space, colon, choices = text.partition(":")
        if not colon:
            raise ValueError(f'expected a genotype as "space:choice.choice", got {text!r}')
        return cls(space=space, choices=tuple(choices.split(SEPARATOR)))

    @classmethod
    def of(cls, architecture: Choice) -> Self | None:
        """The genotype of a recipe's architecture; None where it has none."""
        text = architecture.params.get(PARAMETER)
        return cls(space=architecture.id, choices=tuple(text.split(SEPARATOR))) if isinstance(text, str) else None
