"""Predicts a class from a series of measurements.

Takes series of one or several channels, of equal or different lengths, with one label each: a `.ts` file as sktime and the
UCR/UEA archive have it, or a table: in wide form (a row is a series, its numeric columns are the steps) or in long form
(a row is a step; the group column says to which series it belongs). Returns a probability for each class.

Missing values are interpolated, channels standardised over the training rows, shorter series filled up behind a mask,
longer ones than 512 steps resampled. A table looks like any other: ask for this task by name.
"""

from __future__ import annotations

from automl.catalog import task
from automl.spec import ColumnInfo, DatasetInfo, Modality


def _metric(classes: int) -> str:
    return "accuracy"


@task(
    id="timeseries-classification",
    modality="series",
    forms=("series", "table"),
    kind="classification",
    metrics=("accuracy", "balanced-accuracy", "roc-auc", "pr-auc", "log-loss", "f1-macro", "mcc"),
    default_metric=_metric,
    default_loss="cross-entropy",
    takes="series with one label each: a .ts file, or a table with a row for each series, or for each step of one",
    returns="a probability for each class",
)
def infer(info: DatasetInfo, target: ColumnInfo | None) -> float:
    """A `.ts` file with labels is always of this task; a table is never taken for one unasked."""
    return 0.95 if info.modality == Modality.SERIES and target is not None and target.distinct >= 2 else 0.0
