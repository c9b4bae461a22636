"""How a technique of the stage `compress` is tried on a finished model: declared with the technique, carried out by the
ladder (`automl.compression.ladder`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from automl.spec.recipe import ParameterValue

FEWEST_ROWS = 30 * 64
"""What training on goes through at least: 30 steps of 64 rows (`automl.compression.twin_training`)."""
NEEDS: dict[str, str] = {
    "size": "no file meets the limit of size",
    "latency": "the model doesn't meet the limit of latency",
    "precision": "int8 loses too much after training",
    "ensemble": "the model is an ensemble of several networks",
    "width": "fewer channels may do as well",
    "download": "zeros and repeated values make the download smaller",
}
"""What may call for a rung → the reason, for people. The last two are always there."""


@dataclasses.dataclass(frozen=True)
class Rung:
    """A rung of the ladder."""

    target: str
    """"module:function", called in a fresh child process; see `automl.compression.ladder` for request and answer."""
    place: int
    """Smaller ones are tried first."""
    needs: tuple[str, ...]
    """Of `NEEDS`: it is tried where one of them is there. Of none: on request only."""
    shortest_s: float
    """Of one attempt, with the measurement of what it gives; with less time left it isn't begun."""
    longest_s: float = 120.0
    attempts: int = 1
    """How often at most, each from what the last one gave, while the need is there."""
    steps: tuple[Mapping[str, ParameterValue], ...] = ()
    """Parameters of each attempt, where they aren't the technique's own values."""
    rows: int = 0
    """Training rows that it has to go through, some of them more than once, for anything to come of it."""
    unasked: float | None = None
    """Share of the tolerance that it may cost where no limit asks for it: 0 for what must be as good as before. None: it
    isn't tried then."""
    carried_by: tuple[str, ...] = ()
    """Formats ("tflite:int8") whose files alone hold what it makes: it isn't tried where none of them is asked for. Of none:
    all files do."""

    def __post_init__(self) -> None:
        if unknown := set(self.needs) - NEEDS.keys():
            raise ValueError(f"a rung for {sorted(unknown)}: there are {', '.join(NEEDS)}")

    def held(self, formats: Iterable[object]) -> bool:
        """Whether a file of one of these formats (as people write them) would hold what the rung makes."""
        return not self.carried_by or not {str(wanted) for wanted in formats}.isdisjoint(self.carried_by)
