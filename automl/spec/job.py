"""What a user asks for: task, data, limits, budget, how to search, what to return."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from automl.spec.dataset import ColumnKind
from automl.spec.model import Frozen
from automl.spec.recipe import Recipe

Precision = Literal["float32", "float16", "dynamic", "int8", "int16x8"]

STRATEGIES = (
    "auto", "random", "grid", "bayesian", "hyperband", "asha", "evolution", "tpe", "darts", "proxylessnas", "once-for-all",
    "rl-ppo", "rl-rainbow", "mcts-alphazero", "fixed",
)
"""`fixed` evaluates `SearchSettings.recipes` and nothing else (`automl reproduce`)."""


class FormatRequest(Frozen):
    """An artifact wanted, written "tflite:int8" or "saved-model" on the command line."""

    format: str
    precision: Precision = "float32"

    @classmethod
    def parse(cls, text: str) -> FormatRequest:
        """Reads "FORMAT" or "FORMAT:PRECISION". Raises `ValueError` naming what is allowed."""
        name, _, precision = text.partition(":")
        return cls(format=name, precision=precision or "float32")

    def __str__(self) -> str:
        return self.format if self.precision == "float32" and self.format != "tflite" else f"{self.format}:{self.precision}"


class Constraints(Frozen):
    """Upper limits on what is delivered; None is no limit."""

    max_size_bytes: Annotated[int, pydantic.Field(gt=0)] | None = None
    """Of the smallest delivered artifact file."""
    max_latency_ms: Annotated[float, pydantic.Field(gt=0)] | None = None
    """Median of one example, one thread, on the machine that verifies."""
    max_parameters: Annotated[int, pydantic.Field(gt=0)] | None = None
    max_memory_bytes: Annotated[int, pydantic.Field(gt=0)] | None = None
    """Of the activations that are alive at once, for one example, in every .tflite file."""
    device: str = ""
    """Id of the device that the model is for, whose memory bounds it, too; "" is the machine that verifies."""


class Budget(Frozen):
    """When to be done. Wall-clock seconds run from the submission, so upload and export are inside."""

    wall_s: Annotated[float, pydantic.Field(gt=0, le=30 * 86400)] = 600.0
    spent_s: Annotated[float, pydantic.Field(ge=0)] = 0.0
    """Already used when the job was created (hashing and upload), said by the client."""
    max_trials: Annotated[int, pydantic.Field(gt=0, le=100_000)] | None = None


class SearchSettings(Frozen):
    """How to search: the strategy and what the user allows, forbids and forces by technique id."""

    strategy: Literal[
        "auto", "random", "grid", "bayesian", "hyperband", "asha", "evolution", "tpe", "darts", "proxylessnas",
        "once-for-all", "rl-ppo", "rl-rainbow", "mcts-alphazero", "fixed",
    ] = "auto"
    allow: tuple[str, ...] = ()
    """When not empty, only these techniques (and slot defaults) may be proposed."""
    forbid: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    """Values of parameters that the search must not vary, as text, by "technique.parameter" ("dropout.rate": "0.3"). They
    hold wherever the technique or architecture is used; `force` makes it be used."""
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**63)] = 0
    rank_by: Literal["model", "artifact"] = "model"
    """What trials are ranked by: the float model's score, or score, size and latency of the TFLite file that it would
    become, in the narrowest precision asked for."""
    recipes: tuple[Recipe, ...] = ()
    """Tried first; the only ones under `fixed`."""


class DataSettings(Frozen):
    """How the data set is to be read and split."""

    target: str | None = None
    """Column to predict; None for pictures with class folders, and for tables only where inference is certain."""
    split_column: str | None = None
    """A column whose values name the part: train, validation (or val, valid, dev), test."""
    group_column: str | None = None
    """Rows with an equal value here stay in one part."""
    time_column: str | None = None
    """Dates, or numbers that grow with time: the newest rows are the test part, those before them validation."""
    kinds: dict[str, ColumnKind] = {}
    """Overrides of the inferred column kinds, by column name."""
    ignore: tuple[str, ...] = ()
    """Columns that must not be used."""
    test_fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] | None = None
    """Share held out for the final verification; None: 15 %, of many rows 10 %, at most 10,000 rows. Unused with separate
    test data."""


class JobSpec(Frozen):
    """A job, whole. Closed: an unknown field is an error."""

    task: str | None = None
    """A task type's id; None to infer it from data and target."""
    dataset: str
    """Resource name of a data set version."""
    test_dataset: str | None = None
    data: DataSettings = DataSettings()
    metric: str | None = None
    """Metric to optimise; None for the task's own."""
    constraints: Constraints = Constraints()
    budget: Budget = Budget()
    search: SearchSettings = SearchSettings()
    formats: tuple[FormatRequest, ...] = (
        FormatRequest(format="tflite", precision="float32"),
        FormatRequest(format="tflite", precision="float16"),
        FormatRequest(format="tflite", precision="dynamic"),
        FormatRequest(format="tflite", precision="int8"),
        FormatRequest(format="saved-model"),
        FormatRequest(format="keras-file"),
    )
    tolerance: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.01
    """Largest accepted loss of the metric (absolute; for errors, relative) of an artifact against the float model.
    Artifacts beyond it are not returned."""
    display_name: str = ""
