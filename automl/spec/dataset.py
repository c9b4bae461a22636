"""What is known of a data set: the inspection of a version (no target chosen yet), its findings, and a task's profile."""

from __future__ import annotations

import enum
from typing import Literal

from automl.spec.model import Frozen


class ColumnKind(enum.StrEnum):
    """What a column holds, as the product treats it. Users override the inferred kind by name."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"
    CONSTANT = "constant"
    """One value only: never a feature."""
    ID = "id"
    """Nearly every value different and no order to learn from: never a feature."""


class Modality(enum.StrEnum):
    """The form of one example."""

    TABLE = "table"
    IMAGE = "image"
    TEXT = "text"
    SERIES = "series"


LABELLED_FORMS = frozenset({"text-folder"})
"""Forms of tables whose column "label" is the target by itself: the folders that texts lie in name their classes."""


class Severity(enum.StrEnum):
    INFO = "info"
    WARNING = "warning"


class Finding(Frozen):
    """Something the checks noticed that a person should know: missing values, a leak, duplicates…"""

    check: str
    """The check's id, e.g. "missing-values", "target-leak", "duplicate-rows", "constant-column", "imbalance"."""
    severity: Severity
    message: str
    """One sentence with the figures, and what was done about it."""
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    """Up to 20 row numbers, counted from 1 at the first data row."""


class ColumnInfo(Frozen):
    """One column of a table, as inferred."""

    name: str
    kind: ColumnKind
    rows_missing: int
    distinct: int
    """Number of different present values (exact up to 100,000 rows, else of a sample)."""
    examples: tuple[str, ...] = ()
    """Up to five different values as text."""
    top: tuple[tuple[str, int], ...] = ()
    """Up to 50 most frequent values with their counts, when there are at most 1,000 different ones."""
    minimum: float | None = None
    maximum: float | None = None
    integer: bool = False
    """Numeric with whole numbers only."""
    tokens: int = 0
    """Text: words and symbols that all but the longest fiftieth of the cells have at most (of a sample)."""


class DatasetInfo(Frozen):
    """What inspection found in one version of a data set. Needs no target, and is small enough to store and send."""

    modality: Modality
    format: str
    """"csv", "tsv", "parquet", "text-folder", "image-folder", "image-manifest", "npz", "idx", "ts",
    "tfrecord"."""
    rows: int
    columns: tuple[ColumnInfo, ...] = ()
    """Tables: in file order. Pictures: "label" first, when labels are there, then a manifest's other columns."""
    has_header: bool = True
    image_shape: tuple[int, int, int] | None = None
    """Most frequent height, width, channels of pictures."""
    series_shape: tuple[int, int] | None = None
    """Steps of the longest of series, and their channels."""
    parts: tuple[tuple[str, int], ...] = ()
    """Parts that the data itself brings (folders train/ and test/, idx files t10k-*), with their sizes."""
    findings: tuple[Finding, ...] = ()

    def column(self, name: str) -> ColumnInfo | None:
        """The column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def own_target(self) -> str | None:
        """The column of classes that the form itself names; None where the user has to name one."""
        labelled = self.modality in (Modality.IMAGE, Modality.SERIES) or self.format in LABELLED_FORMS
        return "label" if labelled and self.column("label") is not None else None


class Profile(Frozen):
    """The facts about the training part of a prepared data set that the search space turns on."""

    modality: Modality
    task: str
    rows: int
    """Rows of the training part."""
    numeric: int = 0
    """Columns of the encoded numeric matrix (dates and text expanded)."""
    numeric_values: tuple[int, ...] = ()
    """Different values of each of these columns, in the first rows of a large set; () where it isn't known."""
    categorical: int = 0
    cardinality_max: int = 0
    cardinalities: tuple[int, ...] = ()
    """Codes of each categorical column, with those for missing and for unseen; () where it isn't known."""
    missing_fraction: float = 0.0
    heavy_tailed: float = 0.0
    """Share of numeric columns whose kurtosis exceeds 10."""
    classes: int = 0
    """0 for regression."""
    class_min: int = 0
    """Training rows of the rarest class."""
    imbalance: float = 1.0
    """Training rows of the most frequent class over those of the rarest."""
    image_shape: tuple[int, int, int] | None = None
    length: int = 0
    """Steps of a series, or tokens of a text, as networks see them (shorter ones are padded)."""
    channels: int = 0
    """Measured values a step of a series."""
    ragged: bool = False
    """Whether series differ in length."""
    vocabulary: int = 0
    """Different tokens of texts, with those for padding and for the unknown."""
    ngrams: int = 0
    """Different n-grams of texts' characters, with the code for padding; 0 where there are none."""
    target_skew: float = 0.0
    """Skewness of a regression target."""
    target_min: float | None = None
    """Least target of regression in the training part."""
    outputs: int = 1
    """Units of the model's output: classes, or 1."""
    sample_bytes: int = 0
    temporal: bool = False
    """The parts follow each other in time: rows must not be dealt into folds, which would learn from what came later."""

    @property
    def kind(self) -> Literal["classification", "regression"]:
        return "classification" if self.classes else "regression"
